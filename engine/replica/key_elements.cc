// SPDX-License-Identifier: Apache-2.0
//
// What a key's state knows of what is in the key: elements, counters, the items of lists. See
// key_state.h.
#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "engine/replica/key_state.h"

namespace dyno {

// --- Elements -----------------------------------------------------------------------------------

Stamp KeyState::element_stamp(uint64_t element_hash) const {
  Stamp own = record_->stamps.find(element_hash);
  return own != 0 ? own : record_->base;
}

void KeyState::put_element(uint64_t element_hash, Stamp old, Stamp stamp) {
  if (old != 0) subtract(element_term(element_hash, old));
  add(element_term(element_hash, stamp));
  if (record_->base == 0 || record_->type == Type::kString) record_->base = stamp;
  if (stamp == record_->base) {
    if (old != 0 && old != stamp) record_->stamps.erase(element_hash);
  } else {
    record_->stamps.set(element_hash, stamp);
  }
  note(stamp);
}

void KeyState::drop_element(uint64_t element_hash, Stamp old) {
  subtract(element_term(element_hash, old));
  if (record_->type == Type::kString) {
    record_->base = 0;
  } else if (old != record_->base) {
    record_->stamps.erase(element_hash);
  }
}

void KeyState::bury(Type type, std::string_view element, Stamp stamp) {
  if (record_->gone == nullptr) record_->gone = std::make_unique<GoneElements>();
  if (record_->gone->add(replica_.hash(), KeyRecord::element_name(type, element), stamp)) {
    count_traces(1);
  }
  note(stamp);
  await_collection();
}

void KeyState::unbury(Type type, std::string_view element) {
  if (record_->gone == nullptr) return;
  if (!record_->gone->erase(replica_.hash(), KeyRecord::element_name(type, element))) return;
  count_traces(-1);
  if (record_->gone->empty()) record_->gone.reset();
}

void KeyState::set_field_deadline(uint64_t element_hash, Stamp stamp) {
  Stamp old = field_deadline_stamp(element_hash);
  if (old == stamp) return;
  if (old != 0) subtract(field_deadline_term(element_hash, old));
  if (stamp == 0) {
    record_->field_deadlines->erase(element_hash);
    if (record_->field_deadlines->empty()) record_->field_deadlines.reset();
    return;
  }
  add(field_deadline_term(element_hash, stamp));
  if (record_->field_deadlines == nullptr) {
    record_->field_deadlines = std::make_unique<StampMap>();
  }
  record_->field_deadlines->set(element_hash, stamp);
  note(stamp);
}

const KeyRecord::FieldDeadline* KeyState::shelved_deadline(std::string_view field) const {
  if (record_->shelved_deadlines == nullptr) return nullptr;
  auto at = record_->shelved_deadlines->find(field);
  return at == record_->shelved_deadlines->end() ? nullptr : &at->second;
}

// What it hides of a counter is no part of the digest.
void KeyState::shelve_deadline(std::string_view field, const KeyRecord::FieldDeadline& deadline) {
  KeyRecord& record = *record_;
  const SharedCounter* counter = record.counter(Type::kHash, field);
  if (counter != nullptr) add_counter_terms(field, *counter, -1);
  if (record.shelved_deadlines == nullptr) {
    record.shelved_deadlines =
        std::make_unique<std::map<std::string, KeyRecord::FieldDeadline, std::less<>>>();
  }
  bool is_new = record.shelved_deadlines->insert_or_assign(std::string(field), deadline).second;
  if (is_new) count_traces(1);
  if (counter != nullptr) add_counter_terms(field, *counter, 1);
  note(deadline.stamp);
  await_collection();
}

void KeyState::drop_shelved_deadline(std::string_view field) {
  KeyRecord& record = *record_;
  if (shelved_deadline(field) == nullptr) return;
  const SharedCounter* counter = record.counter(Type::kHash, field);
  if (counter != nullptr) add_counter_terms(field, *counter, -1);
  record.shelved_deadlines->erase(record.shelved_deadlines->find(field));
  if (record.shelved_deadlines->empty()) record.shelved_deadlines.reset();
  count_traces(-1);
  if (counter != nullptr) add_counter_terms(field, *counter, 1);
}

// --- Counters -----------------------------------------------------------------------------------

SharedCounter::Cut KeyState::cut(std::string_view element, const SharedCounter& counter) const {
  Stamp expiry = record_->lapsed ? first_stamp_of(record_->deadline_ms) : 0;
  SharedCounter::Cut cut{std::max(floor(), expiry), expiry};
  if (counter.type() != Type::kHash) return cut;
  const KeyRecord::FieldDeadline* own = shelved_deadline(element);
  if (own == nullptr || !own->lapsed || own->stamp < floor() || own->stamp < counter.base().stamp) {
    return cut;
  }
  return {std::max(cut.base, own->stamp + 1), std::max(cut.totals, first_stamp_of(own->at_ms))};
}

Digest KeyState::counter_terms(std::string_view element, const SharedCounter& counter) const {
  Digest sum;
  uint64_t element_hash = this->element_hash(element);
  const SharedCounter::Cut cut = this->cut(element, counter);
  if (counter.has_base(cut)) sum += element_term(element_hash, counter.base().stamp);
  for (const Total& total : counter.totals()) {
    if (!counter.counts(total, cut)) continue;
    const Total* seen = counter.observed_of(total.actor);
    bool same = seen != nullptr && seen->generation == total.generation;
    uint64_t actor = total.actor;
    sum += replica_.hash().term(hash_, element_hash ^ (actor << 32 | actor), total.stamp,
                                total.generation ^ (same ? seen->stamp * 3 : 0));
  }
  return sum;
}

void KeyState::add_counter_terms(std::string_view element, const SharedCounter& counter, int sign) {
  if (counter.type() != record_->type) return;
  Digest terms = counter_terms(element, counter);
  sign > 0 ? add(terms) : subtract(terms);
}

void KeyState::add_all_counter_terms(int sign) {
  if (record_->counters == nullptr) return;
  record_->counters->for_each([&](std::string_view name, const SharedCounter& counter) {
    add_counter_terms(KeyRecord::bare_element(name), counter, sign);
  });
}

SharedCounter& KeyState::make_counter(Type type, std::string_view element, bool was_there,
                                      SharedCounter::Base base) {
  KeyRecord& record = *record_;
  if (SharedCounter* counter = record.counter(type, element)) return *counter;
  if (was_there) {
    uint64_t element_hash = this->element_hash(element);
    base.stamp = element_stamp(element_hash);
    base.exists = true;
    drop_element(element_hash, base.stamp);
  } else {
    // What was removed stays so: the trace becomes the base.
    base = {};
    base.stamp = record.gone_stamp(type, element);
    unbury(type, element);
  }
  SharedCounter& counter = record.add_counter(type, element);
  change_counter(element, counter, [&] { (void)counter.set_base(std::move(base)); });
  return counter;
}

void KeyState::replace_base(std::string_view element, SharedCounter& counter,
                            SharedCounter::Base base) {
  note(base.stamp);
  change_counter(element, counter, [&] {
    counter.observe_all();
    (void)counter.set_base(std::move(base));
  });
  await_collection();
}

// --- Lists --------------------------------------------------------------------------------------

Digest KeyState::item_term(const ItemId& id, Stamp stamp) const {
  return element_term(replica_.hash().item(id.head, id.stamp, id.index), stamp);
}

Stamp KeyState::item_stamp(const ItemId& id) const {
  Stamp changed = record_->list->changed.find(replica_.hash().item(id.head, id.stamp, id.index));
  return changed != 0 ? changed : id.stamp;
}

void KeyState::put_item(const ItemId& id, Stamp changed) {
  add(item_term(id, changed));
  if (changed != id.stamp) {
    record_->list->changed.set(replica_.hash().item(id.head, id.stamp, id.index), changed);
  }
  note(id.stamp);
  note(changed);
}

void KeyState::change_item(const ItemId& id, Stamp stamp) {
  subtract(item_term(id, item_stamp(id)));
  put_item(id, stamp);
}

void KeyState::drop_items(size_t position, size_t count, Stamp stamp) {
  ListRecord& list = *record_->list;
  list.ids.for_each_run(position, count, [&](const ItemId& first, uint32_t run) {
    for (uint32_t i = 0; i < run; ++i) {
      ItemId id = first;
      id.index = first.head ? first.index - i : first.index + i;
      subtract(item_term(id, item_stamp(id)));
      if (!list.changed.empty()) {
        list.changed.erase(replica_.hash().item(id.head, id.stamp, id.index));
      }
      if (stamp != 0) bury_item(id, stamp);
    }
  });
  list.ids.erase(position, count);
}

bool KeyState::is_dead(const ItemId& id) const {
  const ListRecord* list = record_->list.get();
  return list != nullptr && (list->dead.find(id) || list->dying.find(id));
}

void KeyState::bury_item(const ItemId& id, Stamp stamp) {
  ListRecord& list = record_->make_list();
  note(stamp);
  if (list.dead_stamp < stamp) list.dead_stamp = stamp;
  if (is_dead(id)) return;
  (void)list.dead.insert(id);
  count_traces(1);
  await_collection();
}

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// Collection: what a key's state keeps of what is gone is dropped when every replica has every
// write up to its stamp. Nothing that is shown, and no digest, changes by it.
//
// A deadline only hides what counters have, until a later write makes it void. Whoever forgets both
// could not tell in such a write what it had seen, and those that have not forgotten yet would show
// it again. So the expiry is made final by a write of its own.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "engine/replica/key_state.h"

namespace dyno {

void KeyState::collect_list(Stamp horizon) {
  ListRecord& list = *record_->list;
  auto drop = [&](ItemIds& ids) {
    count_traces(-static_cast<int64_t>(ids.size()));
    ids.clear();
  };
  if (!list.dying.empty() && list.dying_stamp <= horizon) drop(list.dying);
  if (list.dying.empty() && !list.dead.empty()) {
    std::swap(list.dying, list.dead);
    list.dying_stamp = list.dead_stamp;
    if (list.dying_stamp <= horizon) drop(list.dying);
  }
  if (!record_->is_live && list.dead.empty() && list.dying.empty()) record_->list.reset();
}

void KeyState::collect_counters(Stamp horizon, Stamp now) {
  KeyRecord& record = *record_;
  std::vector<std::string> names;
  record.counters->for_each([&](std::string_view name, const SharedCounter& counter) {
    const SharedCounter::Cut cut = this->cut(KeyRecord::bare_element(name), counter);
    if (counter.is_settling() || !counter.has_unobserved({cut.base, 0})) names.emplace_back(name);
  });
  for (const std::string& name : names) {
    SharedCounter& counter = *record.counters->find(name);
    std::string_view element = KeyRecord::bare_element(name);
    const SharedCounter::Cut cut = this->cut(element, counter);
    if (!counter.collect({cut.base, 0}, horizon, now)) continue;
    // Only the base is left: an element like any other, or nothing.
    if (counter.type() == record.type && counter.has_base(cut)) {
      subtract(counter_terms(element, counter));
      put_element(element_hash(element), 0, counter.base().stamp);
    }
    record.counters->erase(name);
  }
  if (record.counters->empty()) record.counters.reset();
}

void KeyState::observe_older(std::string_view element, SharedCounter& counter, Stamp upto,
                             FrameWriter& told) {
  for (const Total& total : counter.totals()) {
    if (total.stamp >= upto) continue;
    Fact fact{.kind = FactKind::kObserved, .type = counter.type(), .stamp = total.stamp};
    fact.element = element;
    fact.total = total;
    told.add(record_->db, name_, fact);
  }
  change_counter(element, counter, [&] { counter.observe_older(upto); });
}

void KeyState::settle_expiry(FrameWriter& told) {
  const Stamp upto = make_stamp(record_->deadline_ms, 0, 1);
  told.add(record_->db, name_, {.kind = FactKind::kClear, .stamp = upto});
  if (record_->counters != nullptr) {
    for (auto& [name, counter] : record_->counters->all()) {
      observe_older(KeyRecord::bare_element(name), counter, upto, told);
    }
  }
  set_clear(upto);
}

void KeyState::settle_field_expiry(std::string_view field, FrameWriter& told) {
  const KeyRecord::FieldDeadline deadline = *shelved_deadline(field);
  // Just later than whatever it may hide.
  Stamp upto = deadline.stamp + 1;
  if (stamp_rack(upto) == 0) ++upto;
  told.add(record_->db, name_, {.kind = FactKind::kFieldGone, .stamp = upto, .element = field});
  if (SharedCounter* counter = record_->counter(Type::kHash, field)) {
    observe_older(field, *counter, first_stamp_of(deadline.at_ms), told);
    change_counter(field, *counter, [&] { (void)counter->set_base({.stamp = upto}); });
    await_collection();
  } else {
    bury(Type::kHash, field, upto);
  }
}

// Deadlines go with what they hid, when no extension of them can be on its way.
void KeyState::collect_deadlines(Stamp horizon, FrameWriter* told) {
  KeyRecord& record = *record_;
  if (record.lapsed && first_stamp_of(record.deadline_ms) <= horizon &&
      record.deadline_stamp <= horizon) {
    const Stamp expiry = first_stamp_of(record.deadline_ms);
    if (record.counters != nullptr && told != nullptr) {
      settle_expiry(*told);
    } else if (record.counters != nullptr) {
      for (auto& each : record.counters->all()) each.second.forget({expiry, expiry});
    }
    set_deadline(0, -1);
  }
  auto is_known = [&](std::string_view field, const KeyRecord::FieldDeadline& deadline) {
    if (deadline.stamp > horizon) return false;
    if (!deadline.lapsed) return true;
    const Stamp expiry = first_stamp_of(deadline.at_ms);
    if (expiry > horizon) return false;
    SharedCounter* counter = record.counter(Type::kHash, field);
    if (counter == nullptr || counter->base().stamp > deadline.stamp) return true;
    if (told != nullptr) {
      settle_field_expiry(field, *told);
      return true;
    }
    change_counter(field, *counter, [&] { counter->forget({deadline.stamp + 1, expiry}); });
    return true;
  };
  drop_shelved_deadlines(is_known);
}

void KeyState::forget_gone(Stamp horizon) {
  KeyRecord& record = *record_;
  if (record.gone == nullptr) return;
  count_traces(-static_cast<int64_t>(record.gone->erase_until(replica_.hash(), horizon)));
  if (record.gone->empty()) record.gone.reset();
}

void KeyState::collect_sketch(Stamp horizon) {
  SketchRecord& sketch = *record_->sketch;
  std::erase_if(sketch.recent, [&](const SketchRecord::Raised& raised) {
    if (raised.stamp > horizon) return false;
    sketch.folded = std::max(sketch.folded, raised.stamp);
    return true;
  });
}

// Whether something is left to be dropped later.
bool KeyState::awaits_more(Stamp horizon) const {
  const KeyRecord& record = *record_;
  if (record.gone != nullptr || record.shelved_deadlines != nullptr || record.other_stamp != 0 ||
      record.lapsed || record.clear > horizon) {
    return true;
  }
  if (record.list != nullptr && !(record.list->dead.empty() && record.list->dying.empty())) {
    return true;
  }
  if (record.sketch != nullptr && !record.sketch->recent.empty()) return true;
  if (record.counters == nullptr) return false;
  bool awaits = false;
  record.counters->for_each([&](std::string_view name, const SharedCounter& counter) {
    awaits |= !counter.has_unobserved(cut(KeyRecord::bare_element(name), counter));
  });
  return awaits;
}

bool KeyState::collect(Stamp horizon, Stamp now, FrameWriter* told) {
  KeyRecord& record = *record_;
  forget_gone(horizon);
  collect_deadlines(horizon, told);
  if (record.counters != nullptr) collect_counters(horizon, now);
  if (record.list != nullptr) collect_list(horizon);
  // A counter's base may lie below it.
  if (record.other_stamp <= horizon && record.counters == nullptr) record.other_stamp = 0;
  if (record.sketch != nullptr) collect_sketch(horizon);
  bool waits = awaits_more(horizon);
  if (!record.is_live && record.counters == nullptr) {
    // A deadline of no key, a clear, the last type: nothing older than them is on its way.
    if (record.latest > horizon) waits = true;
    if (!waits) record.latest = 0;
  } else if (!waits && record.type == Type::kString && record.base != 0 &&
             record.latest <= horizon && record.deadline_ms < 0 && record.sketch == nullptr &&
             record.counters == nullptr) {
    // The string is as good as set as a whole: no older write is on its way to tell them apart.
    record.clear = record.type_stamp = record.latest = record.base;
  }
  record.awaits_collection = waits;
  return waits;
}

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// What writes to strings, elements, counters and lists become. See origin.h.
#include <algorithm>
#include <string>
#include <utility>

#include "engine/executor.h"
#include "engine/live_key.h"
#include "engine/replica/origin_write.h"
#include "engine/replica/replica_sketch.h"
#include "engine/types/hash.h"
#include "engine/types/list.h"
#include "engine/types/string.h"
#include "engine/types/zset.h"
#include "protocol/number.h"

namespace dyno {

// --- Strings ------------------------------------------------------------------------------------

std::string Origin::Write::live_string() {
  LiveKey live(replica_.executor(), effect_.db, effect_.key, INT64_MIN);
  String::Buffer buffer;
  return std::string(String(live.key()).view(&buffer));
}

void Origin::Write::put_value(std::string_view bytes, Stamp stamp, Stamp prev) {
  claim(Type::kString, stamp);
  if (SharedCounter* counter = state_->counter(Type::kString, {})) {
    emit_observed({}, *counter, stamp);
    state_.replace_base({}, *counter, {stamp, true, std::string(bytes), 0});
  } else {
    state_.put_element(state_.element_hash({}), state_->base, stamp);
  }
  come_alive();
  emit({.kind = FactKind::kValue, .stamp = stamp, .prev = prev, .value = bytes});
}

void Origin::Write::set_string() {
  Stamp stamp = stamp_after(state_->latest);
  SharedCounter* counter = state_->counter(Type::kString, {});
  Stamp prev = counter != nullptr ? counter->base().stamp : state_->base;
  if (!state_->is_live || state_->type != Type::kString) prev = 0;
  int64_t deadline_ms = state_->deadline_ms;
  clear(stamp);
  put_value(effect_.element, stamp, prev);
  if (!effect_.keeps_deadline || deadline_ms < 0) return;
  state_.set_deadline(stamp, deadline_ms);
  emit({.kind = FactKind::kDeadline, .stamp = stamp, .number = deadline_ms});
}

void Origin::Write::patch_string() {
  std::string value = live_string();
  if (!state_->is_live) {
    Stamp stamp = stamp_after(state_->latest);
    clear(stamp);
    return put_value(value, stamp, 0);
  }
  SharedCounter* counter = state_->counter(Type::kString, {});
  Stamp prev = counter != nullptr ? counter->latest() : state_->base;
  Stamp stamp = stamp_after(prev);
  if (counter != nullptr || value.size() <= kWholeStringBytes) {
    return put_value(value, stamp, prev);
  }
  claim(Type::kString, stamp);
  state_.put_element(state_.element_hash({}), prev, stamp);
  Fact fact{.kind = FactKind::kPatch, .stamp = stamp, .prev = prev, .value = effect_.element};
  fact.number = effect_.position;
  emit(fact);
}

void Origin::Write::raise_registers() {
  bool was_live = state_->is_live;
  bool was_string = was_live && state_->type != kSketchType;
  Stamp stamp = stamp_after(was_string ? state_->latest : 0);
  std::string live = live_string();
  // What was set as a string becomes registers as a whole.
  std::string raised = was_string ? raised_of(live) : std::string(effect_.element);
  claim(kSketchType, stamp);
  was_live ? state_.set_live(true) : come_alive();
  note_raised(state_, raised, stamp);
  state_.set_sketch_term(hash_of_registers(live));
  emit({.kind = FactKind::kRegisters, .stamp = stamp, .value = raised});
}

// --- Fields, members and scores -----------------------------------------------------------------

void Origin::Write::put_element(Type type, FactKind kind) {
  uint64_t hash = element_hash();
  SharedCounter* counter = state_->counter(type, effect_.element);
  Stamp old = effect_.is_new || counter != nullptr ? 0 : state_.element_stamp(hash);
  Stamp prev = counter != nullptr ? counter->latest() : old;
  Stamp gone = state_->gone_stamp(type, effect_.element);
  if (type == Type::kHash) gone = std::max(gone, field_deadline_stamp());
  Stamp stamp = stamp_after(std::max(prev, gone));
  claim(type, stamp);
  if (type == Type::kHash) drop_field_deadline();
  if (counter != nullptr) {
    emit_observed(effect_.element, *counter, stamp);
    state_.replace_base(effect_.element, *counter,
                        {stamp, true, std::string(effect_.value), effect_.score});
  } else {
    state_.unbury(type, effect_.element);
    state_.put_element(hash, old, stamp);
  }
  come_alive();
  Fact fact{.kind = kind, .stamp = stamp, .prev = kind == FactKind::kMember ? 0 : prev};
  fact.element = effect_.element;
  fact.value = effect_.value;
  fact.score = effect_.score;
  emit(fact);
}

void Origin::Write::erase_element(Type type, FactKind kind) {
  uint64_t hash = element_hash();
  const Stamp deadline = type == Type::kHash ? field_deadline_stamp() : 0;
  Stamp stamp;
  if (SharedCounter* counter = state_->counter(type, effect_.element)) {
    stamp = stamp_after(std::max(counter->latest(), deadline));
    emit_observed(effect_.element, *counter, stamp);
    state_.replace_base(effect_.element, *counter, {.stamp = stamp});
  } else {
    Stamp old = state_.element_stamp(hash);
    stamp = stamp_after(std::max(old, deadline));
    state_.drop_element(hash, old);
    state_.bury(type, effect_.element, stamp);
  }
  if (kind == FactKind::kFieldGone) drop_field_deadline();
  emit({.kind = kind, .stamp = stamp, .element = effect_.element});
}

// Each replica hides the field when its time has come.
void Origin::Write::expire_field() {
  LiveKey live(replica_.executor(), effect_.db, effect_.key, INT64_MIN);
  FieldPlace place = Hash(live.key()).find(effect_.element);
  uint64_t hash = element_hash();
  Stamp stamp = state_.field_deadline_stamp(hash);
  state_.set_field_deadline(hash, 0);
  if (!state_->has_counter(Type::kHash, effect_.element)) {
    state_.drop_element(hash, state_.element_stamp(hash));
  }
  state_.shelve_deadline(effect_.element, {stamp, place.deadline_ms, true});
}

Stamp Origin::Write::field_deadline_stamp() const {
  const KeyRecord::FieldDeadline* shelved = state_.shelved_deadline(effect_.element);
  Stamp stamp = state_.field_deadline_stamp(element_hash());
  return shelved == nullptr ? stamp : std::max(stamp, shelved->stamp);
}

// A write of the field makes its deadline void.
void Origin::Write::drop_field_deadline() {
  state_.set_field_deadline(element_hash(), 0);
  state_.drop_shelved_deadline(effect_.element);
}

// As end_deadline(), of a field that an increment brings into being.
void Origin::Write::end_field_deadline(Stamp stamp) {
  drop_field_deadline();
  state_.shelve_deadline(effect_.element, {stamp, kNoDeadline, false});
  Fact fact{.kind = FactKind::kFieldDeadline, .stamp = stamp, .number = kNoDeadline};
  fact.element = effect_.element;
  emit(fact);
}

// As revive(), of a field: what its deadline hid is gone, and observed as far as it was counted.
void Origin::Write::revive_field() {
  const KeyRecord::FieldDeadline* shelved = state_.shelved_deadline(effect_.element);
  if (shelved == nullptr || !shelved->lapsed) return;
  // Not before the end of what it may hide.
  state_.note(stamp_after(shelved->stamp + 2));
  state_.settle_field_expiry(effect_.element, pending().frame(hash_.token));
  state_.drop_shelved_deadline(effect_.element);
}

void Origin::Write::set_field_deadline() {
  revive_field();
  SharedCounter* counter = state_->counter(Type::kHash, effect_.element);
  Stamp old = counter != nullptr ? counter->latest() : state_.element_stamp(element_hash());
  Stamp stamp = stamp_after(std::max(std::max(old, Stamp{1}) - 1, field_deadline_stamp()));
  drop_field_deadline();
  if (effect_.position < 0) return end_field_deadline(stamp);
  state_.set_field_deadline(element_hash(), stamp);
  Fact fact{.kind = FactKind::kFieldDeadline, .stamp = stamp};
  fact.element = effect_.element;
  fact.number = effect_.position;
  emit(fact);
}

// --- Counters -----------------------------------------------------------------------------------

void Origin::Write::increment(Type type, std::string_view element) {
  if (type == Type::kHash) revive_field();
  Stamp latest = state_->gone_stamp(type, element);
  if (type == Type::kHash) latest = std::max(latest, field_deadline_stamp());
  if (const SharedCounter* counter = state_->counter(type, element)) {
    latest = std::max(latest, counter->latest());
  } else if (!effect_.is_new) {
    latest = std::max(latest, state_.element_stamp(state_.element_hash(element)));
  }
  Stamp stamp = stamp_after(latest);
  claim(type, stamp);
  SharedCounter::Base base{0, true, std::string(effect_.before), effect_.score_before};
  if (effect_.before.empty() && type != Type::kZSet && !effect_.is_new) {
    // Whole numbers only come from whole numbers.
    std::string_view sum = type == Type::kHash ? effect_.value : effect_.element;
    base.text = std::to_string(*parse_int64(sum) - static_cast<int64_t>(effect_.amount.whole));
  }
  SharedCounter& counter = state_.make_counter(type, element, !effect_.is_new, std::move(base));
  Total total;
  bool has_generations = !replica_.faults.no_generations;
  state_.change_counter(element, counter, [&] {
    total = counter.add(replica_.actor(), stamp, effect_.amount, has_generations);
  });
  come_alive();
  if (type == Type::kHash && effect_.is_new) end_field_deadline(stamp);
  emit_total(element, type, total);
  write_back(type, element, counter);
}

// The sum may differ in its last digit from what the command stored, or hold increments that a
// removal had not seen: every replica shows the sum.
void Origin::Write::write_back(Type type, std::string_view element, const SharedCounter& counter) {
  const SharedCounter::Cut cut = state_.cut(element, counter);
  if (type == Type::kZSet) {
    double score = counter.score(cut);
    if (score == effect_.score) return;
    LiveKey live(replica_.executor(), effect_.db, effect_.key, INT64_MIN);
    ZSet zset(live.key());
    zset.put(zset.find(element), element, score);
    return;
  }
  std::string text = counter.text(cut);
  if (text == (type == Type::kHash ? effect_.value : effect_.element)) return;
  LiveKey live(replica_.executor(), effect_.db, effect_.key, INT64_MIN);
  if (type == Type::kHash) {
    Hash(live.key()).add(element, text, int64_t{0});
  } else {
    String(live.key()).assign(text, {DeadlineChange::Kind::kKeep});
  }
}

// --- Lists --------------------------------------------------------------------------------------

void Origin::Write::put_item(bool head, std::string_view value, Stamp stamp) {
  ItemId id{head, pending().next_item++, stamp};
  (void)state_->make_list().ids.insert(id);
  state_.put_item(id, stamp);
  Fact fact{.kind = FactKind::kItem, .stamp = stamp, .value = value};
  fact.item = id;
  emit(fact);
}

void Origin::Write::emit_gone_items(size_t position, size_t count, Stamp stamp) {
  state_->list->ids.for_each_run(position, count, [&](const ItemId& first, uint32_t run) {
    Fact fact{.kind = FactKind::kItemGone, .stamp = stamp};
    fact.item = first;
    if (first.head) fact.item.index = first.index - (run - 1);
    fact.count = run;
    emit(fact);
  });
  state_.drop_items(position, count, stamp);
}

void Origin::Write::insert_item() {
  Stamp stamp = stamp_after(state_->is_live ? 0 : state_->clear);
  claim(Type::kList, stamp);
  // First, as the element would be taken for one that a past deadline covers.
  come_alive();
  stamp = pending().stamp;
  size_t size = state_->make_list().ids.size();
  auto position = static_cast<size_t>(effect_.position);
  if (position != 0 && position != size) {
    insert_in_middle(position);
  } else {
    put_item(size == 0 ? effect_.at_head : position == 0, effect_.element, stamp);
  }
}

void Origin::Write::insert_in_middle(size_t position) {
  Stamp stamp = pending().stamp;
  size_t size = state_->list->ids.size();
  LiveKey live(replica_.executor(), effect_.db, effect_.key, INT64_MIN);
  List list(live.key());
  bool head = position <= size - position;
  size_t first = head ? 0 : position;
  size_t moved = head ? position : size - position;
  emit_gone_items(first, moved, stamp);
  auto put = [&](size_t, const packed::Item& item) {
    packed::Item::Buffer buffer;
    put_item(head, item.view(&buffer), stamp);
    return true;
  };
  // At the head the innermost is pushed first.
  for (size_t i = moved + 1; head && i-- > 0;) put(i, list.at(i));
  if (!head) list.for_each(position, moved + 1, put);
}

void Origin::Write::set_item() {
  ItemId id = state_->list->ids.at(static_cast<size_t>(effect_.position));
  Stamp stamp = stamp_after(state_.item_stamp(id));
  claim(Type::kList, stamp);
  state_.change_item(id, stamp);
  Fact fact{.kind = FactKind::kItem, .stamp = stamp, .value = effect_.element};
  fact.item = id;
  emit(fact);
}

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// Fields and their deadlines. Value and deadline of a field are two registers, each with its own
// stamp: the later value wins, and the later deadline. A deadline that is older than the value is
// none. One whose time has come hides the value, and increments older than that time, until a later
// write of either brings the field back (key_record.h).
#include <algorithm>
#include <string>
#include <vector>

#include "engine/replica/key_merge.h"
#include "engine/types/hash.h"

namespace dyno {

void KeyMerge::put_field(const Fact& fact) {
  if (!admits(fact, Type::kHash)) return;
  expire_field(fact.element);
  if (replaced_base(fact, Type::kHash, true)) return;
  Hash hash(key());
  uint64_t element_hash = state_.element_hash(fact.element);
  FieldPlace place =
      key().exists() ? hash.fields().find(fact.element, HashFields::kBeforeAll) : FieldPlace{};
  Stamp old = place ? state_.element_stamp(element_hash) : 0;
  packed::Item::Buffer buffer;
  bool larger = place && old == fact.stamp && fact.value > place.value().view(&buffer);
  if (!wins(fact, old, state_->gone_stamp(Type::kHash, fact.element), larger)) return;
  if (place) shelve_field_deadline(fact.element);
  const KeyRecord::FieldDeadline* shelved = state_.shelved_deadline(fact.element);
  if (shelved != nullptr && shelved->lapsed && shelved->stamp >= fact.stamp) return;
  hash.set(fact.element, fact.value);
  state_.unbury(Type::kHash, fact.element);
  state_.put_element(element_hash, old, fact.stamp);
  unshelve_field_deadline(fact.element, fact.stamp);
  changed_ = true;
}

// --- Deadlines ----------------------------------------------------------------------------------

// The field's latest deadline; stamp 0: it never had one.
KeyRecord::FieldDeadline KeyMerge::field_deadline(std::string_view field) {
  Stamp stamp = state_.field_deadline_stamp(state_.element_hash(field));
  if (stamp != 0) {
    return {stamp, Hash(key()).fields().find(field, HashFields::kBeforeAll).deadline_ms, false};
  }
  const KeyRecord::FieldDeadline* shelved = state_.shelved_deadline(field);
  return shelved == nullptr ? KeyRecord::FieldDeadline{} : *shelved;
}

// With the field if that is here and will expire, else in the record.
void KeyMerge::place_field_deadline(std::string_view field,
                                    const KeyRecord::FieldDeadline& deadline) {
  uint64_t hash = state_.element_hash(field);
  SharedCounter::Base unused;
  bool is_here = has_live(Type::kHash, field, &unused);
  bool expires = deadline.at_ms != kNoDeadline && !deadline.lapsed;
  if (is_here) Hash(key()).set_deadline(field, expires ? deadline.at_ms : kNoDeadline);
  if (is_here && expires) {
    state_.drop_shelved_deadline(field);
    state_.set_field_deadline(hash, deadline.stamp);
  } else {
    state_.set_field_deadline(hash, 0);
    state_.shelve_deadline(field, deadline);
  }
}

void KeyMerge::set_field_deadline(const Fact& fact) {
  if (is_older(fact)) return;
  expire_field(fact.element);
  SharedCounter* counter = state_->counter(Type::kHash, fact.element);
  SharedCounter::Base unused;
  Stamp value_stamp = state_->gone_stamp(Type::kHash, fact.element);
  if (counter != nullptr) {
    value_stamp = counter->base().stamp;
  } else if (has_live(Type::kHash, fact.element, &unused)) {
    value_stamp = state_.element_stamp(state_.element_hash(fact.element));
  }
  const KeyRecord::FieldDeadline old = field_deadline(fact.element);
  Stamp here = std::max(value_stamp, old.stamp);
  if (fact.stamp < here) return lose(fact, here);
  if (fact.stamp == old.stamp && fact.number <= old.at_ms) return;
  place_field_deadline(fact.element, {fact.stamp, fact.number, false});
  expire_field(fact.element);
  changed_ = true;
  if (!old.lapsed) return;
  if (counter != nullptr) refresh(Type::kHash, fact.element, *counter);
  // What was dropped when the former deadline came is alive at those who knew in time of this one.
  if (!is_due(fact.number)) pull();
}

// If the field's time has come, it goes.
void KeyMerge::expire_field(std::string_view field) {
  mark_lapsed_deadline(field);
  uint64_t hash = state_.element_hash(field);
  if (state_.field_deadline_stamp(hash) == 0 || !is_due(field_deadline(field).at_ms)) return;
  shelve_field_deadline(field);
  if (const SharedCounter* counter = state_->counter(Type::kHash, field)) {
    return refresh(Type::kHash, field, *counter);
  }
  state_.drop_element(hash, state_.element_stamp(hash));
  remove_live(Type::kHash, field);
}

void KeyMerge::mark_lapsed_deadline(std::string_view field) {
  const KeyRecord::FieldDeadline* shelved = state_.shelved_deadline(field);
  if (shelved == nullptr || shelved->lapsed || !is_due(shelved->at_ms)) return;
  state_.shelve_deadline(field, {shelved->stamp, shelved->at_ms, true});
}

// The field goes, or gets another value. Its deadline may be later than what comes.
void KeyMerge::shelve_field_deadline(std::string_view field) {
  if (state_.field_deadline_stamp(state_.element_hash(field)) == 0) return;
  KeyRecord::FieldDeadline deadline = field_deadline(field);
  deadline.lapsed = is_due(deadline.at_ms);
  Hash(key()).set_deadline(field, kNoDeadline);
  state_.set_field_deadline(state_.element_hash(field), 0);
  state_.shelve_deadline(field, deadline);
}

void KeyMerge::shelve_field_deadlines() {
  if (!key().is(Type::kHash) || state_->field_deadlines == nullptr) return;
  std::vector<std::string> fields;
  Hash(key()).fields().for_each(HashFields::kBeforeAll, [&](const FieldView& view) {
    packed::Item::Buffer buffer;
    if (view.deadline_ms != kNoDeadline) fields.emplace_back(view.field.view(&buffer));
    return true;
  });
  for (const std::string& field : fields) shelve_field_deadline(field);
}

// The field is here, with a value of that stamp.
void KeyMerge::unshelve_field_deadline(std::string_view field, Stamp value_stamp) {
  end_field_deadline(field, std::max(value_stamp, floor()));
  const KeyRecord::FieldDeadline* shelved = state_.shelved_deadline(field);
  if (shelved == nullptr || shelved->lapsed || shelved->at_ms == kNoDeadline) return;
  place_field_deadline(field, KeyRecord::FieldDeadline(*shelved));
}

// A deadline older than the field's value, or than its end, is none.
void KeyMerge::end_field_deadline(std::string_view field, Stamp value_stamp) {
  uint64_t hash = state_.element_hash(field);
  Stamp stamp = state_.field_deadline_stamp(hash);
  if (stamp != 0 && stamp < value_stamp) {
    Hash(key()).set_deadline(field, kNoDeadline);
    state_.set_field_deadline(hash, 0);
    changed_ = true;
  }
  const KeyRecord::FieldDeadline* shelved = state_.shelved_deadline(field);
  if (shelved != nullptr && shelved->stamp < value_stamp) state_.drop_shelved_deadline(field);
}

}  // namespace dyno

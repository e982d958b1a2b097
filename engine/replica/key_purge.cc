// SPDX-License-Identifier: Apache-2.0
//
// The floor of a key has risen: what lies below it goes.
#include <algorithm>
#include <string>
#include <vector>

#include "engine/replica/key_merge.h"
#include "engine/replica/missing_values.h"
#include "engine/replica/replica_sketch.h"
#include "engine/types/hash.h"
#include "engine/types/list.h"
#include "engine/types/set.h"
#include "engine/types/sketch.h"
#include "engine/types/string.h"
#include "engine/types/zset.h"
#include "protocol/check.h"

namespace dyno {

void KeyMerge::purge() {
  if (!key().exists()) return;
  Stamp floor = this->floor();
  if (state_->latest < floor && state_->counters == nullptr) {
    drop_value();
    return state_.drop_all();
  }
  if (key().is_cold()) return purge_cold(floor);
  switch (key().type()) {
    case Type::kString:
      return purge_string(floor);
    case Type::kHash:
      return purge_hash(floor);
    case Type::kSet:
      return purge_set(floor);
    case Type::kZSet:
      return purge_zset(floor);
    case Type::kList:
      return purge_list(floor);
  }
}

// All of it goes or nothing, as missing_values.h sees to.
void KeyMerge::purge_cold(Stamp floor) {
  if (is_whole_above(state_.record(), floor)) return;
  DYNO_CHECK(is_whole_below(state_.record(), floor));
  drop_value();
  state_.drop_all();
}

void KeyMerge::purge_string(Stamp floor) {
  if (state_->type == kSketchType) return purge_sketch(floor);
  if (const SharedCounter* counter = state_->counter(Type::kString, {})) {
    return refresh(Type::kString, {}, *counter);
  }
  if (state_->base >= floor) return;
  if (state_->base != 0) state_.drop_element(state_.element_hash({}), state_->base);
  drop_value();
}

// Registers that are no longer told apart are older than any clear that is on its way.
void KeyMerge::purge_sketch(Stamp floor) {
  SketchRecord& sketch = *state_->sketch;
  size_t before = sketch.recent.size();
  forget_raised(sketch, floor);
  if (sketch.folded >= floor && sketch.recent.size() == before) return;
  if (sketch.recent.empty() && sketch.folded < floor) {
    state_.set_sketch_term(0);
    state_->sketch.reset();
    return drop_value();
  }
  std::string bytes = sketch::empty();
  DYNO_CHECK(raise_all(&bytes, sketch, sketch::kDenseBytes));
  sketch::set_stale(reinterpret_cast<uint8_t*>(bytes.data()));
  store_string(bytes);
  state_.set_sketch_term(hash_of_registers(bytes));
}

void KeyMerge::purge_hash(Stamp floor) {
  std::vector<std::string> victims;
  std::vector<std::string> timed;  // Counters that outlive their deadline.
  Hash(key()).fields().for_each(HashFields::kBeforeAll, [&](const FieldView& view) {
    packed::Item::Buffer buffer;
    std::string_view field = view.field.view(&buffer);
    uint64_t hash = state_.element_hash(field);
    Stamp deadline = state_.field_deadline_stamp(hash);
    if (state_->has_counter(Type::kHash, field)) {
      if (deadline != 0 && deadline < floor) timed.emplace_back(field);
    } else if (state_.element_stamp(hash) < floor) {
      victims.emplace_back(field);
    }
    return true;
  });
  for (const std::string& field : timed) end_field_deadline(field, floor);
  for (const std::string& field : victims) {
    uint64_t hash = state_.element_hash(field);
    shelve_field_deadline(field);
    state_.drop_element(hash, state_.element_stamp(hash));
    remove_live(Type::kHash, field);
  }
  refresh_counters();
}

void KeyMerge::purge_set(Stamp floor) {
  std::vector<std::string> victims;
  Set(key()).members().for_each([&](const packed::Item& item) {
    packed::Item::Buffer buffer;
    std::string_view member = item.view(&buffer);
    if (state_.element_stamp(state_.element_hash(member)) < floor) victims.emplace_back(member);
    return true;
  });
  for (const std::string& member : victims) {
    uint64_t hash = state_.element_hash(member);
    state_.drop_element(hash, state_.element_stamp(hash));
    remove_live(Type::kSet, member);
  }
}

void KeyMerge::purge_zset(Stamp floor) {
  std::vector<std::string> victims;
  ZSetView(key()).for_all([&](std::string_view member, double) {
    if (state_->has_counter(Type::kZSet, member)) return true;
    if (state_.element_stamp(state_.element_hash(member)) < floor) victims.emplace_back(member);
    return true;
  });
  for (const std::string& member : victims) {
    uint64_t hash = state_.element_hash(member);
    state_.drop_element(hash, state_.element_stamp(hash));
    remove_live(Type::kZSet, member);
  }
  refresh_counters();
}

// Elements at the tail side are older the nearer they are to the head, those at the head side the
// nearer they are to the tail: what goes lies in one piece.
void KeyMerge::purge_list(Stamp floor) {
  const ItemIds& ids = state_->list->ids;
  size_t first = 0;
  size_t count = 0;
  size_t position = 0;
  ids.for_each_run(0, ids.size(), [&](const ItemId& id, uint32_t run) {
    if (id.stamp < floor) {
      if (count == 0) first = position;
      count += run;
    }
    position += run;
  });
  if (count == 0) return;
  state_.drop_items(first, count, 0);
  List(key()).erase(first, count);
  changed_ = true;
}

}  // namespace dyno

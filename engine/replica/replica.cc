// SPDX-License-Identifier: Apache-2.0
#include "engine/replica/replica.h"

#include <algorithm>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "engine/live_key.h"
#include "engine/replica/key_export.h"
#include "engine/replica/key_merge.h"
#include "engine/replica/key_state.h"
#include "engine/replica/replica_sketch.h"
#include "engine/types/hash.h"
#include "engine/types/set.h"
#include "engine/types/string.h"
#include "engine/types/zset.h"
#include "engine/value.h"

namespace dyno {
namespace {

// Calls visit(element, whether it has a deadline) for what the key holds; of a string the empty
// element. Lists know their elements by their identities.
template <class Visit>
void for_each_element(Key& key, Visit&& visit) {
  switch (key.type()) {
    case Type::kString:
      return visit(std::string_view(), false);
    case Type::kHash:
      Hash(key).fields().for_each(HashFields::kBeforeAll, [&](const FieldView& view) {
        packed::Item::Buffer buffer;
        visit(view.field.view(&buffer), view.deadline_ms != kNoDeadline);
        return true;
      });
      return;
    case Type::kSet:
      Set(key).members().for_each([&](const packed::Item& item) {
        packed::Item::Buffer buffer;
        visit(item.view(&buffer), false);
        return true;
      });
      return;
    case Type::kZSet:
      ZSetView(key).for_all([&](std::string_view member, double) {
        visit(member, false);
        return true;
      });
      return;
    case Type::kList:
      return;
  }
}

// Every element of a key that has no state gets the stamp.
void adopt_key(Replica& replica, SlotIndex index, const NamedKey& named, Stamp stamp) {
  KeyState state(replica, index, named.db, named.name);
  LiveKey live(replica.executor(), named.db, named.name, INT64_MIN);
  Key& key = live.key();
  (void)state.claim_type(key.type(), stamp);
  for_each_element(key, [&](std::string_view element, bool is_timed) {
    uint64_t hash = state.element_hash(element);
    state.put_element(hash, 0, stamp);
    if (is_timed) state.set_field_deadline(hash, stamp);
  });
  if (key.type() == Type::kString) state.set_clear(stamp);
  if (key.type() == Type::kList) {
    for (uint64_t i = 0; i < value_ops(Type::kList).length(key.entry()); ++i) {
      ItemId id{false, static_cast<uint32_t>(i), stamp};
      (void)state->make_list().ids.insert(id);
      state.put_item(id, stamp);
    }
  }
  state.set_live(true);
  if (key.deadline() >= 0) state.set_deadline(stamp, key.deadline());
}

}  // namespace

Replica::Replica(Executor& executor, uint8_t rack, uint32_t incarnation, uint64_t digest_secret)
    : executor_(executor),
      clock_(rack),
      actor_(make_actor(rack, incarnation)),
      hash_(digest_secret),
      slots_(std::make_unique<ReplicaSlot[]>(kSlotCount)) {}

void Replica::begin_adoption(int64_t unix_ms) {
  adoption_stamp_ = clock_.draw(unix_ms);
  for (uint32_t i = 0; i < kSlotCount; ++i) slots_[i].is_adopted = false;
}

void Replica::adopt(SlotIndex index) {
  std::lock_guard lock(keyspace().slot(index).lock);
  adopt_locked(index);
}

// What is here now is younger than any flush that came meanwhile.
void Replica::adopt_locked(SlotIndex index) {
  ReplicaSlot& slot = slots_[index];
  if (std::exchange(slot.is_adopted, true)) return;
  for (const NamedKey& key : replicated_keys(*this, index, -1)) {
    adopt_key(*this, index, key, std::max(adoption_stamp_, slot.flushed(key.db)));
  }
}

void Replica::collect(SlotIndex index, Stamp horizon, int64_t unix_ms) {
  ReplicaSlot& slot = slots_[index];
  std::lock_guard lock(keyspace().slot(index).lock);
  if (slot.awaiting.empty()) return;
  Stamp now = clock_.draw(unix_ms);
  FrameWriter told;
  const bool is_told = sink_ != nullptr || log_ != nullptr;
  std::vector<uint64_t> awaiting = std::exchange(slot.awaiting, {});
  std::sort(awaiting.begin(), awaiting.end());
  awaiting.erase(std::unique(awaiting.begin(), awaiting.end()), awaiting.end());
  for (uint64_t key_hash : awaiting) {
    uint64_t word = slot.find(key_hash);
    if (!ReplicaSlot::is_record(word)) continue;
    int db = ReplicaSlot::record(word)->db;
    std::string name = ReplicaSlot::record(word)->name;
    KeyState state(*this, index, db, name);
    bool waits = state.collect(horizon, now, is_told ? &told : nullptr);
    if (waits) slot.awaiting.push_back(key_hash);
    if (told.empty()) continue;
    std::string_view frame = told.finish();
    if (sink_ != nullptr) {
      sink_->emit(keyspace().hash(name).token, clock_.draw(unix_ms), frame);
    }
    if (log_ != nullptr) log_->append({&frame, 1});
    told.clear();
  }
}

Digest Replica::digest(SlotIndex index) {
  std::lock_guard lock(keyspace().slot(index).lock);
  return slots_[index].digest;
}

Digest Replica::recomputed_digest(SlotIndex index) {
  std::lock_guard lock(keyspace().slot(index).lock);
  Digest sum;
  for (const NamedKey& key : replicated_keys(*this, index, -1)) {
    KeyState state(*this, index, key.db, key.name);
    LiveKey live(executor_, key.db, key.name, INT64_MIN);
    if (!live.key().exists()) continue;
    if (live.key().is_cold()) {
      sum += state->digest;
      continue;
    }
    sum += recomputed_version(state, live.key());
  }
  return sum;
}

Digest recomputed_version(KeyState& state, Key& key) {
  Digest sum;
  auto add_field_deadline = [&](uint64_t hash) {
    Stamp deadline = state.field_deadline_stamp(hash);
    if (deadline != 0) sum += state.field_deadline_term(hash, deadline);
  };
  if (state->type == kSketchType) {
    String::Buffer buffer;
    sum += state.sketch_term(hash_of_registers(String(key).view(&buffer)));
  } else if (state->type == Type::kList) {
    for (size_t i = 0; i < state->list->ids.size(); ++i) {
      ItemId id = state->list->ids.at(i);
      sum += state.item_term(id, state.item_stamp(id));
    }
  } else {
    for_each_element(key, [&](std::string_view element, bool) {
      if (state->has_counter(state->type, element)) return;
      uint64_t hash = state.element_hash(element);
      sum += state.element_term(hash, state.element_stamp(hash));
      add_field_deadline(hash);
    });
  }
  if (state->counters != nullptr) {
    state->counters->for_each([&](std::string_view name, const SharedCounter& counter) {
      std::string_view element = KeyRecord::bare_element(name);
      if (counter.type() != state->type) return;
      sum += state.counter_terms(element, counter);
      add_field_deadline(state.element_hash(element));
    });
  }
  sum += state.deadline_term();
  return sum;
}

}  // namespace dyno

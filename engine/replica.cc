// SPDX-License-Identifier: Apache-2.0
#include "engine/replica.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "engine/hash.h"
#include "engine/key_export.h"
#include "engine/key_merge.h"
#include "engine/key_state.h"
#include "engine/live_key.h"
#include "engine/replica_sketch.h"
#include "engine/set.h"
#include "engine/string.h"
#include "engine/value.h"
#include "engine/zset.h"

namespace dyno {
namespace {

struct NamedKey {
  int db;
  std::string name;
};

std::vector<NamedKey> keys_of(Replica& replica, SlotIndex index, int db) {
  std::vector<NamedKey> keys;
  for_each_replicated_key(replica, index, [&](int key_db, std::string_view name) {
    if (db < 0 || key_db == db) keys.push_back({key_db, std::string(name)});
  });
  return keys;
}

class SlotHold {
 public:
  explicit SlotHold(Slot& slot) : slot_(slot) { slot_.lock.lock(); }
  ~SlotHold() { slot_.lock.unlock(); }
  SlotHold(const SlotHold&) = delete;
  SlotHold& operator=(const SlotHold&) = delete;

 private:
  Slot& slot_;
};

// Every element of a key that had no state gets the stamp.
void adopt_key(Replica& replica, SlotIndex index, const NamedKey& named, Stamp stamp) {
  KeyState state(replica, index, named.db, named.name);
  if (state->latest != 0) return;
  LiveKey live(replica.executor(), named.db, named.name, INT64_MIN);
  Key& key = live.key();
  (void)state.claim_type(key.type(), stamp);
  auto put = [&](std::string_view element) {
    state.put_element(state.element_hash(element), 0, stamp);
  };
  switch (key.type()) {
    case Type::kString:
      put({});
      state.set_clear(stamp);
      break;
    case Type::kHash:
      Hash(key).fields().for_each(HashFields::kBeforeAll, [&](const FieldView& view) {
        packed::Item::Buffer buffer;
        std::string_view field = view.field.view(&buffer);
        put(field);
        if (view.deadline_ms != kNoDeadline) {
          state.set_field_deadline(state.element_hash(field), stamp);
        }
        return true;
      });
      break;
    case Type::kSet:
      Set(key).members().for_each([&](const packed::Item& item) {
        packed::Item::Buffer buffer;
        put(item.view(&buffer));
        return true;
      });
      break;
    case Type::kZSet:
      ZSetView(key).for_all([&](std::string_view member, double) {
        put(member);
        return true;
      });
      break;
    case Type::kList:
      for (uint64_t i = 0; i < value_ops(Type::kList).length(key.entry()); ++i) {
        ItemId id{false, static_cast<uint32_t>(i), stamp};
        (void)state->make_list().ids.insert(id);
        state.put_item(id, stamp);
      }
      break;
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

void Replica::adopt(SlotIndex index, Stamp stamp) {
  clock_.start_above(stamp);
  SlotHold hold(keyspace().slot(index));
  for (const NamedKey& key : keys_of(*this, index, -1)) adopt_key(*this, index, key, stamp);
}

void Replica::collect(SlotIndex index, Stamp horizon, int64_t unix_ms) {
  ReplicaSlot& slot = slots_[index];
  SlotHold hold(keyspace().slot(index));
  if (slot.awaiting.empty()) return;
  Stamp now = clock_.draw(unix_ms);
  std::vector<uint64_t> awaiting = std::exchange(slot.awaiting, {});
  std::sort(awaiting.begin(), awaiting.end());
  awaiting.erase(std::unique(awaiting.begin(), awaiting.end()), awaiting.end());
  for (uint64_t key_hash : awaiting) {
    uint64_t word = slot.find(key_hash);
    if (word == 0 || ReplicaSlot::is_stamp(word)) continue;
    int db = ReplicaSlot::record(word)->db;
    std::string name = ReplicaSlot::record(word)->name;
    KeyState state(*this, index, db, name);
    if (state.collect(horizon, now)) slot.awaiting.push_back(key_hash);
  }
}

Digest Replica::digest(SlotIndex index) {
  SlotHold hold(keyspace().slot(index));
  return slots_[index].digest;
}

Digest Replica::recomputed_digest(SlotIndex index) {
  SlotHold hold(keyspace().slot(index));
  Digest sum;
  for (const NamedKey& key : keys_of(*this, index, -1)) {
    KeyState state(*this, index, key.db, key.name);
    LiveKey live(executor_, key.db, key.name, INT64_MIN);
    if (!live.key().exists()) continue;
    sum += recomputed_version(state, live.key());
  }
  return sum;
}

Digest recomputed_version(KeyState& state, Key& key) {
  Digest sum;
  Type type = key.type();
  auto add = [&](std::string_view element) {
    if (state->counter(state->type, element) != nullptr) return;
    uint64_t hash = state.element_hash(element);
    sum += state.element_term(hash, state.element_stamp(hash));
    Stamp deadline = state.field_deadline_stamp(hash);
    if (deadline != 0) sum += state.field_deadline_term(hash, deadline);
  };
  switch (type) {
    case Type::kString: {
      String::Buffer buffer;
      if (state->type == kSketchType) {
        sum += state.sketch_term(hash_of_registers(String(key).view(&buffer)));
      } else {
        add({});
      }
      break;
    }
    case Type::kHash:
      Hash(key).fields().for_each(HashFields::kBeforeAll, [&](const FieldView& view) {
        packed::Item::Buffer buffer;
        add(view.field.view(&buffer));
        return true;
      });
      break;
    case Type::kSet:
      Set(key).members().for_each([&](const packed::Item& item) {
        packed::Item::Buffer buffer;
        add(item.view(&buffer));
        return true;
      });
      break;
    case Type::kZSet:
      ZSetView(key).for_all([&](std::string_view member, double) {
        add(member);
        return true;
      });
      break;
    case Type::kList:
      for (size_t i = 0; i < state->list->ids.size(); ++i) {
        ItemId id = state->list->ids.at(i);
        sum += state.item_term(id, state.item_stamp(id));
      }
      break;
  }
  if (state->counters != nullptr) {
    for (const auto& [name, counter] : *state->counters) {
      std::string_view element = KeyRecord::bare_element(name);
      if (counter.type() != state->type) continue;
      sum += state.counter_terms(element, counter);
      uint64_t hash = state.element_hash(element);
      Stamp deadline = state.field_deadline_stamp(hash);
      if (deadline != 0) sum += state.field_deadline_term(hash, deadline);
    }
  }
  sum += state.deadline_term();
  return sum;
}

}  // namespace dyno

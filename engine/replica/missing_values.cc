// SPDX-License-Identifier: Apache-2.0
#include "engine/replica/missing_values.h"

#include <algorithm>
#include <mutex>

#include "engine/blocking.h"
#include "engine/cold_keys.h"
#include "engine/replica/key_export.h"
#include "engine/replica/key_state.h"
#include "engine/replica/merge.h"

namespace dyno {
namespace {

using Keys = std::vector<std::pair<int, std::string>>;

bool is_cold(Replica& replica, int db, std::string_view name) {
  const Keyspace& keyspace = replica.keyspace();
  return keyspace.is_cold(keyspace.hash(name), db, name);
}

// Of a cold key.
bool ask(Replica& replica, int db, std::string_view name, Keys* to_pull) {
  ColdKeys& cold = *replica.keyspace().cold_keys();
  SlotIndex slot = replica.keyspace().hash(name).slot();
  if (cold.take_failure(slot, db, name).empty()) {
    (void)cold.want(slot, db, name);
    return true;
  }
  replica.forget_key(slot, db, name);
  if (to_pull != nullptr) to_pull->emplace_back(db, name);
  return false;
}

// The delta leaves nothing of what the cold key is now.
bool replaces(Replica& replica, const Delta& delta, int64_t now_ms) {
  SlotIndex slot = replica.keyspace().hash(delta.key).slot();
  const KeyState state(replica, slot, delta.db, delta.key);
  if (state.expiry_floor(now_ms) != 0) return false;
  return std::any_of(delta.facts.begin(), delta.facts.end(), [&](const Fact& fact) {
    return fact.kind == FactKind::kClear && fact.stamp > state.record().latest;
  });
}

bool needs_value(Replica& replica, const Delta& delta, int64_t now_ms) {
  return is_cold(replica, delta.db, delta.key) && !replaces(replica, delta, now_ms);
}

// Of a database, what a flush takes a part of.
bool flush_lacks_values(Replica& replica, int db, Stamp stamp, int64_t now_ms, Keys* to_pull) {
  bool lacks = false;
  for (uint32_t i = 0; i < kSlotCount; ++i) {
    auto index = static_cast<SlotIndex>(i);
    if (replica.slot(index).is_all_before(stamp)) continue;
    for (const NamedKey& key : replicated_keys(replica, index, db)) {
      if (!is_cold(replica, key.db, key.name)) continue;
      {
        const KeyState state(replica, index, key.db, key.name);
        Stamp floor = std::max(stamp, state.expiry_floor(now_ms));
        if (state.record().latest < floor || is_whole_above(state.record(), floor)) continue;
      }
      lacks |= ask(replica, key.db, key.name, to_pull);
    }
  }
  return lacks;
}

bool waiters_lack_values(Replica& replica, const std::vector<SlotIndex>& held, Keys* to_pull) {
  bool lacks = false;
  for (SlotIndex index : held) {
    const Slot& slot = replica.keyspace().slot(index);
    if (slot.side == nullptr) continue;
    std::vector<std::string> names;
    slot.side->add_destinations(&names);
    for (const std::string& name : names) {
      // Whichever database they wait in.
      for (int db = 0; db < ReplicaSlot::kDatabases; ++db) {
        lacks |= is_cold(replica, db, name) && ask(replica, db, name, to_pull);
      }
    }
  }
  return lacks;
}

}  // namespace

bool is_whole_above(const KeyRecord& record, Stamp floor) {
  if (record.type == Type::kList || record.base < floor) return false;
  bool is_whole = true;
  record.stamps.for_each([&](uint64_t, uint64_t stamp) { is_whole &= stamp >= floor; });
  return is_whole;
}

bool is_whole_below(const KeyRecord& record, Stamp floor) {
  bool is_whole = record.base < floor;
  record.stamps.for_each([&](uint64_t, uint64_t stamp) { is_whole &= stamp < floor; });
  return is_whole;
}

bool lacks_value(Replica& replica, int db, std::string_view name) {
  if (!replica.keyspace().has_chilled()) return false;
  return is_cold(replica, db, name) && ask(replica, db, name, nullptr);
}

bool lacks_values(Replica& replica, const std::vector<Delta>& deltas,
                  const std::vector<SlotIndex>& held, bool locks_all, int64_t now_ms,
                  Keys* to_pull) {
  bool lacks = waiters_lack_values(replica, held, to_pull);
  for (const Delta& delta : deltas) {
    if (!is_flush(delta)) {
      lacks |= needs_value(replica, delta, now_ms) && ask(replica, delta.db, delta.key, to_pull);
      continue;
    }
    if (!locks_all) continue;
    Stamp stamp = delta.facts[0].stamp;
    lacks |= flush_lacks_values(replica, delta.db, stamp, now_ms, to_pull);
  }
  return lacks;
}

void ask_for_values(Replica& replica, std::string_view frame, int64_t now_ms) {
  std::vector<Delta> deltas;
  if (!read_frame(frame, &deltas).empty()) return;
  for (const Delta& delta : deltas) {
    if (is_flush(delta)) continue;
    SlotIndex slot = replica.keyspace().hash(delta.key).slot();
    std::lock_guard lock(replica.keyspace().slot(slot).lock);
    if (!needs_value(replica, delta, now_ms)) continue;
    (void)replica.keyspace().cold_keys()->want(slot, delta.db, delta.key);
  }
}

}  // namespace dyno

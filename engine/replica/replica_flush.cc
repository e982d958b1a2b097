// SPDX-License-Identifier: Apache-2.0
//
// Flushing a database among replicas. A flush raises the floor of every key at once; only counters,
// whose increments outlive a flush that has not seen them, need to be looked at one by one. So
// emptying everything costs the same for any size of the keys, as without replicas.
#include <algorithm>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "engine/replica/key_export.h"
#include "engine/replica/key_merge.h"
#include "engine/replica/key_state.h"
#include "engine/replica/replica.h"

namespace dyno {
namespace {

// Nothing in the slot outlives a flush at the stamp.
bool is_all_older(const ReplicaSlot& slot, Stamp stamp) {
  return slot.is_all_before(stamp) && !slot.has_counters();
}

// Those of a slot's keys that have counters.
std::vector<NamedKey> counting_keys(Replica& replica, SlotIndex index) {
  ReplicaSlot& slot = replica.slot(index);
  if (!slot.has_counters()) return {};
  std::vector<NamedKey> keys = replicated_keys(replica, index, -1);
  std::erase_if(keys, [&](const NamedKey& key) {
    return !ReplicaSlot::has_counters(slot.find(replica.hash().key(key.db, key.name)));
  });
  return keys;
}

// The record of a key with counters, whole and without a digest.
KeyRecord* without_digest(uint64_t word, const std::string& name) {
  if (ReplicaSlot::is_record(word)) {
    ReplicaSlot::record(word)->digest = {};
    return ReplicaSlot::record(word);
  }
  auto record = std::make_unique<KeyRecord>();
  BriefRecord* brief = ReplicaSlot::brief(word);
  brief->read(record.get());
  BriefRecord::release(brief);
  record->name = name;
  record->digest = {};
  return record.release();
}

}  // namespace

// Counters stay, with what no write has observed.
void Replica::forget_all(SlotIndex index, Stamp stamp) {
  ReplicaSlot& slot = slots_[index];
  const std::vector<NamedKey> counting = counting_keys(*this, index);
  for (int db = 0; db < ReplicaSlot::kDatabases; ++db) slot.set_flushed(db, stamp);
  const StampMap keys = slot.take_keys();
  slot.digest = {};
  slot.awaiting.clear();
  keys.for_each([&](uint64_t, uint64_t word) {
    if (!ReplicaSlot::has_counters(word)) release(word);
  });
  for (const NamedKey& key : counting) {
    const uint64_t key_hash = hash_.key(key.db, key.name);
    KeyRecord* record = without_digest(keys.find(key_hash), key.name);
    record->awaits_collection = false;
    slot.set(key_hash, ReplicaSlot::word(record));
    KeyState state(*this, index, key.db, key.name);
    state.drop_all();
    state.end_old_deadlines();
    state.await_collection();
  }
}

void Replica::forget_slot(SlotIndex index) {
  ReplicaSlot& slot = slots_[index];
  const StampMap keys = slot.take_keys();
  slot.digest = {};
  slot.awaiting.clear();
  keys.for_each([&](uint64_t, uint64_t word) { release(word); });
}

void Replica::forget_key(SlotIndex index, int db, std::string_view name) {
  ReplicaSlot& slot = slots_[index];
  slot.digest -= key_version(*this, db, name);
  const uint64_t key_hash = hash_.key(db, name);
  if (const uint64_t word = slot.find(key_hash); word != 0) {
    slot.erase(key_hash);
    release(word);
  }
  LiveKey live(executor_, db, name, INT64_MIN);
  if (live.key().exists()) live.key().drop();
}

// What a word stands for goes.
void Replica::release(uint64_t word) {
  if (ReplicaSlot::is_stamp(word)) return;
  counts_.records.fetch_sub(1, std::memory_order_relaxed);
  if (ReplicaSlot::is_brief(word)) return BriefRecord::release(ReplicaSlot::brief(word));
  KeyRecord* record = ReplicaSlot::record(word);
  counts_.tombstones.fetch_sub(record->trace_count(), std::memory_order_relaxed);
  delete record;
}

void Replica::forget_keys(SlotIndex index, int db, Stamp stamp) {
  std::vector<NamedKey> keys = replicated_keys(*this, index, db);
  for (const NamedKey& key : keys) {
    KeyState(*this, index, key.db, key.name).add_all_counter_terms(-1);
  }
  slots_[index].set_flushed(db, stamp);
  for (const NamedKey& key : keys) {
    KeyState state(*this, index, key.db, key.name);
    state.add_all_counter_terms(1);
    state.drop_all();
    state.end_old_deadlines();
  }
}

void Replica::flush_keys(SlotIndex index, int db, Stamp stamp, int64_t now_ms) {
  if (stamp <= slots_[index].flushed(db)) return;
  std::vector<NamedKey> keys = replicated_keys(*this, index, db);
  for (const NamedKey& key : keys) {
    KeyState(*this, index, key.db, key.name).add_all_counter_terms(-1);
  }
  slots_[index].set_flushed(db, stamp);
  MergeOutcome unused;
  for (const NamedKey& key : keys) {
    {
      KeyState state(*this, index, key.db, key.name);
      state.add_all_counter_terms(1);
      state.end_old_deadlines();
    }
    KeyMerge merge(*this, key.db, key.name, FrameOrigin::kState, now_ms, &unused);
    merge.rise();
    merge.finish();
  }
}

void Replica::forget_flushed(int db, Stamp stamp) {
  for (uint32_t i = 0; i < kSlotCount; ++i) {
    auto index = static_cast<SlotIndex>(i);
    db < 0 ? forget_all(index, stamp) : forget_keys(index, db, stamp);
  }
}

// A flush reaches all slots under all their locks, so one tells for all.
bool Replica::has_flushed(int db, Stamp stamp) {
  std::lock_guard lock(keyspace().slot(0).lock);
  return slots_[0].flushed(db) >= stamp;
}

void Replica::flush(int db, Stamp stamp, int64_t now_ms) {
  bool wholesale = db < 0;
  for (uint32_t i = 0; wholesale && i < kSlotCount; ++i) wholesale = is_all_older(slots_[i], stamp);
  if (wholesale) {
    keyspace().flush(-1, /*lazy=*/true);
    return forget_flushed(-1, stamp);
  }
  for (uint32_t i = 0; i < kSlotCount; ++i) {
    auto index = static_cast<SlotIndex>(i);
    for (int each = 0; each < ReplicaSlot::kDatabases; ++each) {
      if (db < 0 || each == db) flush_keys(index, each, stamp, now_ms);
    }
  }
}

}  // namespace dyno

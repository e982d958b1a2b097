// SPDX-License-Identifier: Apache-2.0
#include "engine/disk/state_loader.h"

#include <algorithm>
#include <vector>

#include "engine/disk/cold_value.h"
#include "engine/live_key.h"
#include "engine/reclaimer.h"
#include "engine/replica/key_export.h"
#include "engine/replica/key_merge.h"
#include "engine/replica/merge.h"
#include "engine/stats.h"

namespace dyno {
namespace {

// Nothing has expired by then: what has is found when the key is used.
constexpr int64_t kBeforeAllMs = 0;

}  // namespace

StateLoader::StateLoader(Replica& replica)
    : replica_(replica),
      keyspace_(replica.keyspace().hash_seed()),
      executor_(keyspace_, replica.executor().commands(), replica.executor().limits()),
      scratch_(executor_, replica.clock().rack(), 1, replica.hash().secret()) {}

bool may_go(Replica& replica, const Key& key) {
  return is_all_alive(replica, key) && is_worth_disk(key.entry());
}

bool is_all_alive(Replica& replica, const Key& key) {
  SlotIndex index = replica.keyspace().hash(key.name()).slot();
  uint64_t word = replica.slot(index).find(replica.hash().key(key.db(), key.name()));
  bool is_alive = ReplicaSlot::is_stamp(word) || ReplicaSlot::is_brief(word);
  return is_alive && !ReplicaSlot::has_counters(word);
}

Entry* StateLoader::build(const std::vector<Delta>& deltas, Digest* digest) {
  const Delta& first = deltas.front();
  SlotIndex index = keyspace_.hash(first.key).slot();
  std::lock_guard slot_lock(keyspace_.slot(index).lock);
  const int64_t changes = stats().changes.get();
  MergeOutcome unused;
  for (const Delta& delta : deltas) {
    KeyMerge merge(scratch_, delta.db, delta.key, FrameOrigin::kState, kBeforeAllMs, &unused);
    merge.apply(delta.facts);
    merge.finish();
  }
  // Nobody has changed anything.
  stats().changes.add(changes - stats().changes.get());
  *digest = key_version(scratch_, first.db, first.key);
  LiveKey live(executor_, first.db, first.key, kBeforeAllMs);
  Entry* built = live.key().exists() ? live.key().take() : nullptr;
  scratch_.slot(index).clear();
  keyspace_.reclaimer().finish();
  return built;
}

bool StateLoader::restore(Key& key, std::string_view frame) {
  std::vector<Delta> deltas;
  if (!read_frame(frame, &deltas).empty() || deltas.empty()) return false;
  bool is_mine = std::all_of(deltas.begin(), deltas.end(), [&](const Delta& delta) {
    return !is_flush(delta) && delta.db == key.db() && delta.key == key.name();
  });
  if (!is_mine) return false;
  std::lock_guard lock(mutex_);
  Digest digest;
  Entry* built = build(deltas, &digest);
  if (built == nullptr) return false;
  const Entry* cold = key.entry();
  bool is_same = digest == key_version(replica_, key.db(), key.name()) &&
                 built->type() == cold->type() && built->has_deadline() == cold->has_deadline() &&
                 (!built->has_deadline() || built->deadline() == cold->deadline());
  if (!is_same) {
    keyspace_.reclaimer().give(built);
    keyspace_.reclaimer().finish();
    return false;
  }
  built->set_clock(cold->clock());
  replica_.keyspace().replace(key.slot(), key.word(), built);
  return true;
}

}  // namespace dyno

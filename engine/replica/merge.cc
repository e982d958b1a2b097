// SPDX-License-Identifier: Apache-2.0
#include "engine/replica/merge.h"

#include <algorithm>

#include "engine/replica/key_merge.h"
#include "engine/replica/missing_values.h"

namespace dyno {
namespace {

constexpr std::string_view kFromTheFuture =
    "a stamp lies more than 500 ms in the future of this node's clock";

// The largest stamp of the deltas.
Stamp latest_stamp(const std::vector<Delta>& deltas) {
  Stamp latest = 0;
  for (const Delta& delta : deltas) {
    latest = std::max(latest, delta.stamp);
    for (const Fact& fact : delta.facts) {
      latest = std::max({latest, fact.stamp, fact.item.stamp});
    }
  }
  return latest;
}

// A flush of everything names each database.
bool flushes_all(const std::vector<Delta>& deltas) {
  return deltas.size() == ReplicaSlot::kDatabases &&
         std::all_of(deltas.begin(), deltas.end(), [&](const Delta& delta) {
           return is_flush(delta) && delta.facts[0].stamp == deltas[0].facts[0].stamp;
         });
}

}  // namespace

MergeOutcome merge(Replica& replica, const std::vector<Delta>& deltas, FrameOrigin origin,
                   int64_t unix_ms) {
  MergeOutcome outcome;
  Stamp latest = latest_stamp(deltas);
  if (HybridClock::is_too_far_ahead(latest, unix_ms)) {
    outcome.refused = kFromTheFuture;
    return outcome;
  }
  if (!replica.faults.no_stamp_raise) replica.clock().start_above(latest);
  int64_t now_ms = replica.clock().now_ms(unix_ms);
  std::vector<SlotIndex> slots;
  bool all = false;
  for (const Delta& delta : deltas) {
    // Repair tells of flushes again and again; a known one is not worth all the locks.
    all |= is_flush(delta) && !replica.has_flushed(delta.db, delta.facts[0].stamp);
    if (!is_flush(delta)) slots.push_back(replica.keyspace().hash(delta.key).slot());
  }
  Executor::MayRun may_run;
  if (replica.keyspace().has_chilled()) {
    may_run = [&](const std::vector<SlotIndex>& held) {
      return !lacks_values(replica, deltas, held, all, now_ms, &outcome.to_pull);
    };
  }
  bool ran = replica.executor().try_under_locks(std::move(slots), all, now_ms, may_run, [&] {
    if (all && flushes_all(deltas)) return replica.flush(-1, deltas[0].facts[0].stamp, now_ms);
    for (const Delta& delta : deltas) {
      if (is_flush(delta)) {
        if (all) replica.flush(delta.db, delta.facts[0].stamp, now_ms);
        continue;
      }
      replica.adopt_locked(replica.keyspace().hash(delta.key).slot());
      KeyMerge key(replica, delta.db, delta.key, origin, now_ms, &outcome);
      if (replica.faults.observed_by_winner) key.expect(latest_stamp({delta}));
      key.apply(delta.facts);
      key.finish();
    }
  });
  outcome.lacks_values = !ran;
  return outcome;
}

MergeOutcome merge(Replica& replica, std::string_view frame, FrameOrigin origin, int64_t unix_ms) {
  std::vector<Delta> deltas;
  std::string refused = read_frame(frame, &deltas);
  if (refused.empty()) return merge(replica, deltas, origin, unix_ms);
  MergeOutcome outcome;
  outcome.refused = std::move(refused);
  return outcome;
}

}  // namespace dyno

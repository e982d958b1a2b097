// SPDX-License-Identifier: Apache-2.0
//
// Merge: the one way in which what another replica wrote enters this one, be it a write on its way
// through a stream, the answer to a repair, or a record of a log.
//
// It is commutative, associative and idempotent: replicas that were told the same facts hold the
// same, in whatever order, however often and however late they were told. Facts compare by stamp;
// of two with one stamp the larger bytes win, and what is there wins over what is gone, so that
// replicas agree even where a stamp was given twice.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/replica/delta.h"
#include "engine/replica/replica.h"

namespace dyno {

// A database was flushed: no key, and all of the data set is concerned.
[[nodiscard]] inline bool is_flush(const Delta& delta) {
  return !delta.facts.empty() && delta.facts[0].kind == FactKind::kFlush;
}

// Where a frame comes from: a write, or the state of a key that was asked for. State tells nothing
// about what its writes replaced.
enum class FrameOrigin : uint8_t { kWrite, kState };

struct MergeOutcome {
  // Why nothing was applied; empty when all of it was.
  std::string refused;
  // Nothing was applied, since values that it needs are on disk (missing_values.h). They have been
  // asked for, and the same is to be merged again when they have come.
  bool lacks_values = false;
  // The largest stamp here of what won over a fact of the frame, and was written by another rack,
  // which may not have known of it; 0 when there is none.
  Stamp dominated = 0;
  // A fact lost to what knew of it: a later write of the same rack, an item's removal, its time.
  bool is_followed = false;
  // Keys that cannot be brought up to date by what was told: their state is to be asked for.
  std::vector<std::pair<int, std::string>> to_pull;
};

// Applies a frame, all of it at once as far as commands on this node can see, or refuses it: when
// it is malformed, or too far ahead of this node's time. Locks the slots.
[[nodiscard]] MergeOutcome merge(Replica& replica, std::string_view frame, FrameOrigin origin,
                                 int64_t unix_ms);

// The same with deltas that were read already.
[[nodiscard]] MergeOutcome merge(Replica& replica, const std::vector<Delta>& deltas,
                                 FrameOrigin origin, int64_t unix_ms);

}  // namespace dyno

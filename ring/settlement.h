// SPDX-License-Identifier: Apache-2.0
//
// Whether a node knows every write to its keys that a quorum of its data center has acknowledged,
// without asking anyone. The coordinator's: one per lane.
//
// The usual origin of a slot, the preferred rack's owner, runs all quorum writes of the slot, and
// so knows them. Unless something was amiss: while it was away, or some node thought so, another
// one stood in for it, and what that wrote may still be on its way. So
//
//   well       this lane sees all replicas here take writes, this node among them, and has its
//              links to them
//   disturbed  the stamp that no write can reach which was made while something was amiss: the
//              clock of that time, and as much as a clock that is believed may be ahead
//   settled    all is well, and everything up to `disturbed` has arrived here (View::known)
//
// Amiss is: not to be well; a link that breaks or is new, in either direction, since who dials has
// stood without; to be told by a node of the data center that it does not take this one for well
// (steward.h); and to have been stopped, after which others may have been asked for a while. What
// one lane sees the others hear by the view. Two nodes may still think themselves settled for as
// long as a fault goes unseen.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

#include "engine/replica/stamp.h"
#include "ring/failure_detector.h"
#include "ring/machine.h"

namespace dyno {

class Settlement {
 public:
  // Something was amiss until now; `clock` is the node's. Returns the stamp for the other lanes.
  Stamp disturb(Stamp clock) {
    disturbed_ = std::max(disturbed_, reach(clock));
    return disturbed_;
  }
  // No write of before that time, by `clock`, has a later stamp.
  [[nodiscard]] static Stamp reach(Stamp clock) {
    return clock + (static_cast<Stamp>(HybridClock::kLeadMaxMs) << kStampMsShift);
  }
  // What the steward tells of all lanes, and of what has arrived.
  void hear(Stamp disturbed, Stamp known) {
    disturbed_ = std::max(disturbed_, disturbed);
    known_ = known;
  }
  // True when that changes: the caller disturbs.
  [[nodiscard]] bool see(bool well) { return std::exchange(is_well_, well) != well; }
  // To be called every 100 ms at least. True when the lane was stopped for so long that others may
  // have thought it away: the caller disturbs.
  [[nodiscard]] bool look(Now now) {
    return now.mono_us - std::exchange(looked_us_, now.mono_us) >= FailureDetector::kLinklessUs;
  }

  [[nodiscard]] bool is_settled() const { return is_well_ && known_ >= disturbed_; }

 private:
  bool is_well_ = false;
  Stamp disturbed_ = 0;
  Stamp known_ = 0;
  int64_t looked_us_ = 0;
};

}  // namespace dyno

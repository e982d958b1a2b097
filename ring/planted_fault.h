// SPDX-License-Identifier: Apache-2.0
//
// Mistakes that the simulator can plant, one at a time, to show that its checks would find them. In
// the process none exists: is_planted() is a constant there, and what depends on it is not built.
#pragma once

#include <cstdint>

namespace dyno {

enum class PlantedFault : uint8_t {
  kNone = 0,
  kUnagedFrontier,      // What is known everywhere is forgotten at once.
  kFixedGrace,          // What was removed is forgotten after a while, whoever knows of it.
  kPredecessorDropped,  // A lost memory leaves the frontier at once.
  kFirstLaneOnly,       // The watermark of a peer is that of its first lane.
  kMarksWhileDirty,     // A stream that skipped frames says that it is complete.
  kSkipsAway,           // A frame that waits for values counts as merged.
  kLateAnswers,         // State is merged however old it is.
  kLiveDigestsOnly,     // Slots are compared by what is alive alone.
  kServesEmpty,         // A node that lost its memory serves at once.
  kOneDonor,            // It serves when one of its donors was pulled from.
  kBlindWrites,         // A quorum write runs at once, whatever its node may have missed.
  kHintCounts,          // What waits for a replica counts as if it were there.
  kSkippedCounts,       // So does what was skipped.
  kAliveVersions,       // A safe read compares what is alive alone.
  kNoHold,              // A safe read does not wait for others to hold what it shows.
  kStaleCompare,        // A quorum read asks, and does not merge.
  kRefusesLate,         // A write that was lost on its way counts as not applied.
  kTrustsOldData,       // A node that comes back with less than it had is not emptied.
  kSameIncarnation,     // A process that lost its memory comes back as who it was.
};

#ifdef DYNO_PLANTED_FAULTS
inline PlantedFault planted_fault = PlantedFault::kNone;
[[nodiscard]] inline bool is_planted(PlantedFault fault) {
  return planted_fault == fault;
}
inline void plant(PlantedFault fault) {
  planted_fault = fault;
}
#else
inline void plant(PlantedFault) {}
[[nodiscard]] constexpr bool is_planted(PlantedFault) {
  return false;
}
#endif

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// How much a lane may send to one other data center: a bucket of bytes that fills with time. What
// may wait (streams) asks for room first; what may not (heartbeats, questions, answers) goes
// without asking, and streams pay for it later, but with no more than half of the rate: they go on,
// whatever else there is to say.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include "ring/machine.h"

namespace dyno {

class WanBudget {
 public:
  // What gathers while nothing is sent: as much as this share of a second. It bounds how long a
  // heartbeat stands behind writes.
  static constexpr int64_t kBurstsPerSecond = 20;
  static constexpr int64_t kUnlimited = std::numeric_limits<int64_t>::max();

  // 0: no limit.
  explicit WanBudget(int64_t bytes_per_second) : rate_(bytes_per_second), room_(burst()) {}

  void refill(Now now);
  // What room was asked for.
  void spend(size_t bytes) { room_ -= rate_ == 0 ? 0 : static_cast<int64_t>(bytes); }
  // What was sent without asking.
  void take(size_t bytes);
  // How much may be sent now, nothing unless it is positive. Whoever is given some may send one
  // frame more.
  [[nodiscard]] int64_t room() const { return rate_ == 0 ? kUnlimited : room_; }
  // When there is room again; kNever when there is.
  [[nodiscard]] int64_t next_us() const;

 private:
  [[nodiscard]] int64_t burst() const { return rate_ / kBurstsPerSecond + 1; }

  const int64_t rate_;
  int64_t room_;        // Below zero: owed.
  int64_t taking_ = 0;  // How much of the room others may take.
  int64_t filled_us_ = std::numeric_limits<int64_t>::min();
};

}  // namespace dyno

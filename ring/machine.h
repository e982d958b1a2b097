// SPDX-License-Identifier: Apache-2.0
//
// What all machines of the ring have in common. A machine is told things and answers; it never asks
// the world. It has no socket, clock, thread, file or random device, so that the same object runs
// in a process and, on virtual time, in the simulator. Its methods come in four kinds:
//
//   events in      say what happened: handle_*(now, ...), on_*(now, ...), begin(now, ...)
//   time-outs in   handle_timeout(now): everything that is due by now
//   next_timeout() when handle_timeout is to be called at the latest; kNever: no need. Asked again
//                  after every other call. Calling earlier or later than that changes when things
//                  happen and never whether they are right
//   outputs        collected inside and drained by the caller; every machine names its own
//   describe()     the whole state as text, for people and tests
//
// Two calls with the same state and arguments do the same. Machines are not thread-safe, unless
// they say so: each belongs to one thread.
#pragma once

#include <cstdint>
#include <limits>

namespace dyno {

// What the caller's clocks show.
struct Now {
  int64_t mono_us = 0;  // Of this process alone: never goes back, stands for durations.
  int64_t unix_ms = 0;  // Wall clock: may jump.
};

// State that was asked for is dropped when it comes later than this by the asker's clock; what was
// removed is kept longer than that (frontier.h). Only tests change it.
struct StateAge {
  int64_t answer_max_us = 5'000'000;
  int64_t kept_us = 6'000'000;
};

inline constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
inline constexpr int64_t kMicrosPerMs = 1000;

}  // namespace dyno

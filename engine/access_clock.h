// SPDX-License-Identifier: Apache-2.0
//
// The 20-bit clock of an entry, by which eviction judges use. With an LFU policy it is Redis'
// logarithmic counter and the minute of its last decay, otherwise the second of the last access.
//
// A key whose value came back from disk has proven nothing yet: its first access counts as one of
// some seconds ago. So values that are read once leave memory before those that are used all the
// time, though a second sees more of them come than memory holds.
#pragma once

#include <cstdint>

#include "engine/entry.h"
#include "engine/limits.h"

namespace dyno {

inline constexpr uint32_t kLfuInitial = 5;
inline constexpr uint32_t kLfuMinuteMask = 0xfff;
// The clock of a key that has not been used since its value came back, and what its first access is
// short of.
inline constexpr uint32_t kClockReturned = Entry::kClockMask;
inline constexpr uint32_t kReturnedSeconds = 3;

// Marks an access.
inline void touch_clock(Entry* entry, const Limits& limits, int64_t now_ms, uint64_t random);
void touch_lfu(Entry* entry, const Limits& limits, int64_t now_ms, uint64_t random);
// Gives a new entry its first clock, or that of the entry it replaces.
void set_initial_clock(Entry* entry, const Limits& limits, int64_t now_ms);
// The value of an entry came back from disk.
void set_returned_clock(Entry* entry, const Limits& limits, int64_t now_ms, uint64_t random);
void inherit_clock(Entry* fresh, const Entry* old, const Limits& limits, int64_t now_ms);

// Seconds since the last access (LRU clocks), modulo 12 days.
[[nodiscard]] inline int64_t idle_seconds(const Entry* entry, int64_t now_ms) {
  if (entry->clock() == kClockReturned) return kReturnedSeconds;
  return static_cast<int64_t>((static_cast<uint32_t>(now_ms / 1000) - entry->clock()) &
                              Entry::kClockMask);
}
// The counter after the decay that is due (LFU clocks): 0 to 255.
[[nodiscard]] uint32_t lfu_counter(const Entry* entry, const Limits& limits, int64_t now_ms);

void set_idle_seconds(Entry* entry, int64_t idle_s, int64_t now_ms);
void set_lfu_counter(Entry* entry, uint32_t counter, int64_t now_ms);

inline void touch_clock(Entry* entry, const Limits& limits, int64_t now_ms, uint64_t random) {
  if (limits.policy_is_lfu()) [[unlikely]] {
    touch_lfu(entry, limits, now_ms, random);
    return;
  }
  uint32_t second = static_cast<uint32_t>(now_ms / 1000) & Entry::kClockMask;
  // Written only when it changes, so that reads of a hot key do not dirty its line.
  if (entry->clock() == second) return;
  bool is_back = entry->clock() == kClockReturned;
  entry->set_clock(is_back ? (second - kReturnedSeconds) & Entry::kClockMask : second);
}

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
#include "engine/access_clock.h"

#include <algorithm>

namespace dyno {
namespace {

uint32_t minute(int64_t now_ms) {
  return static_cast<uint32_t>(now_ms / 60000) & kLfuMinuteMask;
}

uint32_t make_lfu(uint32_t counter, int64_t now_ms) {
  return counter | (minute(now_ms) << 8);
}

}  // namespace

uint32_t lfu_counter(const Entry* entry, const Limits& limits, int64_t now_ms) {
  uint32_t counter = entry->clock() & 255;
  int64_t decay_minutes = limits.lfu_decay_minutes;
  if (decay_minutes == 0) return counter;
  uint32_t elapsed = (minute(now_ms) - (entry->clock() >> 8)) & kLfuMinuteMask;
  auto periods = static_cast<uint32_t>(elapsed / decay_minutes);
  return periods > counter ? 0 : counter - periods;
}

void touch_lfu(Entry* entry, const Limits& limits, int64_t now_ms, uint64_t random) {
  uint32_t counter = lfu_counter(entry, limits, now_ms);
  if (counter < 255) {
    double base = counter > kLfuInitial ? counter - kLfuInitial : 0;
    double chance = 1.0 / (base * static_cast<double>(limits.lfu_log_factor) + 1);
    if (static_cast<double>(random >> 11) * 0x1p-53 < chance) ++counter;
  }
  entry->set_clock(make_lfu(counter, now_ms));
}

void set_initial_clock(Entry* entry, const Limits& limits, int64_t now_ms) {
  entry->set_clock(limits.policy_is_lfu()
                       ? make_lfu(kLfuInitial, now_ms)
                       : static_cast<uint32_t>(now_ms / 1000) & Entry::kClockMask);
}

void set_returned_clock(Entry* entry, const Limits& limits, int64_t now_ms, uint64_t random) {
  if (limits.policy_is_lfu()) return touch_lfu(entry, limits, now_ms, random);
  entry->set_clock(kClockReturned);
}

void inherit_clock(Entry* fresh, const Entry* old, const Limits& limits, int64_t now_ms) {
  if (limits.policy_is_lfu()) {
    fresh->set_clock(old->clock());
  } else {
    set_initial_clock(fresh, limits, now_ms);
  }
}

void set_idle_seconds(Entry* entry, int64_t idle_s, int64_t now_ms) {
  entry->set_clock(static_cast<uint32_t>(now_ms / 1000 - idle_s) & Entry::kClockMask);
}

void set_lfu_counter(Entry* entry, uint32_t counter, int64_t now_ms) {
  entry->set_clock(make_lfu(std::min<uint32_t>(counter, 255), now_ms));
}

}  // namespace dyno

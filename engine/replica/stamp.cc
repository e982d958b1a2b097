// SPDX-License-Identifier: Apache-2.0
#include "engine/replica/stamp.h"

namespace dyno {

Stamp HybridClock::draw(int64_t unix_ms) {
  constexpr Stamp kRackMask = (Stamp{1} << kStampRackBits) - 1;
  Stamp now = first_stamp_of(unix_ms);
  Stamp last = last_.load(std::memory_order_relaxed);
  for (;;) {
    // The logical counter is the low end of the time: when it overflows it carries into the
    // milliseconds.
    Stamp next = (last & ~kRackMask) + (Stamp{1} << kStampRackBits);
    if (now > last) next = now;
    Stamp drawn = next | rack_;
    if (last_.compare_exchange_weak(last, drawn, std::memory_order_acq_rel)) return drawn;
  }
}

bool HybridClock::observe(Stamp stamp, int64_t unix_ms) {
  if (is_too_far_ahead(stamp, unix_ms)) return false;
  start_above(stamp);
  return true;
}

void HybridClock::start_above(Stamp stamp) {
  Stamp last = last_.load(std::memory_order_relaxed);
  while (stamp > last && !last_.compare_exchange_weak(last, stamp, std::memory_order_acq_rel)) {
  }
}

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// A counter in some dozen bytes, as long as few have written it.
//
//   counter  := head:u8 [stamp] [text | score] total*         the base; totals first, then observed
//   head     := totals:2 observed:2 stamp:2 exists:1          low bits first; see stamp_code.h
//   text     := size:varint byte[size]                        if it exists; a score is eight bytes
//   total    := head:u8 actor:varint [stamp] [generation] whole [part]
//   head     := stamp:2 generation:2 is_wide:1 has_part:1
//   actor    := incarnation, rack:8               low bits last
//   whole    := zigzag varint | 16 bytes if it is wide
//   part     := byte[kPartBytes]                  as it lies in memory
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include "engine/replica/shared_counter.h"
#include "engine/replica/stamp_code.h"

namespace dyno {

struct CounterBytes {
  static constexpr size_t kTotalsMax = 3;  // And as many observed ones.
  static constexpr size_t kTextMax = 40;
  // Those of x86 have ten bytes, and six that say nothing.
  static constexpr size_t kPartBytes =
      std::numeric_limits<long double>::digits == 64 ? 10 : sizeof(long double);
  static constexpr size_t kTotalBytesMax = 1 + 5 + 2 * 10 + 16 + kPartBytes;
  static constexpr size_t kBytesMax = 1 + 10 + 1 + kTextMax + 2 * kTotalsMax * kTotalBytesMax;

  // Whether it can be told so: nothing is noted of it that is to be collected.
  [[nodiscard]] static bool can_tell(const SharedCounter& counter);
  // There is room for kBytesMax; returns the end.
  [[nodiscard]] static uint8_t* write(uint8_t* at, const SharedCounter& counter,
                                      const StampCode& stamps);
  // Into an empty counter of that type.
  static void read(const uint8_t* at, const StampCode& stamps, SharedCounter* counter);
};

}  // namespace dyno

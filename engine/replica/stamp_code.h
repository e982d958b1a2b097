// SPDX-License-Identifier: Apache-2.0
//
// Stamps in few bytes, beside others of the same key: most of them are equal to one of two, the
// rest lie shortly before the latest one.
//
//   code  := none | as latest | as near | its own
//   bytes := if it is its own: the distance to latest without its low byte, * 2, a varint; + 1 if
//            that byte, which is 0 between stamps of one rack, follows
#pragma once

#include <cstdint>

#include "engine/entry.h"
#include "engine/replica/stamp.h"

namespace dyno {

struct StampCode {
  enum Code : uint32_t { kNone, kAsLatest, kAsNear, kOwn };
  static constexpr unsigned kBits = 2;
  static constexpr uint32_t kMask = (1U << kBits) - 1;

  Stamp latest = 0;
  Stamp near = 0;

  [[nodiscard]] Code of(Stamp stamp) const {
    if (stamp == 0) return kNone;
    if (stamp == latest) return kAsLatest;
    return stamp == near ? kAsNear : kOwn;
  }
  [[nodiscard]] uint8_t* write(uint8_t* at, Stamp stamp) const {
    if (of(stamp) != kOwn) return at;
    const uint64_t distance = latest - stamp;
    const auto low = static_cast<uint8_t>(distance);
    at = write_varint(at, distance >> kStampRackBits << 1 | (low != 0 ? 1 : 0));
    if (low != 0) *at++ = low;
    return at;
  }
  // `code` is what of() said, in the lowest bits.
  [[nodiscard]] const uint8_t* read(const uint8_t* at, uint32_t code, Stamp* stamp) const {
    switch (code & kMask) {
      case kNone:
        *stamp = 0;
        return at;
      case kAsLatest:
        *stamp = latest;
        return at;
      case kAsNear:
        *stamp = near;
        return at;
      default: {
        uint64_t number;
        at = read_varint(at, &number);
        uint64_t distance = number >> 1 << kStampRackBits;
        if ((number & 1) != 0) distance |= *at++;
        *stamp = latest - distance;
        return at;
      }
    }
  }
};

}  // namespace dyno

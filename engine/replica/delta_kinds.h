// SPDX-License-Identifier: Apache-2.0
//
// The rows of the grammar in delta.h as a table: what the writer, the reader and the text of deltas
// all go by, and the numbers of the format.
#pragma once

#include <bit>
#include <cfloat>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string_view>

#include "engine/replica/delta.h"
#include "protocol/check.h"

namespace dyno {

static_assert(std::endian::native == std::endian::little, "fixed-size numbers are copied as is");
static_assert(LDBL_MANT_DIG == 64 && sizeof(long double) == 16, "a long double is the x87's");

inline constexpr uint16_t kFrameMagic = 0x44f1;
inline constexpr uint8_t kFrameVersion = 1;
inline constexpr int kFrameDbMax = 15;
inline constexpr size_t kVarintBytesMax = 10;

// A register of kRegisters: index:u16 rank:u8.
inline constexpr size_t kRegisterBytes = 3;

// A long double is mantissa:u64 sign_and_exponent:u16 in memory, and the other way round in a
// frame.
inline constexpr size_t kMantissaBytes = 8;

// Parts of a fact in the order in which they follow its age.
enum Part : uint16_t {
  kPartType = 1,
  kPartPrev = 2,
  kPartItem = 4,
  kPartElement = 8,
  kPartDeadline = 16,
  kPartOffset = 32,
  kPartValue = 64,
  kPartScore = 128,
  kPartCount = 256,
  kPartSum = 512,
};

struct KindRow {
  std::string_view name;
  uint16_t parts;
};
inline constexpr KindRow kFactKinds[] = {
    {},
    {"clear", 0},
    {"deadline", kPartDeadline},
    {"value", kPartPrev | kPartValue},
    {"patch", kPartPrev | kPartOffset | kPartValue},
    {"registers", kPartPrev | kPartValue},
    {"total", kPartType | kPartElement | kPartSum},
    {"observed", kPartType | kPartElement | kPartSum},
    {"field", kPartPrev | kPartElement | kPartValue},
    {"field-gone", kPartElement},
    {"field-deadline", kPartElement | kPartDeadline},
    {"member", kPartElement},
    {"member-gone", kPartElement},
    {"score", kPartPrev | kPartElement | kPartScore},
    {"score-gone", kPartElement},
    {"item", kPartItem | kPartValue},
    {"item-gone", kPartItem | kPartCount},
    {"type", kPartType},
    {"other-type", 0},
    {"flush", 0},
};
inline constexpr uint8_t kFactKindLast = std::size(kFactKinds) - 1;
static_assert(kFactKindLast == static_cast<uint8_t>(FactKind::kFlush));

[[nodiscard]] inline const KindRow& row_of(FactKind kind) {
  const auto index = static_cast<uint8_t>(kind);
  DYNO_CHECK(index >= 1 && index <= kFactKindLast);
  return kFactKinds[index];
}

// Low half of the XXH3 of a frame's body.
[[nodiscard]] uint32_t frame_checksum(std::string_view body);

}  // namespace dyno

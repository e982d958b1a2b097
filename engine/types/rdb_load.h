// SPDX-License-Identifier: Apache-2.0
//
// A value as RESTORE reads it: the object format of Redis' RDB files, versions 1 to 12, every
// encoding of the five types.
//
//   object   := type:u8 body
//   string   := length byte[length] | c0 i8 | c1 i16 | c2 i32 | c3 packed:length size:length lzf
//   length   := 00xxxxxx | 01xxxxxx u8 | 80 u32 | 81 u64              big endian
//   body     := string                                type 0
//             | length string*                        types 1 list, 2 set, 4 hash (in pairs)
//             | length (string double-text)*          type 3; double-text := size:u8 text, or 253
//             NaN,
//                                                     254 inf, 255 -inf
//             | length (string f64)*                  type 5
//             | blob                                  types 10 to 13, 16, 17, 20; blob := string
//             | length (blob)*                        type 14
//             | length (container:length blob)*       type 18; container := 1 plain, 2 packed
//             | minimum:u64 length (ttl:length string string)*      type 24; ttl - 1 ms after
//             minimum
//
// Whatever is not exactly so is refused: nothing is read past the payload, no length is believed
// before it is compared with what is left, members are distinct, scores are numbers.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/entry.h"

namespace dyno {

// Views are of the payload or of `texts`.
struct RdbValue {
  Type type = Type::kString;
  // A string; elements; members; fields, each followed by its value.
  std::vector<std::string_view> elements;
  std::vector<double> scores;         // Of a sorted set.
  std::vector<int64_t> deadlines_ms;  // Of a hash whose fields have some; -1 for none.
  std::deque<std::string> texts;
};

inline constexpr uint8_t kRdbString = 0;
inline constexpr uint8_t kRdbList = 1;
inline constexpr uint8_t kRdbSet = 2;
inline constexpr uint8_t kRdbZSetText = 3;
inline constexpr uint8_t kRdbHash = 4;
inline constexpr uint8_t kRdbZSet = 5;
inline constexpr uint8_t kRdbListZiplist = 10;
inline constexpr uint8_t kRdbSetIntset = 11;
inline constexpr uint8_t kRdbZSetZiplist = 12;
inline constexpr uint8_t kRdbHashZiplist = 13;
inline constexpr uint8_t kRdbQuicklist = 14;
inline constexpr uint8_t kRdbHashListpack = 16;
inline constexpr uint8_t kRdbZSetListpack = 17;
inline constexpr uint8_t kRdbQuicklist2 = 18;
inline constexpr uint8_t kRdbSetListpack = 20;
inline constexpr uint8_t kRdbHashTimed = 24;

// Nothing when the object is malformed or empty, or has a string of more than `string_bytes_max`.
[[nodiscard]] std::optional<RdbValue> load_rdb_value(std::string_view object,
                                                     uint64_t string_bytes_max);

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// Error texts that several families share, as Redis 7.2 words them. Clients match on the first
// word, some on more.
#pragma once

#include <string_view>

namespace dyno::errors {

inline constexpr std::string_view kWrongType =
    "WRONGTYPE Operation against a key holding the wrong kind of value";
inline constexpr std::string_view kSyntax = "ERR syntax error";
inline constexpr std::string_view kNotInteger = "ERR value is not an integer or out of range";
inline constexpr std::string_view kNotFloat = "ERR value is not a valid float";
inline constexpr std::string_view kNoSuchKey = "ERR no such key";
inline constexpr std::string_view kIndexRange = "ERR index out of range";
inline constexpr std::string_view kOutOfRange = "ERR value is out of range";
inline constexpr std::string_view kOutOfRangePositive =
    "ERR value is out of range, must be positive";
inline constexpr std::string_view kTooLong =
    "ERR string exceeds maximum allowed size (proto-max-bulk-len)";
inline constexpr std::string_view kDbRange = "ERR DB index is out of range";
inline constexpr std::string_view kInvalidCursor = "ERR invalid cursor";
inline constexpr std::string_view kTimeoutNegative = "ERR timeout is negative";
inline constexpr std::string_view kTimeoutNotFloat = "ERR timeout is not a float or out of range";
inline constexpr std::string_view kOutOfMemory =
    "OOM command not allowed when used memory > 'maxmemory'.";
inline constexpr std::string_view kSameObject = "ERR source and destination objects are the same";
inline constexpr std::string_view kMinMaxNotFloat = "ERR min or max is not a float";
inline constexpr std::string_view kMinMaxNotText = "ERR min or max not valid string range item";
inline constexpr std::string_view kNan = "ERR resulting score is not a number (NaN)";
inline constexpr std::string_view kOverflow = "ERR increment or decrement would overflow";
inline constexpr std::string_view kNumKeys = "ERR numkeys should be greater than 0";

}  // namespace dyno::errors

namespace dyno {

// What an error repeats of a client's word: up to a zero byte, and not very much.
inline constexpr size_t kEchoBytesMax = 128;
[[nodiscard]] inline std::string_view echo(std::string_view word) {
  return word.substr(0, kEchoBytesMax).substr(0, word.find('\0'));
}

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// Numbers as Redis reads and writes them. Parsing is strict: the whole text is one number in its
// canonical form, or there is no value. Formatting is what a client sees in a reply.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace dyno {

// Longest text that format_int64 writes.
inline constexpr size_t kInt64TextMax = 20;

// Canonical decimal int64: no spaces, no plus sign, no leading zeros, "-0" refused.
[[nodiscard]] std::optional<int64_t> parse_int64(std::string_view text);

// Canonical decimal uint64, as SCAN's cursor is read.
[[nodiscard]] std::optional<uint64_t> parse_uint64(std::string_view text);

// A float as a command argument: what strtod takes as a whole ("1e3", "0x1p3", "inf", "+5"),
// without spaces around it, and never NaN.
[[nodiscard]] std::optional<double> parse_double(std::string_view text);

// The same in extended precision, for INCRBYFLOAT and HINCRBYFLOAT.
[[nodiscard]] std::optional<long double> parse_long_double(std::string_view text);

// Writes at most kInt64TextMax bytes, not terminated; returns their count.
size_t format_int64(int64_t value, char* out);
void append_int64(std::string& out, int64_t value);

// The shortest text that reads back as the same number, as Redis 7.2 writes scores: whole numbers
// as integers, "inf", "-inf", scientific notation where plain decimals would be long.
[[nodiscard]] std::string format_double(double value);

// How INCRBYFLOAT stores its result: "%.17Lf" with trailing zeros removed.
[[nodiscard]] std::string format_long_double(long double value);

// True when `text` is exactly what format_int64 writes for some value, which then is in `value`.
// This is the test for storing a string as a number.
[[nodiscard]] bool is_canonical_int64(std::string_view text, int64_t* value);

// ASCII case folding; command names and options are ASCII.
[[nodiscard]] bool equals_ignore_case(std::string_view a, std::string_view b);
[[nodiscard]] std::string to_lower(std::string_view text);
[[nodiscard]] std::string to_upper(std::string_view text);

}  // namespace dyno

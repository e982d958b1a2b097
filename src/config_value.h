// SPDX-License-Identifier: Apache-2.0
//
// The shape of one setting and its three texts: what an operator writes, what CONFIG GET prints,
// and what stands in the TOML file. Everything here is a pure function; nothing wraps or saturates:
// a number that does not fit its range is refused, whatever its unit.
//
// Units. Bytes follow Redis: 1k is 1000, 1kb is 1024 (so m, mb, g, gb, t, tb), and 1KiB is 1024
// too. Durations take us, ms, s, m, h, d and must be whole in the unit of their row. A plain number
// is in the row's unit. Case does not matter, spaces are refused.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace dyno {

enum class ConfigKind : uint8_t { kBool, kInt, kBytes, kDuration, kEnum, kText, kList };
enum class ConfigUnit : uint8_t { kNone, kMicroseconds, kMilliseconds, kSeconds };

struct ConfigShape {
  ConfigKind kind = ConfigKind::kText;
  ConfigUnit unit = ConfigUnit::kNone;  // of a kDuration row
  int64_t min = 0;
  int64_t max = std::numeric_limits<int64_t>::max();
  std::span<const std::string_view> choices;  // of a kEnum row; the value's number is its index
  bool percent = false;                       // a kBytes row that also takes "5%", stored as -5
};

// Numbers, bools (0 or 1) and enums use `number`; texts use `text`; a list is its items joined with
// one space.
struct ConfigValue {
  int64_t number = 0;
  std::string text;
  bool operator==(const ConfigValue&) const = default;
};

// Why a value was refused: in the words of Redis' CONFIG SET, and as "expected ..." for an
// operator.
struct ConfigRefusal {
  std::string redis;
  std::string expected;
};

struct ParsedConfigValue {
  ConfigValue value;
  std::optional<ConfigRefusal> refusal;  // when set, value is meaningless
};

[[nodiscard]] ParsedConfigValue parse_config_value(const ConfigShape& shape, std::string_view text);

// As CONFIG GET prints it: plain numbers, yes and no.
[[nodiscard]] std::string format_config_value(const ConfigShape& shape, const ConfigValue& value);

// As a TOML literal: numbers and booleans bare, everything else quoted, lists as arrays.
[[nodiscard]] std::string format_config_toml(const ConfigShape& shape, const ConfigValue& value);

// What the shape accepts, as words that follow "expected": "a whole number from 1 to 500".
[[nodiscard]] std::string describe_config_shape(const ConfigShape& shape);

// The candidate that `name` was most likely meant to be, or empty when none is near.
[[nodiscard]] std::string_view nearest_name(std::string_view name,
                                            std::span<const std::string_view> candidates);

// Items of a list as written on one line: separated by commas or spaces, empty ones dropped.
[[nodiscard]] std::vector<std::string> split_config_list(std::string_view text);

}  // namespace dyno

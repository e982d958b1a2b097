// SPDX-License-Identifier: Apache-2.0
//
// Parsing and printing of single settings; the rules are in the header.
#include "src/config_value.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <utility>

#include "protocol/number.h"

namespace dyno {
namespace {

struct UnitName {
  std::string_view suffix;
  int64_t factor;
};

constexpr std::array<UnitName, 14> kByteUnits = {{
    {"", 1},
    {"b", 1},
    {"k", 1000},
    {"kb", 1LL << 10},
    {"kib", 1LL << 10},
    {"m", 1000 * 1000},
    {"mb", 1LL << 20},
    {"mib", 1LL << 20},
    {"g", 1000LL * 1000 * 1000},
    {"gb", 1LL << 30},
    {"gib", 1LL << 30},
    {"t", 1000LL * 1000 * 1000 * 1000},
    {"tb", 1LL << 40},
    {"tib", 1LL << 40},
}};

// Factors are in microseconds.
constexpr std::array<UnitName, 7> kDurationUnits = {{
    {"us", 1},
    {"ms", 1000},
    {"s", 1000 * 1000},
    {"m", 60LL * 1000 * 1000},
    {"min", 60LL * 1000 * 1000},
    {"h", 3600LL * 1000 * 1000},
    {"d", 86400LL * 1000 * 1000},
}};

std::optional<int64_t> find_factor(std::span<const UnitName> units, std::string_view suffix) {
  for (const UnitName& unit : units) {
    if (unit.suffix == suffix) return unit.factor;
  }
  return std::nullopt;
}

int64_t unit_microseconds(ConfigUnit unit) {
  switch (unit) {
    case ConfigUnit::kMilliseconds:
      return 1000;
    case ConfigUnit::kSeconds:
      return 1000 * 1000;
    case ConfigUnit::kNone:
    case ConfigUnit::kMicroseconds:
      break;
  }
  return 1;
}

std::string_view unit_suffix(ConfigUnit unit) {
  switch (unit) {
    case ConfigUnit::kMicroseconds:
      return "us";
    case ConfigUnit::kMilliseconds:
      return "ms";
    case ConfigUnit::kSeconds:
      return "s";
    case ConfigUnit::kNone:
      break;
  }
  return "";
}

// Splits "64mb" into its digits (with a sign) and a lower-case suffix.
std::pair<std::string_view, std::string> split_unit(std::string_view text) {
  size_t digits = text.starts_with('-') ? 1 : 0;
  while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') ++digits;
  return {text.substr(0, digits), to_lower(text.substr(digits))};
}

// Digits of any length with leading zeros allowed, as strtoll reads them; no value on overflow.
std::optional<int64_t> parse_digits(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  if (text.empty()) return std::nullopt;
  int64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    if (__builtin_mul_overflow(value, 10, &value)) return std::nullopt;
    const int digit = negative ? '0' - c : c - '0';
    if (__builtin_add_overflow(value, digit, &value)) return std::nullopt;
  }
  return value;
}

std::string join(std::span<const std::string_view> words) {
  std::string out;
  for (const std::string_view word : words) {
    if (!out.empty()) out += ", ";
    out += word;
  }
  return out;
}

ParsedConfigValue refuse(const ConfigShape& shape, std::string redis) {
  return {{}, ConfigRefusal{std::move(redis), describe_config_shape(shape)}};
}

ParsedConfigValue in_range(const ConfigShape& shape, int64_t number) {
  if (number >= shape.min && number <= shape.max) return {{number, {}}, std::nullopt};
  return refuse(shape, "argument must be between " + std::to_string(shape.min) + " and " +
                           std::to_string(shape.max) + " inclusive");
}

ParsedConfigValue parse_bool(const ConfigShape& shape, std::string_view text) {
  if (equals_ignore_case(text, "yes") || equals_ignore_case(text, "true")) return {{1, {}}, {}};
  if (equals_ignore_case(text, "no") || equals_ignore_case(text, "false")) return {{0, {}}, {}};
  return refuse(shape, "argument must be 'yes' or 'no'");
}

ParsedConfigValue parse_int(const ConfigShape& shape, std::string_view text) {
  const std::optional<int64_t> number = parse_digits(text);
  if (!number) return refuse(shape, "argument couldn't be parsed into an integer");
  return in_range(shape, *number);
}

ParsedConfigValue parse_bytes(const ConfigShape& shape, std::string_view text) {
  const char* const what = shape.percent ? "argument must be a memory or percent value"
                                         : "argument must be a memory value";
  const auto [digits, suffix] = split_unit(text);
  std::optional<int64_t> number = parse_digits(digits);
  if (!number || digits.starts_with('-')) return refuse(shape, what);
  if (suffix == "%" && shape.percent) {
    if (*number <= 100) return {{-*number, {}}, std::nullopt};
    return refuse(shape, "percentage argument must be less or equal to 100");
  }
  const std::optional<int64_t> factor = find_factor(kByteUnits, suffix);
  if (!factor || __builtin_mul_overflow(*number, *factor, &*number)) return refuse(shape, what);
  return in_range(shape, *number);
}

ParsedConfigValue parse_duration(const ConfigShape& shape, std::string_view text) {
  const char* const what = "argument couldn't be parsed into an integer";
  const auto [digits, suffix] = split_unit(text);
  std::optional<int64_t> number = parse_digits(digits);
  if (!number) return refuse(shape, what);
  if (suffix.empty()) return in_range(shape, *number);
  const std::optional<int64_t> factor = find_factor(kDurationUnits, suffix);
  if (!factor || __builtin_mul_overflow(*number, *factor, &*number)) return refuse(shape, what);
  const int64_t row_unit = unit_microseconds(shape.unit);
  if (*number % row_unit != 0) return refuse(shape, what);
  return in_range(shape, *number / row_unit);
}

ParsedConfigValue parse_enum(const ConfigShape& shape, std::string_view text) {
  for (size_t i = 0; i < shape.choices.size(); ++i) {
    if (equals_ignore_case(text, shape.choices[i])) return {{static_cast<int64_t>(i), {}}, {}};
  }
  return refuse(shape, "argument(s) must be one of the following: " + join(shape.choices));
}

std::string quote_toml(std::string_view text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      out += "\\u00";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    } else {
      out += c;
    }
  }
  return out + "\"";
}

// Edit distance in which two swapped neighbours count once.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> before(b.size() + 1), previous(b.size() + 1), current(b.size() + 1);
  std::iota(previous.begin(), previous.end(), 0U);
  for (size_t i = 1; i <= a.size(); ++i) {
    current[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t swap_cost = a[i - 1] == b[j - 1] ? 0 : 1;
      current[j] = std::min({previous[j] + 1, current[j - 1] + 1, previous[j - 1] + swap_cost});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        current[j] = std::min(current[j], before[j - 2] + 1);
      }
    }
    std::swap(before, previous);
    std::swap(previous, current);
  }
  return previous[b.size()];
}

}  // namespace

ParsedConfigValue parse_config_value(const ConfigShape& shape, std::string_view text) {
  switch (shape.kind) {
    case ConfigKind::kBool:
      return parse_bool(shape, text);
    case ConfigKind::kInt:
      return parse_int(shape, text);
    case ConfigKind::kBytes:
      return parse_bytes(shape, text);
    case ConfigKind::kDuration:
      return parse_duration(shape, text);
    case ConfigKind::kEnum:
      return parse_enum(shape, text);
    case ConfigKind::kText:
      break;
    case ConfigKind::kList: {
      std::string joined;
      for (const std::string& item : split_config_list(text)) {
        if (!joined.empty()) joined += ' ';
        joined += item;
      }
      return {{0, std::move(joined)}, std::nullopt};
    }
  }
  return {{0, std::string(text)}, std::nullopt};
}

std::string format_config_value(const ConfigShape& shape, const ConfigValue& value) {
  switch (shape.kind) {
    case ConfigKind::kBool:
      return value.number != 0 ? "yes" : "no";
    case ConfigKind::kBytes:
      if (shape.percent && value.number < 0) return std::to_string(-value.number) + "%";
      return std::to_string(value.number);
    case ConfigKind::kInt:
    case ConfigKind::kDuration:
      return std::to_string(value.number);
    case ConfigKind::kEnum:
      return std::string(shape.choices[static_cast<size_t>(value.number)]);
    case ConfigKind::kText:
    case ConfigKind::kList:
      break;
  }
  return value.text;
}

std::string format_config_toml(const ConfigShape& shape, const ConfigValue& value) {
  switch (shape.kind) {
    case ConfigKind::kBool:
      return value.number != 0 ? "true" : "false";
    case ConfigKind::kInt:
      return std::to_string(value.number);
    case ConfigKind::kBytes: {
      if (shape.percent && value.number < 0) return quote_toml(format_config_value(shape, value));
      for (const auto& [suffix, factor] : {UnitName{"gb", 1LL << 30}, UnitName{"mb", 1LL << 20}}) {
        if (value.number < factor || value.number % factor != 0) continue;
        return quote_toml(std::to_string(value.number / factor) + std::string(suffix));
      }
      return std::to_string(value.number);
    }
    case ConfigKind::kDuration:
      if (value.number <= 0) return std::to_string(value.number);
      return quote_toml(std::to_string(value.number) + std::string(unit_suffix(shape.unit)));
    case ConfigKind::kList: {
      std::string out = "[";
      for (const std::string& item : split_config_list(value.text)) {
        if (out.size() > 1) out += ", ";
        out += quote_toml(item);
      }
      return out + "]";
    }
    case ConfigKind::kEnum:
    case ConfigKind::kText:
      break;
  }
  return quote_toml(format_config_value(shape, value));
}

std::string describe_config_shape(const ConfigShape& shape) {
  const bool bounded = shape.max != std::numeric_limits<int64_t>::max();
  const std::string range =
      bounded ? " from " + std::to_string(shape.min) + " to " + std::to_string(shape.max)
              : " of at least " + std::to_string(shape.min);
  switch (shape.kind) {
    case ConfigKind::kBool:
      return "yes or no";
    case ConfigKind::kInt:
      return "a whole number" + range;
    case ConfigKind::kBytes:
      return "a number of bytes" + range + ", such as 100, 64mb or 10GiB" +
             (shape.percent ? ", or a percentage of maxmemory such as 5%" : "");
    case ConfigKind::kDuration:
      return "a duration" + range + std::string(unit_suffix(shape.unit)) + " in whole " +
             std::string(unit_suffix(shape.unit)) +
             (shape.unit == ConfigUnit::kSeconds ? ", such as 30s or 5m" : ", such as 250ms or 5s");
    case ConfigKind::kEnum:
      return "one of " + join(shape.choices);
    case ConfigKind::kText:
      return "text in quotes";
    case ConfigKind::kList:
      break;
  }
  return "a list";
}

std::string_view nearest_name(std::string_view name, std::span<const std::string_view> candidates) {
  // Comparing costs the product of the lengths, and no real name comes near this one.
  static constexpr size_t kNameMax = 128;
  if (name.size() > kNameMax) return {};
  std::string_view nearest;
  size_t distance_min = std::max<size_t>(2, name.size() / 3) + 1;
  for (const std::string_view candidate : candidates) {
    const size_t distance = edit_distance(name, candidate);
    if (distance >= distance_min) continue;
    distance_min = distance;
    nearest = candidate;
  }
  return nearest;
}

std::vector<std::string> split_config_list(std::string_view text) {
  std::vector<std::string> items;
  size_t at = 0;
  while (at < text.size()) {
    const size_t begin = text.find_first_not_of(", ", at);
    if (begin == std::string_view::npos) break;
    const size_t end = std::min(text.find_first_of(", ", begin), text.size());
    items.emplace_back(text.substr(begin, end - begin));
    at = end;
  }
  return items;
}

}  // namespace dyno

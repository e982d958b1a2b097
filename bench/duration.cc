// SPDX-License-Identifier: Apache-2.0
// Reading and showing of times and amounts; what is not exactly one of them is refused.
#include "bench/duration.h"

#include <charconv>
#include <cmath>
#include <cstdio>

namespace dyno::bench {

namespace {

std::optional<double> leading_number(std::string_view text, std::string_view& unit) {
  double value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || !std::isfinite(value) || value < 0) return std::nullopt;
  unit = text.substr(static_cast<size_t>(stop - text.data()));
  return value;
}

std::string three_digits(double value, const char* unit) {
  char text[48];
  const int decimals = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  std::snprintf(text, sizeof text, "%.*f%s", decimals, value, unit);
  return text;
}

}  // namespace

std::optional<double> parse_seconds(std::string_view text) {
  std::string_view unit;
  const auto value = leading_number(text, unit);
  if (!value) return std::nullopt;
  double scale = 1;
  if (unit == "ns") {
    scale = 1e-9;
  } else if (unit == "us") {
    scale = 1e-6;
  } else if (unit == "ms") {
    scale = 1e-3;
  } else if (unit == "m" || unit == "min") {
    scale = 60;
  } else if (unit == "h") {
    scale = 3600;
  } else if (!unit.empty() && unit != "s") {
    return std::nullopt;
  }
  if (*value * scale > 3.2e8) return std::nullopt;
  return *value * scale;
}

std::optional<double> parse_amount(std::string_view text) {
  std::string_view unit;
  const auto value = leading_number(text, unit);
  if (!value) return std::nullopt;
  if (unit.empty()) return value;
  if (unit == "k" || unit == "K") return *value * 1e3;
  if (unit == "m" || unit == "M") return *value * 1e6;
  if (unit == "g" || unit == "G") return *value * 1e9;
  return std::nullopt;
}

std::string show_duration(double ns) {
  if (ns < 999.5) return three_digits(ns, " ns");
  if (ns < 999.5e3) return three_digits(ns / 1e3, " us");
  if (ns < 999.5e6) return three_digits(ns / 1e6, " ms");
  return three_digits(ns / 1e9, " s");
}

std::string show_amount(double value) {
  if (value < 999.5)
    return value == std::floor(value) ? three_digits(value, "").substr(0, value >= 100  ? 3
                                                                          : value >= 10 ? 2
                                                                                        : 1)
                                      : three_digits(value, "");
  if (value < 999.5e3) return three_digits(value / 1e3, "k");
  if (value < 999.5e6) return three_digits(value / 1e6, "M");
  return three_digits(value / 1e9, "G");
}

std::string show_count(double value) {
  char digits[48];
  std::snprintf(digits, sizeof digits, "%.0f", value);
  std::string text = digits;
  const size_t first = text[0] == '-' ? 1 : 0;
  for (size_t i = text.size(); i > first + 3;) {
    i -= 3;
    text.insert(i, ",");
  }
  return text;
}

}  // namespace dyno::bench

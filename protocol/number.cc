// SPDX-License-Identifier: Apache-2.0
#include "protocol/number.h"

#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace dyno {
namespace {

// strtod needs a terminated text; longer ones than any sensible number are refused unread, with
// room for a full "%.17Lf" of the largest long double.
constexpr size_t kFloatTextMax = 5 * 1024;

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}

template <typename T, T (*convert)(const char*, char**)>
std::optional<T> parse_float(std::string_view text) {
  char stack[64];
  std::string heap;
  const char* begin = stack;
  if (text.empty() || text.size() >= kFloatTextMax) return std::nullopt;
  if (text.front() == ' ' || (text.front() >= '\t' && text.front() <= '\r')) return std::nullopt;
  if (text.size() < sizeof(stack)) {
    std::memcpy(stack, text.data(), text.size());
    stack[text.size()] = '\0';
  } else {
    heap.assign(text);
    begin = heap.c_str();
  }
  char* end = nullptr;
  errno = 0;
  T value = convert(begin, &end);
  if (end != begin + text.size()) return std::nullopt;
  if (errno == ERANGE && (std::isinf(value) || value == 0)) return std::nullopt;
  if (std::isnan(value)) return std::nullopt;
  return value;
}

// Writes d.ddd * 10^exponent as plain decimals while that stays short, else in scientific notation.
void place_decimal_point(std::string& out, const std::string& digits, int exponent) {
  int digit_count = static_cast<int>(digits.size());
  int last_place = exponent - digit_count + 1;  // The power of ten of the last digit.
  if (last_place >= 0 && exponent < digit_count + 7) {
    out.append(digits).append(static_cast<size_t>(last_place), '0');
  } else if (last_place < 0 && (last_place > -7 || std::abs(exponent) < 4)) {
    if (exponent < 0) {
      out.append("0.").append(static_cast<size_t>(-exponent - 1), '0').append(digits);
    } else {
      size_t whole = static_cast<size_t>(exponent) + 1;
      out.append(digits, 0, whole).append(".").append(digits, whole);
    }
  } else {
    out.push_back(digits[0]);
    if (digit_count > 1) out.append(".").append(digits, 1);
    out.append(exponent < 0 ? "e-" : "e+");
    append_int64(out, std::abs(exponent));
  }
}

}  // namespace

std::optional<int64_t> parse_int64(std::string_view text) {
  int64_t value;
  if (!is_canonical_int64(text, &value)) return std::nullopt;
  return value;
}

bool is_canonical_int64(std::string_view text, int64_t* value) {
  if (text.empty() || text.size() > kInt64TextMax) return false;
  size_t first_digit = text[0] == '-' ? 1 : 0;
  if (first_digit == text.size()) return false;
  char c = text[first_digit];
  if (c < '0' || c > '9') return false;
  if (c == '0' && text.size() != 1) return false;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value);
  return error == std::errc() && end == text.data() + text.size();
}

std::optional<uint64_t> parse_uint64(std::string_view text) {
  uint64_t value;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<double> parse_double(std::string_view text) {
  return parse_float<double, std::strtod>(text);
}

std::optional<long double> parse_long_double(std::string_view text) {
  return parse_float<long double, std::strtold>(text);
}

size_t format_int64(int64_t value, char* out) {
  return static_cast<size_t>(std::to_chars(out, out + kInt64TextMax, value).ptr - out);
}

void append_int64(std::string& out, int64_t value) {
  char text[kInt64TextMax];
  out.append(text, format_int64(value, text));
}

std::string format_double(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  if (value == 0) return std::signbit(value) ? "-0" : "0";
  std::string out;
  constexpr double kWholeMax = 4611686018427387904.0;  // 2^62: as an int64 it prints exactly.
  if (std::fabs(value) <= kWholeMax && value == std::trunc(value)) {
    append_int64(out, static_cast<int64_t>(value));
    return out;
  }
  char text[40];
  auto end =
      std::to_chars(text, text + sizeof(text), std::fabs(value), std::chars_format::scientific).ptr;
  std::string_view shortest(text, static_cast<size_t>(end - text));
  size_t e = shortest.find('e');
  std::string digits(1, shortest[0]);
  if (e > 2) digits.append(shortest.substr(2, e - 2));
  int exponent = 0;
  std::from_chars(text + e + (text[e + 1] == '+' ? 2 : 1), end, exponent);
  if (value < 0) out.push_back('-');
  place_decimal_point(out, digits, exponent);
  return out;
}

std::string format_long_double(long double value) {
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char text[kFloatTextMax];
  int size = std::snprintf(text, sizeof(text), "%.17Lf", value);
  std::string_view view(text, static_cast<size_t>(size));
  if (view.find('.') != std::string_view::npos) {
    while (view.back() == '0') view.remove_suffix(1);
    if (view.back() == '.') view.remove_suffix(1);
  }
  if (view == "-0") view.remove_prefix(1);
  return std::string(view);
}

bool equals_ignore_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (lower(a[i]) != lower(b[i])) return false;
  }
  return true;
}

std::string to_lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = lower(c);
  return out;
}

std::string to_upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
  }
  return out;
}

}  // namespace dyno

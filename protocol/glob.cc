// SPDX-License-Identifier: Apache-2.0
#include "protocol/glob.h"

#include <cstddef>
#include <utility>

namespace dyno {
namespace {

unsigned char fold(char c, bool ignore_case) {
  if (ignore_case && c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return static_cast<unsigned char>(c);
}

// Matches one byte against the set that starts after '[' at `at`; leaves `at` after the set. An
// unterminated set ends with the pattern, as in Redis.
bool match_set(std::string_view pattern, size_t& at, char byte, bool ignore_case) {
  unsigned char wanted = fold(byte, ignore_case);
  bool negated = at < pattern.size() && pattern[at] == '^';
  if (negated) ++at;
  bool found = false;
  while (at < pattern.size() && pattern[at] != ']') {
    if (pattern[at] == '\\' && at + 1 < pattern.size()) {
      ++at;
      found |= fold(pattern[at], ignore_case) == wanted;
    } else if (at + 2 < pattern.size() && pattern[at + 1] == '-') {
      unsigned char low = fold(pattern[at], ignore_case);
      unsigned char high = fold(pattern[at + 2], ignore_case);
      if (low > high) std::swap(low, high);
      found |= low <= wanted && wanted <= high;
      at += 2;
    } else {
      found |= fold(pattern[at], ignore_case) == wanted;
    }
    ++at;
  }
  if (at < pattern.size()) ++at;
  return found != negated;
}

}  // namespace

bool glob_match(std::string_view pattern, std::string_view text, bool ignore_case) {
  constexpr size_t kNone = static_cast<size_t>(-1);
  size_t p = 0;
  size_t t = 0;
  size_t star_p = kNone;
  size_t star_t = 0;
  for (;;) {
    bool matched = false;
    size_t next = p;
    if (p < pattern.size() && pattern[p] == '*') {
      star_p = ++p;
      star_t = t;
      continue;
    }
    if (t == text.size()) {
      if (p == pattern.size()) return true;
    } else if (p < pattern.size()) {
      switch (pattern[p]) {
        case '?':
          matched = true;
          next = p + 1;
          break;
        case '[':
          next = p + 1;
          matched = match_set(pattern, next, text[t], ignore_case);
          break;
        default:
          if (pattern[next] == '\\' && next + 1 < pattern.size()) ++next;
          matched = fold(pattern[next], ignore_case) == fold(text[t], ignore_case);
          ++next;
      }
    }
    if (matched) {
      p = next;
      ++t;
      continue;
    }
    if (star_p == kNone || star_t >= text.size()) return false;
    p = star_p;
    t = ++star_t;
  }
}

}  // namespace dyno

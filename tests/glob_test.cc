// SPDX-License-Identifier: Apache-2.0
//
// Glob patterns against the cases that clients rely on, a plain recursive matcher, and patterns
// made to take exponential time.
#include "protocol/glob.h"

#include <doctest/doctest.h>

#include <random>
#include <string>

namespace dyno {
namespace {

// A matcher of ? * and single bytes by definition.
bool match_simply(std::string_view pattern, std::string_view text) {
  if (pattern.empty()) return text.empty();
  if (pattern[0] == '*') {
    for (size_t i = 0; i <= text.size(); ++i) {
      if (match_simply(pattern.substr(1), text.substr(i))) return true;
    }
    return false;
  }
  return !text.empty() && (pattern[0] == '?' || pattern[0] == text[0]) &&
         match_simply(pattern.substr(1), text.substr(1));
}

TEST_CASE("literals, ? and *") {
  CHECK(glob_match("", ""));
  CHECK_FALSE(glob_match("", "a"));
  CHECK_FALSE(glob_match("a", ""));
  CHECK(glob_match("*", ""));
  CHECK(glob_match("***", ""));
  CHECK(glob_match("*", "anything"));
  CHECK_FALSE(glob_match("?", ""));
  CHECK(glob_match("h?llo", "hello"));
  CHECK_FALSE(glob_match("h?llo", "heello"));
  CHECK(glob_match("h*llo", "hllo"));
  CHECK(glob_match("h*llo", "heeeello"));
  CHECK_FALSE(glob_match("h*llo", "heeeellos"));
  CHECK(glob_match("*a*b*", "xxaxxbxx"));
  CHECK_FALSE(glob_match("*a*b", "xxaxxbxx"));
  CHECK(glob_match("*ab", "aab"));
}

TEST_CASE("sets") {
  CHECK(glob_match("h[ae]llo", "hallo"));
  CHECK_FALSE(glob_match("h[ae]llo", "hillo"));
  CHECK(glob_match("h[^e]llo", "hallo"));
  CHECK_FALSE(glob_match("h[^e]llo", "hello"));
  CHECK(glob_match("h[a-c]llo", "hbllo"));
  CHECK(glob_match("h[c-a]llo", "hbllo"));
  CHECK_FALSE(glob_match("h[a-c]llo", "hdllo"));
  CHECK(glob_match("[\\]]", "]"));
  CHECK(glob_match("[\\-]", "-"));
  CHECK_FALSE(glob_match("[a\\-z]", "m"));
  CHECK(glob_match("[-a]", "-"));
  CHECK_FALSE(glob_match("[]", "a"));
  CHECK(glob_match("[^]", "a"));
  // Without an end the set reaches to the end of the pattern.
  CHECK(glob_match("[abc", "b"));
  CHECK_FALSE(glob_match("[abc", "d"));
  CHECK(glob_match("[^", "a"));
  CHECK_FALSE(glob_match("[", "a"));
  CHECK_FALSE(glob_match("[", "["));
  CHECK(glob_match("*[ab]", "xxb"));
}

TEST_CASE("the backslash takes the next byte as it is") {
  CHECK(glob_match("\\*", "*"));
  CHECK_FALSE(glob_match("\\*", "a"));
  CHECK(glob_match("a\\?b", "a?b"));
  CHECK_FALSE(glob_match("a\\?b", "axb"));
  CHECK(glob_match("\\[a]", "[a]"));
  CHECK(glob_match("\\\\", "\\"));
  // A last backslash stands for itself.
  CHECK(glob_match("a\\", "a\\"));
}

TEST_CASE("case is ignored only when asked for") {
  CHECK_FALSE(glob_match("ABC", "abc"));
  CHECK(glob_match("ABC", "abc", true));
  CHECK(glob_match("[A-C]x", "bX", true));
  CHECK(glob_match("\\A", "a", true));
}

TEST_CASE("bytes of any value") {
  CHECK(glob_match(std::string_view("a\0?", 3), std::string_view("a\0b", 3)));
  CHECK(glob_match("[\x80-\xff]", "\xc3"));
  CHECK_FALSE(glob_match("[\x01-\x7f]", "\xc3"));
}

TEST_CASE("agrees with the definition on random patterns") {
  std::mt19937 random(1);
  for (int round = 0; round < 20000; ++round) {
    std::string pattern;
    std::string text;
    for (uint32_t i = random() % 8; i > 0; --i) pattern += "ab*?"[random() % 4];
    for (uint32_t i = random() % 8; i > 0; --i) text += "ab"[random() % 2];
    CAPTURE(pattern);
    CAPTURE(text);
    CHECK(glob_match(pattern, text) == match_simply(pattern, text));
  }
}

TEST_CASE("patterns of many stars take no exponential time") {
  std::string pattern;
  for (int i = 0; i < 1000; ++i) pattern += "a*?*";
  std::string text(20000, 'a');
  CHECK_FALSE(glob_match(pattern + "b", text));
  CHECK(glob_match(pattern, text));
}

}  // namespace
}  // namespace dyno

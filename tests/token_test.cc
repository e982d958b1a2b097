// SPDX-License-Identifier: Apache-2.0
//
// Tokens and slots of keys. The values written out here are a promise to every node of a ring: a
// build that computes others cannot talk to one that computes these.
#include "protocol/token.h"

#include <doctest/doctest.h>

#include <set>
#include <string>
#include <vector>

namespace dyno {
namespace {

TEST_CASE("the tag is what the first pair of braces holds, unless that is nothing") {
  CHECK(hash_tag("") == "");
  CHECK(hash_tag("user") == "user");
  CHECK(hash_tag("{user}") == "user");
  CHECK(hash_tag("a{user}b") == "user");
  CHECK(hash_tag("{a}{b}") == "a");
  CHECK(hash_tag("a{b}{c}") == "b");
  CHECK(hash_tag("{a") == "{a");
  CHECK(hash_tag("a}") == "a}");
  CHECK(hash_tag("}a{") == "}a{");
  CHECK(hash_tag("}{a}") == "a");
  CHECK(hash_tag("{}") == "{}");
  CHECK(hash_tag("{}a") == "{}a");
  // As in Redis Cluster an empty first pair means the whole key, whatever follows.
  CHECK(hash_tag("{}{a}") == "{}{a}");
  CHECK(hash_tag("{{a}}") == "{a");
  CHECK(hash_tag(std::string_view("{\0}x", 4)) == std::string_view("\0", 1));
}

TEST_CASE("frozen tokens") {
  static const std::string kLong(300, 'x');
  struct Example {
    std::string_view key;
    uint64_t seed;
    Token token;
  };
  for (const Example& example : std::initializer_list<Example>{
           {"", 0, 0x2d068005},
           {"a", 0, 0xe6c632b6},
           {"foo", 0, 0xab6e5f64},
           {"{user1000}.following", 0, 0xb03c8988},
           {"key:000000000042", 0, 0x698ccf97},
           {"foo", 1, 0x54557a2c},
           {"foo", 0x123456789abcdef0, 0xfc7fdd3b},
           {"a key that is longer than sixteen bytes", 0, 0x5b31b4ad},
           {kLong, 0, 0xa5d1b460},
       }) {
    CAPTURE(example.key);
    CAPTURE(example.seed);
    CHECK(token_of(example.key, example.seed) == example.token);
  }
}

TEST_CASE("keys that share a tag share a token but lie apart in the slot") {
  std::set<uint32_t> inner;
  for (int i = 0; i < 1000; ++i) {
    KeyHash hash = hash_key("{tag}" + std::to_string(i), 0);
    CHECK(hash.token == token_of("tag", 0));
    inner.insert(hash.inner);
  }
  CHECK(inner.size() > 990);
}

TEST_CASE("hash_key agrees with token_of, and slots are the top bits") {
  for (std::string_view key : {"", "a", "{}", "{a}b", "a{", "key:123456", "x{y}z"}) {
    for (uint64_t seed : {uint64_t{0}, uint64_t{1}, ~uint64_t{0}}) {
      KeyHash hash = hash_key(key, seed);
      CHECK(hash.token == token_of(key, seed));
      CHECK(hash.slot() == hash.token >> 18);
    }
  }
  CHECK(slot_of(0) == 0);
  CHECK(slot_of(0x3ffff) == 0);
  CHECK(slot_of(0x40000) == 1);
  CHECK(slot_of(0xffffffff) == kSlotCount - 1);
}

TEST_CASE("keys spread over the slots") {
  std::vector<int> counts(kSlotCount);
  for (int i = 0; i < 1 << 19; ++i) {
    ++counts[hash_key("key:" + std::to_string(i), 7).slot()];
  }
  for (int count : counts) {
    CHECK(count > 4);
    CHECK(count < 80);
  }
}

}  // namespace
}  // namespace dyno

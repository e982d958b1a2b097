// SPDX-License-Identifier: Apache-2.0
//
// Items of small collections: frozen bytes, round trips at every size where the form changes, and
// searches.
#include "engine/types/packed.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace dyno::packed {
namespace {

std::string bytes_of(const Encoded& encoded) {
  std::vector<uint8_t> out(encoded.size());
  uint8_t* end = encoded.write(out.data());
  CHECK(end == out.data() + out.size());
  CHECK(encoded.equals(out.data()));
  return std::string(out.begin(), out.end());
}

std::string text_of(const Item& item) {
  Item::Buffer buffer;
  return std::string(item.view(&buffer));
}

TEST_CASE("frozen bytes") {
  using std::string;
  CHECK(bytes_of(Encoded("")) == string(1, '\0'));
  CHECK(bytes_of(Encoded("abc")) ==
        "\x03"
        "abc");
  CHECK(bytes_of(Encoded(string(127, 'x'))) == "\x7f" + string(127, 'x'));
  CHECK(bytes_of(Encoded(string(128, 'x'))) == string("\xc6\x80\x00", 3) + string(128, 'x'));
  CHECK(bytes_of(Encoded(string(65536, 'x'))) ==
        string("\xc7\x00\x00\x01\x00", 5) + string(65536, 'x'));
  CHECK(bytes_of(Encoded("0")) == "\x80");
  CHECK(bytes_of(Encoded("63")) == "\xbf");
  CHECK(bytes_of(Encoded("64")) == "\xc0\x40");
  CHECK(bytes_of(Encoded("-1")) == "\xc0\xff");
  CHECK(bytes_of(Encoded("-128")) == "\xc0\x80");
  CHECK(bytes_of(Encoded("128")) == string("\xc1\x80\x00", 3));
  CHECK(bytes_of(Encoded("-32769")) == "\xc2\xff\x7f\xff");
  CHECK(bytes_of(Encoded(int64_t{8388608})) == string("\xc3\x00\x00\x80\x00", 5));
  CHECK(bytes_of(Encoded(int64_t{1} << 31)) == string("\xc4\x00\x00\x00\x80\x00\x00", 7));
  CHECK(bytes_of(Encoded(int64_t{1} << 47)) == string("\xc5\x00\x00\x00\x00\x00\x80\x00\x00", 9));
  CHECK(bytes_of(Encoded::score(0.5)) == string("\xc8\x00\x00\x00\x00\x00\x00\xe0\x3f", 9));
  CHECK(bytes_of(Encoded::score(-0.0)) == string("\xc8\x00\x00\x00\x00\x00\x00\x00\x80", 9));
  CHECK(bytes_of(Encoded::score(3)) == "\x83");
}

TEST_CASE("texts come back as they were, and canonical integers as integers") {
  std::vector<std::string> texts = {"",
                                    "a",
                                    "-",
                                    "-0",
                                    "01",
                                    "+1",
                                    " 1",
                                    "1 ",
                                    "1.0",
                                    "1e3",
                                    "9223372036854775808",
                                    "-9223372036854775809",
                                    std::string("1\0", 2),
                                    std::string(1, '\0')};
  for (size_t size : {1u, 126u, 127u, 128u, 255u, 65535u, 65536u, 70000u}) {
    texts.emplace_back(size, 'x');
  }
  for (const std::string& text : texts) {
    std::string bytes = bytes_of(Encoded(text));
    auto* at = reinterpret_cast<const uint8_t*>(bytes.data());
    Item item = read(at);
    CHECK(item.kind == Item::Kind::kText);
    CHECK(text_of(item) == text);
    CHECK(item.text_size() == text.size());
    CHECK(item.next == at + bytes.size());
    CHECK(next(at) == item.next);
  }
}

TEST_CASE("integers come back in the one shortest form") {
  std::mt19937_64 random(14);
  std::vector<int64_t> values = {
      0, 63, 64, -1, std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max()};
  for (int bit = 1; bit < 64; ++bit) {
    int64_t power = static_cast<int64_t>(uint64_t{1} << bit);
    for (int64_t near : {-1, 0, 1}) {
      values.push_back(
          static_cast<int64_t>(static_cast<uint64_t>(power) + static_cast<uint64_t>(near)));
      values.push_back(
          static_cast<int64_t>(-static_cast<uint64_t>(power) + static_cast<uint64_t>(near)));
    }
  }
  for (int i = 0; i < 1000; ++i) values.push_back(static_cast<int64_t>(random()) >> random() % 64);
  for (int64_t value : values) {
    CAPTURE(value);
    std::string text = std::to_string(value);
    std::string bytes = bytes_of(Encoded(value));
    CHECK(bytes == bytes_of(Encoded(text)));
    auto* at = reinterpret_cast<const uint8_t*>(bytes.data());
    Item item = read(at);
    CHECK(item.kind == Item::Kind::kInteger);
    CHECK(item.integer == value);
    CHECK(text_of(item) == text);
    CHECK(item.text_size() == text.size());
    CHECK(item.next == at + bytes.size());
    CHECK(next(at) == item.next);
    CHECK(bytes.size() <= text.size() + 1);
  }
}

TEST_CASE("scores come back bit by bit") {
  std::mt19937_64 random(15);
  std::vector<double> scores = {0,
                                -0.0,
                                1,
                                -1,
                                0.1,
                                1e300,
                                5e-324,
                                HUGE_VAL,
                                -HUGE_VAL,
                                9007199254740992.0,
                                9007199254740994.0,
                                -9007199254740992.0};
  for (int i = 0; i < 1000; ++i) scores.push_back(std::ldexp(static_cast<double>(random()), -40));
  for (double score : scores) {
    CAPTURE(score);
    std::string bytes = bytes_of(Encoded::score(score));
    auto* at = reinterpret_cast<const uint8_t*>(bytes.data());
    Item item = read(at);
    CHECK(item.score() == score);
    CHECK(std::signbit(item.score()) == std::signbit(score));
    CHECK(item.next == at + bytes.size());
    CHECK(next(at) == item.next);
  }
}

TEST_CASE("a run is walked from item to item, and searched at every stride") {
  std::mt19937_64 random(16);
  for (int round = 0; round < 200; ++round) {
    std::vector<std::string> texts;
    std::vector<uint8_t> value(kHeaderBytes);
    for (uint64_t i = random() % 40; i > 0; --i) {
      std::string text;
      switch (random() % 3) {
        case 0:
          text = std::to_string(static_cast<int64_t>(random()) >> random() % 64);
          break;
        case 1:
          text = std::string(random() % 4, static_cast<char>('a' + random() % 3));
          break;
        default:
          text = std::string(random() % 300, 'z');
      }
      Encoded encoded(text);
      size_t size = value.size();
      value.resize(size + encoded.size());
      encoded.write(value.data() + size);
      texts.push_back(text);
    }
    set_header(value.data(), static_cast<uint32_t>(value.size() - kHeaderBytes),
               static_cast<uint32_t>(texts.size()));
    CHECK(count(value.data()) == texts.size());
    CHECK(value_bytes(value.data()) == value.size());
    REQUIRE(end(value.data()) == value.data() + value.size());

    const uint8_t* at = begin(value.data());
    std::vector<const uint8_t*> places;
    for (const std::string& text : texts) {
      places.push_back(at);
      Item item = read(at);
      CHECK(text_of(item) == text);
      at = item.next;
    }
    CHECK(at == end(value.data()));

    for (uint32_t stride : {1u, 2u}) {
      if (texts.size() % stride != 0) continue;
      auto search = [&](const std::string& wanted) {
        return find(begin(value.data()), end(value.data()), Encoded(wanted), stride);
      };
      for (const std::string& text : texts) {
        const uint8_t* first = nullptr;
        for (size_t i = 0; i < texts.size() && first == nullptr; i += stride) {
          if (texts[i] == text) first = places[i];
        }
        CHECK(search(text) == first);
      }
      CHECK(search("not there") == nullptr);
      CHECK(search("4611686018427387905") == nullptr);
    }
  }
}

TEST_CASE("the header holds what it can hold") {
  uint8_t value[kHeaderBytes];
  set_header(value, kItemsBytesMax, 65535);
  CHECK(items_bytes(value) == 65535);
  CHECK(count(value) == 65535);
  CHECK(value_bytes(value) == kHeaderBytes + kItemsBytesMax);
}

}  // namespace
}  // namespace dyno::packed

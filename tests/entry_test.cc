// SPDX-License-Identifier: Apache-2.0
//
// Entries: their fields do not disturb each other, whatever the sizes of key and value.
#include "engine/entry.h"

#include <doctest/doctest.h>

#include <limits>
#include <random>
#include <string>
#include <vector>

namespace dyno {
namespace {

void fill(Entry* entry, std::string_view bytes) {
  bytes.copy(reinterpret_cast<char*>(entry->value()), bytes.size());
}

std::string value_of(const Entry* entry, size_t size) {
  return {reinterpret_cast<const char*>(entry->value()), size};
}

TEST_CASE("variable-length integers") {
  std::vector<uint64_t> values = {
      0, 1, 127, 128, 16383, 16384, std::numeric_limits<uint64_t>::max()};
  for (int bit = 0; bit < 64; ++bit) {
    values.push_back(uint64_t{1} << bit);
    values.push_back((uint64_t{1} << bit) - 1);
  }
  for (uint64_t value : values) {
    CAPTURE(value);
    uint8_t bytes[10];
    uint8_t* end = write_varint(bytes, value);
    CHECK(static_cast<size_t>(end - bytes) == varint_bytes(value));
    uint64_t read = ~value;
    CHECK(read_varint(bytes, &read) == end);
    CHECK(read == value);
  }
  CHECK(varint_bytes(127) == 1);
  CHECK(varint_bytes(128) == 2);
  CHECK(varint_bytes(std::numeric_limits<uint64_t>::max()) == 10);
}

TEST_CASE("zigzag") {
  CHECK(zigzag(0) == 0);
  CHECK(zigzag(-1) == 1);
  CHECK(zigzag(1) == 2);
  for (int64_t value : {int64_t{0}, int64_t{-1}, int64_t{1}, int64_t{123456789},
                        std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max()}) {
    CHECK(unzigzag(zigzag(value)) == value);
  }
}

TEST_CASE("names of types") {
  CHECK(type_name(Type::kString) == "string");
  CHECK(type_name(Type::kList) == "list");
  CHECK(type_name(Type::kSet) == "set");
  CHECK(type_name(Type::kZSet) == "zset");
  CHECK(type_name(Type::kHash) == "hash");
}

TEST_CASE("every field keeps what it was given") {
  for (size_t key_size : {0u, 1u, 16u, 127u, 128u, 16383u, 16384u, 100000u}) {
    for (bool has_deadline : {false, true}) {
      std::string key(key_size, 'k');
      std::string value = "some bytes of value";
      Entry* entry =
          Entry::make(Type::kZSet, Encoding::kLarge, 15, key, has_deadline, value.size());
      CHECK(entry->clock() == 0);
      fill(entry, value);
      if (has_deadline) entry->set_deadline(-5);
      entry->set_clock(Entry::kClockMask);
      CHECK(entry->type() == Type::kZSet);
      CHECK(entry->encoding() == Encoding::kLarge);
      CHECK(entry->db() == 15);
      CHECK(entry->has_deadline() == has_deadline);
      CHECK(entry->key() == key);
      if (has_deadline) CHECK(entry->deadline() == -5);
      entry->set_db(0);
      entry->set_encoding(Encoding::kRaw);
      entry->set_clock(5);
      CHECK(entry->type() == Type::kZSet);
      CHECK(entry->encoding() == Encoding::kRaw);
      CHECK(entry->db() == 0);
      CHECK(entry->clock() == 5);
      CHECK(entry->has_deadline() == has_deadline);
      CHECK(entry->key() == key);
      CHECK(value_of(entry, value.size()) == value);
      CHECK(entry->head_bytes() + value.size() <= memory::usable_bytes(entry));
      memory::release(entry);
    }
  }
}

TEST_CASE("a small string costs little more than its bytes") {
  Entry* entry = Entry::make(Type::kString, Encoding::kRaw, 0, std::string(16, 'k'), false, 33);
  CHECK(entry->head_bytes() == 4 + 1 + 16);
  CHECK(memory::usable_bytes(entry) <= 56);
  memory::release(entry);
}

TEST_CASE("strings and pointers in the value") {
  std::string text(300, 't');
  Entry* entry = Entry::make(Type::kString, Encoding::kRaw, 3, "key", true, 2 + text.size());
  entry->set_deadline(77);
  uint8_t* at = write_varint(entry->value(), text.size());
  text.copy(reinterpret_cast<char*>(at), text.size());
  CHECK(entry->text() == text);
  CHECK_FALSE(entry->is_number());
  CHECK(entry->deadline() == 77);
  memory::release(entry);

  for (int64_t number : {int64_t{0}, int64_t{-1}, std::numeric_limits<int64_t>::min(),
                         std::numeric_limits<int64_t>::max()}) {
    Entry* counter = Entry::make(Type::kString, Encoding::kNumber, 0, "n", false, 10);
    write_varint(counter->value(), zigzag(number));
    CHECK(counter->is_number());
    CHECK(counter->number() == number);
    memory::release(counter);
  }

  int object = 0;
  Entry* large = Entry::make(Type::kHash, Encoding::kLarge, 0, "h", false, sizeof(int*));
  large->set_large(&object);
  CHECK(large->large<int>() == &object);
  memory::release(large);
}

TEST_CASE("resizing keeps key, deadline, clock and the first bytes of the value") {
  std::mt19937 random(17);
  for (int round = 0; round < 200; ++round) {
    std::string key(random() % 40, 'k');
    bool has_deadline = random() % 2 == 0;
    std::string value(random() % 100, 'v');
    Entry* entry = Entry::make(Type::kHash, Encoding::kPacked, 7, key, has_deadline, value.size());
    if (has_deadline) entry->set_deadline(123);
    entry->set_clock(99);
    fill(entry, value);
    for (int step = 0; step < 20; ++step) {
      size_t size = random() % (step % 5 == 0 ? 5000 : 200);
      size_t kept = std::min(size, value.size());
      entry = Entry::resize_value(entry, size, kept);
      CHECK(entry->head_bytes() + size <= memory::usable_bytes(entry));
      CHECK(value_of(entry, kept) == value.substr(0, kept));
      value = std::string(size, static_cast<char>('a' + step));
      fill(entry, value);
      CHECK(entry->key() == key);
      CHECK(entry->clock() == 99);
      CHECK(entry->db() == 7);
      if (has_deadline) CHECK(entry->deadline() == 123);
    }
    memory::release(entry);
  }
}

TEST_CASE("a deadline comes and goes") {
  std::string value = "0123456789";
  Entry* entry = Entry::make(Type::kSet, Encoding::kIntegers, 2, "key", false, value.size());
  entry->set_clock(42);
  fill(entry, value);
  entry = Entry::with_deadline(entry, true, value.size());
  entry->set_deadline(1234567890123);
  CHECK(value_of(entry, value.size()) == value);
  CHECK(entry->deadline() == 1234567890123);
  CHECK(entry->clock() == 42);
  Entry* like = Entry::make_like(entry, Type::kString, Encoding::kRaw, 1);
  CHECK(like->key() == "key");
  CHECK(like->db() == 2);
  CHECK(like->clock() == 42);
  CHECK(like->deadline() == 1234567890123);
  CHECK(like->type() == Type::kString);
  memory::release(like);
  entry = Entry::with_deadline(entry, false, value.size());
  CHECK_FALSE(entry->has_deadline());
  CHECK(value_of(entry, value.size()) == value);
  CHECK(entry->encoding() == Encoding::kIntegers);
  CHECK(entry->db() == 2);
  CHECK(entry->clock() == 42);
  memory::release(entry);
}

}  // namespace
}  // namespace dyno

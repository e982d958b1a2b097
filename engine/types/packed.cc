// SPDX-License-Identifier: Apache-2.0
#include "engine/types/packed.h"

#include <array>
#include <cmath>
#include <iterator>

#include "protocol/check.h"

namespace dyno::packed {
namespace {

constexpr uint8_t kTextShortMax = 0x7f;
constexpr uint8_t kSmallInteger = 0x80;
constexpr int64_t kSmallIntegerMax = 63;
constexpr uint8_t kInteger8 = 0xc0;
constexpr uint8_t kText16 = 0xc6;
constexpr uint8_t kText32 = 0xc7;
constexpr uint8_t kDouble = 0xc8;

// Bytes of the integer behind the tags 0xc0 to 0xc5.
constexpr uint8_t kIntegerBytes[6] = {1, 2, 3, 4, 6, 8};

// Bytes of an item by its tag; 0 for texts that say their size themselves.
constexpr std::array<uint8_t, 256> kItemBytes = [] {
  std::array<uint8_t, 256> bytes{};
  for (unsigned tag = 0; tag < kInteger8; ++tag) {
    bytes[tag] = static_cast<uint8_t>(tag <= kTextShortMax ? 1 + tag : 1);
  }
  for (unsigned i = 0; i < std::size(kIntegerBytes); ++i) {
    bytes[kInteger8 + i] = static_cast<uint8_t>(1 + kIntegerBytes[i]);
  }
  bytes[kDouble] = 1 + sizeof(double);
  return bytes;
}();

int64_t read_integer(const uint8_t* at, uint8_t bytes) {
  uint64_t raw = 0;
  std::memcpy(&raw, at, bytes);
  int unused = 64 - 8 * bytes;
  return static_cast<int64_t>(raw << unused) >> unused;
}

uint64_t read_size(const uint8_t* at, uint8_t bytes) {
  uint64_t size = 0;
  std::memcpy(&size, at, bytes);
  return size;
}

}  // namespace

Item read(const uint8_t* at) {
  Item item{};
  uint8_t tag = *at++;
  if (tag <= kTextShortMax) {
    item.kind = Item::Kind::kText;
    item.text = {reinterpret_cast<const char*>(at), tag};
    item.next = at + tag;
  } else if (tag < kInteger8) {
    item.kind = Item::Kind::kInteger;
    item.integer = tag - kSmallInteger;
    item.next = at;
  } else if (tag < kText16) {
    uint8_t bytes = kIntegerBytes[tag - kInteger8];
    item.kind = Item::Kind::kInteger;
    item.integer = read_integer(at, bytes);
    item.next = at + bytes;
  } else if (tag == kDouble) {
    item.kind = Item::Kind::kDouble;
    std::memcpy(&item.number, at, sizeof(item.number));
    item.next = at + sizeof(item.number);
  } else {
    DYNO_CHECK(tag <= kText32);
    uint8_t size_bytes = tag == kText16 ? 2 : 4;
    uint64_t size = read_size(at, size_bytes);
    item.kind = Item::Kind::kText;
    item.text = {reinterpret_cast<const char*>(at + size_bytes), size};
    item.next = at + size_bytes + size;
  }
  return item;
}

const uint8_t* next(const uint8_t* at) {
  uint8_t tag = *at;
  if (kItemBytes[tag] != 0) [[likely]]
    return at + kItemBytes[tag];
  uint8_t size_bytes = tag == kText16 ? 2 : 4;
  return at + 1 + size_bytes + read_size(at + 1, size_bytes);
}

size_t Item::text_size() const {
  if (kind == Kind::kText) return text.size();
  Buffer buffer;
  return format_int64(integer, buffer.bytes);
}

void Encoded::set_integer(int64_t value) {
  if (value >= 0 && value <= kSmallIntegerMax) {
    head_[0] = static_cast<uint8_t>(kSmallInteger + value);
    head_size_ = 1;
    return;
  }
  for (uint8_t i = 0; i < 6; ++i) {
    uint8_t bytes = kIntegerBytes[i];
    int unused = 64 - 8 * bytes;
    if ((static_cast<int64_t>(static_cast<uint64_t>(value) << unused) >> unused) != value) continue;
    head_[0] = static_cast<uint8_t>(kInteger8 + i);
    std::memcpy(head_ + 1, &value, bytes);
    head_size_ = static_cast<uint8_t>(1 + bytes);
    return;
  }
}

Encoded::Encoded(int64_t integer) {
  set_integer(integer);
}

Encoded::Encoded(std::string_view text) {
  int64_t integer;
  if (is_canonical_int64(text, &integer)) {
    set_integer(integer);
    return;
  }
  text_ = text;
  uint64_t size = text.size();
  if (size <= kTextShortMax) {
    head_[0] = static_cast<uint8_t>(size);
    head_size_ = 1;
  } else if (size <= UINT16_MAX) {
    head_[0] = kText16;
    std::memcpy(head_ + 1, &size, 2);
    head_size_ = 3;
  } else {
    DYNO_CHECK(size <= UINT32_MAX);
    head_[0] = kText32;
    std::memcpy(head_ + 1, &size, 4);
    head_size_ = 5;
  }
}

Encoded Encoded::score(double value) {
  constexpr double kWholeMax = 9007199254740992.0;  // 2^53
  Encoded encoded;
  bool negative_zero = value == 0 && std::signbit(value);
  if (std::fabs(value) <= kWholeMax && value == std::trunc(value) && !negative_zero) {
    encoded.set_integer(static_cast<int64_t>(value));
  } else {
    encoded.head_[0] = kDouble;
    std::memcpy(encoded.head_ + 1, &value, sizeof(value));
    encoded.head_size_ = 9;
  }
  return encoded;
}

namespace {

uint64_t load_word(const uint8_t* at) {
  uint64_t word;
  std::memcpy(&word, at, sizeof(word));
  return word;
}

// next(), made for runs of short texts, and for those with numbers between them.
inline const uint8_t* step(const uint8_t* at) {
  return *at <= kTextShortMax ? at + 1 + *at : next(at);
}
inline const uint8_t* step_mixed(const uint8_t* at) {
  uint8_t tag = *at;
  if (tag <= kTextShortMax) return at + 1 + tag;
  return kItemBytes[tag] != 0 ? at + kItemBytes[tag] : next(at);
}
template <uint32_t kStride>
inline const uint8_t* step_all(const uint8_t* at) {
  if constexpr (kStride == 1) return step(at);
  for (uint32_t i = 0; i < kStride; ++i) at = step_mixed(at);
  return at;
}

// The bytes that are compared never reach behind the run: equal tags mean equal sizes, but for the
// longest texts, and those are measured first.
template <uint32_t kStride>
const uint8_t* find_any(const uint8_t* at, const uint8_t* end, const Encoded& wanted) {
  for (; at < end; at = step_all<kStride>(at)) {
    if (static_cast<size_t>(next(at) - at) == wanted.size() && wanted.equals(at)) return at;
  }
  return nullptr;
}

// Items of up to a word are equal when their words are, bytes behind them left out.
template <uint32_t kStride>
const uint8_t* find_word(const uint8_t* at, const uint8_t* end, const Encoded& wanted) {
  uint8_t bytes[sizeof(uint64_t)] = {};
  wanted.write(bytes);
  uint64_t word = load_word(bytes);
  uint64_t mask =
      wanted.size() == sizeof(word) ? ~uint64_t{0} : (uint64_t{1} << (8 * wanted.size())) - 1;
  for (; end - at >= static_cast<ptrdiff_t>(sizeof(word)); at = step_all<kStride>(at)) {
    if ((load_word(at) & mask) == word) return at;
  }
  return find_any<kStride>(at, end, wanted);
}

// Of longer items with a tag of one byte the last words are compared first: names of one kind often
// begin alike.
template <uint32_t kStride>
const uint8_t* find_tail(const uint8_t* at, const uint8_t* end, const Encoded& wanted) {
  uint8_t tag = wanted.tag();
  size_t tail_at = wanted.size() - sizeof(uint64_t);
  uint64_t tail = load_word(wanted.tail());
  for (; at < end; at = step_all<kStride>(at)) {
    if (*at == tag && load_word(at + tail_at) == tail && wanted.equals(at)) return at;
  }
  return nullptr;
}

template <uint32_t kStride>
const uint8_t* find_stride(const uint8_t* at, const uint8_t* end, const Encoded& wanted) {
  if (wanted.size() <= sizeof(uint64_t)) return find_word<kStride>(at, end, wanted);
  if (wanted.tag() < kText16) return find_tail<kStride>(at, end, wanted);
  return find_any<kStride>(at, end, wanted);
}

}  // namespace

const uint8_t* find(const uint8_t* at, const uint8_t* end, const Encoded& wanted, uint32_t stride) {
  switch (stride) {
    case 1:
      return find_stride<1>(at, end, wanted);
    case 2:
      return find_stride<2>(at, end, wanted);
    default:
      DYNO_CHECK(stride == 3);
      return find_stride<3>(at, end, wanted);
  }
}

}  // namespace dyno::packed

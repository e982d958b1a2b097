// SPDX-License-Identifier: Apache-2.0
//
// Small collections: a run of items inside the entry, read from the front.
//
//   packed  := bytes:u16 count:u16 item*                 bytes: the size of all items together
//   item    := 0x00..0x7f byte[tag]                      a text of up to 127 bytes
//            | 0x80..0xbf                                an integer of 0 to 63
//            | 0xc0 i8 | 0xc1 i16 | 0xc2 i24 | 0xc3 i32 | 0xc4 i48 | 0xc5 i64
//            | 0xc6 size:u16 byte[size] | 0xc7 size:u32 byte[size]
//            | 0xc8 f64                                  a double, where the collection says so
//
// All little endian. A text that is a canonical int64 is always an integer item, and every integer
// has the one shortest form, so that two items are equal exactly when their bytes are: a search
// encodes what it looks for once and compares bytes. A list's nodes are runs of the same items.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

#include "protocol/number.h"

namespace dyno::packed {

inline constexpr size_t kHeaderBytes = 4;
// All items of one packed value. Collections turn large before this.
inline constexpr size_t kItemsBytesMax = 65535;

// One item, decoded. A text is a view into the run.
struct Item {
  enum class Kind : uint8_t { kText, kInteger, kDouble };
  Kind kind;
  std::string_view text;
  int64_t integer;
  double number;
  const uint8_t* next;  // The item that follows.

  // The item as bytes; integers are written into `buffer`.
  struct Buffer {
    char bytes[kInt64TextMax];
  };
  [[nodiscard]] std::string_view view(Buffer* buffer) const {
    if (kind == Kind::kText) return text;
    return {buffer->bytes, format_int64(integer, buffer->bytes)};
  }
  // The item as a score: integer and double items only.
  [[nodiscard]] double score() const {
    return kind == Kind::kInteger ? static_cast<double>(integer) : number;
  }
  [[nodiscard]] size_t text_size() const;
};

[[nodiscard]] Item read(const uint8_t* at);
// The item after the one at `at`.
[[nodiscard]] const uint8_t* next(const uint8_t* at);

// An item about to be written or searched: a header and, for texts, the caller's bytes.
class Encoded {
 public:
  explicit Encoded(std::string_view text);
  explicit Encoded(int64_t integer);
  // A score: an integer item when it is whole and prints the same, else a double.
  [[nodiscard]] static Encoded score(double value);

  [[nodiscard]] size_t size() const { return head_size_ + text_.size(); }
  [[nodiscard]] uint8_t tag() const { return head_[0]; }
  // The last eight bytes of an item of more.
  [[nodiscard]] const uint8_t* tail() const {
    if (text_.empty()) return head_ + head_size_ - 8;
    return reinterpret_cast<const uint8_t*>(text_.data() + text_.size()) - 8;
  }
  uint8_t* write(uint8_t* at) const {
    std::memcpy(at, head_, head_size_);
    if (!text_.empty()) std::memcpy(at + head_size_, text_.data(), text_.size());
    return at + size();
  }
  [[nodiscard]] bool equals(const uint8_t* at) const {
    return std::memcmp(at, head_, head_size_) == 0 &&
           (text_.empty() || std::memcmp(at + head_size_, text_.data(), text_.size()) == 0);
  }

 private:
  Encoded() = default;
  void set_integer(int64_t value);

  uint8_t head_[9];
  uint8_t head_size_ = 0;
  std::string_view text_;
};

// Header access of a packed value at `value`.
[[nodiscard]] inline uint32_t items_bytes(const uint8_t* value) {
  uint16_t bytes;
  std::memcpy(&bytes, value, 2);
  return bytes;
}
[[nodiscard]] inline uint32_t count(const uint8_t* value) {
  uint16_t count;
  std::memcpy(&count, value + 2, 2);
  return count;
}
inline void set_header(uint8_t* value, uint32_t bytes, uint32_t count) {
  auto narrow_bytes = static_cast<uint16_t>(bytes);
  auto narrow_count = static_cast<uint16_t>(count);
  std::memcpy(value, &narrow_bytes, 2);
  std::memcpy(value + 2, &narrow_count, 2);
}
[[nodiscard]] inline const uint8_t* begin(const uint8_t* value) {
  return value + kHeaderBytes;
}
[[nodiscard]] inline const uint8_t* end(const uint8_t* value) {
  return value + kHeaderBytes + items_bytes(value);
}
[[nodiscard]] inline size_t value_bytes(const uint8_t* value) {
  return kHeaderBytes + items_bytes(value);
}

// The first item in [at, end) equal to `wanted`, looking at every `stride`th (1 to 3), or null.
[[nodiscard]] const uint8_t* find(const uint8_t* at, const uint8_t* end, const Encoded& wanted,
                                  uint32_t stride = 1);

}  // namespace dyno::packed

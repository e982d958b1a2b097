// SPDX-License-Identifier: Apache-2.0
//
// One key with its value, in one allocation.
//
//   entry    := meta:u32 key_size:varint key deadline:i64? value
//   meta     := type:3 encoding:3 has_deadline:1 has_copy:1 db:4 clock:20      low bits first
//   value    := text | number | packed | large | nothing
//   text     := size:varint byte[size]                  encodings kRaw, kRawEdited of a string
//   number   := zigzag varint                           encoding kNumber of a string
//   packed   := see packed.h                            encodings kPacked, kPackedTimed
//   large    := pointer:u64                             encodings kLarge of a collection; owned
//   nothing  :=                                         encoding kCold: the value is on disk
//
// has_copy: the value is in memory and on disk, the same (cold_keys.h).
//
// The clock is the time of the last access for eviction: seconds modulo 2^20, or with an LFU policy
// a logarithmic counter (8 bits) and the minute of its last decay (12 bits). Entries are plain
// memory: whoever removes one from its table frees what its value owns first.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

#include "engine/memory.h"

namespace dyno {

enum class Type : uint8_t { kString = 0, kList = 1, kSet = 2, kZSet = 3, kHash = 4 };
inline constexpr int kTypeCount = 5;

// What TYPE answers.
[[nodiscard]] std::string_view type_name(Type type);

enum class Encoding : uint8_t {
  kRaw = 0,          // A string as it was set.
  kNumber = 1,       // A string that is a canonical int64.
  kRawEdited = 2,    // A string changed in place; only OBJECT ENCODING tells it from kRaw.
  kPacked = 3,       // A small collection inside the entry.
  kIntegers = 4,     // A set of integers inside the entry, sorted.
  kLarge = 5,        // A collection of its own allocations.
  kPackedTimed = 6,  // A small hash inside the entry, some of whose fields had a deadline.
  kCold = 7,         // Of any type: no value here (cold_keys.h).
};

// Variable-length unsigned integers: seven bits a byte, low ones first.
[[nodiscard]] inline size_t varint_bytes(uint64_t value) {
  return value < 128 ? 1 : (70 - static_cast<size_t>(__builtin_clzll(value))) / 7;
}
inline uint8_t* write_varint(uint8_t* at, uint64_t value) {
  while (value >= 128) {
    *at++ = static_cast<uint8_t>(value | 128);
    value >>= 7;
  }
  *at++ = static_cast<uint8_t>(value);
  return at;
}
inline const uint8_t* read_varint(const uint8_t* at, uint64_t* value) {
  uint64_t byte = *at++;
  if (byte < 128) [[likely]] {
    *value = byte;
    return at;
  }
  uint64_t sum = byte & 127;
  for (int shift = 7;; shift += 7) {
    byte = *at++;
    sum |= (byte & 127) << shift;
    if (byte < 128) break;
  }
  *value = sum;
  return at;
}
[[nodiscard]] inline uint64_t zigzag(int64_t value) {
  return (static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63);
}
[[nodiscard]] inline int64_t unzigzag(uint64_t value) {
  return static_cast<int64_t>(value >> 1) ^ -static_cast<int64_t>(value & 1);
}

class Entry {
 public:
  static constexpr uint32_t kClockBits = 20;
  static constexpr uint32_t kClockMask = (1u << kClockBits) - 1;

  // An entry whose value of `value_bytes` is yet to be written; clock 0.
  [[nodiscard]] static Entry* make(Type type, Encoding encoding, int db, std::string_view key,
                                   bool has_deadline, size_t value_bytes);
  // The same key, database, clock, deadline and has_copy with another type and value.
  [[nodiscard]] static Entry* make_like(const Entry* model, Type type, Encoding encoding,
                                        size_t value_bytes);
  // Makes room for a value of `value_bytes`, keeping the first `kept_bytes` of it. Returns where
  // the entry now is; the old address is no longer valid if it differs.
  [[nodiscard]] static Entry* resize_value(Entry* entry, size_t value_bytes, size_t kept_bytes);
  // Adds or removes the place for the deadline. `value_bytes` is the size of the value as it
  // stands.
  [[nodiscard]] static Entry* with_deadline(Entry* entry, bool has_deadline, size_t value_bytes);

  [[nodiscard]] Type type() const { return static_cast<Type>(meta_ & 7); }
  [[nodiscard]] Encoding encoding() const { return static_cast<Encoding>((meta_ >> 3) & 7); }
  void set_encoding(Encoding encoding) {
    meta_ = (meta_ & ~(7u << 3)) | (static_cast<uint32_t>(encoding) << 3);
  }
  [[nodiscard]] bool has_deadline() const { return (meta_ >> 6) & 1; }
  [[nodiscard]] bool has_copy() const { return (meta_ >> 7) & 1; }
  void set_has_copy(bool has_copy) {
    meta_ = (meta_ & ~(1u << 7)) | (static_cast<uint32_t>(has_copy) << 7);
  }
  [[nodiscard]] int db() const { return static_cast<int>((meta_ >> 8) & 15); }
  void set_db(int db) { meta_ = (meta_ & ~(15u << 8)) | (static_cast<uint32_t>(db) << 8); }
  [[nodiscard]] uint32_t clock() const { return meta_ >> 12; }
  void set_clock(uint32_t clock) { meta_ = (meta_ & 0xfff) | (clock << 12); }

  [[nodiscard]] std::string_view key() const {
    uint64_t size;
    const uint8_t* at = read_varint(bytes(), &size);
    return {reinterpret_cast<const char*>(at), size};
  }
  // Milliseconds of Unix time at which the key is gone; only with has_deadline().
  [[nodiscard]] int64_t deadline() const {
    int64_t at;
    std::memcpy(&at, after_key(), sizeof(at));
    return at;
  }
  void set_deadline(int64_t at_ms) { std::memcpy(after_key(), &at_ms, sizeof(at_ms)); }

  [[nodiscard]] uint8_t* value() { return after_key() + (has_deadline() ? 8 : 0); }
  [[nodiscard]] const uint8_t* value() const { return const_cast<Entry*>(this)->value(); }
  // Bytes before the value.
  [[nodiscard]] size_t head_bytes() const {
    return static_cast<size_t>(value() - reinterpret_cast<const uint8_t*>(this));
  }

  // A collection's own object, encodings kLarge.
  template <class T>
  [[nodiscard]] T* large() const {
    T* object;
    std::memcpy(&object, value(), sizeof(object));
    return object;
  }
  template <class T>
  void set_large(T* object) {
    std::memcpy(value(), &object, sizeof(object));
  }

  // Strings.
  [[nodiscard]] bool is_number() const { return encoding() == Encoding::kNumber; }
  [[nodiscard]] std::string_view text() const {
    uint64_t size;
    const uint8_t* at = read_varint(value(), &size);
    return {reinterpret_cast<const char*>(at), size};
  }
  [[nodiscard]] int64_t number() const {
    uint64_t raw;
    read_varint(value(), &raw);
    return unzigzag(raw);
  }

 private:
  [[nodiscard]] uint8_t* bytes() { return reinterpret_cast<uint8_t*>(this) + sizeof(meta_); }
  [[nodiscard]] const uint8_t* bytes() const {
    return reinterpret_cast<const uint8_t*>(this) + sizeof(meta_);
  }
  [[nodiscard]] uint8_t* after_key() const {
    uint64_t size;
    const uint8_t* at = read_varint(bytes(), &size);
    return const_cast<uint8_t*>(at) + size;
  }

  uint32_t meta_;
};
static_assert(sizeof(Entry) == 4);

}  // namespace dyno

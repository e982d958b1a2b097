// SPDX-License-Identifier: Apache-2.0
//
// Frames put together part by part, from the grammar in engine/replica/delta.h and without the
// writer, for tests of what a frame's bytes mean and of frames that no writer makes.
#pragma once

#include <xxhash.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "engine/replica/delta.h"

namespace dyno {

inline constexpr int64_t kSomeMs = kStampEpochMs + 1000;
inline constexpr Stamp kS = make_stamp(kSomeMs, 2, 1);
inline constexpr Stamp kOldest = make_stamp(kStampEpochMs, 0, 1);
inline constexpr Stamp kNewest = UINT64_MAX;

// Parts in the order in which they are asked for, as a frame holds them.
class Bytes {
 public:
  Bytes& u8(unsigned value) { return append(static_cast<uint8_t>(value)); }
  Bytes& u16(uint16_t value) { return append(value); }
  Bytes& u32(uint32_t value) { return append(value); }
  Bytes& u64(uint64_t value) { return append(value); }
  Bytes& f64(double value) { return append(value); }
  Bytes& i128(__int128 value) { return append(value); }
  Bytes& raw(std::string_view bytes) {
    text_ += bytes;
    return *this;
  }
  Bytes& text(std::string_view bytes) { return varint(bytes.size()).raw(bytes); }
  Bytes& varint(uint64_t value) {
    for (; value >= 128; value >>= 7) u8(static_cast<unsigned>(value & 127) | 128);
    return u8(static_cast<unsigned>(value));
  }
  // The head of a delta of the key "k" in database 0.
  Bytes& delta(uint64_t facts, std::string_view key = "k", unsigned db = 0, Stamp stamp = kS) {
    return u8(db).u64(stamp).text(key).varint(facts);
  }
  // Kind and age of a fact with the delta's stamp.
  Bytes& fact(FactKind kind) { return u8(static_cast<unsigned>(kind)).u8(0); }

  [[nodiscard]] const std::string& str() const { return text_; }

 private:
  template <class T>
  Bytes& append(T value) {
    text_.append(reinterpret_cast<const char*>(&value), sizeof(value));
    return *this;
  }

  std::string text_;
};

inline std::string frame_of(std::string_view body) {
  const auto checksum = static_cast<uint32_t>(XXH3_64bits(body.data(), body.size()));
  return Bytes().u16(0x44f1).u8(1).u32(checksum).varint(body.size()).raw(body).str();
}
inline std::string frame_of(const Bytes& body) {
  return frame_of(std::string_view(body.str()));
}

}  // namespace dyno

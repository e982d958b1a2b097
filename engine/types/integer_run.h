// SPDX-License-Identifier: Apache-2.0
//
// A sorted run of different integers inside an entry: a set whose members are all integers.
//
//   run := head:u32 integer*            head = count * 4 + width code; little endian
//   width code: 1, 2, 3 for integers of 2, 4, 8 bytes, the narrowest that hold every one ever added
#pragma once

#include <cstdint>
#include <cstring>

namespace dyno::integer_run {

inline constexpr size_t kHeadBytes = 4;
// Wider runs would cost too much to insert into.
inline constexpr uint32_t kCountMax = 1u << 17;

[[nodiscard]] inline uint32_t head(const uint8_t* run) {
  uint32_t head;
  std::memcpy(&head, run, sizeof(head));
  return head;
}
[[nodiscard]] inline uint32_t count(const uint8_t* run) {
  return head(run) >> 2;
}
[[nodiscard]] inline uint32_t width(const uint8_t* run) {
  return 1u << (head(run) & 3);
}
inline void set_head(uint8_t* run, uint32_t count, uint32_t width) {
  uint32_t head = count << 2 | static_cast<uint32_t>(__builtin_ctz(width));
  std::memcpy(run, &head, sizeof(head));
}
[[nodiscard]] inline size_t bytes(uint32_t count, uint32_t width) {
  return kHeadBytes + size_t{count} * width;
}
[[nodiscard]] inline size_t bytes(const uint8_t* run) {
  return bytes(count(run), width(run));
}

[[nodiscard]] inline uint32_t width_of(int64_t value) {
  if (value == static_cast<int16_t>(value)) return 2;
  return value == static_cast<int32_t>(value) ? 4 : 8;
}

[[nodiscard]] inline int64_t read(const uint8_t* run, uint32_t index, uint32_t width) {
  const uint8_t* at = run + bytes(index, width);
  if (width == 2) {
    int16_t value;
    std::memcpy(&value, at, 2);
    return value;
  }
  if (width == 4) {
    int32_t value;
    std::memcpy(&value, at, 4);
    return value;
  }
  int64_t value;
  std::memcpy(&value, at, 8);
  return value;
}
[[nodiscard]] inline int64_t read(const uint8_t* run, uint32_t index) {
  return read(run, index, width(run));
}
inline void write(uint8_t* run, uint32_t index, uint32_t width, int64_t value) {
  std::memcpy(run + bytes(index, width), &value, width);
}

// The index of `value`, or of the first integer above it; `found` tells which.
[[nodiscard]] inline uint32_t search(const uint8_t* run, int64_t value, bool* found) {
  uint32_t size = count(run);
  uint32_t each = width(run);
  uint32_t low = 0;
  uint32_t high = size;
  // Members often come in ascending order.
  if (size != 0 && read(run, size - 1, each) < value) low = size;
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    if (read(run, middle, each) < value) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  *found = low < size && read(run, low, each) == value;
  return low;
}

}  // namespace dyno::integer_run

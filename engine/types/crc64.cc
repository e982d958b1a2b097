// SPDX-License-Identifier: Apache-2.0
#include "engine/types/crc64.h"

#include <array>

namespace dyno {
namespace {

constexpr uint64_t kPolynomial = 0x95ac9329ac4bc9b5;  // 0xad93d23594c935a9, its bits reversed.

using Slices = std::array<std::array<uint64_t, 256>, 8>;

// kSlices[n][b]: what byte b does to the checksum when n bytes follow it.
constexpr Slices make_slices() {
  Slices slices{};
  for (uint64_t byte = 0; byte < 256; ++byte) {
    uint64_t sum = byte;
    for (int bit = 0; bit < 8; ++bit) sum = (sum >> 1) ^ ((sum & 1) != 0 ? kPolynomial : 0);
    slices[0][byte] = sum;
  }
  for (size_t n = 1; n < slices.size(); ++n) {
    for (size_t byte = 0; byte < 256; ++byte) {
      uint64_t sum = slices[n - 1][byte];
      slices[n][byte] = slices[0][sum & 0xff] ^ (sum >> 8);
    }
  }
  return slices;
}

constexpr Slices kSlices = make_slices();

}  // namespace

uint64_t crc64(std::string_view bytes) {
  uint64_t sum = 0;
  const auto* at = reinterpret_cast<const uint8_t*>(bytes.data());
  size_t left = bytes.size();
  for (; left >= 8; left -= 8, at += 8) {
    for (size_t i = 0; i < 8; ++i) sum ^= uint64_t{at[i]} << (8 * i);
    uint64_t next = 0;
    for (size_t i = 0; i < 8; ++i) next ^= kSlices[7 - i][(sum >> (8 * i)) & 0xff];
    sum = next;
  }
  for (; left > 0; --left, ++at) sum = kSlices[0][(sum ^ *at) & 0xff] ^ (sum >> 8);
  return sum;
}

}  // namespace dyno

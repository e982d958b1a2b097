// SPDX-License-Identifier: Apache-2.0
//
// HyperLogLog sketches as strings of bytes, in the format of Redis, so that GET and SET carry them
// between the two: 16384 registers of 6 bits, each the highest rank seen among the elements whose
// hash chose it. The same elements in the same order give the same bytes as in Redis.
//
//   sketch   := "HYLL" encoding:u8 zero:u8[3] count:u64 registers        little endian
//   encoding := 0 dense | 1 sparse
//   count    := the estimate when it was last asked for; its top bit is set when it is out of date
//   dense    := 16384 numbers of 6 bits, low bits first: 12288 bytes
//   sparse   := opcode*, which together cover the 16384 registers in order
//   opcode   := 00 run:6              run + 1 registers that are 0
//             | 01 run:14             the same, high bits first
//             | 1 value:5 run:2       run + 1 registers that are value + 1
//
// Bytes may come from anyone by SET: everything here reads only what is there and says when it is
// not a sketch.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace dyno::sketch {

inline constexpr uint32_t kRegisterCount = 16384;
inline constexpr size_t kHeaderBytes = 16;
inline constexpr size_t kDenseBytes = kHeaderBytes + kRegisterCount * 6 / 8;
// Where the count is, and the byte of it that says whether it is out of date.
inline constexpr size_t kCountOffset = 8;
inline constexpr size_t kCountBytes = 8;
inline constexpr size_t kStaleOffset = kCountOffset + kCountBytes - 1;

using Registers = std::array<uint8_t, kRegisterCount>;

// Which register an element belongs to, and its rank there: 1 to 51.
struct Place {
  uint32_t index;
  uint8_t rank;
};
[[nodiscard]] Place place_of(std::string_view element);

// The header is a sketch's, and a dense one is as long as it must be. Sparse registers may still
// turn out to be damaged. All functions below take such bytes only.
[[nodiscard]] bool is_sketch(std::string_view bytes);
[[nodiscard]] bool is_dense(std::string_view sketch);

// No element: sparse, with a count of 0 that is up to date.
[[nodiscard]] std::string empty();

// All registers can be read.
[[nodiscard]] bool is_intact(std::string_view sketch);

// The count in the header unless it is out of date.
[[nodiscard]] std::optional<uint64_t> known_count(std::string_view sketch);
void set_count(uint8_t* sketch, uint64_t count);
inline void set_stale(uint8_t* sketch) {
  sketch[kStaleOffset] |= 0x80;
}

// The estimate from the registers; nothing when they are damaged.
[[nodiscard]] std::optional<uint64_t> estimate(std::string_view sketch);
[[nodiscard]] uint64_t estimate(const Registers& registers);

// Raises each register to the sketch's; false when that is damaged, and then some may be raised.
[[nodiscard]] bool merge_into(Registers* registers, std::string_view sketch);

// One register of a dense sketch.
[[nodiscard]] uint8_t dense_register(const uint8_t* sketch, uint32_t index);
void set_dense_register(uint8_t* sketch, uint32_t index, uint8_t value);

enum class Raised { kNo, kYes, kDamaged };
// Raises a register to the place's rank. A sparse sketch becomes dense when it would outgrow
// `sparse_bytes_max`, its header included, or cannot hold the rank. The count is marked out of date
// when something changed.
[[nodiscard]] Raised raise(std::string* sketch, Place place, size_t sparse_bytes_max);

// Does nothing to a dense one; false when the registers are damaged.
[[nodiscard]] bool make_dense(std::string* sketch);

// Opcodes of a sparse sketch for people: "z:17 v:3,1 Z:16366".
[[nodiscard]] std::string describe_sparse(std::string_view sketch);

}  // namespace dyno::sketch

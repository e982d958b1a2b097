// SPDX-License-Identifier: Apache-2.0
//
// Where a key lives: its token (32 bits, the ring's coordinate) and its slot (the token's top 14
// bits, the unit of locking, scanning, expiring and, later, of comparing and streaming).
//
// A key's token hashes only the part inside its first non-empty {...}, so that keys which share a
// hash tag share a slot. The hash is XXH3 (64 bits, seeded with the cluster's hash_seed); the token
// is its upper half. These are promises to every node of a ring and never change.
#pragma once

#include <cstdint>
#include <string_view>

namespace dyno {

inline constexpr uint32_t kSlotBits = 14;
inline constexpr uint32_t kSlotCount = 1u << kSlotBits;

using Token = uint32_t;
using SlotIndex = uint16_t;

// The part of `key` that decides its token.
[[nodiscard]] std::string_view hash_tag(std::string_view key);

[[nodiscard]] Token token_of(std::string_view key, uint64_t hash_seed);

[[nodiscard]] constexpr SlotIndex slot_of(Token token) {
  return static_cast<SlotIndex>(token >> (32 - kSlotBits));
}

// What a node computes once per key of a command.
struct KeyHash {
  Token token;
  // Places the key inside its slot: 32 bits of the hash of the whole key, so that keys under one
  // hash tag spread.
  uint32_t inner;

  [[nodiscard]] SlotIndex slot() const { return slot_of(token); }
};

[[nodiscard]] KeyHash hash_key(std::string_view key, uint64_t hash_seed);

}  // namespace dyno

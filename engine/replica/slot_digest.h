// SPDX-License-Identifier: Apache-2.0
//
// Digests: what a slot holds, in 128 bits that two replicas compare instead of the data.
//
// A digest is the sum of a keyed hash over (key, element, stamp) of everything that is alive, so
// that a write costs one subtraction and one addition, whatever the size of the slot, and the order
// in which writes arrived does not matter. It covers stamps, not values: equal stamps mean equal
// values. What was removed has no part in it, so that it does not matter either when the traces of
// a removal are collected. The hash is keyed with a secret of the cluster, as keys are chosen by
// clients, who must not be able to make sums collide.
#pragma once

#include <xxhash.h>

#include <cstdint>
#include <string_view>

#include "engine/replica/stamp.h"

namespace dyno {

struct Digest {
  uint64_t low = 0;
  uint64_t high = 0;

  Digest& operator+=(Digest other) {
    low += other.low;
    high += other.high;
    return *this;
  }
  Digest& operator-=(Digest other) {
    low -= other.low;
    high -= other.high;
    return *this;
  }
  friend Digest operator+(Digest a, Digest b) { return a += b; }
  friend Digest operator-(Digest a, Digest b) { return a -= b; }
  friend bool operator==(const Digest&, const Digest&) = default;
};

// The cluster's hash. Equal on all nodes.
class DigestHash {
 public:
  explicit DigestHash(uint64_t secret) : secret_(secret) {}
  [[nodiscard]] uint64_t secret() const { return secret_; }

  // A key of a database.
  [[nodiscard]] uint64_t key(int db, std::string_view name) const {
    return bytes(name, secret_ + static_cast<uint64_t>(db) + 1);
  }
  // An element of a collection; the empty text stands for a string as a whole.
  [[nodiscard]] uint64_t element(std::string_view element) const {
    return bytes(element, ~secret_);
  }
  // An element of a list.
  [[nodiscard]] uint64_t item(bool head, Stamp stamp, uint32_t index) const {
    uint64_t words[] = {stamp, uint64_t{index} << 1 | (head ? 1 : 0)};
    return XXH3_64bits_withSeed(words, sizeof(words), ~secret_);
  }
  // That the element has this stamp. `detail` is what else is to be equal.
  [[nodiscard]] Digest term(uint64_t key, uint64_t element, Stamp stamp,
                            uint64_t detail = 0) const {
    uint64_t words[] = {key, element, stamp, detail};
    XXH128_hash_t hash = XXH3_128bits_withSeed(words, sizeof(words), secret_);
    return {hash.low64, hash.high64};
  }

 private:
  static uint64_t bytes(std::string_view text, uint64_t seed) {
    return XXH3_64bits_withSeed(text.data(), text.size(), seed);
  }

  uint64_t secret_;
};

}  // namespace dyno

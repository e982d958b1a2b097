// SPDX-License-Identifier: Apache-2.0
//
// The only source of chance in the simulator: everything that happens follows from its seed.
// SplitMix64 (Steele, Lea and Flood 2014).
#pragma once

#include <cstdint>

namespace dyno::simulator {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {
    // Neighbouring seeds must not walk the same sequence.
    state_ = next() ^ seed << 32;
  }

  uint64_t next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
  }
  // From 0 to count - 1.
  int64_t below(int64_t count) {
    return static_cast<int64_t>(next() % static_cast<uint64_t>(count));
  }
  // Both included.
  int64_t between(int64_t least, int64_t most) { return least + below(most - least + 1); }
  bool percent(int64_t chance) { return below(100) < chance; }
  // A generator of its own for one part, so that parts do not disturb each other.
  Random fork() { return Random(next()); }

 private:
  uint64_t state_;
};

}  // namespace dyno::simulator

// SPDX-License-Identifier: Apache-2.0
// The one clock of the load tool: monotonic nanoseconds. Every latency is a difference of two of
// these.
#pragma once

#include <time.h>

#include <cstdint>

namespace dyno::bench {

inline constexpr uint64_t kSecond_ns = 1'000'000'000;
inline constexpr uint64_t kMillisecond_ns = 1'000'000;

inline uint64_t now_ns() {
  timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return static_cast<uint64_t>(at.tv_sec) * kSecond_ns + static_cast<uint64_t>(at.tv_nsec);
}

/// Milliseconds since 1970, for absolute expiry times.
inline uint64_t unix_ms() {
  timespec at;
  clock_gettime(CLOCK_REALTIME, &at);
  return static_cast<uint64_t>(at.tv_sec) * 1000 + static_cast<uint64_t>(at.tv_nsec) / 1'000'000;
}

}  // namespace dyno::bench

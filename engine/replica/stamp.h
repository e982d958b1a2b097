// SPDX-License-Identifier: Apache-2.0
//
// Stamps: when and where a write happened, in one number that orders all writes of a key.
//
//   stamp := milliseconds since 2024-01-01:42 logical:14 rack:8         high bits first
//
// A stamp is the time of a hybrid logical clock (Kulkarni, Demirbas et al. 2014) with the number of
// the rack that drew it. A key has one owner in each rack, so that no two writes of a key have one
// stamp. Rack numbers are 1 to 255; the stamp 0 is older than every write and means "none".
#pragma once

#include <atomic>
#include <cstdint>

namespace dyno {

using Stamp = uint64_t;

inline constexpr int kStampRackBits = 8;
inline constexpr int kStampLogicalBits = 14;
inline constexpr int kStampMsShift = kStampRackBits + kStampLogicalBits;
// 2024-01-01T00:00:00Z in milliseconds of Unix time.
inline constexpr int64_t kStampEpochMs = 1704067200000;

[[nodiscard]] constexpr Stamp make_stamp(int64_t unix_ms, uint32_t logical, uint8_t rack) {
  auto ms = static_cast<uint64_t>(unix_ms < kStampEpochMs ? 0 : unix_ms - kStampEpochMs);
  return ms << kStampMsShift | static_cast<uint64_t>(logical) << kStampRackBits | rack;
}
[[nodiscard]] constexpr int64_t stamp_ms(Stamp stamp) {
  return static_cast<int64_t>(stamp >> kStampMsShift) + kStampEpochMs;
}
[[nodiscard]] constexpr uint8_t stamp_rack(Stamp stamp) {
  return static_cast<uint8_t>(stamp);
}
// Everything that was written before the millisecond is older than this stamp, and nothing else is.
[[nodiscard]] constexpr Stamp first_stamp_of(int64_t unix_ms) {
  return make_stamp(unix_ms, 0, 0);
}

// Who counts: a rack and how many times its owner of the key began with an empty memory. A process
// that cannot prove that it knows everything its predecessor knew takes the next incarnation, as it
// must not go on with totals that others hold larger ones of.
//
//   actor := rack:8 incarnation:24
using Actor = uint32_t;

inline constexpr uint32_t kIncarnationMax = (1u << 24) - 1;

[[nodiscard]] constexpr Actor make_actor(uint8_t rack, uint32_t incarnation) {
  return static_cast<uint32_t>(rack) << 24 | (incarnation & kIncarnationMax);
}
[[nodiscard]] constexpr uint8_t actor_rack(Actor actor) {
  return static_cast<uint8_t>(actor >> 24);
}

// Draws the stamps of one node. They only grow, whatever the clock of the machine does. Shared by
// all threads.
class HybridClock {
 public:
  // A peer whose stamps are further ahead of this node's time is not believed: one stamp of the
  // far future, once adopted, would win over all writes until then, everywhere.
  static constexpr int64_t kLeadMaxMs = 500;

  explicit HybridClock(uint8_t rack) : rack_(rack) {}

  [[nodiscard]] uint8_t rack() const { return rack_; }

  // The stamp of a write that happens now; larger than every stamp drawn or seen before.
  [[nodiscard]] Stamp draw(int64_t unix_ms);

  // A stamp of a peer was received: later ones of this node are larger. False when it is too far
  // ahead; then nothing changes, and the peer's link is to be closed.
  [[nodiscard]] bool observe(Stamp stamp, int64_t unix_ms);
  [[nodiscard]] static bool is_too_far_ahead(Stamp stamp, int64_t unix_ms) {
    return stamp_ms(stamp) > unix_ms + kLeadMaxMs;
  }

  // Every stamp drawn from now on is larger than `stamp`; for a restart above what the process may
  // have given out before.
  void start_above(Stamp stamp);

  // Largest stamp drawn or seen.
  [[nodiscard]] Stamp last() const { return last_.load(std::memory_order_acquire); }
  // The time of this node as its replicas see it: that of the machine, unless the clock is ahead of
  // it. Deadlines are judged by it, so that no write carries a later time than the expiry that the
  // writer did not see.
  [[nodiscard]] int64_t now_ms(int64_t unix_ms) const {
    int64_t last_ms = stamp_ms(last());
    return unix_ms > last_ms ? unix_ms : last_ms;
  }

 private:
  const uint8_t rack_;
  std::atomic<Stamp> last_{0};
};

}  // namespace dyno

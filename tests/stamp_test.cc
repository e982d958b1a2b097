// SPDX-License-Identifier: Apache-2.0
//
// Stamps, and the clock that draws them: they only grow, on all threads together, whatever the
// machine's clock does, and a peer's stamp moves the clock unless it is too far ahead.
#include "engine/replica/stamp.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <thread>
#include <vector>

namespace dyno {
namespace {

constexpr int64_t kNow = kStampEpochMs + 1'000'000'000;
constexpr uint32_t kLogicalMax = (1u << kStampLogicalBits) - 1;

constexpr uint32_t logical_of(Stamp stamp) {
  return static_cast<uint32_t>(stamp >> kStampRackBits) & kLogicalMax;
}

}  // namespace

TEST_CASE("a stamp is milliseconds, a logical count and a rack") {
  const Stamp stamp = make_stamp(kNow, 5, 7);
  CHECK(stamp == (Stamp{1'000'000'000} << 22 | 5 << 8 | 7));
  CHECK(stamp_ms(stamp) == kNow);
  CHECK(logical_of(stamp) == 5);
  CHECK(stamp_rack(stamp) == 7);
  CHECK(stamp_rack(make_stamp(kNow, kLogicalMax, 255)) == 255);
  CHECK(stamp_ms(make_stamp(kNow, kLogicalMax, 255)) == kNow);
  // Times first, then counts, then racks.
  CHECK(make_stamp(kNow, kLogicalMax, 255) < make_stamp(kNow + 1, 0, 1));
  CHECK(make_stamp(kNow, 4, 255) < make_stamp(kNow, 5, 1));
  CHECK(make_stamp(kNow, 5, 1) < make_stamp(kNow, 5, 2));
  CHECK(first_stamp_of(kNow) < make_stamp(kNow, 0, 1));
  CHECK(first_stamp_of(kNow) > make_stamp(kNow - 1, kLogicalMax, 255));
}

TEST_CASE("the milliseconds last for 139 years") {
  const int64_t last_ms = kStampEpochMs + (int64_t{1} << 42) - 1;
  CHECK(stamp_ms(make_stamp(last_ms, kLogicalMax, 255)) == last_ms);
  CHECK(make_stamp(last_ms, kLogicalMax, 255) == UINT64_MAX);
}

TEST_CASE("times before 2024 count as its first millisecond") {
  for (const int64_t unix_ms : {INT64_MIN, int64_t{-1}, int64_t{0}, kStampEpochMs - 1}) {
    CHECK(first_stamp_of(unix_ms) == 0);
    CHECK(stamp_ms(make_stamp(unix_ms, 1, 1)) == kStampEpochMs);
    HybridClock clock(3);
    const Stamp first = clock.draw(unix_ms);
    const Stamp second = clock.draw(unix_ms);
    CHECK(first > 0);
    CHECK(stamp_rack(first) == 3);
    CHECK(second > first);
    CHECK(stamp_ms(second) == kStampEpochMs);
  }
}

TEST_CASE("actors are a rack and an incarnation") {
  const Actor actor = make_actor(200, 77);
  CHECK(actor_rack(actor) == 200);
  CHECK((actor & kIncarnationMax) == 77);
  CHECK(actor_rack(make_actor(1, kIncarnationMax)) == 1);
  CHECK(make_actor(1, kIncarnationMax + 1) == make_actor(1, 0));
}

TEST_CASE("stamps follow the clock of the machine and carry the rack") {
  HybridClock clock(9);
  CHECK(clock.last() == 0);
  CHECK(clock.draw(kNow) == make_stamp(kNow, 0, 9));
  CHECK(clock.draw(kNow) == make_stamp(kNow, 1, 9));
  CHECK(clock.draw(kNow + 1) == make_stamp(kNow + 1, 0, 9));
  CHECK(clock.last() == make_stamp(kNow + 1, 0, 9));
  CHECK(clock.rack() == 9);
}

TEST_CASE("a clock that is set back does not take stamps back") {
  HybridClock clock(1);
  Stamp last = clock.draw(kNow);
  for (const int64_t step : {-1, -1000, -100'000'000, 0, -1'000'000'000, -5}) {
    const Stamp drawn = clock.draw(kNow + step);
    CHECK(drawn > last);
    CHECK(stamp_ms(drawn) == kNow);
    CHECK(stamp_rack(drawn) == 1);
    last = drawn;
  }
  CHECK(clock.now_ms(kNow - 1000) == kNow);
  CHECK(clock.now_ms(kNow + 1000) == kNow + 1000);
  CHECK(clock.draw(kNow + 1) == make_stamp(kNow + 1, 0, 1));
}

TEST_CASE("a logical count that overflows carries into the milliseconds") {
  HybridClock clock(255);
  for (uint32_t i = 0; i <= kLogicalMax; ++i) {
    REQUIRE(clock.draw(kNow) == make_stamp(kNow, i, 255));
  }
  CHECK(clock.draw(kNow) == make_stamp(kNow + 1, 0, 255));
  CHECK(clock.draw(kNow + 1) == make_stamp(kNow + 1, 1, 255));
  CHECK(clock.now_ms(kNow) == kNow + 1);
}

TEST_CASE("a peer's stamp is believed up to half a second ahead") {
  HybridClock clock(1);
  const Stamp before = clock.draw(kNow);
  const Stamp fitting = make_stamp(kNow + 500, kLogicalMax, 255);
  CHECK_FALSE(HybridClock::is_too_far_ahead(fitting, kNow));
  CHECK(HybridClock::is_too_far_ahead(make_stamp(kNow + 501, 0, 2), kNow));
  CHECK(HybridClock::is_too_far_ahead(UINT64_MAX, kNow));
  CHECK_FALSE(clock.observe(make_stamp(kNow + 501, 0, 2), kNow));
  CHECK_FALSE(clock.observe(UINT64_MAX, kNow));
  CHECK(clock.last() == before);
  CHECK(clock.observe(fitting, kNow));
  CHECK(clock.last() == fitting);
  CHECK(clock.now_ms(kNow) == kNow + 500);
  const Stamp after = clock.draw(kNow);
  CHECK(after == make_stamp(kNow + 501, 0, 1));
  // Older ones change nothing.
  CHECK(clock.observe(make_stamp(kNow - 100, 0, 2), kNow));
  CHECK(clock.observe(0, kNow));
  CHECK(clock.last() == after);
}

TEST_CASE("stamps of racks with one history are in its order") {
  // Whoever has seen a stamp draws a larger one, whatever the numbers of the racks.
  HybridClock first(200);
  HybridClock second(1);
  Stamp last = 0;
  for (int i = 0; i < 1000; ++i) {
    HybridClock& clock = i % 2 == 0 ? first : second;
    REQUIRE(clock.observe(last, kNow));
    const Stamp drawn = clock.draw(kNow - i % 3);
    REQUIRE(drawn > last);
    last = drawn;
  }
}

TEST_CASE("a restart begins above a stamp, however far ahead it is") {
  HybridClock clock(4);
  const Stamp bound = make_stamp(kNow + 10'000, 3, 8);
  clock.start_above(bound);
  CHECK(clock.draw(kNow) == make_stamp(kNow + 10'000, 4, 4));
  clock.start_above(make_stamp(kNow, 0, 8));
  CHECK(clock.draw(kNow) == make_stamp(kNow + 10'000, 5, 4));
}

TEST_CASE("threads draw different stamps, each thread growing ones") {
  constexpr int kThreads = 4;
  constexpr int kDraws = 20000;
  HybridClock clock(6);
  std::vector<std::vector<Stamp>> drawn(kThreads);
  std::vector<std::thread> threads;
  for (int number = 0; number < kThreads; ++number) {
    threads.emplace_back([&clock, &stamps = drawn[static_cast<size_t>(number)], number] {
      stamps.reserve(kDraws);
      for (int i = 0; i < kDraws; ++i) {
        // Every thread has its own idea of the time, which jumps back now and then.
        const int64_t now_ms = kNow + i / 100 + number * 7 - (i % 1000 == 0 ? 5000 : 0);
        const Stamp seen = clock.last();
        if (i % 5 == 0) (void)clock.observe(make_stamp(now_ms + 3, 1, 99), now_ms);
        if (i % 7 == 0) clock.start_above(make_stamp(now_ms - 10, 2, 98));
        stamps.push_back(clock.draw(now_ms));
        if (stamps.back() <= seen) stamps.back() = 0;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::vector<Stamp> all;
  for (const std::vector<Stamp>& stamps : drawn) {
    CHECK(stamps.front() > 0);
    CHECK(std::is_sorted(stamps.begin(), stamps.end()));
    all.insert(all.end(), stamps.begin(), stamps.end());
  }
  std::sort(all.begin(), all.end());
  CHECK(std::adjacent_find(all.begin(), all.end()) == all.end());
  CHECK(std::all_of(all.begin(), all.end(), [](Stamp each) { return stamp_rack(each) == 6; }));
  CHECK(clock.last() >= all.back());
}

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
// The open-loop clock: spacing, shares of workers, Poisson gaps, and the search for the knee.
#include "bench/schedule.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "bench/clock.h"

namespace {

using dyno::bench::Arrivals;
using dyno::bench::kMillisecond_ns;
using dyno::bench::kSecond_ns;
using dyno::bench::Schedule;
using dyno::bench::Staircase;

std::vector<uint64_t> starts_before(Schedule& schedule, uint64_t end_ns) {
  std::vector<uint64_t> starts;
  while (schedule.next_ns() < end_ns) {
    starts.push_back(schedule.next_ns());
    schedule.advance();
  }
  return starts;
}

}  // namespace

TEST_CASE("a fixed rate is evenly spaced and does not drift") {
  Schedule schedule(Arrivals::kFixed, 3000, 500, 0, 1, 1);
  const auto starts = starts_before(schedule, 500 + 100 * kSecond_ns);
  CHECK(starts.size() == 300'000);
  for (size_t i = 0; i < starts.size(); i += 997) {
    const double due = 500 + static_cast<double>(i) * 1e9 / 3000;
    CHECK(std::abs(static_cast<double>(starts[i]) - due) <= 1);
  }
}

TEST_CASE("workers together make one evenly spaced schedule") {
  std::vector<uint64_t> all;
  for (unsigned lane = 0; lane < 3; ++lane) {
    Schedule schedule(Arrivals::kFixed, 1000, 0, lane, 3, lane);
    const auto part = starts_before(schedule, kSecond_ns);
    all.insert(all.end(), part.begin(), part.end());
  }
  std::sort(all.begin(), all.end());
  REQUIRE(all.size() == 1000);
  for (size_t i = 0; i < all.size(); ++i) CHECK(all[i] / 10 == i * 100'000);
}

TEST_CASE("Poisson gaps are exponential with the right mean, over all workers") {
  std::vector<uint64_t> all;
  for (unsigned lane = 0; lane < 2; ++lane) {
    Schedule schedule(Arrivals::kPoisson, 10'000, 0, lane, 2, 77 + lane);
    const auto part = starts_before(schedule, 20 * kSecond_ns);
    CHECK(std::is_sorted(part.begin(), part.end()));
    all.insert(all.end(), part.begin(), part.end());
  }
  std::sort(all.begin(), all.end());
  CHECK(static_cast<double>(all.size()) == doctest::Approx(200'000).epsilon(0.01));
  // Ten cells that an exponential gap falls into alike.
  std::vector<double> counts(10);
  for (size_t i = 1; i < all.size(); ++i) {
    const double gap = static_cast<double>(all[i] - all[i - 1]) / 100'000;
    counts[std::min<size_t>(9, static_cast<size_t>((1 - std::exp(-gap)) * 10))] += 1;
  }
  double statistic = 0;
  const double expected = static_cast<double>(all.size() - 1) / 10;
  for (const double count : counts) statistic += (count - expected) * (count - expected) / expected;
  CHECK(statistic < 27.9);  // chi-square, 9 degrees of freedom, one in a thousand
}

TEST_CASE("a stall costs no start: asking late gives the same starts") {
  Schedule prompt(Arrivals::kFixed, 100, 0, 0, 1, 1);
  Schedule late(Arrivals::kFixed, 100, 0, 0, 1, 1);
  const auto first = starts_before(prompt, kSecond_ns);
  const auto second = starts_before(late, 10 * kSecond_ns);
  CHECK(first.size() == 100);
  REQUIRE(second.size() == 1000);
  CHECK(std::equal(first.begin(), first.end(), second.begin()));
}

TEST_CASE("the staircase closes in on the knee of a queue") {
  // Latency of a server that saturates at 73,000 per second.
  constexpr double kKnee = 73'000;
  Staircase stairs(1000, 5 * kMillisecond_ns);
  int steps = 0;
  while (const auto rate = stairs.next_rate()) {
    REQUIRE(++steps < 30);
    const bool over = *rate >= kKnee;
    const double queue = over ? 1e9 : 1e5 / (1 - *rate / kKnee);
    stairs.report(over ? kKnee : *rate, static_cast<uint64_t>(queue));
  }
  // p99 passes 5 ms where 1 - rate/knee is 0.02.
  CHECK(stairs.knee() <= kKnee * 0.98);
  CHECK(stairs.knee() >= kKnee * 0.98 / 1.06);
  CHECK(steps < 16);
}

TEST_CASE("a server that holds nothing has no knee, and the search ends") {
  Staircase stairs(1000, 0);
  int steps = 0;
  while (const auto rate = stairs.next_rate()) {
    REQUIRE(++steps < 40);
    stairs.report(0, 10 * kSecond_ns);
  }
  CHECK(stairs.knee() == 0);
}

TEST_CASE("without a limit the first step sets it") {
  Staircase stairs(1000, 0);
  stairs.report(1000, 300'000);
  CHECK(stairs.p99_limit_ns() == 3 * kMillisecond_ns);
  Staircase quick(1000, 0);
  quick.report(1000, 20'000);
  CHECK(quick.p99_limit_ns() == kMillisecond_ns);
}

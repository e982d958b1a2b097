// SPDX-License-Identifier: Apache-2.0
// When requests are meant to start, in an open loop.
//
// A schedule is a generator: it holds the next intended start and nothing of the past, so that a
// server that stalls for an hour costs no memory; the requests of that hour are drawn when they can
// be sent, each with the start it should have had. Starts never go backwards and do not depend on
// when they are asked for.
//
// Several workers share one rate: worker `lane` of `lanes` takes every lanes-th request of a fixed
// rate, or an independent Poisson stream of its share (their sum is again Poisson).
//
// Staircase looks for the knee by itself: it doubles the rate until a step does not hold, then
// halves the gap (geometrically) until it is below 5 %.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "bench/random.h"

namespace dyno::bench {

enum class Arrivals { kFixed, kPoisson };

class Schedule {
 public:
  /// `rate` is requests per second of all lanes together, > 0; `start_ns` the origin of time.
  Schedule(Arrivals arrivals, double rate, uint64_t start_ns, unsigned lane, unsigned lanes,
           uint64_t seed);

  uint64_t next_ns() const { return next_ns_; }
  void advance();

 private:
  Arrivals arrivals_;
  double interval_ns_;  // fixed: of all lanes; Poisson: the mean of this lane
  uint64_t start_ns_;
  uint64_t index_;
  uint64_t stride_;
  double offset_ns_ = 0;
  uint64_t next_ns_;
  Random random_;
};

class Staircase {
 public:
  struct Step {
    double rate = 0;      // asked for, requests per second
    double achieved = 0;  // answered per second
    uint64_t p99_ns = 0;  // from the intended start
    bool held = false;
  };

  /// `p99_limit_ns` 0: ten times the p99 of the first step, at least 1 ms.
  Staircase(double first_rate, uint64_t p99_limit_ns, unsigned steps_max = 24)
      : rate_(first_rate), limit_ns_(p99_limit_ns), steps_max_(steps_max) {}

  /// The rate to try next; nothing when the knee is known.
  std::optional<double> next_rate() const;
  /// What came of the rate that next_rate() named.
  void report(double achieved, uint64_t p99_ns);
  /// The highest rate that held, 0 when none did.
  double knee() const { return low_; }
  uint64_t p99_limit_ns() const { return limit_ns_; }
  const std::vector<Step>& steps() const { return steps_; }

 private:
  double rate_;
  uint64_t limit_ns_;
  unsigned steps_max_;
  double low_ = 0;
  double high_ = 0;
  std::vector<Step> steps_;
};

}  // namespace dyno::bench

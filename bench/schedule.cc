// SPDX-License-Identifier: Apache-2.0
// The arithmetic of intended starts.
#include "bench/schedule.h"

#include <algorithm>
#include <cmath>

#include "bench/clock.h"

namespace dyno::bench {

namespace {
constexpr double kGap = 1.05;
constexpr double kHolds = 0.99;
}  // namespace

Schedule::Schedule(Arrivals arrivals, double rate, uint64_t start_ns, unsigned lane, unsigned lanes,
                   uint64_t seed)
    : arrivals_(arrivals),
      interval_ns_(static_cast<double>(kSecond_ns) / rate),
      start_ns_(start_ns),
      index_(lane),
      stride_(lanes),
      next_ns_(start_ns),
      random_(seed) {
  if (arrivals_ == Arrivals::kPoisson) {
    interval_ns_ *= lanes;
    advance();
  } else {
    next_ns_ = start_ns_ + static_cast<uint64_t>(static_cast<double>(index_) * interval_ns_);
  }
}

void Schedule::advance() {
  if (arrivals_ == Arrivals::kPoisson) {
    offset_ns_ -= std::log(random_.unit_positive()) * interval_ns_;
    next_ns_ = start_ns_ + static_cast<uint64_t>(offset_ns_);
  } else {
    // From the index, not from the previous start: rounding never adds up to a drift.
    index_ += stride_;
    next_ns_ = start_ns_ + static_cast<uint64_t>(static_cast<double>(index_) * interval_ns_);
  }
}

std::optional<double> Staircase::next_rate() const {
  if (steps_.size() >= steps_max_) return std::nullopt;
  if (high_ > 0 && low_ > 0 && high_ / low_ < kGap) return std::nullopt;
  if (high_ > 0 && low_ == 0 && rate_ < 1) return std::nullopt;
  return rate_;
}

void Staircase::report(double achieved, uint64_t p99_ns) {
  if (limit_ns_ == 0) limit_ns_ = std::max<uint64_t>(10 * p99_ns, kMillisecond_ns);
  const bool held = achieved >= kHolds * rate_ && p99_ns <= limit_ns_;
  steps_.push_back({rate_, achieved, p99_ns, held});
  if (held) {
    low_ = rate_;
  } else {
    high_ = rate_;
  }
  if (high_ == 0) {
    rate_ *= 2;
  } else {
    rate_ = low_ == 0 ? high_ / 2 : std::sqrt(low_ * high_);
  }
}

}  // namespace dyno::bench

// SPDX-License-Identifier: Apache-2.0
// The histogram's slow half: merging, percentiles and the .hgrm text.
#include "bench/histogram.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace dyno::bench {

Histogram& Histogram::operator=(const Histogram& other) {
  if (this != &other) {
    clear();
    merge(other);
  }
  return *this;
}

void Histogram::allocate(unsigned octave) {
  octaves_[octave] = std::make_unique<Octave>(Octave{});
}

void Histogram::merge(const Histogram& other) {
  for (unsigned octave = 0; octave < kOctaves; ++octave) {
    if (!other.octaves_[octave]) continue;
    if (!octaves_[octave]) allocate(octave);
    Octave& mine = *octaves_[octave];
    const Octave& theirs = *other.octaves_[octave];
    for (uint64_t i = 0; i < kSub; ++i) mine[i] += theirs[i];
  }
  count_ += other.count_;
  sum_ += other.sum_;
  max_ = std::max(max_, other.max_);
  min_ = std::min(min_, other.min_);
}

void Histogram::clear() {
  for (auto& octave : octaves_) octave.reset();
  count_ = 0;
  max_ = 0;
  min_ = UINT64_MAX;
  sum_ = 0;
}

void Histogram::for_each(const std::function<void(uint64_t, uint64_t, uint64_t)>& visit) const {
  for (unsigned octave = 0; octave < kOctaves; ++octave) {
    if (!octaves_[octave]) continue;
    for (uint64_t i = 0; i < kSub; ++i) {
      const uint64_t times = (*octaves_[octave])[i];
      if (times == 0) continue;
      const uint64_t low = lowest(octave, i);
      visit(low, low + width(octave) - 1, times);
    }
  }
}

double Histogram::deviation() const {
  if (count_ == 0) return 0;
  const double average = mean();
  double squares = 0;
  for_each([&](uint64_t low, uint64_t high, uint64_t times) {
    const double middle = (static_cast<double>(low) + static_cast<double>(high)) / 2;
    squares += (middle - average) * (middle - average) * static_cast<double>(times);
  });
  return std::sqrt(squares / static_cast<double>(count_));
}

uint64_t Histogram::percentile(double percent) const {
  if (count_ == 0) return 0;
  const double share = std::clamp(percent, 0.0, 100.0) / 100.0;
  // The small allowance keeps 99.9 % of 1000 at 999 although 0.999 * 1000 rounds up in binary.
  const auto rank =
      static_cast<uint64_t>(std::max(1.0, std::ceil(share * static_cast<double>(count_) - 1e-6)));
  uint64_t seen = 0;
  for (unsigned octave = 0; octave < kOctaves; ++octave) {
    if (!octaves_[octave]) continue;
    for (uint64_t i = 0; i < kSub; ++i) {
      seen += (*octaves_[octave])[i];
      if (seen >= rank) {
        const uint64_t middle = lowest(octave, i) + (width(octave) - 1) / 2;
        return std::clamp(middle, min_, max_);
      }
    }
  }
  return max_;
}

uint64_t Histogram::count_up_to(uint64_t value) const {
  uint64_t seen = 0;
  for_each([&](uint64_t, uint64_t high, uint64_t times) {
    if (high <= value) seen += times;
  });
  return seen;
}

std::string Histogram::hgrm(double unit, unsigned ticks_per_half) const {
  std::string out = "       Value     Percentile TotalCount 1/(1-Percentile)\n\n";
  char line[160];
  double percent = 0;
  while (count_ > 0) {
    const uint64_t value = percentile(percent);
    // Rows name the share that the bucket really reaches, as HdrHistogram's own printer does.
    uint64_t seen = 0;
    for_each([&](uint64_t low, uint64_t, uint64_t times) {
      if (low <= value) seen += times;
    });
    const double reached = static_cast<double>(seen) / static_cast<double>(count_);
    if (seen >= count_) break;
    std::snprintf(line, sizeof line, "%12.6f %2.12f %10llu %14.2f\n",
                  static_cast<double>(value) / unit, reached, static_cast<unsigned long long>(seen),
                  1.0 / (1.0 - reached));
    out += line;
    const double left = 100.0 - std::max(percent, reached * 100.0);
    const double half = std::pow(2.0, std::floor(std::log2(100.0 / left)) + 1);
    percent = std::max(percent, reached * 100.0) + 100.0 / (half * ticks_per_half);
  }
  std::snprintf(line, sizeof line, "%12.6f %2.12f %10llu\n", static_cast<double>(max_) / unit, 1.0,
                static_cast<unsigned long long>(count_));
  out += line;
  std::snprintf(line, sizeof line, "#[Mean    = %12.6f, StdDeviation   = %12.6f]\n", mean() / unit,
                deviation() / unit);
  out += line;
  std::snprintf(line, sizeof line, "#[Max     = %12.6f, Total count    = %12llu]\n",
                static_cast<double>(max_) / unit, static_cast<unsigned long long>(count_));
  out += line;
  std::snprintf(line, sizeof line, "#[Buckets = %12u, SubBuckets     = %12llu]\n", kOctaves,
                static_cast<unsigned long long>(kSub));
  out += line;
  return out;
}

}  // namespace dyno::bench

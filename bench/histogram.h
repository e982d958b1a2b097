// SPDX-License-Identifier: Apache-2.0
// A histogram of latencies with a fixed relative error.
//
// Buckets are linear within an octave, 1024 to each, so that no bucket is wider than 1/1024 of the
// values in it: the relative error is below 0.1 %. Values below 2048 are exact. Two histograms have
// the same bucket borders always, so that merging loses nothing. Values are nanoseconds by
// convention; those from 2^44 (4.8 hours) on are counted in the last bucket, the maximum stays
// exact.
//
// An octave takes 8 KiB and is allocated when a value first falls into it. One thread at a time.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace dyno::bench {

class Histogram {
 public:
  Histogram() = default;
  Histogram(Histogram&&) = default;
  Histogram& operator=(Histogram&&) = default;
  Histogram(const Histogram& other) { merge(other); }
  Histogram& operator=(const Histogram& other);

  void record(uint64_t value, uint64_t times = 1) {
    const uint64_t bounded = value < kLimit ? value : kLimit - 1;
    const unsigned octave = octave_of(bounded);
    if (!octaves_[octave]) allocate(octave);
    (*octaves_[octave])[offset_of(bounded, octave)] += times;
    count_ += times;
    sum_ += static_cast<double>(value) * static_cast<double>(times);
    if (value > max_) max_ = value;
    if (value < min_) min_ = value;
  }

  void merge(const Histogram& other);
  void clear();

  uint64_t count() const { return count_; }
  uint64_t max() const { return max_; }
  uint64_t min() const { return count_ == 0 ? 0 : min_; }
  double mean() const { return count_ == 0 ? 0.0 : sum_ / static_cast<double>(count_); }
  double deviation() const;

  /// The value that a share of `percent` (0 … 100) of all values does not exceed: the middle of its
  /// bucket, so within 0.05 % of a value that was recorded. 0 when empty.
  uint64_t percentile(double percent) const;
  /// How many values lie in buckets that end at or below `value`.
  uint64_t count_up_to(uint64_t value) const;

  /// Calls with (lowest value, highest value, count) of every bucket in use, ascending.
  void for_each(const std::function<void(uint64_t, uint64_t, uint64_t)>& visit) const;

  /// The percentile distribution in the text format of HdrHistogram (`.hgrm`), values divided by
  /// `unit` (1e6: milliseconds). `ticks_per_half` rows are printed for each halving of 1 - p.
  std::string hgrm(double unit, unsigned ticks_per_half = 5) const;

 private:
  static constexpr unsigned kSubBits = 10;
  static constexpr uint64_t kSub = 1u << kSubBits;
  static constexpr unsigned kBits = 44;
  static constexpr uint64_t kLimit = uint64_t{1} << kBits;
  static constexpr unsigned kOctaves = kBits - kSubBits + 1;
  using Octave = std::array<uint64_t, kSub>;

  static unsigned octave_of(uint64_t value) {
    return value < kSub ? 0 : static_cast<unsigned>(std::bit_width(value)) - kSubBits;
  }
  static uint64_t offset_of(uint64_t value, unsigned octave) {
    return octave == 0 ? value : (value >> (octave - 1)) - kSub;
  }
  static uint64_t lowest(unsigned octave, uint64_t offset) {
    return octave == 0 ? offset : (offset + kSub) << (octave - 1);
  }
  static uint64_t width(unsigned octave) { return octave == 0 ? 1 : uint64_t{1} << (octave - 1); }
  void allocate(unsigned octave);

  std::array<std::unique_ptr<Octave>, kOctaves> octaves_;
  uint64_t count_ = 0;
  uint64_t max_ = 0;
  uint64_t min_ = UINT64_MAX;
  double sum_ = 0;
};

}  // namespace dyno::bench

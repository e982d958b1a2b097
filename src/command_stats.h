// SPDX-License-Identifier: Apache-2.0
//
// What every command cost: calls, time, failures, and a histogram of latencies. Each thread counts
// for itself; INFO and LATENCY HISTOGRAM sum.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/command.h"
#include "engine/stats.h"

namespace dyno {

// Latencies in powers of two with four steps each, from 2^0 to 2^40 ns: within an eighth of the
// truth.
class LatencyHistogram {
 public:
  static constexpr int kSteps = 4;
  static constexpr int kBuckets = 40 * kSteps;

  void record(uint64_t ns) { counts_[bucket(ns)].add(); }
  void reset();
  [[nodiscard]] int64_t count(int bucket_index) const {
    return counts_[static_cast<size_t>(bucket_index)].get();
  }
  // The largest latency of a bucket, in ns.
  [[nodiscard]] static uint64_t upper_ns(int bucket_index);

 private:
  [[nodiscard]] static size_t bucket(uint64_t ns);
  std::array<Counter, kBuckets> counts_;
};

class CommandStats {
 public:
  explicit CommandStats(const CommandTable& commands);

  // What one command has cost so far.
  struct Sum {
    int64_t calls = 0;
    int64_t ns = 0;
    int64_t failed = 0;
    int64_t rejected = 0;
    std::vector<int64_t> histogram;  // By bucket; empty when not asked for.
  };

  // `ns` is what ns(cycles) gave.
  void done(const CommandSpec& spec, uint64_t cycles, uint64_t ns, bool failed,
            bool with_histogram);
  void rejected(const CommandSpec& spec);
  [[nodiscard]] Sum sum(const CommandSpec& spec, bool with_histogram) const;
  void reset();
  void reset_histogram(const CommandSpec& spec);

  // The processor's clock in time; measured at start.
  [[nodiscard]] uint64_t ns(uint64_t cycles) const {
    __extension__ using Wide = unsigned __int128;
    return static_cast<uint64_t>((Wide{cycles} * ns_per_cycle_) >> kFractionBits);
  }

  // The p-th percentile (0 to 100) of a summed histogram in microseconds, 0 when it is empty.
  [[nodiscard]] static double percentile_us(const std::vector<int64_t>& histogram, double p);

 private:
  struct Row {
    Row() = default;
    ~Row() { delete histogram.load(std::memory_order_relaxed); }
    Row(const Row&) = delete;
    Row& operator=(const Row&) = delete;

    Counter calls;
    Counter cycles;
    Counter failed;
    Counter rejected;
    std::atomic<LatencyHistogram*> histogram{nullptr};
  };
  struct PerThread {
    explicit PerThread(size_t count) : rows(count) {}
    std::vector<Row> rows;
  };
  [[nodiscard]] PerThread& own();

  const CommandTable& commands_;
  // Fixed point: a multiplication and a shift for each command, where a double would cost
  // conversions.
  static constexpr int kFractionBits = 32;
  uint64_t ns_per_cycle_;
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<PerThread>> threads_;
};

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
#include "src/command_stats.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <thread>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace dyno {
namespace {

double measure_ns_per_cycle() {
#if defined(__x86_64__)
  using Clock = std::chrono::steady_clock;
  auto time_before = Clock::now();
  uint64_t before = __rdtsc();
  std::this_thread::sleep_for(std::chrono::milliseconds(10));
  uint64_t after = __rdtsc();
  auto ns =
      std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - time_before).count();
  return static_cast<double>(ns) / static_cast<double>(after - before);
#else
  return 1;
#endif
}

}  // namespace

size_t LatencyHistogram::bucket(uint64_t ns) {
  if (ns < kSteps) return ns;
  int exponent = 63 - __builtin_clzll(ns);
  auto step = (ns >> (exponent - 2)) & (kSteps - 1);
  auto index = static_cast<size_t>(exponent - 1) * kSteps + step;
  return std::min<size_t>(index, kBuckets - 1);
}

uint64_t LatencyHistogram::upper_ns(int bucket_index) {
  if (bucket_index < kSteps) return static_cast<uint64_t>(bucket_index);
  int exponent = bucket_index / kSteps + 1;
  auto step = static_cast<uint64_t>(bucket_index % kSteps);
  return ((kSteps + step + 1) << (exponent - 2)) - 1;
}

void LatencyHistogram::reset() {
  for (Counter& counter : counts_) counter.reset();
}

CommandStats::CommandStats(const CommandTable& commands)
    : commands_(commands),
      ns_per_cycle_(
          static_cast<uint64_t>(measure_ns_per_cycle() * (uint64_t{1} << kFractionBits))) {}

CommandStats::PerThread& CommandStats::own() {
  // One instance in a process has the threads' rows; a test that makes several gets fresh ones.
  static thread_local CommandStats* owner = nullptr;
  static thread_local PerThread* rows = nullptr;
  if (owner != this) [[unlikely]] {
    std::lock_guard lock(mutex_);
    threads_.push_back(std::make_unique<PerThread>(commands_.all().size()));
    rows = threads_.back().get();
    owner = this;
  }
  return *rows;
}

void CommandStats::done(const CommandSpec& spec, uint64_t cycles, uint64_t ns, bool failed,
                        bool with_histogram) {
  Row& row = own().rows[commands_.index_of(spec)];
  row.calls.add();
  row.cycles.add(static_cast<int64_t>(cycles));
  if (failed) row.failed.add();
  if (!with_histogram) return;
  LatencyHistogram* histogram = row.histogram.load(std::memory_order_relaxed);
  if (histogram == nullptr) [[unlikely]] {
    histogram = new LatencyHistogram;
    row.histogram.store(histogram, std::memory_order_release);
  }
  histogram->record(ns);
}

void CommandStats::rejected(const CommandSpec& spec) {
  own().rows[commands_.index_of(spec)].rejected.add();
}

CommandStats::Sum CommandStats::sum(const CommandSpec& spec, bool with_histogram) const {
  Sum sum;
  if (with_histogram) sum.histogram.resize(LatencyHistogram::kBuckets);
  int64_t cycles = 0;
  std::lock_guard lock(mutex_);
  for (const auto& thread : threads_) {
    const Row& row = thread->rows[commands_.index_of(spec)];
    sum.calls += row.calls.get();
    cycles += row.cycles.get();
    sum.failed += row.failed.get();
    sum.rejected += row.rejected.get();
    const LatencyHistogram* histogram = row.histogram.load(std::memory_order_acquire);
    if (!with_histogram || histogram == nullptr) continue;
    for (int i = 0; i < LatencyHistogram::kBuckets; ++i) {
      sum.histogram[static_cast<size_t>(i)] += histogram->count(i);
    }
  }
  sum.ns = static_cast<int64_t>(ns(static_cast<uint64_t>(cycles)));
  return sum;
}

void CommandStats::reset() {
  std::lock_guard lock(mutex_);
  for (const auto& thread : threads_) {
    for (Row& row : thread->rows) {
      row.calls.reset();
      row.cycles.reset();
      row.failed.reset();
      row.rejected.reset();
      if (LatencyHistogram* histogram = row.histogram.load()) histogram->reset();
    }
  }
}

void CommandStats::reset_histogram(const CommandSpec& spec) {
  std::lock_guard lock(mutex_);
  for (const auto& thread : threads_) {
    if (auto* histogram = thread->rows[commands_.index_of(spec)].histogram.load())
      histogram->reset();
  }
}

double CommandStats::percentile_us(const std::vector<int64_t>& histogram, double p) {
  int64_t total = 0;
  for (int64_t count : histogram) total += count;
  if (total == 0) return 0;
  auto wanted = static_cast<int64_t>(std::ceil(static_cast<double>(total) * p / 100));
  int64_t seen = 0;
  for (size_t i = 0; i < histogram.size(); ++i) {
    seen += histogram[i];
    if (seen >= std::max<int64_t>(wanted, 1)) {
      return static_cast<double>(LatencyHistogram::upper_ns(static_cast<int>(i))) / 1000;
    }
  }
  return 0;
}

}  // namespace dyno

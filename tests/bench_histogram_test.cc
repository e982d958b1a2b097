// SPDX-License-Identifier: Apache-2.0
// The histogram against exact sorting: its error, its merging, its .hgrm text.
#include "bench/histogram.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <sstream>
#include <string>
#include <vector>

#include "bench/random.h"

namespace {

using dyno::bench::Histogram;
using dyno::bench::Random;

constexpr double kPoints[] = {0, 1, 10, 50, 75, 90, 99, 99.9, 99.99, 99.999, 100};

// Latencies as they come: a body around 100 us, a tail up to seconds.
std::vector<uint64_t> latencies(size_t count, uint64_t seed) {
  Random random(seed);
  std::vector<uint64_t> values;
  for (size_t i = 0; i < count; ++i) {
    const double tail = random.below(100) == 0 ? 1e9 * random.unit() : 0;
    values.push_back(static_cast<uint64_t>(-std::log(random.unit_positive()) * 100e3 + tail));
  }
  return values;
}

uint64_t exact(const std::vector<uint64_t>& sorted, double percent) {
  const auto rank = static_cast<size_t>(
      std::max(1.0, std::ceil(percent / 100 * static_cast<double>(sorted.size()) - 1e-6)));
  return sorted[rank - 1];
}

std::string buckets(const Histogram& histogram) {
  std::string text;
  histogram.for_each([&](uint64_t low, uint64_t high, uint64_t times) {
    text += std::to_string(low) + "-" + std::to_string(high) + ":" + std::to_string(times) + "\n";
  });
  return text;
}

}  // namespace

TEST_CASE("percentiles are within 0.1 % of exact sorting") {
  for (const uint64_t seed : {1u, 2u, 3u}) {
    auto values = latencies(200'000, seed);
    Histogram histogram;
    for (const uint64_t value : values) histogram.record(value);
    std::sort(values.begin(), values.end());
    for (const double percent : kPoints) {
      const auto truth = static_cast<double>(exact(values, percent));
      const auto told = static_cast<double>(histogram.percentile(percent));
      CAPTURE(percent);
      CHECK(std::abs(told - truth) <= truth * 0.001 + 0.5);
    }
    CHECK(histogram.max() == values.back());
    CHECK(histogram.min() == values.front());
    CHECK(histogram.count() == values.size());
    double sum = 0;
    for (const uint64_t value : values) sum += static_cast<double>(value);
    CHECK(histogram.mean() == doctest::Approx(sum / static_cast<double>(values.size())));
  }
}

TEST_CASE("no bucket is wider than a thousandth of its values, and together they leave no gap") {
  Histogram histogram;
  for (uint64_t value = 1; value < uint64_t{1} << 43; value = value * 9 / 8 + 1) {
    histogram.record(value);
  }
  for (uint64_t power = 4; power < 43; ++power) {
    for (const int64_t near : {-1, 0, 1}) {
      Histogram one;
      const uint64_t value = (uint64_t{1} << power) + static_cast<uint64_t>(near);
      one.record(value);
      one.for_each([&](uint64_t low, uint64_t high, uint64_t times) {
        CHECK(times == 1);
        CHECK(low <= value);
        CHECK(value <= high);
        CHECK(static_cast<double>(high - low) <= static_cast<double>(low) * 0.001);
      });
    }
  }
  uint64_t before = 0;
  histogram.for_each([&](uint64_t low, uint64_t high, uint64_t) {
    CHECK(low >= before);
    CHECK(high >= low);
    before = high + 1;
  });
}

TEST_CASE("merging loses nothing") {
  const auto values = latencies(50'000, 7);
  Histogram whole;
  std::vector<Histogram> parts(7);
  for (size_t i = 0; i < values.size(); ++i) {
    whole.record(values[i]);
    parts[i % parts.size()].record(values[i]);
  }
  Histogram merged;
  for (const Histogram& part : parts) merged.merge(part);
  CHECK(buckets(merged) == buckets(whole));
  CHECK(merged.count() == whole.count());
  CHECK(merged.max() == whole.max());
  CHECK(merged.min() == whole.min());
  for (const double percent : kPoints) {
    CHECK(merged.percentile(percent) == whole.percentile(percent));
  }
}

TEST_CASE("counting several at once is the same as one by one") {
  Histogram once;
  Histogram many;
  once.record(12'345, 1000);
  for (int i = 0; i < 1000; ++i) many.record(12'345);
  CHECK(buckets(once) == buckets(many));
  CHECK(once.mean() == doctest::Approx(many.mean()));
}

TEST_CASE("an empty histogram and an absurd value do no harm") {
  Histogram histogram;
  CHECK(histogram.percentile(99) == 0);
  CHECK(histogram.max() == 0);
  CHECK(histogram.min() == 0);
  CHECK(histogram.mean() == 0);
  CHECK(histogram.deviation() == 0);
  histogram.record(UINT64_MAX);
  CHECK(histogram.max() == UINT64_MAX);
  CHECK(histogram.count() == 1);
  histogram.clear();
  CHECK(histogram.count() == 0);
}

TEST_CASE("the .hgrm text rises to the maximum and names the totals") {
  auto values = latencies(100'000, 11);
  Histogram histogram;
  for (const uint64_t value : values) histogram.record(value);
  std::istringstream text(histogram.hgrm(1e6));
  std::string line;
  std::getline(text, line);
  CHECK(line == "       Value     Percentile TotalCount 1/(1-Percentile)");
  double value_before = -1;
  double share_before = -1;
  unsigned rows = 0;
  std::string tail;
  while (std::getline(text, line)) {
    double value = 0;
    double share = 0;
    if (line.empty()) continue;
    if (line[0] == '#') {
      tail += line + "\n";
      continue;
    }
    REQUIRE(std::sscanf(line.c_str(), "%lf %lf", &value, &share) == 2);
    CHECK(value >= value_before);
    CHECK(share >= share_before);
    value_before = value;
    share_before = share;
    ++rows;
  }
  CHECK(rows > 30);
  CHECK(share_before == 1.0);
  CHECK(value_before == doctest::Approx(static_cast<double>(histogram.max()) / 1e6));
  CHECK(tail.find("Total count    =       100000") != std::string::npos);
}

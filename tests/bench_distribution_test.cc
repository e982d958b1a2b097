// SPDX-License-Identifier: Apache-2.0
// The key distributions against their definitions, by chi-square; fixed seeds, so a pass stays a
// pass.
#include "bench/distribution.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "bench/value_size.h"

namespace {

using dyno::bench::Distribution;
using dyno::bench::DistributionSpec;
using dyno::bench::Random;
using dyno::bench::ValueSize;
using dyno::bench::Zipf;

DistributionSpec spec_of(const std::string& text) {
  std::string why;
  const auto spec = DistributionSpec::parse(text, why);
  REQUIRE_MESSAGE(spec.has_value(), why);
  return *spec;
}

// The statistic in standard deviations from its mean: a correct sampler is below 4 but once in
// 30,000. Cells that expect fewer than ten draws are pooled.
double chi_square_score(const std::vector<uint64_t>& counts, const std::vector<double>& shares) {
  uint64_t draws = 0;
  for (const uint64_t count : counts) draws += count;
  double statistic = 0;
  double pooled_expected = 0;
  double pooled_count = 0;
  int cells = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    pooled_expected += shares[i] * static_cast<double>(draws);
    pooled_count += static_cast<double>(counts[i]);
    if (pooled_expected < 10 && i + 1 < counts.size()) continue;
    if (pooled_expected > 0) {
      statistic +=
          (pooled_count - pooled_expected) * (pooled_count - pooled_expected) / pooled_expected;
      ++cells;
    }
    pooled_expected = pooled_count = 0;
  }
  const double freedom = cells - 1;
  return (statistic - freedom) / std::sqrt(2 * freedom);
}

std::vector<double> zipf_shares(uint64_t n, double exponent) {
  std::vector<double> shares(n);
  double sum = 0;
  for (uint64_t rank = 1; rank <= n; ++rank) sum += std::pow(static_cast<double>(rank), -exponent);
  for (uint64_t rank = 1; rank <= n; ++rank) {
    shares[rank - 1] = std::pow(static_cast<double>(rank), -exponent) / sum;
  }
  return shares;
}

}  // namespace

TEST_CASE("zipf ranks fit for exponents below, at and above one") {
  for (const double exponent : {0.5, 0.99, 1.0, 1.01, 1.5, 3.0}) {
    for (const uint64_t n : {2u, 10u, 1000u, 100'000u}) {
      Zipf zipf(n, exponent);
      Random random(42 + n);
      std::vector<uint64_t> counts(n);
      for (int i = 0; i < 400'000; ++i) {
        const uint64_t rank = zipf.draw(random);
        REQUIRE(rank >= 1);
        REQUIRE(rank <= n);
        ++counts[rank - 1];
      }
      CAPTURE(exponent);
      CAPTURE(n);
      CHECK(chi_square_score(counts, zipf_shares(n, exponent)) < 4);
    }
  }
}

TEST_CASE("the chi-square check does reject a wrong exponent") {
  Zipf zipf(1000, 0.99);
  Random random(5);
  std::vector<uint64_t> counts(1000);
  for (int i = 0; i < 400'000; ++i) ++counts[zipf.draw(random) - 1];
  CHECK(chi_square_score(counts, zipf_shares(1000, 1.02)) > 10);
}

TEST_CASE("zipf keys: scattering only permutes the ranks") {
  constexpr uint64_t n = 1000;
  Distribution keys(spec_of("zipf:0.99"), n);
  Random random(9);
  std::vector<uint64_t> counts(n);
  for (int i = 0; i < 400'000; ++i) ++counts[keys.draw(random)];
  std::sort(counts.rbegin(), counts.rend());
  const auto shares = zipf_shares(n, 0.99);
  // Sorting the tail biases its cells, so the head is what tells.
  for (size_t rank = 0; rank < 20; ++rank) {
    CHECK(static_cast<double>(counts[rank]) ==
          doctest::Approx(shares[rank] * 400'000).epsilon(0.06));
  }
}

TEST_CASE("uniform keys fit") {
  for (const uint64_t n : {1u, 3u, 1000u}) {
    Distribution keys(spec_of("uniform"), n);
    Random random(n);
    std::vector<uint64_t> counts(n);
    for (int i = 0; i < 200'000; ++i) ++counts[keys.draw(random)];
    if (n == 1) {
      CHECK(counts[0] == 200'000);
    } else {
      CHECK(chi_square_score(counts, std::vector<double>(n, 1.0 / static_cast<double>(n))) < 4);
    }
  }
}

TEST_CASE("hotspot: the hot share of keys gets its share of requests, evenly") {
  constexpr uint64_t n = 1000;
  Distribution keys(spec_of("hotspot:0.1:0.9"), n);
  Random random(3);
  std::vector<uint64_t> counts(n);
  for (int i = 0; i < 300'000; ++i) ++counts[keys.draw(random)];
  std::vector<double> shares(n, 0.1 / 900);
  std::fill(shares.begin(), shares.begin() + 100, 0.9 / 100);
  CHECK(chi_square_score(counts, shares) < 4);
}

TEST_CASE("sequential: the lanes together take every key once") {
  constexpr uint64_t n = 1000;
  std::set<uint64_t> seen;
  Random random(1);
  for (unsigned lane = 0; lane < 4; ++lane) {
    Distribution keys(spec_of("sequential"), n, lane, 4);
    for (int i = 0; i < 250; ++i) CHECK(seen.insert(keys.draw(random)).second);
  }
  CHECK(seen.size() == n);
}

TEST_CASE("latest: the newest key is the hottest, none is beyond the newest") {
  Distribution keys(spec_of("latest:0.99"), 1000);
  Random random(8);
  std::vector<uint64_t> counts(1500);
  for (int i = 0; i < 200'000; ++i) ++counts[keys.draw(random, 1500)];
  CHECK(std::max_element(counts.begin(), counts.end()) - counts.begin() == 1499);
  CHECK(counts[1499] > counts[1490]);
  for (int i = 0; i < 1000; ++i) CHECK(keys.draw(random, 10) < 10);
}

TEST_CASE("what is no distribution is refused with a reason") {
  for (const char* text : {"", "gauss", "zipf:0", "zipf:-1", "zipf:x", "zipf:1:2", "hotspot:2",
                           "hotspot:0.1:1.5", "uniform:3", "zipf:", "latest:nan"}) {
    std::string why;
    CAPTURE(text);
    CHECK(!DistributionSpec::parse(text, why).has_value());
    CHECK(!why.empty());
  }
}

TEST_CASE("value sizes: fixed, range and weights") {
  std::string why;
  Random random(4);
  const auto fixed = ValueSize::parse("32", why);
  REQUIRE(fixed.has_value());
  CHECK(fixed->fixed());
  CHECK(fixed->draw(random) == 32);
  const auto range = ValueSize::parse("10-13", why);
  REQUIRE(range.has_value());
  std::vector<uint64_t> counts(4);
  for (int i = 0; i < 100'000; ++i) ++counts[range->draw(random) - 10];
  CHECK(chi_square_score(counts, std::vector<double>(4, 0.25)) < 4);
  const auto weighted = ValueSize::parse("1:70,2:20,3:10", why);
  REQUIRE(weighted.has_value());
  CHECK(weighted->largest() == 3);
  std::vector<uint64_t> picks(3);
  for (int i = 0; i < 100'000; ++i) ++picks[weighted->draw(random) - 1];
  CHECK(chi_square_score(picks, {0.7, 0.2, 0.1}) < 4);
  for (const char* text : {"", "x", "5-4", "-1", "1:0", "1:x", "600000000000", "1,,2"}) {
    CAPTURE(text);
    CHECK(!ValueSize::parse(text, why).has_value());
  }
}

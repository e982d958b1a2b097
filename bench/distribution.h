// SPDX-License-Identifier: Apache-2.0
// Which key a request takes: numbers 0 … n-1 drawn by a named distribution.
//
//   uniform                each key alike
//   zipf[:S]               rank r with weight 1/r^S (S = 0.99), ranks scattered over the keys
//   hotspot[:KEYS[:SHARE]] a share of the keys (0.2) gets a share of the requests (0.8)
//   sequential             0, 1, 2 … and around; worker w of t takes w, w+t, w+2t …
//   latest[:S]             zipf over age: the newest key is the hottest
//
// Zipf is exact for every n and S > 0: rejection-inversion (Hoermann, Derflinger 1996) needs no
// table and about two logarithms a draw. Scattering is a bijection, so it changes no probability.
// A distribution belongs to one thread; copies are cheap.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "bench/random.h"

namespace dyno::bench {

/// Ranks 1 … n with probability proportional to 1/rank^exponent.
class Zipf {
 public:
  Zipf(uint64_t n, double exponent);
  uint64_t draw(Random& random) const;

 private:
  double integral(double x) const;
  double integral_inverse(double x) const;
  double weight(double x) const;

  double exponent_;
  double n_;
  double integral_first_;
  double integral_last_;
  double shortcut_;
};

struct DistributionSpec {
  enum class Kind { kUniform, kZipf, kHotspot, kSequential, kLatest };
  Kind kind = Kind::kUniform;
  double exponent = 0.99;  // zipf, latest
  double hot_keys = 0.2;   // hotspot: share of the keys
  double hot_share = 0.8;  // hotspot: share of the requests
  std::string text = "uniform";

  /// Reads the syntax above; on failure returns nothing and `why` says what was expected.
  static std::optional<DistributionSpec> parse(std::string_view text, std::string& why);
};

class Distribution {
 public:
  /// Keys 0 … n-1 (n > 0). `lane` of `lanes` matters to `sequential` only.
  Distribution(const DistributionSpec& spec, uint64_t n, unsigned lane = 0, unsigned lanes = 1);

  /// `population` is the number of keys that exist now; only `latest` looks at it (n when 0).
  uint64_t draw(Random& random, uint64_t population = 0);
  bool follows_population() const { return spec_.kind == DistributionSpec::Kind::kLatest; }

 private:
  DistributionSpec spec_;
  uint64_t n_;
  uint64_t hot_;
  uint64_t stride_;  // coprime to n_: multiplying by it permutes 0 … n-1
  uint64_t next_;
  uint64_t step_;
  Zipf zipf_;
};

}  // namespace dyno::bench

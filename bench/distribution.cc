// SPDX-License-Identifier: Apache-2.0
// The draws, and the reading of their names.
#include "bench/distribution.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>
#include <vector>

namespace dyno::bench {

namespace {

// log1p(x)/x and expm1(x)/x, continued to x = 0, keep the integral exact around exponent 1.
double log1p_over(double x) {
  return std::abs(x) > 1e-8 ? std::log1p(x) / x : 1 - x * (0.5 - x * (1.0 / 3 - 0.25 * x));
}
double expm1_over(double x) {
  return std::abs(x) > 1e-8 ? std::expm1(x) / x : 1 + x * 0.5 * (1 + x / 3 * (1 + 0.25 * x));
}

uint64_t coprime_stride(uint64_t n) {
  if (n < 3) return 1;
  auto stride = static_cast<uint64_t>(static_cast<double>(n) * 0.6180339887498949);
  stride = std::max<uint64_t>(stride, 1);
  while (std::gcd(stride, n) != 1) ++stride;
  return stride;
}

}  // namespace

Zipf::Zipf(uint64_t n, double exponent) : exponent_(exponent), n_(static_cast<double>(n)) {
  integral_first_ = integral(1.5) - 1.0;
  integral_last_ = integral(n_ + 0.5);
  shortcut_ = 2.0 - integral_inverse(integral(2.5) - weight(2.0));
}

double Zipf::weight(double x) const {
  return std::exp(-exponent_ * std::log(x));
}

double Zipf::integral(double x) const {
  const double log_x = std::log(x);
  return expm1_over((1.0 - exponent_) * log_x) * log_x;
}

double Zipf::integral_inverse(double x) const {
  const double t = std::max(x * (1.0 - exponent_), -1.0);
  return std::exp(log1p_over(t) * x);
}

uint64_t Zipf::draw(Random& random) const {
  while (true) {
    const double u = integral_last_ + random.unit() * (integral_first_ - integral_last_);
    const double x = integral_inverse(u);
    const double k = std::clamp(std::floor(x + 0.5), 1.0, n_);
    if (k - x <= shortcut_ || u >= integral(k + 0.5) - weight(k)) return static_cast<uint64_t>(k);
  }
}

std::optional<DistributionSpec> DistributionSpec::parse(std::string_view text, std::string& why) {
  std::vector<std::string_view> parts;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(':', begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  std::vector<double> numbers;
  for (size_t i = 1; i < parts.size(); ++i) {
    double value = 0;
    const char* end = parts[i].data() + parts[i].size();
    const auto [stop, error] = std::from_chars(parts[i].data(), end, value);
    if (error != std::errc() || stop != end) {
      why = "'" + std::string(parts[i]) + "' in '" + std::string(text) + "' is not a number";
      return std::nullopt;
    }
    numbers.push_back(value);
  }
  DistributionSpec spec;
  spec.text = text;
  const std::string_view name = parts[0];
  size_t most = 0;
  if (name == "uniform") {
    spec.kind = Kind::kUniform;
  } else if (name == "sequential") {
    spec.kind = Kind::kSequential;
  } else if (name == "zipf" || name == "latest") {
    spec.kind = name == "zipf" ? Kind::kZipf : Kind::kLatest;
    most = 1;
    if (!numbers.empty()) spec.exponent = numbers[0];
    if (!(spec.exponent > 0 && spec.exponent <= 10)) {
      why = "the exponent of " + std::string(name) + " must be above 0 and at most 10";
      return std::nullopt;
    }
  } else if (name == "hotspot") {
    spec.kind = Kind::kHotspot;
    most = 2;
    if (!numbers.empty()) spec.hot_keys = numbers[0];
    if (numbers.size() > 1) spec.hot_share = numbers[1];
    if (!(spec.hot_keys > 0 && spec.hot_keys < 1 && spec.hot_share >= 0 && spec.hot_share <= 1)) {
      why = "hotspot takes two shares between 0 and 1: hotspot:KEYS:REQUESTS";
      return std::nullopt;
    }
  } else {
    why = "'" + std::string(name) +
          "' is no key distribution; use uniform, zipf, hotspot, sequential or latest";
    return std::nullopt;
  }
  if (numbers.size() > most) {
    why = "'" + std::string(text) + "' has too many parameters";
    return std::nullopt;
  }
  return spec;
}

Distribution::Distribution(const DistributionSpec& spec, uint64_t n, unsigned lane, unsigned lanes)
    : spec_(spec),
      n_(n),
      hot_(std::clamp<uint64_t>(static_cast<uint64_t>(static_cast<double>(n) * spec.hot_keys), 1,
                                n)),
      stride_(coprime_stride(n)),
      next_(lane % n),
      step_(lanes),
      zipf_(n, spec.exponent) {}

uint64_t Distribution::draw(Random& random, uint64_t population) {
  switch (spec_.kind) {
    case DistributionSpec::Kind::kUniform:
      return random.below(n_);
    case DistributionSpec::Kind::kSequential: {
      const uint64_t key = next_;
      next_ += step_;
      if (next_ >= n_) next_ %= n_;
      return key;
    }
    case DistributionSpec::Kind::kHotspot:
      if (hot_ == n_ || random.unit() < spec_.hot_share) return random.below(hot_);
      return hot_ + random.below(n_ - hot_);
    case DistributionSpec::Kind::kZipf:
      return static_cast<uint64_t>(static_cast<unsigned __int128>(zipf_.draw(random) - 1) *
                                   stride_ % n_);
    case DistributionSpec::Kind::kLatest: {
      const uint64_t age = zipf_.draw(random) - 1;
      const uint64_t newest = population == 0 ? n_ : population;
      return age < newest ? newest - 1 - age : random.below(newest);
    }
  }
  return 0;
}

}  // namespace dyno::bench

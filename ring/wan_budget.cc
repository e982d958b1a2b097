// SPDX-License-Identifier: Apache-2.0
#include "ring/wan_budget.h"

#include <algorithm>

namespace dyno {
namespace {

constexpr int64_t kSecondUs = 1'000'000;

}  // namespace

void WanBudget::refill(Now now) {
  if (rate_ == 0) return;
  if (filled_us_ == std::numeric_limits<int64_t>::min()) filled_us_ = now.mono_us;
  // Whole seconds apart: the product stays small whatever was missed.
  int64_t passed_us = std::clamp<int64_t>(now.mono_us - filled_us_, 0, kSecondUs);
  int64_t gained =
      static_cast<int64_t>(static_cast<double>(rate_) * static_cast<double>(passed_us) / kSecondUs);
  // Time that is worth no byte yet is kept for the next call.
  if (gained == 0 && passed_us < kSecondUs) return;
  filled_us_ = now.mono_us;
  room_ = std::min(room_ + gained, burst());
  taking_ = std::min(taking_ + gained / 2, rate_);
}

void WanBudget::take(size_t bytes) {
  int64_t taken = std::min(static_cast<int64_t>(bytes), taking_);
  taking_ -= taken;
  room_ -= taken;
}

int64_t WanBudget::next_us() const {
  if (rate_ == 0 || room_ > 0) return kNever;
  double missing_us = static_cast<double>(1 - room_) * kSecondUs / static_cast<double>(rate_);
  return std::max(filled_us_, int64_t{0}) + static_cast<int64_t>(missing_us) + 1;
}

}  // namespace dyno

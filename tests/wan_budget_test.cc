// SPDX-License-Identifier: Apache-2.0
//
// What may be sent over the distance: the rate holds in the long run, whatever is sent without
// asking, and waiting takes as long as it says.
#include "ring/wan_budget.h"

#include <doctest/doctest.h>

#include <algorithm>

namespace dyno {
namespace {

TEST_CASE("without a rate there is no limit") {
  WanBudget budget(0);
  budget.spend(size_t{1} << 40);
  CHECK(budget.room() == WanBudget::kUnlimited);
  CHECK(budget.next_us() == kNever);
}

TEST_CASE("in the long run as much is sent as the rate says") {
  for (int64_t rate : {int64_t{1}, int64_t{1000}, int64_t{200'000}, int64_t{1} << 30}) {
    WanBudget budget(rate);
    Now now{1'000'000, 0};
    budget.refill(now);
    double sent = 0;
    for (int i = 0; i < 10'000; ++i) {
      now.mono_us += 1000;
      budget.refill(now);
      int64_t room = std::max<int64_t>(budget.room(), 0);
      budget.spend(static_cast<size_t>(room));
      sent += static_cast<double>(room);
    }
    double due = static_cast<double>(rate) * 10;
    const int64_t burst_bytes = rate / WanBudget::kBurstsPerSecond + 1;
    auto burst = static_cast<double>(burst_bytes);
    CHECK(sent <= due + burst + 1);
    CHECK(sent >= due * 0.99 - burst - 1);
  }
}

TEST_CASE("what goes without asking takes half at most") {
  for (int64_t asked_per_ms : {100, 10'000}) {
    constexpr int64_t kRate = 1'000'000;
    WanBudget budget(kRate);
    Now now{1'000'000, 0};
    double sent = 0;
    for (int i = 0; i < 10'000; ++i) {
      now.mono_us += 1000;
      budget.refill(now);
      budget.take(static_cast<size_t>(asked_per_ms));
      int64_t room = std::max<int64_t>(budget.room(), 0);
      budget.spend(static_cast<size_t>(room));
      sent += static_cast<double>(room);
    }
    double left = static_cast<double>(kRate - std::min(asked_per_ms * 1000, kRate / 2)) * 10;
    CHECK(sent <= left * 1.01);
    CHECK(sent >= left * 0.99);
  }
}

TEST_CASE("what is owed is paid, and then there is room") {
  WanBudget budget(1000);
  Now now{1'000'000, 0};
  budget.refill(now);
  CHECK(budget.next_us() == kNever);
  budget.spend(1051);  // A second's worth more than there was.
  CHECK(budget.room() < 0);
  int64_t next_us = budget.next_us();
  CHECK(next_us >= now.mono_us + 1'000'000);
  CHECK(next_us <= now.mono_us + 1'002'000);
  for (int i = 0; i < 20; ++i) {
    now.mono_us = std::min(now.mono_us + 100'000, next_us);
    budget.refill(now);
  }
  CHECK(budget.room() > 0);
}

}  // namespace
}  // namespace dyno

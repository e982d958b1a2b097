// SPDX-License-Identifier: Apache-2.0
#include "src/page_keeper.h"

#include <chrono>
#include <utility>

#include "engine/memory.h"
#include "engine/stats.h"
#include "src/network_thread.h"

namespace dyno {
namespace {

// While the data set grows, and for so many looks afterwards.
constexpr auto kGrowingPeriod = std::chrono::milliseconds(2);
constexpr int kGrowingLooks = 50;
constexpr auto kPeriod = std::chrono::milliseconds(20);
constexpr int64_t kReturnPeriodUs = 100'000;
// Of all loops together, from one look to the next.
constexpr int64_t kRestingBusyUsMax = 500;

}  // namespace

PageKeeper::PageKeeper(std::span<const std::unique_ptr<NetworkThread>> loops)
    : loops_(loops), thread_([this](const std::stop_token& stop) { run(stop); }) {}

void PageKeeper::run(const std::stop_token& stop) {
  int looks_left = 0;
  int64_t next_return_us = 0;
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    looks_left = memory::prepare_pages() ? kGrowingLooks : looks_left - 1;
    bool is_growing = looks_left > 0;
    if (!is_growing) {
      looks_left = 0;
      while (is_resting() && memory::make_huge_page()) {
      }
    }
    if (monotonic_us() >= next_return_us) {
      memory::return_spare_pages();
      next_return_us = monotonic_us() + kReturnPeriodUs;
    }
    wake_.wait_for(lock, stop, is_growing ? kGrowingPeriod : kPeriod, [] { return false; });
  }
}

bool PageKeeper::is_resting() {
  int64_t commands = sum_stats([](ThreadStats& s) { return s.commands.get(); });
  int64_t busy_us = 0;
  for (const auto& loop : loops_) {
    busy_us += loop->turn_times().total_us.load(std::memory_order_relaxed);
  }
  bool same = std::exchange(seen_commands_, commands) == commands;
  return busy_us - std::exchange(seen_busy_us_, busy_us) <= kRestingBusyUsMax && same;
}

}  // namespace dyno

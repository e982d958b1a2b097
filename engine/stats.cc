// SPDX-License-Identifier: Apache-2.0
#include "engine/stats.h"

#include <mutex>
#include <vector>

namespace dyno {
namespace {

// Counters outlive their threads, so that sums never fall.
struct AllStats {
  std::mutex mutex;
  std::vector<ThreadStats*> all;
};

AllStats& all_stats() {
  static AllStats* instance = new AllStats;
  return *instance;
}

ThreadStats* make_stats() {
  auto* made = new ThreadStats;
  std::lock_guard lock(all_stats().mutex);
  all_stats().all.push_back(made);
  return made;
}

}  // namespace

ThreadStats& stats() {
  static thread_local ThreadStats* own = make_stats();
  return *own;
}

void for_each_stats(void (*visit)(ThreadStats&, void*), void* argument) {
  std::lock_guard lock(all_stats().mutex);
  for (ThreadStats* each : all_stats().all) visit(*each, argument);
}

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// Counters of the engine. Each thread adds to its own and readers sum them, so that counting never
// moves a cache line between processors.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

namespace dyno {

inline constexpr int kDatabaseCount = 16;

// Written by one thread, read by any.
class Counter {
 public:
  void add(int64_t delta = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + delta, std::memory_order_relaxed);
  }
  void reset() { value_.store(0, std::memory_order_relaxed); }
  [[nodiscard]] int64_t get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<int64_t> value_{0};
};

struct alignas(64) ThreadStats {
  std::array<Counter, kDatabaseCount> keys;       // Keys in each physical database.
  std::array<Counter, kDatabaseCount> deadlines;  // Those of them that will expire.
  Counter cold_keys;                              // Those whose values are on disk.
  Counter commands;
  Counter keyspace_hits;
  Counter keyspace_misses;
  Counter expired_keys;
  Counter expired_fields;
  Counter evicted_keys;
  Counter changes;  // Writes since start, as INFO's rdb_changes_since_last_save counts them.
  Counter errors;
};

// The calling thread's counters.
[[nodiscard]] ThreadStats& stats();

// The sum of one counter over all threads, e.g. sum_stats([](ThreadStats& s) { return
// s.commands.get(); }).
template <class Read>
[[nodiscard]] int64_t sum_stats(Read&& read);
// Calls visit(ThreadStats&) for every thread's counters.
void for_each_stats(void (*visit)(ThreadStats&, void*), void* argument);

template <class Read>
int64_t sum_stats(Read&& read) {
  struct State {
    Read& read;
    int64_t sum;
  } state{read, 0};
  for_each_stats(
      [](ThreadStats& each, void* argument) {
        auto* s = static_cast<State*>(argument);
        s->sum += s->read(each);
      },
      &state);
  return state.sum;
}

}  // namespace dyno

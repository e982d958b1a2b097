// SPDX-License-Identifier: Apache-2.0
//
// Gives memory back without making anybody wait: large values and whole databases that were deleted
// are queued here, already out of reach of commands, and freed in slices between requests.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>

#include "engine/entry.h"
#include "engine/keyspace.h"

namespace dyno {

// Thread-safe.
class Reclaimer {
 public:
  // Frees the entry at once when it is small, else queues it.
  void give(Entry* entry);
  // Queues all entries of 16384 tables.
  void give(std::unique_ptr<EntryTable[]> tables, int64_t entry_count);

  // Frees for about `budget_us` microseconds; true when something is left.
  bool run(int64_t budget_us);
  // Frees everything.
  void finish();

  // Entries not yet freed, for INFO's lazyfree_pending_objects.
  [[nodiscard]] int64_t pending() const { return pending_.load(std::memory_order_relaxed); }
  [[nodiscard]] int64_t freed() const { return freed_.load(std::memory_order_relaxed); }

 private:
  struct Flushed {
    std::unique_ptr<EntryTable[]> tables;
    uint32_t table = 0;
    uint32_t position = 0;
  };

  // One step of at most some tens of microseconds; true when the item is done.
  bool step(Flushed& flushed);

  std::mutex mutex_;
  std::deque<Entry*> entries_;
  std::deque<std::unique_ptr<Flushed>> flushes_;
  std::atomic<int64_t> pending_{0};
  std::atomic<int64_t> freed_{0};
};

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
#include "engine/reclaimer.h"

#include <chrono>

#include "engine/value.h"

namespace dyno {
namespace {

// Values with fewer elements are freed where they are deleted: queueing would cost as much.
constexpr size_t kFreedAtOnceElements = 64;
// Elements freed between two looks at the clock.
constexpr size_t kStepElements = 256;

int64_t now_us() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace

void Reclaimer::give(Entry* entry) {
  if (entry->encoding() != Encoding::kLarge ||
      value_ops(entry).length(entry) <= kFreedAtOnceElements) {
    destroy_entry(entry);
    return;
  }
  std::lock_guard lock(mutex_);
  entries_.push_back(entry);
  pending_.fetch_add(1, std::memory_order_relaxed);
}

void Reclaimer::give(std::unique_ptr<EntryTable[]> tables, int64_t entry_count) {
  auto flushed = std::make_unique<Flushed>();
  flushed->tables = std::move(tables);
  std::lock_guard lock(mutex_);
  flushes_.push_back(std::move(flushed));
  pending_.fetch_add(entry_count, std::memory_order_relaxed);
}

bool Reclaimer::step(Flushed& flushed) {
  EntryTable& table = flushed.tables[flushed.table];
  uint64_t next = table.scan(flushed.position, kStepElements, [&](uint64_t* word) {
    // A scan reads the words alone, so an entry may go as soon as it has been seen.
    Entry* entry = EntryTable::node(*word);
    pending_.fetch_sub(1, std::memory_order_relaxed);
    freed_.fetch_add(1, std::memory_order_relaxed);
    give(entry);
  });
  if (next <= UINT32_MAX) {
    flushed.position = static_cast<uint32_t>(next);
    return false;
  }
  table.release();
  flushed.position = 0;
  return ++flushed.table == kSlotCount;
}

bool Reclaimer::run(int64_t budget_us) {
  if (pending() == 0) {
    std::lock_guard lock(mutex_);
    if (entries_.empty() && flushes_.empty()) return false;
  }
  int64_t end_us = now_us() + budget_us;
  do {
    Entry* entry = nullptr;
    std::unique_ptr<Flushed> flushed;
    {
      std::lock_guard lock(mutex_);
      if (!entries_.empty()) {
        entry = entries_.front();
        entries_.pop_front();
      } else if (!flushes_.empty()) {
        flushed = std::move(flushes_.front());
        flushes_.pop_front();
      } else {
        return false;
      }
    }
    bool done = false;
    do {
      done =
          entry != nullptr ? value_ops(entry).destroy_some(entry, kStepElements) : step(*flushed);
    } while (!done && now_us() < end_us);
    if (done && entry != nullptr) {
      memory::release(entry);
      pending_.fetch_sub(1, std::memory_order_relaxed);
      freed_.fetch_add(1, std::memory_order_relaxed);
    } else if (!done) {
      std::lock_guard lock(mutex_);
      if (entry != nullptr) entries_.push_front(entry);
      if (flushed != nullptr) flushes_.push_front(std::move(flushed));
    }
  } while (now_us() < end_us);
  return true;
}

void Reclaimer::finish() {
  while (run(INT32_MAX)) {
  }
}

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
#include "engine/compactor.h"

#include <atomic>
#include <chrono>

namespace dyno {
namespace {

constexpr auto kBudget = std::chrono::microseconds(200);

// Counts the choices that found any.
std::atomic<uint64_t> choices{0};

}  // namespace

Compactor::Compactor(Keyspace& keyspace, uint32_t begin_slot, uint32_t end_slot)
    : keyspace_(keyspace), begin_(begin_slot), end_(end_slot), next_(begin_slot) {}

void Compactor::choose() {
  if (memory::choose_thin_spans() != 0) choices.fetch_add(1, std::memory_order_relaxed);
}

void Compactor::run() {
  uint64_t choice = choices.load(std::memory_order_relaxed);
  if (choice != seen_choice_) {
    seen_choice_ = choice;
    left_ = end_ - begin_;
  }
  if (left_ == 0) return;
  auto end = std::chrono::steady_clock::now() + kBudget;
  while (left_ != 0) {
    Slot& slot = keyspace_.slot(static_cast<SlotIndex>(next_));
    slot.lock.lock();
    visit(slot);
    slot.lock.unlock();
    --left_;
    if (++next_ == end_) next_ = begin_;
    if (std::chrono::steady_clock::now() >= end) break;
  }
}

void Compactor::visit(Slot& slot) {
  slot.table.leave_thin_spans();
  slot.table.for_each([](uint64_t* word) {
    Entry* entry = EntryTable::node(*word);
    if (memory::in_thin_span(entry)) {
      EntryTable::set_node(word, static_cast<Entry*>(memory::move(entry)));
    }
    return true;
  });
}

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
#include "engine/compactor.h"

#include <atomic>
#include <chrono>
#include <mutex>

#include "engine/replica/replica.h"

namespace dyno {
namespace {

constexpr auto kBudget = std::chrono::microseconds(200);
// Keys visited between two looks at the clock, some tens of microseconds apart if all are moved.
constexpr uint32_t kKeysAtOnce = 64;
constexpr uint64_t kEndOfSlot = uint64_t{1} << 32;

// Counts the choices that found any.
std::atomic<uint64_t> choices{0};

}  // namespace

Compactor::Compactor(Keyspace& keyspace, uint32_t begin_slot, uint32_t end_slot)
    : keyspace_(keyspace), begin_(begin_slot), end_(end_slot), next_(begin_slot) {}

void Compactor::choose() {
  if (memory::choose_thin_spans() != 0) choices.fetch_add(1, std::memory_order_relaxed);
}

void Compactor::run(Replica* replica) {
  uint64_t choice = choices.load(std::memory_order_relaxed);
  if (choice != seen_choice_) {
    seen_choice_ = choice;
    left_ = end_ - begin_;
  }
  if (left_ == 0) return;
  auto end = std::chrono::steady_clock::now() + kBudget;
  do {
    if (visit(replica)) continue;
    position_ = 0;
    part_ = 0;
    --left_;
    if (++next_ == end_) next_ = begin_;
  } while (left_ != 0 && std::chrono::steady_clock::now() < end);
}

bool Compactor::visit(Replica* replica) {
  Slot& slot = keyspace_.slot(static_cast<SlotIndex>(next_));
  const std::lock_guard lock(slot.lock);
  if (position_ == kEndOfSlot) {
    return replica->slot(static_cast<SlotIndex>(next_)).leave_thin_spans(part_++);
  }
  if (position_ == 0) slot.table.leave_thin_spans();
  position_ = slot.table.scan(static_cast<uint32_t>(position_), kKeysAtOnce, [](uint64_t* word) {
    Entry* entry = EntryTable::node(*word);
    if (memory::in_thin_span(entry)) {
      EntryTable::set_node(word, static_cast<Entry*>(memory::move(entry)));
    }
  });
  if (position_ < kEndOfSlot) return true;
  position_ = kEndOfSlot;
  return replica != nullptr;
}

}  // namespace dyno

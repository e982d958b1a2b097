// SPDX-License-Identifier: Apache-2.0
#include "engine/compactor.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>

#include "engine/replica/replica.h"
#include "engine/span.h"

namespace dyno {
namespace {

constexpr auto kBudget = std::chrono::microseconds(200);
// Keys visited between two looks at the clock, some tens of microseconds apart if all are moved.
constexpr uint32_t kKeysAtOnce = 64;
constexpr uint64_t kEndOfSlot = uint64_t{1} << 32;

// Calls of choose() between two choices, at most: half a minute.
constexpr uint32_t kPauseMax = 300;
// Below this part of all spans, to empty those that were chosen is not worth being done at once.
constexpr size_t kWorthPart = 32;

// Counts the choices that found any.
std::atomic<uint64_t> choices{0};

// Of choose()'s thread.
struct Pace {
  uint64_t moved = 0;      // Ever, at the last choice.
  int64_t used_bytes = 0;  // The most since then.
  uint32_t pause = 0;      // Calls between the last choice and the next.
  uint32_t left = 0;       // Of them.
} pace;

}  // namespace

Compactor::Compactor(Keyspace& keyspace, uint32_t begin_slot, uint32_t end_slot)
    : keyspace_(keyspace), begin_(begin_slot), end_(end_slot), next_(begin_slot) {}

void Compactor::choose() {
  const int64_t used_bytes = memory::small_used_bytes();
  pace.used_bytes = std::max(pace.used_bytes, used_bytes);
  const bool is_emptier = used_bytes < pace.used_bytes - pace.used_bytes / 16;
  if (pace.left != 0 && !is_emptier) {
    --pace.left;
    return;
  }
  // What could not be moved is not kept from being filled again.
  const size_t chosen = memory::choose_thin_spans(pace.pause == 0 || is_emptier);
  if (chosen == 0) return;
  choices.fetch_add(1, std::memory_order_relaxed);
  const uint64_t moved = memory::moved_objects();
  const auto spans = static_cast<size_t>(memory::span_bytes()) / memory::kSpanBytes;
  const bool is_worth = is_emptier || (moved != pace.moved && chosen >= spans / kWorthPart);
  const uint32_t pause = is_worth ? 0 : std::min(2 * pace.pause + 1, kPauseMax);
  pace = {moved, used_bytes, pause, pause};
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

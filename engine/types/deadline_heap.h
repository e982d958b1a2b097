// SPDX-License-Identifier: Apache-2.0
//
// The fields of one large hash that will expire, soonest first.
//
// A binary heap of (deadline, node); each node knows its index, so that a deadline is changed or
// taken away without a search. Guarded, as all of the hash, by the lock of its slot.
#pragma once

#include <cstdint>
#include <cstring>
#include <utility>

#include "engine/memory.h"

namespace dyno {

// Node gives: void set_heap_index(uint32_t).
template <class Node>
class DeadlineHeap {
 public:
  struct Item {
    int64_t deadline_ms;
    Node* node;
  };

  [[nodiscard]] uint32_t size() const { return size_; }
  [[nodiscard]] const Item& top() const { return items_[0]; }
  [[nodiscard]] const Item& at(uint32_t index) const { return items_[index]; }

  void push(int64_t deadline_ms, Node* node) {
    if (size_ == capacity_) grow();
    items_[size_] = {deadline_ms, node};
    rise(size_++);
  }
  void change(uint32_t index, int64_t deadline_ms) {
    items_[index].deadline_ms = deadline_ms;
    sink(rise(index));
  }
  // The node at `index` is now elsewhere.
  void moved(uint32_t index, Node* node) { items_[index].node = node; }
  void erase(uint32_t index) {
    --size_;
    if (index != size_) {
      items_[index] = items_[size_];
      sink(rise(index));
    }
    if (size_ == 0) release();
  }
  void release() {
    memory::release(items_);
    items_ = nullptr;
    size_ = capacity_ = 0;
  }
  // Items whose deadline has come; time is proportional to their number.
  [[nodiscard]] uint32_t count_due(int64_t now_ms) const { return count_due_below(0, now_ms); }
  [[nodiscard]] size_t memory_bytes() const {
    return items_ == nullptr ? 0 : memory::usable_bytes(items_);
  }

 private:
  static constexpr uint32_t kCapacityMin = 4;

  // Recursion is as deep as the heap is high.
  [[nodiscard]] uint32_t count_due_below(uint64_t index, int64_t now_ms) const {
    if (index >= size_ || items_[index].deadline_ms > now_ms) return 0;
    return 1 + count_due_below(2 * index + 1, now_ms) + count_due_below(2 * index + 2, now_ms);
  }
  void place(uint32_t index, const Item& item) {
    items_[index] = item;
    item.node->set_heap_index(index);
  }
  uint32_t rise(uint32_t index) {
    Item item = items_[index];
    while (index > 0) {
      uint32_t parent = (index - 1) / 2;
      if (items_[parent].deadline_ms <= item.deadline_ms) break;
      place(index, items_[parent]);
      index = parent;
    }
    place(index, item);
    return index;
  }
  void sink(uint32_t index) {
    Item item = items_[index];
    for (;;) {
      uint64_t child = 2 * uint64_t{index} + 1;
      if (child >= size_) break;
      if (child + 1 < size_ && items_[child + 1].deadline_ms < items_[child].deadline_ms) ++child;
      if (item.deadline_ms <= items_[child].deadline_ms) break;
      place(index, items_[child]);
      index = static_cast<uint32_t>(child);
    }
    place(index, item);
  }
  void grow() {
    uint32_t capacity = capacity_ == 0 ? kCapacityMin : capacity_ + capacity_ / 2;
    auto* items = static_cast<Item*>(memory::allocate(capacity * sizeof(Item)));
    if (size_ != 0) std::memcpy(items, items_, size_ * sizeof(Item));
    memory::release(items_);
    items_ = items;
    capacity_ = capacity;
  }

  Item* items_ = nullptr;
  uint32_t size_ = 0;
  uint32_t capacity_ = 0;
};

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// Objects by id, for what comes and goes a hundred thousand times a second. An id is never given
// twice; the object stays where it is until it is erased. What is erased is reset and kept, so that
// the buffers inside serve the next one: T::reset() makes it as new but for their capacity, and
// bounds that.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "protocol/check.h"

namespace dyno {

template <class T>
class Pool {
 public:
  // Never 0.
  uint64_t add() {
    if (free_.empty()) {
      DYNO_CHECK(slots_.size() < kPlaces);
      free_.push_back(slots_.size());
      slots_.emplace_back();
    }
    size_t place = free_.back();
    free_.pop_back();
    ++size_;
    return slots_[place].id = ++count_ * kPlaces + place;
  }

  // Null when it was erased.
  [[nodiscard]] T* find(uint64_t id) {
    size_t place = id % kPlaces;
    return id != 0 && place < slots_.size() && slots_[place].id == id ? &slots_[place].object
                                                                      : nullptr;
  }
  [[nodiscard]] bool contains(uint64_t id) const {
    size_t place = id % kPlaces;
    return id != 0 && place < slots_.size() && slots_[place].id == id;
  }

  void erase(uint64_t id) {
    size_t place = id % kPlaces;
    DYNO_CHECK(contains(id));
    slots_[place].id = 0;
    slots_[place].object.reset();
    free_.push_back(place);
    --size_;
  }

  [[nodiscard]] size_t size() const { return size_; }
  // visit(id, object), in an order that follows from what was added and erased.
  void each(auto visit) const {
    for (const Slot& slot : slots_) {
      if (slot.id != 0) visit(slot.id, slot.object);
    }
  }

 private:
  static constexpr uint64_t kPlaces = uint64_t{1} << 24;
  struct Slot {
    uint64_t id = 0;  // 0: free.
    T object;
  };

  std::deque<Slot> slots_;
  std::vector<size_t> free_;
  size_t size_ = 0;
  uint64_t count_ = 0;
};

}  // namespace dyno

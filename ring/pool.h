// SPDX-License-Identifier: Apache-2.0
//
// Objects by id, for what comes and goes a hundred thousand times a second. An id is never given
// twice; the object stays where it is until it is erased. What is erased is reset and kept, so that
// the buffers inside serve the next one: T::reset() makes it as new but for their capacity, and
// bounds that. Ids lie apart from the objects, so that asking for one that has gone touches none.
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
      DYNO_CHECK(ids_.size() < kPlaces);
      free_.push_back(ids_.size());
      ids_.push_back(0);
      objects_.emplace_back();
    }
    size_t place = free_.back();
    free_.pop_back();
    ++size_;
    return ids_[place] = ++count_ * kPlaces + place;
  }

  // Null when it was erased.
  [[nodiscard]] T* find(uint64_t id) { return contains(id) ? &objects_[id % kPlaces] : nullptr; }
  [[nodiscard]] bool contains(uint64_t id) const {
    size_t place = id % kPlaces;
    return id != 0 && place < ids_.size() && ids_[place] == id;
  }

  void erase(uint64_t id) {
    size_t place = id % kPlaces;
    DYNO_CHECK(contains(id));
    ids_[place] = 0;
    objects_[place].reset();
    free_.push_back(place);
    --size_;
  }

  [[nodiscard]] size_t size() const { return size_; }
  // visit(id, object), in an order that follows from what was added and erased.
  void each(auto visit) const {
    for (size_t place = 0; place < ids_.size(); ++place) {
      if (ids_[place] != 0) visit(ids_[place], objects_[place]);
    }
  }

 private:
  static constexpr uint64_t kPlaces = uint64_t{1} << 24;

  std::vector<uint64_t> ids_;  // By place; 0: free.
  std::deque<T> objects_;      // Likewise.
  std::vector<size_t> free_;
  size_t size_ = 0;
  uint64_t count_ = 0;
};

}  // namespace dyno

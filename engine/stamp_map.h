// SPDX-License-Identifier: Apache-2.0
//
// 64-bit words under 64-bit hashes: the stamps of a collection's elements, the records of a slot's
// keys. Hashes are keyed and stand for what was hashed: that two of a million are equal has odds of
// one in 40 million, and nobody can choose them.
//
// Open addressing with linear probing and deletion by shifting back (Knuth 6.4 R); 16 bytes a
// place. A map that outgrows kFlatMax splits into 64 children by the hash's next bits, so that no
// growth moves more than kFlatMax words.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace dyno {

// Not thread-safe. A word is never 0.
class StampMap {
 public:
  StampMap() = default;
  StampMap(StampMap&&) = default;
  StampMap& operator=(StampMap&&) = default;

  [[nodiscard]] size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  // 0 when there is none.
  [[nodiscard]] uint64_t find(uint64_t hash) const;
  // Asks the processor for the line that find() reads first. Always inlined: see table.h.
  [[gnu::always_inline]] void prefetch(uint64_t hash) const {
    const StampMap* map = this;
    while (map->children_ != nullptr) map = &map->child(hash);
    if (map->capacity_ != 0) __builtin_prefetch(&map->places_[map->home(hash)]);
  }
  void set(uint64_t hash, uint64_t word);
  // Does nothing when there is none.
  void erase(uint64_t hash);
  [[nodiscard]] size_t memory_bytes() const;

  // Calls visit(hash, word) for all, in no particular order.
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (size_t i = 0; children_ != nullptr && i < kFanOut; ++i) children_[i].for_each(visit);
    for (uint32_t i = 0; i < capacity_; ++i) {
      if (places_[i].word != 0) visit(places_[i].hash, places_[i].word);
    }
  }

 private:
  static constexpr size_t kFlatMax = 2048;
  static constexpr size_t kFanOut = 64;
  static constexpr uint32_t kFirstCapacity = 4;

  struct Place {
    uint64_t hash;
    uint64_t word;
  };

  [[nodiscard]] StampMap& child(uint64_t hash) const {
    return children_[(hash >> (58 - 6 * depth_)) % kFanOut];
  }
  [[nodiscard]] uint32_t home(uint64_t hash) const {
    return static_cast<uint32_t>(hash) & (capacity_ - 1);
  }
  void grow();
  void fan_out();

  std::unique_ptr<Place[]> places_;
  std::unique_ptr<StampMap[]> children_;
  size_t size_ = 0;
  uint32_t capacity_ = 0;
  uint8_t depth_ = 0;
};

}  // namespace dyno

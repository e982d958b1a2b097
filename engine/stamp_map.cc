// SPDX-License-Identifier: Apache-2.0
#include "engine/stamp_map.h"

#include <utility>

#include "protocol/check.h"

namespace dyno {

uint64_t StampMap::find(uint64_t hash) const {
  if (children_ != nullptr) return child(hash).find(hash);
  if (capacity_ == 0) return 0;
  for (uint32_t i = home(hash);; i = (i + 1) & (capacity_ - 1)) {
    if (places_[i].word == 0) return 0;
    if (places_[i].hash == hash) return places_[i].word;
  }
}

void StampMap::set(uint64_t hash, uint64_t word) {
  DYNO_CHECK(word != 0);
  if (children_ == nullptr && size_ >= kFlatMax && depth_ < 9) fan_out();
  if (children_ != nullptr) {
    StampMap& into = child(hash);
    size_t before = into.size_;
    into.set(hash, word);
    size_ += into.size_ - before;
    return;
  }
  if ((size_ + 1) * 8 > capacity_ * size_t{7}) grow();
  uint32_t i = home(hash);
  while (places_[i].word != 0 && places_[i].hash != hash) i = (i + 1) & (capacity_ - 1);
  if (places_[i].word == 0) ++size_;
  places_[i] = {hash, word};
}

void StampMap::erase(uint64_t hash) {
  if (children_ != nullptr) {
    StampMap& from = child(hash);
    size_t before = from.size_;
    from.erase(hash);
    size_ -= before - from.size_;
    if (size_ == 0) children_.reset();
    return;
  }
  if (capacity_ == 0) return;
  uint32_t mask = capacity_ - 1;
  uint32_t hole = home(hash);
  while (places_[hole].hash != hash || places_[hole].word == 0) {
    if (places_[hole].word == 0) return;
    hole = (hole + 1) & mask;
  }
  for (uint32_t i = (hole + 1) & mask; places_[i].word != 0; i = (i + 1) & mask) {
    // What may move to the hole without leaving its own run moves there.
    if (((i - home(places_[i].hash)) & mask) < ((i - hole) & mask)) continue;
    places_[hole] = places_[i];
    hole = i;
  }
  places_[hole].word = 0;
  if (--size_ == 0) {
    places_.reset();
    capacity_ = 0;
  }
}

void StampMap::grow() {
  std::unique_ptr<Place[]> old = std::move(places_);
  uint32_t old_capacity = capacity_;
  capacity_ = old_capacity == 0 ? kFirstCapacity : old_capacity * 2;
  places_ = std::make_unique<Place[]>(capacity_);
  for (uint32_t at = 0; at < old_capacity; ++at) {
    if (old[at].word == 0) continue;
    uint32_t i = home(old[at].hash);
    while (places_[i].word != 0) i = (i + 1) & (capacity_ - 1);
    places_[i] = old[at];
  }
}

void StampMap::fan_out() {
  children_ = std::make_unique<StampMap[]>(kFanOut);
  for (size_t i = 0; i < kFanOut; ++i) children_[i].depth_ = static_cast<uint8_t>(depth_ + 1);
  for (uint32_t i = 0; i < capacity_; ++i) {
    if (places_[i].word != 0) child(places_[i].hash).set(places_[i].hash, places_[i].word);
  }
  places_.reset();
  capacity_ = 0;
}

size_t StampMap::memory_bytes() const {
  size_t bytes = capacity_ * sizeof(Place);
  for (size_t i = 0; children_ != nullptr && i < kFanOut; ++i) {
    bytes += sizeof(StampMap) + children_[i].memory_bytes();
  }
  return bytes;
}

}  // namespace dyno

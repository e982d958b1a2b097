// SPDX-License-Identifier: Apache-2.0
//
// A hash index over the items of one packed run, for a command that looks for many items in it: a
// search without one reads half the run. Lives as long as the command; the run does not change
// meanwhile.
#pragma once

#include <bit>
#include <cstring>
#include <vector>

#include "engine/types/packed.h"

namespace dyno {

class PackedIndex {
 public:
  // Of the packed value at `value`, all items of which are texts and integers.
  explicit PackedIndex(const uint8_t* value) : run_(packed::begin(value)) {
    slots_.assign(std::bit_ceil(size_t{2} * packed::count(value) + 1), kFree);
    for (const uint8_t* at = run_; at < packed::end(value); at = packed::next(at)) {
      size_t slot = first_slot(packed::read(at));
      while (slots_[slot] != kFree) slot = next_slot(slot);
      slots_[slot] = static_cast<uint16_t>(at - run_);
    }
  }

  // An item as packed::read() gives it: never a text that is a canonical integer.
  [[nodiscard]] bool contains(const packed::Item& wanted) const {
    for (size_t slot = first_slot(wanted); slots_[slot] != kFree; slot = next_slot(slot)) {
      packed::Item item = packed::read(run_ + slots_[slot]);
      if (item.kind == wanted.kind && item.integer == wanted.integer && item.text == wanted.text) {
        return true;
      }
    }
    return false;
  }

 private:
  // No item begins here: a run has at most 65535 bytes.
  static constexpr uint16_t kFree = 0xffff;

  [[nodiscard]] size_t first_slot(const packed::Item& item) const {
    constexpr uint64_t kMix = 0x9e3779b97f4a7c15;
    constexpr uint64_t kOther = 0xbf58476d1ce4e5b9;
    uint64_t first = static_cast<uint64_t>(item.integer);
    uint64_t last = 0;
    size_t size = item.text.size();
    if (size >= sizeof(first)) {
      std::memcpy(&first, item.text.data(), sizeof(first));
      std::memcpy(&last, item.text.data() + size - sizeof(last), sizeof(last));
    } else if (size != 0) {
      std::memcpy(&first, item.text.data(), size);
    }
    // The halves of a full product depend on all bits of both factors.
    auto product = static_cast<unsigned __int128>(first ^ kMix) * (last ^ (size + kOther));
    auto mixed = static_cast<uint64_t>(product ^ product >> 64);
    return (mixed ^ mixed >> 32) & (slots_.size() - 1);
  }
  [[nodiscard]] size_t next_slot(size_t slot) const { return (slot + 1) & (slots_.size() - 1); }

  const uint8_t* run_;
  std::vector<uint16_t> slots_;
};

}  // namespace dyno

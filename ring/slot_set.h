// SPDX-License-Identifier: Apache-2.0
//
// A set of slots, 2 KiB whatever it holds: what remains of a hint that grew too large.
#pragma once

#include <bitset>
#include <string>
#include <string_view>

#include "protocol/token.h"

namespace dyno {

class SlotSet {
 public:
  static constexpr size_t kBytes = kSlotCount / 8;

  void insert(SlotIndex slot) { bits_.set(slot); }
  void erase(SlotIndex slot) { bits_.reset(slot); }
  void insert_all() { bits_.set(); }
  void clear() { bits_.reset(); }
  void merge(const SlotSet& other) { bits_ |= other.bits_; }
  [[nodiscard]] bool contains(SlotIndex slot) const { return bits_.test(slot); }
  [[nodiscard]] bool empty() const { return bits_.none(); }
  [[nodiscard]] size_t size() const { return bits_.count(); }

  // A bit per slot, low bits first; nothing at all when every slot is in the set.
  [[nodiscard]] std::string to_bytes() const {
    if (bits_.all()) return {};
    std::string bytes(kBytes, '\0');
    for (size_t slot = 0; slot < kSlotCount; ++slot) {
      if (bits_.test(slot)) bytes[slot / 8] = static_cast<char>(bytes[slot / 8] | 1 << slot % 8);
    }
    return bytes;
  }
  // False when these are not the bytes of a set.
  [[nodiscard]] bool from_bytes(std::string_view bytes) {
    if (bytes.empty()) {
      bits_.set();
      return true;
    }
    if (bytes.size() != kBytes) return false;
    for (size_t slot = 0; slot < kSlotCount; ++slot) {
      bits_.set(slot, (static_cast<unsigned char>(bytes[slot / 8]) >> slot % 8 & 1) != 0);
    }
    return true;
  }

 private:
  std::bitset<kSlotCount> bits_;
};

}  // namespace dyno

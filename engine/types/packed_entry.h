// SPDX-License-Identifier: Apache-2.0
//
// Edits of a packed value where it lies: inside its entry.
#pragma once

#include <cstring>

#include "engine/entry.h"
#include "engine/types/packed.h"

namespace dyno::packed {

// Puts `added` bytes, yet to be written, in place of the `removed` ones at `offset` behind the
// header, and changes the count of items by `count_change`. The caller has seen to kItemsBytesMax.
// Returns where the entry now is; the hole begins at its begin() + offset.
[[nodiscard]] inline Entry* splice(Entry* entry, size_t offset, size_t removed, size_t added,
                                   int count_change) {
  uint8_t* value = entry->value();
  uint32_t old_bytes = items_bytes(value);
  auto new_bytes = static_cast<uint32_t>(old_bytes - removed + added);
  auto new_count = static_cast<uint32_t>(static_cast<int>(count(value)) + count_change);
  if (new_bytes > old_bytes) {
    entry = Entry::resize_value(entry, kHeaderBytes + new_bytes, kHeaderBytes + old_bytes);
    value = entry->value();
  }
  if (removed != added) {
    uint8_t* hole = value + kHeaderBytes + offset;
    std::memmove(hole + added, hole + removed, old_bytes - offset - removed);
  }
  set_header(value, new_bytes, new_count);
  if (new_bytes < old_bytes) {
    entry = Entry::resize_value(entry, kHeaderBytes + new_bytes, kHeaderBytes + new_bytes);
  }
  return entry;
}

}  // namespace dyno::packed

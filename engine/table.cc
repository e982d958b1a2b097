// SPDX-License-Identifier: Apache-2.0
#include "engine/table.h"

#include <algorithm>

namespace dyno {

uint64_t* TableSegment::place(uint64_t word) {
  uint32_t index = home(tag(word));
  for (;;) {
    uint64_t* at = group(index);
    if (!is_full(at)) {
      while (*at != 0) ++at;
      *at = word;
      return at;
    }
    index = next_group(index);
  }
}

void TableSegment::remove(uint64_t* at) {
  uint32_t index = static_cast<uint32_t>(at - words) / kGroupWords;
  for (;;) {
    uint64_t* hole_group = group(index);
    bool was_full = is_full(hole_group);
    // The last word of the group fills the hole, so that used words stay first.
    uint64_t* last = hole_group + kGroupWords - 1;
    while (*last == 0) --last;
    *at = *last;
    *last = 0;
    if (!was_full) return;
    // Nodes that passed this group because it was full may now be sought here: bring one back.
    uint32_t distance = 1;
    uint32_t from = next_group(index);
    for (;; ++distance, from = next_group(from)) {
      uint64_t* candidate = nullptr;
      uint64_t* end = group(from) + kGroupWords;
      for (uint64_t* word = group(from); word != end && *word != 0; ++word) {
        uint32_t displaced = (from + groups - home(tag(*word))) % groups;
        if (displaced >= distance) {
          candidate = word;
          break;
        }
      }
      if (candidate != nullptr) {
        *last = *candidate;
        at = candidate;
        index = from;
        break;
      }
      if (!is_full(group(from)) || distance + 1 >= groups) return;
    }
  }
}

void TableSegment::resize(uint32_t new_groups) {
  TableSegment fresh;
  fresh.depth = depth;
  fresh.count = count;
  fresh.groups = new_groups & 0xffffff;
  size_t bytes = size_t{new_groups} * kGroupBytes;
  fresh.words = static_cast<uint64_t*>(memory::allocate(bytes));
  std::memset(fresh.words, 0, bytes);
  for (uint64_t* word = words; word != words + groups * kGroupWords; ++word) {
    if (*word != 0) fresh.place(*word);
  }
  memory::release(words);
  *this = fresh;
}

void TableSegment::grow() {
  uint32_t wanted = groups + std::max<uint32_t>(1, groups / 8);
  if (groups < kGroupsMax) wanted = std::min(wanted, kGroupsMax);
  // All of what the allocator gives for it.
  wanted = static_cast<uint32_t>(memory::rounded_bytes(size_t{wanted} * kGroupBytes) / kGroupBytes);
  DYNO_CHECK(wanted < 1u << 24);
  resize(wanted);
}

void TableSegment::shrink() {
  if (count == 0) {
    release_words();
  } else if (groups > 2 && count < groups * kGroupWords / 4) {
    resize(std::max<uint32_t>(1, count * 4 / (kGroupWords * 3) + 1));
  }
}

void TableSegment::release_words() {
  memory::release(words);
  words = nullptr;
  groups = 0;
}

}  // namespace dyno

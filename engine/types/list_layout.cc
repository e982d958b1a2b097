// SPDX-License-Identifier: Apache-2.0
//
// How the nodes of a large list lie in memory: places in the directory, room within a node, and
// when nodes are split and joined. See list_nodes.h.
#include <algorithm>

#include "engine/types/list_nodes.h"
#include "protocol/check.h"

namespace dyno {
namespace {

constexpr uint32_t kHeaderBytes = ListNode::kHeaderBytes;
// A list of few nodes lets each begin small and grow.
constexpr uint32_t kGrowingNodes = 4;
constexpr uint32_t kNodeBytesMin = 256;

}  // namespace

// --- The directory

void ListNodes::rearrange_directory(bool toward_front) {
  uint32_t free = capacity_ - node_count_;
  ListNode** old_directory = directory_;
  ListNode** old_nodes = directory_ == nullptr ? nullptr : nodes();
  uint16_t* old_counts = directory_ == nullptr ? nullptr : counts();
  bool reuse = free > node_count_ / 4 + 2;
  if (!reuse) {
    DYNO_CHECK(node_count_ < UINT32_MAX / 2);
    capacity_ = node_count_ + node_count_ / 2 + 4;
    free = capacity_ - node_count_;
    directory_ = static_cast<ListNode**>(memory::allocate(directory_bytes(capacity_)));
  }
  first_ = toward_front ? free - free / 8 : free / 8;
  if (node_count_ > 0) {
    std::memmove(nodes(), old_nodes, node_count_ * sizeof(ListNode*));
    std::memmove(counts(), old_counts, node_count_ * sizeof(uint16_t));
  }
  if (!reuse) memory::release(old_directory);
}

void ListNodes::open_place(uint32_t n, bool toward_front) {
  if (toward_front ? first_ == 0 : first_ + node_count_ == capacity_) {
    rearrange_directory(toward_front);
  }
  if (toward_front) {
    --first_;
    std::memmove(nodes(), nodes() + 1, n * sizeof(ListNode*));
    std::memmove(counts(), counts() + 1, n * sizeof(uint16_t));
  } else {
    uint32_t behind = node_count_ - n;
    std::memmove(nodes() + n + 1, nodes() + n, behind * sizeof(ListNode*));
    std::memmove(counts() + n + 1, counts() + n, behind * sizeof(uint16_t));
  }
  ++node_count_;
}

void ListNodes::close_places(uint32_t n, uint32_t count) {
  uint32_t behind = node_count_ - n - count;
  if (n < behind) {
    std::memmove(nodes() + count, nodes(), n * sizeof(ListNode*));
    std::memmove(counts() + count, counts(), n * sizeof(uint16_t));
    first_ += count;
  } else {
    std::memmove(nodes() + n, nodes() + n + count, behind * sizeof(ListNode*));
    std::memmove(counts() + n, counts() + n + count, behind * sizeof(uint16_t));
  }
  node_count_ -= count;
  if (behind == 0) tail_known_ = 0;
}

// --- Nodes

void ListNodes::free_node(uint32_t n) {
  memory::release(nodes()[n]);
  close_places(n, 1);
}

ListNode* ListNodes::add_node(uint32_t n, size_t size, bool at_front, bool toward_front) {
  bool lone = size > kItemBytesMax;
  size_t wanted = kHeaderBytes + size;
  if (!lone) {
    wanted = std::max<size_t>(wanted, node_count_ < kGrowingNodes ? kNodeBytesMin : kNodeBytes);
  }
  open_place(n, toward_front);
  auto* node = static_cast<ListNode*>(memory::allocate(wanted));
  nodes()[n] = node;
  counts()[n] = 0;
  node->begin = kHeaderBytes;
  if (at_front && !lone) node->begin = static_cast<uint16_t>(capacity_of(node));
  node->end = lone ? 0 : node->begin;
  if (n == last()) tail_known_ = 0;
  return node;
}

ListNode* ListNodes::reallocate(uint32_t n, uint32_t capacity, bool at_front) {
  ListNode* node = nodes()[n];
  uint32_t used = node->used();
  auto* moved = static_cast<ListNode*>(memory::allocate(capacity));
  moved->begin = static_cast<uint16_t>(at_front ? capacity_of(moved) - used : kHeaderBytes);
  moved->end = static_cast<uint16_t>(moved->begin + used);
  std::memcpy(moved->bytes() + moved->begin, node->first(), used);
  memory::release(node);
  nodes()[n] = moved;
  if (n == last()) tail_known_ = 0;
  return moved;
}

ListNode* ListNodes::make_room(uint32_t n, size_t size, bool at_front) {
  ListNode* node = nodes()[n];
  if (node->is_lone() || counts()[n] >= kNodeItemsMax) return nullptr;
  uint32_t capacity = capacity_of(node);
  if (at_front ? node->begin >= kHeaderBytes + size : node->end + size <= capacity) return node;
  uint32_t used = node->used();
  size_t wanted = kHeaderBytes + used + size;
  if (wanted > kNodeBytes) return nullptr;
  uint32_t free = capacity - kHeaderBytes - used;
  if (free >= size && free >= capacity / 4) {
    // Half of what will be free goes to each side, so that this is rare whatever comes next.
    auto half = static_cast<uint32_t>((free - size) / 2);
    auto begin = static_cast<uint16_t>(kHeaderBytes + half + (at_front ? size : 0));
    std::memmove(node->bytes() + begin, node->first(), used);
    node->begin = begin;
    node->end = static_cast<uint16_t>(begin + used);
    if (n == last()) tail_known_ = 0;
    return node;
  }
  if (capacity == kNodeBytes) return nullptr;
  auto grown = static_cast<uint32_t>(std::max<size_t>(wanted, capacity * 2));
  return reallocate(n, std::min(grown, kNodeBytes), at_front);
}

void ListNodes::trim(uint32_t n) {
  ListNode* node = nodes()[n];
  if (node->is_lone()) return;
  size_t wanted = memory::rounded_bytes(kHeaderBytes + node->used());
  if (wanted * 8 > size_t{capacity_of(node)} * 7) return;
  reallocate(n, kHeaderBytes + node->used(), false);
}

void ListNodes::split(uint32_t n, uint32_t nth) {
  const ListNode* left = nodes()[n];
  const uint8_t* from = skip_items(left->first(), nth);
  auto moved = static_cast<size_t>(left->last_end() - from);
  ListNode* right = add_node(n + 1, moved, false, n < node_count_ / 2);
  std::memcpy(right->bytes() + right->begin, from, moved);
  right->end = static_cast<uint16_t>(right->begin + moved);
  nodes()[n]->end = static_cast<uint16_t>(nodes()[n]->end - moved);
  counts()[n + 1] = static_cast<uint16_t>(counts()[n] - nth);
  counts()[n] = static_cast<uint16_t>(nth);
}

bool ListNodes::fit_together(uint32_t left, uint32_t right) const {
  const ListNode* a = nodes()[left];
  const ListNode* b = nodes()[right];
  return !a->is_lone() && !b->is_lone() &&
         kHeaderBytes + a->used() + b->used() <= kNodeBytes * 3 / 4 &&
         counts()[left] + counts()[right] <= static_cast<int>(kNodeItemsMax);
}

void ListNodes::append_items(uint32_t to, uint32_t from) {
  uint32_t moved = nodes()[from]->used();
  uint32_t used = nodes()[to]->used();
  ListNode* node = nodes()[to];
  if (node->end + moved > capacity_of(node)) {
    node = reallocate(to, std::max(capacity_of(node), kHeaderBytes + used + moved), false);
  }
  std::memcpy(node->bytes() + node->end, nodes()[from]->first(), moved);
  node->end = static_cast<uint16_t>(node->end + moved);
  counts()[to] = static_cast<uint16_t>(counts()[to] + counts()[from]);
}

void ListNodes::merge_around(uint32_t n) {
  if (n + 1 < node_count_ && fit_together(n, n + 1)) {
    append_items(n, n + 1);
    free_node(n + 1);
  }
  if (n > 0 && n < node_count_ && fit_together(n - 1, n)) {
    append_items(n - 1, n);
    free_node(n);
  }
  tail_known_ = 0;
}

void ListNodes::compact() {
  uint32_t kept = 0;
  for (uint32_t n = 0; n < node_count_; ++n) {
    if (counts()[n] == 0) {
      memory::release(nodes()[n]);
    } else if (kept > 0 && fit_together(kept - 1, n)) {
      append_items(kept - 1, n);
      memory::release(nodes()[n]);
    } else {
      nodes()[kept] = nodes()[n];
      counts()[kept++] = counts()[n];
    }
  }
  node_count_ = kept;
  tail_known_ = 0;
}

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
#include "engine/types/list_nodes.h"

#include <algorithm>
#include <new>

#include "protocol/check.h"

namespace dyno {
namespace {

constexpr uint32_t kHeaderBytes = ListNode::kHeaderBytes;
// From how many nodes on they are not freed at once.
constexpr uint32_t kCutNodesMin = 64;

}  // namespace

// --- Life

ListNodes* ListNodes::make() {
  return new (memory::allocate(sizeof(ListNodes))) ListNodes;
}

ListNodes* ListNodes::copy() const {
  ListNodes* made = new (memory::allocate(sizeof(ListNodes))) ListNodes;
  *made = *this;
  made->capacity_ = node_count_;
  made->first_ = 0;
  made->tail_known_ = 0;
  made->directory_ = nullptr;
  if (node_count_ == 0) return made;
  made->directory_ = static_cast<ListNode**>(memory::allocate(directory_bytes(node_count_)));
  std::memcpy(made->counts(), counts(), node_count_ * sizeof(uint16_t));
  for (uint32_t n = 0; n < node_count_; ++n) {
    const ListNode* node = nodes()[n];
    auto items = static_cast<size_t>(node->last_end() - node->first());
    auto* twin = static_cast<ListNode*>(memory::allocate(kHeaderBytes + items));
    twin->begin = kHeaderBytes;
    twin->end = node->is_lone() ? 0 : static_cast<uint16_t>(kHeaderBytes + items);
    std::memcpy(twin->bytes() + kHeaderBytes, node->first(), items);
    made->nodes()[n] = twin;
  }
  return made;
}

bool ListNodes::destroy_some(ListNodes* list, size_t budget) {
  size_t freed = 0;
  while (list->node_count_ > 0 && freed < budget) {
    uint32_t n = --list->node_count_;
    freed += list->counts()[n];
    memory::release(list->nodes()[n]);
  }
  if (list->node_count_ > 0) return false;
  memory::release(list->directory_);
  memory::release(list);
  return true;
}

size_t ListNodes::memory_bytes(size_t samples) const {
  size_t bytes = memory::usable_bytes(this);
  if (directory_ != nullptr) bytes += memory::usable_bytes(directory_);
  size_t looked = samples == 0 ? node_count_ : std::min<size_t>(samples, node_count_);
  size_t sum = 0;
  for (size_t i = 0; i < looked; ++i)
    sum += memory::usable_bytes(nodes()[i * node_count_ / looked]);
  return looked == 0 ? bytes : bytes + sum * node_count_ / looked;
}

// --- Finding

ListNodes::Place ListNodes::find_node(size_t index) const {
  constexpr uint32_t kStride = 32;
  const uint16_t* counts = this->counts();
  auto sum_of = [&](uint32_t n) {
    uint32_t sum = 0;
    for (uint32_t i = 0; i < kStride; ++i) sum += counts[n + i];
    return sum;
  };
  if (index < size_ / 2 || node_count_ <= 2) {
    uint32_t n = 0;
    while (n + kStride <= node_count_) {
      uint32_t sum = sum_of(n);
      if (index < sum) break;
      index -= sum;
      n += kStride;
    }
    while (index >= counts[n]) index -= counts[n++];
    return {n, static_cast<uint32_t>(index), nullptr};
  }
  size_t behind = size_ - index;  // Items from this one to the end, at least one.
  uint32_t n = node_count_;
  while (n >= kStride) {
    uint32_t sum = sum_of(n - kStride);
    if (behind <= sum) break;
    behind -= sum;
    n -= kStride;
  }
  while (behind > counts[n - 1]) behind -= counts[--n];
  --n;
  return {n, static_cast<uint32_t>(counts[n] - behind), nullptr};
}

ListNodes::Place ListNodes::seek(size_t index) const {
  Place place = find_node(index);
  uint32_t steps = place.nth;
  place.item = nodes()[place.node]->first();
  if (place.node == last() && steps > 0) {
    // The last items of the tail are known without a walk.
    uint32_t from_end = counts()[place.node] - steps;
    if (from_end <= tail_known_) {
      place.item =
          nodes()[place.node]->bytes() + tail_starts_[(tail_next_ - from_end) % kTailStarts];
      return place;
    }
  }
  place.item = skip_items(place.item, steps);
  return place;
}

const uint8_t* ListNodes::at(size_t index) const {
  return seek(index).item;
}

const uint8_t* ListNodes::back() {
  ListNode* tail = nodes()[last()];
  if (tail->is_lone()) return tail->first();
  if (tail_known_ == 0) find_tail_starts();
  return tail->bytes() + tail_starts_[(tail_next_ - 1u) % kTailStarts];
}

void ListNodes::find_tail_starts() {
  const ListNode* tail = nodes()[last()];
  uint32_t count = counts()[last()];
  uint32_t known = std::min(count, kTailStarts);
  const uint8_t* item = skip_items(tail->first(), count - known);
  for (uint32_t i = 0; i < known; ++i) {
    tail_starts_[i] = static_cast<uint16_t>(item - tail->bytes());
    item = next_item(item);
  }
  tail_known_ = static_cast<uint8_t>(known);
  tail_next_ = static_cast<uint8_t>(known % kTailStarts);
}

// --- Changes

void ListNodes::push_front(const packed::Encoded& item) {
  size_t size = item.size();
  ListNode* node = node_count_ > 0 ? make_room(0, size, true) : nullptr;
  if (node == nullptr) {
    // The node that is now inside keeps no room; the tail's remembered places would move with it.
    if (node_count_ > 1) trim(0);
    node = add_node(0, size, true, true);
  }
  if (node->is_lone()) {
    item.write(node->bytes() + kHeaderBytes);
  } else {
    node->begin = static_cast<uint16_t>(node->begin - size);
    item.write(node->bytes() + node->begin);
  }
  ++counts()[0];
  ++size_;
  bytes_ += size;
}

void ListNodes::push_back(const packed::Encoded& item) {
  size_t size = item.size();
  ListNode* node = node_count_ > 0 ? make_room(last(), size, false) : nullptr;
  if (node == nullptr) {
    if (node_count_ > 1) trim(last());
    node = add_node(node_count_, size, false, false);
  }
  if (node->is_lone()) {
    item.write(node->bytes() + kHeaderBytes);
  } else {
    tail_starts_[tail_next_] = node->end;
    tail_next_ = (tail_next_ + 1) % kTailStarts;
    if (tail_known_ < kTailStarts) ++tail_known_;
    item.write(node->bytes() + node->end);
    node->end = static_cast<uint16_t>(node->end + size);
  }
  ++counts()[last()];
  ++size_;
  bytes_ += size;
}

void ListNodes::pop_front() {
  ListNode* node = nodes()[0];
  auto size = static_cast<size_t>(next_item(node->first()) - node->first());
  bytes_ -= size;
  --size_;
  if (--counts()[0] == 0) {
    memory::release(node);
    ++first_;
    --node_count_;
    if (node_count_ == 0) tail_known_ = 0;
    return;
  }
  node->begin = static_cast<uint16_t>(node->begin + size);
  if (node_count_ == 1 && tail_known_ > counts()[0])
    tail_known_ = static_cast<uint8_t>(counts()[0]);
}

void ListNodes::pop_back() {
  const uint8_t* item = back();
  uint32_t n = last();
  ListNode* node = nodes()[n];
  bytes_ -= static_cast<size_t>(node->last_end() - item);
  --size_;
  if (--counts()[n] == 0) {
    free_node(n);
    return;
  }
  node->end = static_cast<uint16_t>(item - node->bytes());
  tail_next_ = (tail_next_ + kTailStarts - 1) % kTailStarts;
  --tail_known_;
}

void ListNodes::insert(size_t index, const packed::Encoded& item) {
  if (index == size_) return push_back(item);
  if (index == 0) return push_front(item);
  size_t size = item.size();
  Place place = seek(index);
  uint32_t n = place.node;
  uint32_t nth = place.nth;
  if (size > kItemBytesMax && nth > 0) {
    split(n, nth);
    ++n;
    nth = 0;
  }
  ListNode* node = nullptr;
  if (nth == 0) {
    // Between two nodes: the left one's end, the right one's front, or a node of its own.
    if (size <= kItemBytesMax) {
      node = make_room(n - 1, size, false);
      if (node != nullptr) {
        nth = counts()[--n];
      } else {
        node = make_room(n, size, true);
      }
    }
    if (node == nullptr) node = add_node(n, size, false, n < node_count_ / 2);
  } else {
    node = make_room(n, size, false);
    if (node == nullptr) {
      split(n, counts()[n] / 2u);
      return insert(index, item);
    }
  }
  bytes_ += size;
  ++size_;
  ++counts()[n];
  if (n == last()) tail_known_ = 0;
  if (node->is_lone()) {
    item.write(node->bytes() + kHeaderBytes);
  } else if (nth == 0 && node->begin >= kHeaderBytes + size) {
    node->begin = static_cast<uint16_t>(node->begin - size);
    item.write(node->bytes() + node->begin);
  } else {
    uint8_t* at = const_cast<uint8_t*>(skip_items(node->first(), nth));
    std::memmove(at + size, at, static_cast<size_t>(node->last_end() - at));
    item.write(at);
    node->end = static_cast<uint16_t>(node->end + size);
  }
}

void ListNodes::replace(size_t index, const packed::Encoded& item) {
  Place place = seek(index);
  ListNode* node = nodes()[place.node];
  auto* at = const_cast<uint8_t*>(place.item);
  const uint8_t* following = next_item(at);
  auto old_size = static_cast<size_t>(following - at);
  size_t size = item.size();
  if (size == old_size) {
    item.write(at);
    return;
  }
  if (node->is_lone() || node->end - old_size + size > capacity_of(node)) {
    erase(index, 1);
    insert(index, item);
    return;
  }
  std::memmove(at + size, following, static_cast<size_t>(node->last_end() - following));
  item.write(at);
  node->end = static_cast<uint16_t>(node->end - old_size + size);
  bytes_ += size - old_size;
  if (place.node == last()) tail_known_ = 0;
}

void ListNodes::erase(size_t first, size_t count) {
  if (count == 0) return;
  Place place = seek(first);
  uint32_t n = place.node;
  uint32_t nth = place.nth;
  size_ -= count;
  uint32_t gone = 0;  // Whole nodes, from `first_gone` on.
  uint32_t first_gone = n;
  for (; count > 0; ++n, nth = 0) {
    ListNode* node = nodes()[n];
    uint32_t here = counts()[n];
    if (n == last()) tail_known_ = 0;
    if (nth == 0 && here <= count) {
      bytes_ -= static_cast<size_t>(node->last_end() - node->first());
      memory::release(node);
      if (gone++ == 0) first_gone = n;
      count -= here;
      continue;
    }
    auto taken = static_cast<uint32_t>(std::min<size_t>(count, here - nth));
    const uint8_t* from = skip_items(node->first(), nth);
    const uint8_t* to = nth + taken == here ? node->last_end() : skip_items(from, taken);
    auto bytes = static_cast<uint32_t>(to - from);
    if (nth == 0) {
      node->begin = static_cast<uint16_t>(node->begin + bytes);
    } else {
      std::memmove(const_cast<uint8_t*>(from), to, static_cast<size_t>(node->last_end() - to));
      node->end = static_cast<uint16_t>(node->end - bytes);
    }
    counts()[n] = static_cast<uint16_t>(here - taken);
    bytes_ -= bytes;
    count -= taken;
  }
  if (gone > 0) close_places(first_gone, gone);
  if (node_count_ > 0) merge_around(std::min(place.node, last()));
}

ListNodes* ListNodes::cut(size_t first, size_t* count) {
  if (*count < kCutNodesMin) return nullptr;
  Place from = find_node(first);
  uint32_t begin = from.node + (from.nth > 0);
  uint32_t end = first + *count == size_ ? node_count_ : find_node(first + *count).node;
  if (end < begin + kCutNodesMin) return nullptr;
  uint32_t gone = end - begin;
  // Nodes are looked at only on the side that has fewer of them.
  auto bytes_of = [&](uint32_t n, uint32_t past) {
    uint64_t bytes = 0;
    for (; n < past; ++n) {
      bytes += static_cast<uint64_t>(nodes()[n]->last_end() - nodes()[n]->first());
    }
    return bytes;
  };
  ListNodes* made = make();
  made->bytes_ = gone <= node_count_ / 2 ? bytes_of(begin, end)
                                         : bytes_ - bytes_of(0, begin) - bytes_of(end, node_count_);
  made->directory_ = static_cast<ListNode**>(memory::allocate(directory_bytes(gone)));
  made->capacity_ = gone;
  made->node_count_ = gone;
  std::memcpy(made->nodes(), nodes() + begin, gone * sizeof(ListNode*));
  std::memcpy(made->counts(), counts() + begin, gone * sizeof(uint16_t));
  for (uint32_t n = 0; n < gone; ++n) made->size_ += made->counts()[n];
  close_places(begin, gone);
  size_ -= made->size_;
  bytes_ -= made->bytes_;
  *count -= made->size_;
  return made;
}

uint32_t ListNodes::count_equal(uint32_t n, const ItemMatcher& item) const {
  const uint8_t* at = nodes()[n]->first();
  uint32_t equal = 0;
  for (uint32_t left = counts()[n]; left > 0; --left) {
    const uint8_t* following = next_item(at);
    equal += item.matches(at, following);
    at = following;
  }
  return equal;
}

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// A large list: nodes of packed items, and a directory of them.
//
//   node       := begin:u16 end:u16 gap item* gap       at most kNodeBytes; items as in packed.h
//               | 4:u16 0:u16 item                      a lone node: one item of any size
//   directory  := free pointer* free | free count* free  node pointers, then counts of items
//
// Always true: no node is empty; a node holds at most kNodeItemsMax items; only an item that no
// ordinary node could hold is alone in a lone node. Nodes have room at either side, so that pushes
// and pops at both ends move nothing, and the directory has too. Counts lie side by side, so that
// an index is found by adding up cache lines of them. Items can be read forward only; where the
// last few of the tail node begin is remembered, which makes pops at the tail as cheap as at the
// head.
//
// kNodeBytes is such that nodes fill the allocator's spans without rest.
// Pointers to items are valid until the next change. Not thread-safe: the slot's lock guards it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>

#include "engine/memory.h"
#include "engine/types/packed.h"

namespace dyno {

struct ListNode {
  static constexpr uint32_t kHeaderBytes = 4;

  uint16_t begin;
  uint16_t end;  // Offsets from the node's start; 0: a lone node.

  [[nodiscard]] bool is_lone() const { return end == 0; }
  [[nodiscard]] uint8_t* bytes() { return reinterpret_cast<uint8_t*>(this); }
  [[nodiscard]] const uint8_t* bytes() const { return reinterpret_cast<const uint8_t*>(this); }
  [[nodiscard]] const uint8_t* first() const { return bytes() + begin; }
  [[nodiscard]] const uint8_t* last_end() const {
    return is_lone() ? packed::next(first()) : bytes() + end;
  }
  [[nodiscard]] uint32_t used() const { return static_cast<uint32_t>(end) - begin; }
};

// The item after the one at `at`.
[[nodiscard]] inline const uint8_t* next_item(const uint8_t* at) {
  return *at < 0x80 ? at + 1 + *at : packed::next(at);
}

// The item `count` items after the one at `at`.
[[nodiscard]] inline const uint8_t* skip_items(const uint8_t* at, uint32_t count) {
  for (; count > 0; --count) at = next_item(at);
  return at;
}

// Compares items with a wanted one. Most that differ are told apart by their size, or by their
// first or last eight bytes, without a call.
class ItemMatcher {
 public:
  explicit ItemMatcher(const packed::Encoded& wanted) : wanted_(wanted), size_(wanted.size()) {
    if (size_ < kWordBytes) return;
    std::string bytes(size_, 0);
    wanted.write(reinterpret_cast<uint8_t*>(bytes.data()));
    first_ = word(reinterpret_cast<const uint8_t*>(bytes.data()));
    last_ = word(reinterpret_cast<const uint8_t*>(bytes.data()) + size_ - kWordBytes);
  }

  // `following` is the item after the one at `at`.
  [[nodiscard]] bool matches(const uint8_t* at, const uint8_t* following) const {
    if (static_cast<size_t>(following - at) != size_) return false;
    if (size_ >= kWordBytes && (word(at) != first_ || word(following - kWordBytes) != last_)) {
      return false;
    }
    return wanted_.equals(at);
  }
  [[nodiscard]] bool matches(const uint8_t* at) const { return matches(at, next_item(at)); }
  [[nodiscard]] size_t size() const { return size_; }

 private:
  static constexpr size_t kWordBytes = 8;

  [[nodiscard]] static uint64_t word(const uint8_t* at) {
    uint64_t value;
    std::memcpy(&value, at, sizeof(value));
    return value;
  }

  const packed::Encoded& wanted_;
  size_t size_;
  uint64_t first_ = 0;
  uint64_t last_ = 0;
};

class ListNodes {
 public:
  static constexpr uint32_t kNodeBytes = 1984;
  static constexpr uint32_t kNodeItemsMax = 512;
  // Larger items are alone in their node.
  static constexpr uint32_t kItemBytesMax = kNodeBytes - ListNode::kHeaderBytes;

  [[nodiscard]] static ListNodes* make();
  [[nodiscard]] ListNodes* copy() const;
  // Frees at least one node, about `budget` items in all; true when nothing is left, `list`
  // included.
  [[nodiscard]] static bool destroy_some(ListNodes* list, size_t budget);

  [[nodiscard]] size_t size() const { return size_; }
  // Bytes of all items.
  [[nodiscard]] size_t items_bytes() const { return bytes_; }
  // Bytes of this object and all it owns; with `samples` not 0 an estimate from that many nodes.
  [[nodiscard]] size_t memory_bytes(size_t samples) const;

  // Items by index, which is less than size().
  [[nodiscard]] const uint8_t* at(size_t index) const;
  [[nodiscard]] const uint8_t* front() const { return nodes()[0]->first(); }
  [[nodiscard]] const uint8_t* back();

  void push_front(const packed::Encoded& item);
  void push_back(const packed::Encoded& item);
  void pop_front();
  void pop_back();
  // Puts an item before the one at `index`, which is at most size().
  void insert(size_t index, const packed::Encoded& item);
  void replace(size_t index, const packed::Encoded& item);
  // Removes `count` items from `first` on; all of them are there.
  void erase(size_t first, size_t count);
  // Takes the whole nodes out of such a range, when they are many, without touching them: a list
  // that is to be freed in slices. `count` becomes what is left of the range, still from `first`
  // on. Null when they are few, and nothing has changed.
  [[nodiscard]] ListNodes* cut(size_t first, size_t* count);

  // Removes up to `limit` items that equal `item`, the first ones or the last ones. For each one
  // on_erase(index at that moment) is called. Returns how many.
  template <class OnErase>
  size_t erase_equal(const packed::Encoded& item, size_t limit, bool from_tail, OnErase&& on_erase);

  // Calls visit(item, count, end) for runs of items that lie one after another; `end` is where the
  // run's memory ends, at or behind its last item. Stops when it returns false.
  template <class Visit>
  void for_each_run(size_t first, size_t count, Visit&& visit) const;
  // Calls visit(item) from the first to the last, or from item `last` down; stops at false.
  template <class Visit>
  void for_each(size_t first, size_t count, Visit&& visit) const;
  template <class Visit>
  void for_each_backwards(size_t last, size_t count, Visit&& visit) const;

  // What the list is called; see list.cc. While it is no quicklist its size as Redis would pack it
  // is kept up to date.
  bool is_quicklist = false;
  uint64_t listpack_bytes = 0;

 private:
  static constexpr uint32_t kTailStarts = 32;

  struct Place {
    uint32_t node;
    uint32_t nth;  // Within the node.
    const uint8_t* item;
  };

  ListNodes() = default;

  [[nodiscard]] ListNode** nodes() const { return directory_ + first_; }
  [[nodiscard]] uint16_t* counts() const {
    return reinterpret_cast<uint16_t*>(directory_ + capacity_) + first_;
  }
  [[nodiscard]] uint32_t last() const { return node_count_ - 1; }
  [[nodiscard]] static uint32_t capacity_of(const ListNode* node) {
    return static_cast<uint32_t>(std::min<size_t>(memory::usable_bytes(node), kNodeBytes));
  }
  [[nodiscard]] static size_t directory_bytes(uint32_t capacity) {
    return size_t{capacity} * (sizeof(ListNode*) + sizeof(uint16_t));
  }

  // Which node holds an index, and how many of its items come before.
  [[nodiscard]] Place find_node(size_t index) const;
  [[nodiscard]] Place seek(size_t index) const;

  // Makes a place for a node at `n` by moving those before it, or else those behind it.
  void open_place(uint32_t n, bool toward_front);
  void rearrange_directory(bool toward_front);
  void close_places(uint32_t n, uint32_t count);
  void free_node(uint32_t n);
  // A node with room for an item of `size` at its end, or at its front, not yet counted as holding
  // it.
  ListNode* add_node(uint32_t n, size_t size, bool at_front, bool toward_front);
  // Room for `size` more bytes in node `n`; null when it cannot take one more such item.
  ListNode* make_room(uint32_t n, size_t size, bool at_front);
  ListNode* reallocate(uint32_t n, uint32_t capacity, bool at_front);
  void trim(uint32_t n);
  void split(uint32_t n, uint32_t nth);
  [[nodiscard]] bool fit_together(uint32_t left, uint32_t right) const;
  // Appends the items of one node to another; the first is left as it was.
  void append_items(uint32_t to, uint32_t from);
  void merge_around(uint32_t n);
  // Drops empty nodes, and joins small neighbours.
  void compact();
  void find_tail_starts();
  // Removes from node `n` those of its items that equal `item`, but for the first `skip`, up to
  // `take`.
  template <class OnErase>
  uint32_t erase_in_node(uint32_t n, const ItemMatcher& item, uint32_t skip, uint32_t take,
                         size_t index, OnErase&& on_erase);
  [[nodiscard]] uint32_t count_equal(uint32_t n, const ItemMatcher& item) const;

  uint64_t size_ = 0;
  uint64_t bytes_ = 0;
  ListNode** directory_ = nullptr;
  uint32_t node_count_ = 0;
  uint32_t first_ = 0;
  uint32_t capacity_ = 0;
  // Where the last items of the tail node begin: tail_known_ of them, the last one's offset at
  // tail_starts_[(tail_next_ - 1) % kTailStarts].
  uint8_t tail_known_ = 0;
  uint8_t tail_next_ = 0;
  uint16_t tail_starts_[kTailStarts];
};

template <class Visit>
void ListNodes::for_each_run(size_t first, size_t count, Visit&& visit) const {
  if (count == 0) return;
  Place place = seek(first);
  for (uint32_t n = place.node;;) {
    size_t here = counts()[n] - place.nth;
    if (here > count) here = count;
    if (!visit(place.item, static_cast<uint32_t>(here), nodes()[n]->last_end())) return;
    count -= here;
    if (count == 0) return;
    ++n;
    place.nth = 0;
    place.item = nodes()[n]->first();
  }
}

template <class Visit>
void ListNodes::for_each(size_t first, size_t count, Visit&& visit) const {
  for_each_run(first, count, [&](const uint8_t* item, uint32_t here, const uint8_t*) {
    for (; here > 0; --here) {
      if (!visit(item)) return false;
      item = next_item(item);
    }
    return true;
  });
}

template <class Visit>
void ListNodes::for_each_backwards(size_t last, size_t count, Visit&& visit) const {
  if (count == 0) return;
  Place place = find_node(last);
  const uint8_t* starts[kNodeItemsMax];
  for (uint32_t n = place.node, nth = place.nth;;) {
    const uint8_t* item = nodes()[n]->first();
    for (uint32_t i = 0; i <= nth; ++i) {
      starts[i] = item;
      if (i < nth) item = next_item(item);
    }
    for (uint32_t i = nth + 1; i-- > 0;) {
      if (!visit(starts[i]) || --count == 0) return;
    }
    --n;
    nth = counts()[n] - 1u;
  }
}

template <class OnErase>
uint32_t ListNodes::erase_in_node(uint32_t n, const ItemMatcher& item, uint32_t skip, uint32_t take,
                                  size_t index, OnErase&& on_erase) {
  ListNode* node = nodes()[n];
  uint32_t count = counts()[n];
  uint32_t erased = 0;
  const uint8_t* from = node->first();
  uint8_t* to = const_cast<uint8_t*>(from);
  for (uint32_t i = 0; i < count; ++i) {
    const uint8_t* following = next_item(from);
    auto bytes = static_cast<size_t>(following - from);
    bool equal = erased < take && item.matches(from, following);
    if (equal && skip > 0) {
      --skip;
      equal = false;
    }
    if (equal) {
      on_erase(index);
      ++erased;
    } else {
      if (to != from) std::memmove(to, from, bytes);
      to += bytes;
      ++index;
    }
    from = following;
  }
  if (erased == 0) return 0;
  if (!node->is_lone()) node->end = static_cast<uint16_t>(to - node->bytes());
  counts()[n] = static_cast<uint16_t>(count - erased);
  size_ -= erased;
  bytes_ -= erased * item.size();
  if (n == last()) tail_known_ = 0;
  return erased;
}

template <class OnErase>
size_t ListNodes::erase_equal(const packed::Encoded& wanted, size_t limit, bool from_tail,
                              OnErase&& on_erase) {
  ItemMatcher item(wanted);
  size_t erased = 0;
  if (from_tail) {
    size_t index = size_;
    for (uint32_t n = node_count_; n-- > 0 && erased < limit;) {
      index -= counts()[n];
      uint32_t equal = count_equal(n, item);
      size_t left = limit - erased;
      uint32_t take = equal < left ? equal : static_cast<uint32_t>(left);
      erased += erase_in_node(n, item, equal - take, take, index, on_erase);
    }
  } else {
    size_t index = 0;
    for (uint32_t n = 0; n < node_count_ && erased < limit; ++n) {
      size_t left = limit - erased;
      uint32_t take = left < kNodeItemsMax ? static_cast<uint32_t>(left) : kNodeItemsMax;
      erased += erase_in_node(n, item, 0, take, index, on_erase);
      index += counts()[n];
    }
  }
  if (erased > 0) compact();
  return erased;
}

}  // namespace dyno

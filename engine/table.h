// SPDX-License-Identifier: Apache-2.0
//
// The hash table of everything: a slot's keys, and the elements of large hashes, sets and sorted
// sets.
//
// A table places nodes (owned by the caller, aligned to 4) by a 32-bit hash, its *position*.
//
//   table     := segment | directory of segments, chosen by the position's leading bits
//   segment   := groups of 64 bytes, one cache line each, 1 to 128 of them in any number
//   group     := 8 words, used ones first
//   word      := tag:16 pointer:46 flags:2        zero when free
//
// The tag is the 16 position bits that follow the segment's prefix. A node's home group is
// tag * groups / 65536, so nodes lie in the order of their positions; one that finds its home full
// goes to the next group. From this follow:
//  - growing a segment moves words without touching a node, in steps of an eighth, so that tables
//    stay 80 to 90 percent full (about 9.4 bytes per node) and no step costs more than
//    microseconds;
//  - a segment of 128 groups splits in two (extendible hashing, Fagin 1979), touching its 900
//  nodes;
//    no insertion ever costs more than that, whatever the size of the table;
//  - a scan's cursor is a position: whatever the table does in between, everything that was there
//  all
//    the time is seen, and nothing twice.
//
// Not thread-safe: the slot's lock guards it. Traits gives:
//   Node, Key; static bool equal(const Node*, const Key&); static uint32_t position(const Node*)
#pragma once

#include <cstdint>
#include <cstring>
#include <new>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "engine/memory.h"
#include "protocol/check.h"

namespace dyno {

// The parts that do not depend on what a node is.
class TableSegment {
 public:
  static constexpr uint32_t kGroupWords = 8;
  static constexpr size_t kGroupBytes = kGroupWords * sizeof(uint64_t);
  static constexpr uint32_t kGroupsMax = 128;
  static constexpr uint64_t kPointerMask = 0x0000'ffff'ffff'fffc;
  static constexpr uint64_t kFlagsMask = 3;

  uint64_t* words = nullptr;
  uint32_t count = 0;
  // At kDepthMax a segment cannot split, so groups go on far beyond kGroupsMax when somebody finds
  // keys whose positions begin alike.
  uint32_t groups : 24 = 0;
  uint32_t depth : 8 = 0;  // Leading position bits that all nodes here share.

  [[nodiscard]] static void* pointer(uint64_t word) {
    return reinterpret_cast<void*>(word & kPointerMask);
  }
  [[nodiscard]] static uint32_t tag(uint64_t word) { return static_cast<uint32_t>(word >> 48); }
  [[nodiscard]] uint32_t tag_of(uint32_t position) const { return (position << depth) >> 16; }
  [[nodiscard]] uint32_t home(uint32_t tag) const {
    return static_cast<uint32_t>((uint64_t{tag} * groups) >> 16);
  }
  [[nodiscard]] uint64_t* group(uint32_t index) const { return words + index * kGroupWords; }
  [[nodiscard]] uint32_t next_group(uint32_t index) const {
    return index + 1 == groups ? 0 : index + 1;
  }
  [[nodiscard]] static bool is_full(const uint64_t* group) { return group[kGroupWords - 1] != 0; }
  // Nodes that fit before the segment grows: nine tenths, which always leaves a group with room.
  [[nodiscard]] uint32_t room() const { return groups * kGroupWords * 9 / 10; }

  // Bit 8 * i + 7 is set for each word i of the group whose tag is `tag`.
  [[nodiscard]] static uint64_t match(const uint64_t* group, uint32_t tag);

  // Puts a word where there is room, and says where; the caller has seen to room().
  uint64_t* place(uint64_t word);
  // Removes the word at `at` and keeps every remaining node findable.
  void remove(uint64_t* at);
  void resize(uint32_t new_groups);
  // Makes room for one more node.
  void grow();
  // Gives memory back when far too empty.
  void shrink();
  void release_words();
};

template <class Traits>
class Table {
 public:
  using Node = typename Traits::Node;
  using Key = typename Traits::Key;

  Table() = default;
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;

  [[nodiscard]] uint32_t size() const { return root_.count; }
  [[nodiscard]] bool empty() const { return root_.count == 0; }

  // The word that holds the node with this key, or null. Stays valid until the next insertion or
  // removal; set_node() and set_flags() change it in place.
  [[nodiscard]] uint64_t* find(uint32_t position, const Key& key) const {
    const TableSegment& segment = segment_for(position);
    if (segment.groups == 0) return nullptr;
    uint32_t tag = segment.tag_of(position);
    uint32_t index = segment.home(tag);
    for (;;) {
      uint64_t* group = segment.group(index);
      for (uint64_t hits = TableSegment::match(group, tag); hits != 0; hits &= hits - 1) {
        uint64_t* word = group + (__builtin_ctzll(hits) >> 3);
        if (*word != 0 && Traits::equal(node(*word), key)) [[likely]]
          return word;
      }
      if (!TableSegment::is_full(group)) return nullptr;
      index = segment.next_group(index);
    }
  }

  // Ask the processor for the line that find() reads first, and then for the node that matches.
  // Always inlined, because gcc takes a function that only prefetches for one without effect and
  // drops it.
  //
  // The first may be called without the slot's lock: it reads the table's own fields, whose values
  // at that moment may be torn apart by a writer, and only computes an address from them. It does
  // nothing, and says so, when the table is a directory, which may be followed under the lock only.
  // The thread sanitizer, which would report that read, does not get to see it.
  [[gnu::always_inline]] bool prefetch_group_unlocked([[maybe_unused]] uint32_t position) const {
#if !defined(__SANITIZE_THREAD__)
    if (is_directory()) return false;
    __builtin_prefetch(root_.words +
                       root_.home(root_.tag_of(position)) * TableSegment::kGroupWords);
#endif
    return true;
  }
  [[gnu::always_inline]] void prefetch_group(uint32_t position) const {
    const TableSegment& segment = segment_for(position);
    if (segment.groups != 0)
      __builtin_prefetch(segment.group(segment.home(segment.tag_of(position))));
  }
  [[gnu::always_inline]] void prefetch_node(uint32_t position) const {
    const TableSegment& segment = segment_for(position);
    if (segment.groups == 0) return;
    uint32_t tag = segment.tag_of(position);
    const uint64_t* group = segment.group(segment.home(tag));
    uint64_t hits = TableSegment::match(group, tag);
    if (hits == 0) return;
    const char* node =
        static_cast<const char*>(TableSegment::pointer(group[__builtin_ctzll(hits) >> 3]));
    // A small node often straddles two lines, and its value lies in the second.
    __builtin_prefetch(node);
    __builtin_prefetch(node + kPrefetchedBytes);
  }

  // The caller knows that no node has this key. Returns the node's word.
  uint64_t* insert(uint32_t position, Node* added, uint64_t flags = 0) {
    TableSegment* segment = &segment_for(position);
    while (segment->count + 1 > segment->room()) {
      if (segment->groups >= TableSegment::kGroupsMax && segment->depth < kDepthMax) {
        split(position);
        segment = &segment_for(position);
      } else {
        segment->grow();
      }
    }
    uint64_t* word = segment->place(make_word(segment->tag_of(position), added, flags));
    ++segment->count;
    if (is_directory()) ++root_.count;
    return word;
  }

  // `word` is what find() returned for a node at `position`.
  void erase(uint32_t position, uint64_t* word) {
    TableSegment& segment = segment_for(position);
    segment.remove(word);
    --segment.count;
    if (is_directory()) --root_.count;
    segment.shrink();
  }

  [[nodiscard]] static Node* node(uint64_t word) {
    return static_cast<Node*>(TableSegment::pointer(word));
  }
  [[nodiscard]] static uint64_t flags(uint64_t word) {
    return word & TableSegment::kFlagsMask;
  }
  // Puts another node with the same key in its place.
  static void set_node(uint64_t* word, Node* moved) {
    *word = (*word & ~TableSegment::kPointerMask) | reinterpret_cast<uint64_t>(moved);
  }
  static void set_flags(uint64_t* word, uint64_t flags) {
    *word = (*word & ~TableSegment::kFlagsMask) | flags;
  }

  // Calls visit(uint64_t* word) for every node; stops early when it returns false. The table is not
  // to change meanwhile.
  template <class Visit>
  bool for_each(Visit&& visit) const {
    return for_each_segment([&](TableSegment& segment) {
      for (uint64_t* word = segment.words; word != segment.words + segment.groups * 8; ++word) {
        if (*word != 0 && !visit(word)) return false;
      }
      return true;
    });
  }

  // Visits the nodes of a stretch of positions that begins at `from` and holds about `wanted`
  // nodes, but at least one group's, so that a scan always moves on. Returns where the next stretch
  // begins; 2^32 when there is none.
  template <class Visit>
  uint64_t scan(uint32_t from, uint32_t wanted, Visit&& visit) const {
    const TableSegment& segment = segment_for(from);
    uint64_t base =
        segment.depth == 0 ? 0 : uint64_t{from >> (32 - segment.depth)} << (32 - segment.depth);
    uint64_t end = base + (uint64_t{1} << (32 - segment.depth));
    if (segment.groups == 0) return end;
    uint32_t first_tag = segment.tag_of(from);
    uint32_t first = segment.home(first_tag);
    uint32_t stretch = wanted < 7 ? 1 : wanted / 7 + 1;
    uint32_t last = stretch > segment.groups - first ? segment.groups : first + stretch;
    // A displaced node lies behind its home, with only full groups between.
    uint32_t index = first;
    for (uint32_t walked = 0; walked < segment.groups; ++walked) {
      uint64_t* group = segment.group(index);
      for (uint32_t i = 0; i < 8 && group[i] != 0; ++i) {
        uint32_t tag = TableSegment::tag(group[i]);
        uint32_t home = segment.home(tag);
        if (tag >= first_tag && home >= first && home < last) visit(group + i);
      }
      if (first + walked + 1 >= last && !TableSegment::is_full(group)) break;
      index = segment.next_group(index);
    }
    if (last == segment.groups) return end;
    uint64_t next_tag = ((uint64_t{last} << 16) + segment.groups - 1) / segment.groups;
    return base + ((next_tag << 16) >> segment.depth);
  }

  // A word drawn by the random bits of `draw`, a function that returns 64 fresh ones; null when
  // empty.
  template <class Draw>
  [[nodiscard]] uint64_t* random(Draw&& draw) const {
    if (empty()) return nullptr;
    for (;;) {
      uint64_t bits = draw();
      const TableSegment& segment = segment_for(static_cast<uint32_t>(bits));
      if (segment.count == 0) continue;
      uint64_t index = ((bits >> 32) * segment.groups * 8) >> 32;
      if (segment.words[index] != 0) return segment.words + index;
    }
  }

  // Takes all that `other` holds; this table was empty.
  void steal(Table& other) {
    DYNO_CHECK(root_.words == nullptr);
    root_ = other.root_;
    other.root_ = TableSegment();
  }
  // Moves the table's own memory out of spans that are to be emptied. Words stay valid no longer.
  void leave_thin_spans() {
    for_each_segment([](TableSegment& segment) {
      if (memory::in_thin_span(segment.words)) {
        segment.words = static_cast<uint64_t*>(memory::move(segment.words));
      }
      return true;
    });
  }
  // Frees the table's own memory, not the nodes.
  void release() {
    if (is_directory()) {
      Directory* directory = this->directory();
      for (uint32_t i = 0; i < directory->size();) {
        TableSegment* segment = directory->segments[i];
        i += 1u << (directory->depth - segment->depth);
        segment->release_words();
        memory::release(segment);
      }
      memory::release(directory);
    } else {
      root_.release_words();
    }
    root_ = TableSegment();
  }

  // Bytes of the table without its nodes.
  [[nodiscard]] size_t memory_bytes() const {
    size_t bytes = is_directory() ? memory::usable_bytes(directory()) : 0;
    for_each_segment([&](TableSegment& segment) {
      if (segment.words != nullptr) bytes += memory::usable_bytes(segment.words);
      if (is_directory()) bytes += sizeof(TableSegment);
      return true;
    });
    return bytes;
  }

 private:
  static constexpr uint8_t kDepthMax = 16;
  static constexpr size_t kPrefetchedBytes = 48;
  static constexpr uint8_t kDirectoryMark = 255;

  struct Directory {
    uint8_t depth;
    TableSegment* segments[1];
    [[nodiscard]] uint32_t size() const { return 1u << depth; }
    static Directory* make(uint8_t depth) {
      auto* made = static_cast<Directory*>(
          memory::allocate(offsetof(Directory, segments) + (sizeof(TableSegment*) << depth)));
      made->depth = depth;
      return made;
    }
  };

  [[nodiscard]] bool is_directory() const {
    return root_.depth == kDirectoryMark;
  }
  [[nodiscard]] Directory* directory() const {
    return reinterpret_cast<Directory*>(root_.words);
  }
  [[nodiscard]] TableSegment& segment_for(uint32_t position) const {
    if (!is_directory()) [[likely]]
      return const_cast<TableSegment&>(root_);
    Directory* d = directory();
    return *d->segments[position >> (32 - d->depth)];
  }
  [[nodiscard]] static uint64_t make_word(uint32_t tag, Node* node, uint64_t flags) {
    return (uint64_t{tag} << 48) | reinterpret_cast<uint64_t>(node) | flags;
  }

  template <class Visit>
  bool for_each_segment(Visit&& visit) const {
    if (!is_directory()) return visit(const_cast<TableSegment&>(root_));
    Directory* d = directory();
    for (uint32_t i = 0; i < d->size();) {
      TableSegment* segment = d->segments[i];
      i += 1u << (d->depth - segment->depth);
      if (!visit(*segment)) return false;
    }
    return true;
  }

  void become_directory() {
    Directory* d = Directory::make(1);
    auto* only = new (memory::allocate(sizeof(TableSegment))) TableSegment(root_);
    // A directory has at least one bit; both halves are the old root until it splits.
    d->segments[0] = d->segments[1] = only;
    root_.words = reinterpret_cast<uint64_t*>(d);
    root_.groups = 1;
    root_.depth = kDirectoryMark;
  }

  void split(uint32_t position) {
    if (!is_directory()) become_directory();
    Directory* d = directory();
    TableSegment* old = d->segments[position >> (32 - d->depth)];
    if (old->depth == d->depth) {
      Directory* wider = Directory::make(static_cast<uint8_t>(d->depth + 1));
      for (uint32_t i = 0; i < wider->size(); ++i) wider->segments[i] = d->segments[i / 2];
      memory::release(d);
      d = wider;
      root_.words = reinterpret_cast<uint64_t*>(d);
    }
    TableSegment* halves[2];
    for (auto& half : halves) {
      half = new (memory::allocate(sizeof(TableSegment))) TableSegment;
      half->depth = old->depth + 1;
      half->resize(TableSegment::kGroupsMax * 5 / 8);
    }
    for (uint64_t* word = old->words; word != old->words + old->groups * 8; ++word) {
      if (*word != 0) __builtin_prefetch(node(*word));
    }
    for (uint64_t* word = old->words; word != old->words + old->groups * 8; ++word) {
      if (*word == 0) continue;
      uint32_t at = Traits::position(node(*word));
      TableSegment* half = halves[(at >> (31 - old->depth)) & 1];
      if (half->count + 1 > half->room()) half->grow();
      half->place(make_word(half->tag_of(at), node(*word), flags(*word)));
      ++half->count;
    }
    uint32_t span = 1u << (d->depth - old->depth);
    uint32_t first = (position >> (32 - d->depth)) & ~(span - 1);
    for (uint32_t i = 0; i < span; ++i) d->segments[first + i] = halves[i >= span / 2];
    old->release_words();
    memory::release(old);
  }

  // A directory is kept as a root whose words point to it and whose count is the sum of all.
  TableSegment root_;
};

inline uint64_t TableSegment::match(const uint64_t* group, uint32_t tag) {
  uint64_t hits = 0;
#if defined(__SSE2__)
  __m128i wanted = _mm_set1_epi16(static_cast<short>(tag));
  for (int i = 0; i < 4; ++i) {
    __m128i pair = _mm_load_si128(reinterpret_cast<const __m128i*>(group) + i);
    auto bytes = static_cast<uint64_t>(_mm_movemask_epi8(_mm_cmpeq_epi16(pair, wanted)) & 0x8080);
    hits |= bytes << (16 * i);
  }
#else
  for (int i = 0; i < 8; ++i) hits |= uint64_t{(group[i] >> 48) == tag} << (8 * i + 7);
#endif
  return hits;
}

}  // namespace dyno

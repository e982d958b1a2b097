// SPDX-License-Identifier: Apache-2.0
//
// The order of a large sorted set: a counted B+tree over its members by score, then bytes.
//
//   member  := score:f64 size:varint byte[size]          one allocation, shared with the set's
//   table leaf    := base:u64 count:u16 shift:u8 word[62]      512 bytes word    := tag:16
//   pointer:48                         a member inner   := count:u32 score[36] first[36] child[36]
//   size:u32[36]     1024 bytes
//
// A tag is the member's score mapped to an ordered integer, less the leaf's base, shifted, held
// between 0 and 65535. Tags never contradict the order, so that a search inside a leaf reads its
// own eight lines and only the members whose tag equals the one sought, mostly a single one;
// comparing through the pointers would miss the cache six times. A leaf whose tags have grown
// coarse is tagged anew when it splits or its count reaches a power of two.
//
// An inner node's score[i] and first[i], i >= 1, are those of the least member below child[i];
// size[i] counts the members below it. Those of index 0 are not read. Leaves filled in ascending or
// descending order are left full; those that fall to a quarter are merged with a neighbour.
//
// Not thread-safe. Members belong to the caller.
#pragma once

#include <bit>
#include <cstdint>
#include <string_view>

#include "engine/entry.h"

namespace dyno {

struct Member {
  double score;

  [[nodiscard]] std::string_view text() const {
    uint64_t size;
    const uint8_t* at = read_varint(reinterpret_cast<const uint8_t*>(this + 1), &size);
    return {reinterpret_cast<const char*>(at), size};
  }
  [[nodiscard]] static Member* make(double score, std::string_view text);
};

// Bounds split the order in two: what is below, and the rest. side() judges by score alone:
// negative for below, positive for not below, 0 when the bytes decide.

// Below are lesser scores and, with `keeps_equal`, those equal to `score`.
struct ScoreBound {
  static constexpr bool kHasScore = true;
  double score;
  bool keeps_equal;
  [[nodiscard]] int side(double other) const {
    return other < score || (keeps_equal && other == score) ? -1 : 1;
  }
  [[nodiscard]] bool below(std::string_view) const { return keeps_equal; }
};

// Below are the members whose bytes are less than `text` and, with `keeps_equal`, the equal one.
// Only sensible where all scores are the same.
struct LexBound {
  static constexpr bool kHasScore = false;
  static constexpr double score = 0;
  enum class End : uint8_t { kText, kLeast, kGreatest };  // kLeast: nothing is below.
  std::string_view text;
  bool keeps_equal = false;
  End end = End::kText;
  [[nodiscard]] int side(double) const {
    return end == End::kText ? 0 : end == End::kLeast ? 1 : -1;
  }
  [[nodiscard]] bool below(std::string_view other) const {
    int order = other.compare(text);
    return order < 0 || (keeps_equal && order == 0);
  }
};

// Below are the members before (score, text) and, with `keeps_equal`, that member.
struct MemberBound {
  static constexpr bool kHasScore = true;
  double score;
  std::string_view text;
  bool keeps_equal;
  [[nodiscard]] int side(double other) const { return other < score ? -1 : other > score; }
  [[nodiscard]] bool below(std::string_view other) const {
    int order = other.compare(text);
    return order < 0 || (keeps_equal && order == 0);
  }
};

class BTree {
 public:
  BTree() = default;
  BTree(const BTree&) = delete;
  BTree& operator=(const BTree&) = delete;

  [[nodiscard]] uint64_t size() const { return size_; }
  // Bytes of the tree's nodes, members not included.
  [[nodiscard]] size_t memory_bytes() const {
    return leaf_count_ * sizeof(Leaf) + inner_count_ * sizeof(Inner);
  }

  // No equal member is in the tree.
  void insert(Member* member);
  // The member is in the tree; it is not freed.
  void erase(const Member* member);
  // Gives a member of the tree another score.
  void move(Member* member, double score);

  // The number of members before this one, which is in the tree.
  [[nodiscard]] uint64_t rank(const Member* member) const;
  // The number of members below a bound.
  template <class Bound>
  [[nodiscard]] uint64_t count_below(const Bound& bound) const;
  // The member with `rank` members before it; rank < size().
  [[nodiscard]] Member* at(uint64_t rank) const;

  // Calls visit(Member*) for `count` members from rank `first` on, upwards or, with `reverse`,
  // downwards; stops when it returns false. All those ranks exist. The tree is not to change.
  template <class Visit>
  void for_each(uint64_t first, uint64_t count, bool reverse, Visit&& visit) const;

  // Takes out members from rank `first` on that lie together, at least one and at most `count` or
  // kLeafMembers, writes them to `members` and returns how many. They are not freed.
  size_t erase_run(uint64_t first, uint64_t count, Member** members);

  // Frees about `budget` members together with the tree's nodes; true when nothing is left. After
  // the first call nothing else may be called.
  bool free_some(size_t budget);

  // For tests: stops the process unless everything that the head comment promises holds.
  void check() const;

  static constexpr uint32_t kLeafMembers = 62;
  static constexpr uint32_t kInnerChildren = 36;

 private:
  static constexpr int kHeightMax = 16;
  static constexpr uint32_t kTagMax = 65535;

  struct Leaf {
    uint64_t base;
    uint16_t count;
    uint8_t shift;
    uint64_t words[kLeafMembers];

    [[nodiscard]] static Member* member(uint64_t word) {
      return reinterpret_cast<Member*>(word & ((uint64_t{1} << 48) - 1));
    }
    [[nodiscard]] Member* at(uint32_t index) const { return member(words[index]); }
    [[nodiscard]] uint32_t tag_of(double score) const {
      uint64_t key = ordered(score);
      if (key <= base) return 0;
      uint64_t tag = (key - base) >> shift;
      return tag < kTagMax ? static_cast<uint32_t>(tag) : kTagMax;
    }
    [[nodiscard]] uint64_t word_for(const Member* m, double score) const {
      return (uint64_t{tag_of(score)} << 48) | reinterpret_cast<uint64_t>(m);
    }
    // Members whose tag is less than `tag`.
    [[nodiscard]] uint32_t tags_below(uint32_t tag) const {
      const uint64_t* from = words;
      for (uint32_t left = count; left > 0;) {
        uint32_t half = left / 2;
        bool below = (from[half] >> 48) < tag;
        from = below ? from + half + 1 : from;
        left = below ? left - half - 1 : half;
      }
      return static_cast<uint32_t>(from - words);
    }
    template <class Bound>
    [[nodiscard]] uint32_t members_below(const Bound& bound) const;
    [[nodiscard]] uint32_t index_of(const Member* sought) const;
    void insert(uint32_t index, Member* member);
    void remove(uint32_t index, uint32_t removed);
    // Chooses base and shift for what the leaf holds, and computes all tags.
    void tag_anew();
  };
  static_assert(sizeof(Leaf) == 512);

  struct Inner {
    uint32_t count;
    double scores[kInnerChildren];
    const Member* firsts[kInnerChildren];
    void* children[kInnerChildren];
    uint32_t sizes[kInnerChildren];

    // The child in which the boundary lies: the last one whose least member is below, else the
    // first.
    template <class Bound>
    [[nodiscard]] uint32_t child_for(const Bound& bound) const;
    // No set has 2^32 members.
    [[nodiscard]] uint32_t size_before(uint32_t index) const {
      uint32_t sum = 0;
      for (uint32_t i = 0; i < index; ++i) sum += sizes[i];
      return sum;
    }
    void insert(uint32_t index, void* child, const Member* first, uint64_t size);
    void remove(uint32_t index);
  };
  static_assert(sizeof(Inner) <= 1024 && sizeof(Inner) > 1008);

  // The way from the root to a leaf.
  struct Path {
    struct Step {
      Inner* node;
      uint32_t index;
    };
    Step steps[kHeightMax];
    Leaf* leaf;
  };

  // Asks at once for all lines of a leaf, or for those of an inner node that a search begins with:
  // each would be waited for in turn otherwise.
  void prefetch_below(const void* node, int level) const {
    constexpr int kLines = sizeof(Leaf) / 64;
    constexpr int kInnerLines = 5;
    int lines = level + 1 == height_ ? kLines : kInnerLines;
    for (int i = 0; i < lines; ++i) __builtin_prefetch(static_cast<const char*>(node) + 64 * i);
  }

  // Scores as integers of the same order.
  [[nodiscard]] static uint64_t ordered(double score) {
    auto bits = std::bit_cast<uint64_t>(score + 0.0);  // -0 and 0 are equal.
    return bits ^ (static_cast<uint64_t>(static_cast<int64_t>(bits) >> 63) | (uint64_t{1} << 63));
  }

  template <class Bound>
  void descend(const Bound& bound, Path* path) const;
  // To the leaf that holds `rank`; returns the index in it.
  uint32_t descend_to_rank(uint64_t rank, Path* path) const;
  // Steps to the neighbouring leaf; false when there is none.
  bool step_leaf(Path* path, bool reverse) const;

  void add_sizes(const Path& path, int64_t change);
  // The least member below the node at `level` of the path (height_: the leaf) is another one.
  void set_first(const Path& path, int level, const Member* first, double score);
  void split_leaf(Path* path, uint32_t index);
  void add_child(Path* path, int level, uint32_t index, void* child, const Member* first,
                 uint64_t size, bool at_end);
  Inner* split_inner(Path* path, int level, uint32_t kept, uint64_t to_come, bool at_end);
  void remove_child(Path* path, int level);
  // After members were taken out of the path's leaf.
  void tidy_leaf(Path* path, bool lost_first);
  void merge_leaves(Path* path);
  void tidy_inner(Path* path, int level);
  void lower_root();
  void check_node(const void* node, int level, const Member** last, uint64_t* size) const;

  Leaf* make_leaf();
  Inner* make_inner();
  void free_leaf(Leaf* leaf);
  void free_inner(Inner* inner);

  void* root_ = nullptr;
  int height_ = 0;  // Inner levels.
  uint64_t size_ = 0;
  uint32_t leaf_count_ = 0;
  uint32_t inner_count_ = 0;
};

template <class Bound>
uint32_t BTree::Inner::child_for(const Bound& bound) const {
  uint32_t low = 1;
  for (uint32_t left = count - 1; left > 0;) {
    uint32_t half = left / 2;
    int side = bound.side(scores[low + half]);
    bool below = side != 0 ? side < 0 : bound.below(firsts[low + half]->text());
    low = below ? low + half + 1 : low;
    left = below ? left - half - 1 : half;
  }
  return low - 1;
}

template <class Bound>
uint32_t BTree::Leaf::members_below(const Bound& bound) const {
  uint32_t low = 0;
  uint32_t left = count;
  if constexpr (Bound::kHasScore) {
    uint32_t tag = tag_of(bound.score);
    low = tags_below(tag);
    left = 0;
    while (low + left < count && (words[low + left] >> 48) == tag) ++left;
  }
  while (left > 0) {
    uint32_t half = left / 2;
    const Member* middle = at(low + half);
    int side = bound.side(middle->score);
    bool below = side != 0 ? side < 0 : bound.below(middle->text());
    low = below ? low + half + 1 : low;
    left = below ? left - half - 1 : half;
  }
  return low;
}

template <class Bound>
void BTree::descend(const Bound& bound, Path* path) const {
  void* node = root_;
  for (int level = 0; level < height_; ++level) {
    auto* inner = static_cast<Inner*>(node);
    uint32_t index = inner->child_for(bound);
    path->steps[level] = {inner, index};
    node = inner->children[index];
    prefetch_below(node, level);
  }
  path->leaf = static_cast<Leaf*>(node);
}

template <class Bound>
uint64_t BTree::count_below(const Bound& bound) const {
  if (size_ == 0) return 0;
  uint64_t below = 0;
  void* node = root_;
  for (int level = 0; level < height_; ++level) {
    auto* inner = static_cast<Inner*>(node);
    uint32_t index = inner->child_for(bound);
    node = inner->children[index];
    prefetch_below(node, level);
    below += inner->size_before(index);
  }
  return below + static_cast<Leaf*>(node)->members_below(bound);
}

template <class Visit>
void BTree::for_each(uint64_t first, uint64_t count, bool reverse, Visit&& visit) const {
  if (count == 0) return;
  Path path;
  uint32_t index = descend_to_rank(first, &path);
  for (;;) {
    const Leaf* leaf = path.leaf;
    uint64_t here = reverse ? index + 1 : leaf->count - index;
    auto run = static_cast<uint32_t>(here < count ? here : count);
    constexpr uint32_t kAhead = 8;
    for (uint32_t i = 0; i < run; ++i) {
      if (i + kAhead < run) {
        __builtin_prefetch(leaf->at(reverse ? index - i - kAhead : index + i + kAhead));
      }
      if (!visit(leaf->at(reverse ? index - i : index + i))) return;
    }
    count -= run;
    if (count == 0 || !step_leaf(&path, reverse)) return;
    index = reverse ? path.leaf->count - 1u : 0;
  }
}

}  // namespace dyno

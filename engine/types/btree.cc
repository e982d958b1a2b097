// SPDX-License-Identifier: Apache-2.0
#include "engine/types/btree.h"

#include <algorithm>
#include <cstring>

#include "engine/memory.h"
#include "protocol/check.h"

namespace dyno {
namespace {

// What a leaf or an inner node may fall to before it looks for a neighbour to merge with, and what
// the two may hold together.
constexpr uint32_t least(uint32_t capacity) {
  return capacity / 4;
}
constexpr uint32_t merged_most(uint32_t capacity) {
  return capacity * 3 / 4;
}

template <class T>
void open_gap(T* array, uint32_t count, uint32_t index) {
  std::memmove(array + index + 1, array + index, (count - index) * sizeof(T));
}
template <class T>
void close_gap(T* array, uint32_t count, uint32_t index, uint32_t removed = 1) {
  std::memmove(array + index, array + index + removed, (count - index - removed) * sizeof(T));
}
template <class T>
void copy_part(T* to, const T* from, uint32_t count) {
  std::memcpy(to, from, count * sizeof(T));
}

}  // namespace

Member* Member::make(double score, std::string_view text) {
  auto* member = static_cast<Member*>(
      memory::allocate(sizeof(Member) + varint_bytes(text.size()) + text.size()));
  member->score = score;
  uint8_t* at = write_varint(reinterpret_cast<uint8_t*>(member + 1), text.size());
  std::memcpy(at, text.data(), text.size());
  return member;
}

// --- Nodes --------------------------------------------------------------------------------------

void BTree::Leaf::insert(uint32_t index, Member* member) {
  open_gap(words, count, index);
  words[index] = word_for(member, member->score);
  ++count;
  bool is_power = (count & (count - 1)) == 0;
  if (is_power && ((words[0] >> 48) == 0 || (words[count - 1] >> 48) == kTagMax)) tag_anew();
}

void BTree::Leaf::remove(uint32_t index, uint32_t removed) {
  close_gap(words, count, index, removed);
  count = static_cast<uint16_t>(count - removed);
}

uint32_t BTree::Leaf::index_of(const Member* sought) const {
  uint32_t index = tags_below(tag_of(sought->score));
  while (index < count && at(index) != sought) ++index;
  DYNO_CHECK(index < count);
  return index;
}

void BTree::Leaf::tag_anew() {
  if (count == 0) return;
  for (uint32_t i = 0; i < count; ++i) __builtin_prefetch(at(i));
  uint64_t low = ordered(at(0)->score);
  uint64_t high = ordered(at(count - 1)->score);
  // Some room on both sides, for members that come.
  uint64_t margin = (high - low) / 4;
  base = low > margin ? low - margin : 0;
  uint64_t top = high < UINT64_MAX - margin ? high + margin : UINT64_MAX;
  int bits = 64 - std::countl_zero(top - base);
  shift = static_cast<uint8_t>(bits > 16 ? bits - 16 : 0);
  for (uint32_t i = 0; i < count; ++i) words[i] = word_for(at(i), at(i)->score);
}

void BTree::Inner::insert(uint32_t index, void* child, const Member* first, uint64_t size) {
  open_gap(scores, count, index);
  open_gap(firsts, count, index);
  open_gap(children, count, index);
  open_gap(sizes, count, index);
  scores[index] = first->score;
  firsts[index] = first;
  children[index] = child;
  sizes[index] = static_cast<uint32_t>(size);
  ++count;
}

void BTree::Inner::remove(uint32_t index) {
  close_gap(scores, count, index);
  close_gap(firsts, count, index);
  close_gap(children, count, index);
  close_gap(sizes, count, index);
  --count;
}

BTree::Leaf* BTree::make_leaf() {
  ++leaf_count_;
  auto* leaf = static_cast<Leaf*>(memory::allocate(sizeof(Leaf)));
  leaf->base = 0;
  leaf->count = 0;
  leaf->shift = 48;
  return leaf;
}

BTree::Inner* BTree::make_inner() {
  ++inner_count_;
  auto* inner = static_cast<Inner*>(memory::allocate(sizeof(Inner)));
  inner->count = 0;
  return inner;
}

void BTree::free_leaf(Leaf* leaf) {
  --leaf_count_;
  memory::release(leaf);
}

void BTree::free_inner(Inner* inner) {
  --inner_count_;
  memory::release(inner);
}

// --- Paths --------------------------------------------------------------------------------------

uint32_t BTree::descend_to_rank(uint64_t rank, Path* path) const {
  void* node = root_;
  for (int level = 0; level < height_; ++level) {
    auto* inner = static_cast<Inner*>(node);
    uint32_t index = 0;
    while (index + 1 < inner->count && rank >= inner->sizes[index]) rank -= inner->sizes[index++];
    path->steps[level] = {inner, index};
    node = inner->children[index];
  }
  path->leaf = static_cast<Leaf*>(node);
  return static_cast<uint32_t>(rank);
}

bool BTree::step_leaf(Path* path, bool reverse) const {
  int level = height_ - 1;
  for (;; --level) {
    if (level < 0) return false;
    Path::Step& step = path->steps[level];
    if (reverse ? step.index > 0 : step.index + 1 < step.node->count) break;
  }
  Path::Step& turn = path->steps[level];
  turn.index += reverse ? -1 : 1;
  void* node = turn.node->children[turn.index];
  while (++level < height_) {
    auto* inner = static_cast<Inner*>(node);
    path->steps[level] = {inner, reverse ? inner->count - 1 : 0};
    node = inner->children[path->steps[level].index];
  }
  path->leaf = static_cast<Leaf*>(node);
  return true;
}

uint64_t BTree::rank(const Member* member) const {
  uint64_t before = 0;
  void* node = root_;
  MemberBound bound{member->score, member->text(), true};
  for (int level = 0; level < height_; ++level) {
    auto* inner = static_cast<Inner*>(node);
    uint32_t index = inner->child_for(bound);
    node = inner->children[index];
    prefetch_below(node, level);
    before += inner->size_before(index);
  }
  return before + static_cast<Leaf*>(node)->index_of(member);
}

Member* BTree::at(uint64_t rank) const {
  Path path;
  uint32_t index = descend_to_rank(rank, &path);
  return path.leaf->at(index);
}

void BTree::add_sizes(const Path& path, int64_t change) {
  for (int level = 0; level < height_; ++level) {
    const Path::Step& step = path.steps[level];
    step.node->sizes[step.index] += static_cast<uint32_t>(change);
  }
  size_ += static_cast<uint64_t>(change);
}

void BTree::set_first(const Path& path, int level, const Member* first, double score) {
  while (--level >= 0) {
    const Path::Step& step = path.steps[level];
    if (step.index == 0) continue;
    step.node->scores[step.index] = score;
    step.node->firsts[step.index] = first;
    return;
  }
}

// --- Insertion ----------------------------------------------------------------------------------

void BTree::insert(Member* member) {
  if (root_ == nullptr) root_ = make_leaf();
  MemberBound bound{member->score, member->text(), true};
  Path path;
  descend(bound, &path);
  uint32_t index = path.leaf->members_below(bound);
  if (path.leaf->count == kLeafMembers) {
    split_leaf(&path, index);
    descend(bound, &path);
    index = path.leaf->members_below(bound);
  }
  // A leaf's new least member is the least of all: no separator speaks of it.
  path.leaf->insert(index, member);
  add_sizes(path, 1);
}

void BTree::split_leaf(Path* path, uint32_t index) {
  Leaf* leaf = path->leaf;
  bool is_last = true;
  bool is_first = true;
  for (int level = 0; level < height_; ++level) {
    const Path::Step& step = path->steps[level];
    is_last = is_last && step.index + 1 == step.node->count;
    is_first = is_first && step.index == 0;
  }
  // In ascending or descending order all but one stay where they are, so that leaves stay full.
  uint32_t kept = kLeafMembers / 2;
  if (is_last && index == kLeafMembers) kept = kLeafMembers - 1;
  if (is_first && index == 0) kept = 1;
  Leaf* right = make_leaf();
  right->count = static_cast<uint16_t>(leaf->count - kept);
  copy_part(right->words, leaf->words + kept, right->count);
  leaf->count = static_cast<uint16_t>(kept);
  leaf->tag_anew();
  right->tag_anew();
  uint64_t moved = right->count;
  if (height_ > 0) {
    const Path::Step& step = path->steps[height_ - 1];
    step.node->sizes[step.index] -= static_cast<uint32_t>(moved);
  }
  uint32_t at = height_ > 0 ? path->steps[height_ - 1].index + 1 : 1;
  add_child(path, height_ - 1, at, right, right->at(0), moved, kept == kLeafMembers - 1);
}

// Puts `child` at `index` of the inner node at `level` of the path. The sizes above that node stay:
// its members were counted there before.
void BTree::add_child(Path* path, int level, uint32_t index, void* child, const Member* first,
                      uint64_t size, bool at_end) {
  if (level < 0) {
    Inner* root = make_inner();
    root->insert(0, root_, first, size_ - size);
    root->insert(1, child, first, size);
    root_ = root;
    ++height_;
    DYNO_CHECK(height_ < kHeightMax);
    return;
  }
  Inner* node = path->steps[level].node;
  if (node->count == kInnerChildren) {
    bool adds_last = at_end && index == kInnerChildren;
    uint32_t kept = adds_last ? kInnerChildren - 1 : kInnerChildren / 2;
    bool goes_right = index > kept;
    Inner* right = split_inner(path, level, kept, goes_right ? size : 0, adds_last);
    if (goes_right) {
      index -= kept;
      node = right;
    }
  }
  node->insert(index, child, first, size);
}

// Moves all but `kept` children of an inner node to a new right neighbour, which is about to get
// another one of size `to_come`.
BTree::Inner* BTree::split_inner(Path* path, int level, uint32_t kept, uint64_t to_come,
                                 bool at_end) {
  Inner* node = path->steps[level].node;
  Inner* right = make_inner();
  right->count = node->count - kept;
  copy_part(right->scores, node->scores + kept, right->count);
  copy_part(right->firsts, node->firsts + kept, right->count);
  copy_part(right->children, node->children + kept, right->count);
  copy_part(right->sizes, node->sizes + kept, right->count);
  node->count = kept;
  uint64_t moved = right->size_before(right->count) + to_come;
  uint32_t at = 1;
  if (level > 0) {
    const Path::Step& step = path->steps[level - 1];
    step.node->sizes[step.index] -= static_cast<uint32_t>(moved);
    at = step.index + 1;
  }
  add_child(path, level - 1, at, right, right->firsts[0], moved, at_end);
  return right;
}

// --- Removal ------------------------------------------------------------------------------------

void BTree::erase(const Member* member) {
  Path path;
  descend(MemberBound{member->score, member->text(), true}, &path);
  uint32_t index = path.leaf->index_of(member);
  path.leaf->remove(index, 1);
  add_sizes(path, -1);
  tidy_leaf(&path, index == 0);
}

size_t BTree::erase_run(uint64_t first, uint64_t count, Member** members) {
  Path path;
  uint32_t index = descend_to_rank(first, &path);
  auto run = static_cast<uint32_t>(std::min<uint64_t>(count, path.leaf->count - index));
  for (uint32_t i = 0; i < run; ++i) members[i] = path.leaf->at(index + i);
  path.leaf->remove(index, run);
  add_sizes(path, -static_cast<int64_t>(run));
  tidy_leaf(&path, index == 0);
  return run;
}

void BTree::tidy_leaf(Path* path, bool lost_first) {
  Leaf* leaf = path->leaf;
  if (leaf->count == 0) {
    free_leaf(leaf);
    if (height_ == 0) {
      root_ = nullptr;
    } else {
      remove_child(path, height_ - 1);
    }
    return;
  }
  if (lost_first) set_first(*path, height_, leaf->at(0), leaf->at(0)->score);
  if (leaf->count < least(kLeafMembers) && height_ > 0) merge_leaves(path);
}

// Takes the path's child out of the inner node at `level`; the child itself is gone already.
void BTree::remove_child(Path* path, int level) {
  Path::Step& step = path->steps[level];
  step.node->remove(step.index);
  if (step.node->count == 0) {
    free_inner(step.node);
    if (level == 0) {
      root_ = nullptr;
      height_ = 0;
    } else {
      remove_child(path, level - 1);
    }
    return;
  }
  if (step.index == 0) set_first(*path, level, step.node->firsts[0], step.node->scores[0]);
  tidy_inner(path, level);
}

void BTree::merge_leaves(Path* path) {
  Path::Step& step = path->steps[height_ - 1];
  Inner* parent = step.node;
  for (uint32_t left_index : {step.index, step.index - 1}) {
    if (left_index >= parent->count || left_index + 1 >= parent->count) continue;
    auto* left = static_cast<Leaf*>(parent->children[left_index]);
    auto* right = static_cast<Leaf*>(parent->children[left_index + 1]);
    if (left->count + right->count > merged_most(kLeafMembers)) continue;
    copy_part(left->words + left->count, right->words, right->count);
    left->count = static_cast<uint16_t>(left->count + right->count);
    left->tag_anew();
    parent->sizes[left_index] += parent->sizes[left_index + 1];
    free_leaf(right);
    step.index = left_index + 1;
    remove_child(path, height_ - 1);
    return;
  }
}

void BTree::tidy_inner(Path* path, int level) {
  if (level == 0) return lower_root();
  Inner* node = path->steps[level].node;
  if (node->count >= least(kInnerChildren)) return;
  Path::Step& step = path->steps[level - 1];
  Inner* parent = step.node;
  for (uint32_t left_index : {step.index, step.index - 1}) {
    if (left_index >= parent->count || left_index + 1 >= parent->count) continue;
    auto* left = static_cast<Inner*>(parent->children[left_index]);
    auto* right = static_cast<Inner*>(parent->children[left_index + 1]);
    if (left->count + right->count > merged_most(kInnerChildren)) continue;
    right->scores[0] = parent->scores[left_index + 1];
    right->firsts[0] = parent->firsts[left_index + 1];
    copy_part(left->scores + left->count, right->scores, right->count);
    copy_part(left->firsts + left->count, right->firsts, right->count);
    copy_part(left->children + left->count, right->children, right->count);
    copy_part(left->sizes + left->count, right->sizes, right->count);
    left->count += right->count;
    parent->sizes[left_index] += parent->sizes[left_index + 1];
    free_inner(right);
    step.index = left_index + 1;
    remove_child(path, level - 1);
    return;
  }
}

void BTree::lower_root() {
  while (height_ > 0 && static_cast<Inner*>(root_)->count == 1) {
    auto* root = static_cast<Inner*>(root_);
    root_ = root->children[0];
    free_inner(root);
    --height_;
  }
}

void BTree::move(Member* member, double score) {
  Path path;
  descend(MemberBound{member->score, member->text(), true}, &path);
  Leaf* leaf = path.leaf;
  uint32_t index = leaf->index_of(member);
  // Between the leaf's first and last member only words move.
  MemberBound bound{score, member->text(), true};
  uint32_t wanted = leaf->members_below(bound);
  uint32_t after = wanted > index ? wanted - 1 : wanted;  // Its index once it is out of the way.
  bool stays = index > 0 && after > 0 && after + 1 < leaf->count;
  if (!stays) {
    leaf->remove(index, 1);
    add_sizes(path, -1);
    tidy_leaf(&path, index == 0);
    member->score = score;
    insert(member);
    return;
  }
  member->score = score;
  uint64_t word = leaf->word_for(member, score);
  if (after > index) {
    std::memmove(leaf->words + index, leaf->words + index + 1, (after - index) * sizeof(uint64_t));
  } else {
    std::memmove(leaf->words + after + 1, leaf->words + after, (index - after) * sizeof(uint64_t));
  }
  leaf->words[after] = word;
}

bool BTree::free_some(size_t budget) {
  while (root_ != nullptr) {
    Path path;
    void* node = root_;
    for (int level = 0; level < height_; ++level) {
      auto* inner = static_cast<Inner*>(node);
      path.steps[level] = {inner, inner->count - 1};
      node = inner->children[inner->count - 1];
    }
    auto* leaf = static_cast<Leaf*>(node);
    for (uint32_t i = 0; i < leaf->count; ++i) __builtin_prefetch(leaf->at(i), 1);
    for (uint32_t i = 0; i < leaf->count; ++i) memory::release(leaf->at(i));
    size_t freed = leaf->count;
    size_ -= freed;
    free_leaf(leaf);
    int level = height_ - 1;
    for (; level >= 0 && --path.steps[level].node->count == 0; --level) {
      free_inner(path.steps[level].node);
    }
    if (level < 0) {
      root_ = nullptr;
      height_ = 0;
    }
    if (freed >= budget) return root_ == nullptr;
    budget -= freed;
  }
  return true;
}

// --- Checking -----------------------------------------------------------------------------------

void BTree::check_node(const void* node, int level, const Member** last, uint64_t* size) const {
  if (level < height_) {
    auto* inner = static_cast<const Inner*>(node);
    DYNO_CHECK(inner->count >= 1 && inner->count <= kInnerChildren);
    for (uint32_t i = 0; i < inner->count; ++i) {
      const Member* before = *last;
      uint64_t below = 0;
      check_node(inner->children[i], level + 1, last, &below);
      DYNO_CHECK(inner->sizes[i] == below);
      *size += below;
      if (i == 0) continue;
      const void* child = inner->children[i];
      for (int l = level + 1; l < height_; ++l)
        child = static_cast<const Inner*>(child)->children[0];
      const Member* first = static_cast<const Leaf*>(child)->at(0);
      DYNO_CHECK(inner->firsts[i] == first && inner->scores[i] == first->score && before != first);
    }
    return;
  }
  auto* leaf = static_cast<const Leaf*>(node);
  DYNO_CHECK(leaf->count >= 1 && leaf->count <= kLeafMembers);
  for (uint32_t i = 0; i < leaf->count; ++i) {
    const Member* member = leaf->at(i);
    DYNO_CHECK((leaf->words[i] >> 48) == leaf->tag_of(member->score));
    DYNO_CHECK(i == 0 || (leaf->words[i - 1] >> 48) <= (leaf->words[i] >> 48));
    if (*last != nullptr) {
      DYNO_CHECK((*last)->score < member->score ||
                 ((*last)->score == member->score && (*last)->text() < member->text()));
    }
    *last = member;
  }
  *size += leaf->count;
}

void BTree::check() const {
  const Member* last = nullptr;
  uint64_t size = 0;
  if (root_ != nullptr) check_node(root_, 0, &last, &size);
  DYNO_CHECK(size == size_);
}

}  // namespace dyno

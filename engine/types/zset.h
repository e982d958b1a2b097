// SPDX-License-Identifier: Apache-2.0
//
// Sorted sets: members with scores, in the order of score and then bytes.
//
//   kPacked  := packed run of pairs: member item, score item (packed.h), in the set's order
//   kLarge   := a LargeZSet: a table of members by their bytes and a B+tree of the same members by
//   order
//
// A set starts packed and turns large once, when it outgrows limits.zset_packed_*. No score is NaN.
// A packed score of -0 is 0, as in Redis' listpacks.
//
// Everything that asks for a range works in ranks: the position of a member counted from the
// lowest, 0 first. Bounds (btree.h) translate scores and texts to ranks.
//
// Concurrent writers on different replicas: per member, the later score wins.
// Guarded by the lock of the key's slot.
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <type_traits>
#include <vector>

#include "engine/context.h"
#include "engine/types/btree.h"
#include "engine/types/packed.h"

namespace dyno {

struct ZSetTraits {
  using Node = Member;
  using Key = std::string_view;
  [[nodiscard]] static bool equal(const Member* member, std::string_view text) {
    return member->text() == text;
  }
  [[nodiscard]] static uint32_t position(const Member* member) {
    return element_position(member->text());
  }
};

struct LargeZSet {
  Table<ZSetTraits> table;
  BTree tree;
};

// A sorted set for reading. Texts that it hands out live until the set changes; those of packed
// integers only during the visit.
class ZSetView {
 public:
  // A missing key is an empty set.
  explicit ZSetView(const Entry* entry) : entry_(entry) {}
  explicit ZSetView(const Key& key) : entry_(key.exists() ? key.entry() : nullptr) {}

  // Where a member is, or would be. Good until the set changes.
  struct Place {
    bool found = false;
    double score = 0;
    uint32_t offset = 0;       // Packed: of its pair behind the header.
    uint32_t position = 0;     // Large: in the table.
    uint64_t* word = nullptr;  // Large: in the table.
  };

  [[nodiscard]] bool is_large() const { return entry_->encoding() == Encoding::kLarge; }
  [[nodiscard]] LargeZSet& large() const { return *entry_->large<LargeZSet>(); }
  [[nodiscard]] uint64_t size() const {
    if (entry_ == nullptr) return 0;
    return is_large() ? large().tree.size() : packed::count(entry_->value()) / 2;
  }
  [[nodiscard]] Place find(std::string_view member) const;
  [[nodiscard]] std::optional<double> score(std::string_view member) const {
    Place place = find(member);
    return place.found ? std::optional(place.score) : std::nullopt;
  }
  // The rank of a member that was found.
  [[nodiscard]] uint64_t rank(const Place& place) const;
  template <class Bound>
  [[nodiscard]] uint64_t count_below(const Bound& bound) const;

  // Calls visit(std::string_view text, double score), or visit(std::string_view text) where scores
  // are of no interest, for `count` members from rank `first` on, upwards or, with `reverse`,
  // downwards; stops when it returns false. All those ranks exist.
  template <class Visit>
  void for_each(uint64_t first, uint64_t count, bool reverse, Visit&& visit) const;
  // All members, in no particular order: by the shortest way.
  template <class Visit>
  void for_all(Visit&& visit) const {
    for_each(0, size(), false, visit);
  }

 private:
  template <class Visit>
  void for_each_packed(uint64_t first, uint64_t count, bool reverse, Visit&& visit) const;

  const Entry* entry_;
};

// Members with scores outside of any set: results on their way to a reply or a destination.
class MemberList {
 public:
  struct Item {
    std::string_view member;
    double score;
  };

  // The bytes of `member` are copied unless they live as long as the list.
  void add(std::string_view member, double score, bool lives) {
    items_.push_back({lives ? member : copy(member), score});
  }
  // Members of a set that does not change while the list lives.
  void add_range(const ZSetView& set, uint64_t first, uint64_t count, bool reverse);
  // Puts the items in the order of a sorted set.
  void sort();

  [[nodiscard]] std::vector<Item>& items() { return items_; }
  [[nodiscard]] const std::vector<Item>& items() const { return items_; }
  [[nodiscard]] std::string_view copy(std::string_view text);

 private:
  std::vector<Item> items_;
  std::vector<std::unique_ptr<char[]>> blocks_;
  size_t block_left_ = 0;
  char* block_at_ = nullptr;
};

// A key as a sorted set. The key is missing or a sorted set. Mutators record what they change; the
// caller reports key.changed().
class ZSet {
 public:
  explicit ZSet(Key& key) : key_(key) {}

  [[nodiscard]] ZSetView view() const { return ZSetView(key_); }
  [[nodiscard]] ZSetView::Place find(std::string_view member) const { return view().find(member); }

  // Makes the key, or turns it large, ahead of the insertion of `members`; `text_bytes` is the size
  // of the first. The caller inserts at least one.
  void expect(size_t members, size_t text_bytes);
  // Gives a member its score, which may be the one that it has; `place` is where find() saw it or
  // its absence. Returns the score as it is now stored. `member` does not lie inside the set.
  double put(const ZSetView::Place& place, std::string_view member, double score) {
    score = write_if_other(place, member, score);
    if (key_.records()) [[unlikely]]
      record_put(place, member, score);
    return score;
  }
  // The same for a counter: `score` is the sum of what the member had, 0 if it was not there, and
  // `amount`.
  double add(const ZSetView::Place& place, std::string_view member, double score, double amount) {
    score = write_if_other(place, member, score);
    if (key_.records()) [[unlikely]]
      record_added(place, member, score, amount);
    return score;
  }
  // Removes a member that was found. Erases the key with the last one.
  void erase(const ZSetView::Place& place, std::string_view member);
  // Removes `count` members from rank `first` on, all of which exist. Erases the key when none is
  // left. The time is that of what is removed or, in a large set, of what stays, if that is less.
  void erase_range(uint64_t first, uint64_t count);
  // Makes the key hold exactly these distinct members in place of whatever it holds, which they may
  // lie in, without a deadline; erases it when there are none. Puts `members` in order.
  static void replace(Key& key, MemberList& members);

 private:
  double write_if_other(const ZSetView::Place& place, std::string_view member, double score) {
    return place.found && score == place.score ? place.score : write(place, member, score);
  }
  double write(const ZSetView::Place& place, std::string_view member, double score);
  [[gnu::cold]] void record_put(const ZSetView::Place& before, std::string_view member,
                                double score);
  [[gnu::cold]] void record_added(const ZSetView::Place& before, std::string_view member,
                                  double score, double amount);
  void make_large();
  // The same as erase_range() for a large set of which little stays: moves that to a new one, and
  // gives the old one to the reclaimer.
  void keep_outside(uint64_t first, uint64_t count);
  void insert_packed(std::string_view member, double score);
  void erase_packed(uint64_t offset, uint64_t pairs);

  Key& key_;
};

// Replies a pair as the commands with WITHSCORES do: in RESP3 as an array of two.
inline void reply_pair(Reply& reply, std::string_view member, double score) {
  if (reply.version() == 3) reply.array(2);
  reply.bulk(member);
  reply.number(score);
}
// Announces `pairs` of them.
inline void reply_pair_count(Reply& reply, uint64_t pairs) {
  reply.array(reply.version() == 3 ? pairs : pairs * 2);
}

template <class Bound>
uint64_t ZSetView::count_below(const Bound& bound) const {
  if (entry_ == nullptr) return 0;
  if (is_large()) return large().tree.count_below(bound);
  const uint8_t* value = entry_->value();
  const uint8_t* end = packed::end(value);
  uint64_t below = 0;
  for (const uint8_t* at = packed::begin(value); at < end; ++below) {
    const uint8_t* score_at = packed::next(at);
    packed::Item score = packed::read(score_at);
    int side = bound.side(score.score());
    if (side > 0) break;
    if (side == 0) {
      packed::Item::Buffer buffer;
      if (!bound.below(packed::read(at).view(&buffer))) break;
    }
    at = score.next;
  }
  return below;
}

template <class Visit>
void ZSetView::for_each(uint64_t first, uint64_t count, bool reverse, Visit&& visit) const {
  if (count == 0) return;
  if (!is_large()) return for_each_packed(first, count, reverse, visit);
  large().tree.for_each(first, count, reverse, [&](const Member* member) {
    if constexpr (std::is_invocable_v<Visit, std::string_view>) {
      return visit(member->text());
    } else {
      return visit(member->text(), member->score);
    }
  });
}

template <class Visit>
void ZSetView::for_each_packed(uint64_t first, uint64_t count, bool reverse, Visit&& visit) const {
  auto visit_at = [&](const uint8_t** at) {
    packed::Item member = packed::read(*at);
    packed::Item::Buffer buffer;
    if constexpr (std::is_invocable_v<Visit, std::string_view>) {
      *at = packed::next(member.next);
      return visit(member.view(&buffer));
    } else {
      packed::Item score = packed::read(member.next);
      *at = score.next;
      return visit(member.view(&buffer), score.score());
    }
  };
  auto seek = [&](uint64_t rank) {
    const uint8_t* at = packed::begin(entry_->value());
    for (uint64_t i = 0; i < rank; ++i) at = packed::next(packed::next(at));
    return at;
  };
  if (!reverse) {
    const uint8_t* at = seek(first);
    while (count-- > 0 && visit_at(&at)) {
    }
    return;
  }
  // Items are read from the front only: notes where a window of pairs begins, and walks it back.
  constexpr uint64_t kWindow = 128;
  const uint8_t* starts[kWindow];
  while (count > 0) {
    uint64_t window = count < kWindow ? count : kWindow;
    const uint8_t* at = seek(first + 1 - window);
    for (uint64_t i = 0; i < window; ++i) {
      starts[i] = at;
      at = packed::next(packed::next(at));
    }
    for (uint64_t i = window; i-- > 0;) {
      if (!visit_at(&starts[i])) return;
    }
    first -= window;
    count -= window;
  }
}

}  // namespace dyno

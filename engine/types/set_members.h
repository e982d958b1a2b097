// SPDX-License-Identifier: Apache-2.0
//
// The members of one set, as they lie in memory.
//
//   kIntegers  all members are integers: integer_run.h, ascending
//   kPacked    one item for each member, in the order of their insertion
//   kLarge     LargeSet: a table of nodes
//
//   node := size:varint member
//
// A set of integers becomes kPacked with the first member that is none, if it is small enough then,
// and kLarge when it outgrows the limits; it never goes back.
//
// Works on an entry that may or may not be in a table. Whatever changes the members may move the
// entry: ask entry() afterwards. Guarded by the lock of the entry's slot.
#pragma once

#include <cstdint>
#include <string_view>

#include "engine/entry.h"
#include "engine/keyspace.h"
#include "engine/limits.h"
#include "engine/session.h"
#include "engine/table.h"
#include "engine/types/integer_run.h"
#include "engine/types/packed.h"

namespace dyno {

class MemberNode {
 public:
  [[nodiscard]] static MemberNode* make(std::string_view member);
  [[nodiscard]] std::string_view member() const {
    uint64_t size;
    const uint8_t* at = read_varint(reinterpret_cast<const uint8_t*>(this), &size);
    return {reinterpret_cast<const char*>(at), size};
  }
};

struct MemberTraits {
  using Node = MemberNode;
  using Key = std::string_view;
  [[nodiscard]] static bool equal(const MemberNode* node, std::string_view member) {
    return node->member() == member;
  }
  [[nodiscard]] static uint32_t position(const MemberNode* node) {
    return element_position(node->member());
  }
};

struct LargeSet {
  Table<MemberTraits> members;
  uint32_t destroyed_to = 0;  // Positions before this one have been freed by destroy_some().
};

class SetMembers {
 public:
  explicit SetMembers(Entry* entry) : entry_(entry) {}

  // An empty set under a name, in no table, made for `expected` members like `first`.
  [[nodiscard]] static Entry* make(int db, std::string_view name, std::string_view first,
                                   size_t expected, const Limits& limits);
  // A small set of all these members, or null when they do not make one. `size` is their number
  // without repetitions.
  [[nodiscard]] static Entry* make_of(int db, std::string_view name, Args members,
                                      const Limits& limits, size_t* size);
  // An empty set of integers, which becomes what its members make it; a large one.
  [[nodiscard]] static Entry* make_integers(int db, std::string_view name);
  [[nodiscard]] static Entry* make_packed(int db, std::string_view name);
  [[nodiscard]] static Entry* make_large(int db, std::string_view name);

  [[nodiscard]] Entry* entry() const { return entry_; }
  [[nodiscard]] Encoding encoding() const { return entry_->encoding(); }
  [[nodiscard]] bool is_large() const { return encoding() == Encoding::kLarge; }
  [[nodiscard]] LargeSet& large() const { return *entry_->large<LargeSet>(); }

  [[nodiscard]] size_t count() const {
    if (is_large()) return large().members.size();
    const uint8_t* value = entry_->value();
    return encoding() == Encoding::kIntegers ? integer_run::count(value) : packed::count(value);
  }
  [[nodiscard]] bool contains(std::string_view member) const;
  // The same for a member of another set.
  [[nodiscard]] bool contains(const packed::Item& item) const;

  // True when the member was not there.
  bool add(std::string_view member, const Limits& limits);
  bool add(const packed::Item& item, const Limits& limits);
  // True when the member was there.
  bool erase(std::string_view member);
  // Takes a member drawn by `draw`, a function that returns 64 random bits, out of a large set that
  // is not empty; calls visit(std::string_view member) before it is freed.
  template <class Draw, class Visit>
  void take_random(Draw&& draw, Visit&& visit);
  // Takes the members at `index`, of a set that is not large.
  void erase_at(uint32_t index);
  // Turns large ahead of `added` insertions that will not fit.
  void prepare(size_t added, const Limits& limits);
  // Turns a set, of which all members are integers, into one of integers unless it is too large.
  void make_integers_of_other(const Limits& limits);
  // Frees what the set owns outside of the entry, `budget` members or so; true when all is free.
  static bool destroy_some(Entry* entry, size_t budget);

  // Calls visit(const packed::Item&) for each member, until it returns false.
  template <class Visit>
  void for_each(Visit&& visit) const;
  // Visits a stretch as Table::scan does; a small set is visited whole. Returns the next position,
  // or 0 at the end.
  template <class Visit>
  uint64_t scan(uint32_t from, uint32_t wanted, Visit&& visit) const;
  // The member at an index, of a set that is not large. Time is proportional to the index if
  // packed.
  [[nodiscard]] packed::Item at(uint32_t index) const;
  // A member drawn by random bits.
  template <class Draw>
  [[nodiscard]] packed::Item draw(Draw&& draw) const {
    if (is_large()) return view(large().members.random(draw));
    return at(static_cast<uint32_t>(draw() % count()));
  }

 private:
  [[nodiscard]] static Entry* make_integers_of(int db, std::string_view name, Args members,
                                               size_t* size);
  [[nodiscard]] static Entry* make_packed_of(int db, std::string_view name, Args members,
                                             const Limits& limits, size_t* size);
  [[nodiscard]] static packed::Item view(const uint64_t* word) {
    std::string_view member = Table<MemberTraits>::node(*word)->member();
    return {packed::Item::Kind::kText, member, 0, 0, nullptr};
  }
  [[nodiscard]] static packed::Item view(int64_t integer) {
    return {packed::Item::Kind::kInteger, {}, integer, 0, nullptr};
  }
  [[nodiscard]] bool fits_packed(size_t size, size_t added_bytes, const Limits& limits) const;
  bool add_integer(int64_t value, const Limits& limits);
  void insert_integer(uint32_t index, int64_t value);
  bool add_to_integers(std::string_view member, const Limits& limits);
  bool add_packed(std::string_view member, const Limits& limits);
  bool add_large(std::string_view member);
  void append_packed(const packed::Encoded& item);
  void make_packed_of_integers();
  void make_large_of_small();

  Entry* entry_;
};

template <class Visit>
void SetMembers::for_each(Visit&& visit) const {
  if (is_large()) {
    large().members.for_each([&](uint64_t* word) { return static_cast<bool>(visit(view(word))); });
    return;
  }
  const uint8_t* value = entry_->value();
  if (encoding() == Encoding::kIntegers) {
    uint32_t width = integer_run::width(value);
    for (uint32_t i = 0, size = integer_run::count(value); i < size; ++i) {
      if (!visit(view(integer_run::read(value, i, width)))) return;
    }
    return;
  }
  for (const uint8_t* at = packed::begin(value); at < packed::end(value);) {
    packed::Item item = packed::read(at);
    at = item.next;
    if (!visit(static_cast<const packed::Item&>(item))) return;
  }
}

template <class Visit>
uint64_t SetMembers::scan(uint32_t from, uint32_t wanted, Visit&& visit) const {
  if (!is_large()) {
    for_each([&](const packed::Item& item) {
      visit(item);
      return true;
    });
    return 0;
  }
  uint64_t next = large().members.scan(from, wanted, [&](uint64_t* word) { visit(view(word)); });
  return next > UINT32_MAX ? 0 : next;
}

template <class Draw, class Visit>
void SetMembers::take_random(Draw&& draw, Visit&& visit) {
  Table<MemberTraits>& members = large().members;
  uint64_t* word = members.random(draw);
  MemberNode* node = Table<MemberTraits>::node(*word);
  std::string_view member = node->member();
  members.erase(element_position(member), word);
  visit(member);
  memory::release(node);
}

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// A key as a set. The commands of sets, and whatever else reads or writes sets, go through it: its
// mutators are the only code that changes one and records what changed.
//
// The key is missing or a set. Guarded by the lock of the key's slot.
#pragma once

#include <string_view>

#include "engine/context.h"
#include "engine/types/set_members.h"

namespace dyno {

class Set {
 public:
  explicit Set(Key& key) : key_(key) {}

  [[nodiscard]] size_t size() const { return key_.exists() ? members().count() : 0; }
  [[nodiscard]] bool contains(std::string_view member) const {
    return key_.exists() && members().contains(member);
  }
  // The key exists.
  [[nodiscard]] SetMembers members() const { return SetMembers(key_.entry()); }

  // Gets ready for `count` insertions, of which the first is `first`: makes the key if need be, in
  // the encoding that suits them. Not a change that anybody sees: the caller inserts next.
  void prepare(std::string_view first, size_t count);
  // Adds members; returns how many were not there. Makes the key if need be.
  int64_t add_all(Args members);
  // True when the member was not there. Makes the key if need be.
  bool add(std::string_view member);
  // True when the member was there. Erases the key with its last member.
  bool erase(std::string_view member);
  // Takes all members out of a set that exists, and erases the key.
  void erase_all();
  // Takes out a random member of a set that exists; visit(const packed::Item&) sees it before it is
  // gone. Erases the key with its last member.
  template <class Visit>
  void take_random(Visit&& visit);
  // Puts a set that is in no table in the place of whatever the key holds; an empty one erases the
  // key. True when anything changed.
  bool assign(Entry* fresh);

 private:
  void moved_to(const SetMembers& members) {
    if (members.entry() != key_.entry()) key_.moved(members.entry());
  }

  Key& key_;
};

template <class Visit>
void Set::take_random(Visit&& visit) {
  SetMembers target = members();
  auto draw = [&] { return key_.context().random(); };
  auto see = [&](const packed::Item& item) {
    visit(item);
    packed::Item::Buffer buffer;
    if (key_.records()) key_.record(EffectKind::kMemberErase, item.view(&buffer));
  };
  if (target.is_large()) {
    target.take_random(draw, [&](std::string_view member) {
      see(packed::Item{packed::Item::Kind::kText, member, 0, 0, nullptr});
    });
  } else {
    auto index = static_cast<uint32_t>(draw() % target.count());
    see(target.at(index));
    target.erase_at(index);
    moved_to(target);
  }
  if (target.count() == 0) key_.erase_empty();
}

}  // namespace dyno

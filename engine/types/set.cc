// SPDX-License-Identifier: Apache-2.0
//
// Sets: members without order. Sets of integers are sorted runs inside the entry, other small ones
// lie packed there in the order of insertion, large ones in a table of their own; set_members.h has
// the layouts.
//
// Concurrent writers on replicas: each member is decided by itself, the later of adding and
// removing it wins.
#include "engine/types/set.h"

#include <new>

#include "engine/value.h"

namespace dyno {
namespace {

using MemberTable = Table<MemberTraits>;

SetMembers members_of(const Entry* entry) {
  return SetMembers(const_cast<Entry*>(entry));
}

bool is_large(const Entry* entry) {
  return entry->encoding() == Encoding::kLarge;
}

size_t length(const Entry* entry) {
  return members_of(entry).count();
}

size_t value_bytes(const Entry* entry) {
  switch (entry->encoding()) {
    case Encoding::kLarge:
      return sizeof(LargeSet*);
    case Encoding::kIntegers:
      return integer_run::bytes(entry->value());
    default:
      return packed::value_bytes(entry->value());
  }
}

void destroy(Entry* entry) {
  while (!SetMembers::destroy_some(entry, SIZE_MAX)) {
  }
}

Entry* copy(const Entry* entry, int db, std::string_view name) {
  size_t bytes = value_bytes(entry);
  Entry* copied =
      Entry::make(Type::kSet, entry->encoding(), db, name, entry->has_deadline(), bytes);
  if (entry->has_deadline()) copied->set_deadline(entry->deadline());
  if (!is_large(entry)) {
    std::memcpy(copied->value(), entry->value(), bytes);
    return copied;
  }
  auto* set = new (memory::allocate(sizeof(LargeSet))) LargeSet;
  entry->large<LargeSet>()->members.for_each([&](uint64_t* word) {
    MemberNode* fresh = MemberNode::make(MemberTable::node(*word)->member());
    set->members.insert(element_position(fresh->member()), fresh);
    return true;
  });
  copied->set_large(set);
  return copied;
}

std::string_view encoding_name(const Entry* entry) {
  if (is_large(entry)) return "hashtable";
  return entry->encoding() == Encoding::kIntegers ? "intset" : "listpack";
}

size_t memory_bytes(const Entry* entry, size_t samples) {
  size_t bytes = memory::usable_bytes(entry);
  if (!is_large(entry)) return bytes;
  const MemberTable& members = entry->large<LargeSet>()->members;
  bytes += sizeof(LargeSet) + members.memory_bytes();
  size_t seen = 0;
  size_t node_bytes = 0;
  members.for_each([&](uint64_t* word) {
    node_bytes += memory::usable_bytes(MemberTable::node(*word));
    return ++seen != samples;
  });
  return seen == 0 ? bytes : bytes + node_bytes * members.size() / seen;
}

[[gnu::cold]] void record_member(Key& key, std::string_view member, bool is_new) {
  key.record({.kind = EffectKind::kMember, .element = member, .is_new = is_new});
}

void record(Key& key) {
  members_of(key.entry()).for_each([&](const packed::Item& item) {
    packed::Item::Buffer buffer;
    record_member(key, item.view(&buffer), true);
    return true;
  });
  if (key.entry()->has_deadline()) {
    key.record(EffectKind::kDeadline, {}, {}, key.entry()->deadline());
  }
}

}  // namespace

const ValueOps kSetOps = {
    length, value_bytes,   destroy,      SetMembers::destroy_some,
    copy,   encoding_name, memory_bytes, record,
};

void Set::prepare(std::string_view first, size_t count) {
  const Limits& limits = key_.context().limits;
  if (!key_.exists()) {
    key_.put(SetMembers::make(key_.db(), key_.name(), first, count, limits));
    return;
  }
  SetMembers target = members();
  target.prepare(count, limits);
  moved_to(target);
}

int64_t Set::add_all(Args members) {
  if (!key_.exists()) {
    size_t size = 0;
    Entry* fresh =
        SetMembers::make_of(key_.db(), key_.name(), members, key_.context().limits, &size);
    if (fresh != nullptr) {
      key_.put(fresh);
      if (key_.records()) record(key_);
      return static_cast<int64_t>(size);
    }
  }
  if (members.size() > 1) prepare(members[0], members.size());
  int64_t added = 0;
  for (std::string_view member : members) added += add(member);
  return added;
}

bool Set::add(std::string_view member) {
  const Limits& limits = key_.context().limits;
  if (!key_.exists()) key_.put(SetMembers::make(key_.db(), key_.name(), member, 1, limits));
  SetMembers target = members();
  bool is_new = target.add(member, limits);
  if (is_new) moved_to(target);
  if (key_.records()) [[unlikely]]
    record_member(key_, member, is_new);
  return is_new;
}

bool Set::erase(std::string_view member) {
  if (!key_.exists()) return false;
  SetMembers target = members();
  if (key_.records() && target.contains(member)) key_.record(EffectKind::kMemberErase, member);
  if (!target.erase(member)) return false;
  moved_to(target);
  if (target.count() == 0) key_.erase_empty();
  return true;
}

void Set::erase_all() {
  if (key_.records()) {
    members().for_each([&](const packed::Item& item) {
      packed::Item::Buffer buffer;
      key_.record(EffectKind::kMemberErase, item.view(&buffer));
      return true;
    });
  }
  key_.erase_empty();
}

bool Set::assign(Entry* fresh) {
  bool existed = key_.exists();
  if (SetMembers(fresh).count() == 0) {
    destroy_entry(fresh);
    if (existed) key_.erase();
    return existed;
  }
  if (key_.records()) {
    key_.record(EffectKind::kErase);
    key_.put(fresh);
    record(key_);
  } else {
    key_.put(fresh);
  }
  return true;
}

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// How members are found, changed and moved between the layouts that the header describes.
#include "engine/types/set_members.h"

#include <algorithm>
#include <new>
#include <vector>

#include "engine/types/packed_entry.h"

namespace dyno {
namespace {

using MemberTable = Table<MemberTraits>;

size_t digits_of(int64_t value) {
  char text[kInt64TextMax];
  return format_int64(value, text);
}

// The most members that a set of integers may have.
int64_t integers_max(const Limits& limits) {
  return std::min<int64_t>(limits.set_integers_entries, integer_run::kCountMax);
}

LargeSet* new_large() {
  return new (memory::allocate(sizeof(LargeSet))) LargeSet;
}

}  // namespace

MemberNode* MemberNode::make(std::string_view member) {
  auto* at =
      static_cast<uint8_t*>(memory::allocate_tight(varint_bytes(member.size()) + member.size()));
  std::memcpy(write_varint(at, member.size()), member.data(), member.size());
  return reinterpret_cast<MemberNode*>(at);
}

Entry* SetMembers::make_integers(int db, std::string_view name) {
  Entry* entry =
      Entry::make(Type::kSet, Encoding::kIntegers, db, name, false, integer_run::kHeadBytes);
  integer_run::set_head(entry->value(), 0, 2);
  return entry;
}

Entry* SetMembers::make_packed(int db, std::string_view name) {
  Entry* entry = Entry::make(Type::kSet, Encoding::kPacked, db, name, false, packed::kHeaderBytes);
  packed::set_header(entry->value(), 0, 0);
  return entry;
}

Entry* SetMembers::make_large(int db, std::string_view name) {
  Entry* entry = Entry::make(Type::kSet, Encoding::kLarge, db, name, false, sizeof(LargeSet*));
  entry->set_large(new_large());
  return entry;
}

Entry* SetMembers::make(int db, std::string_view name, std::string_view first, size_t expected,
                        const Limits& limits) {
  int64_t integer;
  auto count = static_cast<int64_t>(expected);
  if (is_canonical_int64(first, &integer) && count <= integers_max(limits)) {
    return make_integers(db, name);
  }
  return count <= limits.set_packed_entries ? make_packed(db, name) : make_large(db, name);
}

Entry* SetMembers::make_of(int db, std::string_view name, Args members, const Limits& limits,
                           size_t* size) {
  int64_t integer;
  auto count = static_cast<int64_t>(members.size());
  if (is_canonical_int64(members[0], &integer) && count <= integers_max(limits)) {
    return make_integers_of(db, name, members, size);
  }
  if (count > limits.set_packed_entries) return nullptr;
  return make_packed_of(db, name, members, limits, size);
}

Entry* SetMembers::make_integers_of(int db, std::string_view name, Args members, size_t* size) {
  std::vector<int64_t> integers(members.size());
  for (size_t i = 0; i < members.size(); ++i) {
    if (!is_canonical_int64(members[i], &integers[i])) return nullptr;
  }
  std::sort(integers.begin(), integers.end());
  integers.erase(std::unique(integers.begin(), integers.end()), integers.end());
  auto count = static_cast<uint32_t>(integers.size());
  uint32_t width =
      std::max(integer_run::width_of(integers.front()), integer_run::width_of(integers.back()));
  Entry* entry = Entry::make(Type::kSet, Encoding::kIntegers, db, name, false,
                             integer_run::bytes(count, width));
  integer_run::set_head(entry->value(), count, width);
  for (uint32_t i = 0; i < count; ++i) integer_run::write(entry->value(), i, width, integers[i]);
  *size = count;
  return entry;
}

Entry* SetMembers::make_packed_of(int db, std::string_view name, Args members, const Limits& limits,
                                  size_t* size) {
  size_t bytes = 0;
  auto size_max = static_cast<uint64_t>(static_cast<int64_t>(limits.set_packed_value_bytes));
  for (std::string_view member : members) {
    if (member.size() > size_max) return nullptr;
    bytes += packed::Encoded(member).size();
  }
  if (bytes > packed::kItemsBytesMax) return nullptr;
  Entry* entry =
      Entry::make(Type::kSet, Encoding::kPacked, db, name, false, packed::kHeaderBytes + bytes);
  uint8_t* begin = entry->value() + packed::kHeaderBytes;
  uint8_t* at = begin;
  uint32_t count = 0;
  for (std::string_view member : members) {
    packed::Encoded item(member);
    if (packed::find(begin, at, item) != nullptr) continue;
    at = item.write(at);
    ++count;
  }
  packed::set_header(entry->value(), static_cast<uint32_t>(at - begin), count);
  *size = count;
  return entry;
}

bool SetMembers::contains(std::string_view member) const {
  if (is_large()) {
    return large().members.find(element_position(member), member) != nullptr;
  }
  const uint8_t* value = entry_->value();
  if (encoding() == Encoding::kPacked) {
    return packed::find(packed::begin(value), packed::end(value), packed::Encoded(member)) !=
           nullptr;
  }
  int64_t integer;
  bool found = false;
  if (is_canonical_int64(member, &integer)) {
    static_cast<void>(integer_run::search(value, integer, &found));
  }
  return found;
}

bool SetMembers::contains(const packed::Item& item) const {
  if (item.kind == packed::Item::Kind::kInteger && encoding() == Encoding::kIntegers) {
    bool found;
    static_cast<void>(integer_run::search(entry_->value(), item.integer, &found));
    return found;
  }
  packed::Item::Buffer buffer;
  return contains(item.view(&buffer));
}

void SetMembers::prepare(size_t added, const Limits& limits) {
  auto count = static_cast<int64_t>(added);
  if (encoding() == Encoding::kPacked ? count > limits.set_packed_entries
                                      : count > integers_max(limits)) {
    if (!is_large()) make_large_of_small();
  }
}

bool SetMembers::add(std::string_view member, const Limits& limits) {
  switch (encoding()) {
    case Encoding::kLarge:
      return add_large(member);
    case Encoding::kPacked:
      return add_packed(member, limits);
    default:
      return add_to_integers(member, limits);
  }
}

bool SetMembers::add(const packed::Item& item, const Limits& limits) {
  if (item.kind == packed::Item::Kind::kInteger && encoding() == Encoding::kIntegers) {
    return add_integer(item.integer, limits);
  }
  packed::Item::Buffer buffer;
  return add(item.view(&buffer), limits);
}

bool SetMembers::add_large(std::string_view member) {
  MemberTable& members = large().members;
  uint32_t position = element_position(member);
  if (members.find(position, member) != nullptr) return false;
  members.insert(position, MemberNode::make(member));
  return true;
}

// A member of `size` bytes, `added_bytes` as an item, fits without another encoding.
bool SetMembers::fits_packed(size_t size, size_t added_bytes, const Limits& limits) const {
  return static_cast<int64_t>(count()) < limits.set_packed_entries &&
         static_cast<int64_t>(size) <= limits.set_packed_value_bytes &&
         packed::items_bytes(entry_->value()) + added_bytes <= packed::kItemsBytesMax;
}

void SetMembers::append_packed(const packed::Encoded& item) {
  uint32_t end = packed::items_bytes(entry_->value());
  entry_ = packed::splice(entry_, end, 0, item.size(), 1);
  item.write(entry_->value() + packed::kHeaderBytes + end);
}

bool SetMembers::add_packed(std::string_view member, const Limits& limits) {
  const uint8_t* value = entry_->value();
  packed::Encoded item(member);
  if (packed::find(packed::begin(value), packed::end(value), item) != nullptr) return false;
  if (!fits_packed(member.size(), item.size(), limits)) {
    make_large_of_small();
    return add_large(member);
  }
  append_packed(item);
  return true;
}

void SetMembers::insert_integer(uint32_t index, int64_t value) {
  uint8_t* run = entry_->value();
  uint32_t size = integer_run::count(run);
  uint32_t old_width = integer_run::width(run);
  uint32_t width = std::max(old_width, integer_run::width_of(value));
  size_t bytes = integer_run::bytes(size + 1, width);
  entry_ = Entry::resize_value(entry_, bytes, integer_run::bytes(size, old_width));
  run = entry_->value();
  if (width == old_width) {
    uint8_t* hole = run + integer_run::bytes(index, width);
    std::memmove(hole + width, hole, size_t{size - index} * width);
  } else {
    // From the back, since each integer moves to a higher place.
    for (uint32_t i = size; i-- > 0;) {
      int64_t moved = integer_run::read(run, i, old_width);
      integer_run::write(run, i < index ? i : i + 1, width, moved);
    }
  }
  integer_run::write(run, index, width, value);
  integer_run::set_head(run, size + 1, width);
}

bool SetMembers::add_integer(int64_t value, const Limits& limits) {
  bool found;
  uint32_t index = integer_run::search(entry_->value(), value, &found);
  if (found) return false;
  if (static_cast<int64_t>(count()) >= integers_max(limits)) {
    make_large_of_small();
    char text[kInt64TextMax];
    return add_large({text, format_int64(value, text)});
  }
  insert_integer(index, value);
  return true;
}

bool SetMembers::add_to_integers(std::string_view member, const Limits& limits) {
  int64_t value;
  if (is_canonical_int64(member, &value)) return add_integer(value, limits);
  const uint8_t* run = entry_->value();
  uint32_t size = integer_run::count(run);
  size_t longest = member.size();
  if (size != 0) {
    longest = std::max({longest, digits_of(integer_run::read(run, 0)),
                        digits_of(integer_run::read(run, size - 1))});
  }
  // An integer item has at most nine bytes.
  bool fits = size < limits.set_packed_entries &&
              static_cast<int64_t>(longest) <= limits.set_packed_value_bytes &&
              size * size_t{9} + member.size() + 5 <= packed::kItemsBytesMax;
  if (!fits) {
    make_large_of_small();
    return add_large(member);
  }
  make_packed_of_integers();
  append_packed(packed::Encoded(member));
  return true;
}

void SetMembers::make_packed_of_integers() {
  const uint8_t* run = entry_->value();
  size_t bytes = 0;
  for_each([&](const packed::Item& item) {
    bytes += packed::Encoded(item.integer).size();
    return true;
  });
  Entry* fresh =
      Entry::make_like(entry_, Type::kSet, Encoding::kPacked, packed::kHeaderBytes + bytes);
  uint8_t* at = fresh->value() + packed::kHeaderBytes;
  for_each([&](const packed::Item& item) {
    at = packed::Encoded(item.integer).write(at);
    return true;
  });
  packed::set_header(fresh->value(), static_cast<uint32_t>(bytes), integer_run::count(run));
  memory::release(entry_);
  entry_ = fresh;
}

void SetMembers::make_large_of_small() {
  LargeSet* set = new_large();
  for_each([&](const packed::Item& item) {
    packed::Item::Buffer buffer;
    std::string_view member = item.view(&buffer);
    set->members.insert(element_position(member), MemberNode::make(member));
    return true;
  });
  entry_ = Entry::resize_value(entry_, sizeof(LargeSet*), 0);
  entry_->set_encoding(Encoding::kLarge);
  entry_->set_large(set);
}

void SetMembers::make_integers_of_other(const Limits& limits) {
  if (encoding() == Encoding::kIntegers || static_cast<int64_t>(count()) > integers_max(limits)) {
    return;
  }
  SetMembers integers(make_integers(entry_->db(), entry_->key()));
  for_each([&](const packed::Item& item) {
    integers.add(item, limits);
    return true;
  });
  while (!destroy_some(entry_, SIZE_MAX)) {
  }
  memory::release(entry_);
  entry_ = integers.entry();
}

bool SetMembers::destroy_some(Entry* entry, size_t budget) {
  if (entry->encoding() != Encoding::kLarge) return true;
  constexpr size_t kStepMembersMax = 4096;
  auto* set = entry->large<LargeSet>();
  size_t freed = 0;
  uint64_t next = set->destroyed_to;
  while (freed < budget && next <= UINT32_MAX) {
    auto wanted = static_cast<uint32_t>(std::min(budget - freed, kStepMembersMax));
    // A scan reads the words alone, so a node may go as soon as it has been seen.
    next = set->members.scan(static_cast<uint32_t>(next), wanted, [&](uint64_t* word) {
      memory::release(MemberTable::node(*word));
      ++freed;
    });
  }
  if (next <= UINT32_MAX) {
    set->destroyed_to = static_cast<uint32_t>(next);
    return false;
  }
  set->members.release();
  memory::release(set);
  return true;
}

bool SetMembers::erase(std::string_view member) {
  if (is_large()) {
    MemberTable& members = large().members;
    uint32_t position = element_position(member);
    uint64_t* word = members.find(position, member);
    if (word == nullptr) return false;
    MemberNode* node = MemberTable::node(*word);
    members.erase(position, word);
    memory::release(node);
    return true;
  }
  const uint8_t* value = entry_->value();
  if (encoding() == Encoding::kIntegers) {
    int64_t integer;
    bool found = false;
    uint32_t index = 0;
    if (is_canonical_int64(member, &integer)) index = integer_run::search(value, integer, &found);
    if (found) erase_at(index);
    return found;
  }
  const uint8_t* at =
      packed::find(packed::begin(value), packed::end(value), packed::Encoded(member));
  if (at == nullptr) return false;
  auto offset = static_cast<size_t>(at - packed::begin(value));
  auto removed = static_cast<size_t>(packed::next(at) - at);
  entry_ = packed::splice(entry_, offset, removed, 0, -1);
  return true;
}

void SetMembers::erase_at(uint32_t index) {
  uint8_t* value = entry_->value();
  if (encoding() == Encoding::kIntegers) {
    uint32_t size = integer_run::count(value);
    uint32_t width = integer_run::width(value);
    uint8_t* hole = value + integer_run::bytes(index, width);
    std::memmove(hole, hole + width, size_t{size - index - 1} * width);
    integer_run::set_head(value, size - 1, width);
    size_t bytes = integer_run::bytes(size - 1, width);
    entry_ = Entry::resize_value(entry_, bytes, bytes);
    return;
  }
  const uint8_t* at = packed::begin(value);
  for (uint32_t i = 0; i < index; ++i) at = packed::next(at);
  auto offset = static_cast<size_t>(at - packed::begin(value));
  auto removed = static_cast<size_t>(packed::next(at) - at);
  entry_ = packed::splice(entry_, offset, removed, 0, -1);
}

packed::Item SetMembers::at(uint32_t index) const {
  const uint8_t* value = entry_->value();
  if (encoding() == Encoding::kIntegers) return view(integer_run::read(value, index));
  const uint8_t* at = packed::begin(value);
  for (uint32_t i = 0; i < index; ++i) at = packed::next(at);
  return packed::read(at);
}

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// How fields are found, changed and moved between the layouts that the header describes.
#include "engine/types/hash_fields.h"

#include <algorithm>
#include <new>

#include "engine/types/packed_entry.h"
#include "protocol/check.h"

namespace dyno {
namespace {

using FieldTable = Table<FieldTraits>;

// What a deadline item holds for a field without one.
constexpr int64_t kPackedNoDeadline = 0;

}  // namespace

size_t FieldNode::bytes(size_t field_size, size_t value_size, bool is_timed) {
  return varint_bytes(field_size * 2 + 1) + field_size + (is_timed ? kDeadlineBytes : 0) +
         varint_bytes(value_size) + value_size;
}

FieldNode* FieldNode::make(std::string_view field, std::string_view value, int64_t deadline_ms) {
  bool is_timed = deadline_ms != kNoDeadline;
  auto* node =
      static_cast<FieldNode*>(memory::allocate_tight(bytes(field.size(), value.size(), is_timed)));
  uint8_t* at = reinterpret_cast<uint8_t*>(node);
  at = write_varint(at, field.size() * 2 + (is_timed ? 1 : 0));
  std::memcpy(at, field.data(), field.size());
  at += field.size();
  if (is_timed) {
    std::memcpy(at, &deadline_ms, sizeof(deadline_ms));
    at += kDeadlineBytes;
  }
  at = write_varint(at, value.size());
  std::memcpy(at, value.data(), value.size());
  return node;
}

void FieldNode::set_value(std::string_view value) {
  uint8_t* at = after_field() + (is_timed() ? kDeadlineBytes : 0);
  at = write_varint(at, value.size());
  std::memcpy(at, value.data(), value.size());
}

int64_t HashFields::Packed::deadline_ms() const {
  if (deadline == nullptr) return kNoDeadline;
  int64_t at_ms = packed::read(deadline).integer;
  return at_ms == kPackedNoDeadline ? kNoDeadline : at_ms;
}

Entry* HashFields::make(int db, std::string_view name) {
  Entry* entry = Entry::make(Type::kHash, Encoding::kPacked, db, name, false, packed::kHeaderBytes);
  packed::set_header(entry->value(), 0, 0);
  return entry;
}

Entry* HashFields::make_of(int db, std::string_view name, Args pairs, size_t* taken) {
  size_t bytes = 0;
  for (std::string_view arg : pairs) bytes += packed::Encoded(arg).size();
  if (bytes > packed::kItemsBytesMax) return nullptr;
  Entry* entry =
      Entry::make(Type::kHash, Encoding::kPacked, db, name, false, packed::kHeaderBytes + bytes);
  uint8_t* begin = entry->value() + packed::kHeaderBytes;
  uint8_t* at = begin;
  size_t i = 0;
  for (; i < pairs.size(); i += 2) {
    packed::Encoded field(pairs[i]);
    if (packed::find(begin, at, field, 2) != nullptr) break;
    at = packed::Encoded(pairs[i + 1]).write(field.write(at));
  }
  packed::set_header(entry->value(), static_cast<uint32_t>(at - begin), static_cast<uint32_t>(i));
  *taken = i;
  return entry;
}

FieldView HashFields::view_packed(const uint8_t* at, bool is_timed, const uint8_t** next) {
  FieldView view;
  view.field = packed::read(at);
  view.value = packed::read(view.field.next);
  *next = view.value.next;
  if (is_timed) {
    packed::Item deadline = packed::read(view.value.next);
    if (deadline.integer != kPackedNoDeadline) view.deadline_ms = deadline.integer;
    *next = deadline.next;
  }
  return view;
}

FieldView HashFields::view_node(const FieldNode* node) {
  FieldView view;
  view.field = {packed::Item::Kind::kText, node->field(), 0, 0, nullptr};
  view.value = {packed::Item::Kind::kText, node->value(), 0, 0, nullptr};
  if (node->is_timed()) view.deadline_ms = node->deadline();
  return view;
}

size_t HashFields::count() const {
  if (is_large()) return large().fields.size();
  return packed::count(entry_->value()) / stride();
}

size_t HashFields::count_due(int64_t now_ms) const {
  if (is_large()) return large().deadlines.count_due(now_ms);
  if (!is_packed_timed()) return 0;
  size_t live = 0;
  for_each(now_ms, [&](const FieldView&) {
    ++live;
    return true;
  });
  return count() - live;
}

int64_t HashFields::next_deadline() const {
  if (is_large())
    return large().deadlines.size() == 0 ? kNoDeadline : large().deadlines.top().deadline_ms;
  if (!is_packed_timed()) return kNoDeadline;
  int64_t soonest = INT64_MAX;
  for_each(kBeforeAll, [&](const FieldView& view) {
    if (view.deadline_ms != kNoDeadline) soonest = std::min(soonest, view.deadline_ms);
    return true;
  });
  return soonest == INT64_MAX ? kNoDeadline : soonest;
}

std::optional<FieldView> HashFields::find_due(int64_t now_ms) const {
  if (is_large()) {
    const auto& deadlines = large().deadlines;
    if (deadlines.size() == 0 || deadlines.top().deadline_ms > now_ms) return std::nullopt;
    return view_node(deadlines.top().node);
  }
  std::optional<FieldView> due;
  if (!is_packed_timed()) return due;
  for_each(kBeforeAll, [&](const FieldView& view) {
    if (view.deadline_ms != kNoDeadline && view.deadline_ms <= now_ms) due = view;
    return !due.has_value();
  });
  return due;
}

HashFields::Packed HashFields::find_packed(const packed::Encoded& field) const {
  const uint8_t* value = entry_->value();
  Packed found;
  found.field = packed::find(packed::begin(value), packed::end(value), field, stride());
  if (found.field == nullptr) return found;
  found.value = packed::next(found.field);
  found.end = packed::next(found.value);
  if (is_packed_timed()) {
    found.deadline = found.end;
    found.end = packed::next(found.deadline);
  }
  return found;
}

FieldPlace HashFields::find(std::string_view field, int64_t now_ms) const {
  FieldPlace place;
  if (is_large()) {
    uint64_t* word = large().fields.find(element_position(field), field);
    if (word == nullptr) return {};
    place.node = FieldTable::node(*word);
    if (place.node->is_timed()) place.deadline_ms = place.node->deadline();
  } else {
    Packed found = find_packed(packed::Encoded(field));
    if (found.field == nullptr) return {};
    place.item = found.value;
    place.deadline_ms = found.deadline_ms();
  }
  bool is_due = place.deadline_ms != kNoDeadline && place.deadline_ms <= now_ms;
  return is_due ? FieldPlace{} : place;
}

bool HashFields::fits(size_t removed, size_t added) const {
  return packed::items_bytes(entry_->value()) - removed + added <= packed::kItemsBytesMax;
}

bool HashFields::set(std::string_view field, std::string_view value, const Limits& limits,
                     int64_t now_ms, Deadline deadline) {
  if (is_large()) return set_large(field, value, now_ms, deadline);
  auto size_max = static_cast<uint64_t>(static_cast<int64_t>(limits.hash_packed_value_bytes));
  if (field.size() > size_max || value.size() > size_max) {
    make_large();
    return set_large(field, value, now_ms, deadline);
  }
  return set_packed(field, value, limits, now_ms, deadline);
}

bool HashFields::set_packed(std::string_view field, std::string_view value, const Limits& limits,
                            int64_t now_ms, Deadline deadline) {
  packed::Encoded field_item(field);
  packed::Encoded value_item(value);
  Packed found = find_packed(field_item);
  bool is_timed = is_packed_timed();
  if (found.field == nullptr) {
    uint32_t end = packed::items_bytes(entry_->value());
    size_t added = field_item.size() + value_item.size() + (is_timed ? 1 : 0);
    if (static_cast<int64_t>(count()) >= limits.hash_packed_entries || !fits(0, added)) {
      make_large();
      return set_large(field, value, now_ms, deadline);
    }
    entry_ = packed::splice(entry_, end, 0, added, static_cast<int>(stride()));
    uint8_t* at = entry_->value() + packed::kHeaderBytes + end;
    at = value_item.write(field_item.write(at));
    if (is_timed) packed::Encoded(kPackedNoDeadline).write(at);
    return true;
  }
  int64_t old_deadline_ms = found.deadline_ms();
  bool was_due = old_deadline_ms != kNoDeadline && old_deadline_ms <= now_ms;
  bool keeps = deadline == Deadline::kKept && !was_due && old_deadline_ms != kNoDeadline;
  packed::Encoded deadline_item(keeps ? old_deadline_ms : kPackedNoDeadline);
  auto removed = static_cast<size_t>(found.end - found.value);
  size_t added = value_item.size() + (is_timed ? deadline_item.size() : 0);
  if (!fits(removed, added)) {
    make_large();
    return set_large(field, value, now_ms, deadline);
  }
  auto offset = static_cast<size_t>(found.value - packed::begin(entry_->value()));
  entry_ = packed::splice(entry_, offset, removed, added, 0);
  uint8_t* at = value_item.write(entry_->value() + packed::kHeaderBytes + offset);
  if (is_timed) deadline_item.write(at);
  return was_due;
}

bool HashFields::set_large(std::string_view field, std::string_view value, int64_t now_ms,
                           Deadline deadline) {
  LargeHash& hash = large();
  uint32_t position = element_position(field);
  uint64_t* word = hash.fields.find(position, field);
  if (word == nullptr) {
    hash.fields.insert(position, FieldNode::make(field, value, kNoDeadline));
    return true;
  }
  const FieldNode* node = FieldTable::node(*word);
  bool was_due = node->is_due(now_ms);
  bool keeps = deadline == Deadline::kKept && !was_due && node->is_timed();
  replace(word, value, keeps ? node->deadline() : kNoDeadline);
  return was_due;
}

// Gives the node at `word` another value, and a deadline or none. A deadline that it had and keeps
// must be the same.
void HashFields::replace(uint64_t* word, std::string_view value, int64_t deadline_ms) {
  LargeHash& hash = large();
  FieldNode* node = FieldTable::node(*word);
  bool was_timed = node->is_timed();
  bool is_timed = deadline_ms != kNoDeadline;
  if (was_timed == is_timed) {
    size_t wanted = FieldNode::bytes(node->field().size(), value.size(), is_timed);
    if (memory::rounded_tight_bytes(wanted) == memory::usable_bytes(node)) {
      node->set_value(value);
      return;
    }
  }
  FieldNode* fresh = FieldNode::make(node->field(), value, deadline_ms);
  if (was_timed && is_timed) {
    fresh->set_heap_index(node->heap_index());
    hash.deadlines.moved(node->heap_index(), fresh);
  } else if (was_timed) {
    hash.deadlines.erase(node->heap_index());
  } else if (is_timed) {
    hash.deadlines.push(deadline_ms, fresh);
  }
  FieldTable::set_node(word, fresh);
  memory::release(node);
}

HashFields::Erased HashFields::erase(std::string_view field, int64_t now_ms) {
  if (!is_large()) {
    Packed found = find_packed(packed::Encoded(field));
    if (found.field == nullptr) return Erased::kNothing;
    int64_t deadline_ms = found.deadline_ms();
    auto offset = static_cast<size_t>(found.field - packed::begin(entry_->value()));
    auto removed = static_cast<size_t>(found.end - found.field);
    entry_ = packed::splice(entry_, offset, removed, 0, -static_cast<int>(stride()));
    return deadline_ms != kNoDeadline && deadline_ms <= now_ms ? Erased::kDue : Erased::kLive;
  }
  LargeHash& hash = large();
  uint32_t position = element_position(field);
  uint64_t* word = hash.fields.find(position, field);
  if (word == nullptr) return Erased::kNothing;
  FieldNode* node = FieldTable::node(*word);
  bool was_due = node->is_due(now_ms);
  if (node->is_timed()) hash.deadlines.erase(node->heap_index());
  hash.fields.erase(position, word);
  memory::release(node);
  return was_due ? Erased::kDue : Erased::kLive;
}

void HashFields::set_deadline(std::string_view field, int64_t deadline_ms) {
  if (entry_->encoding() == Encoding::kPacked) {
    if (deadline_ms == kNoDeadline) return;
    make_packed_timed();
  }
  if (is_large()) {
    set_large_deadline(field, deadline_ms);
  } else {
    set_packed_deadline(field, deadline_ms);
  }
}

void HashFields::set_packed_deadline(std::string_view field, int64_t deadline_ms) {
  Packed found = find_packed(packed::Encoded(field));
  DYNO_CHECK(found.field != nullptr);
  packed::Encoded item(deadline_ms == kNoDeadline ? kPackedNoDeadline : deadline_ms);
  auto removed = static_cast<size_t>(found.end - found.deadline);
  if (!fits(removed, item.size())) {
    make_large();
    set_large_deadline(field, deadline_ms);
    return;
  }
  auto offset = static_cast<size_t>(found.deadline - packed::begin(entry_->value()));
  entry_ = packed::splice(entry_, offset, removed, item.size(), 0);
  item.write(entry_->value() + packed::kHeaderBytes + offset);
}

void HashFields::set_large_deadline(std::string_view field, int64_t deadline_ms) {
  LargeHash& hash = large();
  uint64_t* word = hash.fields.find(element_position(field), field);
  DYNO_CHECK(word != nullptr);
  FieldNode* node = FieldTable::node(*word);
  if (node->is_timed() && deadline_ms != kNoDeadline) {
    node->set_deadline(deadline_ms);
    hash.deadlines.change(node->heap_index(), deadline_ms);
  } else if (node->is_timed() || deadline_ms != kNoDeadline) {
    replace(word, node->value(), deadline_ms);
  }
}

// Every pair of items gets a third, an empty deadline.
void HashFields::make_packed_timed() {
  size_t fields = count();
  if (!fits(0, fields)) {
    make_large();
    return;
  }
  const uint8_t* old = entry_->value();
  auto bytes = static_cast<uint32_t>(packed::items_bytes(old) + fields);
  Entry* fresh =
      Entry::make_like(entry_, Type::kHash, Encoding::kPackedTimed, packed::kHeaderBytes + bytes);
  packed::Encoded none(kPackedNoDeadline);
  uint8_t* to = fresh->value() + packed::kHeaderBytes;
  for (const uint8_t* at = packed::begin(old); at < packed::end(old);) {
    const uint8_t* end = packed::next(packed::next(at));
    std::memcpy(to, at, static_cast<size_t>(end - at));
    to = none.write(to + (end - at));
    at = end;
  }
  packed::set_header(fresh->value(), bytes, static_cast<uint32_t>(fields * 3));
  memory::release(entry_);
  entry_ = fresh;
}

void HashFields::make_large() {
  if (is_large()) return;
  auto* hash = new (memory::allocate(sizeof(LargeHash))) LargeHash;
  for_each(kBeforeAll, [&](const FieldView& view) {
    packed::Item::Buffer field_buffer;
    packed::Item::Buffer value_buffer;
    std::string_view field = view.field.view(&field_buffer);
    FieldNode* node = FieldNode::make(field, view.value.view(&value_buffer), view.deadline_ms);
    hash->fields.insert(element_position(field), node);
    if (view.deadline_ms != kNoDeadline) hash->deadlines.push(view.deadline_ms, node);
    return true;
  });
  entry_ = Entry::resize_value(entry_, sizeof(LargeHash*), 0);
  entry_->set_encoding(Encoding::kLarge);
  entry_->set_large(hash);
}

}  // namespace dyno

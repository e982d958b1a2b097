// SPDX-License-Identifier: Apache-2.0
//
// The fields of one hash, as they lie in memory.
//
//   kPacked       items field, value, field, value ... in the order of their first insertion
//   kPackedTimed  items field, value, deadline ...; a deadline is an integer, 0 for none
//   kLarge        LargeHash: a table of nodes, and a heap of those that will expire
//
//   node := head:varint field deadline? value_size:varint value     head = field size * 2 + has
//   deadline deadline := ms:i64 heap_index:u32
//
// A hash becomes kPackedTimed with its first deadline and kLarge when it outgrows the limits; it
// never goes back. A field whose deadline has come is *due*: it is still here but nobody is shown
// it.
//
// Works on an entry that may or may not be in a table. Whatever changes the fields may move the
// entry: ask entry() afterwards. Guarded by the lock of the entry's slot.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "engine/entry.h"
#include "engine/keyspace.h"
#include "engine/limits.h"
#include "engine/session.h"
#include "engine/table.h"
#include "engine/types/deadline_heap.h"
#include "engine/types/packed.h"

namespace dyno {

inline constexpr int64_t kNoDeadline = -1;

// One field with its value, in one allocation; see the grammar above.
class FieldNode {
 public:
  [[nodiscard]] static FieldNode* make(std::string_view field, std::string_view value,
                                       int64_t deadline_ms);
  [[nodiscard]] static size_t bytes(size_t field_size, size_t value_size, bool is_timed);
  [[nodiscard]] size_t bytes() const { return bytes(field().size(), value().size(), is_timed()); }

  [[nodiscard]] bool is_timed() const { return *start() & 1; }
  [[nodiscard]] std::string_view field() const {
    uint64_t head;
    const uint8_t* at = read_varint(start(), &head);
    return {reinterpret_cast<const char*>(at), head >> 1};
  }
  [[nodiscard]] std::string_view value() const {
    uint64_t size;
    const uint8_t* at = read_varint(after_field() + (is_timed() ? kDeadlineBytes : 0), &size);
    return {reinterpret_cast<const char*>(at), size};
  }
  // Only with is_timed().
  [[nodiscard]] int64_t deadline() const {
    int64_t at_ms;
    std::memcpy(&at_ms, after_field(), sizeof(at_ms));
    return at_ms;
  }
  void set_deadline(int64_t at_ms) { std::memcpy(after_field(), &at_ms, sizeof(at_ms)); }
  [[nodiscard]] uint32_t heap_index() const {
    uint32_t index;
    std::memcpy(&index, after_field() + 8, sizeof(index));
    return index;
  }
  void set_heap_index(uint32_t index) { std::memcpy(after_field() + 8, &index, sizeof(index)); }
  // Writes another value; the caller has seen to the room.
  void set_value(std::string_view value);
  [[nodiscard]] bool is_due(int64_t now_ms) const { return is_timed() && deadline() <= now_ms; }

 private:
  static constexpr size_t kDeadlineBytes = 12;

  [[nodiscard]] const uint8_t* start() const { return reinterpret_cast<const uint8_t*>(this); }
  [[nodiscard]] uint8_t* after_field() const {
    std::string_view f = field();
    return reinterpret_cast<uint8_t*>(const_cast<char*>(f.data())) + f.size();
  }
};

struct FieldTraits {
  using Node = FieldNode;
  using Key = std::string_view;
  [[nodiscard]] static bool equal(const FieldNode* node, std::string_view field) {
    return node->field() == field;
  }
  [[nodiscard]] static uint32_t position(const FieldNode* node) {
    return element_position(node->field());
  }
};

struct LargeHash {
  Table<FieldTraits> fields;
  DeadlineHeap<FieldNode> deadlines;
  uint32_t destroyed_to = 0;  // Positions before this one have been freed by destroy_some().
};

// A field as it is shown: texts or integers.
struct FieldView {
  packed::Item field;
  packed::Item value;
  int64_t deadline_ms = kNoDeadline;
};

// Where a field's value lies; false when there is no such field. As small as it is because the hot
// commands pass it around.
struct FieldPlace {
  const uint8_t* item = nullptr;    // The value of a packed hash.
  const FieldNode* node = nullptr;  // The field of a large one.
  int64_t deadline_ms = kNoDeadline;

  [[nodiscard]] explicit operator bool() const { return item != nullptr || node != nullptr; }
  [[nodiscard]] packed::Item value() const {
    if (item != nullptr) return packed::read(item);
    return {packed::Item::Kind::kText, node->value(), 0, 0, nullptr};
  }
};

class HashFields {
 public:
  // What becomes of a field's deadline when it gets another value.
  enum class Deadline : uint8_t { kDropped, kKept };
  // For readers that want due fields, too.
  static constexpr int64_t kBeforeAll = INT64_MIN;

  explicit HashFields(Entry* entry) : entry_(entry) {}

  // An empty hash under a name, in no table.
  [[nodiscard]] static Entry* make(int db, std::string_view name);
  // A packed hash of the first of these pairs, up to one whose field is there already; `taken`
  // counts the arguments it holds. Null when they are too many bytes for a packed hash. The caller
  // has seen to the limits.
  [[nodiscard]] static Entry* make_of(int db, std::string_view name, Args pairs, size_t* taken);

  [[nodiscard]] Entry* entry() const { return entry_; }
  [[nodiscard]] bool is_large() const { return entry_->encoding() == Encoding::kLarge; }
  [[nodiscard]] LargeHash& large() const { return *entry_->large<LargeHash>(); }

  // All fields, due ones included.
  [[nodiscard]] size_t count() const;
  // Without those that are due.
  [[nodiscard]] size_t count_live(int64_t now_ms) const { return count() - count_due(now_ms); }
  [[nodiscard]] size_t count_due(int64_t now_ms) const;
  // The soonest deadline, or kNoDeadline.
  [[nodiscard]] int64_t next_deadline() const;

  // A field that is not due.
  [[nodiscard]] FieldPlace find(std::string_view field, int64_t now_ms) const;

  // Sets a field; true when it was not there or was due.
  bool set(std::string_view field, std::string_view value, const Limits& limits, int64_t now_ms,
           Deadline deadline);
  enum class Erased : uint8_t { kNothing, kDue, kLive };
  Erased erase(std::string_view field, int64_t now_ms);
  // Sets or, with kNoDeadline, takes away the deadline of a field that is there.
  void set_deadline(std::string_view field, int64_t deadline_ms);
  // Turns large ahead of an insertion that will not fit.
  void make_large();

  // Calls visit(const FieldView&) for each field that is not due, until it returns false.
  template <class Visit>
  void for_each(int64_t now_ms, Visit&& visit) const;
  // Visits a stretch as Table::scan does; a packed hash is visited whole. Returns the next
  // position, or 0 at the end.
  template <class Visit>
  uint64_t scan(uint32_t from, uint32_t wanted, int64_t now_ms, Visit&& visit) const;
  // A field drawn by random bits, of a large hash; due ones are drawn, too.
  template <class Draw>
  [[nodiscard]] FieldView draw(Draw&& draw) const {
    return view_node(Table<FieldTraits>::node(*large().fields.random(draw)));
  }
  // Some field that is due, if there is one; its bytes are those of the hash.
  [[nodiscard]] std::optional<FieldView> find_due(int64_t now_ms) const;

 private:
  struct Packed {
    const uint8_t* field = nullptr;  // Null when it is not there.
    const uint8_t* value = nullptr;
    const uint8_t* deadline = nullptr;  // Null when the encoding has none.
    const uint8_t* end = nullptr;
    [[nodiscard]] int64_t deadline_ms() const;
  };

  [[nodiscard]] bool is_packed_timed() const {
    return entry_->encoding() == Encoding::kPackedTimed;
  }
  [[nodiscard]] uint32_t stride() const { return is_packed_timed() ? 3 : 2; }
  [[nodiscard]] Packed find_packed(const packed::Encoded& field) const;
  [[nodiscard]] bool fits(size_t removed, size_t added) const;
  void make_packed_timed();
  bool set_packed(std::string_view field, std::string_view value, const Limits& limits,
                  int64_t now_ms, Deadline deadline);
  bool set_large(std::string_view field, std::string_view value, int64_t now_ms, Deadline deadline);
  void set_packed_deadline(std::string_view field, int64_t deadline_ms);
  void set_large_deadline(std::string_view field, int64_t deadline_ms);
  void replace(uint64_t* word, std::string_view value, int64_t deadline_ms);
  [[nodiscard]] static FieldView view_packed(const uint8_t* at, bool is_timed,
                                             const uint8_t** next);
  [[nodiscard]] static FieldView view_node(const FieldNode* node);

  Entry* entry_;
};

template <class Visit>
void HashFields::for_each(int64_t now_ms, Visit&& visit) const {
  if (is_large()) {
    large().fields.for_each([&](uint64_t* word) {
      FieldView view = view_node(Table<FieldTraits>::node(*word));
      if (view.deadline_ms != kNoDeadline && view.deadline_ms <= now_ms) return true;
      return static_cast<bool>(visit(static_cast<const FieldView&>(view)));
    });
    return;
  }
  const uint8_t* value = entry_->value();
  bool is_timed = is_packed_timed();
  for (const uint8_t* at = packed::begin(value); at < packed::end(value);) {
    FieldView view = view_packed(at, is_timed, &at);
    if (view.deadline_ms != kNoDeadline && view.deadline_ms <= now_ms) continue;
    if (!visit(static_cast<const FieldView&>(view))) return;
  }
}

template <class Visit>
uint64_t HashFields::scan(uint32_t from, uint32_t wanted, int64_t now_ms, Visit&& visit) const {
  if (!is_large()) {
    for_each(now_ms, [&](const FieldView& view) {
      visit(view);
      return true;
    });
    return 0;
  }
  uint64_t next = large().fields.scan(from, wanted, [&](uint64_t* word) {
    FieldView view = view_node(Table<FieldTraits>::node(*word));
    if (view.deadline_ms == kNoDeadline || view.deadline_ms > now_ms) {
      visit(static_cast<const FieldView&>(view));
    }
  });
  return next > UINT32_MAX ? 0 : next;
}

}  // namespace dyno

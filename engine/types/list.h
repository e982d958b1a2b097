// SPDX-License-Identifier: Apache-2.0
//
// A list under a key: what it holds, and every way in which it changes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "engine/context.h"
#include "engine/session.h"
#include "engine/types/list_nodes.h"
#include "engine/types/packed.h"

namespace dyno {

enum class ListEnd : uint8_t { kHead, kTail };

// A view of one key, which is missing or a list; the slot is locked. Changes record their effects;
// reporting Key::changed() is left to the command. A change that removes the last element erases
// the key. Views of elements are valid until the list's next change; elements given to it must not
// be views of its own.
class List {
 public:
  explicit List(Key& key) : key_(key) {}

  [[nodiscard]] size_t size() const;
  // The element at an index, which is less than size().
  [[nodiscard]] packed::Item at(size_t index) const;
  [[nodiscard]] packed::Item end(ListEnd end) const;

  // Calls visit(index, item) for `count` elements from `first` on, or from `last` down; stops when
  // it returns false. The item is a packed::Item, or with for_each_item() a pointer to it as it
  // lies.
  template <class Visit>
  void for_each(size_t first, size_t count, Visit&& visit) const {
    for_each_item(first, count, [&](size_t index, const uint8_t* item) {
      return visit(index, packed::read(item));
    });
  }
  template <class Visit>
  void for_each_item(size_t first, size_t count, Visit&& visit) const;
  template <class Visit>
  void for_each_item_backwards(size_t last, size_t count, Visit&& visit) const;
  // Writes an array reply of the elements, backwards from `first + count - 1` when `reverse`.
  void reply_range(Reply& reply, size_t first, size_t count, bool reverse = false) const;
  // The index of the first element equal to `element`; size() when there is none.
  [[nodiscard]] size_t find(std::string_view element) const;

  // Makes the list when the key is missing. Of several elements the last one ends up outermost.
  void push(ListEnd end, Args elements);
  void push(ListEnd end, std::string_view element) { push(end, Args(&element, 1)); }
  // Removes `count` elements from an end; there are as many.
  void pop(ListEnd end, size_t count = 1);
  void set(size_t index, std::string_view element);
  // Before the element at `index`, which is at most size().
  void insert(size_t index, std::string_view element);
  void erase(size_t first, size_t count);
  // Removes up to `limit` elements equal to `element`, the first ones or the last ones.
  size_t erase_equal(std::string_view element, size_t limit, bool from_tail);

 private:
  [[nodiscard]] bool is_packed() const { return key_.entry()->encoding() == Encoding::kPacked; }
  [[nodiscard]] uint8_t* value() const { return key_.entry()->value(); }
  [[nodiscard]] ListNodes* nodes() const { return key_.entry()->large<ListNodes>(); }

  // Prepares for `count` more elements of `bytes` in all: makes the list, or makes it large when
  // they would not do packed, and notes when it becomes what Redis calls a quicklist.
  void expect(size_t count, size_t bytes);
  void make_large();
  // Keep ListNodes::listpack_bytes while the list is no quicklist.
  void note_added(std::string_view element);
  void note_removed(const packed::Item& item);
  void note_shrinkage();
  // Opens a gap of `bytes` for `count` items before `at` in the packed run, and closes one.
  uint8_t* open_packed(const uint8_t* at, size_t bytes, uint32_t count);
  void close_packed(const uint8_t* from, const uint8_t* to, uint32_t count);
  void push_packed(ListEnd end, Args elements);
  void erase_from_nodes(size_t first, size_t count);
  [[nodiscard]] const uint8_t* packed_at(size_t index) const;

  Key& key_;
};

template <class Visit>
void List::for_each_item(size_t first, size_t count, Visit&& visit) const {
  if (count == 0) return;
  if (!is_packed()) {
    return nodes()->for_each(first, count, [&](const uint8_t* at) { return visit(first++, at); });
  }
  const uint8_t* item = packed_at(first);
  for (; count > 0 && visit(first++, item); --count) item = next_item(item);
}

template <class Visit>
void List::for_each_item_backwards(size_t last, size_t count, Visit&& visit) const {
  if (count == 0) return;
  if (!is_packed()) {
    return nodes()->for_each_backwards(last, count,
                                       [&](const uint8_t* at) { return visit(last--, at); });
  }
  const uint8_t* starts[ListNodes::kNodeItemsMax];
  const uint8_t* item = packed::begin(value());
  for (size_t i = 0; i <= last; ++i) {
    starts[i] = item;
    if (i < last) item = next_item(item);
  }
  for (; count > 0 && visit(last, starts[last]); --count, --last) {
  }
}

}  // namespace dyno

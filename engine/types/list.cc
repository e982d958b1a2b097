// SPDX-License-Identifier: Apache-2.0
//
// Lists: what they are here, their encodings and every change of one. The commands are in
// list_commands.cc, list_blocking.cc and sort.cc.
//
// Encodings: kPacked, a run of items inside the entry (packed.h), while there are at most
// kPackedItemsMax of them in kPackedBytesMax bytes; then kLarge, nodes of such runs (list_nodes.h),
// and never back. Both ends are cheap to push and pop at any size.
//
// OBJECT ENCODING tells something else: what Redis 7.2 would have made of the same list, "listpack"
// up to list-max-listpack-size and "quicklist" beyond, until it is half that size again. A large
// list keeps that mark, and while it is not set the bytes that Redis' listpack would take.
//
// Concurrent writers: an element has an identity of its own; pushes all survive in the order of
// their stamps, a pop removes the element that it saw, LSET decides per element.
#include "engine/types/list.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "engine/reclaimer.h"
#include "engine/types/listpack_size.h"
#include "engine/value.h"
#include "protocol/check.h"

namespace dyno {
namespace {

constexpr size_t kPackedItemsMax = 128;
constexpr size_t kPackedBytesMax = 2048;
// What an item's header takes at most, as long as it fits a packed run.
constexpr size_t kItemHeadBytesMax = 3;

// --- Replies

// "$5\r\n" for every size of a short text.
struct BulkHead {
  char bytes[7];
  uint8_t size;
};

constexpr std::array<BulkHead, 128> make_bulk_heads() {
  std::array<BulkHead, 128> heads{};
  for (uint32_t i = 0; i < 128; ++i) {
    BulkHead& head = heads[i];
    head.bytes[head.size++] = '$';
    if (i >= 100) head.bytes[head.size++] = static_cast<char>('0' + i / 100);
    if (i >= 10) head.bytes[head.size++] = static_cast<char>('0' + i / 10 % 10);
    head.bytes[head.size++] = static_cast<char>('0' + i % 10);
    head.bytes[head.size++] = '\r';
    head.bytes[head.size++] = '\n';
  }
  return heads;
}

constexpr std::array<BulkHead, 128> kBulkHeads = make_bulk_heads();

// Bytes of a bulk reply beyond those of its item in the run, at most; copies overshoot into it.
constexpr size_t kBulkBytesMax = 48;

char* write_long_bulk(char* to, const uint8_t* at) {
  packed::Item::Buffer buffer;
  std::string_view text = packed::read(at).view(&buffer);
  *to++ = '$';
  to += format_int64(static_cast<int64_t>(text.size()), to);
  *to++ = '\r';
  *to++ = '\n';
  std::memcpy(to, text.data(), text.size());
  to += text.size();
  *to++ = '\r';
  *to++ = '\n';
  return to;
}

// Writes `count` items as bulk strings; `end` is where the memory that may be read ends.
void write_bulks(ByteBuffer& out, const uint8_t* at, uint32_t count, const uint8_t* end) {
  char* start = out.reserve(count * kBulkBytesMax + static_cast<size_t>(end - at));
  char* to = start;
  for (; count > 0; --count) {
    uint32_t size = *at;
    if (size >= 0x80) {
      to = write_long_bulk(to, at);
      at = packed::next(at);
      continue;
    }
    const BulkHead& head = kBulkHeads[size];
    std::memcpy(to, head.bytes, sizeof(head.bytes));
    to += head.size;
    ++at;
    if (at + ((size + 15) & ~15u) <= end) [[likely]] {
      for (uint32_t i = 0; i < size; i += 16) std::memcpy(to + i, at + i, 16);
    } else {
      std::memcpy(to, at, size);
    }
    to += size;
    at += size;
    *to++ = '\r';
    *to++ = '\n';
  }
  out.commit(static_cast<size_t>(to - start));
}

// --- What every type offers

bool is_packed(const Entry* entry) {
  return entry->encoding() == Encoding::kPacked;
}

size_t length(const Entry* entry) {
  return is_packed(entry) ? packed::count(entry->value()) : entry->large<ListNodes>()->size();
}

size_t value_bytes(const Entry* entry) {
  return is_packed(entry) ? packed::value_bytes(entry->value()) : sizeof(ListNodes*);
}

bool destroy_some(Entry* entry, size_t budget) {
  return is_packed(entry) || ListNodes::destroy_some(entry->large<ListNodes>(), budget);
}

void destroy(Entry* entry) {
  while (!destroy_some(entry, SIZE_MAX)) {
  }
}

Entry* copy(const Entry* entry, int db, std::string_view name) {
  size_t bytes = value_bytes(entry);
  Entry* copied =
      Entry::make(entry->type(), entry->encoding(), db, name, entry->has_deadline(), bytes);
  if (entry->has_deadline()) copied->set_deadline(entry->deadline());
  if (is_packed(entry)) {
    std::memcpy(copied->value(), entry->value(), bytes);
  } else {
    copied->set_large(entry->large<ListNodes>()->copy());
  }
  return copied;
}

std::string_view encoding_name(const Entry* entry) {
  bool quicklist = !is_packed(entry) && entry->large<ListNodes>()->is_quicklist;
  return quicklist ? "quicklist" : "listpack";
}

size_t memory_bytes(const Entry* entry, size_t samples) {
  size_t bytes = memory::usable_bytes(entry);
  return is_packed(entry) ? bytes : bytes + entry->large<ListNodes>()->memory_bytes(samples);
}

void record(Key& key) {
  List list(key);
  list.for_each(0, list.size(), [&](size_t index, const packed::Item& item) {
    packed::Item::Buffer buffer;
    key.record(EffectKind::kListInsert, item.view(&buffer), {}, static_cast<int64_t>(index));
    return true;
  });
  if (key.entry()->has_deadline()) {
    key.record(EffectKind::kDeadline, {}, {}, key.entry()->deadline());
  }
}

}  // namespace

const ValueOps kListOps = {length, value_bytes,   destroy,      destroy_some,
                           copy,   encoding_name, memory_bytes, record};

// --- Reading

size_t List::size() const {
  return key_.exists() ? length(key_.entry()) : 0;
}

const uint8_t* List::packed_at(size_t index) const {
  const uint8_t* item = packed::begin(value());
  for (; index > 0; --index) item = next_item(item);
  return item;
}

packed::Item List::at(size_t index) const {
  return packed::read(is_packed() ? packed_at(index) : nodes()->at(index));
}

packed::Item List::end(ListEnd end) const {
  bool head = end == ListEnd::kHead;
  if (is_packed()) return packed::read(packed_at(head ? 0 : packed::count(value()) - 1));
  return packed::read(head ? nodes()->front() : nodes()->back());
}

void List::reply_range(Reply& reply, size_t first, size_t count, bool reverse) const {
  reply.array(count);
  if (count == 0) return;
  ByteBuffer& out = reply.buffer();
  if (reverse) {
    for_each_item_backwards(first + count - 1, count, [&](size_t, const uint8_t* item) {
      write_bulks(out, item, 1, next_item(item));
      return true;
    });
  } else if (is_packed()) {
    write_bulks(out, packed_at(first), static_cast<uint32_t>(count), packed::end(value()));
  } else {
    nodes()->for_each_run(first, count, [&](const uint8_t* at, uint32_t run, const uint8_t* end) {
      write_bulks(out, at, run, end);
      return true;
    });
  }
}

size_t List::find(std::string_view element) const {
  packed::Encoded encoded(element);
  ItemMatcher wanted(encoded);
  size_t found = size();
  for_each_item(0, found, [&](size_t index, const uint8_t* item) {
    if (!wanted.matches(item)) return true;
    found = index;
    return false;
  });
  return found;
}

// --- Encodings

void List::make_large() {
  ListNodes* large = ListNodes::make();
  large->listpack_bytes = kListpackHeaderBytes;
  if (!key_.exists()) {
    Entry* fresh = Entry::make(Type::kList, Encoding::kLarge, key_.db(), key_.name(), false,
                               sizeof(ListNodes*));
    fresh->set_large(large);
    key_.put(fresh);
    return;
  }
  const uint8_t* end = packed::end(value());
  for (const uint8_t* at = packed::begin(value()); at < end;) {
    packed::Item item = packed::read(at);
    packed::Item::Buffer buffer;
    large->push_back(packed::Encoded(item.view(&buffer)));
    large->listpack_bytes += listpack_bytes(item);
    at = item.next;
  }
  Entry* entry = Entry::resize_value(key_.entry(), sizeof(ListNodes*), 0);
  entry->set_encoding(Encoding::kLarge);
  entry->set_large(large);
  key_.moved(entry);
}

void List::expect(size_t count, size_t bytes) {
  int64_t fill = key_.context().limits.list_packed_size;
  if (!key_.exists() || is_packed()) {
    size_t held = 0;
    size_t held_bytes = 0;
    if (key_.exists()) {
      held = packed::count(value());
      held_bytes = packed::items_bytes(value());
    }
    bool fits = held + count <= kPackedItemsMax &&
                held_bytes + bytes + count * kItemHeadBytesMax <= kPackedBytesMax;
    // Packed runs are well below any limit that is given in bytes.
    if (fits && (fill < 0 || held + count <= listpack_limit(fill).count)) return;
    make_large();
  }
  ListNodes* list = nodes();
  if (!list->is_quicklist &&
      exceeds_listpack(fill, list->listpack_bytes + bytes, list->size() + count)) {
    list->is_quicklist = true;
  }
}

void List::note_added(std::string_view element) {
  ListNodes* list = nodes();
  if (!list->is_quicklist) list->listpack_bytes += listpack_bytes(element);
}

void List::note_removed(const packed::Item& item) {
  if (!nodes()->is_quicklist) nodes()->listpack_bytes -= listpack_bytes(item);
}

// A quicklist of half the size that a listpack may have is a listpack again.
void List::note_shrinkage() {
  ListNodes* list = nodes();
  if (!list->is_quicklist) return;
  ListpackLimit limit = listpack_limit(key_.context().limits.list_packed_size);
  // Most items take one byte more in Redis, for reading backwards.
  size_t estimate = kListpackHeaderBytes + list->items_bytes() + list->size();
  if (estimate > limit.bytes / 2 || list->size() > limit.count / 2) return;
  list->is_quicklist = false;
  list->listpack_bytes = kListpackHeaderBytes;
  list->for_each(0, list->size(), [&](const uint8_t* item) {
    list->listpack_bytes += listpack_bytes(packed::read(item));
    return true;
  });
}

// --- Changes

uint8_t* List::open_packed(const uint8_t* at, size_t bytes, uint32_t count) {
  uint8_t* old = value();
  size_t used = packed::value_bytes(old);
  auto offset = static_cast<size_t>(at - old);
  Entry* entry = Entry::resize_value(key_.entry(), used + bytes, used);
  key_.moved(entry);
  uint8_t* run = entry->value();
  std::memmove(run + offset + bytes, run + offset, used - offset);
  packed::set_header(run, static_cast<uint32_t>(packed::items_bytes(run) + bytes),
                     packed::count(run) + count);
  return run + offset;
}

void List::close_packed(const uint8_t* from, const uint8_t* to, uint32_t count) {
  uint8_t* run = value();
  auto bytes = static_cast<size_t>(to - from);
  std::memmove(const_cast<uint8_t*>(from), to, static_cast<size_t>(packed::end(run) - to));
  packed::set_header(run, static_cast<uint32_t>(packed::items_bytes(run) - bytes),
                     packed::count(run) - count);
  size_t left = packed::value_bytes(run);
  key_.moved(Entry::resize_value(key_.entry(), left, left));
}

void List::push_packed(ListEnd end, Args elements) {
  size_t bytes = 0;
  if (elements.size() == 1) {
    bytes = packed::Encoded(elements[0]).size();
  } else {
    for (std::string_view element : elements) bytes += packed::Encoded(element).size();
  }
  auto count = static_cast<uint32_t>(elements.size());
  bool head = end == ListEnd::kHead;
  uint8_t* gap;
  Entry* fresh = nullptr;
  if (key_.exists()) {
    gap = open_packed(head ? packed::begin(value()) : packed::end(value()), bytes, count);
  } else {
    fresh = Entry::make(Type::kList, Encoding::kPacked, key_.db(), key_.name(), false,
                        packed::kHeaderBytes + bytes);
    packed::set_header(fresh->value(), static_cast<uint32_t>(bytes), count);
    gap = fresh->value() + packed::kHeaderBytes;
  }
  if (head) {
    for (size_t i = elements.size(); i > 0; --i) gap = packed::Encoded(elements[i - 1]).write(gap);
  } else {
    for (std::string_view element : elements) gap = packed::Encoded(element).write(gap);
  }
  if (fresh != nullptr) key_.put(fresh);
}

void List::push(ListEnd end, Args elements) {
  bool head = end == ListEnd::kHead;
  size_t held = size();
  size_t bytes = 0;
  for (std::string_view element : elements) bytes += element.size();
  expect(elements.size(), bytes);
  if (!key_.exists() || is_packed()) {
    push_packed(end, elements);
  } else {
    ListNodes* list = nodes();
    for (std::string_view element : elements) {
      packed::Encoded item(element);
      head ? list->push_front(item) : list->push_back(item);
      note_added(element);
    }
  }
  if (!key_.records()) return;
  for (std::string_view element : elements) {
    key_.record({.kind = EffectKind::kListInsert,
                 .element = element,
                 .position = head ? 0 : static_cast<int64_t>(held++),
                 .at_head = head});
  }
}

void List::erase_from_nodes(size_t first, size_t count) {
  ListNodes* list = nodes();
  bool at_head = first == 0;
  bool at_tail = first + count == list->size();
  if (count == 1 && (at_head || at_tail)) {
    const uint8_t* item = at_head ? list->front() : list->back();
    if (!list->is_quicklist) note_removed(packed::read(item));
    at_head ? list->pop_front() : list->pop_back();
    return;
  }
  if (!list->is_quicklist) {
    list->for_each(first, count, [&](const uint8_t* item) {
      note_removed(packed::read(item));
      return true;
    });
  }
  if (ListNodes* rest = list->cut(first, &count); rest != nullptr) {
    Entry* entry = Entry::make(Type::kList, Encoding::kLarge, key_.db(), {}, false, sizeof(rest));
    entry->set_large(rest);
    key_.context().keyspace.reclaimer().give(entry);
  }
  list->erase(first, count);
}

void List::erase(size_t first, size_t count) {
  if (count == 0) return;
  key_.record(EffectKind::kListErase, {}, {}, static_cast<int64_t>(first),
              static_cast<int64_t>(count));
  if (count == size()) return key_.erase_empty();
  if (is_packed()) {
    const uint8_t* from = packed_at(first);
    const uint8_t* to = from;
    for (size_t i = 0; i < count; ++i) to = next_item(to);
    close_packed(from, to, static_cast<uint32_t>(count));
  } else {
    erase_from_nodes(first, count);
    note_shrinkage();
  }
}

void List::pop(ListEnd end, size_t count) {
  erase(end == ListEnd::kHead ? 0 : size() - count, count);
}

void List::set(size_t index, std::string_view element) {
  expect(1, element.size());
  packed::Encoded fresh(element);
  if (!is_packed()) {
    note_removed(packed::read(nodes()->at(index)));
    nodes()->replace(index, fresh);
    note_added(element);
    note_shrinkage();
  } else {
    const uint8_t* at = packed_at(index);
    auto old_size = static_cast<size_t>(next_item(at) - at);
    if (fresh.size() > old_size) {
      at = open_packed(at, fresh.size() - old_size, 0);
    } else if (fresh.size() < old_size) {
      auto offset = at - value();
      close_packed(at, at + (old_size - fresh.size()), 0);
      at = value() + offset;
    }
    fresh.write(const_cast<uint8_t*>(at));
  }
  key_.record(EffectKind::kListSet, element, {}, static_cast<int64_t>(index));
}

void List::insert(size_t index, std::string_view element) {
  expect(1, element.size());
  packed::Encoded fresh(element);
  if (is_packed()) {
    fresh.write(open_packed(packed_at(index), fresh.size(), 1));
  } else {
    nodes()->insert(index, fresh);
    note_added(element);
  }
  key_.record(EffectKind::kListInsert, element, {}, static_cast<int64_t>(index));
}

size_t List::erase_equal(std::string_view element, size_t limit, bool from_tail) {
  packed::Encoded wanted(element);
  if (!is_packed()) {
    ListNodes* list = nodes();
    size_t erased = list->erase_equal(wanted, limit, from_tail, [&](size_t index) {
      key_.record(EffectKind::kListErase, {}, {}, static_cast<int64_t>(index), 1);
    });
    if (erased == 0) return 0;
    if (!list->is_quicklist) list->listpack_bytes -= erased * listpack_bytes(element);
    if (list->size() == 0) {
      key_.erase_empty();
    } else {
      note_shrinkage();
    }
    return erased;
  }
  // A packed run is short: note where the matches are, then take each out in turn.
  ItemMatcher matcher(wanted);
  size_t erased = 0;
  std::array<uint8_t, kPackedItemsMax> matches;
  size_t match_count = 0;
  size_t index = 0;
  const uint8_t* end = packed::end(value());
  for (const uint8_t* at = packed::begin(value()); at < end; ++index) {
    const uint8_t* following = next_item(at);
    if (matcher.matches(at, following)) matches[match_count++] = static_cast<uint8_t>(index);
    at = following;
  }
  size_t taken = std::min(limit, match_count);
  for (; erased < taken; ++erased) {
    erase(from_tail ? matches[match_count - 1 - erased] : matches[erased] - erased, 1);
  }
  return erased;
}

}  // namespace dyno

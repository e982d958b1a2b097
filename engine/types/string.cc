// SPDX-License-Identifier: Apache-2.0
//
// Strings: values of bytes. One that is a canonical int64 is stored as a number (a zigzag varint of
// one to ten bytes), any other inside the entry behind its size. A string that was changed in place
// (APPEND, SETRANGE, SETBIT) stays text even when it looks like a number.
//
// Concurrent writers on replicas: the later SET wins as a whole; increments all count.
#include "engine/types/string.h"

#include <algorithm>
#include <cmath>

#include "engine/command.h"
#include "engine/deadline.h"
#include "engine/types/sketch.h"
#include "engine/value.h"
#include "protocol/words.h"

namespace dyno {
namespace {

size_t text_value_bytes(size_t size) {
  return varint_bytes(size) + size;
}

size_t value_bytes(const Entry* entry) {
  return entry->is_number() ? varint_bytes(zigzag(entry->number()))
                            : text_value_bytes(entry->text().size());
}

size_t length(const Entry* entry) {
  char text[kInt64TextMax];
  return entry->is_number() ? format_int64(entry->number(), text) : entry->text().size();
}

Entry* copy(const Entry* entry, int db, std::string_view name) {
  size_t bytes = value_bytes(entry);
  Entry* copied =
      Entry::make(entry->type(), entry->encoding(), db, name, entry->has_deadline(), bytes);
  if (entry->has_deadline()) copied->set_deadline(entry->deadline());
  std::memcpy(copied->value(), entry->value(), bytes);
  return copied;
}

std::string_view encoding_name(const Entry* entry) {
  constexpr size_t kEmbeddedBytesMax = 44;  // Where Redis stops embedding a string in its object.
  if (entry->is_number()) return "int";
  bool embedded = entry->encoding() == Encoding::kRaw && entry->text().size() <= kEmbeddedBytesMax;
  return embedded ? "embstr" : "raw";
}

void record(Key& key) {
  String::Buffer buffer;
  key.record({.kind = EffectKind::kString, .element = String(key).view(&buffer), .is_new = true});
  if (key.entry()->has_deadline()) {
    key.record(EffectKind::kDeadline, {}, {}, key.entry()->deadline());
  }
}

}  // namespace

const ValueOps kStringOps = {
    length,
    value_bytes,
    [](Entry*) {},
    [](Entry*, size_t) { return true; },
    copy,
    encoding_name,
    [](const Entry* entry, size_t) { return memory::usable_bytes(entry); },
    record,
};

std::string_view String::view(Buffer* buffer) const {
  if (!key_.exists()) return {};
  const Entry* entry = key_.entry();
  if (!entry->is_number()) return entry->text();
  return {buffer->bytes, format_int64(entry->number(), buffer->bytes)};
}

size_t String::size() const {
  return key_.exists() ? length(key_.entry()) : 0;
}

inline String::Before String::write(std::string_view bytes, DeadlineChange deadline, Form form) {
  int64_t number = 0;
  bool is_number = form == Form::kShortest && is_canonical_int64(bytes, &number);
  size_t wanted = is_number ? varint_bytes(zigzag(number)) : text_value_bytes(bytes.size());
  Encoding encoding = is_number ? Encoding::kNumber : Encoding::kRaw;
  bool had_deadline = key_.exists() && key_.entry()->has_deadline();
  bool keep = deadline.kind == DeadlineChange::Kind::kKeep && had_deadline;
  bool has_deadline = keep || deadline.kind == DeadlineChange::Kind::kAt;
  int64_t at_ms = keep ? key_.entry()->deadline() : deadline.at_ms;

  Entry* entry = key_.exists() ? key_.entry() : nullptr;
  bool in_place = false;
  bool is_string = entry != nullptr && entry->type() == Type::kString && !key_.is_cold();
  if (is_string && had_deadline == has_deadline) {
    size_t total = entry->head_bytes() + wanted;
    in_place = memory::usable_bytes(entry) == memory::rounded_tight_bytes(total);
  }
  Entry* target =
      in_place ? entry
               : Entry::make(Type::kString, encoding, key_.db(), key_.name(), has_deadline, wanted);
  target->set_encoding(encoding);
  if (has_deadline) target->set_deadline(at_ms);
  if (is_number) {
    write_varint(target->value(), zigzag(number));
  } else {
    std::memcpy(write_varint(target->value(), bytes.size()), bytes.data(), bytes.size());
  }
  if (!in_place) {
    key_.put(target);
  } else if (has_deadline) {
    key_.context().keyspace.note_deadline(key_.slot(), at_ms);
  }
  return {entry == nullptr, had_deadline};
}

void String::assign(std::string_view bytes, DeadlineChange deadline, Form form) {
  Before before = write(bytes, deadline, form);
  if (key_.records()) [[unlikely]]
    record_assigned(bytes, before, deadline);
}

void String::record_assigned(std::string_view bytes, Before before, DeadlineChange deadline) {
  bool keeps_deadline = deadline.kind == DeadlineChange::Kind::kKeep;
  key_.record({.kind = EffectKind::kString,
               .element = bytes,
               .is_new = before.is_missing,
               .keeps_deadline = keeps_deadline});
  if (deadline.kind == DeadlineChange::Kind::kAt) {
    key_.record(EffectKind::kDeadline, {}, {}, deadline.at_ms);
  } else if (before.has_deadline && !keeps_deadline) {
    key_.record(EffectKind::kDeadline, {}, {}, -1);
  }
}

void String::add(std::string_view bytes, int64_t amount) {
  Before before = write(bytes, {DeadlineChange::Kind::kKeep}, Form::kShortest);
  if (key_.records()) [[unlikely]]
    record_added(bytes, before, {.whole = amount});
}

void String::add(std::string_view bytes, long double amount) {
  std::string sum_before;
  Buffer buffer;
  if (key_.records()) [[unlikely]]
    sum_before = view(&buffer);
  Before before = write(bytes, {DeadlineChange::Kind::kKeep}, Form::kText);
  if (key_.records()) [[unlikely]]
    record_added(bytes, before, {.part = amount}, sum_before);
}

void String::record_added(std::string_view bytes, Before before, Amount amount,
                          std::string_view sum_before) {
  key_.record({.kind = EffectKind::kIncrement,
               .element = bytes,
               .is_new = before.is_missing,
               .amount = amount,
               .before = sum_before});
}

void String::rewrite(std::string_view bytes) {
  write(bytes, {DeadlineChange::Kind::kKeep}, Form::kText);
  key_.entry()->set_encoding(Encoding::kRawEdited);
}

uint8_t* String::edit(size_t size) {
  Buffer buffer;
  if (key_.records()) is_sketch_ = key_.exists() && sketch::is_sketch(view(&buffer));
  if (!key_.exists()) {
    Entry* fresh = Entry::make(Type::kString, Encoding::kRaw, key_.db(), key_.name(), false,
                               text_value_bytes(size));
    std::memset(write_varint(fresh->value(), size), 0, size);
    key_.put(fresh);
  } else if (key_.entry()->is_number()) {
    std::string_view text = view(&buffer);
    size_t total = std::max(size, text.size());
    Entry* fresh =
        Entry::make_like(key_.entry(), Type::kString, Encoding::kRaw, text_value_bytes(total));
    uint8_t* bytes = write_varint(fresh->value(), total);
    std::memcpy(bytes, text.data(), text.size());
    std::memset(bytes + text.size(), 0, total - text.size());
    key_.put(fresh);
  } else if (size > key_.entry()->text().size()) {
    size_t old = key_.entry()->text().size();
    Entry* grown = Entry::resize_value(key_.entry(), text_value_bytes(size), text_value_bytes(old));
    key_.moved(grown);
    size_t shift = varint_bytes(size) - varint_bytes(old);
    uint8_t* bytes = grown->value() + varint_bytes(old);
    if (shift != 0) std::memmove(bytes + shift, bytes, old);
    bytes = write_varint(grown->value(), size);
    std::memset(bytes + old, 0, size - old);
  }
  Entry* entry = key_.entry();
  entry->set_encoding(Encoding::kRawEdited);
  return reinterpret_cast<uint8_t*>(const_cast<char*>(entry->text().data()));
}

void String::patched(size_t offset, size_t size) {
  if (is_sketch_) {
    key_.record(
        {.kind = EffectKind::kString, .element = key_.entry()->text(), .keeps_deadline = true});
    return;
  }
  key_.record(EffectKind::kPatch, key_.entry()->text().substr(offset, size), {},
              static_cast<int64_t>(offset));
}

void String::patch(size_t offset, std::string_view bytes) {
  uint8_t* value = edit(offset + bytes.size());
  std::memcpy(value + offset, bytes.data(), bytes.size());
  patched(offset, bytes.size());
}

bool allows_size(Context& context, uint64_t size) {
  if (size <= static_cast<uint64_t>(static_cast<int64_t>(context.limits.bulk_bytes_max)))
    return true;
  context.error(errors::kTooLong);
  return false;
}

}  // namespace dyno

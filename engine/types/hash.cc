// SPDX-License-Identifier: Apache-2.0
//
// Hashes: fields with a value each, and perhaps a deadline. Small ones lie packed inside the entry
// in the order of insertion, large ones in a table of their own; hash_fields.h has the layouts.
//
// Concurrent writers on replicas: each field is decided by itself, the later write wins; increments
// of one field all count.
#include "engine/types/hash.h"

#include <algorithm>
#include <new>
#include <string>

#include "engine/stats.h"
#include "engine/value.h"

namespace dyno {
namespace {

using FieldTable = Table<FieldTraits>;

HashFields fields_of(const Entry* entry) {
  return HashFields(const_cast<Entry*>(entry));
}

bool is_large(const Entry* entry) {
  return entry->encoding() == Encoding::kLarge;
}

size_t length(const Entry* entry) {
  return fields_of(entry).count();
}

size_t value_bytes(const Entry* entry) {
  return is_large(entry) ? sizeof(LargeHash*) : packed::value_bytes(entry->value());
}

bool destroy_some(Entry* entry, size_t budget) {
  if (!is_large(entry)) return true;
  constexpr size_t kStepFieldsMax = 4096;
  auto* hash = entry->large<LargeHash>();
  size_t freed = 0;
  uint64_t next = hash->destroyed_to;
  while (freed < budget && next <= UINT32_MAX) {
    auto wanted = static_cast<uint32_t>(std::min(budget - freed, kStepFieldsMax));
    // A scan reads the words alone, so a node may go as soon as it has been seen.
    next = hash->fields.scan(static_cast<uint32_t>(next), wanted, [&](uint64_t* word) {
      memory::release(FieldTable::node(*word));
      ++freed;
    });
  }
  if (next <= UINT32_MAX) {
    hash->destroyed_to = static_cast<uint32_t>(next);
    return false;
  }
  hash->fields.release();
  hash->deadlines.release();
  memory::release(hash);
  return true;
}

void destroy(Entry* entry) {
  while (!destroy_some(entry, SIZE_MAX)) {
  }
}

Entry* copy_large(const Entry* entry, Entry* copied) {
  auto* hash = new (memory::allocate(sizeof(LargeHash))) LargeHash;
  entry->large<LargeHash>()->fields.for_each([&](uint64_t* word) {
    const FieldNode* node = FieldTable::node(*word);
    int64_t deadline_ms = node->is_timed() ? node->deadline() : kNoDeadline;
    FieldNode* fresh = FieldNode::make(node->field(), node->value(), deadline_ms);
    hash->fields.insert(element_position(fresh->field()), fresh);
    if (fresh->is_timed()) hash->deadlines.push(deadline_ms, fresh);
    return true;
  });
  copied->set_large(hash);
  return copied;
}

Entry* copy(const Entry* entry, int db, std::string_view name) {
  size_t bytes = value_bytes(entry);
  Entry* copied =
      Entry::make(Type::kHash, entry->encoding(), db, name, entry->has_deadline(), bytes);
  if (entry->has_deadline()) copied->set_deadline(entry->deadline());
  if (is_large(entry)) return copy_large(entry, copied);
  std::memcpy(copied->value(), entry->value(), bytes);
  return copied;
}

std::string_view encoding_name(const Entry* entry) {
  if (is_large(entry)) return "hashtable";
  return entry->encoding() == Encoding::kPackedTimed ? "listpackex" : "listpack";
}

size_t memory_bytes(const Entry* entry, size_t samples) {
  size_t bytes = memory::usable_bytes(entry);
  if (!is_large(entry)) return bytes;
  LargeHash* hash = entry->large<LargeHash>();
  bytes += sizeof(LargeHash) + hash->fields.memory_bytes() + hash->deadlines.memory_bytes();
  size_t seen = 0;
  size_t node_bytes = 0;
  hash->fields.for_each([&](uint64_t* word) {
    node_bytes += memory::usable_bytes(FieldTable::node(*word));
    return ++seen != samples;
  });
  return seen == 0 ? bytes : bytes + node_bytes * hash->fields.size() / seen;
}

[[gnu::cold]] void record_field(Key& key, std::string_view field, std::string_view value,
                                bool is_new) {
  key.record({.kind = EffectKind::kField, .element = field, .value = value, .is_new = is_new});
}

void record_field_deadline(Key& key, std::string_view field, int64_t deadline_ms) {
  key.record(EffectKind::kFieldDeadline, field, {}, deadline_ms);
}

void record(Key& key) {
  fields_of(key.entry()).for_each(HashFields::kBeforeAll, [&](const FieldView& view) {
    packed::Item::Buffer field_buffer;
    packed::Item::Buffer value_buffer;
    std::string_view field = view.field.view(&field_buffer);
    record_field(key, field, view.value.view(&value_buffer), true);
    if (view.deadline_ms != kNoDeadline) record_field_deadline(key, field, view.deadline_ms);
    return true;
  });
  if (key.entry()->has_deadline()) {
    key.record(EffectKind::kDeadline, {}, {}, key.entry()->deadline());
  }
}

// Fields that one call of expire_fields() removes at most: about a tenth of a millisecond.
constexpr int kExpiredAtOnceMax = 1024;

}  // namespace

const ValueOps kHashOps = {
    length, value_bytes, destroy, destroy_some, copy, encoding_name, memory_bytes, record,
};

[[gnu::always_inline]] inline bool Hash::write(std::string_view field, std::string_view value,
                                               HashFields::Deadline deadline) {
  if (!key_.exists()) key_.put(HashFields::make(key_.db(), key_.name()));
  if (key_.records()) record_due(field);
  HashFields target = fields();
  bool is_new = target.set(field, value, key_.context().limits, now_ms(), deadline);
  moved_to(target);
  return is_new;
}

bool Hash::set(std::string_view field, std::string_view value) {
  bool is_new = write(field, value, HashFields::Deadline::kDropped);
  if (key_.records()) record_field(key_, field, value, is_new);
  return is_new;
}

void Hash::add(std::string_view field, std::string_view value, int64_t amount) {
  bool is_new = write(field, value, HashFields::Deadline::kKept);
  if (key_.records()) [[unlikely]]
    record_added(field, value, is_new, {.whole = amount});
}

void Hash::add(std::string_view field, std::string_view value, long double amount) {
  std::string sum_before;
  if (key_.records()) [[unlikely]] {
    packed::Item::Buffer buffer;
    if (FieldPlace place = find(field)) sum_before = place.value().view(&buffer);
  }
  bool is_new = write(field, value, HashFields::Deadline::kKept);
  if (key_.records()) [[unlikely]]
    record_added(field, value, is_new, {.part = amount}, sum_before);
}

void Hash::record_added(std::string_view field, std::string_view value, bool is_new, Amount amount,
                        std::string_view sum_before) {
  key_.record({.kind = EffectKind::kFieldIncrement,
               .element = field,
               .value = value,
               .is_new = is_new,
               .amount = amount,
               .before = sum_before});
}

void Hash::record_due(std::string_view field) {
  FieldPlace found = fields().find(field, HashFields::kBeforeAll);
  bool is_due = found && found.deadline_ms != kNoDeadline && found.deadline_ms <= now_ms();
  if (is_due) key_.record(EffectKind::kFieldExpired, field);
}

bool Hash::must_be_large(Args pairs) const {
  const Limits& limits = key_.context().limits;
  auto size_max = static_cast<uint64_t>(static_cast<int64_t>(limits.hash_packed_value_bytes));
  bool too_large = static_cast<int64_t>(pairs.size() / 2) > limits.hash_packed_entries;
  for (std::string_view arg : pairs) too_large |= arg.size() > size_max;
  return too_large;
}

int64_t Hash::set_all(Args pairs) {
  int64_t added = 0;
  size_t taken = 0;
  if (!key_.exists() || !fields().is_large()) {
    if (must_be_large(pairs)) {
      make_large();
    } else if (!key_.exists()) {
      Entry* fresh = HashFields::make_of(key_.db(), key_.name(), pairs, &taken);
      if (fresh != nullptr) key_.put(fresh);
      added = static_cast<int64_t>(taken / 2);
      for (size_t i = 0; key_.records() && i < taken; i += 2) {
        record_field(key_, pairs[i], pairs[i + 1], true);
      }
    }
  }
  for (size_t i = taken; i < pairs.size(); i += 2) added += set(pairs[i], pairs[i + 1]);
  return added;
}

bool Hash::erase(std::string_view field) {
  if (!key_.exists()) return false;
  if (key_.records()) {
    find(field) ? key_.record(EffectKind::kFieldErase, field) : record_due(field);
  }
  HashFields target = fields();
  HashFields::Erased erased = target.erase(field, now_ms());
  if (erased == HashFields::Erased::kNothing) return false;
  moved_to(target);
  if (target.count() == 0) key_.erase_empty();
  return erased == HashFields::Erased::kLive;
}

void Hash::set_deadline(std::string_view field, int64_t deadline_ms) {
  HashFields target = fields();
  target.set_deadline(field, deadline_ms);
  moved_to(target);
  if (deadline_ms != kNoDeadline) {
    Keyspace& keyspace = key_.context().keyspace;
    keyspace.set_deadline_flag(key_.slot(), key_.word(), true);
    keyspace.note_deadline(key_.slot(), deadline_ms);
  }
  record_field_deadline(key_, field, deadline_ms);
}

void Hash::make_large() {
  if (!key_.exists()) key_.put(HashFields::make(key_.db(), key_.name()));
  HashFields target = fields();
  target.make_large();
  moved_to(target);
}

void Hash::drop_due() {
  if (!key_.exists()) return;
  if (fields().find_due(now_ms())) [[unlikely]] {
    expire_fields(key_, now_ms());
  }
}

int64_t expire_fields(Key& key, int64_t now_ms) {
  Hash hash(key);
  int removed = 0;
  for (; key.exists() && removed < kExpiredAtOnceMax; ++removed) {
    std::optional<FieldView> due = hash.fields().find_due(now_ms);
    if (!due) break;
    // The field's bytes are those of the hash, which erase() moves: it is sought by a copy.
    packed::Item::Buffer buffer;
    std::string field(due->field.view(&buffer));
    hash.erase(field);
    stats().expired_fields.add();
  }
  if (removed != 0) key.changed();
  if (!key.exists()) return kNoDeadline;
  int64_t next_ms = hash.fields().next_deadline();
  if (next_ms == kNoDeadline && !key.entry()->has_deadline()) {
    key.context().keyspace.set_deadline_flag(key.slot(), key.word(), false);
  }
  return next_ms;
}

int64_t next_field_deadline(const Entry* entry) {
  if (entry->type() != Type::kHash || entry->encoding() == Encoding::kCold) return kNoDeadline;
  return fields_of(entry).next_deadline();
}

}  // namespace dyno

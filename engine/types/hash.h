// SPDX-License-Identifier: Apache-2.0
//
// A key as a hash. The commands of hashes, and whatever else reads or writes hashes, go through it:
// its mutators are the only code that changes one and records what changed.
//
// The key is missing or a hash. Guarded by the lock of the key's slot.
#pragma once

#include <string_view>

#include "engine/context.h"
#include "engine/types/hash_fields.h"

namespace dyno {

class Hash {
 public:
  explicit Hash(Key& key) : key_(key) {}

  // Fields that are not due.
  [[nodiscard]] size_t size() const { return key_.exists() ? fields().count_live(now_ms()) : 0; }
  // A field that is not due, good until the next change of the hash.
  [[nodiscard]] FieldPlace find(std::string_view field) const {
    if (!key_.exists()) return {};
    return fields().find(field, now_ms());
  }
  // The key exists.
  [[nodiscard]] HashFields fields() const { return HashFields(key_.entry()); }

  // Sets a field, making the key if need be; true when the field is new.
  bool set(std::string_view field, std::string_view value);
  // The same for a counter: `value` is the sum of what the field was, 0 if it was not there, and
  // `amount`. The field keeps its deadline.
  void add(std::string_view field, std::string_view value, int64_t amount);
  void add(std::string_view field, std::string_view value, long double amount);
  // Sets fields and values in turn; returns how many fields are new. What the limits say of the
  // arguments as a whole decides the encoding first, as in Redis.
  int64_t set_all(Args pairs);
  // True when the field was there and not due. Erases the key with its last field.
  bool erase(std::string_view field);
  // The field is there. Milliseconds of Unix time, or kNoDeadline.
  void set_deadline(std::string_view field, int64_t deadline_ms);
  // Writers call this first: fields past their deadline go, and with the last of them the key.
  void drop_due();

 private:
  [[nodiscard]] int64_t now_ms() const { return key_.context().now_ms; }
  void moved_to(const HashFields& fields) {
    if (fields.entry() != key_.entry()) key_.moved(fields.entry());
  }

  // False when the field was there and not due.
  bool write(std::string_view field, std::string_view value, HashFields::Deadline deadline);
  // A field that is due is as good as gone: writing or erasing it is recorded as its expiry first.
  [[gnu::cold]] void record_due(std::string_view field);
  [[gnu::cold]] void record_added(std::string_view field, std::string_view value, bool is_new,
                                  Amount amount, std::string_view sum_before = {});
  [[nodiscard]] bool must_be_large(Args pairs) const;
  void make_large();

  Key& key_;
};

// Removes the fields of a hash that are past their deadline, at most a thousand or so at a time.
// Returns the next deadline, which may be past, or -1 when no field has one. Erases the key when it
// removes the last field. The key exists and is a hash.
int64_t expire_fields(Key& key, int64_t now_ms);

// The soonest deadline of a hash's fields, or kNoDeadline; of any other value kNoDeadline.
[[nodiscard]] int64_t next_field_deadline(const Entry* entry);

}  // namespace dyno

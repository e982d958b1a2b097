// SPDX-License-Identifier: Apache-2.0
//
// What code that is not about one type needs from every type: to free, copy, measure and name a
// value. Each family defines its ValueOps in its own file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "engine/entry.h"

namespace dyno {

class Key;

struct ValueOps {
  // Elements (bytes for a string).
  size_t (*length)(const Entry* entry);
  // Bytes of the value inside the entry.
  size_t (*value_bytes)(const Entry* entry);
  // Frees what the value owns outside of the entry; the entry itself stays.
  void (*destroy)(Entry* entry);
  // Frees at least one and about `budget` elements of a large value; true when nothing is left, as
  // after destroy(). The value is no longer in any table and is in no state to be read afterwards.
  bool (*destroy_some)(Entry* entry, size_t budget);
  // A copy under another name; with the same deadline.
  Entry* (*copy)(const Entry* entry, int db, std::string_view name);
  // What OBJECT ENCODING answers.
  std::string_view (*encoding_name)(const Entry* entry);
  // Bytes of the entry and all it owns; for large values an estimate from `samples` elements (0:
  // all).
  size_t (*memory_bytes)(const Entry* entry, size_t samples);
  // Records the effects that build this value from nothing under the key's name, its deadline
  // included. The caller has recorded kErase before.
  void (*record)(Key& key);
};

[[nodiscard]] const ValueOps& value_ops(Type type);

extern const ValueOps kStringOps;
extern const ValueOps kListOps;
extern const ValueOps kSetOps;
extern const ValueOps kZSetOps;
extern const ValueOps kHashOps;

[[nodiscard]] inline const ValueOps& value_ops(const Entry* entry) {
  return value_ops(entry->type());
}

// Frees an entry that is in no table.
void destroy_entry(Entry* entry);

}  // namespace dyno

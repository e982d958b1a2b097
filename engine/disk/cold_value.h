// SPDX-License-Identifier: Apache-2.0
//
// A key's value as bytes that lie on disk while the key is cold, and back. The name, the type, the
// deadline and the clock are not among them: the entry keeps those.
//
//   bytes  := 0 encoding:u8 value              as it lies in the entry (entry.h)
//           | 1 object                         of a large collection (rdb_load.h)
//
// The bytes are of this process alone: it wrote them, and they are void when it ends.
#pragma once

#include <string>
#include <string_view>

#include "engine/context.h"

namespace dyno {

// Whether the value of an entry may go to disk: it is not too small to be worth a read, nor too
// large to be written or read while its slot is locked, nor a hash whose fields will expire, which
// sweeps have to look at.
[[nodiscard]] bool is_worth_disk(const Entry* entry);

// Appends the value of a key that exists and is not cold. False when it is to stay in memory.
[[nodiscard]] bool save_cold_value(Key& key, std::string* out);

// Gives a cold key its value again, of which the disk keeps a copy. False when the bytes are none
// of a value of its type; then nothing changes.
[[nodiscard]] bool restore_cold_value(Key& key, std::string_view bytes);

}  // namespace dyno

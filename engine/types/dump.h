// SPDX-License-Identifier: Apache-2.0
//
// The payload of DUMP and RESTORE; dump.cc has the grammar.
#pragma once

#include <optional>
#include <string>

#include "engine/context.h"
#include "engine/types/rdb_load.h"

namespace dyno {

// What DUMP answers for a key; nothing when there is no value. The key's slot is locked.
[[nodiscard]] std::optional<std::string> dump_payload(Key& key);

// Makes the value under a key that is missing, unless it is a hash whose fields are all past their
// deadlines. The key's slot is locked.
void build_value(Key& key, const RdbValue& value);

}  // namespace dyno

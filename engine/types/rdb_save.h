// SPDX-License-Identifier: Apache-2.0
//
// A value as DUMP writes it: the plain forms of the format in rdb_load.h, which every Redis reads.
#pragma once

#include <string>

#include "engine/context.h"

namespace dyno {

// The first version of the format that has the forms used here, so that the oldest reader that can
// takes the payload (Redis 4 has scores in binary), and the one that first had deadlines of fields.
inline constexpr uint16_t kRdbVersion = 8;
inline constexpr uint16_t kRdbVersionTimed = 12;

// Appends the type and the body of the value of a key that exists. Returns the version that a
// reader must know.
uint16_t save_rdb_value(Key& key, std::string* out);

}  // namespace dyno

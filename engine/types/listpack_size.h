// SPDX-License-Identifier: Apache-2.0
//
// What a list would take in Redis 7.2, and so what OBJECT ENCODING calls it: a listpack up to
// list-max-listpack-size, else a quicklist.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "engine/types/packed.h"

namespace dyno {

// Bytes of an empty listpack, and what an element adds.
inline constexpr size_t kListpackHeaderBytes = 7;
[[nodiscard]] size_t listpack_bytes(std::string_view element);
[[nodiscard]] size_t listpack_bytes(const packed::Item& item);

// list-max-listpack-size as what one node may have; SIZE_MAX: not limited.
struct ListpackLimit {
  size_t bytes;
  size_t count;
};
[[nodiscard]] ListpackLimit listpack_limit(int64_t setting);
// A listpack of that size would be too large.
[[nodiscard]] bool exceeds_listpack(int64_t setting, size_t bytes, size_t count);

}  // namespace dyno

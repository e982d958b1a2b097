// SPDX-License-Identifier: Apache-2.0
//
// Asks for the memory of several elements of one large hash, set or sorted set at once. A pipeline
// of commands on one large key would otherwise wait for each element in turn, and all that time
// hold the lock that other threads with the same key wait for.
#pragma once

#include <span>
#include <string_view>

#include "engine/entry.h"

namespace dyno {

// More are not looked at.
inline constexpr size_t kElementPrefetchMax = 64;

// Harmless for whatever is not there. The entry's slot is locked.
void prefetch_elements(const Entry* entry, std::span<const std::string_view> elements);

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// Merging touches a handful of cache lines of each key, which are rarely in the cache. Frames that
// are about to be merged one after the other can have theirs fetched together.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "engine/replica/replica.h"

namespace dyno {

// As many frames as are worth their room in the cache; what is beyond is passed over.
inline constexpr size_t kMergePrefetchMax = 16;

// Begins to fetch what merge() will look at for the first key of each frame. Changes nothing, and
// takes any bytes for frames.
void prefetch_merges(Replica& replica, std::span<const std::string_view> frames);

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// Taking old state out of a slot: what a node does whose data is older than what the others have
// forgotten (ring/completeness.h). Unlike a deletion it tells nobody, leaves no traces, and forbids
// nothing of what is dropped to come back.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "engine/replica/replica.h"

namespace dyno {

// Appends what of the frame is later than the stamp, as a frame; nothing when nothing is. The frame
// is a well-formed one.
void keep_later(std::string_view frame, Stamp limit, std::string* later);

// Empties the slot but for when its databases were flushed, and appends the frames of what was
// later than the stamp, which the caller merges again as state. What is cold has
// nothing later: see wants_later(). Returns how many keys it looked at. The slot is locked.
size_t drop_slot(Replica& replica, SlotIndex index, Stamp limit, int64_t unix_ms,
                 std::string* later);

// Whether values that hold something later are on disk; they were asked for. The slot is locked.
[[nodiscard]] bool wants_later(Replica& replica, SlotIndex index, Stamp limit);

}  // namespace dyno

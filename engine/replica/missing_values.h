// SPDX-License-Identifier: Apache-2.0
//
// Values on disk (cold_keys.h) that replication needs in memory: merging may change one, and who
// asks for a key's state gets its value. They are asked for, and whoever needs them comes again; a
// write that replaces all of a key needs nothing of it.
//
// A value that cannot be read is of no use to anybody: the key is forgotten, as if it had never
// been here, and is to be pulled from another replica.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/replica/delta.h"
#include "engine/replica/replica.h"

namespace dyno {

// Whether the key's value is on disk; then it was asked for. The slot is locked.
[[nodiscard]] bool lacks_value(Replica& replica, int db, std::string_view name);

// Whether the deltas cannot be merged now, for what they need, or for what clients need who wait in
// the slots of `held` and would be served. Adds keys that were forgotten to `to_pull`. The slots of
// the deltas' keys are locked, or with `locks_all` all, without which flushes are known ones.
[[nodiscard]] bool lacks_values(Replica& replica, const std::vector<Delta>& deltas,
                                const std::vector<SlotIndex>& held, bool locks_all, int64_t now_ms,
                                std::vector<std::pair<int, std::string>>* to_pull);

// Asks for what merging the frame would need, if it was now: for one that stands behind another.
// Locks slots.
void ask_for_values(Replica& replica, std::string_view frame, int64_t now_ms);

// Of a cold key: whether all of its value stays when what is older than `floor` goes, or goes with
// it. Neither is said of a list that could be told from its items only.
[[nodiscard]] bool is_whole_above(const KeyRecord& record, Stamp floor);
[[nodiscard]] bool is_whole_below(const KeyRecord& record, Stamp floor);

}  // namespace dyno

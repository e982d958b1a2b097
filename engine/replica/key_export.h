// SPDX-License-Identifier: Apache-2.0
//
// The whole state of a key as a delta: what repair sends to a replica that asks, and what a record
// of a log holds. Merging it elsewhere gives what merging every write of the key would have given.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/replica/delta.h"
#include "engine/replica/replica.h"

namespace dyno {

// Adds the key's facts, traces included; nothing when the key is unknown. The slot is locked.
void export_key(Replica& replica, int db, std::string_view name, int64_t unix_ms,
                FrameWriter* frame);

// Adds when the database was flushed, as the slot knows; nothing when it never was. No key tells
// it, so whoever was not told of the flush is told with the slot. The slot is locked.
void export_flush(Replica& replica, SlotIndex index, int db, FrameWriter* frame);

// What a key's version is compared by: equal where the state that is alive is equal. Zero when
// there is none. The slot is locked.
[[nodiscard]] Digest key_version(Replica& replica, int db, std::string_view name);

// The same, with the traces that are kept of what is gone: equal where these are equal too, but for
// those that one replica has dropped already. Costs as much as there are traces.
[[nodiscard]] Digest key_version_with_traces(Replica& replica, int db, std::string_view name);

// Calls visit(db, name) for each key that has replicated state, alive or not. The slot is locked.
template <class Visit>
void for_each_replicated_key(Replica& replica, SlotIndex index, Visit&& visit) {
  replica.keyspace().slot(index).table.for_each([&](uint64_t* word) {
    const Entry* entry = EntryTable::node(*word);
    visit(entry->db(), entry->key());
    return true;
  });
  replica.slot(index).keys().for_each([&](uint64_t, uint64_t word) {
    if (!ReplicaSlot::is_record(word)) return;
    const KeyRecord* record = ReplicaSlot::record(word);
    if (!record->is_live) visit(record->db, std::string_view(record->name));
  });
}

// The same keys as a list, for what changes them; of one database, or with -1 of all. The slot is
// locked.
struct NamedKey {
  int db;
  std::string name;
};
[[nodiscard]] std::vector<NamedKey> replicated_keys(Replica& replica, SlotIndex index, int db);

}  // namespace dyno

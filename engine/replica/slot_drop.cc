// SPDX-License-Identifier: Apache-2.0
#include "engine/replica/slot_drop.h"

#include <algorithm>
#include <vector>

#include "engine/replica/delta.h"
#include "engine/replica/key_export.h"
#include "engine/replica/missing_values.h"
#include "protocol/check.h"

namespace dyno {

void keep_later(std::string_view frame, Stamp limit, std::string* later) {
  std::vector<Delta> deltas;
  DYNO_CHECK(read_frame(frame, &deltas).empty());
  FrameWriter writer;
  // What a write had observed bears the stamps of what it was, not the write's.
  auto is_later = [limit](const Fact& fact) {
    return fact.kind != FactKind::kObserved && fact.stamp > limit;
  };
  for (const Delta& delta : deltas) {
    if (std::none_of(delta.facts.begin(), delta.facts.end(), is_later)) continue;
    for (const Fact& fact : delta.facts) {
      if (fact.kind == FactKind::kObserved || is_later(fact)) {
        writer.add(delta.db, delta.key, fact);
      }
    }
  }
  if (!writer.empty()) later->append(writer.finish());
}

size_t drop_slot(Replica& replica, SlotIndex index, Stamp limit, int64_t unix_ms,
                 std::string* later) {
  Keyspace& keyspace = replica.keyspace();
  const std::vector<NamedKey> keys = replicated_keys(replica, index, -1);
  for (const NamedKey& key : keys) {
    if (keyspace.is_cold(keyspace.hash(key.name), key.db, key.name)) continue;
    FrameWriter state;
    export_key(replica, key.db, key.name, unix_ms, &state);
    if (!state.empty()) keep_later(state.finish(), limit, later);
  }
  for (int db = 0; db < ReplicaSlot::kDatabases; ++db) {
    keyspace.flush_slot(keyspace.slot(index), db);
  }
  replica.forget_slot(index);
  return keys.size();
}

bool wants_later(Replica& replica, SlotIndex index, Stamp limit) {
  if (!replica.keyspace().has_chilled() || replica.slot(index).is_all_before(limit + 1)) {
    return false;
  }
  bool wants = false;
  for (const NamedKey& key : replicated_keys(replica, index, -1)) {
    uint64_t word = replica.slot(index).find(replica.hash().key(key.db, key.name));
    if (word == 0 || ReplicaSlot::latest(word) <= limit) continue;
    wants |= lacks_value(replica, key.db, key.name);
  }
  return wants;
}

}  // namespace dyno

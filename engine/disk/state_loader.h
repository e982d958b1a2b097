// SPDX-License-Identifier: Apache-2.0
//
// Values of keys that have replicated state and lie on disk as the frame of that state (delta.h),
// which is there anyway where all writes are kept. While such a key is cold, its stamps stay in
// memory, in the slot's map; nothing of them changes when the value goes or comes back.
//
// A value is made of a frame by merging that into an empty data set of one key, beside the node's
// own. It is the key's if the merged state has the digest of the one in memory: the stamps of all
// that is alive are equal then, and so are the values.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string_view>

#include "engine/context.h"
#include "engine/replica/delta.h"
#include "engine/replica/replica.h"

namespace dyno {

// Whether the value of a key with replicated state may leave memory: it is worth it (cold_value.h),
// and all of the key's state is alive. Traces and counters are looked at by sweeps. The slot is
// locked.
[[nodiscard]] bool may_go(Replica& replica, const Key& key);
[[nodiscard]] bool is_all_alive(Replica& replica, const Key& key);

// Thread-safe, but for its making, which is to be done before other threads look at keys: it has a
// keyspace of its own.
class StateLoader {
 public:
  explicit StateLoader(Replica& replica);

  // Gives a cold key its value. False when the frame tells of another state than the one in memory;
  // then nothing changes. The slot is locked.
  [[nodiscard]] bool restore(Key& key, std::string_view frame);

 private:
  // Merges deltas that are all of one key. Returns the entry that this makes, with its digest; null
  // when it makes none.
  [[nodiscard]] Entry* build(const std::vector<Delta>& deltas, Digest* digest);

  Replica& replica_;
  std::mutex mutex_;
  Keyspace keyspace_;  // Guarded by mutex_, as is what follows. Empty between calls.
  Executor executor_;
  Replica scratch_;
};

}  // namespace dyno

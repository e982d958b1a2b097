// SPDX-License-Identifier: Apache-2.0
//
// Keeps the data set below maxmemory by removing the keys that the policy likes least, as Redis
// does: a few keys are sampled, the worst ones seen lately are remembered, the worst of those goes.
//
// Where storage takes them, keys that memory has no room for are not removed but moved to disk
// (cold_keys.h): then it only says which ones.
//
// Memory is what live objects take plus what the process reports besides (clients' buffers). What
// is deleted already but not freed yet is freed before anything is evicted.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "engine/executor.h"

namespace dyno {

// Thread-safe.
class Evictor {
 public:
  // With `moves` every key may go, since none is lost: by LFU or at random where the policy says
  // so, else by LRU.
  explicit Evictor(Executor& executor, bool moves = false);

  // Called before every command while there is a limit: cheap while memory is well below it. True
  // when used memory is within maxmemory, or at least on its way there: half a millisecond is spent
  // at most, and later calls go on. No slot is locked by the caller.
  [[nodiscard]] bool make_room();

  struct Candidate {
    int64_t score;
    int db;
    std::string key;
  };
  // The key that is to go next, as far as is known: it may have been used or removed since it was
  // looked at. Nothing when there is none. No slot is locked by the caller.
  [[nodiscard]] std::optional<Candidate> find_worst(int64_t now_ms);
  // The same among the few keys that lie around that position of a slot.
  [[nodiscard]] std::optional<Candidate> find_worst_near(SlotIndex slot, uint32_t position,
                                                         int64_t now_ms) const;
  // How much the policy would like the key to go; -1 when it may not. Its slot is locked.
  [[nodiscard]] int64_t score(const Entry* entry, int64_t now_ms) const;

  // Bytes beside the data set that count, e.g. of clients' buffers. Set before the threads start.
  void set_other_bytes(int64_t (*read)(void*), void* argument) {
    other_bytes_ = read;
    other_argument_ = argument;
  }
  // What is compared with maxmemory.
  [[nodiscard]] int64_t used_bytes() const;
  // An estimate of it, cheap, and exact in what this thread itself did.
  [[nodiscard]] int64_t estimated_bytes() const;

 private:
  static constexpr int kSamplesMax = 64;
  using Batch = std::array<const Entry*, kSamplesMax>;
  class Pool;
  [[nodiscard]] static Pool& pool();

  [[nodiscard]] bool evict_until(int64_t limit, int64_t end_us);
  // Removes one key; false when the policy finds none.
  [[nodiscard]] bool evict_one(int64_t now_ms);
  // Removes the candidate if it still is one.
  [[nodiscard]] bool evict(const Candidate& candidate, int64_t now_ms);
  // Looks at some random keys; false when there are none.
  bool sample(Pool* pool, int wanted, int64_t now_ms);
  // Up to `wanted` of a slot's keys, from a random place on; the slot is locked.
  [[nodiscard]] size_t gather(const Slot& slot, uint32_t position, size_t wanted,
                              Batch* batch) const;
  [[nodiscard]] bool only_volatile() const;
  [[nodiscard]] EvictionPolicy policy() const;

  Executor& executor_;
  const bool moves_;
  int64_t (*other_bytes_)(void*) = nullptr;
  void* other_argument_ = nullptr;
};

}  // namespace dyno

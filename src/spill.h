// SPDX-License-Identifier: Apache-2.0
//
// More data than memory: when memory fills up, the values of the keys unused longest are on disk
// alone, and come back when a command wants them. Where they lie there is another's matter
// (value_store.h).
//
//   moving   One thread has a batch of values written, while their keys go on being used, and then
//            frees those that still are what was written. Which ones, a search among random keys
//            tells (evictor.h), or a look at those that came back longest ago, which costs less.
//   reading  A command that wants values does not run (cold_gate.h); its client is parked. Threads
//            of their own read what is wanted, several keys at once and each key once, and parked
//            clients try again.
//   room     Moving begins below memory.maxmemory. Beyond it commands that need memory wait until
//            values have moved; when none may go, they are refused as in Redis.
//
// A node that keeps its data over a restart may be told to evict keys (memory.maxmemory_policy);
// then that is how it makes room, and values only come back.
//
// No network thread waits for the disk. When the disk does not take values, commands that write are
// refused with the reason until it does; when a value cannot be read, its command is.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "engine/cold_keys.h"
#include "engine/disk/cold_gate.h"
#include "engine/disk/rocks_store.h"
#include "engine/evictor.h"
#include "engine/session.h"
#include "src/value_store.h"

namespace dyno {

class Client;
class Server;

class Spill final : public ColdKeys {
 public:
  Spill(Server& server, ValueStore& values);
  ~Spill() override;

  void start();
  // After the network threads have ended. Cold keys have no values any more.
  void stop();

  // --- Network threads, for each request ---

  // True when the request has to wait for room. The threads' disk_moved() is called when it may be
  // tried again.
  [[nodiscard]] bool holds_back(const Client& client, Args args) const;
  // Whether that value is on its way back: disk_moved() will be called.
  [[nodiscard]] bool is_reading(const ColdName& name) const;
  // What the calling thread has asked for last.
  [[nodiscard]] static const ColdName& wanted_by_thread();
  // Memory is beyond its limit, and values are moving: disk_moved() follows.
  [[nodiscard]] bool is_over() const { return is_over_.load(); }
  // Memory is within its limit, or will be soon. Begins to move values when that is due.
  [[nodiscard]] bool make_room();
  // A key was read from disk with its value, which goes again if memory is nearly full: nothing
  // about the key has changed since, or will before this has returned. No slot is locked.
  void let_go(SlotIndex slot, int db, std::string_view name);

  struct Figures {
    uint64_t moved = 0;    // Values that went to disk.
    uint64_t kept = 0;     // Values that were written and had changed meanwhile.
    uint64_t read = 0;     // Values that came back.
    uint64_t read_us = 0;  // Of all reads together, and of the longest.
    uint64_t read_us_max = 0;
    uint64_t wanted = 0;         // Now waited for.
    uint64_t read_failures = 0;  // Values that could not be read.
    bool is_stuck = false;       // Beyond maxmemory, and no value may go.
  };
  [[nodiscard]] Figures figures() const;

  // --- ColdKeys ---
  bool want(SlotIndex slot, int db, std::string_view name) override;
  [[nodiscard]] std::string take_failure(SlotIndex slot, int db, std::string_view name) override;
  void forget(SlotIndex slot, int db, std::string_view name) override;
  void forget_all() override;
  [[nodiscard]] bool has_room() override;

 private:
  using Batch = std::vector<ValueStore::Leaving>;
  using Names = std::unordered_set<ColdName, ColdNameHash>;

  // What memory may take before values move; 0: any.
  [[nodiscard]] int64_t limit() const;
  [[nodiscard]] bool evicts() const;
  [[nodiscard]] int64_t share_of_limit(double share) const;
  // Memory is beyond that share of its limit, if it has one.
  [[nodiscard]] bool is_beyond(double share) const;
  // By any thread that holds no slot's lock.
  void call_mover();

  // The mover.
  void move();
  [[nodiscard]] bool is_stopping() const;
  [[nodiscard]] bool wait_to_move(std::unique_lock<std::mutex>& lock);
  // With `moves` moves one batch; false when no value may go.
  [[nodiscard]] bool move_batch(bool moves);
  // Those who wait for room.
  void let_in();
  [[nodiscard]] Batch gather();
  // A key whose value may go; nothing when there is none.
  [[nodiscard]] std::optional<Evictor::Candidate> next_candidate(int64_t now_ms);
  [[nodiscard]] Names names_to_stay();
  void chill(const Batch& batch);

  // The readers.
  void read();
  void wait_for_room();
  void bring_back(const RocksStore::KeyRead& read);
  // Why the value cannot be; empty: it is there.
  [[nodiscard]] std::string restore(Key& key, std::string_view bytes);

  Server& server_;
  ValueStore& values_;
  Evictor coldest_;
  ColdGate gate_;
  std::thread mover_;
  std::vector<std::thread> readers_;
  std::atomic<bool> is_over_{false};  // Beyond the limit, and values are moving.
  std::atomic<bool> is_stuck_{false};
  std::atomic<bool> is_due_{false};  // The mover is told to look.

  // The mover's own. Where the keys are whose values came back, oldest first, without those that
  // are to stay.
  struct Place {
    SlotIndex slot;
    uint32_t position;
  };
  std::deque<Place> returned_;
  int64_t bar_ = 0;  // The score of what was found by the last search.
  int looks_ = 0;    // To be taken at these until the next search.

  mutable std::mutex mutex_;
  std::condition_variable wake_mover_;
  std::condition_variable wake_readers_;
  bool stopping_ = false;  // Guarded by mutex_, as is what follows.
  // Whose values are on their way back; false: what is being read is no longer the key's.
  std::unordered_map<ColdName, bool, ColdNameHash> wanted_;
  std::deque<ColdName> queue_;  // Of those, which are not being read yet.
  size_t idle_readers_ = 0;
  std::unordered_map<ColdName, std::string, ColdNameHash> read_failures_;
  // When values came back, oldest first: for a while they stay, or who waits for them would find
  // them gone again.
  std::deque<std::pair<int64_t, ColdName>> arrived_;
  Figures figures_;
};

}  // namespace dyno

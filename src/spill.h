// SPDX-License-Identifier: Apache-2.0
//
// More data than memory (storage.mode = spill): when memory fills up, the values of the keys unused
// longest move to disk, and come back when a command wants them. What is on disk is of no use once
// the process ends.
//
//   moving   One thread writes a batch of values, while their keys go on being used, and then frees
//            those that still are what it wrote, byte by byte.
//   reading  A command that wants values does not run (cold_gate.h); its client is parked. Threads
//            of their own read what is wanted, several keys at once and each key once, and parked
//            clients try again.
//   room     Moving begins below memory.maxmemory. Beyond it commands that need memory wait until
//            values have moved; when none may go, they are refused as in Redis.
//
// No network thread waits for the disk. When the disk does not take values, commands that write are
// refused with the reason until it does; when a value cannot be read, its command is.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "engine/cold_gate.h"
#include "engine/cold_keys.h"
#include "engine/evictor.h"
#include "engine/rocks_store.h"
#include "engine/session.h"

namespace dyno {

class Client;
class Server;

class Spill final : public ColdKeys {
 public:
  explicit Spill(Server& server);
  ~Spill() override;

  // Makes the directory empty. Returns why it cannot be used.
  [[nodiscard]] std::string open();
  void start();
  // After the network threads have ended. Cold keys have no values any more.
  void stop();

  // --- Network threads, for each request ---

  // True when the request has to wait for room. The threads' disk_moved() is called when it may be
  // tried again.
  [[nodiscard]] bool holds_back(const Client& client, Args args) const;
  // Whether values are on their way back: disk_moved() will be called.
  [[nodiscard]] bool is_reading() const;
  // Memory is within its limit, or will be soon. Begins to move values when that is due.
  [[nodiscard]] bool make_room();

  struct Figures {
    uint64_t moved = 0;        // Values that went to disk.
    uint64_t moved_bytes = 0;  // As they were written.
    uint64_t kept = 0;         // Values that were written and had changed meanwhile.
    uint64_t read = 0;         // Values that came back.
    uint64_t read_us = 0;      // Of all reads together, and of the longest.
    uint64_t read_us_max = 0;
    uint64_t wanted = 0;          // Now waited for.
    uint64_t failures = 0;        // Of reads and writes.
    uint64_t forgotten_lost = 0;  // Values on disk that were not erased, since too many were.
    bool is_stuck = false;        // Beyond maxmemory, and no value may go.
    std::string write_failure;    // Why the disk does not take values now.
  };
  [[nodiscard]] Figures figures() const;
  [[nodiscard]] RocksStore::Figures store_figures() const { return store_.figures(); }

  // --- ColdKeys ---
  bool want(SlotIndex slot, int db, std::string_view name) override;
  [[nodiscard]] std::string take_failure(SlotIndex slot, int db, std::string_view name) override;
  void forget(SlotIndex slot, int db, std::string_view name) override;
  void forget_all() override;

 private:
  // A key, as it is told apart here.
  struct Name {
    SlotIndex slot = 0;
    int db = 0;
    std::string text;
    bool operator==(const Name&) const = default;
  };
  struct NameHash {
    size_t operator()(const Name& name) const;
  };
  struct Moving {
    Name name;
    std::string bytes;
  };

  [[nodiscard]] int64_t limit() const;
  [[nodiscard]] int64_t share_of_limit(double share) const;
  // Memory is beyond that share of its limit, if it has one.
  [[nodiscard]] bool is_beyond(double share) const;

  // The mover.
  void move();
  [[nodiscard]] bool is_stopping() const;
  [[nodiscard]] bool wait_to_move(std::unique_lock<std::mutex>& lock);
  // Erases what is of no use, and with `moves` moves one batch; false when no value may go.
  [[nodiscard]] bool move_batch(bool moves);
  [[nodiscard]] std::vector<Moving> gather();
  [[nodiscard]] std::unordered_set<Name, NameHash> names_to_stay();
  [[nodiscard]] std::string write(const std::vector<Moving>& batch);
  void chill(const std::vector<Moving>& batch);
  void note_write(const std::string& failure);

  // The readers.
  void read();
  void wait_for_room();
  void bring_back(const RocksStore::KeyRead& read);

  Server& server_;
  RocksStore store_;
  Evictor coldest_;
  ColdGate gate_;
  std::thread mover_;
  std::vector<std::thread> readers_;
  std::atomic<bool> is_over_{false};  // Beyond the limit, and values are moving.
  std::atomic<bool> is_stuck_{false};
  std::atomic<bool> is_due_{false};  // The mover is told to look.

  mutable std::mutex mutex_;
  std::condition_variable wake_mover_;
  std::condition_variable wake_readers_;
  bool stopping_ = false;  // Guarded by mutex_, as is what follows.
  // Whose values are on their way back; false: what is being read is no longer the key's.
  std::unordered_map<Name, bool, NameHash> wanted_;
  std::deque<Name> queue_;  // Of those, which are not being read yet.
  std::unordered_map<Name, std::string, NameHash> read_failures_;
  // When values came back, oldest first: for a while they stay, or who waits for them would find
  // them gone again.
  std::deque<std::pair<int64_t, Name>> arrived_;
  std::vector<Name> forgotten_;  // Records to be erased.
  bool forgets_all_ = false;     // Before those: all records.
  Figures figures_;
};

}  // namespace dyno

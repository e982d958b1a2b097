// SPDX-License-Identifier: Apache-2.0
//
// Values that lie on disk only while their keys are cold (storage.mode = spill): they are written
// when they leave memory, erased when they are of no use any more, and void when the process ends.
// A value that comes back keeps its record until it changes, and leaves without being written
// again.
//
// What is to be erased is gathered, and erased by who writes, before the values of its batch: so an
// erasure never hits a later value of the same key. While the disk takes nothing, commands that
// write are refused with the reason.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "engine/replica/replica.h"
#include "src/value_store.h"

namespace dyno {

class Server;

class ScratchValues final : public ValueStore {
 public:
  // `replica`: the keys' state that other replicas have, too; null where there is none.
  ScratchValues(Server& server, Replica* replica) : server_(server), replica_(replica) {}

  // Makes the directory empty. Returns why it cannot be used.
  [[nodiscard]] std::string open();
  void close() { store_.close(); }

  struct Figures {
    uint64_t written = 0;  // Values that had no copy.
    uint64_t written_bytes = 0;
    uint64_t failures = 0;
    uint64_t forgotten_lost = 0;  // Values on disk that were not erased, since too many were.
    std::string write_failure;    // Why the disk does not take values now.
    RocksStore::Figures store;
  };
  [[nodiscard]] Figures figures() const;

  // --- ValueStore ---
  [[nodiscard]] bool mark(Key& key, std::string* mark) override;
  [[nodiscard]] std::string write(const std::vector<Leaving>& values) override;
  void read(std::span<RocksStore::KeyRead> keys) override { store_.read_keys(keys); }
  [[nodiscard]] bool restore(Key& key, std::string_view bytes) override;
  void forget(const ColdName& name) override;
  void forget_all() override;

 private:
  void note_write(const std::string& failure);

  Server& server_;
  Replica* const replica_;
  RocksStore store_;
  mutable std::mutex mutex_;
  std::vector<ColdName> forgotten_;  // Guarded by mutex_, as is what follows. Records to be erased.
  bool forgets_all_ = false;         // Before those: all records.
  Figures figures_;
};

}  // namespace dyno

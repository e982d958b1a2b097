// SPDX-License-Identifier: Apache-2.0
//
// Values of a node that keeps all its data on disk (storage.mode = durable): each key's state is
// there already, so that a value leaves memory without being written. What it waits for is that
// everything about its key is on the disk, synced, whatever storage.fsync promises to clients: the
// log may be opened again as after a crash (write_log.h), and then writes anew only what is in
// memory.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/disk/state_loader.h"
#include "engine/replica/replica.h"
#include "src/value_store.h"
#include "src/write_log.h"

namespace dyno {

class KeptValues final : public ValueStore {
 public:
  KeptValues(Replica& replica, RocksStore& store, WriteLog& log)
      : replica_(replica), store_(store), log_(log), loader_(replica) {}

  // --- ValueStore ---
  [[nodiscard]] bool mark(Key& key, std::string* mark) override;
  [[nodiscard]] std::string write(const std::vector<Leaving>& values) override;
  void read(std::span<RocksStore::KeyRead> keys) override { store_.read_keys(keys); }
  [[nodiscard]] bool restore(Key& key, std::string_view bytes) override {
    return loader_.restore(key, bytes);
  }
  void forget(const ColdName&) override {}
  void forget_all() override {}

 private:
  Replica& replica_;
  RocksStore& store_;
  WriteLog& log_;
  StateLoader loader_;
  uint64_t synced_ = 0;  // The writing thread's own: position up to which all is synced.
};

}  // namespace dyno

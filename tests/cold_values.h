// SPDX-License-Identifier: Apache-2.0
//
// Values of an engine inside the test's own process that are on disk alone, for which a map stands,
// and the room of its memory: the part of src/spill.h. The test says what leaves and what comes
// back, and when.
#pragma once

#include <map>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "engine/cold_keys.h"
#include "engine/disk/cold_gate.h"
#include "engine/disk/cold_value.h"
#include "engine/disk/state_loader.h"
#include "engine/live_key.h"
#include "engine/replica/replica.h"
#include "engine/types/hash.h"
#include "engine/types/rdb_save.h"
#include "protocol/check.h"
#include "tests/engine_client.h"

namespace dyno {

class ColdValues final : public ColdKeys {
 public:
  using Name = std::tuple<SlotIndex, int, std::string>;

  ColdValues(EngineClient& client, Replica& replica)
      : client_(client), replica_(replica), gate_(client.keyspace(), *this) {
    client.keyspace().set_cold_keys(this);
    client.executor().set_cold_gate(&gate_);
  }
  ~ColdValues() override {
    client_.keyspace().lock_all();
    client_.keyspace().flush(-1, false);
    client_.keyspace().unlock_all();
    client_.executor().set_cold_gate(nullptr);
    client_.keyspace().set_cold_keys(nullptr);
  }

  // The key's value leaves memory, however small it is, if it is there and may go; true then.
  bool chill(const std::string& key, int db = 0) {
    SlotIndex slot = client_.keyspace().hash(key).slot();
    std::lock_guard lock(client_.keyspace().slot(slot).lock);
    LiveKey live(client_.executor(), db, key, INT64_MIN);
    if (!live.key().exists() || live.key().is_cold() || !is_all_alive(replica_, live.key()) ||
        next_field_deadline(live.key().entry()) != kNoDeadline) {
      return false;
    }
    std::string bytes(1, kObject);
    (void)save_rdb_value(live.key(), &bytes);
    disk_[{slot, db, key}] = std::move(bytes);
    client_.keyspace().chill(live.key().slot(), live.key().word());
    return true;
  }
  // What was asked for since the last call.
  [[nodiscard]] std::vector<Name> take_wanted() { return std::exchange(wanted_, {}); }
  // The value is in memory again, if it is away.
  void bring_back(const Name& name) {
    asked_.erase(name);
    const auto& [slot, db, key] = name;
    std::lock_guard lock(client_.keyspace().slot(slot).lock);
    LiveKey live(client_.executor(), db, key, INT64_MIN);
    if (!live.key().exists() || !live.key().is_cold()) return;
    DYNO_CHECK(restore_cold_value(live.key(), disk_.at(name)));
  }
  // The same, asked for or not.
  void warm(const std::string& key) { bring_back({client_.keyspace().hash(key).slot(), 0, key}); }
  void warm_all() {
    std::vector<Name> names;
    for (const auto& [name, bytes] : disk_) names.push_back(name);
    for (const Name& name : names) bring_back(name);
  }
  // The next who asks for it hears that it cannot be read.
  void damage(const std::string& key) {
    damaged_.insert({client_.keyspace().hash(key).slot(), 0, key});
  }
  // What others have written is to wait, or no longer.
  void set_full(bool is_full) { is_full_ = is_full; }

  // --- ColdKeys ---
  bool want(SlotIndex slot, int db, std::string_view name) override {
    Name wanted{slot, db, std::string(name)};
    if (!asked_.insert(wanted).second) return false;
    wanted_.push_back(std::move(wanted));
    return true;
  }
  [[nodiscard]] std::string take_failure(SlotIndex slot, int db, std::string_view name) override {
    return damaged_.erase({slot, db, std::string(name)}) == 0 ? "" : "damaged";
  }
  void forget(SlotIndex slot, int db, std::string_view name) override {
    disk_.erase({slot, db, std::string(name)});
  }
  void forget_all() override { disk_.clear(); }
  [[nodiscard]] bool has_room() override { return !is_full_; }

 private:
  static constexpr char kObject = 1;  // See cold_value.h.

  EngineClient& client_;
  Replica& replica_;
  ColdGate gate_;
  std::map<Name, std::string> disk_;
  std::set<Name> asked_;  // Not told of yet, or on their way.
  std::vector<Name> wanted_;
  std::set<Name> damaged_;
  bool is_full_ = false;
};

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// The data of a simulated process: an engine of its own, with the executor, the keyspace and the
// replicated state that the process has, reached by the machines of the ring through the process'
// own RingStore. Its clock is the world's.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/expirer.h"
#include "ring/slot_set.h"
#include "src/ring_store.h"
#include "tests/cold_values.h"
#include "tests/replica_node.h"
#include "tests/simulator/disk.h"
#include "tests/simulator/ledger.h"

namespace dyno::simulator {

// Engines of one process count their keys together, and one that ends forgets the counts: the world
// keeps those of crashed processes until it ends.
class NodeEngine {
 public:
  // Of the keyspaces that EngineClient makes.
  static constexpr uint64_t kHashSeed = 1;
  // What the ring does to the data.
  struct Listener {
    std::function<void(const Frame& old, const Frame& anew)> restamped;
    std::function<void(std::string_view frames, bool is_state)> applied;  // May be empty.
    std::function<void(Stamp limit)> dropped;
  };

  // `used`: the slots of all keys that any command ever named. It outlives this; nothing is looked
  // for in other slots, which most of the time would go into.
  NodeEngine(const Topology& topology, NodeIndex self, uint32_t incarnation, int64_t unix_ms,
             const SlotSet& used);

  // Takes back what the disk has, and keeps what changes from now on there. It outlives this.
  void use(Disk& disk);
  [[nodiscard]] Stamp clock() { return node_.replica.clock().last(); }

  void set_time(int64_t unix_ms) { node_.client.now_ms = unix_ms; }
  // One for each lane and one for the steward, as in the process.
  [[nodiscard]] std::unique_ptr<Store> make_store(Listener listener);

  // Runs requests as they are sent; the reply to the last one. None: none has run, since values are
  // on disk.
  [[nodiscard]] std::optional<std::string> run(std::string_view requests);
  // Values may be on disk alone from now on.
  void spill() { cold_ = std::make_unique<ColdValues>(node_.client, node_.replica); }
  // Null if not.
  [[nodiscard]] ColdValues* cold() { return cold_.get(); }
  // What was written since the last call, in order.
  [[nodiscard]] std::vector<Frame> take_written();
  // Removes keys whose time has come.
  void expire(std::span<const SlotIndex> slots);
  void collect(SlotIndex slot, Stamp horizon) {
    node_.replica.collect(slot, horizon, node_.client.now_ms);
  }

  [[nodiscard]] std::string state_of(const std::string& key);
  [[nodiscard]] HeldKey held(const std::string& key) { return held_of(state_of(key)); }
  // Equal where what commands see is.
  [[nodiscard]] Version version_of(const std::string& key);
  [[nodiscard]] bool has_traces(SlotIndex slot) {
    return !node_.replica.slot(slot).awaiting.empty();
  }
  // See ReplicaNode.
  [[nodiscard]] std::string describe() {
    if (cold_) cold_->warm_all();
    return node_.describe();
  }
  [[nodiscard]] int damaged_slot() { return node_.damaged_slot(); }
  [[nodiscard]] PlantedFaults& faults() { return node_.replica.faults; }

 private:
  const Topology& topology_;
  const NodeIndex self_;
  const SlotSet& used_;
  ReplicaNode node_;
  RingStore store_;
  Expirer expirer_;
  std::unique_ptr<ColdValues> cold_;
};

}  // namespace dyno::simulator

// SPDX-License-Identifier: Apache-2.0
//
// A node with replicas inside the test's own process: an engine, its replicated state, and the
// frames that it wrote, which the test delivers to other nodes as it likes.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "engine/key_export.h"
#include "engine/merge.h"
#include "engine/origin.h"
#include "engine/replica.h"
#include "tests/command_storm.h"
#include "tests/engine_client.h"
#include "tests/engine_families.h"

namespace dyno {

class ReplicaNode final : public FrameSink {
 public:
  static constexpr uint64_t kSecret = 0x5ec2e7;

  explicit ReplicaNode(uint8_t rack, uint32_t incarnation = 1)
      : client(std::vector<std::span<const CommandSpec>>(std::begin(kEngineFamilies),
                                                         std::end(kEngineFamilies))),
        replica(client.executor(), rack, incarnation, kSecret),
        origin(replica) {
    client.now_ms = 1'800'000'000'000;
    replica.set_sink(this);
    client.executor().set_recorder(&origin);
  }

  void emit(Token, Stamp, std::string_view frame) override { written.emplace_back(frame); }
  void emit_everywhere(Stamp, std::string_view frame) override { written.emplace_back(frame); }

  std::string operator()(std::string_view line) {
    std::vector<std::string> words;
    return split_words(line, &words) ? run(words) : "unbalanced quotes";
  }
  std::string run(const std::vector<std::string>& words) {
    origin.begin_command(client.now_ms);
    std::string reply = client.run(words);
    origin.commit();
    return reply;
  }

  MergeOutcome receive(std::string_view frame, FrameOrigin from = FrameOrigin::kWrite) {
    return merge(replica, frame, from, client.now_ms);
  }
  // Takes over all that another node holds, traces included.
  void pull(ReplicaNode& other) {
    for (uint32_t i = 0; i < kSlotCount; ++i) pull_slot(other, static_cast<SlotIndex>(i));
  }
  void pull_slot(ReplicaNode& other, SlotIndex index) {
    std::vector<std::pair<int, std::string>> keys;
    for_each_replicated_key(other.replica, index,
                            [&](int db, std::string_view name) { keys.emplace_back(db, name); });
    for (const auto& [db, name] : keys) pull_key(other, db, name);
  }
  void pull_key(ReplicaNode& other, int db, const std::string& name) {
    FrameWriter frame;
    Slot& slot = other.client.keyspace().slot(other.client.keyspace().hash(name).slot());
    slot.lock.lock();
    export_key(other.replica, db, name, other.client.now_ms, &frame);
    slot.lock.unlock();
    if (!frame.empty()) (void)receive(frame.finish(), FrameOrigin::kState);
  }

  // The data set as text: keys in order, unordered elements in order.
  [[nodiscard]] std::string describe() {
    return CommandStorm::describe(client, client.now_ms, &origin);
  }
  [[nodiscard]] Digest digest() {
    Digest sum;
    for (uint32_t i = 0; i < kSlotCount; ++i) sum += replica.slot(static_cast<SlotIndex>(i)).digest;
    return sum;
  }
  // The first slot whose digest is not what it should be, or -1.
  [[nodiscard]] int damaged_slot() {
    for (uint32_t i = 0; i < kSlotCount; ++i) {
      auto index = static_cast<SlotIndex>(i);
      if (!(replica.digest(index) == replica.recomputed_digest(index))) return static_cast<int>(i);
    }
    return -1;
  }
  void collect(Stamp horizon) {
    for (uint32_t i = 0; i < kSlotCount; ++i) {
      replica.collect(static_cast<SlotIndex>(i), horizon, client.now_ms);
    }
  }

  EngineClient client;
  Replica replica;
  Origin origin;
  std::vector<std::string> written;
};

}  // namespace dyno

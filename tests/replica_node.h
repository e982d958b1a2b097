// SPDX-License-Identifier: Apache-2.0
//
// A node with replicas inside the test's own process: an engine, its replicated state, and the
// frames that it wrote, which the test delivers to other nodes as it likes.
#pragma once

#include <numeric>
#include <string>
#include <string_view>
#include <vector>

#include "engine/live_key.h"
#include "engine/replica/key_export.h"
#include "engine/replica/merge.h"
#include "engine/replica/origin.h"
#include "engine/replica/replica.h"
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
    std::iota(slots.begin(), slots.end(), SlotIndex{0});
    replica.set_sink(this);
    client.executor().set_recorder(&origin);
  }

  struct Written {
    Stamp stamp;
    std::string frame;
    std::vector<Token> tokens;  // Of its keys; none: it is for every node.
  };
  void emit(Token token, Stamp stamp, std::string_view frame) override {
    written.push_back({stamp, std::string(frame), {token}});
  }
  void emit_everywhere(Stamp stamp, std::string_view frame) override {
    written.push_back({stamp, std::string(frame), {}});
  }

  std::string operator()(std::string_view line) {
    std::vector<std::string> words;
    return split_words(line, &words) ? run(words) : "unbalanced quotes";
  }
  std::string run(const std::vector<std::string>& words) {
    std::string reply = client.run(words);
    return reply;
  }
  // The key goes as if maxmemory had asked for its room.
  void evict(std::string_view name) {
    int64_t now_ms = origin.now_ms(client.now_ms);
    SlotIndex slot = client.keyspace().hash(name).slot();
    client.executor().run_under_locks({slot}, false, now_ms, [&] {
      LiveKey live(client.executor(), 0, name, INT64_MIN);
      if (!live.key().exists()) return;
      origin.begin_command(now_ms);
      origin.record({.kind = EffectKind::kEvicted, .key = name});
      live.key().drop();
    });
    origin.commit();
  }

  MergeOutcome receive(std::string_view frame, FrameOrigin from = FrameOrigin::kWrite) {
    return merge(replica, frame, from, client.now_ms);
  }
  // Takes over all that another node holds, traces included.
  void pull(ReplicaNode& other) {
    for (SlotIndex slot : other.slots) {
      other.export_slot(slot, [&](std::string_view frame) { take(frame); });
    }
  }
  // Calls visit(frame) with when the databases were flushed, then the whole state of each key of
  // the slot.
  template <class Visit>
  void export_slot(SlotIndex slot, Visit&& visit) {
    for (int db = 0; db < ReplicaSlot::kDatabases; ++db) {
      FrameWriter frame;
      export_flush(replica, slot, db, &frame);
      if (!frame.empty()) visit(frame.finish());
    }
    std::vector<std::pair<int, std::string>> keys;
    for_each_replicated_key(replica, slot,
                            [&](int db, std::string_view name) { keys.emplace_back(db, name); });
    for (const auto& [db, name] : keys) {
      FrameWriter frame;
      read_key(db, name, &frame);
      if (!frame.empty()) visit(frame.finish());
    }
  }
  void pull_key(ReplicaNode& other, int db, const std::string& name) {
    FrameWriter frame;
    other.read_key(db, name, &frame);
    if (!frame.empty()) take(frame.finish());
  }
  // The key's whole state.
  void read_key(int db, const std::string& name, FrameWriter* frame) {
    Slot& slot = client.keyspace().slot(client.keyspace().hash(name).slot());
    slot.lock.lock();
    export_key(replica, db, name, client.now_ms, frame);
    slot.lock.unlock();
  }

  // The data set as text: keys in order, unordered elements in order.
  [[nodiscard]] std::string describe() {
    return CommandStorm::describe(client, client.now_ms, &origin);
  }
  [[nodiscard]] Digest digest() {
    Digest sum;
    for (SlotIndex slot : slots) sum += replica.slot(slot).digest;
    return sum;
  }
  // The first slot whose digest is not what it should be, or -1.
  [[nodiscard]] int damaged_slot() {
    for (SlotIndex slot : slots) {
      if (!(replica.digest(slot) == replica.recomputed_digest(slot))) return slot;
    }
    return -1;
  }
  void collect(Stamp horizon) {
    for (SlotIndex slot : slots) replica.collect(slot, horizon, client.now_ms);
  }

  EngineClient client;
  Replica replica;
  Origin origin;
  std::vector<Written> written;
  // Those that may hold something; all, unless the test knows better.
  std::vector<SlotIndex> slots = std::vector<SlotIndex>(kSlotCount);

 private:
  void take(std::string_view frame) {
    MergeOutcome outcome = receive(frame, FrameOrigin::kState);
    DYNO_CHECK(outcome.refused.empty());
  }
};

}  // namespace dyno

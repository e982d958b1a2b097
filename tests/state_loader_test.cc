// SPDX-License-Identifier: Apache-2.0
//
// Values that come back from the frames of their keys' state: the same random commands run on two
// nodes that keep stamps, in one of which all values that may go are only in such frames before
// every third; replies are equal, and so are the digests with what they should be.
#include "engine/disk/state_loader.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "engine/disk/cold_gate.h"
#include "engine/live_key.h"
#include "engine/replica/delta_fold.h"
#include "engine/replica/merge.h"
#include "engine/replica/origin.h"
#include "tests/cold_storm.h"
#include "tests/command_storm.h"
#include "tests/engine_client.h"
#include "tests/engine_families.h"
#include "tests/random_command.h"

namespace dyno {
namespace {

constexpr uint64_t kSecret = 0x5ec2e7;

// A node that is alone and keeps every write in a map for a disk, folded.
class KeptNode final : public ColdKeys, public FrameLog {
 public:
  KeptNode() : client({std::begin(kEngineFamilies), std::end(kEngineFamilies)}) {
    client.keyspace().set_cold_keys(this);
    client.executor().set_cold_gate(&gate_);
    client.executor().set_recorder(&origin_);
    replica.set_log(this);
    client.now_ms = 1'800'000'000'000;
  }
  ~KeptNode() override {
    client.executor().set_recorder(nullptr);
    client.keyspace().lock_all();
    client.keyspace().flush(-1, false);
    client.keyspace().unlock_all();
    client.keyspace().set_cold_keys(nullptr);
  }

  void append(std::span<const std::string_view> frames) override {
    for (std::string_view frame : frames) {
      std::vector<Delta> deltas;
      REQUIRE(read_frame(frame, &deltas).empty());
      for (const Delta& delta : deltas) append(delta);
    }
  }

  // Only a node of a ring is asked for these.
  void replace_slot(SlotIndex, std::string_view) override { REQUIRE(false); }
  Stamp keep_known(Stamp, Stamp) override { return 0; }

  // Takes out every value that may go.
  void chill_all() {
    for_each_warm(client, [&](SlotIndex, Key& key) {
      if (!may_go(replica, key)) return;
      client.keyspace().chill(key.slot(), key.word());
      ++chilled;
    });
  }
  std::string run(const std::vector<std::string>& words) {
    for (;;) {
      std::string reply = client.run(words);
      if (!client.session().awaits_disk) return reply;
      bring_back();
    }
  }
  std::string operator()(std::string_view line) {
    std::vector<std::string> words;
    REQUIRE(split_words(line, &words));
    return run(words);
  }
  // False when a key has no value in the frame that is kept of it.
  bool bring_back() {
    bool is_whole = true;
    auto wanted = std::exchange(wanted_, {});
    REQUIRE(!wanted.empty());
    for (const auto& [slot, db, name] : wanted) {
      std::lock_guard lock(client.keyspace().slot(slot).lock);
      LiveKey live(client.executor(), db, name, INT64_MIN);
      if (!live.key().exists() || !live.key().is_cold()) continue;
      bool restored = loader.restore(live.key(), disk[{db, name}]);
      if (expects_all) REQUIRE(restored);
      is_whole &= restored;
      ++restored_count;
    }
    return is_whole;
  }
  void forget_traces() {
    Stamp horizon = first_stamp_of(client.now_ms - 1000);
    for (uint32_t slot = 0; slot < kSlotCount; ++slot) {
      replica.collect(static_cast<SlotIndex>(slot), horizon, client.now_ms);
    }
    horizon_ = horizon;
  }
  void check_digests() {
    for (uint32_t i = 0; i < kSlotCount; ++i) {
      auto slot = static_cast<SlotIndex>(i);
      REQUIRE(replica.digest(slot) == replica.recomputed_digest(slot));
    }
  }

  bool want(SlotIndex slot, int db, std::string_view name) override {
    return wanted_.emplace(slot, db, std::string(name)).second;
  }
  std::string take_failure(SlotIndex, int, std::string_view) override { return {}; }
  void forget(SlotIndex, int, std::string_view) override {}
  void forget_all() override {}

  EngineClient client;
  Replica replica{client.executor(), 1, 1, kSecret};
  StateLoader loader{replica};
  std::map<std::pair<int, std::string>, std::string> disk;
  int chilled = 0;
  int restored_count = 0;
  bool expects_all = true;

 private:
  void append(const Delta& delta) {
    if (is_flush(delta)) {
      flushed_[delta.db] = delta.facts[0].stamp;
      return;
    }
    FrameWriter writer;
    for (const Fact& fact : delta.facts) writer.add(delta.db, delta.key, fact);
    std::string& kept = disk[{delta.db, std::string(delta.key)}];
    std::vector<std::string_view> frames;
    if (!kept.empty()) frames.push_back(kept);
    frames.push_back(writer.finish());
    std::string folded;
    REQUIRE(fold(frames, {horizon_, flushed_[delta.db], true}, &folded).empty());
    kept = folded;
  }

  Origin origin_{replica};
  std::map<int, Stamp> flushed_;
  Stamp horizon_ = 0;
  std::set<std::tuple<SlotIndex, int, std::string>> wanted_;
  ColdGate gate_{client.keyspace(), *this};
};

void run_seed(uint32_t seed, int steps) {
  std::mt19937 random(seed);
  RandomCommand::Draw draw = [&](uint32_t n) { return n == 0 ? 0 : random() % n; };
  KeptNode plain;
  KeptNode cold;
  const std::vector<const CommandSpec*> specs = comparable_commands();
  for (int i = 0; i < steps; ++i) {
    const CommandSpec& spec = *specs[draw(static_cast<uint32_t>(specs.size()))];
    if (spec.name.starts_with("FLUSH") && draw(60) != 0) continue;
    std::vector<std::string> words = RandomCommand(spec, plain.client.now_ms, draw).write();
    if (std::find(words.begin(), words.end(), "BYLEX") != words.end()) continue;
    if (draw(3) == 0) cold.chill_all();
    std::string expected = plain.run(words);
    std::string text;
    for (const std::string& word : words) text += word.substr(0, 80) + " ";
    CAPTURE(seed);
    CAPTURE(text);
    std::string found = cold.run(words);
    REQUIRE(leaves_of(found) == leaves_of(expected));
    if (draw(30) == 0) {
      plain.client.now_ms = cold.client.now_ms = plain.client.now_ms + draw(2000);
      plain.forget_traces();
      cold.forget_traces();
    }
  }
  cold.check_digests();
  CHECK(cold.chilled > 0);
  CHECK(cold.restored_count > 0);
}

const std::string kLong(100, 'x');

}  // namespace

TEST_CASE("any command finds values that are kept as the state of their keys") {
  for (uint32_t seed = 1; seed <= 20; ++seed) run_seed(seed, 1500);
}

TEST_CASE("what replaces or removes a value does not read it") {
  KeptNode node;
  for (std::string_view name : {"a", "b", "c", "d"}) node("SET " + std::string(name) + " " + kLong);
  node.chill_all();
  CHECK(node("SET a short") == "+OK\r\n");
  CHECK(node("DEL b") == ":1\r\n");
  CHECK(node("SET c " + kLong + "y EX 100") == "+OK\r\n");
  CHECK(node("TYPE d") == "+string\r\n");
  CHECK(node.restored_count == 0);
  node.chill_all();
  CHECK(node("MGET a b c d") ==
        "*4\r\n$5\r\nshort\r\n$-1\r\n$101\r\n" + kLong + "y\r\n$100\r\n" + kLong + "\r\n");
  CHECK(node.restored_count == 2);
  node.check_digests();
}

TEST_CASE("a frame of another state is no value") {
  KeptNode node;
  node.expects_all = false;
  node("SET a " + kLong);
  node("SADD set one two " + kLong);
  std::string before = node.disk[{0, "a"}];
  node("SET a " + kLong + "later");
  std::string after = node.disk[{0, "a"}];
  node.chill_all();
  CHECK(node.chilled == 2);
  auto reads = [&](const std::string& frame) {
    node.disk[{0, "a"}] = frame;
    (void)node.client("GET a");
    REQUIRE(node.client.session().awaits_disk);
    return node.bring_back();
  };
  CHECK_FALSE(reads({}));
  CHECK_FALSE(reads(before));
  CHECK_FALSE(reads(node.disk[{0, "set"}]));
  CHECK_FALSE(reads(after.substr(0, after.size() - 1)));
  CHECK(reads(after));
  CHECK(node("GET a") == "$105\r\n" + kLong + "later\r\n");
  node.check_digests();
}

TEST_CASE("watchers do not take a value's return for a change") {
  KeptNode node;
  node("SET a " + kLong);
  node("WATCH a");
  node.chill_all();
  node("MULTI");
  node("STRLEN a");
  CHECK(node("EXEC") == "*1\r\n:100\r\n");
}

TEST_CASE("traces of what is gone keep a value in memory until they are collected") {
  KeptNode node;
  node("SADD set one two " + kLong);
  node("SREM set two");
  node.chill_all();
  CHECK(node.chilled == 0);
  node.client.now_ms += 5000;
  node.forget_traces();
  node.chill_all();
  CHECK(node.chilled == 1);
  CHECK(node("SCARD set") == ":2\r\n");
}

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// Writes of other replicas to keys whose values are on disk: merged as if these were in memory, or
// not at all until they are.
#include "engine/replica/missing_values.h"

#include <doctest/doctest.h>

#include <random>

#include "engine/expirer.h"
#include "tests/cold_storm.h"
#include "tests/cold_values.h"
#include "tests/random_command.h"
#include "tests/replica_node.h"

namespace dyno {
namespace {

struct Pair {
  // What the one has written and not yet told the other.
  std::vector<std::string> take_written() {
    std::vector<std::string> frames;
    for (ReplicaNode::Written& each : here.written) frames.push_back(std::move(each.frame));
    here.written.clear();
    return frames;
  }
  // The other merges them; its values come back when it asks for them. Returns for how many.
  int tell() {
    int waits = 0;
    there.client.now_ms = here.client.now_ms;
    for (const std::string& frame : take_written()) {
      Digest before = there.digest();
      while (there.receive(frame).lacks_values) {
        REQUIRE(there.digest() == before);
        auto wanted = cold.take_wanted();
        REQUIRE(!wanted.empty());
        waits += static_cast<int>(wanted.size());
        for (const ColdValues::Name& name : wanted) cold.bring_back(name);
      }
    }
    return waits;
  }
  void check_equal() {
    cold.warm_all();
    CHECK(there.describe() == here.describe());
    CHECK(there.digest() == here.digest());
    CHECK(there.damaged_slot() == -1);
  }

  ReplicaNode here{1};
  ReplicaNode there{2};
  ColdValues cold{there.client, there.replica};
};

// What has expired goes, wherever nobody has looked at it since.
void expire(ReplicaNode& node) {
  constexpr int64_t kBudgetUs = 60'000'000;
  Expirer expirer(node.client.executor());
  (void)expirer.run(0, kSlotCount, node.client.now_ms, kBudgetUs);
}

}  // namespace

TEST_CASE("a write that replaces all of a key needs nothing of it") {
  Pair pair;
  pair.here("SET a one");
  pair.here("SET b one EX 100");
  pair.here("SADD set one two");
  pair.here("RPUSH list one two");
  pair.here("SET gone one");
  CHECK(pair.tell() == 0);
  for (const char* key : {"a", "b", "set", "list", "gone"}) CHECK(pair.cold.chill(key));
  ++pair.here.client.now_ms;
  pair.here("SET a two");
  pair.here("SET b two");
  pair.here("SET set string");
  pair.here("DEL gone");
  pair.here.evict("list");
  CHECK(pair.tell() == 0);
  CHECK(pair.there("GET set") == "$6\r\nstring\r\n");
  pair.check_equal();
}

TEST_CASE("a write that changes a part of it waits for its value") {
  Pair pair;
  pair.here("SET a one");
  pair.here("SET n 41");
  pair.here("SADD set one two");
  pair.here("RPUSH list one two");
  pair.here("ZADD zset 1 one 2 two");
  pair.here("HSET hash one 1 two 2");
  CHECK(pair.tell() == 0);
  const std::vector<std::string> keys = {"a", "n", "set", "list", "zset", "hash"};
  for (const std::string& key : keys) CHECK(pair.cold.chill(key));
  ++pair.here.client.now_ms;
  pair.here("APPEND a two");
  pair.here("INCR n");
  pair.here("SREM set one");
  pair.here("LPOP list");
  pair.here("ZINCRBY zset 5 one");
  pair.here("HDEL hash two");
  CHECK(pair.tell() == 6);
  pair.check_equal();
  // A transaction waits for all it needs and is merged as a whole.
  pair.here("SET a one");
  pair.here("SET b one");
  CHECK(pair.tell() == 0);
  CHECK(pair.cold.chill("a"));
  CHECK(pair.cold.chill("b"));
  for (const char* line : {"MULTI", "APPEND a 1", "APPEND b 1", "EXEC"}) pair.here(line);
  CHECK(pair.tell() == 2);
  pair.check_equal();
}

TEST_CASE("of a key whose value cannot be read nothing is left, and it is to be pulled") {
  Pair pair;
  pair.here("SADD set one two");
  pair.here("SET other one");
  CHECK(pair.tell() == 0);
  CHECK(pair.cold.chill("set"));
  pair.cold.damage("set");
  pair.here("SADD set three");
  std::vector<std::string> frames = pair.take_written();
  REQUIRE(frames.size() == 1);
  MergeOutcome outcome = pair.there.receive(frames[0]);
  CHECK_FALSE(outcome.lacks_values);
  REQUIRE(outcome.to_pull.size() == 1);
  CHECK(outcome.to_pull[0].second == "set");
  CHECK(pair.there("SCARD set") == ":1\r\n");
  CHECK(pair.there.damaged_slot() == -1);
  pair.there.pull_key(pair.here, 0, "set");
  pair.check_equal();
}

TEST_CASE("a flush takes values that are on disk, whole or in part") {
  Pair pair;
  ReplicaNode third{3};
  pair.here("SADD older one");
  pair.here("SADD both one");
  pair.here("SET old string");
  (void)pair.tell();
  pair.here.client.now_ms += 10;
  third.client.now_ms = pair.here.client.now_ms;
  third("FLUSHALL");
  pair.here.client.now_ms += 10;
  pair.here("SADD both two");
  pair.here("SADD newer two");
  pair.here("SET new string");
  (void)pair.tell();
  for (const char* key : {"older", "both", "newer", "old", "new"}) CHECK(pair.cold.chill(key));
  REQUIRE(third.written.size() == 1);
  const std::string& flush = third.written[0].frame;
  CHECK(pair.there.receive(flush).lacks_values);
  auto wanted = pair.cold.take_wanted();
  REQUIRE(wanted.size() == 1);
  CHECK(std::get<2>(wanted[0]) == "both");
  pair.cold.bring_back(wanted[0]);
  CHECK_FALSE(pair.there.receive(flush).lacks_values);
  CHECK(pair.there("EXISTS older old") == ":0\r\n");
  CHECK(pair.there("EXISTS newer new both") == ":3\r\n");
  CHECK_FALSE(pair.here.receive(flush).lacks_values);
  pair.check_equal();
}

TEST_CASE("any write is merged into values on disk") {
  const std::vector<const CommandSpec*> specs = comparable_commands();
  int chilled = 0;
  int waits = 0;
  for (uint32_t seed = 1; seed <= 10; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    RandomCommand::Draw draw = [&](uint32_t n) { return n == 0 ? 0 : random() % n; };
    Pair pair;
    for (int i = 0; i < 1000; ++i) {
      const CommandSpec& spec = *specs[draw(static_cast<uint32_t>(specs.size()))];
      if (spec.name.starts_with("FLUSH") && draw(60) != 0) continue;
      if ((spec.flags & kWrite) == 0) continue;
      pair.here.run(RandomCommand(spec, pair.here.client.now_ms, draw).write());
      if (draw(3) == 0) {
        std::vector<std::pair<int, std::string>> names;
        for_each_warm(pair.there.client, [&](SlotIndex, Key& key) {
          names.emplace_back(key.db(), std::string(key.name()));
        });
        for (const auto& [db, name] : names) chilled += pair.cold.chill(name, db) ? 1 : 0;
      }
      waits += pair.tell();
      if (draw(30) == 0) {
        pair.here.client.now_ms += draw(2000);
        Stamp horizon = first_stamp_of(pair.here.client.now_ms - 1000);
        pair.here.collect(horizon);
        pair.there.collect(horizon);
        waits += pair.tell();
      }
    }
    pair.there.client.now_ms = pair.here.client.now_ms;
    pair.cold.warm_all();
    expire(pair.here);
    expire(pair.there);
    REQUIRE(pair.there.digest() == pair.here.digest());
    REQUIRE(pair.there.damaged_slot() == -1);
    REQUIRE(pair.there.describe() == pair.here.describe());
  }
  CHECK(chilled > 500);
  CHECK(waits > 200);
}

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// Dropping what is old loses nothing that another replica has: random writes of two nodes, a part
// of which both know. Once one has dropped that part and pulled from the other it holds what it
// would have held anyway.
#include "engine/replica/slot_drop.h"

#include <doctest/doctest.h>

#include <mutex>
#include <random>

#include "tests/replica_node.h"

namespace dyno {
namespace {

void write_some(ReplicaNode& node, std::mt19937& random, int count) {
  auto draw = [&](int limit) { return std::to_string(random() % static_cast<unsigned>(limit)); };
  for (int i = 0; i < count; ++i) {
    ++node.client.now_ms;
    const std::string key = draw(3);
    switch (random() % 14) {
      case 0:
        (void)node("SET s" + key + " v" + draw(1000));
        break;
      case 1:
        (void)node("INCRBY c" + key + " " + draw(50));
        break;
      case 2:
        (void)node("HSET h" + key + " f" + draw(9) + " " + draw(1000));
        break;
      case 3:
        (void)node("HINCRBY h" + key + " n" + draw(3) + " " + draw(50));
        break;
      case 4:
        (void)node("HDEL h" + key + " f" + draw(9) + " n" + draw(3));
        break;
      case 5:
        (void)node("SADD m" + key + " " + draw(9) + " " + draw(9));
        break;
      case 6:
        (void)node("SREM m" + key + " " + draw(9));
        break;
      case 7:
        (void)node("ZADD z" + key + " " + draw(100) + " " + draw(9));
        break;
      case 8:
        (void)node("ZINCRBY z" + key + " 2 " + draw(9));
        break;
      case 9:
        (void)node("ZREM z" + key + " " + draw(9));
        break;
      case 10:
        (void)node("RPUSH l" + key + " " + draw(1000) + " " + draw(1000));
        break;
      case 11:
        (void)node("LPOP l" + key);
        break;
      case 12:
        (void)node("EXPIRE s" + key + " " + draw(100) + "00");
        break;
      default:
        (void)node("DEL " + std::string(1, "schmzl"[random() % 6]) + key);
    }
  }
}

void deliver(ReplicaNode& from, ReplicaNode& to) {
  to.client.now_ms = std::max(to.client.now_ms, from.client.now_ms);
  for (const ReplicaNode::Written& written : from.written) {
    REQUIRE(to.receive(written.frame).refused.empty());
  }
  from.written.clear();
}

void drop(ReplicaNode& node, Stamp limit) {
  for (SlotIndex slot : node.slots) {
    std::string later;
    {
      std::lock_guard lock(node.client.keyspace().slot(slot).lock);
      (void)drop_slot(node.replica, slot, limit, node.client.now_ms, &later);
    }
    while (!later.empty()) {
      const size_t size = frame_bytes(later);
      REQUIRE(node.receive(later.substr(0, size), FrameOrigin::kState).refused.empty());
      later.erase(0, size);
    }
  }
}

TEST_CASE("what was dropped comes back from who has it, and what was later is still there") {
  for (unsigned seed = 1; seed <= 60; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    ReplicaNode one(1);
    ReplicaNode other(2);
    for (int round = 0; round < 4; ++round) {
      write_some(one, random, 30);
      write_some(other, random, 30);
      deliver(one, other);
      deliver(other, one);
    }
    const Stamp known = std::max(one.replica.clock().last(), other.replica.clock().last());
    REQUIRE(other.replica.clock().observe(known, other.client.now_ms));
    REQUIRE(one.replica.clock().observe(known, one.client.now_ms));
    // Of these the other knows nothing, nor does the one of what the other goes on to write.
    write_some(one, random, 40);
    std::vector<ReplicaNode::Written> unsent = one.written;
    write_some(other, random, 40);

    drop(one, known);
    CHECK(one.damaged_slot() < 0);
    one.client.now_ms = other.client.now_ms = std::max(one.client.now_ms, other.client.now_ms);
    one.pull(other);
    other.pull(one);
    CHECK(one.describe() == other.describe());
    CHECK(one.digest() == other.digest());
    CHECK(one.damaged_slot() < 0);
    // As if nothing had been dropped.
    const std::string after = other.describe();
    for (const ReplicaNode::Written& written : unsent) {
      REQUIRE(other.receive(written.frame).refused.empty());
    }
    CHECK(other.describe() == after);
  }
}

TEST_CASE("an emptied slot has no records or traces, and may have its keys back") {
  ReplicaNode node(1);
  (void)node("HSET h a 1 b 2");
  (void)node("HINCRBY h n 5");
  (void)node("HDEL h a");
  (void)node("DEL never");
  const Stamp now = node.replica.clock().last();
  const std::string before = node.describe();
  FrameWriter state;
  node.read_key(0, "h", &state);
  const std::string frame(state.finish());
  drop(node, now);
  CHECK(node.describe().empty());
  CHECK(node.replica.counts().records.load() == 0);
  CHECK(node.replica.counts().tombstones.load() == 0);
  REQUIRE(node.receive(frame, FrameOrigin::kState).refused.empty());
  CHECK(node.describe() == before);
}

TEST_CASE("of a frame what is later is kept") {
  FrameWriter writer;
  writer.add(0, "h", {.kind = FactKind::kField, .stamp = 20, .element = "new", .value = "1"});
  writer.add(0, "h", {.kind = FactKind::kField, .stamp = 10, .element = "old", .value = "2"});
  std::string later;
  keep_later(writer.finish(), 10, &later);
  std::vector<Delta> deltas;
  REQUIRE(read_frame(later, &deltas).empty());
  REQUIRE(deltas.size() == 1);
  REQUIRE(deltas[0].facts.size() == 1);
  CHECK(deltas[0].facts[0].element == "new");
  later.clear();
  keep_later(writer.finish(), 20, &later);
  CHECK(later.empty());
}

}  // namespace
}  // namespace dyno

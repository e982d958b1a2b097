// SPDX-License-Identifier: Apache-2.0
//
// Versions of keys that tell of what was removed: equal where replicas were told the same, however
// it came, and different where only one of them knows of a removal, though nothing is to be seen
// of it.
#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "engine/replica/key_export.h"
#include "tests/replica_node.h"

namespace dyno {
namespace {

Digest version(ReplicaNode& node, const std::string& name, bool traces) {
  Slot& slot = node.client.keyspace().slot(node.client.keyspace().hash(name).slot());
  slot.lock.lock();
  Digest digest =
      traces ? key_version_with_traces(node.replica, 0, name) : key_version(node.replica, 0, name);
  slot.lock.unlock();
  return digest;
}

std::vector<std::string> frames_of(ReplicaNode& node) {
  std::vector<std::string> frames;
  for (ReplicaNode::Written& written : node.written) frames.push_back(std::move(written.frame));
  node.written.clear();
  return frames;
}

TEST_CASE("a removal that one node alone knows of makes versions differ, seen or not") {
  struct Example {
    const char* key;
    const char* add;
    const char* remove;
  };
  for (const Example& each : std::initializer_list<Example>{
           {"h", "HSET h f 1", "HDEL h f"},
           {"h", "HSET h f 1", "DEL h"},
           {"h", "HINCRBY h n 1", "HDEL h n"},
           {"s", "SADD s m", "SREM s m"},
           {"z", "ZADD z 1 m", "ZREM z m"},
           {"z", "ZINCRBY z 1 m", "ZREM z m"},
           {"l", "RPUSH l a b c", "LTRIM l 1 0"},
           {"t", "SET t v", "DEL t"},
           {"c", "INCR c", "DEL c"},
       }) {
    CAPTURE(each.remove);
    ReplicaNode knows(1);
    ReplicaNode empty(2);
    (void)knows(each.add);
    (void)knows(each.remove);
    CHECK(version(knows, each.key, false) == version(empty, each.key, false));
    CHECK(!(version(knows, each.key, true) == version(empty, each.key, true)));
    // Whoever pulls it learns of the removal.
    empty.client.now_ms = knows.client.now_ms;
    empty.pull_key(knows, 0, each.key);
    CHECK(version(knows, each.key, true) == version(empty, each.key, true));
    knows.collect(knows.replica.clock().last());
    empty.collect(knows.replica.clock().last());
    CHECK(version(knows, each.key, true) == version(empty, each.key, true));
  }
}

TEST_CASE("replicas that were told the same agree, in whatever order it came") {
  std::mt19937 random(20261123);
  for (int round = 0; round < 40; ++round) {
    CAPTURE(round);
    ReplicaNode one(1);
    ReplicaNode other(2);
    auto draw = [&](int limit) { return std::to_string(random() % static_cast<unsigned>(limit)); };
    for (int i = 0; i < 60; ++i) {
      ReplicaNode& node = random() % 2 == 0 ? one : other;
      ++node.client.now_ms;
      switch (random() % 8) {
        case 0:
          (void)node("RPUSH l " + draw(9) + " " + draw(9) + " " + draw(9));
          break;
        case 1:
          (void)node("LPUSH l " + draw(9) + " " + draw(9));
          break;
        case 2:
          (void)node("LTRIM l " + draw(3) + " -" + draw(3));
          break;
        case 3:
          (void)node("LREM l 1 " + draw(9));
          break;
        case 4:
          (void)node("HSET h f" + draw(5) + " " + draw(9));
          break;
        case 5:
          (void)node("HDEL h f" + draw(5));
          break;
        case 6:
          (void)node("HINCRBY h n" + draw(2) + " 1");
          break;
        default:
          (void)node(random() % 4 == 0 ? "DEL h" : "HDEL h n" + draw(2));
      }
    }
    std::vector<std::string> from_one = frames_of(one);
    std::vector<std::string> from_other = frames_of(other);
    std::shuffle(from_one.begin(), from_one.end(), random);
    one.client.now_ms = other.client.now_ms = std::max(one.client.now_ms, other.client.now_ms);
    for (const std::string& frame : from_one) REQUIRE(other.receive(frame).refused.empty());
    for (const std::string& frame : from_other) REQUIRE(one.receive(frame).refused.empty());
    for (const std::string key : {"l", "h"}) {
      CAPTURE(key);
      CHECK(version(one, key, false) == version(other, key, false));
      CHECK(version(one, key, true) == version(other, key, true));
    }
  }
}

}  // namespace
}  // namespace dyno

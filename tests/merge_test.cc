// SPDX-License-Identifier: Apache-2.0
//
// What replicas make of writes that did not know of each other, where the outcome is easily got
// wrong: one case each, with the writes that lead there.
#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/replica_node.h"

namespace dyno {
namespace {

// Nodes with one clock; what one writes waits in its `written` until it is told to another.
struct Trio {
  ReplicaNode a{1};
  ReplicaNode b{2};
  ReplicaNode c{3};

  void advance(int64_t ms) {
    for (ReplicaNode* node : {&a, &b, &c}) node->client.now_ms += ms;
  }
  // What `from` wrote since the last time, for later.
  static std::vector<std::string> take(ReplicaNode& from) {
    std::vector<std::string> frames;
    for (auto& written : from.written) frames.push_back(std::move(written.frame));
    from.written.clear();
    return frames;
  }
  // What came of the last of them.
  static MergeOutcome tell(ReplicaNode& to, const std::vector<std::string>& frames) {
    MergeOutcome last;
    for (const std::string& frame : frames) {
      last = to.receive(frame);
      CHECK(last.refused == "");
    }
    return last;
  }
  // Everybody learns what `from` wrote.
  void share(ReplicaNode& from) {
    const std::vector<std::string> frames = take(from);
    for (ReplicaNode* node : {&a, &b, &c}) {
      if (node != &from) tell(*node, frames);
    }
  }
  // All show the same, and their digests say so.
  void check_equal() {
    const std::string shown = a.describe();
    for (ReplicaNode* node : {&a, &b, &c}) {
      CHECK(node->describe() == shown);
      CHECK(node->digest() == a.digest());
      CHECK(node->damaged_slot() == -1);
    }
  }
};

TEST_CASE("a key that was another type for a while begins with nothing, where it is written too") {
  Trio trio;
  trio.a("HINCRBY k counter 7");
  const std::vector<std::string> late = Trio::take(trio.a);
  trio.advance(1);
  trio.b("INCRBY k 4");
  trio.share(trio.b);
  trio.c("DEL k");  // Has not heard of the hash.
  trio.share(trio.c);
  for (ReplicaNode* node : {&trio.b, &trio.c}) Trio::tell(*node, late);
  trio.check_equal();
  trio.advance(1);
  trio.b("HSETNX k field value");
  trio.share(trio.b);
  trio.check_equal();
  CHECK(trio.a("HLEN k") == ":1\r\n");
}

TEST_CASE("a deadline of an emptied key does not come back with the next of its name") {
  for (const char* make : {"SADD k m", "HSET k m v", "HINCRBY k m 1", "ZADD k 1 m", "RPUSH k m"}) {
    CAPTURE(make);
    Trio trio;
    trio.a(make);
    trio.share(trio.a);
    trio.advance(1);
    for (const char* end : {"SREM k m", "HDEL k m", "ZREM k m", "LPOP k"}) trio.a(end);
    CHECK(trio.a("EXISTS k") == ":0\r\n");
    trio.advance(1);
    trio.b("EXPIRE k 100");  // Has not heard that the key is gone.
    const std::vector<std::string> late = Trio::take(trio.b);
    trio.share(trio.a);
    trio.advance(1);
    trio.c(make);
    trio.share(trio.c);
    for (ReplicaNode* node : {&trio.a, &trio.c}) Trio::tell(*node, late);
    trio.check_equal();
    CHECK(trio.a("TTL k") == ":-1\r\n");
  }
}

TEST_CASE("a deadline outlasts a removal that did not empty the key for all") {
  Trio trio;
  trio.a("RPUSH k x");
  trio.a("EXPIRE k 100");
  trio.share(trio.a);
  trio.b("RPUSH k y");
  trio.a("LPOP k");
  trio.share(trio.a);
  trio.share(trio.b);
  trio.check_equal();
  CHECK(trio.c("LRANGE k 0 -1") == "*1\r\n$1\r\ny\r\n");
  CHECK(trio.c("TTL k") == ":100\r\n");
}

TEST_CASE("an earlier deadline does not take what begins the key anew, even when that comes late") {
  Trio trio;
  trio.a("RPUSH k x");
  trio.a("PEXPIRE k 50");
  trio.share(trio.a);
  trio.a("LPOP k");
  trio.share(trio.a);
  trio.advance(10);
  trio.b("RPUSH k y");
  const std::vector<std::string> late = Trio::take(trio.b);
  trio.advance(100);
  for (ReplicaNode* node : {&trio.a, &trio.c}) Trio::tell(*node, late);
  trio.check_equal();
  CHECK(trio.a("LLEN k") == ":1\r\n");
}

TEST_CASE(
    "two types with one stamp, which no writer gives, are told on in a frame that can be read") {
  Trio trio;
  const Stamp stamp = make_stamp(trio.a.client.now_ms, 0, 1);
  FrameWriter frame;
  frame.add(0, "k", {.kind = FactKind::kField, .stamp = stamp, .element = "f", .value = "v"});
  frame.add(0, "k", {.kind = FactKind::kMember, .stamp = stamp, .element = "m"});
  CHECK(trio.a.receive(frame.finish()).refused == "");
  trio.b.pull(trio.a);
  trio.c.pull(trio.b);
  trio.check_equal();
}

TEST_CASE(
    "a SET that loses to a concurrent one is counted where it was made, one that follows is not") {
  Trio trio;
  trio.a("SET k first");
  trio.share(trio.a);
  trio.advance(1);
  trio.b("SET k second");
  trio.share(trio.b);
  auto lost = [](ReplicaNode& node) { return node.replica.counts().conflicts[0].load(); };
  for (ReplicaNode* node : {&trio.a, &trio.b, &trio.c}) CHECK(lost(*node) == 0);
  std::string told;
  trio.a.replica.set_conflict_log([&](std::string_view key, Type, Stamp) { told += key; });
  trio.a("SET k of_a");
  trio.advance(1);
  trio.b("SET k of_b");
  trio.share(trio.a);
  trio.share(trio.b);
  trio.check_equal();
  CHECK(lost(trio.a) == 1);
  CHECK(told == "k");
}

TEST_CASE("a later write is a rival, unless it surely knew of the one that it wins over") {
  Trio trio;
  trio.a("SET k of_a");
  const std::vector<std::string> write = Trio::take(trio.a);
  trio.advance(1);
  trio.b("SET k of_b");
  MergeOutcome outcome = Trio::tell(trio.b, write);
  CHECK(stamp_rack(outcome.dominated) == 2);
  CHECK_FALSE(outcome.is_followed);
  // The same node wrote once more, and that came first.
  trio.a("SET k again");
  trio.c.pull(trio.a);
  outcome = Trio::tell(trio.c, write);
  CHECK(outcome.dominated == 0);
  CHECK(outcome.is_followed);
}

TEST_CASE("who took an item out had seen it") {
  Trio trio;
  trio.a("RPUSH list v");
  const std::vector<std::string> push = Trio::take(trio.a);
  Trio::tell(trio.b, push);
  trio.advance(1);
  CHECK(trio.b("LPOP list") == "$1\r\nv\r\n");
  const MergeOutcome outcome = Trio::tell(trio.b, push);
  CHECK(outcome.dominated == 0);
  CHECK(outcome.is_followed);
}

TEST_CASE("what time has ended has met no rival") {
  Trio trio;
  trio.a("SET k v PX 10");
  const std::vector<std::string> write = Trio::take(trio.a);
  trio.advance(20);
  CHECK(Trio::tell(trio.b, write).dominated == 0);
  CHECK(Trio::tell(trio.b, write).dominated == 0);
}

TEST_CASE("whoever missed a flush learns of it with the state of any slot") {
  Trio trio;
  trio.a("MSET k v l w");
  trio.a("SADD s m");
  trio.share(trio.a);
  trio.a("FLUSHALL");
  (void)Trio::take(trio.a);
  trio.b.pull(trio.a);
  trio.c.pull(trio.b);
  trio.check_equal();
  CHECK(trio.c("EXISTS k l s") == ":0\r\n");
  trio.a("SET k again");
  trio.share(trio.a);
  trio.b.pull(trio.a);  // Tells of the flush once more, which changes nothing.
  trio.check_equal();
  CHECK(trio.b("GET k") == "$5\r\nagain\r\n");
}

}  // namespace
}  // namespace dyno

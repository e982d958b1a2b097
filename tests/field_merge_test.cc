// SPDX-License-Identifier: Apache-2.0
//
// Deadlines of hash fields among replicas: what a deadline hides, and what brings a field back.
#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include "engine/expirer.h"
#include "tests/replica_node.h"

namespace dyno {
namespace {

using Frames = std::vector<std::string>;

struct Pair {
  ReplicaNode a{1};
  ReplicaNode b{2};

  void advance(int64_t ms) {
    for (ReplicaNode* node : {&a, &b}) node->client.now_ms += ms;
  }
  static Frames take(ReplicaNode& from) {
    Frames frames;
    for (auto& written : from.written) frames.push_back(std::move(written.frame));
    from.written.clear();
    return frames;
  }
  static void tell(ReplicaNode& to, ReplicaNode& from, const Frames& frames) {
    for (const std::string& frame : frames) {
      MergeOutcome outcome = to.receive(frame);
      CHECK(outcome.refused == "");
      for (const auto& [db, name] : outcome.to_pull) to.pull_key(from, db, name);
    }
  }
  void share() {
    const Frames of_a = take(a);
    const Frames of_b = take(b);
    tell(a, b, of_b);
    tell(b, a, of_a);
  }
  static void sweep(ReplicaNode& node) {
    Expirer expirer(node.client.executor());
    while (expirer.run(0, kSlotCount, node.client.now_ms, 1'000'000)) {
    }
  }
  // Both show this, and their digests say so, before and after all traces were collected.
  void check_both(const std::string& wanted) {
    for (int i = 0; i < 2; ++i) {
      for (ReplicaNode* node : {&a, &b}) {
        sweep(*node);
        CHECK(node->describe() == wanted);
        CHECK(node->damaged_slot() == -1);
      }
      CHECK(a.digest() == b.digest());
      advance(1000);
      for (int n = 0; n < 4; ++n) {
        advance(10);
        for (ReplicaNode* node : {&a, &b}) {
          node->collect(first_stamp_of(node->client.now_ms - 5));
        }
      }
    }
    for (ReplicaNode* node : {&a, &b}) CHECK(node->replica.counts().tombstones == 0);
  }
};

// Both have the field f, which expires in 50 ms.
void begin(Pair& pair) {
  pair.a("HSET k f v");
  pair.a("HPEXPIRE k 50 FIELDS 1 f");
  pair.share();
}

TEST_CASE("HPERSIST in time brings back a field that had expired elsewhere") {
  Pair pair;
  begin(pair);
  pair.b("HPERSIST k FIELDS 1 f");
  pair.a.client.now_ms += 100;
  Pair::sweep(pair.a);
  CHECK(pair.a("EXISTS k") == ":0\r\n");
  pair.share();
  pair.check_both("0 k -1 hash|f=v@-1\n");
}

TEST_CASE("a longer deadline in time brings back a field, and ends it in its turn") {
  Pair pair;
  begin(pair);
  pair.b("HPEXPIRE k 5000 FIELDS 1 f");
  pair.a.client.now_ms += 100;
  Pair::sweep(pair.a);
  pair.share();
  CHECK(pair.a("HGET k f") == "$1\r\nv\r\n");
  pair.advance(5000);
  pair.check_both("");
}

TEST_CASE("HSET in time outlives the deadline that it did not know of") {
  Pair pair;
  pair.a("HSET k f v");
  pair.share();
  pair.a("HPEXPIRE k 50 FIELDS 1 f");
  pair.advance(10);
  pair.b("HSET k f later");
  pair.advance(100);
  Pair::sweep(pair.a);
  pair.share();
  pair.check_both("0 k -1 hash|f=later@-1\n");
}

// Node a forgets what has expired before b does, and then writes.
void check_forgotten(const std::vector<std::string>& first, const std::string& then,
                     const std::string& wanted) {
  Pair pair;
  for (const std::string& command : first) pair.a(command);
  pair.share();
  pair.advance(100);
  Pair::sweep(pair.a);
  for (int n = 0; n < 4; ++n) {
    pair.advance(10);
    pair.a.collect(first_stamp_of(pair.a.client.now_ms - 5));
  }
  CHECK(pair.a.replica.counts().tombstones == 0);
  pair.a(then);
  pair.share();
  pair.check_both(wanted);
}

TEST_CASE("a counter that expired and was forgotten at one node comes back at none") {
  const std::vector<std::string> field = {"HSET k g v", "HINCRBY k f 3",
                                          "HPEXPIRE k 50 FIELDS 1 f"};
  check_forgotten(field, "HSET k f 5", "0 k -1 hash|f=5@-1|g=v@-1\n");
  check_forgotten(field, "HINCRBY k f 5", "0 k -1 hash|f=5@-1|g=v@-1\n");
  check_forgotten(field, "DEL k", "");
  const std::vector<std::string> hash = {"HINCRBY k f 3", "PEXPIRE k 50"};
  check_forgotten(hash, "HINCRBY k f 5", "0 k -1 hash|f=5@-1\n");
  check_forgotten(hash, "HSET k g v", "0 k -1 hash|g=v@-1\n");
  const std::vector<std::string> text = {"INCRBY k 3", "PEXPIRE k 50"};
  check_forgotten(text, "INCRBY k 5", "0 k -1 string|5\n");
  check_forgotten(text, "SET k 5", "0 k -1 string|5\n");
}

TEST_CASE("an older HSET that comes late stays hidden") {
  Pair pair;
  pair.b("HSET k f early");
  pair.b("HSET k g stays");
  const Frames late = Pair::take(pair.b);
  pair.advance(1);
  pair.a("HSET k f v");
  pair.a("HPEXPIRE k 50 FIELDS 1 f");
  pair.share();
  pair.advance(100);
  Pair::sweep(pair.a);
  Pair::tell(pair.a, pair.b, late);
  pair.check_both("0 k -1 hash|g=stays@-1\n");
}

TEST_CASE("a deadline outlives what hid its field") {
  SUBCASE("a removal") {
    Pair pair;
    begin(pair);
    pair.a("HDEL k f");
    pair.advance(1);
    pair.b("HSET k f w");
    pair.advance(1);
    pair.b("HPEXPIRE k 900000 FIELDS 1 f");
    const Frames of_b = Pair::take(pair.b);
    // The deadline first, then the removal, then the value that it is of.
    Pair::tell(pair.a, pair.b, {of_b[1], of_b[0]});
    pair.share();
    pair.check_both("0 k -1 hash|f=w@1800000900002\n");
  }
  SUBCASE("a deletion of the key") {
    Pair pair;
    begin(pair);
    pair.a("DEL k");
    const Frames of_a = Pair::take(pair.a);
    pair.advance(1);
    pair.b("HSET k f w");
    pair.b("HPEXPIRE k 900000 FIELDS 1 f");
    const Frames of_b = Pair::take(pair.b);
    Pair::tell(pair.b, pair.a, of_a);
    Pair::tell(pair.a, pair.b, {of_b[1], of_b[0]});
    pair.check_both("0 k -1 hash|f=w@1800000900001\n");
  }
}

TEST_CASE("increments of a field that expires") {
  Pair pair;
  pair.a("HINCRBY k f 5");
  pair.a("HPEXPIRE k 50 FIELDS 1 f");
  pair.share();
  SUBCASE("all that came before go with it") {
    pair.b("HINCRBY k f 2");
    pair.advance(100);
    Pair::sweep(pair.a);
    pair.share();
    pair.check_both("");
  }
  SUBCASE("those that come after begin at nothing, and have no deadline") {
    pair.b("HINCRBY k f 2");
    pair.advance(100);
    CHECK(pair.a("HINCRBY k f 3") == ":3\r\n");
    CHECK(pair.a("HINCRBY k f 3") == ":6\r\n");
    CHECK(pair.a("HPTTL k FIELDS 1 f") == "*1\r\n:-1\r\n");
    const Frames of_a = Pair::take(pair.a);
    Pair::tell(pair.b, pair.a, of_a);
    CHECK(pair.b("HGET k f") == "$1\r\n8\r\n");
    pair.share();
    pair.check_both("0 k -1 hash|f=8@-1\n");
  }
  SUBCASE("HPERSIST in time brings all back") {
    pair.b("HINCRBY k f 2");
    pair.b("HPERSIST k FIELDS 1 f");
    pair.a.client.now_ms += 100;
    Pair::sweep(pair.a);
    pair.share();
    pair.check_both("0 k -1 hash|f=7@-1\n");
  }
  SUBCASE("a field that was removed and begins again has no deadline") {
    pair.a("HDEL k f");
    Frames of_a = Pair::take(pair.a);
    pair.advance(1);
    pair.b("HPEXPIRE k 900000 FIELDS 1 f");
    const Frames late = Pair::take(pair.b);
    pair.advance(1);
    pair.a("HINCRBY k f 1");
    Pair::tell(pair.b, pair.a, of_a);
    Pair::tell(pair.a, pair.b, late);
    pair.share();
    pair.check_both("0 k -1 hash|f=1@-1\n");
  }
}

TEST_CASE("HPERSIST leaves a value alone that was written meanwhile") {
  Pair pair;
  begin(pair);
  pair.b("HSET k f newer");
  pair.advance(1);
  pair.a("HPERSIST k FIELDS 1 f");
  pair.share();
  pair.check_both("0 k -1 hash|f=newer@-1\n");
}

TEST_CASE("whoever is told the state of a key is told what its deadlines hide") {
  Pair pair;
  begin(pair);
  pair.advance(100);
  Pair::sweep(pair.a);
  ReplicaNode fresh(3);
  fresh.client.now_ms = pair.a.client.now_ms;
  fresh.pull(pair.a);
  fresh.pull(pair.b);
  CHECK(fresh.describe() == "");
  CHECK(fresh.damaged_slot() == -1);
}

}  // namespace
}  // namespace dyno

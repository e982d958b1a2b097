// SPDX-License-Identifier: Apache-2.0
//
// What frames of peers may do to a node's data: keys of others are passed over, and of a frame that
// nobody may have written nothing is taken.
#include "src/ring_store.h"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

#include "tests/delta_bytes.h"
#include "tests/replica_node.h"

namespace dyno {
namespace {

constexpr Token kMiddle = Token{1} << 31;

// A rack of two nodes, of which this is the first, and a rack of one.
struct Fixture {
  Fixture() {
    std::vector<NodeSpec> specs = {{"dc", "r1", {0}, "host", 1},
                                   {"dc", "r1", {kMiddle}, "host", 2},
                                   {"dc", "r2", {0}, "host", 3}};
    REQUIRE(Topology::make(specs, &topology).empty());
    while (!topology.owns(self, 0)) ++self;
  }
  Token token(std::string_view name) { return node.client.keyspace().hash(name).token; }
  // The first key of that name and a number which the node owns, or does not own.
  std::string key(const std::string& name, bool own) {
    int i = 0;
    while (topology.owns(self, token(name + std::to_string(i))) != own) ++i;
    return name + std::to_string(i);
  }
  Version version(const std::string& name) { return store().version({0, name, token(name)}, true); }
  RingStore store() {
    return RingStore(node.replica, topology, self, [this] { return node.client.now_ms; });
  }

  Topology topology;
  NodeIndex self = 0;
  ReplicaNode node{1};
};

// A total of the string counter "k", as part of a delta.
Bytes& add_total(Bytes& bytes, Actor actor, __int128 whole) {
  return bytes.fact(FactKind::kTotal)
      .u8(0)
      .text("")
      .u32(actor)
      .u64(kOldest)
      .i128(whole)
      .u16(0)
      .u64(0);
}

bool is_nothing(const Version& version) {
  return version.low == 0 && version.high == 0;
}

TEST_CASE("keys that the node does not own are passed over, and nothing else of the frame") {
  Fixture f;
  const std::string own = f.key("k", true);
  const std::string foreign = f.key("k", false);
  Bytes both;
  for (const std::string& key : {foreign, own}) {
    both.delta(1, key).fact(FactKind::kMember).text("m");
  }
  const std::string frame = frame_of(both);
  CHECK(f.store().apply(frame).refusal == Store::Refusal::kNone);
  CHECK(f.node("SCARD " + own) == ":1\r\n");
  CHECK(f.node("SCARD " + foreign) == ":0\r\n");
  CHECK(is_nothing(f.version(foreign)));
  CHECK_FALSE(is_nothing(f.version(own)));
  // Of states that were asked for, too.
  CHECK(f.store().apply_state(frame).refusal == Store::Refusal::kNone);
  CHECK(is_nothing(f.version(foreign)));
  CHECK(f.node.damaged_slot() == -1);
}

TEST_CASE("of a frame with one fact that nobody may have written nothing is taken") {
  const std::string key = Fixture().key("k", true);
  auto member = [&](Bytes& bytes) -> Bytes& {
    return bytes.delta(2, key).fact(FactKind::kMember).text("m");
  };
  Bytes whole;
  Bytes unknown;
  Bytes future;
  Bytes flush;
  member(whole).fact(FactKind::kMember).text("n");
  member(unknown).u8(200).u8(0);
  member(future).fact(FactKind::kMember).text("n").delta(1, key, 0, kNewest).fact(FactKind::kClear);
  member(flush).fact(FactKind::kFlush);
  for (const Bytes& bad : {unknown, flush, future}) {
    Fixture f;
    bool is_future = bad.str() == future.str();
    CHECK(f.store().apply(frame_of(bad)).refusal ==
          (is_future ? Store::Refusal::kTooEarly : Store::Refusal::kBroken));
    CHECK(is_nothing(f.version(key)));
    CHECK(f.node("EXISTS " + key) == ":0\r\n");
    CHECK(f.store().apply(frame_of(whole)).refusal == Store::Refusal::kNone);
    CHECK(f.node("SCARD " + key) == ":2\r\n");
    // Frames before a broken one are whole; what follows it is not looked at.
    Bytes third;
    third.delta(1, key).fact(FactKind::kMember).text("o");
    CHECK(f.store().apply(frame_of(third) + frame_of(unknown) + frame_of(flush)).refusal ==
          Store::Refusal::kBroken);
    CHECK(f.node("SCARD " + key) == ":3\r\n");
    CHECK(f.node.damaged_slot() == -1);
  }
}

TEST_CASE("totals that no counter reaches add up the same in any order, and are answered") {
  constexpr __int128 kMost = static_cast<__int128>(~static_cast<unsigned __int128>(0) >> 1);
  const std::string key = Fixture().key("k", true);
  std::string values[2];
  for (int order = 0; order < 2; ++order) {
    Fixture f;
    for (int i = 0; i < 3; ++i) {
      Bytes bytes;
      bytes.delta(1, key);
      int turn = order == 0 ? i : 2 - i;
      add_total(bytes, make_actor(static_cast<uint8_t>(1 + turn), 1),
                turn == 2 ? kMost : -kMost - 1);
      CHECK(f.store().apply(frame_of(bytes)).refusal == Store::Refusal::kNone);
    }
    values[order] = f.node("GET " + key);
    values[order] += f.node("INCR " + key);
    CHECK(f.node.damaged_slot() == -1);
  }
  CHECK(values[0] == values[1]);
  CHECK(values[0].starts_with("$"));
}

// A data center of two racks, of which the node is in the first, and one of one.
struct TwoDcs {
  TwoDcs() {
    std::vector<NodeSpec> specs = {{"dc1", "r1", {0}, "host", 1},
                                   {"dc1", "r2", {0}, "host", 2},
                                   {"dc2", "r1", {0}, "host", 3}};
    REQUIRE(Topology::make(specs, &topology).empty());
    while (topology.node(self).rack_number != 1) ++self;
  }
  RackNumber rack(bool near) {
    uint16_t own = topology.node(self).dc_index;
    for (const Topology::Rack& rack : topology.racks()) {
      if (rack.number != 1 && (rack.dc_index == own) == near) return rack.number;
    }
    return 0;
  }
  // The node writes, and a node of that rack wins over it elsewhere; `then` is what runs here next.
  std::string restamped(bool near, const std::string& write, const std::string& then) {
    RingStore store(node.replica, topology, self, [this] { return node.client.now_ms; });
    node(write);
    Frame frame{node.written.back().stamp, {}, node.written.back().frame};
    node.client.now_ms += 1;
    if (!then.empty()) node(then);
    Stamp winner = make_stamp(node.client.now_ms + 5, 0, rack(near));
    std::optional<Frame> anew = store.restamp(frame, winner);
    if (!anew) return "refused";
    return anew->stamp > winner ? "above" : "below";
  }

  Topology topology;
  NodeIndex self = 0;
  ReplicaNode node{1};
};

TEST_CASE("a write is stamped anew when nobody can have written with it in sight") {
  CHECK(TwoDcs().restamped(false, "SET k v", "") == "above");
  // Of this data center.
  CHECK(TwoDcs().restamped(true, "SET k v", "") == "refused");
  // The node itself.
  CHECK(TwoDcs().restamped(false, "SET k v", "SET k w") == "refused");
  CHECK(TwoDcs().restamped(false, "SADD k v", "SREM k v") == "refused");
  CHECK(TwoDcs().restamped(false, "SADD k v", "SADD k w") == "above");
  CHECK(TwoDcs().restamped(false, "SET k v PX 1", "PING") == "refused");
  // What it says would be another thing.
  CHECK(TwoDcs().restamped(false, "RPUSH k v", "") == "refused");
  CHECK(TwoDcs().restamped(false, "INCR k", "") == "refused");
}

TEST_CASE("a node whose clock was set back keeps its later writes when it drops what is older") {
  Fixture f;
  const std::string old_key = f.key("old", true);
  const std::string new_key = f.key("new", true);
  f.node("SET " + old_key + " v");
  const Stamp limit = f.node.replica.clock().last();
  f.node.client.now_ms += 10;
  f.node("SET " + new_key + " v");
  f.node.client.now_ms -= 10'000;
  RingStore store = f.store();
  for (int i = 0; i < 100000 && !store.drop_until(limit); ++i) {
  }
  CHECK(f.node("EXISTS " + old_key) == ":0\r\n");
  CHECK(f.node("GET " + new_key) == "$1\r\nv\r\n");
  CHECK(f.node.damaged_slot() == -1);
}

}  // namespace
}  // namespace dyno

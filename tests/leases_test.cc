// SPDX-License-Identifier: Apache-2.0
//
// Leases from both sides: what one node counts on ends before what the other has promised does.
#include "ring/leases.h"

#include <doctest/doctest.h>

#include <thread>

namespace dyno {
namespace {

constexpr int64_t kMs = kMicrosPerMs;

struct Fixture {
  Fixture() {
    std::vector<NodeSpec> specs = {{"dc1", "r1", {0}, "host", 1},
                                   {"dc1", "r2", {0}, "host", 2},
                                   {"dc1", "r3", {0}, "host", 3},
                                   {"dc2", "r1", {0}, "host", 4}};
    REQUIRE(Topology::make(specs, &topology).empty());
    while (topology.node(self).dc != "dc1") ++self;
    for (NodeIndex node = 0; node < topology.nodes().size(); ++node) {
      if (node != self && topology.node(node).dc == "dc1") near.push_back(node);
      if (topology.node(node).dc == "dc2") far = node;
    }
  }
  static Now at(int64_t ms) { return {ms * kMs, 1'800'000'000'000 + ms}; }

  Topology topology;
  NodeIndex self = 0;
  NodeIndex far = 0;
  std::vector<NodeIndex> near;
};

TEST_CASE("a node is settled while it holds a lease of every replica here, and knows enough") {
  Fixture f;
  Leases leases(f.topology, f.self, 0);
  const Stamp clock = first_stamp_of(f.at(1000).unix_ms);
  CHECK_FALSE(leases.is_settled(f.at(1000), ~Stamp{0}));
  leases.hold(f.at(1000), f.near[0], 990 * kMs, clock);
  leases.hold(f.at(1000), f.far, 990 * kMs, clock);
  CHECK_FALSE(leases.is_settled(f.at(1000), ~Stamp{0}));
  leases.hold(f.at(1000), f.near[1], 980 * kMs, clock);
  CHECK(leases.is_settled(f.at(1000), ~Stamp{0}));
  // What may have been written before by whose clock is ahead.
  CHECK(stamp_ms(leases.disturbed()) == f.at(1500).unix_ms);
  CHECK_FALSE(leases.is_settled(f.at(1000), leases.disturbed() - 1));
  CHECK(leases.is_settled(f.at(1429), leases.disturbed()));
  CHECK_FALSE(leases.is_settled(f.at(1430), leases.disturbed()));
  // A lease without a gap changes nothing else; one with a gap does.
  const Stamp disturbed = leases.disturbed();
  leases.hold(f.at(1420), f.near[0], 1400 * kMs, first_stamp_of(f.at(1420).unix_ms));
  leases.hold(f.at(1429), f.near[1], 1410 * kMs, first_stamp_of(f.at(1429).unix_ms));
  CHECK(leases.disturbed() == disturbed);
  CHECK(leases.is_settled(f.at(1840), disturbed));
  leases.hold(f.at(1851), f.near[0], 1850 * kMs, first_stamp_of(f.at(1851).unix_ms));
  CHECK(leases.disturbed() > disturbed);
}

TEST_CASE("what was answered too late, or was never sent, is no lease") {
  Fixture f;
  Leases leases(f.topology, f.self, 0);
  for (int64_t sent_us : {1000 * kMs - Leases::kHeldUs, 1001 * kMs, int64_t{-1}, kNever}) {
    for (NodeIndex node : f.near) leases.hold(f.at(1000), node, sent_us, 0);
    CHECK_FALSE(leases.is_settled(f.at(1000), ~Stamp{0}));
    CHECK(leases.disturbed() == 0);
  }
}

TEST_CASE("who runs no writes holds nothing, also of what was asked before") {
  Fixture f;
  Leases leases(f.topology, f.self, 0);
  for (NodeIndex node : f.near) leases.hold(f.at(1000), node, 1000 * kMs, 0);
  leases.drop(f.at(1010));
  CHECK_FALSE(leases.is_settled(f.at(1010), ~Stamp{0}));
  for (NodeIndex node : f.near) leases.hold(f.at(1020), node, 1010 * kMs, 0);
  CHECK_FALSE(leases.is_settled(f.at(1020), ~Stamp{0}));
  for (NodeIndex node : f.near) leases.hold(f.at(1030), node, 1020 * kMs, 0);
  CHECK(leases.is_settled(f.at(1030), ~Stamp{0}));
}

TEST_CASE("who stands in waits for what it has promised, and promises nothing meanwhile") {
  Fixture f;
  Leases leases(f.topology, f.self, 0);
  NodeIndex node = f.near[0];
  CHECK(leases.grant(f.at(2000), node));
  CHECK(leases.stand_in(node) == 2000 * kMs + Leases::kPromisedUs);
  CHECK_FALSE(leases.grant(f.at(2100), node));
  CHECK(leases.grant(f.at(2100), f.near[1]));
  // For a long one, too.
  CHECK_FALSE(leases.grant(f.at(9000), node));
  leases.end_standing_in(node);
  CHECK_FALSE(leases.grant(f.at(9999), node));
  // The next one is not to wait.
  CHECK(leases.stand_in(node) <= 9999 * kMs);
  leases.end_standing_in(node);
  CHECK_FALSE(leases.grant(f.at(10100), node));
  CHECK(leases.grant(f.at(11100), node));
}

TEST_CASE("a process begins with what its predecessor may have promised") {
  Fixture f;
  Leases leases(f.topology, f.self, 7000 * kMs);
  CHECK(leases.stand_in(f.near[0]) == 7000 * kMs + Leases::kPromisedUs);
  leases.release(f.near[1]);
  CHECK(leases.stand_in(f.near[1]) <= 7000 * kMs);
}

TEST_CASE("a node without replicas here is settled") {
  Topology topology;
  REQUIRE(Topology::make({{"dc1", "r1", {0}, "host", 1}, {"dc2", "r1", {0}, "host", 2}}, &topology)
              .empty());
  Leases leases(topology, 0, 0);
  leases.drop(Fixture::at(1));
  CHECK(leases.is_settled(Fixture::at(1), 0));
}

TEST_CASE("no lease is granted beside a write that runs at once") {
  Fixture f;
  for (int round = 0; round < 2000; ++round) {
    Leases leases(f.topology, f.self, -Leases::kPromisedUs);
    NodeIndex node = f.near[0];
    bool is_granted = false;
    std::thread steward([&] { is_granted = leases.grant(f.at(5000), node); });
    bool runs = leases.stand_in(node) <= 5000 * kMs;
    steward.join();
    CHECK_FALSE((is_granted && runs));
  }
}

}  // namespace
}  // namespace dyno

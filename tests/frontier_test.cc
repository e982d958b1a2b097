// SPDX-License-Identifier: Apache-2.0
//
// What may be forgotten: the rules of ring/frontier.h, one by one.
#include "ring/frontier.h"

#include <doctest/doctest.h>

namespace dyno {
namespace {

// Nodes 0, 1, 2, each a rack that owns everything. The frontier is node 0's.
Topology three_racks() {
  Topology topology;
  REQUIRE(Topology::make(
              {{"dc", "r1", {0}, "h", 1}, {"dc", "r2", {0}, "h", 2}, {"dc", "r3", {0}, "h", 3}},
              &topology)
              .empty());
  return topology;
}

constexpr Stamp kLead = static_cast<Stamp>(HybridClock::kLeadMaxMs) << kStampMsShift;

struct Example {
  Topology topology = three_racks();
  Frontier frontier{topology, 0};
  Now now{};

  void mark(NodeIndex node, Stamp watermark, Stamp published, uint32_t incarnation = 1) {
    frontier.mark(node, incarnation, 0, watermark, published);
  }
  // Both peers known and pulled from, and everything known up to `stamp`.
  void settle(Stamp stamp) {
    frontier.peer_seen(1, 1, 1, 0);
    frontier.peer_seen(2, 1, 1, 0);
    mark(1, stamp, stamp);
    mark(2, stamp, stamp);
    for (auto [node, since] : frontier.wanted(stamp)) {
      frontier.pulled(node, stamp, {{1, 1}, {2, 1}});
    }
  }
  void pass(int64_t us, Stamp clock) {
    for (int64_t spent = 0; spent <= us; spent += Frontier::kSampleUs) {
      now.mono_us += Frontier::kSampleUs;
      frontier.handle_timeout(now, clock, clock);
    }
  }
};

TEST_CASE("the horizon is the least of all published stamps, long enough ago") {
  Example example;
  Stamp stamp = kLead + 100;
  example.settle(stamp);
  CHECK(example.frontier.published(stamp + 5) == stamp);
  example.mark(2, stamp + 10, stamp - 1);
  example.pass(StateAge{}.kept_us - 2 * Frontier::kSampleUs, stamp + 5);
  CHECK(example.frontier.horizon() == 0);
  example.pass(2 * Frontier::kSampleUs, stamp + 5);
  CHECK(example.frontier.horizon() == stamp);
}

TEST_CASE("a peer that was never heard of, or a lane of it, holds everything back") {
  Example example;
  Stamp stamp = kLead + 100;
  example.frontier.peer_seen(1, 1, 2, 0);
  example.frontier.peer_seen(2, 1, 1, 0);
  example.mark(1, stamp, stamp);
  example.mark(2, stamp, stamp);
  CHECK(example.frontier.watermark(stamp) == 0);
  example.frontier.mark(1, 1, 1, stamp - 3, stamp - 3);
  CHECK(example.frontier.watermark(stamp) == stamp - 3);
  CHECK(example.frontier.published(stamp) == 0);
}

TEST_CASE("what is known of this data center does not wait for another one") {
  Topology topology;
  REQUIRE(Topology::make(
              {{"dc", "r1", {0}, "h", 1}, {"dc", "r2", {0}, "h", 2}, {"far", "r1", {0}, "h", 3}},
              &topology)
              .empty());
  Frontier frontier{topology, 0};
  frontier.peer_seen(1, 1, 1, 0);
  frontier.mark(1, 1, 0, kLead + 100, 0);
  CHECK(frontier.known_near(kLead + 200) == 0);  // Its predecessor may have written.
  frontier.pulled(2, kLead + 100, {{1, 1}});
  CHECK(frontier.known_near(kLead + 200) == kLead + 100);
  CHECK(frontier.known_near(kLead + 50) == kLead + 50);
  CHECK(frontier.published(kLead + 200) == 0);
}

TEST_CASE("marks do not go back, and those of another incarnation say nothing") {
  Example example;
  example.settle(kLead + 100);
  example.mark(1, kLead + 50, kLead + 50);
  CHECK(example.frontier.published(kLead + 200) == kLead + 100);
  example.mark(1, kLead + 150, kLead + 150, 2);
  CHECK(example.frontier.published(kLead + 200) == kLead + 100);
}

TEST_CASE("what a lost memory had reached stays until the others were pulled from") {
  Example example;
  Stamp stamp = kLead + 100;
  example.settle(stamp);
  example.frontier.peer_seen(1, 2, 1, stamp);
  CHECK(example.frontier.published(stamp + 900) == 0);
  Stamp later = stamp + kLead + 1;
  example.mark(1, later, later, 2);
  CHECK(example.frontier.published(later) == stamp);
  // Node 2 has not said yet that it knows everything older than the new incarnation.
  CHECK(example.frontier.wanted(later).empty());
  example.mark(2, later, later);
  CHECK(example.frontier.wanted(later).size() == 1);
  CHECK(example.frontier.wanted(later).contains(2));
  // It did not know of the new incarnation, or the pull began too early: neither counts.
  example.frontier.pulled(2, later, {{1, 1}});
  example.frontier.pulled(2, stamp, {{1, 2}});
  CHECK(example.frontier.published(later) == stamp);
  example.frontier.pulled(2, later, {{1, 2}});
  CHECK(example.frontier.published(later) == later);
}

TEST_CASE("what was seen before a memory was lost does not age on") {
  Example example;
  Stamp stamp = kLead + 100;
  example.settle(stamp);
  example.pass(StateAge{}.kept_us / 2, stamp);
  example.frontier.peer_seen(1, 2, 1, stamp);
  example.pass(2 * StateAge{}.kept_us, stamp);
  CHECK(example.frontier.horizon() == 0);
}

TEST_CASE("a node that is forgotten no longer counts, until it comes back as another") {
  Example example;
  Stamp stamp = kLead + 100;
  example.settle(stamp);
  example.mark(2, stamp + 50, stamp + 50);
  example.frontier.forget(1);
  CHECK(example.frontier.published(stamp + 60) == stamp + 50);
  example.frontier.peer_seen(1, 2, 1, stamp);
  CHECK(example.frontier.published(stamp + 60) == 0);
}

TEST_CASE("a node without replicas is complete") {
  Topology topology;
  REQUIRE(Topology::make({{"dc", "r1", {0}, "h", 1}}, &topology).empty());
  Frontier frontier(topology, 0);
  CHECK(frontier.published(77) == 77);
}

}  // namespace
}  // namespace dyno

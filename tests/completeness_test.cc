// SPDX-License-Identifier: Apache-2.0
//
// Who is stale, and who is trusted: the rules of ring/completeness.h, one by one.
#include "ring/completeness.h"

#include <doctest/doctest.h>

namespace dyno {
namespace {

constexpr Stamp kAll = Completeness::kAll;

// Nodes 0, 1, 2, each a rack that owns everything. The rules are applied at node 0.
struct Example {
  Topology topology;
  Example() {
    REQUIRE(Topology::make(
                {{"dc", "r1", {0}, "h", 1}, {"dc", "r2", {0}, "h", 2}, {"dc", "r3", {0}, "h", 3}},
                &topology)
                .empty());
  }
};

TEST_CASE("who begins without data is never stale") {
  Example example;
  Completeness own(example.topology, 0);
  own.heard(1, {true, 500, kAll, 400});
  CHECK(own.stale_until() == 0);
  CHECK(own.sound() == kAll);
  CHECK(own.complete() == 0);
}

TEST_CASE("who begins with data from before a peer's horizon is stale until it has dropped it") {
  Example example;
  Completeness own(example.topology, 0);
  own.begin(300);
  CHECK(own.stale_until() == 0);
  own.heard(1, {true, 500, kAll, 300});
  CHECK(own.stale_until() == 0);
  own.heard(2, {true, 500, kAll, 301});
  CHECK(own.stale_until() == 301);
  own.dropped(301);
  CHECK(own.stale_until() == 0);
  CHECK(own.complete() == 0);
  CHECK(own.sound() == kAll);
}

TEST_CASE("a horizon that is heard of while old data is dropped makes stale again") {
  Example example;
  Completeness own(example.topology, 0);
  own.begin(300);
  own.heard(1, {true, 500, kAll, 350});
  own.heard(2, {true, 500, kAll, 400});
  own.dropped(350);
  CHECK(own.stale_until() == 400);
}

TEST_CASE("what a node publishes it knows, so that no horizon up to there makes it stale") {
  Example example;
  Completeness own(example.topology, 0);
  own.begin(300);
  own.published(450);
  own.heard(1, {true, 500, kAll, 450});
  CHECK(own.stale_until() == 0);
  CHECK(own.complete() == 450);
}

TEST_CASE("nobody is trusted before it has spoken, or that may hold what is forgotten") {
  Example example;
  Completeness own(example.topology, 0);
  own.set_horizon(200);
  CHECK(!own.trusts(1));
  own.heard(1, {true, 500, 199, 0});
  CHECK(!own.trusts(1));
  own.heard(1, {true, 500, 200, 0});
  CHECK(own.trusts(1));
  // The horizon of a third one counts as well.
  own.heard(2, {true, 500, kAll, 201});
  CHECK(!own.trusts(1));
  // In its place is another process, which has not said what it holds.
  own.peer_seen(2);
  CHECK(!own.trusts(2));
}

TEST_CASE("a node is no sounder than whom it trusts, and as complete as who filled it") {
  Example example;
  Completeness own(example.topology, 0);
  own.heard(1, {false, 0, 100, 0});
  CHECK(own.sound() == kAll);  // Nothing is had from one that does not serve.
  own.heard(1, {true, 250, 250, 200});
  CHECK(own.sound() == 250);
  own.filled_from(1);
  CHECK(own.complete() == 250);
  // What it has published itself it knows, whoever it pulls from.
  own.published(400);
  own.heard(1, {true, 300, 300, 200});
  CHECK(own.sound() == 400);
}

TEST_CASE("who has dropped its data is filled from one that has all of that") {
  Example example;
  Completeness own(example.topology, 0);
  own.begin(300);
  own.heard(1, {true, 500, kAll, 400});
  own.heard(2, {true, 399, kAll, 0});
  own.dropped(400);
  CHECK(own.can_fill(1));
  CHECK(!own.can_fill(2));
}

}  // namespace
}  // namespace dyno

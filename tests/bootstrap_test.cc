// SPDX-License-Identifier: Apache-2.0
//
// When a node whose memory is empty begins to serve.
#include "ring/bootstrap.h"

#include <doctest/doctest.h>

namespace dyno {
namespace {

struct Example {
  Example() {
    REQUIRE(Topology::make(
                {{"dc", "r1", {0}, "h", 1}, {"dc", "r2", {0}, "h", 2}, {"dc", "r3", {0}, "h", 3}},
                &topology)
                .empty());
  }
  // Both others serve, and one was pulled from.
  Bootstrap half_filled() {
    Bootstrap machine(topology, 0);
    machine.handle_timeout(now);
    machine.heard(1, NodeState::kNormal);
    machine.heard(2, NodeState::kNormal);
    machine.handle_timeout(now);
    machine.pulled(1);
    machine.handle_timeout(now);
    CHECK(!machine.is_filled());
    return machine;
  }
  void pass(Bootstrap& machine, int64_t us) {
    now.mono_us += us;
    machine.handle_timeout(now);
  }

  Topology topology;
  Now now{1000, 0};
};

TEST_CASE("A donor that is slow is waited for") {
  Example example;
  Bootstrap machine = example.half_filled();
  machine.heard(2, NodeState::kDown);
  example.pass(machine, 1000 * kMicrosPerMs);
  CHECK(!machine.is_filled());
  machine.heard(2, NodeState::kNormal);
  example.pass(machine, 2 * Bootstrap::kPatienceUs);
  CHECK(!machine.is_filled());
  CHECK(machine.wanted() == std::vector<NodeIndex>{2});
  machine.pulled(2);
  example.pass(machine, 1);
  CHECK(machine.is_filled());
}

TEST_CASE("A donor that stays silent is given up, one that is gone at once") {
  Example example;
  Bootstrap silent = example.half_filled();
  silent.heard(2, NodeState::kDown);
  example.pass(silent, 1);
  example.pass(silent, Bootstrap::kPatienceUs - 1);
  CHECK(!silent.is_filled());
  example.pass(silent, 1);
  CHECK(silent.is_filled());

  Bootstrap gone = example.half_filled();
  gone.unreachable(2);
  gone.heard(2, NodeState::kDown);
  example.pass(gone, 1);
  CHECK(gone.is_filled());
}

}  // namespace
}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// Who is there, by answers to heartbeats; whose clock is off; and whether a node may serve.
#include "ring/failure_detector.h"

#include <doctest/doctest.h>

#include "ring/bootstrap.h"

namespace dyno {
namespace {

Topology racks(int count) {
  std::vector<NodeSpec> specs;
  for (int i = 0; i < count; ++i) {
    specs.push_back(
        {i < 3 ? "dc1" : "dc2", "r" + std::to_string(i), {0}, "h", static_cast<uint16_t>(i + 1)});
  }
  Topology topology;
  REQUIRE(Topology::make(specs, &topology).empty());
  return topology;
}

struct Example {
  Topology topology = racks(3);
  FailureDetector detector{topology, 0};
  Now now{1'000'000, 1'000'000};

  void pass(int64_t ms, bool answers, int64_t offset_ms = 0) {
    for (int64_t spent = 0; spent < ms; spent += 50) {
      now.mono_us += 50 * kMicrosPerMs;
      now.unix_ms += 50;
      for (NodeIndex node = 1; node < 3; ++node) {
        if (!detector.is_due(now, node)) continue;
        Heartbeat heartbeat = detector.heartbeat(now, node);
        heartbeat.state = static_cast<uint8_t>(NodeState::kNormal);
        heartbeat.unix_ms += offset_ms;
        if (answers || node == 2) detector.handle_answer(now, node, heartbeat);
      }
      detector.handle_timeout(now);
    }
  }
  void link() {
    for (NodeIndex node = 1; node < 3; ++node) detector.link_up(now, node);
  }
};

TEST_CASE("a peer is there as long as it answers") {
  Example example;
  CHECK(example.detector.state_of(1) == NodeState::kDown);
  example.link();
  example.pass(200, true);
  CHECK(example.detector.state_of(1) == NodeState::kNormal);
  example.pass(500, false);
  CHECK(example.detector.state_of(1) == NodeState::kNormal);
  example.pass(600, false);
  CHECK(example.detector.state_of(1) == NodeState::kDown);
  CHECK(example.detector.state_of(2) == NodeState::kNormal);
  example.pass(200, true);
  CHECK(example.detector.state_of(1) == NodeState::kNormal);
}

TEST_CASE("a broken link makes a peer down sooner") {
  Example example;
  example.link();
  example.pass(1000, true);
  example.detector.link_down(example.now, 1);
  example.pass(200, true);
  CHECK(example.detector.state_of(1) == NodeState::kNormal);
  example.pass(200, true);
  CHECK(example.detector.state_of(1) == NodeState::kDown);
}

TEST_CASE("a node that was stopped does not take the others for dead") {
  Example example;
  example.link();
  example.pass(1000, true);
  example.now.mono_us += 10'000 * kMicrosPerMs;
  example.detector.handle_timeout(example.now);
  CHECK(example.detector.state_of(1) == NodeState::kNormal);
  example.pass(1500, false);
  CHECK(example.detector.state_of(1) == NodeState::kDown);
}

TEST_CASE("an answer to nothing is no evidence") {
  Example example;
  example.link();
  Heartbeat answer;
  answer.number = 5;
  answer.state = static_cast<uint8_t>(NodeState::kNormal);
  example.detector.handle_answer(example.now, 1, answer);
  CHECK(example.detector.state_of(1) == NodeState::kDown);
}

TEST_CASE("the clock that is far from the median is fenced, of two the one ahead") {
  Example example;
  example.link();
  example.pass(1000, true, 300);
  CHECK(example.detector.own_offset_ms() == -300);
  CHECK_FALSE(example.detector.is_fenced());
  example.pass(3000, true, -700);
  CHECK(example.detector.is_fenced());
  Topology two = racks(2);
  for (int64_t offset_ms : {800, -800}) {
    FailureDetector detector(two, 0);
    Now now{1'000'000, 1'000'000};
    detector.link_up(now, 1);
    Heartbeat answer = detector.heartbeat(now, 1);
    answer.unix_ms += offset_ms;
    answer.state = static_cast<uint8_t>(NodeState::kNormal);
    detector.handle_answer(now, 1, answer);
    // The other is behind when its offset is negative: then this one is ahead.
    CHECK(detector.is_fenced() == (offset_ms < 0));
  }
}

TEST_CASE("an empty node serves when every donor that is there was pulled from") {
  Topology topology = racks(4);
  Bootstrap bootstrap(topology, 0);
  bootstrap.handle_timeout({0, 0});
  bootstrap.heard(1, NodeState::kNormal);
  bootstrap.heard(2, NodeState::kNormal);
  bootstrap.heard(3, NodeState::kNormal);
  bootstrap.handle_timeout({Bootstrap::kGraceUs, 0});
  CHECK_FALSE(bootstrap.is_filled());
  bootstrap.pulled(1);
  bootstrap.handle_timeout({2 * Bootstrap::kGraceUs, 0});
  CHECK_FALSE(bootstrap.is_filled());
  // Node 3 is in another data center, and there are donors in this one.
  bootstrap.pulled(2);
  bootstrap.handle_timeout({2 * Bootstrap::kGraceUs, 0});
  CHECK(bootstrap.is_filled());
}

TEST_CASE("a ring that starts for the first time does not wait for ever") {
  Topology topology = racks(3);
  Bootstrap together(topology, 0);
  together.handle_timeout({0, 0});
  together.heard(1, NodeState::kLoading);
  CHECK_FALSE(together.is_filled());
  together.heard(2, NodeState::kLoading);
  together.handle_timeout({1, 0});
  CHECK(together.is_filled());
  Bootstrap alone(topology, 0);
  alone.handle_timeout({0, 0});
  alone.handle_timeout({Bootstrap::kGraceUs - 1, 0});
  CHECK_FALSE(alone.is_filled());
  alone.handle_timeout({Bootstrap::kGraceUs, 0});
  CHECK(alone.is_filled());
  // It had only been cut off from a ring that serves.
  alone.heard(2, NodeState::kNormal);
  alone.handle_timeout({Bootstrap::kGraceUs + 1, 0});
  CHECK_FALSE(alone.is_filled());
  alone.pulled(2);
  alone.handle_timeout({Bootstrap::kGraceUs + 2, 0});
  CHECK(alone.is_filled());
}

}  // namespace
}  // namespace dyno

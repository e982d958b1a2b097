// SPDX-License-Identifier: Apache-2.0
//
// Two data centers of three racks: what goes over a gateway, and when a stream leaves it.
#include "ring/gateways.h"

#include <doctest/doctest.h>

#include "tests/small_ring.h"

namespace dyno {
namespace {

constexpr NodeIndex kFar = 3;  // 3, 4 and 5 are the other data center's.
constexpr NodeIndex kFirst = kFar;

class Near {
 public:
  Near() {
    std::vector<NodeSpec> specs;
    for (uint16_t i = 0; i < 6; ++i) {
      std::string dc = i < kFar ? "a" : "b";
      specs.push_back({dc, "r" + std::to_string(i), {0}, "h", static_cast<uint16_t>(i + 1)});
    }
    REQUIRE(Topology::make(specs, &topology).empty());
    streams = std::make_unique<Streams>(topology, NodeIndex{0}, limits);
    gateways = std::make_unique<Gateways>(topology, NodeIndex{0}, uint16_t{0}, uint16_t{1}, limits,
                                          *streams);
    see(NodeState::kNormal, kFirst);
    for (NodeIndex node = kFar; node < 6; ++node) link_up(node, 1);
  }

  void see(NodeState state, NodeIndex node) {
    auto view = std::make_shared<View>();
    view->nodes.resize(6);
    for (auto& each : view->nodes) each.state = NodeState::kNormal;
    view->nodes[node].state = state;
    gateways->set_view(view);
  }
  void link_up(NodeIndex node, uint16_t lanes, uint64_t features = kRelays) {
    REQUIRE(streams->to(node)->link_up(1));
    Hello welcome;
    welcome.lanes = lanes;
    welcome.features = features;
    gateways->link_up(node, welcome);
  }
  void publish(Stamp stamp) {
    streams->publish(std::make_shared<const Frame>(Frame{stamp, {Token{7}}, "frame"}), nullptr);
  }
  void acknowledge(NodeIndex node, uint64_t through) {
    Ack ack;
    ack.through = through;
    REQUIRE(streams->to(node)->acknowledge(ack).valid);
  }
  void pass(int64_t ms) {
    now.mono_us += ms * kMicrosPerMs;
    gateways->handle_timeout(now);
  }
  // "gateway: targets of the first frame / of the second ...", in bits.
  std::string fill() {
    std::map<NodeIndex, std::string> out;
    gateways->fill(&out);
    std::string text;
    for (auto& [node, bytes] : out) {
      std::string_view rest = bytes;
      PeerDecoder decoder;
      PeerMessage message;
      while (decoder.next(&rest, &message) == PeerDecoder::Result::kMessage) {
        Relay relay;
        REQUIRE(message.kind == MessageKind::kRelay);
        REQUIRE(read_body(message.body, &relay));
        text += std::to_string(node) + ":";
        for (const RelayFrame& frame : relay.frames) text += " " + std::to_string(frame.targets);
        for (const RelayTarget& target : relay.targets) text += target.has_mark ? " mark" : "";
      }
    }
    return text;
  }

  Topology topology;
  StreamLimits limits;
  Now now{1'000'000, 0};
  std::unique_ptr<Streams> streams;
  std::unique_ptr<Gateways> gateways;
};

TEST_CASE("a frame for three racks crosses once, and marks go with it") {
  Near near;
  near.publish(1);
  near.publish(2);
  CHECK(near.fill() == "3: 7 7");
  CHECK(near.fill().empty());
  for (auto& [node, sender] : near.streams->all()) sender.set_mark(9, 9);
  CHECK(near.fill() == "3: mark mark mark");
  CHECK(near.gateways->counts().frames == 2);
  CHECK(near.gateways->counts().copies == 6);
  CHECK(near.gateways->carries(4));
  CHECK_FALSE(near.gateways->carries(1));
}

TEST_CASE("streams that stand at different places meet again") {
  Near near;
  near.publish(1);
  near.publish(2);
  CHECK(near.fill() == "3: 7 7");
  near.acknowledge(3, 2);
  near.acknowledge(5, 2);
  near.streams->to(4)->rewind();
  near.publish(3);
  CHECK(near.fill() == "3: 2 2 7");
}

TEST_CASE("a gateway that goes is left, and what it had is sent again") {
  Near near;
  near.publish(1);
  CHECK(near.fill() == "3: 7");
  near.acknowledge(5, 1);
  SUBCASE("its link is lost") {
    near.gateways->link_down(3);
    near.streams->to(3)->link_down();
    // Two are left, of which one acknowledged the frame.
    CHECK(near.fill() == "4: 1");
    CHECK(near.gateways->counts().left == 3);
  }
  SUBCASE("it is silent") {
    near.see(NodeState::kDown, 3);
    CHECK(near.fill() == "4: 3");
  }
  SUBCASE("it has no link to another") {
    near.gateways->refused(near.now, 3, 4);
    CHECK_FALSE(near.gateways->carries(4));
    std::string direct;
    CHECK(near.streams->to(4)->fill(&direct));
    near.publish(2);
    CHECK(near.fill() == "3: 3");
    near.pass(6000);
    near.publish(3);
    CHECK(near.fill().ends_with(" 7"));
  }
  SUBCASE("nothing comes back") {
    near.pass(100);
    near.pass(900);
    CHECK(near.gateways->carries(4));
    near.pass(200);
    CHECK_FALSE(near.gateways->carries(4));
    CHECK_FALSE(near.gateways->carries(3));
    CHECK(near.gateways->carries(5));
  }
}

TEST_CASE("who cannot take part is sent to directly") {
  Near near;
  near.link_up(4, 2);
  near.publish(1);
  CHECK(near.fill() == "3: 3");
  CHECK_FALSE(near.gateways->carries(4));
  near.link_up(5, 1, 0);
  near.publish(2);
  CHECK(near.fill().empty());
  CHECK_FALSE(near.gateways->carries(3));
}

TEST_CASE("an acknowledgement of what is to be sent again is good, of what never was is not") {
  Near near;
  for (Stamp stamp = 1; stamp <= 4; ++stamp) near.publish(stamp);
  CHECK(near.fill() == "3: 7 7 7 7");
  near.gateways->refused(near.now, 3, 4);
  CHECK(near.streams->to(4)->sent() == 0);
  near.acknowledge(4, 3);
  CHECK(near.streams->to(4)->sent() == 3);
  Ack ack;
  ack.through = 5;
  CHECK_FALSE(near.streams->to(4)->acknowledge(ack).valid);
}

// The first node of a ring of one data center is told this on the link of the second.
std::string close_reason(MessageKind kind, auto body) {
  SmallRing ring;
  std::string bytes;
  write_message(kind, 0, body, &bytes);
  ring.lanes[0]->accepted(ring.now, 110, bytes);
  Outbox& box = ring.lanes[0]->drain();
  return box.closes.empty() ? "" : box.closes.front().reason;
}

TEST_CASE("relays that nobody may send") {
  Relay relay;
  relay.targets = {{9, 1, false, 0, 0}};
  CHECK(close_reason(MessageKind::kRelay, relay).starts_with("a relay to a node"));
  relay.targets = {{1, 1, false, 0, 0}};
  CHECK(close_reason(MessageKind::kRelay, relay).starts_with("a relay to a node"));
  relay.targets.assign(65, {2, 1, false, 0, 0});
  CHECK(close_reason(MessageKind::kRelay, relay) == "a broken relay");
  Relayed relayed;
  relayed.origin = 1;
  CHECK(close_reason(MessageKind::kRelayed, relayed) == "a broken relayed");
  // Of no stream that is here: passed over.
  relayed.origin = 500;
  CHECK(close_reason(MessageKind::kRelayed, relayed).empty());
  relayed.origin = 2;
  relayed.incarnation = 77;
  relayed.batch.frames = {{1, "broken"}};
  CHECK(close_reason(MessageKind::kRelayed, relayed).empty());
}

}  // namespace
}  // namespace dyno

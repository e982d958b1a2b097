// SPDX-License-Identifier: Apache-2.0
//
// Requests at every level on three racks: where they run, what they wait for, and what they are
// answered when that does not come.
#include "ring/coordinator.h"

#include "tests/small_ring.h"

namespace dyno {
namespace {

// The node that originates the quorum writes of a key, when one is away.
NodeIndex origin_of(SmallRing& ring, const std::string& key, NodeIndex away = kNoNode) {
  RackSet all;
  for (RackNumber rack = 1; rack <= 3; ++rack) all.insert(rack);
  if (away != kNoNode) all.erase(static_cast<RackNumber>(away + 1));
  return static_cast<NodeIndex>(ring.topology.preferred_rack(0, slot_of(token_of(key, 0)), all) -
                                1);
}

TEST_CASE("at DC_ONE a request runs here") {
  SmallRing ring;
  std::vector<Token> tokens = {token_of("a", 0)};
  for (const auto& lane : ring.lanes) {
    CHECK(lane->plan(tokens, true, false, Level::kDcOne).kind == Plan::Kind::kLocal);
    CHECK(lane->plan({}, true, false, Level::kDcQuorum).kind == Plan::Kind::kLocal);
  }
  CHECK(ring.ask(0, "a=1", Level::kDcOne) == "0 OK");
  CHECK(ring.stores[2]->registers["a"].value == "1");
}

TEST_CASE("a quorum write runs at the origin of its slot, and waits for one other rack") {
  SmallRing ring;
  NodeIndex origin = origin_of(ring, "a");
  auto near = static_cast<NodeIndex>((origin + 1) % 3);
  auto far = static_cast<NodeIndex>((origin + 2) % 3);
  ring.hold(origin, near);
  ring.hold(origin, far);
  ring.begin(origin, "a=1", Level::kDcQuorum);
  CHECK(ring.answers.empty());
  ring.release();
  CHECK(ring.answers == std::vector<std::string>{"0 OK"});
  CHECK(ring.ask(near, "a=2", Level::kDcQuorum) == "0 OK");
  CHECK(stamp_rack(ring.stores[far]->registers["a"].stamp) == origin + 1);
}

TEST_CASE("without acknowledgements the outcome of a write is not known") {
  for (Level level : {Level::kDcQuorum, Level::kDcSafeQuorum}) {
    SmallRing ring;
    NodeIndex origin = origin_of(ring, "a");
    for (NodeIndex node = 0; node < 3; ++node) {
      if (node != origin) ring.hold(origin, node);
    }
    ring.begin(origin, "a=1", level);
    ring.pass(490);
    CHECK(ring.answers.empty());
    ring.pass(20);
    REQUIRE(ring.answers.size() == 1);
    CHECK(ring.answers[0] ==
          (level == Level::kDcQuorum
               ? "2 -UNKNOWN write applied on 1 of 2 required replicas; outcome unknown\r\n"
               : "2 -ERR Dynomite: Failed to achieve Quorum\r\n"));
  }
}

TEST_CASE("whether a quorum is there is looked at before anything runs") {
  SmallRing ring;
  ring.cut(0, 1);
  ring.cut(0, 2);
  CHECK(ring.ask(0, "a=1", Level::kDcQuorum) ==
        "1 -NOREPLICAS Not enough good replicas to write.\r\n");
  CHECK(ring.ask(0, "a?", Level::kDcQuorum) ==
        "1 -CLUSTERDOWN quorum unavailable, 1 of 2 answered\r\n");
  CHECK(ring.stores[0]->registers.empty());
  ring.pass(500);
  CHECK(ring.ask(1, "a=2", Level::kDcQuorum) == "0 OK");
  CHECK(ring.ask(1, "a?", Level::kDcSafeQuorum) == "0 2");
}

TEST_CASE("a quorum read shows what another rack knows") {
  SmallRing ring;
  // Written where no stream has a part in it.
  for (NodeIndex node = 1; node < 3; ++node) ring.stores[node]->registers["a"] = {512, "new"};
  CHECK(ring.ask(0, "a?", Level::kDcOne) == "0 ");
  CHECK(ring.ask(0, "a?", Level::kDcQuorum) == "0 new");
  CHECK(ring.lanes[0]->coordinator().counts().states_merged == 1);
}

TEST_CASE("a safe read is answered when a majority holds what it shows") {
  SmallRing ring;
  ring.stores[0]->registers["a"] = {512, "new"};
  ring.hold(1, 0);
  ring.hold(2, 0);
  ring.begin(0, "a?", Level::kDcSafeQuorum);
  CHECK(ring.answers.empty());
  ring.release();
  REQUIRE(ring.answers == std::vector<std::string>{"0 new"});
  CHECK((ring.stores[1]->registers["a"].value == "new" ||
         ring.stores[2]->registers["a"].value == "new"));
}

TEST_CASE("at DC_QUORUM the rack that was behind is told afterwards") {
  SmallRing ring;
  ring.stores[0]->registers["a"] = {512, "new"};
  CHECK(ring.ask(0, "a?", Level::kDcQuorum) == "0 new");
  ring.settle();
  CHECK(ring.lanes[0]->coordinator().counts().racks_behind == 1);
  CHECK((ring.stores[1]->registers["a"].value == "new" ||
         ring.stores[2]->registers["a"].value == "new"));
}

TEST_CASE("a safe write that meets a later one is stamped anew") {
  SmallRing ring;
  NodeIndex origin = origin_of(ring, "a");
  for (NodeIndex node = 0; node < 3; ++node) {
    if (node != origin) ring.stores[node]->registers["a"] = {Stamp{1} << 60, "later"};
  }
  CHECK(ring.ask(origin, "a=1", Level::kDcSafeQuorum) == "0 OK");
  CHECK(ring.lanes[origin]->coordinator().counts().restamped == 1);
  for (const auto& store : ring.stores) CHECK(store->registers["a"].value == "1");
}

TEST_CASE("when the origin is cut off, writes go on at another") {
  SmallRing ring;
  NodeIndex origin = origin_of(ring, "a");
  auto one = static_cast<NodeIndex>((origin + 1) % 3);
  auto two = static_cast<NodeIndex>((origin + 2) % 3);
  ring.cut(origin, one);
  ring.cut(origin, two);
  ring.begin(one, "a=1", Level::kDcSafeQuorum);
  CHECK(ring.answers.empty());
  ring.pass(500);
  CHECK(ring.answers == std::vector<std::string>{"0 OK"});
  CHECK(ring.ask(two, "a?", Level::kDcSafeQuorum) == "0 1");
}

uint64_t writes_compared(const SmallRing& ring, NodeIndex node) {
  return ring.lanes[node]->coordinator().counts().writes_compared;
}

TEST_CASE("nobody stands in for an origin that refuses a write and may run the next") {
  SmallRing ring;
  NodeIndex origin = origin_of(ring, "a");
  auto one = static_cast<NodeIndex>((origin + 1) % 3);
  auto two = static_cast<NodeIndex>((origin + 2) % 3);
  auto view = std::make_shared<View>(*ring.stewards[origin]->view());
  view->nodes[one].state = view->nodes[two].state = NodeState::kDown;
  ring.lanes[origin]->handle_note(ring.now, ViewChanged{view});
  CHECK(ring.ask(one, "a=1", Level::kDcQuorum).starts_with("1 -NOREPLICAS"));
  CHECK(ring.stores[one]->registers["a"].value.empty());
}

TEST_CASE("another stands in for an origin that says that it runs nothing") {
  SmallRing ring;
  NodeIndex origin = origin_of(ring, "a");
  auto one = static_cast<NodeIndex>((origin + 1) % 3);
  auto view = std::make_shared<View>(*ring.stewards[origin]->view());
  view->nodes[origin].state = NodeState::kLeaving;
  ring.lanes[origin]->handle_note(ring.now, ViewChanged{view});
  ring.pass(500);
  ring.lanes[origin]->handle_note(ring.now, ViewChanged{view});
  ring.begin(one, "a=1", Level::kDcQuorum);
  ring.pass(500);
  CHECK(ring.answers == std::vector<std::string>{"0 OK"});
  // But not when that was said long ago.
  ring.hold(origin, one);
  ring.lanes[origin]->handle_note(ring.now, ViewChanged{view});
  ring.begin(one, "a=2", Level::kDcQuorum);
  ring.now.mono_us += 400 * kMicrosPerMs;
  ring.release();
  REQUIRE(ring.answers.size() == 1);
  CHECK(ring.answers.front().starts_with("1 -CLUSTERDOWN"));
}

TEST_CASE("while all is well, the origin writes without asking") {
  SmallRing ring;
  NodeIndex origin = origin_of(ring, "a");
  ring.pass(2000);
  for (NodeIndex node = 0; node < 3; ++node) {
    CHECK(ring.ask(node, "a=1", Level::kDcSafeQuorum) == "0 OK");
  }
  CHECK(writes_compared(ring, origin) == 0);
}

TEST_CASE("who stands in for the origin knows what a quorum had acknowledged before it writes") {
  SmallRing ring;
  NodeIndex origin = origin_of(ring, "a");
  NodeIndex stands_in = origin_of(ring, "a", origin);
  auto other = static_cast<NodeIndex>(3 - origin - stands_in);
  ring.pass(2000);
  // What only the other one has, later than this node's clock.
  Stamp later = ring.stores[stands_in]->clock() + (Stamp{300} << kStampMsShift);
  ring.stores[other]->registers["a"] = {later, "acknowledged"};
  ring.cut(origin, stands_in);
  ring.cut(origin, other);
  ring.pass(500);
  CHECK(ring.ask(stands_in, "a=1", Level::kDcQuorum) == "0 OK");
  CHECK(writes_compared(ring, stands_in) == 1);
  CHECK(ring.stores[other]->registers["a"].value == "1");
}

TEST_CASE("a write that asks first learns of what was removed, too") {
  SmallRing ring;
  NodeIndex origin = origin_of(ring, "a");
  ring.skip(Leases::kHeldUs);
  Stamp later = ring.stores[origin]->clock() + (Stamp{300} << kStampMsShift);
  for (NodeIndex node = 0; node < 3; ++node) {
    if (node != origin) ring.stores[node]->registers["a"] = {later, ""};
  }
  CHECK(ring.ask(origin, "a=1", Level::kDcQuorum) == "0 OK");
  CHECK(writes_compared(ring, origin) == 1);
  CHECK(ring.lanes[origin]->coordinator().counts().states_merged >= 1);
  CHECK(ring.stores[origin]->registers["a"].stamp > later);
}

TEST_CASE("a write that asks first does not wait for a slow rack") {
  SmallRing ring;
  NodeIndex origin = origin_of(ring, "a");
  auto one = static_cast<NodeIndex>((origin + 1) % 3);
  auto two = static_cast<NodeIndex>((origin + 2) % 3);
  for (NodeIndex slow : {one, two}) {
    ring.pass(2000);
    ring.skip(Leases::kHeldUs);
    ring.hold(slow, origin);
    CHECK(ring.ask(origin, "a=1", Level::kDcQuorum) == "0 OK");
    ring.release();
  }
  CHECK(writes_compared(ring, origin) == 2);
}

TEST_CASE("an origin that was cut off asks until it has what was written without it") {
  SmallRing ring;
  NodeIndex origin = origin_of(ring, "a");
  auto one = static_cast<NodeIndex>((origin + 1) % 3);
  auto two = static_cast<NodeIndex>((origin + 2) % 3);
  ring.pass(2000);
  ring.cut(origin, one);
  ring.cut(origin, two);
  ring.pass(1000);
  ring.join(origin, one);
  ring.join(origin, two);
  // As soon as it can.
  while (ring.ask(origin, "a=1", Level::kDcQuorum) != "0 OK") ring.pass(20);
  CHECK(writes_compared(ring, origin) == 1);
  // Its new leases tell nothing about what was written before.
  ring.pass(300);
  CHECK(ring.ask(origin, "a=1", Level::kDcQuorum) == "0 OK");
  CHECK(writes_compared(ring, origin) == 2);
  ring.pass(3000);
  CHECK(ring.ask(origin, "a=2", Level::kDcQuorum) == "0 OK");
  CHECK(writes_compared(ring, origin) == 2);
}

TEST_CASE("an origin that was stopped asks before it writes") {
  SmallRing ring;
  NodeIndex origin = origin_of(ring, "a");
  ring.pass(2000);
  ring.skip(Leases::kHeldUs);
  CHECK(ring.ask(origin, "a=1", Level::kDcQuorum) == "0 OK");
  CHECK(writes_compared(ring, origin) == 1);
}

TEST_CASE("who stands in waits until the origin's lease has ended, and the origin asks from then") {
  SmallRing ring;
  NodeIndex origin = origin_of(ring, "a");
  NodeIndex stands_in = origin_of(ring, "a", origin);
  auto other = static_cast<NodeIndex>(3 - origin - stands_in);
  ring.pass(2000);
  // One node alone does not see the origin, and goes elsewhere.
  ring.cut(origin, other);
  ring.begin(other, "a=1", Level::kDcQuorum);
  CHECK(ring.answers.empty());
  CHECK(ring.stores[stands_in]->registers["a"].value.empty());
  CHECK(writes_compared(ring, origin) == 0);
  ring.pass(390);
  CHECK(ring.answers.empty());
  ring.pass(110);
  CHECK(ring.answers == std::vector<std::string>{"0 OK"});
  CHECK(ring.lanes[stands_in]->coordinator().counts().stood_in == 1);
  // The next one need not wait, and the origin asks.
  CHECK(ring.ask(other, "a=2", Level::kDcQuorum) == "0 OK");
  CHECK(ring.ask(origin, "a=3", Level::kDcQuorum) == "0 OK");
  CHECK(writes_compared(ring, origin) == 1);
  ring.join(origin, other);
  ring.pass(5000);
  CHECK(ring.ask(other, "a=4", Level::kDcQuorum) == "0 OK");
  CHECK(writes_compared(ring, origin) == 1);
  CHECK(ring.lanes[stands_in]->coordinator().counts().stood_in == 2);
}

TEST_CASE("nobody waits for an origin that says that it runs no writes") {
  SmallRing ring;
  NodeIndex origin = origin_of(ring, "a");
  NodeIndex stands_in = origin_of(ring, "a", origin);
  ring.pass(2000);
  ring.stewards[origin]->wish(NodeState::kStandby);
  ring.pass(200);
  CHECK(ring.ask(stands_in, "a=1", Level::kDcQuorum) == "0 OK");
  // It begins as one that was away.
  ring.stewards[origin]->wish(NodeState::kNormal);
  ring.pass(300);
  CHECK(ring.ask(origin, "a=2", Level::kDcQuorum) == "0 OK");
  CHECK(writes_compared(ring, origin) == 1);
}

TEST_CASE("a write that was sent and lost is tried elsewhere only when that is harmless") {
  for (bool repeatable : {false, true}) {
    SmallRing ring;
    NodeIndex origin = origin_of(ring, "a");
    auto near = static_cast<NodeIndex>((origin + 1) % 3);
    ring.hold(near, origin);
    ring.begin(near, "a=1", Level::kDcQuorum, repeatable);
    CHECK(ring.answers.empty());
    ring.cut(near, origin);
    ring.pass(500);
    REQUIRE(ring.answers.size() == 1);
    CHECK(ring.answers[0] ==
          (repeatable ? "0 OK"
                      : "2 -UNKNOWN write applied on 0 or more replicas; outcome unknown\r\n"));
  }
}

TEST_CASE("a request is forwarded once") {
  SmallRing ring;
  Forward forward;
  forward.hops = 2;
  forward.timeout_ms = 100;
  forward.keys.push_back({0, "a"});
  forward.command = "a?";
  std::string bytes;
  write_message(MessageKind::kForward, 7, forward, &bytes);
  CHECK(ring.lanes[0]->accepted(ring.now, 110, bytes) == bytes.size());
  Outbox& box = ring.lanes[0]->drain();
  CHECK(box.runs.empty());
  CHECK(box.to_links[110].find("-TRYAGAIN the request was forwarded too often") !=
        std::string::npos);
}

TEST_CASE("keys of unlike owners are told apart by where each runs") {
  Topology topology;
  REQUIRE(Topology::make({{"dc", "r1", {0}, "h", 1}, {"dc", "r1", {1u << 31}, "h", 2}}, &topology)
              .empty());
  RegisterStore store(1);
  Leases leases(topology, 0, 0);
  Steward steward(topology, 0, 1, StewardOptions{}, store, leases);
  Lane lane(topology, Identity{"ring", 0, 0, 1, 1}, 0, LaneOptions{}, store, leases, &steward);
  auto view = std::make_shared<View>();
  view->nodes.assign(2, {NodeState::kNormal, 1, 0});
  lane.handle_note({}, ViewChanged{view});
  std::vector<Token> tokens = {5, 1u << 31, 6};
  Plan plan = lane.plan(tokens, false, true, Level::kDcOne);
  CHECK(plan.refusal.starts_with("-CLUSTERDOWN no live owner for slot 8192 in dc"));
  CHECK(lane.plan(tokens, false, false, Level::kDcOne).refusal.starts_with("-CROSSSLOT"));
  lane.dialed({}, 1);
  Hello hello;
  hello.cluster = "ring";
  hello.dc = "dc";
  hello.rack = "r1";
  hello.tokens = {1u << 31};
  hello.incarnation = 1;
  hello.topology = topology.fingerprint();
  std::string welcome;
  write_message(MessageKind::kWelcome, 0, hello, &welcome);
  CHECK(lane.received({}, 1, welcome) == welcome.size());
  plan = lane.plan(tokens, false, true, Level::kDcOne);
  CHECK(plan.kind == Plan::Kind::kScatter);
  CHECK(plan.groups == std::vector<std::vector<uint32_t>>{{0, 2}, {1}});
}

}  // namespace
}  // namespace dyno

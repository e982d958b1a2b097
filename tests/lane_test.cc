// SPDX-License-Identifier: Apache-2.0
//
// A lane's links: whom it talks to and whom not, and what it does with what nobody should send.
#include "ring/lane.h"

#include "tests/small_ring.h"

namespace dyno {
namespace {

Hello hello_of(const SmallRing& ring, NodeIndex node) {
  const Topology::Node& from = ring.topology.node(node);
  Hello hello;
  hello.cluster = "ring";
  hello.dc = from.dc;
  hello.rack = from.rack;
  hello.tokens = from.tokens;
  hello.incarnation = 1;
  hello.topology = ring.topology.fingerprint();
  return hello;
}

// What node 0 says to this hello, "welcome" when it is one.
std::string greet(SmallRing& ring, Hello hello, LinkId link = 999) {
  std::string bytes;
  write_message(MessageKind::kHello, 0, hello, &bytes);
  ring.lanes[0]->accepted(ring.now, link, bytes);
  Outbox& box = ring.lanes[0]->drain();
  std::string answer = std::exchange(box.to_links[link], {});
  std::string_view rest = answer;
  PeerDecoder decoder;
  PeerMessage message;
  REQUIRE(decoder.next(&rest, &message) == PeerDecoder::Result::kMessage);
  Refusal refusal;
  if (message.kind == MessageKind::kWelcome) return "welcome";
  REQUIRE(read_body(message.body, &refusal));
  REQUIRE(!box.closes.empty());
  CHECK(box.closes.back().link == link);
  return std::string(refusal.reason);
}

TEST_CASE("who is refused, and why") {
  SmallRing ring;
  Hello good = hello_of(ring, 1);
  Hello hello = good;
  hello.magic = 7;
  CHECK(greet(ring, hello) == "not a Dyno node");
  hello = good;
  hello.version = kPeerVersion + 2;
  CHECK(greet(ring, hello) == "protocol version 3: expected one next to 1");
  hello = good;
  hello.cluster = "other";
  CHECK(greet(ring, hello) == "cluster 'other': expected 'ring'");
  hello = good;
  hello.hash_seed = 1;
  CHECK(greet(ring, hello) == "another hash or hash_seed");
  hello = good;
  hello.topology ^= 1;
  CHECK(greet(ring, hello).starts_with("another topology"));
  hello = good;
  hello.tokens = {1};
  CHECK(greet(ring, hello) == "a node that is not in the topology");
  CHECK(greet(ring, hello_of(ring, 0)) == "a node that says to be this one");
  hello = good;
  hello.lane = 1;
  CHECK(greet(ring, hello) == "a lane that it does not have");
  hello = good;
  hello.incarnation = 0;
  CHECK(greet(ring, hello) == "an incarnation of the node that has a successor");
  hello = good;
  hello.version = kPeerVersion + 1;
  CHECK(greet(ring, hello) == "welcome");
}

TEST_CASE("an incarnation that has a successor is not listened to") {
  SmallRing ring;
  Hello hello = hello_of(ring, 1);
  hello.incarnation = 2;
  CHECK(greet(ring, hello) == "welcome");
  ring.settle();
  CHECK(greet(ring, hello_of(ring, 1), 998) == "an incarnation of the node that has a successor");
}

TEST_CASE("what is not the protocol closes the link") {
  for (const std::string& bytes :
       {std::string("*1\r\n$4\r\nPING\r\n"), std::string(40, '\0'), std::string(40, '\xff')}) {
    SmallRing ring;
    CHECK(ring.lanes[0]->accepted(ring.now, 999, bytes) == bytes.size());
    CHECK(ring.lanes[0]->drain().closes.size() == 1);
  }
  SmallRing ring;
  std::string bytes;
  Held held{true};
  write_message(MessageKind::kHeld, 0, held, &bytes);
  CHECK(ring.lanes[0]->accepted(ring.now, 110, bytes) == bytes.size());
  REQUIRE(ring.lanes[0]->drain().closes.size() == 1);
  CHECK(ring.lanes[0]->drain().closes[0].reason == "an unexpected held");
}

TEST_CASE("a message of an unknown kind is passed over when it says so") {
  SmallRing ring;
  std::string bytes;
  write_message_bytes(static_cast<MessageKind>(200), kSkip, 0, "news", &bytes);
  ring.lanes[0]->accepted(ring.now, 110, bytes);
  CHECK(ring.lanes[0]->drain().closes.empty());
  bytes.clear();
  write_message_bytes(static_cast<MessageKind>(200), 0, 0, "news", &bytes);
  ring.lanes[0]->accepted(ring.now, 110, bytes);
  CHECK(ring.lanes[0]->drain().closes.size() == 1);
}

TEST_CASE("a frame that cannot be applied is not acknowledged, and comes again") {
  SmallRing ring;
  Batch batch;
  batch.first = 1;
  batch.frames = {{1, "a=1@256;"}, {2, "broken"}};
  std::string bytes;
  write_message(MessageKind::kBatch, 0, batch, &bytes);
  ring.lanes[0]->accepted(ring.now, 110, bytes);
  Outbox& box = ring.lanes[0]->drain();
  REQUIRE(box.closes.size() == 1);
  CHECK(box.closes[0].reason == "a frame that nobody may have written");
  CHECK(ring.stores[0]->registers["a"].value == "1");
  CHECK(ring.lanes[0]->describe().find("from 1 lane 0 next 2") != std::string::npos);
}

TEST_CASE("a write to a value on disk is acknowledged when that has come, and others wait for it") {
  SmallRing ring;
  ring.stores[1]->away = ring.stores[2]->away = {"a"};
  CHECK(ring.ask(0, "a=1", Level::kDcQuorum) == "nothing");
  ring.begin(0, "b=2", Level::kDcOne);
  CHECK(ring.answers.size() == 1);
  CHECK_FALSE(ring.stores[1]->registers.contains("b"));
  CHECK(ring.lanes[1]->held_messages() == 1);
  CHECK(ring.lanes[1]->held_bytes() > 0);
  // Other links go on.
  CHECK(ring.ask(2, "c=3", Level::kDcOne) == "0 OK");
  CHECK(ring.stores[1]->registers["c"].value == "3");
  ring.answers.clear();
  ring.bring_back(1);
  CHECK(ring.answers == std::vector<std::string>{"0 OK"});
  CHECK(ring.stores[1]->registers["a"].value == "1");
  CHECK(ring.stores[1]->registers["b"].value == "2");
  CHECK(ring.lanes[1]->held_bytes() == 0);
  CHECK_FALSE(ring.stores[2]->registers.contains("b"));
  ring.bring_back(2);
  CHECK(ring.stores[2]->registers["b"].value == "2");
}

TEST_CASE("a state is told, and merged, when its value has come from disk") {
  SmallRing ring;
  ring.stores[0]->registers["a"] = {257, "old"};
  for (NodeIndex node : {NodeIndex{1}, NodeIndex{2}}) {
    ring.stores[node]->registers["a"] = {513, "new"};
    ring.stores[node]->away = {"a"};
  }
  CHECK(ring.ask(0, "a?", Level::kDcQuorum) == "nothing");
  ring.stores[0]->away = {"a"};
  ring.bring_back(1);
  ring.bring_back(2);
  CHECK(ring.answers.empty());
  ring.bring_back(0);
  CHECK(ring.answers == std::vector<std::string>{"0 new"});
}

TEST_CASE("repair goes through values that are on disk") {
  SmallRing ring;
  ring.pass(500);
  ring.stores[1]->registers["a"] = {257, "missed"};
  ring.stores[0]->registers["b"] = {257, "old"};
  ring.stores[1]->registers["b"] = {513, "new"};
  ring.stores[1]->away = {"a"};
  ring.stores[0]->away = {"b"};
  ring.stewards[0]->repair();
  ring.pass(500);
  CHECK_FALSE(ring.stewards[0]->is_repaired());
  ring.bring_back(1);
  ring.pass(100);
  ring.bring_back(0);
  ring.pass(1000);
  CHECK(ring.stewards[0]->is_repaired());
  CHECK(ring.stores[0]->registers["a"].value == "missed");
  CHECK(ring.stores[0]->registers["b"].value == "new");
}

TEST_CASE("a stamp of the far future closes the link, and nothing of it is kept") {
  SmallRing ring;
  ring.stores[0]->latest = 1000;
  Batch batch;
  batch.first = 1;
  batch.frames = {{1, "a=1@256;"}, {2, "b=1@1001;"}};
  std::string bytes;
  write_message(MessageKind::kBatch, 0, batch, &bytes);
  ring.lanes[0]->accepted(ring.now, 110, bytes);
  REQUIRE(ring.lanes[0]->drain().closes.size() == 1);
  CHECK(ring.lanes[0]->drain().closes[0].reason == "a stamp of the far future");
  CHECK(ring.stores[0]->registers["a"].value == "1");
  CHECK_FALSE(ring.stores[0]->registers.contains("b"));
}

TEST_CASE("a request at a level that there is not closes the link") {
  SmallRing ring;
  Forward forward;
  forward.hops = 1;
  forward.level = 9;
  forward.write = true;
  forward.keys.push_back({0, "a"});
  forward.command = "a=1";
  std::string bytes;
  write_message(MessageKind::kForward, 7, forward, &bytes);
  ring.lanes[0]->accepted(ring.now, 110, bytes);
  Outbox& box = ring.lanes[0]->drain();
  CHECK(box.runs.empty());
  REQUIRE(box.closes.size() == 1);
  CHECK(box.closes[0].reason == "a broken forward");
}

TEST_CASE("answers that nobody asked for change nothing") {
  SmallRing ring;
  std::string bytes;
  ForwardReply reply{0, "+OK\r\n"};
  CompareAnswer answer;
  answer.keys.push_back({~uint64_t{0}, 0, "a=1@256;"});
  Held held{true};
  for (uint64_t id : {uint64_t{0}, uint64_t{1}, ~uint64_t{0}}) {
    write_message(MessageKind::kReply, id, reply, &bytes);
    write_message(MessageKind::kCompareAnswer, id, answer, &bytes);
    write_message(MessageKind::kHeld, id, held, &bytes);
  }
  CHECK(ring.lanes[0]->received(ring.now, 1, bytes) == bytes.size());
  Outbox& box = ring.lanes[0]->drain();
  CHECK(box.hangups.empty());
  CHECK(box.answers.empty());
  CHECK(ring.stores[0]->registers.empty());
  CHECK(ring.lanes[0]->is_linked(1));
}

TEST_CASE("an answer that cannot be ends the link") {
  for (bool is_ack : {true, false}) {
    SmallRing ring;
    std::string bytes;
    Ack ack;
    ack.through = 1000;  // So many frames were never sent.
    ForwardReply reply{4, "+OK\r\n"};
    if (is_ack) {
      write_message(MessageKind::kAck, 0, ack, &bytes);
    } else {
      write_message(MessageKind::kReply, 1, reply, &bytes);
    }
    ring.lanes[0]->received(ring.now, 1, bytes);
    REQUIRE(ring.lanes[0]->drain().hangups.size() == 1);
    CHECK_FALSE(ring.lanes[0]->is_linked(1));
  }
}

TEST_CASE("the lane of a hello is told from its first bytes") {
  SmallRing ring;
  Hello hello = hello_of(ring, 1);
  hello.lane = 5;
  std::string bytes;
  write_message(MessageKind::kHello, 0, hello, &bytes);
  CHECK(hello_lane(bytes) == 5);
  CHECK_FALSE(hello_lane(std::string_view(bytes).substr(0, bytes.size() - 1)));
  CHECK(hello_lane("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n") == 0);
}

TEST_CASE("a stream goes on where it was when its link comes back") {
  SmallRing ring;
  ring.hold(0, 1);
  CHECK(ring.ask(0, "a=1", Level::kDcOne) == "0 OK");
  CHECK(ring.lanes[0]->hint_bytes() > 0);
  CHECK(ring.stores[1]->registers.empty());
  ring.release();
  CHECK(ring.stores[1]->registers["a"].value == "1");
  CHECK(ring.lanes[0]->hint_bytes() == 0);
}

TEST_CASE("replicas become equal by themselves, whatever one of them missed") {
  SmallRing ring;
  ring.stores[1]->registers["a"] = {512, "only here"};
  ring.stewards[0]->repair();
  ring.pass(500);
  CHECK(ring.stores[0]->registers["a"].value == "only here");
  CHECK(ring.stores[2]->registers["a"].value.empty());
  ring.pass(60'000);
  CHECK(ring.stores[2]->registers["a"].value == "only here");
}

}  // namespace
}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// The list of nodes: who owns what, the same on every node, and what is refused.
#include "ring/topology.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>

namespace dyno {
namespace {

NodeSpec node(std::string dc, std::string rack, std::vector<Token> tokens, std::string host) {
  return {std::move(dc), std::move(rack), std::move(tokens), std::move(host), 8101};
}

Topology build(const std::vector<NodeSpec>& specs) {
  Topology topology;
  REQUIRE(Topology::make(specs, &topology) == "");
  return topology;
}

std::string refusal(const std::vector<NodeSpec>& specs) {
  Topology topology;
  return Topology::make(specs, &topology);
}

// Two data centers; the racks of the first have unlike tokens.
std::vector<NodeSpec> example() {
  return {node("dc2", "r1", {0}, "f"),          node("dc1", "r1", {0}, "a"),
          node("dc1", "r1", {1000}, "b"),       node("dc1", "r2", {4000000000, 500, 2000}, "c"),
          node("dc1", "r2", {1000000000}, "d"), node("dc1", "r2", {600}, "e")};
}

TEST_CASE("a node owns from its token up to, not including, the next of its rack") {
  Topology topology = build(example());
  REQUIRE(topology.racks().size() == 3);
  NodeIndex a = topology.find("dc1", "r1", std::vector<Token>{0});
  NodeIndex b = topology.find("dc1", "r1", std::vector<Token>{1000});
  CHECK(topology.owner(1, 0) == a);
  CHECK(topology.owner(1, 999) == a);
  CHECK(topology.owner(1, 1000) == b);
  CHECK(topology.owner(1, 0xffffffff) == b);
  // The first tokens belong to the last node, around the ring.
  NodeIndex c = topology.find("dc1", "r2", std::vector<Token>{500, 2000, 4000000000});
  NodeIndex e = topology.find("dc1", "r2", std::vector<Token>{600});
  REQUIRE(c != kNoNode);
  CHECK(topology.owner(2, 499) == c);
  CHECK(topology.owner(2, 500) == c);
  CHECK(topology.owner(2, 600) == e);
  CHECK(topology.owner(2, 2000) == c);
  CHECK(topology.node(c).ranges ==
        std::vector<TokenRange>{{0, 599}, {2000, 999999999}, {4000000000, 0xffffffff}});
  CHECK(topology.is_whole(1, 1));
  CHECK_FALSE(topology.is_whole(1, 0));
}

TEST_CASE("every node computes the same, however the list is ordered") {
  std::vector<NodeSpec> specs = example();
  Topology topology = build(specs);
  std::mt19937 random(7);
  for (int i = 0; i < 20; ++i) {
    std::shuffle(specs.begin(), specs.end(), random);
    Topology other = build(specs);
    CHECK(other.fingerprint() == topology.fingerprint());
    CHECK(other.describe() == topology.describe());
  }
  specs.front().tokens.front() ^= 1;
  CHECK(build(specs).fingerprint() != topology.fingerprint());
}

TEST_CASE("ranges of a rack cover every token once, and agree with owner") {
  std::mt19937 random(11);
  for (int round = 0; round < 30; ++round) {
    std::vector<NodeSpec> specs;
    for (int rack = 0; rack < 3; ++rack) {
      int count = 1 + static_cast<int>(random() % 4);
      for (int i = 0; i < count; ++i) {
        std::vector<Token> tokens;
        for (size_t t = 0; t <= random() % 3; ++t) tokens.push_back(random());
        specs.push_back(
            node("dc", "r" + std::to_string(rack), tokens, "h" + std::to_string(rack * 10 + i)));
      }
    }
    Topology topology = build(specs);
    for (const Topology::Rack& rack : topology.racks()) {
      uint64_t covered = 0;
      for (NodeIndex index : rack.nodes) {
        for (const TokenRange& range : topology.node(index).ranges) {
          covered += uint64_t{range.last} - range.first + 1;
          CHECK(topology.owner(rack.number, range.first) == index);
          CHECK(topology.owner(rack.number, range.last) == index);
        }
      }
      CHECK(covered == uint64_t{1} << 32);
    }
    for (NodeIndex a = 0; a < topology.nodes().size(); ++a) {
      for (NodeIndex b : topology.node(a).sharers) {
        CHECK(topology.node(a).rack_number != topology.node(b).rack_number);
        for (const TokenRange& range : topology.shared_ranges(a, b)) {
          CHECK(topology.owns(a, range.first));
          CHECK(topology.owns(b, range.last));
        }
      }
    }
  }
}

TEST_CASE("the preferred rack spreads, and a rack that leaves moves only its own slots") {
  Topology topology =
      build({node("dc", "r1", {0}, "a"), node("dc", "r2", {0}, "b"), node("dc", "r3", {0}, "c")});
  RackSet all;
  for (RackNumber rack = 1; rack <= 3; ++rack) all.insert(rack);
  RackSet two = all;
  two.erase(2);
  int counts[4] = {};
  for (uint32_t slot = 0; slot < kSlotCount; ++slot) {
    auto index = static_cast<SlotIndex>(slot);
    RackNumber rack = topology.preferred_rack(0, index, all);
    REQUIRE(rack >= 1);
    ++counts[rack];
    if (rack != 2) CHECK(topology.preferred_rack(0, index, two) == rack);
    CHECK(topology.preferred_rack(0, index, two) != 2);
  }
  for (int rack = 1; rack <= 3; ++rack) CHECK(counts[rack] > 5000);
  CHECK(topology.preferred_rack(0, 0, RackSet{}) == 0);
}

TEST_CASE("what is refused, and what was expected") {
  CHECK(refusal({}) == "no nodes: expected at least one");
  CHECK(refusal({node("dc", "r", {5}, "a"), node("dc", "r", {5}, "b")}) ==
        "token 5 twice in rack 'r' of 'dc': expected each once");
  CHECK(refusal({node("dc", "r", {5, 5}, "a")}) ==
        "token 5 twice in rack 'r' of 'dc': expected each once");
  CHECK(refusal({node("dc", "r", {}, "a")}).ends_with("expected 1 to 1024 tokens"));
  CHECK(refusal({node("dc", "r:1", {0}, "a")}).starts_with("rack 'r:1': expected no colon"));
  CHECK(refusal({node(std::string("d\0c", 3), "r", {0}, "a")}).find("expected no colon") !=
        std::string::npos);
  CHECK(refusal({node("", "r", {0}, "a")}) == "data center '': expected 1 to 64 bytes");
  CHECK(refusal({node("DC", "r", {0}, "a"), node("dc", "r2", {0}, "b")}) ==
        "data centers 'DC' and 'dc': expected one spelling");
  CHECK(refusal({node("dc", "r", {0}, "a"), node("dc", "R", {1}, "b")}) ==
        "racks 'r' and 'R' of 'dc': expected one spelling");
  CHECK(refusal({node("dc", "r", {0}, "a"), node("dc", "r2", {0}, "a")}) ==
        "two nodes at a:8101: expected one");
  CHECK(refusal({{"dc", "r", {0}, "a", 0}}).ends_with("expected a port from 1 to 65535"));
  std::vector<NodeSpec> racks;
  for (int i = 0; i < 256; ++i) {
    racks.push_back(node("dc", "r" + std::to_string(i), {0}, "h" + std::to_string(i)));
  }
  CHECK(refusal(racks) == "256 racks: expected at most 255");
  racks.pop_back();
  CHECK(build(racks).racks().back().number == 255);
}

TEST_CASE("a node in Dynomite's form") {
  NodeSpec spec;
  CHECK(parse_node("10.0.0.1:8101:rack1:dc1:4294967295", &spec) == "");
  CHECK(spec.host == "10.0.0.1");
  CHECK(spec.port == 8101);
  CHECK(spec.rack == "rack1");
  CHECK(spec.dc == "dc1");
  CHECK(spec.tokens == std::vector<Token>{4294967295});
  CHECK(parse_node("[::1]:8101:r:d:0", &spec) == "");
  CHECK(spec.host == "::1");
  for (std::string_view bad :
       {"", "a", "a:1:r:d", "a:1:r:d:0:0", "a:0:r:d:0", "a:65536:r:d:0", "a:1:r:d:4294967296",
        "a:1:r:d:-1", "a:1:r:d:", "a:1:r:d:1e3", "a:1::d:0", ":1:r:d:0", "[::1:1:r:d:0",
        "a:1:r:d:99999999999999999999", "a:+1:r:d:0", "a b:1:r:d:0"}) {
    CAPTURE(bad);
    CHECK(parse_node(bad, &spec) != "");
  }
}

TEST_CASE("texts") {
  Topology topology = build(example());
  CHECK(topology.describe() ==
        "rack r1 of dc1, number 1\n"
        "  0 to 999: a:8101\n"
        "  1000 to 4294967295: b:8101\n"
        "rack r2 of dc1, number 2\n"
        "  500 to 599: c:8101\n"
        "  600 to 1999: e:8101\n"
        "  2000 to 999999999: c:8101\n"
        "  1000000000 to 3999999999: d:8101\n"
        "  4000000000 to 499: c:8101\n"
        "rack r1 of dc2, number 3\n"
        "  0 to 4294967295: f:8101\n");
  CHECK(topology.describe_owners(1000) ==
        "token 1000, slot 0\n  dc1 r1 b:8101\n  dc1 r2 e:8101\n  dc2 r1 f:8101\n");
  CHECK(build({node("dc", "r", {1, 2}, "h")}).describe_json() ==
        R"({"dcs":[{"name":"dc","racks":[{"name":"r","servers":[)"
        R"({"name":"h","host":"h","port":8101,"token":1},)"
        R"({"name":"h","host":"h","port":8101,"token":2}]}]}]})");
  std::vector<NodeStatus> statuses(6, {"NORMAL", ""});
  statuses[0].note = "clock +3 ms";
  CHECK(topology.describe_status(statuses).starts_with(
      "NORMAL dc1 r1 a:8101 token 0 owns 0.0% clock +3 ms\n"
      "NORMAL dc1 r1 b:8101 token 1000 owns 99.9%\n"));
}

}  // namespace
}  // namespace dyno

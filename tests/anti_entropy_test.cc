// SPDX-License-Identifier: Apache-2.0
//
// What AntiEntropy asks of a peer and when; that data become equal is the simulator's to show.
#include "ring/anti_entropy.h"

#include <doctest/doctest.h>

#include <string>
#include <string_view>

#include "tests/small_ring.h"

namespace dyno {
namespace {

Topology two_racks() {
  Topology topology;
  REQUIRE(
      Topology::make({{"dc", "r1", {0}, "h", 1}, {"dc", "r2", {0}, "h", 2}}, &topology).empty());
  return topology;
}

struct Example {
  // The question to the peer, if there is one.
  bool asks_digests(Digests* digests) {
    std::string bytes = std::move(outbox.to_nodes[1]);
    outbox.to_nodes.clear();
    std::string_view rest = bytes;
    PeerDecoder decoder;
    PeerMessage message;
    if (decoder.next(&rest, &message) != PeerDecoder::Result::kMessage) return false;
    REQUIRE(message.kind == MessageKind::kDigests);
    // The body's views need not outlive this: numbers alone are looked at.
    REQUIRE(read_body(message.body, digests));
    return true;
  }

  Topology topology = two_racks();
  RegisterStore store{1};
  Outbox outbox;
  AntiEntropyOptions options;
  AntiEntropy machine{topology, 0, options, store, outbox};
};

// Plays the peer, whose data is in `peer`, far away: what is asked at once is answered at once.
struct FarExample : Example {
  void exchange() {
    now.mono_us += 200 * kMicrosPerMs;
    std::string bytes = std::move(outbox.to_nodes[1]);
    outbox.to_nodes.clear();
    bytes_asked += bytes.size();
    ++exchanges;
    std::string_view rest = bytes;
    PeerMessage message;
    while (decoder.next(&rest, &message) == PeerDecoder::Result::kMessage) answer(message);
    machine.handle_timeout(now);
  }
  void answer(const PeerMessage& message) {
    if (message.kind == MessageKind::kRanges) {
      Ranges ranges;
      REQUIRE(read_body(message.body, &ranges));
      REQUIRE(AntiEntropy::may_be_asked(ranges));
      machine.handle_ranges(now, 1, message.id, AntiEntropy::answer(peer, ranges, {}));
    } else if (message.kind == MessageKind::kDigests) {
      Digests digests;
      REQUIRE(read_body(message.body, &digests));
      machine.handle_digests(now, 1, message.id, AntiEntropy::answer(peer, digests, {}));
    } else if (message.kind == MessageKind::kList) {
      ListKeys list;
      REQUIRE(read_body(message.body, &list));
      machine.handle_list(now, 1, message.id, AntiEntropy::answer(peer, list));
    } else {
      REQUIRE(message.kind == MessageKind::kPull);
      Pull pull;
      REQUIRE(read_body(message.body, &pull));
      std::string states;
      std::optional<PullAnswer> answer = AntiEntropy::answer(peer, pull, &states);
      REQUIRE(answer);
      CHECK(machine.handle_pull(now, 1, message.id, *answer) == Handled::kDone);
    }
  }
  void pull(bool sums_ranges) {
    machine.link_up(now, 1, sums_ranges);
    machine.demand(1);
    machine.handle_timeout(now);
    while (!machine.is_quiet() && exchanges < 1000) exchange();
    CHECK(machine.is_quiet());
    CHECK(machine.counts().pulls == 1);
    CHECK(store.registers.size() == peer.registers.size());
  }

  RegisterStore peer{2};
  PeerDecoder decoder;
  Now now;
  size_t exchanges = 0;
  size_t bytes_asked = 0;
};

TEST_CASE("Equal data cost a few exchanges of a few bytes") {
  FarExample example;
  for (int i = 0; i < 1000; ++i) {
    example.peer.registers["key" + std::to_string(i)] = {256, "value"};
  }
  example.store.registers = example.peer.registers;
  example.pull(true);
  CHECK(example.exchanges == kSlotCount / AntiEntropy::kChunkSlots / AntiEntropy::kRanges);
  CHECK(example.bytes_asked < 4096);
}

TEST_CASE("Many slots that differ are pulled together, with and without sums of ranges") {
  for (bool sums_ranges : {true, false}) {
    FarExample example;
    for (int i = 0; i < 300; ++i) {
      example.peer.registers["key" + std::to_string(i)] = {256, "value"};
    }
    example.pull(sums_ranges);
    CHECK(example.machine.counts().keys_pulled == 300);
    CHECK(example.exchanges < 70);
  }
}

TEST_CASE("A pull that is under way is not demanded once more, but for what it began too early") {
  for (Stamp since : {100, 101}) {
    FarExample example;
    example.machine.set_watermark(100);
    example.machine.link_up(example.now, 1, true);
    example.machine.demand_since(1, 0);
    example.machine.handle_timeout(example.now);
    example.machine.demand_since(1, since);
    while (!example.machine.is_quiet()) example.exchange();
    CHECK(example.machine.take_pulled().size() == (since > 100 ? 2 : 1));
  }
}

TEST_CASE("Sums over more slots than there are are refused") {
  Ranges ranges;
  for (uint32_t i = 0; i < 2; ++i) ranges.ranges.push_back({0, 0xffffffff, 0, 0, 0, 0});
  CHECK(!AntiEntropy::may_be_asked(ranges));
  ranges.ranges = {{2, 1, 0, 0, 0, 0}};
  CHECK(!AntiEntropy::may_be_asked(ranges));
  ranges.ranges = {{1, 2, 0, 0, 0, 0}};
  CHECK(AntiEntropy::may_be_asked(ranges));
}

TEST_CASE("What a stream skipped is compared with its traces, also when the first try is late") {
  Example example;
  example.machine.link_up({}, 1, true);
  SlotsDirty dirty{1, 1, 0, 1, {}};
  dirty.slots.insert(5);
  example.machine.demand_dirty(dirty);
  example.machine.handle_timeout({});
  Digests digests;
  REQUIRE(example.asks_digests(&digests));
  CHECK(!digests.live_only);
  // No answer comes. A pull in passing is due, and must not take the demand over.
  Now late{example.options.age.answer_max_us + 1, 0};
  example.machine.handle_timeout(late);
  CHECK(!example.asks_digests(&digests));
  late.mono_us = example.machine.next_timeout();
  example.machine.handle_timeout(late);
  REQUIRE(example.asks_digests(&digests));
  CHECK(!digests.live_only);
  CHECK(digests.slots.size() == 1);
}

}  // namespace
}  // namespace dyno

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

TEST_CASE("What a stream skipped is compared with its traces, also when the first try is late") {
  Example example;
  example.machine.link_up({}, 1);
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

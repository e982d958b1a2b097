// SPDX-License-Identifier: Apache-2.0
//
// Laws of merging, for whatever a peer may send: a frame is taken or refused with a reason, and the
// digest stays what the key's state says.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tests/delta_generators.h"
#include "tests/replica_node.h"

namespace dyno {
namespace {

constexpr int64_t kNowMs = kStampEpochMs + 10'000;

std::string frame_of(const OwnedDelta& owned) {
  FrameWriter writer;
  const Delta delta = owned.delta();
  for (const Fact& fact : delta.facts) writer.add(delta.db, delta.key, fact);
  return std::string(writer.finish());
}

void begin(ReplicaNode& node) {
  node.client.now_ms = kNowMs;
  node.slots = {node.client.keyspace().hash("key").slot()};
}

TEST_CASE("any facts of a key leave its digest right") {
  CHECK(rc::check([] {
    ReplicaNode node(1);
    begin(node);
    for (const OwnedDelta& each : *gen_deltas(narrow_domain())) {
      RC_ASSERT(node.receive(frame_of(each)).refused == "");
      RC_ASSERT(node.damaged_slot() == -1);
    }
  }));
}

TEST_CASE("what is too far ahead is refused and changes nothing") {
  CHECK(rc::check([] {
    ReplicaNode node(1);
    begin(node);
    const Stamp clock = node.replica.clock().last();
    const OwnedDelta owned = *rc::gen::suchThat(gen_delta(wide_domain()), [](const auto& delta) {
      return HybridClock::is_too_far_ahead(delta.facts.front().parts.stamp, kNowMs);
    });
    RC_ASSERT(!node.receive(frame_of(owned)).refused.empty());
    RC_ASSERT(node.replica.clock().last() == clock);
    RC_ASSERT(node.digest() == Digest{});
  }));
}

}  // namespace
}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// Laws of merging. For whatever a peer may send: a frame is taken or refused with a reason, and the
// digest stays what the key's state says. For what the writes of a family may say, two or three of
// them at a time: their order does not matter, nor whether they come as writes or as the state that
// they made of a key elsewhere, nor how often.
#include <doctest/doctest.h>

#include <mutex>
#include <string>
#include <tuple>
#include <utility>
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

// The facts of a family, and whatever may be said of any key.
struct Family {
  const char* name;
  std::vector<FactKind> kinds;
  std::vector<Type> counters = {Type::kString};
};
const Family kFamilies[] = {
    {"strings", {FactKind::kValue}},
    {"counters", {FactKind::kValue, FactKind::kTotal, FactKind::kObserved}},
    {"registers", {FactKind::kRegisters}},
    {"hashes", {FactKind::kField, FactKind::kFieldGone, FactKind::kFieldDeadline}},
    {"counting hashes",
     {FactKind::kField, FactKind::kFieldGone, FactKind::kFieldDeadline, FactKind::kTotal,
      FactKind::kObserved},
     {Type::kHash}},
    {"sets", {FactKind::kMember, FactKind::kMemberGone}},
    {"sorted sets",
     {FactKind::kScore, FactKind::kScoreGone, FactKind::kTotal, FactKind::kObserved},
     {Type::kZSet}},
    {"lists", {FactKind::kItem, FactKind::kItemGone}},
    {"types",
     {FactKind::kValue, FactKind::kField, FactKind::kMember, FactKind::kScore, FactKind::kItem,
      FactKind::kFieldGone, FactKind::kMemberGone, FactKind::kScoreGone, FactKind::kItemGone}},
    {"counters of several types",
     {FactKind::kValue, FactKind::kField, FactKind::kFieldDeadline, FactKind::kScore,
      FactKind::kTotal, FactKind::kObserved},
     {Type::kString, Type::kHash, Type::kZSet}},
};

FactDomain domain_of(const Family& family) {
  FactDomain domain = narrow_domain();
  domain.kinds = family.kinds;
  domain.kinds.push_back(FactKind::kClear);
  domain.kinds.push_back(FactKind::kDeadline);
  domain.counter_types = family.counters;
  return domain;
}

// A node that knows nothing but the facts of one key, for one case after the other.
class Place {
 public:
  explicit Place(uint8_t rack) : node_(rack) { begin(node_); }

  Place& empty() {
    std::lock_guard lock(node_.client.keyspace().slot(slot()).lock);
    LiveKey live(node_.client.executor(), 0, "key", INT64_MIN);
    if (live.key().exists()) live.key().drop();
    node_.replica.slot(slot()).clear();
    return *this;
  }
  Place& tell(const OwnedDelta& owned) {
    MergeOutcome outcome = node_.receive(frame_of(owned));
    RC_ASSERT(outcome.refused == "");
    asks_ |= !outcome.to_pull.empty();
    return *this;
  }
  // What the other one's key has become, as repair tells it.
  Place& pull(Place& other) {
    node_.pull_key(other.node_, 0, "key");
    return *this;
  }
  // Whether it asked for the state of the key since the last time.
  bool asks() { return std::exchange(asks_, false); }

  void check_equal(Place& other) {
    RC_ASSERT(node_.describe() == other.node_.describe());
    RC_ASSERT(node_.digest() == other.node_.digest());
    RC_ASSERT(node_.damaged_slot() == -1);
  }

 private:
  [[nodiscard]] SlotIndex slot() const { return node_.slots[0]; }

  ReplicaNode node_;
  bool asks_ = false;
};

// Some of the facts of a write, each at a stamp of its own.
using Writes = std::tuple<OwnedDelta, OwnedDelta, OwnedDelta>;
rc::Gen<Writes> gen_writes(const Family& family) {
  auto write = rc::gen::scale(0.1, gen_key_delta(domain_of(family)));
  return rc::gen::tuple(write, write, write);
}

TEST_CASE("writes of a family commute, associate, and may come twice or as state") {
  Place one(1);
  Place two(2);
  Place three(3);
  for (const Family& family : kFamilies) {
    CAPTURE(family.name);
    CHECK(rc::check(family.name, [&] {
      const auto [a, b, c] = *gen_writes(family);
      one.empty().tell(a).tell(b).tell(c);
      two.empty().tell(c).tell(b).tell(a);
      // What a deadline had hidden when it turned out to be extended has to be asked for.
      const bool asked = static_cast<int>(one.asks()) + static_cast<int>(two.asks()) != 0;
      if (asked) two.pull(one.pull(two));
      one.check_equal(two);
      two.tell(b).tell(a).tell(c);
      one.check_equal(two);
      // a, then what became of b and c; and all of it where nothing was.
      two.empty().tell(b).tell(c);
      three.empty().tell(a).pull(two);
      if (three.asks() || two.asks() || asked) three.pull(one.pull(three));
      one.check_equal(three);
      two.empty().pull(one);
      one.check_equal(two);
    }));
  }
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

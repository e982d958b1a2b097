// SPDX-License-Identifier: Apache-2.0
//
// Fuzz target of merging: the input is the draws by which frames of hostile facts about one key are
// made. Nodes that take them in two orders end with one digest, which is what their state says,
// once they have told each other what cannot be merged without the rest: patches, and what a
// deadline had hidden that was extended. A third that takes the state alone ends with it, too.
//
// Whatever the bytes are, a fact's stamp, kind and element say what else is in it: that is what
// stamps are for, and a peer that breaks it harms its own writes alone.
#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "engine/replica/delta_kinds.h"
#include "protocol/check.h"
#include "tests/replica_node.h"

namespace dyno {
namespace {

constexpr size_t kInputMax = 512;
constexpr int64_t kNowMs = kStampEpochMs + 10'000;
constexpr std::string_view kKey = "key";
constexpr uint32_t kRegisters = 4;

// Numbers out of the input; zeros behind its end.
struct Draws {
  const uint8_t* at;
  const uint8_t* end;

  uint32_t operator()(uint32_t n) { return at < end ? *at++ % n : 0; }
};

// The same number for the same fact, whenever it is drawn.
uint32_t said(const Fact& fact, uint32_t n) {
  uint64_t hash = fact.stamp * 0x9e3779b97f4a7c15 + static_cast<uint64_t>(fact.kind) * 31 +
                  (fact.element.empty() ? 0 : static_cast<uint8_t>(fact.element[0]));
  hash += (fact.item.stamp + fact.item.index) * 7 + fact.total.generation * 3 + fact.total.actor;
  return static_cast<uint32_t>((hash ^ hash >> 29) * 0xbf58476d1ce4e5b9 >> 33) % n;
}

Stamp draw_stamp(Draws& draws) {
  uint32_t byte = draws(36);
  return make_stamp(kStampEpochMs + 1 + byte % 6, byte / 18,
                    static_cast<uint8_t>(1 + byte / 6 % 3));
}

void draw_total(Draws& draws, Fact* fact) {
  constexpr Type kTypes[] = {Type::kString, Type::kHash, Type::kZSet};
  fact->type = kTypes[draws(3)];
  if (fact->type == Type::kString) fact->element = {};
  fact->total.actor = make_actor(static_cast<uint8_t>(1 + draws(2)), draws(2));
  fact->total.generation = std::min(draw_stamp(draws), fact->stamp);
  fact->total.stamp = fact->stamp;
  // Halves add up exactly in any order.
  fact->total.sum = {static_cast<int>(said(*fact, 11)) - 5, said(*fact, 3) * 0.5L};
}

void draw_item(Draws& draws, Fact* fact) {
  fact->item = {draws(2) != 0, draws(3), std::min(draw_stamp(draws), fact->stamp)};
  if (fact->kind == FactKind::kItemGone) fact->count = 1 + draws(2);
}

Fact draw_fact(Draws& draws) {
  static constexpr std::string_view kElements[] = {"a", "b", "c"};
  static constexpr std::string_view kValues[] = {"", "1", "22", "x", "yyyyyyyyyy"};
  static constexpr std::string_view kRaised[] = {{},
                                                 {"\0\0\1", kRegisterBytes},
                                                 {"\1\0\3", kRegisterBytes},
                                                 {"\0\0\2\2\0\1", 2 * kRegisterBytes}};
  static constexpr int64_t kDeadlines[] = {-1, kStampEpochMs + 3, kStampEpochMs + 1000,
                                           kNowMs + 10'000};
  static constexpr double kScores[] = {-1, 0, 0.5, 2};
  Fact fact{.kind = static_cast<FactKind>(1 + draws(kFactKindLast))};
  fact.stamp = draw_stamp(draws);
  const uint16_t parts = row_of(fact.kind).parts;
  if ((parts & kPartPrev) != 0 && draws(2) != 0) fact.prev = draw_stamp(draws);
  if ((parts & kPartElement) != 0) fact.element = kElements[draws(3)];
  if ((parts & kPartSum) != 0) draw_total(draws, &fact);
  if ((parts & kPartItem) != 0) draw_item(draws, &fact);
  if (fact.kind == FactKind::kType) fact.type = static_cast<Type>(draws(kTypeCount));
  if ((parts & kPartDeadline) != 0) fact.number = kDeadlines[said(fact, 4)];
  if ((parts & kPartOffset) != 0) fact.number = said(fact, 12);
  if ((parts & kPartScore) != 0) fact.score = kScores[said(fact, 4)];
  if (fact.kind == FactKind::kRegisters) {
    fact.value = kRaised[said(fact, kRegisters)];
  } else if ((parts & kPartValue) != 0) {
    fact.value = kValues[said(fact, 5)];
  }
  return fact;
}

// Frames, each of some facts of the key, or of one flush.
std::vector<std::string> draw_frames(Draws& draws) {
  std::vector<std::string> frames;
  FrameWriter frame;
  while (draws.at < draws.end) {
    Fact fact = draw_fact(draws);
    const bool flushes = fact.kind == FactKind::kFlush;
    if (!frame.empty() && (flushes || draws(3) == 0)) {
      frames.emplace_back(frame.finish());
      frame.clear();
    }
    frame.add(0, flushes ? std::string_view() : kKey, fact);
    if (!flushes) continue;
    frames.emplace_back(frame.finish());
    frame.clear();
  }
  if (!frame.empty()) frames.emplace_back(frame.finish());
  return frames;
}

void begin(ReplicaNode& node) {
  node.client.now_ms = kNowMs;
  node.slots = {node.client.keyspace().hash(kKey).slot()};
}

void take(ReplicaNode& node, const std::string& frame) {
  DYNO_CHECK(node.receive(frame).refused.empty());
  DYNO_CHECK(node.damaged_slot() == -1);
}

void check_equal(ReplicaNode& a, ReplicaNode& b) {
  DYNO_CHECK(a.damaged_slot() == -1 && b.damaged_slot() == -1);
  DYNO_CHECK(a.digest() == b.digest());
  DYNO_CHECK(a.describe() == b.describe());
}

void merge_in_two_orders(const uint8_t* data, size_t size) {
  Draws draws{data, data + size};
  const std::vector<std::string> frames = draw_frames(draws);
  ReplicaNode forth(1);
  ReplicaNode back(2);
  ReplicaNode fresh(3);
  for (ReplicaNode* node : {&forth, &back, &fresh}) begin(*node);
  for (const std::string& frame : frames) take(forth, frame);
  for (size_t i = frames.size(); i-- > 0;) take(back, frames[i]);
  forth.pull(back);
  back.pull(forth);
  check_equal(forth, back);
  fresh.pull(back);
  check_equal(fresh, back);
  // Once more: what had been hidden when it came, and would show now, is there again.
  for (const std::string& frame : frames) take(back, frame);
  for (const std::string& frame : frames) take(forth, frame);
  forth.pull(back);
  back.pull(forth);
  check_equal(forth, back);
}

}  // namespace
}  // namespace dyno

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size <= dyno::kInputMax) dyno::merge_in_two_orders(data, size);
  return 0;
}

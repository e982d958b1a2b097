// SPDX-License-Identifier: Apache-2.0
//
// Anti-entropy's answering side: what a node tells of its data to one that pulls. See
// anti_entropy.h.
#include "ring/anti_entropy.h"
#include "ring/planted_fault.h"

namespace dyno {
namespace {

// `sums`: SlotSums or RangeSums.
bool same(const SlotDigest& digest, const auto& sums, bool live_only) {
  if (digest.live != Version{sums.live_low, sums.live_high}) return false;
  return live_only || is_planted(PlantedFault::kLiveDigestsOnly) ||
         digest.dead == Version{sums.dead_low, sums.dead_high};
}

void add(Version* sum, Version term) {
  sum->low += term.low;
  sum->high += term.high;
}

}  // namespace

SlotDigest AntiEntropy::digest_of(Store& store, TokenRange range, bool live_only) {
  SlotDigest sum;
  for (uint32_t slot = slot_of(range.first); slot <= slot_of(range.last); ++slot) {
    SlotDigest digest = store.digest(static_cast<SlotIndex>(slot), range, live_only);
    add(&sum.live, digest.live);
    add(&sum.dead, digest.dead);
  }
  return sum;
}

bool AntiEntropy::may_be_asked(const Ranges& ranges) {
  size_t slots = 0;
  for (const RangeSums& sums : ranges.ranges) {
    if (sums.first_token > sums.last_token) return false;
    slots += size_t{slot_of(sums.last_token)} - slot_of(sums.first_token) + 1;
  }
  return ranges.ranges.size() <= kRanges && slots <= kRanges * kChunkSlots;
}

DigestsAnswer AntiEntropy::answer(Store& store, const Ranges& ranges,
                                  std::vector<KnownNode> known) {
  DigestsAnswer answer;
  answer.known = std::move(known);
  for (size_t i = 0; i < ranges.ranges.size(); ++i) {
    const RangeSums& sums = ranges.ranges[i];
    SlotDigest sum = digest_of(store, {sums.first_token, sums.last_token}, ranges.live_only);
    if (!same(sum, sums, ranges.live_only)) answer.differ.push_back(static_cast<uint16_t>(i));
  }
  return answer;
}

DigestsAnswer AntiEntropy::answer(Store& store, const Digests& digests,
                                  std::vector<KnownNode> known) {
  DigestsAnswer answer;
  answer.known = std::move(known);
  TokenRange range{digests.first_token, digests.last_token};
  for (const SlotSums& sums : digests.slots) {
    SlotDigest digest = store.digest(sums.slot, range, digests.live_only);
    if (!same(digest, sums, digests.live_only)) answer.differ.push_back(sums.slot);
  }
  return answer;
}

ListAnswer AntiEntropy::answer(Store& store, const ListKeys& list) {
  std::vector<KeyDigest> keys;
  store.list(list.slot, {list.first_token, list.last_token}, &keys);
  ListAnswer answer;
  for (const KeyDigest& key : keys) {
    answer.keys.push_back({key.hash, key.version.low, key.version.high});
  }
  return answer;
}

std::optional<PullAnswer> AntiEntropy::answer(Store& store, const Pull& pull, std::string* states) {
  std::span<const uint64_t> hashes(pull.hashes);
  hashes = hashes.subspan(std::min<size_t>(pull.skip, hashes.size()));
  size_t count = store.export_hashes(pull.slot, {pull.first_token, pull.last_token}, hashes,
                                     kPullBytes, states);
  if (count == 0 && !hashes.empty()) return std::nullopt;
  return PullAnswer{static_cast<uint32_t>(pull.skip + count), *states};
}

}  // namespace dyno

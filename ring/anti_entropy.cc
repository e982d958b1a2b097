// SPDX-License-Identifier: Apache-2.0
#include "ring/anti_entropy.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "protocol/check.h"
#include "ring/planted_fault.h"

namespace dyno {
namespace {

constexpr int64_t kAgainUs = 500 * kMicrosPerMs;  // After a pull that was given up.

bool same(const SlotDigest& digest, const SlotSums& sums, bool live_only) {
  if (digest.live != Version{sums.live_low, sums.live_high}) return false;
  return live_only || is_planted(PlantedFault::kLiveDigestsOnly) ||
         digest.dead == Version{sums.dead_low, sums.dead_high};
}

SlotSums sums_of(SlotIndex slot, const SlotDigest& digest) {
  return {slot, digest.live.low, digest.live.high, digest.dead.low, digest.dead.high};
}

}  // namespace

AntiEntropy::AntiEntropy(const Topology& topology, NodeIndex self,
                         const AntiEntropyOptions& options, Store& store, Outbox& outbox)
    : topology_(topology), self_(self), options_(options), store_(store), outbox_(outbox) {
  for (NodeIndex node : topology.node(self).sharers) peers_[node];
}

void AntiEntropy::link_up(Now now, NodeIndex node) {
  auto found = peers_.find(node);
  if (found == peers_.end()) return;
  found->second.linked = true;
  abort(now, found->second);
  found->second.not_before_us = now.mono_us;
}

void AntiEntropy::link_down(NodeIndex node) {
  auto found = peers_.find(node);
  if (found == peers_.end()) return;
  found->second.linked = false;
  abort({}, found->second);
}

void AntiEntropy::demand(NodeIndex node) {
  auto found = peers_.find(node);
  if (found != peers_.end()) found->second.wants_all = true;
}

void AntiEntropy::demand_dirty(const SlotsDirty& dirty) {
  auto found = peers_.find(dirty.node);
  if (found == peers_.end() || dirty.incarnation < found->second.incarnation) return;
  found->second.wants_dirty[dirty.lane] = dirty;
}

void AntiEntropy::peer_seen(NodeIndex node, uint32_t incarnation) {
  auto found = peers_.find(node);
  if (found == peers_.end() || incarnation <= found->second.incarnation) return;
  Peer& peer = found->second;
  peer.incarnation = incarnation;
  std::erase_if(peer.wants_dirty,
                [&](const auto& entry) { return entry.second.incarnation < incarnation; });
  if (!peer.round) return;
  peer.round->dirty.clear();
  abort({}, peer);
}

// What a round that ends early was to do remains to be done.
void AntiEntropy::abort(Now now, Peer& peer) {
  if (!peer.round) return;
  if (peer.round->full && !peer.round->background) peer.wants_all = true;
  for (const SlotsDirty& dirty : peer.round->dirty) {
    peer.wants_dirty.try_emplace(dirty.lane, dirty);
  }
  peer.round.reset();
  peer.not_before_us = now.mono_us + kAgainUs;
  ++counts_.aborted;
}

void AntiEntropy::start(Now now, NodeIndex node, Peer& peer, bool background) {
  Round round;
  round.background = background;
  round.full = background || peer.wants_all;
  round.watermark = watermark_;
  SlotSet slots;
  for (const auto& [lane, dirty] : peer.wants_dirty) {
    slots.merge(dirty.slots);
    round.dirty.push_back(dirty);
  }
  peer.wants_dirty.clear();
  peer.wants_all = false;
  round.pieces = pieces_of(node, round.full ? nullptr : &slots);
  peer.round = std::move(round);
  ask_next(now, node, peer);
}

std::deque<AntiEntropy::Piece> AntiEntropy::pieces_of(NodeIndex node, const SlotSet* slots) const {
  constexpr uint32_t kSlotShift = 32 - kSlotBits;
  std::deque<Piece> pieces;
  for (const TokenRange& range : topology_.shared_ranges(self_, node)) {
    std::vector<SlotIndex> chosen;
    for (uint32_t slot = slot_of(range.first); slot <= slot_of(range.last); ++slot) {
      auto index = static_cast<SlotIndex>(slot);
      if (slots == nullptr || slots->contains(index)) chosen.push_back(index);
      if (chosen.size() < kChunkSlots && slot < slot_of(range.last)) continue;
      if (chosen.empty()) continue;
      Token first = std::max(range.first, Token{chosen.front()} << kSlotShift);
      Token last =
          std::min(range.last, (Token{chosen.back()} << kSlotShift) + ((1u << kSlotShift) - 1));
      pieces.push_back({{first, last}, std::exchange(chosen, {})});
    }
  }
  return pieces;
}

void AntiEntropy::ask_next(Now now, NodeIndex node, Peer& peer) {
  Round& round = *peer.round;
  if (!round.differ.empty()) {
    const Place& place = round.differ.front();
    if (round.pulled < round.hashes.size()) {
      size_t count = std::min(kPullKeys, round.hashes.size() - round.pulled);
      auto from = round.hashes.begin() + static_cast<std::ptrdiff_t>(round.pulled);
      Pull pull{place.slot,
                place.range.first,
                place.range.last,
                {from, from + static_cast<std::ptrdiff_t>(count)},
                0};
      return ask(now, node, round, Step::kPull, MessageKind::kPull, pull);
    }
    ListKeys list{place.slot, place.range.first, place.range.last};
    return ask(now, node, round, Step::kList, MessageKind::kList, list);
  }
  if (round.pieces.empty() && round.background && !round.second_look && !round.look_again.empty()) {
    round.second_look = true;
    for (Piece& piece : round.look_again) round.pieces.push_back(std::move(piece));
    round.look_again.clear();
    return pause(round, now.mono_us + kSecondLookUs);
  }
  if (round.pieces.empty()) return end(now, node, peer);
  const Piece& piece = round.pieces.front();
  // What is gone is forgotten at unlike moments, so that in passing it is not compared.
  Digests digests{round.background, piece.range.first, piece.range.last, {}};
  for (SlotIndex slot : piece.slots) {
    digests.slots.push_back(sums_of(slot, store_.digest(slot, piece.range)));
  }
  ask(now, node, round, Step::kDigests, MessageKind::kDigests, digests);
}

template <class Body>
void AntiEntropy::ask(Now now, NodeIndex node, Round& round, Step step, MessageKind kind,
                      Body& body) {
  round.step = step;
  round.question = next_question_++;
  round.asked_us = now.mono_us;
  write_message(kind, round.question, body, &outbox_.to_nodes[node]);
}

void AntiEntropy::pause(Round& round, int64_t until_us) {
  round.step = Step::kPause;
  round.question = 0;
  round.resume_us = until_us;
}

AntiEntropy::Round* AntiEntropy::awaited(Now now, NodeIndex from, uint64_t id, Step step) {
  auto found = peers_.find(from);
  if (found == peers_.end() || !found->second.round) return nullptr;
  Round& round = *found->second.round;
  if (round.step != step || round.question != id) return nullptr;
  if (now.mono_us - round.asked_us > options_.age.answer_max_us &&
      !is_planted(PlantedFault::kLateAnswers)) {
    ++counts_.late_answers;
    abort(now, found->second);
    return nullptr;
  }
  return &round;
}

void AntiEntropy::handle_digests(Now now, NodeIndex from, uint64_t id,
                                 const DigestsAnswer& answer) {
  Round* round = awaited(now, from, id, Step::kDigests);
  if (round == nullptr) return;
  if (!round->has_known) round->known = answer.known;
  round->has_known = true;
  Piece piece = std::move(round->pieces.front());
  round->pieces.pop_front();
  std::vector<SlotIndex> differ;
  for (uint16_t slot : answer.differ) {
    if (std::binary_search(piece.slots.begin(), piece.slots.end(), slot)) differ.push_back(slot);
  }
  std::sort(differ.begin(), differ.end());
  differ.erase(std::unique(differ.begin(), differ.end()), differ.end());
  if (round->background && !round->second_look) {
    if (!differ.empty()) round->look_again.push_back({piece.range, std::move(differ)});
  } else {
    counts_.slots_differed += differ.size();
    for (SlotIndex slot : differ) round->differ.push_back({piece.range, slot});
  }
  ask_next(now, from, peers_[from]);
}

void AntiEntropy::handle_list(Now now, NodeIndex from, uint64_t id, const ListAnswer& answer) {
  Round* round = awaited(now, from, id, Step::kList);
  if (round == nullptr) return;
  const Place& place = round->differ.front();
  std::vector<KeyDigest> own;
  store_.list(place.slot, place.range, &own);
  std::unordered_map<uint64_t, Version> versions;
  for (const KeyDigest& key : own) versions[key.hash] = key.version;
  round->hashes.clear();
  round->pulled = 0;
  for (const ListedKey& key : answer.keys) {
    auto found = versions.find(key.hash);
    if (found == versions.end() || found->second != Version{key.low, key.high}) {
      round->hashes.push_back(key.hash);
    }
  }
  if (round->hashes.empty()) round->differ.pop_front();
  ask_next(now, from, peers_[from]);
}

void AntiEntropy::handle_pull(Now now, NodeIndex from, uint64_t id, const PullAnswer& answer) {
  Round* round = awaited(now, from, id, Step::kPull);
  if (round == nullptr) return;
  size_t asked = std::min(kPullKeys, round->hashes.size() - round->pulled);
  if (answer.next_skip == 0 || answer.next_skip > asked ||
      store_.apply_state(answer.states).refusal != Store::Refusal::kNone) {
    return abort(now, peers_[from]);
  }
  round->pulled += answer.next_skip;
  counts_.keys_pulled += answer.next_skip;
  counts_.bytes_pulled += answer.states.size();
  if (round->pulled == round->hashes.size()) {
    round->differ.pop_front();
    round->hashes.clear();
    round->pulled = 0;
  }
  auto bytes = static_cast<int64_t>(answer.states.size());
  int64_t cost_us = bytes * 1'000'000 / options_.bytes_per_second;
  if (cost_us > kMicrosPerMs) return pause(*round, now.mono_us + cost_us);
  ask_next(now, from, peers_[from]);
}

void AntiEntropy::end(Now now, NodeIndex node, Peer& peer) {
  Round round = std::move(*peer.round);
  peer.round.reset();
  ++counts_.pulls;
  for (const SlotsDirty& dirty : round.dirty) {
    outbox_.notes.push_back(SlotsClean{dirty.node, dirty.incarnation, dirty.lane, dirty.epoch});
  }
  if (round.full && !round.background && round.has_known) {
    pulled_.push_back({node, round.watermark, std::move(round.known)});
  }
  if (round.background) background_us_ = now.mono_us + options_.background_us;
}

bool AntiEntropy::background_is_due(Now now) const {
  return now.mono_us >= background_us_ &&
         std::none_of(peers_.begin(), peers_.end(),
                      [](const auto& entry) { return entry.second.round.has_value(); });
}

void AntiEntropy::handle_timeout(Now now) {
  for (auto& [node, peer] : peers_) {
    if (!peer.linked) continue;
    if (peer.round) {
      Round& round = *peer.round;
      if (round.step == Step::kPause && now.mono_us >= round.resume_us) {
        ask_next(now, node, peer);
      } else if (round.step != Step::kPause &&
                 now.mono_us - round.asked_us > options_.age.answer_max_us &&
                 !is_planted(PlantedFault::kLateAnswers)) {
        abort(now, peer);
      }
    } else if (peer.wants() && now.mono_us >= peer.not_before_us) {
      start(now, node, peer, false);
    }
  }
  if (peers_.empty() || !background_is_due(now)) return;
  // The next peer in turn that can be asked, and of which nothing is demanded: a pull in passing
  // looks at what is alive alone, which is not enough for that.
  auto next = peers_.upper_bound(background_next_);
  for (size_t i = 0; i < peers_.size(); ++i) {
    if (next == peers_.end()) next = peers_.begin();
    if (next->second.linked && !next->second.wants()) {
      background_next_ = next->first;
      start(now, next->first, next->second, true);
      return;
    }
    ++next;
  }
  background_us_ = now.mono_us + options_.background_us;
}

int64_t AntiEntropy::next_timeout() const {
  int64_t next = kNever;
  bool busy = false;
  for (const auto& [node, peer] : peers_) {
    if (!peer.linked) continue;
    if (peer.round) {
      busy = true;
      const Round& round = *peer.round;
      next = std::min(next, round.step == Step::kPause
                                ? round.resume_us
                                : round.asked_us + options_.age.answer_max_us + 1);
    } else if (peer.wants()) {
      next = std::min(next, peer.not_before_us);
    }
  }
  if (!busy && !peers_.empty()) next = std::min(next, background_us_);
  return next;
}

std::vector<AntiEntropy::Pulled> AntiEntropy::take_pulled() {
  return std::exchange(pulled_, {});
}

bool AntiEntropy::is_quiet() const {
  return std::none_of(peers_.begin(), peers_.end(), [](const auto& entry) {
    const Peer& peer = entry.second;
    return peer.wants() || (peer.round && !peer.round->background);
  });
}

std::string AntiEntropy::describe() const {
  std::string text;
  for (const auto& [node, peer] : peers_) {
    text += std::to_string(node) + (peer.linked ? " linked" : " away");
    if (peer.wants_all) text += " to pull all";
    if (!peer.wants_dirty.empty()) text += " to pull dirty slots";
    if (peer.round) {
      text += peer.round->background ? " background pull, " : " pull, ";
      text += std::to_string(peer.round->pieces.size()) + " pieces to go";
    }
    text += "\n";
  }
  return text;
}

DigestsAnswer AntiEntropy::answer(Store& store, const Digests& digests,
                                  std::vector<KnownNode> known) {
  DigestsAnswer answer;
  answer.known = std::move(known);
  TokenRange range{digests.first_token, digests.last_token};
  for (const SlotSums& sums : digests.slots) {
    if (!same(store.digest(sums.slot, range), sums, digests.live_only))
      answer.differ.push_back(sums.slot);
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

PullAnswer AntiEntropy::answer(Store& store, const Pull& pull, std::string* states) {
  std::span<const uint64_t> hashes(pull.hashes);
  hashes = hashes.subspan(std::min<size_t>(pull.skip, hashes.size()));
  size_t count = store.export_hashes(pull.slot, {pull.first_token, pull.last_token}, hashes,
                                     kPullBytes, states);
  return {static_cast<uint32_t>(pull.skip + count), *states};
}

}  // namespace dyno

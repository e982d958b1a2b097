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

// Where all slots of the range are meant.
bool is_whole(TokenRange range, size_t slots) {
  return slots == size_t{slot_of(range.last)} - slot_of(range.first) + 1;
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

void AntiEntropy::link_up(Now now, NodeIndex node, bool sums_ranges) {
  auto found = peers_.find(node);
  if (found == peers_.end()) return;
  found->second.linked = true;
  found->second.sums_ranges = sums_ranges;
  abort(now, found->second);
  found->second.not_before_us = now.mono_us;
}

void AntiEntropy::link_down(NodeIndex node) {
  auto found = peers_.find(node);
  if (found == peers_.end()) return;
  found->second.linked = false;
  abort({}, found->second);
}

void AntiEntropy::allow(NodeIndex node, bool allowed) {
  auto found = peers_.find(node);
  if (found == peers_.end() || found->second.allowed == allowed) return;
  found->second.allowed = allowed;
  if (!allowed) abort({}, found->second);
}

void AntiEntropy::demand(NodeIndex node) {
  auto found = peers_.find(node);
  if (found != peers_.end()) found->second.wants_all = true;
}

void AntiEntropy::demand_since(NodeIndex node, Stamp since) {
  auto found = peers_.find(node);
  if (found == peers_.end()) return;
  const std::optional<Round>& round = found->second.round;
  bool under_way = round && round->full && !round->background && round->watermark >= since;
  if (!under_way) found->second.wants_all = true;
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
  for (Piece& piece : pieces_of(node, round.full ? nullptr : &slots)) {
    bool may_sum =
        peer.sums_ranges && piece.slots.size() > 1 && is_whole(piece.range, piece.slots.size());
    (may_sum ? round.ranges : round.pieces).push_back(std::move(piece));
  }
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
  if (!round.listed.empty()) return ask_pulls(now, node, round);
  if (!round.differ.empty()) return ask_lists(now, node, round);
  if (!round.pieces.empty()) return ask_digests(now, node, round);
  if (!round.ranges.empty()) return ask_ranges(now, node, round);
  if (!round.background || round.second_look || round.look_again.empty()) {
    return end(now, node, peer);
  }
  round.second_look = true;
  for (Piece& piece : round.look_again) round.pieces.push_back(std::move(piece));
  round.look_again.clear();
  pause(round, now.mono_us + kSecondLookUs);
}

void AntiEntropy::ask_pulls(Now now, NodeIndex node, Round& round) {
  round.answered_bytes = 0;
  size_t count = std::min(round.pulls_at_once, round.listed.size());
  for (size_t i = 0; i < count; ++i) {
    const Place& place = round.listed[i];
    size_t keys = std::min(kPullKeys, place.hashes.size() - place.pulled);
    auto from = place.hashes.begin() + static_cast<std::ptrdiff_t>(place.pulled);
    std::vector<uint64_t> hashes(from, from + static_cast<std::ptrdiff_t>(keys));
    Pull pull{place.slot, place.range.first, place.range.last, std::move(hashes), 0};
    ask(now, node, round, Step::kPull, MessageKind::kPull, pull);
  }
}

void AntiEntropy::ask_lists(Now now, NodeIndex node, Round& round) {
  size_t count = std::min(kListsAtOnce, round.differ.size());
  for (size_t i = 0; i < count; ++i) {
    const Place& place = round.differ[i];
    ListKeys list{place.slot, place.range.first, place.range.last};
    ask(now, node, round, Step::kList, MessageKind::kList, list);
  }
}

// What is gone is forgotten at unlike moments, so that in passing it is not compared.
void AntiEntropy::ask_digests(Now now, NodeIndex node, Round& round) {
  size_t count = std::min(kDigestsAtOnce, round.pieces.size());
  for (size_t i = 0; i < count; ++i) {
    const Piece& piece = round.pieces[i];
    Digests digests{round.background, piece.range.first, piece.range.last, {}};
    for (SlotIndex slot : piece.slots) {
      SlotDigest digest = store_.digest(slot, piece.range, round.background);
      digests.slots.push_back(sums_of(slot, digest));
    }
    ask(now, node, round, Step::kDigests, MessageKind::kDigests, digests);
  }
}

void AntiEntropy::ask_ranges(Now now, NodeIndex node, Round& round) {
  Ranges ranges{round.background, {}};
  size_t count = std::min(kRanges, round.ranges.size());
  for (size_t i = 0; i < count; ++i) {
    TokenRange range = round.ranges[i].range;
    SlotDigest sum = digest_of(store_, range, round.background);
    ranges.ranges.push_back(
        {range.first, range.last, sum.live.low, sum.live.high, sum.dead.low, sum.dead.high});
  }
  ask(now, node, round, Step::kRanges, MessageKind::kRanges, ranges);
}

template <class Body>
void AntiEntropy::ask(Now now, NodeIndex node, Round& round, Step step, MessageKind kind,
                      Body& body) {
  round.step = step;
  round.questions.push_back(next_question_++);
  round.asked_us = now.mono_us;
  write_message(kind, round.questions.back(), body, &outbox_.to_nodes[node]);
}

void AntiEntropy::pause(Round& round, int64_t until_us) {
  round.step = Step::kPause;
  round.resume_us = until_us;
}

AntiEntropy::Round* AntiEntropy::find_awaited(Now now, NodeIndex from, uint64_t id, Step step) {
  auto found = peers_.find(from);
  if (found == peers_.end() || !found->second.round) return nullptr;
  Round& round = *found->second.round;
  if (round.step != step || round.questions.empty() || round.questions.front() != id)
    return nullptr;
  if (now.mono_us - round.asked_us > options_.age.answer_max_us &&
      !is_planted(PlantedFault::kLateAnswers)) {
    ++counts_.late_answers;
    abort(now, found->second);
    return nullptr;
  }
  return &round;
}

AntiEntropy::Round* AntiEntropy::awaited(Now now, NodeIndex from, uint64_t id, Step step) {
  Round* round = find_awaited(now, from, id, step);
  if (round != nullptr) round->questions.pop_front();
  return round;
}

void AntiEntropy::handle_ranges(Now now, NodeIndex from, uint64_t id, const DigestsAnswer& answer) {
  Round* round = awaited(now, from, id, Step::kRanges);
  if (round == nullptr) return;
  if (!round->has_known) round->known = answer.known;
  round->has_known = true;
  size_t count = std::min(kRanges, round->ranges.size());
  for (size_t i = 0; i < count; ++i) {
    bool differs = std::find(answer.differ.begin(), answer.differ.end(), i) != answer.differ.end();
    if (differs) round->pieces.push_back(std::move(round->ranges.front()));
    round->ranges.pop_front();
  }
  ask_next(now, from, peers_[from]);
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
    for (SlotIndex slot : differ) round->differ.push_back({piece.range, slot, {}, 0});
  }
  if (round->questions.empty()) ask_next(now, from, peers_[from]);
}

void AntiEntropy::handle_list(Now now, NodeIndex from, uint64_t id, const ListAnswer& answer) {
  Round* round = awaited(now, from, id, Step::kList);
  if (round == nullptr) return;
  Place place = std::move(round->differ.front());
  round->differ.pop_front();
  std::vector<KeyDigest> own;
  store_.list(place.slot, place.range, &own);
  std::unordered_map<uint64_t, Version> versions;
  for (const KeyDigest& key : own) versions[key.hash] = key.version;
  for (const ListedKey& key : answer.keys) {
    auto found = versions.find(key.hash);
    if (found == versions.end() || found->second != Version{key.low, key.high}) {
      place.hashes.push_back(key.hash);
    }
  }
  if (!place.hashes.empty()) round->listed.push_back(std::move(place));
  if (round->questions.empty()) ask_next(now, from, peers_[from]);
}

Handled AntiEntropy::handle_pull(Now now, NodeIndex from, uint64_t id, const PullAnswer& answer) {
  Round* round = find_awaited(now, from, id, Step::kPull);
  if (round == nullptr) return Handled::kDone;
  std::string_view states = answer.states;
  Store::Applied applied = store_.apply_state(states.substr(round->merged_bytes));
  if (applied.refusal == Store::Refusal::kNotYet) {
    round->merged_bytes += applied.taken;
    return Handled::kNotYet;
  }
  round->merged_bytes = 0;
  round->questions.pop_front();
  pulled(now, from, *round, answer, applied.refusal == Store::Refusal::kNone);
  return Handled::kDone;
}

// The states of an answer were merged, or not all of them.
void AntiEntropy::pulled(Now now, NodeIndex from, Round& round, const PullAnswer& answer,
                         bool is_good) {
  Place place = std::move(round.listed.front());
  round.listed.pop_front();
  size_t asked = std::min(kPullKeys, place.hashes.size() - place.pulled);
  if (!is_good || answer.next_skip == 0 || answer.next_skip > asked) {
    return abort(now, peers_[from]);
  }
  place.pulled += answer.next_skip;
  counts_.keys_pulled += answer.next_skip;
  counts_.bytes_pulled += answer.states.size();
  round.answered_bytes += answer.states.size();
  if (place.pulled < place.hashes.size()) round.listed.push_back(std::move(place));
  if (!round.questions.empty()) return;
  round.pulls_at_once =
      round.answered_bytes < kPullBytes / 4 ? std::min(2 * round.pulls_at_once, kPullsAtOnce) : 1;
  auto bytes = static_cast<int64_t>(round.answered_bytes);
  int64_t rate = options_.bytes_per_second;
  bool is_far = topology_.node(from).dc_index != topology_.node(self_).dc_index;
  if (is_far && options_.wan_bytes_per_second != 0) {
    rate = std::min(rate, options_.wan_bytes_per_second);
  }
  int64_t cost_us = bytes * 1'000'000 / rate;
  if (cost_us > kMicrosPerMs) return pause(round, now.mono_us + cost_us);
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
    if (!peer.can_be_asked()) continue;
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
    if (next->second.can_be_asked() && !next->second.wants()) {
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
    if (!peer.can_be_asked()) continue;
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
    if (!peer.allowed) text += ", not trusted";
    if (peer.wants_all) text += " to pull all";
    if (!peer.wants_dirty.empty()) text += " to pull dirty slots";
    if (peer.round) {
      text += peer.round->background ? " background pull, " : " pull, ";
      text +=
          std::to_string(peer.round->ranges.size() + peer.round->pieces.size()) + " pieces to go";
    }
    text += "\n";
  }
  return text;
}

}  // namespace dyno

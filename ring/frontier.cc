// SPDX-License-Identifier: Apache-2.0
#include "ring/frontier.h"

#include <algorithm>
#include <limits>

#include "ring/planted_fault.h"

namespace dyno {
namespace {

constexpr Stamp kLargest = std::numeric_limits<Stamp>::max();

}  // namespace

Stamp Frontier::Peer::watermark() const {
  if (is_planted(PlantedFault::kFirstLaneOnly) && !lanes.empty()) return lanes[0].watermark;
  Stamp least = lanes.empty() ? 0 : kLargest;
  for (const Lane& lane : lanes) least = std::min(least, lane.watermark);
  return least;
}

Stamp Frontier::Peer::published() const {
  Stamp least = lanes.empty() ? 0 : kLargest;
  for (const Lane& lane : lanes) least = std::min(least, lane.published);
  return least;
}

Stamp Frontier::Peer::known() const {
  Stamp least = forgotten ? kLargest : watermark();
  return predecessor ? std::min(least, predecessor->reached) : least;
}

Frontier::Frontier(const Topology& topology, NodeIndex self, StateAge age) : age_(age) {
  for (NodeIndex node : topology.node(self).sharers) {
    peers_[node].is_near = topology.node(node).dc_index == topology.node(self).dc_index;
  }
}

void Frontier::peer_seen(NodeIndex node, uint32_t incarnation, uint16_t lanes, Stamp clock) {
  auto found = peers_.find(node);
  if (found == peers_.end() || incarnation <= found->second.incarnation) return;
  Peer& peer = found->second;
  Predecessor predecessor;
  predecessor.reached = peer.watermark();
  if (peer.predecessor) {
    predecessor.reached = std::min(predecessor.reached, peer.predecessor->reached);
  }
  // No clock that is believed is further ahead.
  predecessor.since = clock + (static_cast<Stamp>(HybridClock::kLeadMaxMs) << kStampMsShift);
  for (const auto& [other, state] : peers_) {
    if (other != node) predecessor.unpulled.insert(other);
  }
  // What was seen of the peer's predecessor may have outlived it.
  samples_.clear();
  peer.incarnation = incarnation;
  peer.forgotten = false;
  peer.lanes.assign(lanes, {});
  peer.predecessor.reset();
  if (is_planted(PlantedFault::kPredecessorDropped)) return;
  if (!predecessor.unpulled.empty()) peer.predecessor = std::move(predecessor);
}

void Frontier::mark(NodeIndex node, uint32_t incarnation, uint16_t lane, Stamp watermark,
                    Stamp published) {
  auto found = peers_.find(node);
  if (found == peers_.end() || found->second.incarnation != incarnation ||
      lane >= found->second.lanes.size()) {
    return;
  }
  Lane& entry = found->second.lanes[lane];
  entry.watermark = std::max(entry.watermark, watermark);
  entry.published = std::max(entry.published, published);
}

void Frontier::pulled(NodeIndex node, Stamp watermark, const std::vector<KnownNode>& known) {
  for (const KnownNode& said : known) {
    auto found = peers_.find(said.node);
    if (found == peers_.end()) continue;
    Peer& peer = found->second;
    if (!peer.predecessor || watermark < peer.predecessor->since) continue;
    if (said.incarnation < peer.incarnation) continue;
    peer.predecessor->unpulled.erase(node);
    if (peer.predecessor->unpulled.empty()) peer.predecessor.reset();
  }
}

void Frontier::forget(NodeIndex node) {
  auto found = peers_.find(node);
  if (found == peers_.end()) return;
  found->second.forgotten = true;
  found->second.predecessor.reset();
  for (auto& [other, peer] : peers_) {
    if (!peer.predecessor) continue;
    peer.predecessor->unpulled.erase(node);
    if (peer.predecessor->unpulled.empty()) peer.predecessor.reset();
  }
}

uint32_t Frontier::incarnation_of(NodeIndex node) const {
  auto found = peers_.find(node);
  return found == peers_.end() ? 0 : found->second.incarnation;
}

Stamp Frontier::watermark(Stamp clock) const {
  Stamp least = clock;
  for (const auto& [node, peer] : peers_) {
    if (!peer.forgotten) least = std::min(least, peer.watermark());
  }
  return least;
}

Stamp Frontier::published(Stamp clock) const {
  Stamp least = clock;
  for (const auto& [node, peer] : peers_) least = std::min(least, peer.known());
  return least;
}

Stamp Frontier::known_near(Stamp clock) const {
  Stamp least = clock;
  for (const auto& [node, peer] : peers_) {
    if (peer.is_near) least = std::min(least, peer.known());
  }
  return least;
}

std::map<NodeIndex, Stamp> Frontier::wanted(Stamp clock) const {
  Stamp complete = watermark(clock);
  std::map<NodeIndex, Stamp> nodes;
  for (const auto& [node, peer] : peers_) {
    if (!peer.predecessor || peer.predecessor->since > complete) continue;
    for (NodeIndex other : peer.predecessor->unpulled) {
      nodes[other] = std::max(nodes[other], peer.predecessor->since);
    }
  }
  return nodes;
}

void Frontier::handle_timeout(Now now, Stamp clock, Stamp own) {
  if (now.mono_us < next_sample_us_) return;
  next_sample_us_ = now.mono_us + kSampleUs;
  Stamp least = std::min(published(clock), own);
  for (const auto& [node, peer] : peers_) {
    if (!peer.forgotten) least = std::min(least, peer.published());
  }
  samples_.push_back({now.mono_us, least});
  int64_t age_us = is_planted(PlantedFault::kUnagedFrontier) ? 0 : age_.kept_us;
  if (is_planted(PlantedFault::kFixedGrace)) {
    horizon_ = clock - std::min(clock, Stamp{200} << kStampMsShift);
  }
  while (!samples_.empty() && samples_.front().first + age_us <= now.mono_us) {
    horizon_ = std::max(horizon_, samples_.front().second);
    samples_.pop_front();
  }
}

std::string Frontier::describe() const {
  std::string text = "horizon " + std::to_string(horizon_) + "\n";
  for (const auto& [node, peer] : peers_) {
    text += std::to_string(node) + " incarnation " + std::to_string(peer.incarnation) +
            " watermark " + std::to_string(peer.watermark()) + " published " +
            std::to_string(peer.published());
    if (peer.forgotten) text += " forgotten";
    if (peer.predecessor) {
      text += " predecessor reached " + std::to_string(peer.predecessor->reached) + ", pull from";
      for (NodeIndex other : peer.predecessor->unpulled) text += " " + std::to_string(other);
    }
    text += "\n";
  }
  return text;
}

}  // namespace dyno

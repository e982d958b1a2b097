// SPDX-License-Identifier: Apache-2.0
#include "ring/bootstrap.h"

#include <algorithm>

#include "ring/planted_fault.h"

namespace dyno {

Bootstrap::Bootstrap(const Topology& topology, NodeIndex self) {
  const Topology::Node& own = topology.node(self);
  for (NodeIndex node : own.sharers) {
    peers_[node].near = topology.node(node).dc_index == own.dc_index;
  }
}

void Bootstrap::heard(NodeIndex node, NodeState state, bool can_fill) {
  auto found = peers_.find(node);
  if (found == peers_.end()) return;
  Peer& peer = found->second;
  peer.there = state != NodeState::kDown;
  peer.can_fill = can_fill;
  if (!peer.there) return;
  peer.unreachable = false;
  peer.silent_us = -1;
  bool serves = state != NodeState::kLoading;
  // One that fills its memory knows nothing that others do not; once it serves, it was filled.
  bool may_give = needs_donor_ || (!peer.settled && (!filled_ || alone_));
  if (may_give && serves) {
    peer.donor = true;
    has_near_donor_ = has_near_donor_ || peer.near;
  }
  peer.settled = true;
}

void Bootstrap::unreachable(NodeIndex node) {
  auto found = peers_.find(node);
  if (found == peers_.end()) return;
  found->second.there = false;
  found->second.unreachable = true;
}

void Bootstrap::pulled(NodeIndex node) {
  auto found = peers_.find(node);
  if (found != peers_.end()) found->second.pulled = true;
}

void Bootstrap::begin_anew(Now now) {
  filled_ = alone_ = has_near_donor_ = false;
  needs_donor_ = true;
  anew_us_ = now.mono_us;
  for (auto& [node, peer] : peers_) peer.pulled = peer.donor = false;
}

bool Bootstrap::lacks(Now now) const {
  if (is_planted(PlantedFault::kOneDonor) &&
      std::any_of(peers_.begin(), peers_.end(),
                  [](const auto& entry) { return entry.second.pulled; })) {
    return false;
  }
  return std::any_of(peers_.begin(), peers_.end(), [&](const auto& entry) {
    const Peer& peer = entry.second;
    bool may_come = peer.there || (!peer.unreachable && now.mono_us - peer.silent_us < kPatienceUs);
    return peer.donor && !peer.pulled && may_come &&
           (peer.near || !has_near_donor_ || needs_donor_);
  });
}

void Bootstrap::handle_timeout(Now now) {
  if (is_planted(PlantedFault::kServesEmpty)) filled_ = true;
  if (started_us_ < 0) started_us_ = now.mono_us;
  for (auto& [node, peer] : peers_) {
    if (!peer.there && peer.silent_us < 0) peer.silent_us = now.mono_us;
  }
  if (lacks(now)) {
    if (alone_) filled_ = false;
    return;
  }
  if (filled_) return;
  bool any_donor = std::any_of(peers_.begin(), peers_.end(),
                               [](const auto& entry) { return entry.second.pulled; });
  bool all_settled = std::all_of(peers_.begin(), peers_.end(),
                                 [](const auto& entry) { return entry.second.settled; });
  if (!all_settled && now.mono_us - started_us_ < kGraceUs) return;
  if (needs_donor_ && !may_begin_again(now)) return;
  filled_ = true;
  needs_donor_ = false;
  alone_ = !any_donor && !all_settled;
}

bool Bootstrap::may_begin_again(Now now) const {
  bool is_late = now.mono_us - anew_us_ > kPatienceUs;
  return std::any_of(peers_.begin(), peers_.end(), [&](const auto& entry) {
    return entry.second.pulled && (entry.second.can_fill || is_late);
  });
}

int64_t Bootstrap::next_timeout() const {
  if (filled_) return kNever;
  return started_us_ < 0 ? 0 : started_us_ + kGraceUs;
}

std::vector<NodeIndex> Bootstrap::wanted() const {
  std::vector<NodeIndex> nodes;
  for (const auto& [node, peer] : peers_) {
    if (peer.donor && peer.there && !peer.pulled) nodes.push_back(node);
  }
  return nodes;
}

std::string Bootstrap::describe() const {
  std::string text = filled_ ? (alone_ ? "filled alone" : "filled") : "filling";
  for (const auto& [node, peer] : peers_) {
    if (peer.donor) text += " " + std::to_string(node) + (peer.pulled ? " pulled" : " to pull");
  }
  return text + "\n";
}

}  // namespace dyno

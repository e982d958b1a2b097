// SPDX-License-Identifier: Apache-2.0
#include "ring/gateways.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <utility>

namespace dyno {

Gateways::Gateways(const Topology& topology, NodeIndex self, uint16_t lane, uint16_t lanes,
                   const StreamLimits& limits, Streams& streams)
    : self_(self),
      lane_(lane),
      lanes_(lanes),
      batch_bytes_max_(limits.batch_bytes_max),
      streams_(streams),
      far_(topology.dcs().size()) {
  for (NodeIndex node : topology.node(self).sharers) {
    uint16_t dc_index = topology.node(node).dc_index;
    if (dc_index == topology.node(self).dc_index) continue;
    far_[dc_index].push_back(node);
    peers_[node];
  }
}

void Gateways::link_up(NodeIndex node, const Hello& welcome) {
  auto found = peers_.find(node);
  if (found == peers_.end()) return;
  found->second.able = (welcome.features & kRelays) != 0 && welcome.lanes == lanes_;
}

void Gateways::link_down(NodeIndex node) {
  auto found = peers_.find(node);
  if (found == peers_.end()) return;
  found->second.able = false;
  set_way(node, kNoNode);
  for (auto& [other, peer] : peers_) {
    if (peer.gateway == node) set_way(other, kNoNode);
  }
}

void Gateways::refused(Now now, NodeIndex gateway, NodeIndex node) {
  auto found = peers_.find(node);
  if (found == peers_.end() || found->second.gateway != gateway) return;
  set_way(node, kNoNode);
  found->second.direct_until_us = now.mono_us + kDirectUs;
}

void Gateways::set_view(SharedView view) {
  view_ = std::move(view);
  for (auto& [node, peer] : peers_) {
    bool is_gone = peer.gateway != kNoNode && view_->nodes[peer.gateway].state == NodeState::kDown;
    if (is_gone) set_way(node, kNoNode);
  }
}

void Gateways::handle_timeout(Now now) {
  now_us_ = now.mono_us;
  for (auto& [node, peer] : peers_) {
    if (peer.gateway == kNoNode) continue;
    const StreamSender& sender = *streams_.to(node);
    bool waits = sender.sent() != sender.acked();
    if (!waits || peer.waits_since_us < 0 || peer.acked != sender.acked()) {
      peer.acked = sender.acked();
      peer.waits_since_us = waits ? now.mono_us : -1;
    } else if (now.mono_us - peer.waits_since_us > kStuckUs) {
      peers_.at(peer.gateway).avoid_until_us = now.mono_us + kDirectUs;
      set_way(node, kNoNode);
      peer.direct_until_us = now.mono_us + kDirectUs;
    }
  }
}

bool Gateways::carries(NodeIndex node) const {
  auto found = peers_.find(node);
  return found != peers_.end() && found->second.gateway != kNoNode;
}

// Lanes and nodes begin with different ones, so that the load spreads.
NodeIndex Gateways::choose(const std::vector<NodeIndex>& nodes) const {
  for (size_t i = 0; i < nodes.size(); ++i) {
    NodeIndex node = nodes[(i + self_ + lane_) % nodes.size()];
    const Peer& peer = peers_.at(node);
    bool is_up = view_ != nullptr && view_->nodes[node].state != NodeState::kDown;
    if (is_up && peer.able && peer.avoid_until_us <= now_us_) return node;
  }
  return kNoNode;
}

bool Gateways::is_eligible(NodeIndex node) const {
  const Peer& peer = peers_.at(node);
  return peer.able && peer.direct_until_us <= now_us_ && streams_.to(node)->is_plain();
}

// What is on its way over a gateway that is left may be lost.
void Gateways::set_way(NodeIndex node, NodeIndex gateway) {
  Peer& peer = peers_.at(node);
  if (peer.gateway == gateway) return;
  if (peer.gateway != kNoNode) {
    ++counts_.left;
    streams_.to(node)->rewind();
  }
  peer.gateway = gateway;
  peer.waits_since_us = -1;
}

void Gateways::fill(std::map<NodeIndex, std::string>* to_nodes, std::span<int64_t> rooms) {
  for (size_t dc = 0; dc < far_.size(); ++dc) {
    const std::vector<NodeIndex>& nodes = far_[dc];
    int64_t unlimited = std::numeric_limits<int64_t>::max();
    int64_t& room = rooms.empty() ? unlimited : rooms[dc];
    bool has_work = std::any_of(nodes.begin(), nodes.end(),
                                [this](NodeIndex node) { return streams_.to(node)->has_work(); });
    if (nodes.size() < 2 || !has_work || room <= 0) continue;
    NodeIndex gateway = choose(nodes);
    std::vector<NodeIndex> targets;
    for (NodeIndex node : nodes) {
      bool goes = gateway != kNoNode && is_eligible(node) && targets.size() < kTargetsMax;
      if (goes) targets.push_back(node);
    }
    if (targets.size() < 2) targets.clear();
    for (NodeIndex node : nodes) {
      bool goes = std::find(targets.begin(), targets.end(), node) != targets.end();
      set_way(node, goes ? gateway : kNoNode);
    }
    if (targets.empty()) continue;
    std::string& out = (*to_nodes)[gateway];
    for (bool goes_on = true; goes_on && room > 0;) {
      size_t before = out.size();
      goes_on = write_relay(targets, static_cast<size_t>(room), &out);
      room -= static_cast<int64_t>(out.size() - before);
    }
  }
}

// Appends one message; false when there is nothing to send.
bool Gateways::write_relay(const std::vector<NodeIndex>& targets, size_t bytes_max,
                           std::string* out) {
  Relay relay;
  for (NodeIndex node : targets) {
    relay.targets.push_back({node, streams_.to(node)->sent() + 1, false, 0, 0});
  }
  take_frames(targets, bytes_max, &relay);
  bool has_mark = false;
  for (RelayTarget& target : relay.targets) {
    auto mark = streams_.to(target.node)->take_mark();
    if (!mark) continue;
    has_mark = target.has_mark = true;
    target.watermark = mark->watermark;
    target.published = mark->published;
  }
  if (relay.frames.empty() && !has_mark) return false;
  write_message(MessageKind::kRelay, 0, relay, out);
  return true;
}

// Merges what the streams have to send, in the order in which it was published.
void Gateways::take_frames(const std::vector<NodeIndex>& targets, size_t bytes_max, Relay* relay) {
  bytes_max = std::min(bytes_max, batch_bytes_max_);
  for (size_t bytes = 0; bytes < bytes_max;) {
    uint64_t least = std::numeric_limits<uint64_t>::max();
    const Frame* frame = nullptr;
    for (NodeIndex node : targets) {
      const StreamSender::Unsent* next = streams_.to(node)->next_unsent();
      if (next == nullptr || next->order >= least) continue;
      least = next->order;
      frame = next->frame.get();
    }
    if (frame == nullptr || (bytes != 0 && bytes + frame->bytes.size() > bytes_max)) return;
    uint64_t goes_to = 0;
    for (size_t i = 0; i < targets.size(); ++i) {
      StreamSender& sender = *streams_.to(targets[i]);
      const StreamSender::Unsent* next = sender.next_unsent();
      if (next == nullptr || next->order != least) continue;
      goes_to |= uint64_t{1} << i;
      sender.take_next();
    }
    relay->frames.push_back({frame->stamp, goes_to, frame->bytes});
    bytes += frame->bytes.size() + 1;
    ++counts_.frames;
    counts_.copies += static_cast<uint64_t>(std::popcount(goes_to));
  }
}

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
#include "ring/failure_detector.h"

#include <algorithm>

namespace dyno {

FailureDetector::FailureDetector(const Topology& topology, NodeIndex self)
    : self_(self), peers_(topology.nodes().size()) {}

void FailureDetector::link_up(Now now, NodeIndex node) {
  Peer& peer = peers_[node];
  peer.linked = true;
  peer.heard_us = now.mono_us;
  peer.sent_us = 0;
}

void FailureDetector::link_down(Now now, NodeIndex node) {
  Peer& peer = peers_[node];
  if (peer.linked) peer.linkless_since_us = now.mono_us;
  peer.linked = false;
}

bool FailureDetector::is_due(Now now, NodeIndex node) const {
  const Peer& peer = peers_[node];
  return peer.linked && now.mono_us - peer.sent_us >= kHeartbeatUs;
}

Heartbeat FailureDetector::heartbeat(Now now, NodeIndex node) {
  Peer& peer = peers_[node];
  peer.sent_us = now.mono_us;
  Heartbeat heartbeat;
  heartbeat.number = ++peer.number;
  heartbeat.sent_us = now.mono_us;
  heartbeat.unix_ms = now.unix_ms;
  return heartbeat;
}

void FailureDetector::handle_answer(Now now, NodeIndex node, const Heartbeat& answer) {
  Peer& peer = peers_[node];
  int64_t round_trip_us = now.mono_us - answer.sent_us;
  if (!peer.linked || answer.number == 0 || answer.number > peer.number || round_trip_us < 0) {
    return;
  }
  int64_t interval_us = std::clamp<int64_t>(now.mono_us - peer.heard_us, 0, kSilenceLeastUs);
  peer.interval_us = std::max(kHeartbeatUs, (peer.interval_us * 7 + interval_us) / 8);
  heard(now, node);
  bool known = answer.state >= static_cast<uint8_t>(NodeState::kLoading) &&
               answer.state <= static_cast<uint8_t>(NodeState::kWritesOnly);
  peer.state = known ? static_cast<NodeState>(answer.state) : NodeState::kLoading;
  // A sample is off by half of its round trip at most; long ones say too little.
  int64_t half_ms = round_trip_us / 2 / kMicrosPerMs;
  if (half_ms > kOffsetFenceMs) return;
  int64_t offset_ms = answer.unix_ms - (now.unix_ms - half_ms);
  peer.offset_ms = peer.has_offset ? (peer.offset_ms * 3 + offset_ms) / 4 : offset_ms;
  peer.has_offset = true;
  peer.round_trip_us = round_trip_us;
}

void FailureDetector::heard(Now now, NodeIndex node) {
  peers_[node].heard_us = now.mono_us;
}

void FailureDetector::handle_timeout(Now now) {
  constexpr int64_t kLookUs = kHeartbeatUs / 2;
  // Later than this is not the loop's usual lateness: the process was stopped.
  constexpr int64_t kLateUs = 2 * kHeartbeatUs;
  int64_t late_us = looked_us_ == 0 ? 0 : now.mono_us - looked_us_ - kLookUs;
  looked_us_ = now.mono_us;
  next_look_us_ = now.mono_us + kLookUs;
  for (Peer& peer : peers_) {
    if (late_us > kLateUs) {
      peer.heard_us += late_us;
      peer.linkless_since_us += late_us;
    }
    if (peer.state == NodeState::kDown) continue;
    int64_t silence_us = now.mono_us - peer.heard_us;
    bool silent = silence_us > std::max(kSilenceLeastUs, kIntervals * peer.interval_us);
    bool cut = !peer.linked && now.mono_us - peer.linkless_since_us > kLinklessUs;
    if (silent || cut) peer.state = NodeState::kDown;
  }
}

int64_t FailureDetector::own_offset_ms() const {
  std::vector<int64_t> offsets = {0};
  for (NodeIndex node = 0; node < peers_.size(); ++node) {
    const Peer& peer = peers_[node];
    if (node != self_ && peer.has_offset && peer.state != NodeState::kDown) {
      offsets.push_back(peer.offset_ms);
    }
  }
  auto middle = offsets.begin() + static_cast<std::ptrdiff_t>((offsets.size() - 1) / 2);
  std::nth_element(offsets.begin(), middle, offsets.end());
  return -*middle;
}

bool FailureDetector::is_fenced() const {
  int64_t offset_ms = own_offset_ms();
  return offset_ms > kOffsetFenceMs || offset_ms < -kOffsetFenceMs;
}

std::string FailureDetector::describe() const {
  std::string text;
  for (NodeIndex node = 0; node < peers_.size(); ++node) {
    const Peer& peer = peers_[node];
    if (node == self_) continue;
    text += std::to_string(node) + " " + std::string(node_state_name(peer.state)) + " heard " +
            std::to_string(peer.heard_us / kMicrosPerMs) + " ms round trip " +
            std::to_string(peer.round_trip_us) + " us clock " + std::to_string(peer.offset_ms) +
            " ms" + (std::abs(peer.offset_ms) > kOffsetWarnMs ? " off\n" : "\n");
  }
  return text;
}

}  // namespace dyno

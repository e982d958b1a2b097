// SPDX-License-Identifier: Apache-2.0
//
// Who is there, and how far the clocks are apart. The steward's.
//
// Every peer is sent a heartbeat each 100 ms on the link of lane 0. A peer is there as long as it
// answers: an answer proves both directions. Only what this node sees itself counts, never what a
// third one says. A peer is down when it was silent for several times its usual interval, which is
// learnt, and not less than 600 ms; a link that broke makes it down after 300 ms already, if no new
// one came. A node that was itself stopped notices that its timers are late and gives
// everyone that time again (local health, as in Lifeguard, Dadgar et al. 2018).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "protocol/peer_message.h"
#include "ring/machine.h"
#include "ring/topology.h"
#include "ring/view.h"

namespace dyno {

class FailureDetector {
 public:
  static constexpr int64_t kHeartbeatUs = 100 * kMicrosPerMs;
  static constexpr int64_t kSilenceLeastUs = 600 * kMicrosPerMs;
  static constexpr int64_t kLinklessUs = 300 * kMicrosPerMs;
  static constexpr int64_t kIntervals = 6;  // Usual intervals of silence that make a peer down.
  static constexpr int64_t kOffsetWarnMs = 100;
  static constexpr int64_t kOffsetFenceMs = 500;

  FailureDetector(const Topology& topology, NodeIndex self);

  void link_up(Now now, NodeIndex node);
  void link_down(Now now, NodeIndex node);
  // The heartbeat that is to be sent now, if one is.
  [[nodiscard]] bool is_due(Now now, NodeIndex node) const;
  [[nodiscard]] Heartbeat heartbeat(Now now, NodeIndex node);
  // An answer to one of ours. A state that makes no sense counts as filling.
  void handle_answer(Now now, NodeIndex node, const Heartbeat& answer);
  // Anything else that the peer answered on its link of lane 0.
  void heard(Now now, NodeIndex node);

  // Looks at the clock; true when someone's state may have changed.
  void handle_timeout(Now now);
  [[nodiscard]] int64_t next_timeout() const { return next_look_us_; }

  [[nodiscard]] NodeState state_of(NodeIndex node) const { return peers_[node].state; }
  [[nodiscard]] int64_t clock_offset_ms(NodeIndex node) const { return peers_[node].offset_ms; }
  // How far this node's clock is from that of the median of the nodes that are there; of two, the
  // one that is ahead is taken to be wrong.
  [[nodiscard]] int64_t own_offset_ms() const;
  [[nodiscard]] bool is_fenced() const;
  [[nodiscard]] std::string describe() const;

 private:
  struct Peer {
    NodeState state = NodeState::kDown;
    bool linked = false;
    int64_t linkless_since_us = 0;
    int64_t heard_us = 0;
    int64_t sent_us = 0;
    int64_t interval_us = kHeartbeatUs;  // Usual, between answers.
    uint64_t number = 0;
    int64_t round_trip_us = 0;
    int64_t offset_ms = 0;
    bool has_offset = false;
  };

  const NodeIndex self_;
  std::vector<Peer> peers_;
  int64_t next_look_us_ = 0;
  int64_t looked_us_ = 0;
};

}  // namespace dyno

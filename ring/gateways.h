// SPDX-License-Identifier: Apache-2.0
//
// Sends what several nodes of another data center are to get over the distance once: to one of
// them, the gateway, which passes it on. A lane's.
//
// Streams stay what they are: each is numbered for its peer, and the peer acknowledges it on its
// own link. Only the frames take another way, so that a gateway keeps nothing and promises
// nothing. It can be left at any time, and the stream goes on from what its peer has acknowledged.
//
// A stream goes over the gateway while its own link is up, it has nothing to say but frames and
// marks, and at least one other stream goes there too; and while this node, the gateway and the
// peer have equally many lanes, for then the gateway's link of a lane ends at the lane of the peer
// that has the stream. Else it goes directly.
//
// A gateway is left when it is down or its link is, when it has no link to the peer, and when the
// peer acknowledges nothing for kStuckUs. The stream then goes directly for kDirectUs.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "protocol/peer_message.h"
#include "ring/machine.h"
#include "ring/stream_sender.h"
#include "ring/streams.h"
#include "ring/topology.h"
#include "ring/view.h"

namespace dyno {

struct GatewayCounts {
  uint64_t frames = 0;  // Sent to gateways.
  uint64_t copies = 0;  // What they stand for: one for each peer.
  uint64_t left = 0;    // Streams that left a gateway.
};

class Gateways {
 public:
  static constexpr size_t kTargetsMax = 64;  // Streams that share a gateway.
  static constexpr int64_t kStuckUs = 1000 * kMicrosPerMs;
  static constexpr int64_t kDirectUs = 5000 * kMicrosPerMs;

  Gateways(const Topology& topology, NodeIndex self, uint16_t lane, uint16_t lanes,
           const StreamLimits& limits, Streams& streams);

  // This lane's own link to the node.
  void link_up(NodeIndex node, const Hello& welcome);
  void link_down(NodeIndex node);
  // The gateway could not pass on what was for this node.
  void refused(Now now, NodeIndex gateway, NodeIndex node);
  void set_view(SharedView view);
  void handle_timeout(Now now);

  // Chooses the ways of all streams, and appends what can be sent over gateways. `rooms`: how many
  // bytes each data center may get, with one frame more; what was appended is taken off. Without
  // any there is no limit.
  void fill(std::map<NodeIndex, std::string>* to_nodes, std::span<int64_t> rooms = {});
  // Since the last fill(): the stream to this node is not to be sent directly.
  [[nodiscard]] bool carries(NodeIndex node) const;

  [[nodiscard]] const GatewayCounts& counts() const { return counts_; }

 private:
  struct Peer {
    bool able = false;  // Linked, and of the same kind as this node.
    NodeIndex gateway = kNoNode;
    int64_t direct_until_us = 0;
    int64_t avoid_until_us = 0;  // As a gateway.
    // When `acked` was first seen to be as it is, while something is on its way.
    int64_t waits_since_us = -1;
    uint64_t acked = 0;
  };

  [[nodiscard]] NodeIndex choose(const std::vector<NodeIndex>& nodes) const;
  [[nodiscard]] bool is_eligible(NodeIndex node) const;
  void set_way(NodeIndex node, NodeIndex gateway);
  bool write_relay(const std::vector<NodeIndex>& targets, size_t bytes_max, std::string* out);
  void take_frames(const std::vector<NodeIndex>& targets, size_t bytes_max, Relay* relay);

  const NodeIndex self_;
  const uint16_t lane_;
  const uint16_t lanes_;
  const size_t batch_bytes_max_;
  Streams& streams_;
  SharedView view_;
  std::vector<std::vector<NodeIndex>> far_;  // By data center, the nodes with streams; not the own.
  std::map<NodeIndex, Peer> peers_;          // Those of far_.
  int64_t now_us_ = 0;
  GatewayCounts counts_;
};

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// All streams that a lane sends: one to each node that owns some of what this node owns. A frame
// goes to every node of another rack that owns one of its keys.
#pragma once

#include <map>
#include <span>
#include <utility>
#include <vector>

#include "ring/stream_sender.h"
#include "ring/topology.h"

namespace dyno {

class Streams {
 public:
  Streams(const Topology& topology, NodeIndex self, const StreamLimits& limits);

  // Queues the frame for its nodes; appends (node, number) of each to `queued` unless that is null.
  void publish(const SharedFrame& frame, std::vector<std::pair<NodeIndex, uint64_t>>* queued);
  // The nodes of the other racks that own one of these tokens, ascending.
  [[nodiscard]] std::vector<NodeIndex> receivers(std::span<const Token> tokens) const;

  // Null for a node that shares no keys with this one.
  [[nodiscard]] StreamSender* to(NodeIndex node);
  [[nodiscard]] std::map<NodeIndex, StreamSender>& all() { return senders_; }

 private:
  const Topology& topology_;
  const NodeIndex self_;
  std::map<NodeIndex, StreamSender> senders_;
  std::vector<StreamSender*> by_node_;  // Null where there is none.
  uint64_t published_ = 0;              // Frames.
};

}  // namespace dyno

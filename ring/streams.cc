// SPDX-License-Identifier: Apache-2.0
#include "ring/streams.h"

#include <algorithm>

namespace dyno {

Streams::Streams(const Topology& topology, NodeIndex self, const StreamLimits& limits)
    : topology_(topology), self_(self) {
  by_node_.resize(topology.nodes().size());
  for (NodeIndex node : topology.node(self).sharers) {
    by_node_[node] = &senders_.try_emplace(node, limits).first->second;
  }
}

void Streams::publish(const SharedFrame& frame,
                      std::vector<std::pair<NodeIndex, uint64_t>>* queued) {
  ++published_;
  auto queue = [&](NodeIndex node) {
    StreamSender* sender = to(node);
    if (sender == nullptr) return;  // A key that this node does not own: nobody's business.
    uint64_t number = sender->append(frame, published_);
    if (queued != nullptr) queued->push_back({node, number});
  };
  if (frame->tokens.empty()) {
    for (auto& [node, sender] : senders_) queue(node);
  } else if (frame->tokens.size() == 1) {
    for (const Topology::Rack& rack : topology_.racks()) {
      if (rack.number == topology_.node(self_).rack_number) continue;
      queue(topology_.owner(rack.number, frame->tokens.front()));
    }
  } else {
    for (NodeIndex node : receivers(frame->tokens)) queue(node);
  }
}

std::vector<NodeIndex> Streams::receivers(std::span<const Token> tokens) const {
  std::vector<NodeIndex> nodes;
  for (const Topology::Rack& rack : topology_.racks()) {
    if (rack.number == topology_.node(self_).rack_number) continue;
    for (Token token : tokens) nodes.push_back(topology_.owner(rack.number, token));
  }
  std::sort(nodes.begin(), nodes.end());
  nodes.erase(std::unique(nodes.begin(), nodes.end()), nodes.end());
  return nodes;
}

StreamSender* Streams::to(NodeIndex node) {
  return by_node_[node];
}

}  // namespace dyno

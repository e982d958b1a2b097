// SPDX-License-Identifier: Apache-2.0
#include "ring/streams.h"

#include <algorithm>

namespace dyno {

Streams::Streams(const Topology& topology, NodeIndex self, const StreamLimits& limits)
    : topology_(topology), self_(self) {
  for (NodeIndex node : topology.node(self).sharers) senders_.try_emplace(node, limits);
}

void Streams::publish(const SharedFrame& frame,
                      std::vector<std::pair<NodeIndex, uint64_t>>* queued) {
  ++published_;
  if (frame->tokens.empty()) {
    for (auto& [node, sender] : senders_) {
      uint64_t number = sender.append(frame, published_);
      if (queued != nullptr) queued->push_back({node, number});
    }
    return;
  }
  for (NodeIndex node : receivers(frame->tokens)) {
    StreamSender* sender = to(node);
    if (sender == nullptr) continue;  // A key that this node does not own: nobody's business.
    uint64_t number = sender->append(frame, published_);
    if (queued != nullptr) queued->push_back({node, number});
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
  auto found = senders_.find(node);
  return found == senders_.end() ? nullptr : &found->second;
}

}  // namespace dyno

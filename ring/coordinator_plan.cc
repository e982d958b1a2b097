// SPDX-License-Identifier: Apache-2.0
//
// The coordinator's part that says where a request runs.
#include <algorithm>

#include "ring/coordinator.h"

namespace dyno {
namespace {

constexpr std::string_view kCrossSlot =
    "CROSSSLOT Keys in request don't hash to the same slot, and no node owns all of them";

template <class Items, class Item>
bool has(const Items& items, const Item& item) {
  return std::find(items.begin(), items.end(), item) != items.end();
}

}  // namespace

bool Coordinator::can_run(NodeIndex node, bool write) const {
  const View::NodeView& seen = view_->nodes[node];
  if (node != self_ && !linked_[node]) return false;
  return write ? seen.may_write() : seen.may_read();
}

bool Coordinator::is_quorum(Level level) const {
  if (level == Level::kDcOne) return false;
  const Topology::Node& own = topology_.node(self_);
  return topology_.dcs()[own.dc_index].racks.size() > 1 ||
         (level == Level::kDcEachSafeQuorum && topology_.dcs().size() > 1);
}

NodeIndex Coordinator::origin(Token token) const {
  uint16_t dc_index = topology_.node(self_).dc_index;
  return topology_.owner(topology_.preferred_rack(dc_index, slot_of(token), near_racks_), token);
}

bool Coordinator::is_settled(Now now, std::span<const Token> tokens) const {
  return leases_.is_settled(now, view_->known) &&
         std::all_of(tokens.begin(), tokens.end(),
                     [this](Token token) { return origin(token) == self_; });
}

NodeIndex Coordinator::owner_of_all(RackNumber rack, std::span<const Token> tokens) const {
  NodeIndex owner = topology_.owner(rack, tokens.front());
  for (Token token : tokens.subspan(1)) {
    if (topology_.owner(rack, token) != owner) return kNoNode;
  }
  return owner;
}

NodeIndex Coordinator::choose_in(uint16_t dc_index, std::span<const Token> tokens, bool write,
                                 std::span<const NodeIndex> but) const {
  RackSet healthy;
  for (RackNumber rack : topology_.dcs()[dc_index].racks) {
    NodeIndex owner = owner_of_all(rack, tokens);
    if (owner != kNoNode && can_run(owner, write) && !has(but, owner)) healthy.insert(rack);
  }
  RackNumber rack = topology_.preferred_rack(dc_index, slot_of(tokens.front()), healthy);
  return rack == 0 ? kNoNode : owner_of_all(rack, tokens);
}

NodeIndex Coordinator::choose(std::span<const Token> tokens, bool write, Level level,
                              std::span<const NodeIndex> but) const {
  const Topology::Node& own = topology_.node(self_);
  if (!write || !is_quorum(level)) {
    NodeIndex near = owner_of_all(own.rack_number, tokens);
    if (near != kNoNode && can_run(near, write) && !has(but, near)) return near;
  }
  NodeIndex node = choose_in(own.dc_index, tokens, write, but);
  if (node != kNoNode || !options_.may_leave_dc) return node;
  for (uint16_t dc = 0; dc < topology_.dcs().size() && node == kNoNode; ++dc) {
    if (dc != own.dc_index) node = choose_in(dc, tokens, write, but);
  }
  return node;
}

Plan Coordinator::plan(std::span<const Token> tokens, bool write, bool may_split,
                       Level level) const {
  Plan plan;
  if (tokens.empty()) {
    plan.kind = Plan::Kind::kLocal;
    return plan;
  }
  bool quorum = is_quorum(level);
  if (!quorum && can_run(self_, write) &&
      owner_of_all(topology_.node(self_).rack_number, tokens) == self_) {
    plan.kind = Plan::Kind::kLocal;
    return plan;
  }
  if (quorum && tokens.size() == 1) {
    // It waits for others wherever it runs: begin() looks for the place, or refuses.
    plan.kind = Plan::Kind::kBegin;
    return plan;
  }
  if (may_split && tokens.size() > 1) return split(tokens, write, level);
  NodeIndex node = choose(tokens, write, level, {});
  if (node == kNoNode) {
    plan.refusal = refusal_for(tokens);
  } else {
    plan.kind = node == self_ && !quorum ? Plan::Kind::kLocal : Plan::Kind::kBegin;
  }
  return plan;
}

Plan Coordinator::split(std::span<const Token> tokens, bool write, Level level) const {
  Plan plan;
  std::vector<NodeIndex> nodes;
  for (uint32_t i = 0; i < tokens.size(); ++i) {
    NodeIndex node = choose(tokens.subspan(i, 1), write, level, {});
    if (node == kNoNode) {
      plan.groups.clear();
      plan.refusal = refusal_for(tokens.subspan(i, 1));
      return plan;
    }
    auto found = std::find(nodes.begin(), nodes.end(), node);
    auto group = static_cast<size_t>(found - nodes.begin());
    if (found == nodes.end()) {
      nodes.push_back(node);
      plan.groups.emplace_back();
    }
    plan.groups[group].push_back(i);
  }
  plan.kind = nodes.size() > 1 ? Plan::Kind::kScatter : Plan::Kind::kBegin;
  return plan;
}

std::string Coordinator::refusal_for(std::span<const Token> tokens) const {
  bool owned = false;
  for (const Topology::Rack& rack : topology_.racks()) {
    owned = owned || owner_of_all(rack.number, tokens) != kNoNode;
  }
  if (!owned) return error(kCrossSlot);
  if (view_->nodes[self_].state == NodeState::kLoading) {
    return error("LOADING Dyno is filling its memory from its replicas");
  }
  if (view_->nodes[self_].state == NodeState::kFenced) {
    return error("TRYAGAIN the clock of this node is too far off to write");
  }
  const Topology::Node& own = topology_.node(self_);
  return error("CLUSTERDOWN no live owner for slot " + std::to_string(slot_of(tokens.front())) +
               " in " + topology_.dcs()[own.dc_index].name);
}

}  // namespace dyno

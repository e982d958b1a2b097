// SPDX-License-Identifier: Apache-2.0
#include "ring/completeness.h"

#include "ring/planted_fault.h"

namespace dyno {

Completeness::Completeness(const Topology& topology, NodeIndex self) {
  for (NodeIndex node : topology.node(self).sharers) peers_[node];
}

void Completeness::published(Stamp stamp) {
  published_ = std::max(published_, stamp);
  complete_ = std::max(complete_, stamp);
  sound_ = std::max(sound_, stamp);
}

void Completeness::heard(NodeIndex node, const Said& said) {
  auto found = peers_.find(node);
  if (found == peers_.end()) return;
  found->second = {true, said};
  horizon_ = std::max(horizon_, said.horizon);
  if (said.serves && trusts(node)) limit_sound(said.sound);
}

void Completeness::peer_seen(NodeIndex node) {
  auto found = peers_.find(node);
  if (found != peers_.end()) found->second = {};
}

void Completeness::filled_from(NodeIndex node) {
  auto found = peers_.find(node);
  if (found == peers_.end()) return;
  complete_ = std::max(complete_, found->second.said.complete);
  limit_sound(found->second.said.sound);
}

// Of what was removed up to what this node has published it knows, and keeps the traces that the
// horizon has not passed.
void Completeness::limit_sound(Stamp sound) {
  sound_ = std::min(sound_, std::max(sound, published_));
}

bool Completeness::trusts(NodeIndex node) const {
  auto found = peers_.find(node);
  if (found == peers_.end() || is_planted(PlantedFault::kTrustsOldData)) return true;
  return found->second.has_spoken && found->second.said.sound >= horizon_;
}

bool Completeness::can_fill(NodeIndex node) const {
  auto found = peers_.find(node);
  return found == peers_.end() || found->second.said.complete >= dropped_;
}

Stamp Completeness::stale_until() const {
  if (is_planted(PlantedFault::kTrustsOldData)) return 0;
  return sound_ < horizon_ ? horizon_ : 0;
}

void Completeness::dropped(Stamp limit) {
  dropped_ = std::max(dropped_, limit);
  complete_ = 0;
  // Another peer may have told of a later horizon meanwhile.
  if (horizon_ <= limit) sound_ = kAll;
}

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
#include "ring/leases.h"

namespace dyno {

Leases::Leases(const Topology& topology, NodeIndex self, int64_t began_us)
    : peers_(topology.nodes().size()) {
  const Topology::Node& own = topology.node(self);
  bool is_alone = true;
  for (NodeIndex node : own.sharers) {
    if (topology.node(node).dc_index != own.dc_index) continue;
    peers_[node].is_near = true;
    peers_[node].promised_us = began_us + kPromisedUs;
    is_alone = false;
  }
  if (is_alone) held_us_ = kNever;
}

bool Leases::grant(Now now, NodeIndex node) {
  Peer& peer = peers_[node];
  bool is_passed_over = peer.passed_over.exchange(false) || peer.standing_in.load() > 0;
  if (is_passed_over) peer.passed_over_us = now.mono_us;
  if (now.mono_us < peer.passed_over_us + kPassedOverUs) return false;
  // The promise is made before the look: a write that begins in between sees one of both.
  peer.promised_us.store(now.mono_us + kPromisedUs);
  return peer.standing_in.load() == 0;
}

int64_t Leases::stand_in(NodeIndex node) {
  Peer& peer = peers_[node];
  peer.standing_in.fetch_add(1);
  peer.passed_over.store(true);
  return peer.promised_us.load();
}

void Leases::hold(Now now, NodeIndex node, int64_t sent_us, Stamp clock) {
  Peer& peer = peers_[node];
  // What nobody sent is no question that was answered.
  if (!peer.is_near || sent_us < dropped_us_ || sent_us > now.mono_us) return;
  int64_t until_us = sent_us + kHeldUs;
  if (until_us <= now.mono_us) return;
  // The lanes hear of what may have been missed before they hear of the lease.
  if (peer.held_us <= now.mono_us) {
    disturbed_.store(std::max(
        disturbed_.load(), clock + (static_cast<Stamp>(HybridClock::kLeadMaxMs) << kStampMsShift)));
  }
  peer.held_us = std::max(peer.held_us, until_us);
  int64_t least_us = kNever;
  for (const Peer& each : peers_) {
    if (each.is_near) least_us = std::min(least_us, each.held_us);
  }
  held_us_.store(least_us);
}

void Leases::drop(Now now) {
  dropped_us_ = now.mono_us + 1;
  bool is_any = false;
  for (Peer& peer : peers_) {
    peer.held_us = 0;
    is_any |= peer.is_near;
  }
  if (is_any) held_us_.store(0);
}

}  // namespace dyno

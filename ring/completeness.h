// SPDX-License-Identifier: Apache-2.0
//
// Whether this node may hold what the others have removed and forgotten. The steward's.
//
// A node that begins with data from a disk holds what it knew when that was written. Of what was
// removed since the others keep traces, and tell it, unless the horizon (frontier.h) has passed
// them: then nothing tells that it is gone, and comparing would bring it back everywhere.
//
//   complete   of a node's data: every write up to this stamp is in it, or what made it void
//   sound      of a node's data: it has nothing that was made void up to this stamp. Data that
//   began
//              empty has nothing old: kAll
//   stale      a node whose data is not sound up to a peer's horizon
//
// What is alive up to a peer's horizon that peer has. So a stale node drops what it holds up to
// there, keeps later writes, which may be nowhere else, and is filled anew; nothing is lost. It
// rests on these rules:
//
// 1. A node publishes no more than what its disk would tell it after a restart. So the horizon
//    passes nobody who comes back with what it had: stale is who comes back with less.
// 2. On a disk the horizon is never ahead of what the data there is complete up to.
// 3. From a peer that is not known to be sound up to the largest horizon that was heard of, nothing
//    is pulled, and it counts as one that fills its memory.
// 4. A node is no sounder than the serving peers that it trusts.
// 5. A node is as complete as those that it was filled from. One that dropped what it had is filled
//    from those that are complete up to there.
#pragma once

#include <algorithm>
#include <limits>
#include <map>

#include "engine/replica/stamp.h"
#include "ring/topology.h"

namespace dyno {

class Completeness {
 public:
  static constexpr Stamp kAll = std::numeric_limits<Stamp>::max();

  Completeness(const Topology& topology, NodeIndex self);

  // The node begins with data that is complete up to this stamp; without: with none.
  void begin(Stamp complete) { complete_ = sound_ = complete; }
  // The node knows, also after a restart, all writes up to this stamp.
  void published(Stamp stamp);
  // The horizon of this node.
  void set_horizon(Stamp horizon) { horizon_ = std::max(horizon_, horizon); }
  // What a peer says of itself, and that a new process is in its place, which has not said it yet.
  struct Said {
    bool serves = false;
    Stamp complete = 0;
    Stamp sound = 0;
    Stamp horizon = 0;
  };
  void heard(NodeIndex node, const Said& said);
  void peer_seen(NodeIndex node);
  // The node was filled from this peer.
  void filled_from(NodeIndex node);

  [[nodiscard]] Stamp complete() const { return complete_; }
  [[nodiscard]] Stamp sound() const { return sound_; }
  // Rule 3, of a node that shares keys; others have nothing to be trusted with.
  [[nodiscard]] bool trusts(NodeIndex node) const;
  // Rule 5.
  [[nodiscard]] bool can_fill(NodeIndex node) const;
  // The node is stale: what is to be dropped is as old as this, or older. 0: it is not.
  [[nodiscard]] Stamp stale_until() const;
  void dropped(Stamp limit);

 private:
  struct Peer {
    bool has_spoken = false;
    Said said;
  };

  void limit_sound(Stamp sound);

  std::map<NodeIndex, Peer> peers_;  // Those that share keys.
  Stamp complete_ = 0;
  Stamp sound_ = kAll;
  Stamp published_ = 0;
  Stamp horizon_ = 0;  // The largest of this node and of them.
  Stamp dropped_ = 0;
};

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// Whether this node has what it must have before it serves. The steward's.
//
// A process begins with an empty memory. Peers that share its keys and were serving when they were
// first heard of are its donors: it pulls from every donor that is there, those of its own data
// center if there are any, and serves nothing before. All of them, since a write that a quorum has
// acknowledged may rest at any one of them beside the memory that was lost. One that falls silent
// may only be slow: it is waited for, for kPatienceUs. One that cannot be reached is not.
//
// Of a ring that starts for the first time nobody serves. So a node whose peers all turned out to
// be away or filling as well begins to serve, at the latest kGraceUs after it started. Should a
// donor then show up after all, the node had only been cut off: it stops serving and pulls.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "ring/machine.h"
#include "ring/topology.h"
#include "ring/view.h"

namespace dyno {

class Bootstrap {
 public:
  static constexpr int64_t kGraceUs = 3000 * kMicrosPerMs;
  static constexpr int64_t kPatienceUs = 5000 * kMicrosPerMs;

  Bootstrap(const Topology& topology, NodeIndex self);

  // What the peer says of itself, or that it is silent: kDown. `can_fill`: it has all that a node
  // lacks that begins anew.
  void heard(NodeIndex node, NodeState state, bool can_fill = true);
  // The peer could not be reached.
  void unreachable(NodeIndex node);
  void pulled(NodeIndex node);
  // The node has dropped what it held: it serves no more until it was filled, however long no donor
  // is there. Every peer that serves is one then; those that cannot fill it suffice after a while.
  void begin_anew(Now now);

  void handle_timeout(Now now);
  [[nodiscard]] int64_t next_timeout() const;
  [[nodiscard]] bool is_filled() const { return filled_; }
  // Donors to be pulled from.
  [[nodiscard]] std::vector<NodeIndex> wanted() const;
  [[nodiscard]] std::string describe() const;

 private:
  struct Peer {
    bool near = false;     // Of this data center.
    bool settled = false;  // What it was at first is known.
    bool donor = false;
    bool can_fill = true;
    bool pulled = false;
    bool there = false;
    bool unreachable = false;
    int64_t silent_us = -1;  // Since when it is not there; -1: it is.
  };
  [[nodiscard]] bool lacks(Now now) const;
  [[nodiscard]] bool may_begin_again(Now now) const;

  std::map<NodeIndex, Peer> peers_;  // Those that share keys.
  bool filled_ = false;
  bool needs_donor_ = false;  // Since anew_us_.
  int64_t anew_us_ = 0;
  bool alone_ = false;  // Began to serve without a donor.
  bool has_near_donor_ = false;
  int64_t started_us_ = -1;
};

}  // namespace dyno

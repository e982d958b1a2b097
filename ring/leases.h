// SPDX-License-Identifier: Apache-2.0
//
// Whether a node knows every write to its keys that a quorum of its data center has acknowledged,
// without asking anyone: as long as the other replicas have promised to run none (leases: Gray and
// Cheriton 1989). One per node, shared by its lanes and its steward.
//
// The usual origin of a slot, the preferred rack's owner, runs all quorum writes of the slot, and
// so knows them, while nobody stands in for it. Therefore
//
//   lease     Every replica in the data center answers each heartbeat of the node with one, and
//             runs no write for it at a quorum level for kPromisedUs from then. The node counts
//             kHeldUs from when it sent the heartbeat, by its own clock: so its end comes first,
//             whatever the clocks show and however long the messages take, as far as two clocks
//             run at nearly the same speed
//   standing  Who is to run such a write for another one grants it no more leases, and waits until
//   in        the last one has ended; then it compares (coordinator.h). It grants none for another
//             kPassedOverUs, so that the next one need not wait
//   settled   The node holds a lease of everyone, and every write up to `disturbed` has arrived
//             (View::known): the stamp that no write can reach which was made while some lease was
//             lacking, its clock of that time and as much as a clock that is believed is ahead
//
// Who has no lease of everyone compares before it writes, too. A node that is stopped finds its
// leases ended. A process that begins does not know what its predecessor promised: it stands in for
// nobody in its first kPromisedUs.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <vector>

#include "engine/replica/stamp.h"
#include "ring/machine.h"
#include "ring/topology.h"

namespace dyno {

// All methods may be called by any thread, but for those of the steward.
class Leases {
 public:
  static constexpr int64_t kPromisedUs = 500 * kMicrosPerMs;
  static constexpr int64_t kHeldUs = 450 * kMicrosPerMs;
  static constexpr int64_t kPassedOverUs = 1000 * kMicrosPerMs;

  Leases(const Topology& topology, NodeIndex self, int64_t began_us);

  // Whether this node and that one own the same keys in one data center.
  [[nodiscard]] bool is_near(NodeIndex node) const { return peers_[node].is_near; }

  // The steward's, of a node that asks for a lease: false when it gets none.
  [[nodiscard]] bool grant(Now now, NodeIndex node);
  // That node runs no writes now, and told so: nobody need wait for it.
  void release(NodeIndex node) { peers_[node].promised_us.store(0); }
  // The steward's: that node has answered a heartbeat that was sent then with a lease. `clock` is
  // this node's.
  void hold(Now now, NodeIndex node, int64_t sent_us, Stamp clock);
  // The steward's: this node runs no writes from now on, and is about to tell so.
  void drop(Now now);

  // A write begins to stand in for that node. Returns when it may run: at once, unless that is
  // later than now.
  [[nodiscard]] int64_t stand_in(NodeIndex node);
  void end_standing_in(NodeIndex node) { peers_[node].standing_in.fetch_sub(1); }

  // `known`: View::known.
  [[nodiscard]] bool is_settled(Now now, Stamp known) const {
    return now.mono_us < held_us_.load() && known >= disturbed_.load();
  }
  [[nodiscard]] Stamp disturbed() const { return disturbed_.load(); }

 private:
  struct Peer {
    bool is_near = false;
    std::atomic<int64_t> promised_us{0};   // Until then this node does not stand in for that one.
    std::atomic<int> standing_in{0};       // Writes.
    std::atomic<bool> passed_over{false};  // Since the steward has looked.
    int64_t passed_over_us = -kPassedOverUs;  // The steward's, as is the next.
    int64_t held_us = 0;                      // Until then that one does not stand in for this one.
  };

  std::vector<Peer> peers_;          // By node.
  std::atomic<int64_t> held_us_{0};  // The least of all near ones.
  std::atomic<Stamp> disturbed_{0};
  int64_t dropped_us_ = 0;  // The steward's: leases on what was sent before are void.
};

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// What a node does for the ring beside requests: one per node, driven with lane 0. It composes the
// failure detector, the frontier, anti-entropy and the filling of an empty memory, and makes of
// what they know the view that all lanes go by. Its messages go over the links of lane 0.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ring/anti_entropy.h"
#include "ring/bootstrap.h"
#include "ring/completeness.h"
#include "ring/failure_detector.h"
#include "ring/frontier.h"
#include "ring/held_message.h"
#include "ring/leases.h"
#include "ring/machine.h"
#include "ring/note.h"
#include "ring/outbox.h"
#include "ring/store.h"
#include "ring/topology.h"
#include "ring/view.h"

namespace dyno {

struct StewardOptions {
  uint16_t lanes = 1;  // Of this node.
  AntiEntropyOptions anti_entropy;
};

class Steward {
 public:
  Steward(const Topology& topology, NodeIndex self, uint32_t incarnation,
          const StewardOptions& options, Store& store, Leases& leases);

  // The node begins with data from a disk, and with what Store::keep_known() was told of it. Called
  // before anything else; not when it begins with none.
  void begin(Stamp known, Stamp horizon);

  // By lane 0, of its own links.
  void link_up(Now now, NodeIndex node, uint64_t features);
  void link_down(Now now, NodeIndex node);
  void dial_failed(NodeIndex node);
  // A message of the kinds that are the steward's; broken when its body is not one.
  [[nodiscard]] static bool is_answer(MessageKind kind);
  [[nodiscard]] Handled handle_answer(Now now, NodeIndex from, const PeerMessage& message);
  [[nodiscard]] static bool is_question(MessageKind kind);
  [[nodiscard]] Handled handle_question(Now now, LinkId link, NodeIndex from,
                                        const PeerMessage& message);

  void handle_note(const Note& note);
  void handle_timeout(Now now);
  [[nodiscard]] int64_t next_timeout() const;

  // RING REPAIR: pull from every peer.
  void repair();
  [[nodiscard]] bool is_repaired() const { return anti_entropy_.is_quiet(); }
  // RING FORGET: see Frontier::forget().
  void forget(NodeIndex node) { frontier_.forget(node); }
  // What an operator wants this node to be, until the next wish: kNormal, kStandby, kWritesOnly, or
  // kLeaving. It is so as far as it can: a node that fills its memory goes on with that.
  void wish(NodeState state);

  [[nodiscard]] NodeState own_state() const;
  [[nodiscard]] const SharedView& view() const { return view_; }
  [[nodiscard]] const FailureDetector& failure_detector() const { return detector_; }
  [[nodiscard]] const Frontier& frontier() const { return frontier_; }
  [[nodiscard]] const Completeness& completeness() const { return completeness_; }
  // How often this node dropped what it held, being stale.
  [[nodiscard]] uint64_t drops() const { return drops_; }
  [[nodiscard]] const AntiEntropy& anti_entropy() const { return anti_entropy_; }
  // For RING STATUS: by node.
  [[nodiscard]] std::vector<NodeStatus> statuses() const;
  [[nodiscard]] std::string describe() const;

  // Lane 0 takes what is in it when it is drained.
  [[nodiscard]] Outbox& outbox() { return outbox_; }

 private:
  [[nodiscard]] std::vector<KnownNode> known() const;
  void look_at_peers(Now now);
  void answer_heartbeat(Now now, NodeIndex from, uint64_t id, Heartbeat heartbeat,
                        std::string* out);
  [[nodiscard]] NodeState state_of(NodeIndex node) const;
  [[nodiscard]] bool may_pull_from(NodeIndex node) const;
  void tell_own(Heartbeat* heartbeat) const;
  // Drops what a stale node holds; false while it does.
  [[nodiscard]] bool drop_if_stale(Now now);
  void demand_pulls(Now now);
  void publish();
  void make_view();

  const Topology& topology_;
  const NodeIndex self_;
  Store& store_;
  Leases& leases_;
  Outbox outbox_;
  FailureDetector detector_;
  Frontier frontier_;
  AntiEntropy anti_entropy_;
  Bootstrap bootstrap_;
  Completeness completeness_;
  Stamp dropping_until_ = 0;  // 0: the node drops nothing.
  uint64_t drops_ = 0;
  Stamp published_ = 0;  // What the view says, as does the next.
  Stamp known_ = 0;
  std::vector<uint32_t> incarnations_;  // By node.
  std::vector<Stamp> watermarks_;       // Of this node's lanes.
  SharedView view_;
  NodeState wished_ = NodeState::kNormal;
  bool is_superseded_ = false;
};

}  // namespace dyno

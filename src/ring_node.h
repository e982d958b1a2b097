// SPDX-License-Identifier: Apache-2.0
//
// This process as a node of a ring: what its lanes share, and what the rest of the process may ask
// of the ring. Exists only where the configuration names seeds.
//
// The replicated state, the identity and the topology are shared by all threads. The steward
// belongs to the thread of lane 0; what others see of it is copied out.
#pragma once

#include <sys/socket.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine/replica/origin.h"
#include "engine/replica/replica.h"
#include "ring/lane.h"
#include "ring/steward.h"
#include "src/conflict_log.h"
#include "src/lane_driver.h"
#include "src/ring_membership.h"
#include "src/written_frames.h"

namespace dyno {

class Server;

class RingNode {
 public:
  // REQUIRES: a membership that is not alone. `lanes`: the number of network threads.
  RingNode(Server& server, RingMembership membership, int lanes);
  ~RingNode();

  // By each network thread's owner before the thread starts, in the order of their numbers.
  std::unique_ptr<LaneDriver> make_lane(NetworkThread& thread, EventLoop& loop);

  // The node begins with data: see Steward::begin(). Before the threads start.
  void begin(Stamp known, Stamp horizon);

  [[nodiscard]] Server& server() { return server_; }
  [[nodiscard]] const Topology& topology() const { return membership_.topology; }
  [[nodiscard]] NodeIndex self() const { return membership_.self; }
  [[nodiscard]] const Identity& identity() const { return identity_; }
  [[nodiscard]] LaneOptions lane_options() const;
  [[nodiscard]] Replica& replica() { return replica_; }
  [[nodiscard]] Leases& leases() { return leases_; }
  [[nodiscard]] LaneDriver& lane_of(uint16_t number) { return *lanes_[number % lanes_.size()]; }
  // A key name whose token the node owns.
  [[nodiscard]] const std::string& probe_of(NodeIndex node) const { return probes_[node]; }

  // Any thread.
  void deliver(const Note& note);
  [[nodiscard]] SharedView view() const;
  // A socket that another node has connected.
  void accept(int fd) { lanes_.front()->greet(fd); }
  // Resolves a host name without making anybody wait; none: the error says why.
  using Resolved = std::function<void(std::string error, std::vector<sockaddr_storage>)>;
  void resolve(const std::string& host, uint16_t port, Resolved done);
  void repair();
  // What an operator wants this node to be: Steward::wish().
  void wish(NodeState state);
  // Before the process ends: nothing is begun here any more, others are told so, and what they
  // have not acknowledged gets a moment to reach them. Not by a network thread.
  void drain();
  [[nodiscard]] bool is_repaired() const { return repaired_.load(); }
  // How often the node dropped what it held, since that was too old.
  [[nodiscard]] uint64_t drops() const { return drops_.load(); }
  // All lanes' figures added up.
  [[nodiscard]] LaneFigures figures() const;
  // For RING STATUS: by node.
  [[nodiscard]] std::vector<NodeStatus> statuses() const;
  // What the steward knows, as text; asks its thread and waits a little for the answer.
  [[nodiscard]] std::string describe_steward() const;

  // Lane 0's thread, now and then: copies out what others may see.
  void publish_steward();

 private:
  void note_changes(const View& now);
  void note_superseded(const Superseded& note);

  Server& server_;
  RingMembership membership_;
  Identity identity_;
  ConflictLog conflict_log_;
  Leases leases_;
  Replica replica_;
  Origin origin_;
  WrittenFrames sink_;
  std::unique_ptr<RingStore> store_;
  std::unique_ptr<Steward> steward_;
  std::vector<LaneDriver*> lanes_;
  std::vector<std::string> probes_;  // By node.
  std::atomic<bool> repaired_{true};
  std::atomic<bool> superseded_{false};
  std::atomic<uint64_t> drops_{0};

  mutable std::mutex mutex_;
  SharedView view_;  // Guarded by mutex_, as is what follows.
  std::string steward_text_;
};

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// Drives one lane of the ring (ring/lane.h) on its network thread: sockets of links, notes from and
// to other threads, commands that other nodes ask for, and the answers to this thread's clients.
// Only nodes of a ring have it.
//
// Links that others dial are greeted by the driver of lane 0, which reads until the hello tells
// whose they are. What says no hello in time, or too much before it, is closed and counted.
#pragma once

#include <sys/socket.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "ring/lane.h"
#include "src/event_loop.h"
#include "src/peer_link.h"
#include "src/remote_runs.h"
#include "src/ring_gate.h"
#include "src/ring_store.h"

namespace dyno {

class NetworkThread;
class RingNode;

// What a lane knows of itself, for INFO and RING; some tenths of a second old.
struct LaneFigures {
  struct Peer {
    uint64_t unacked_frames = 0;
    uint64_t unacked_bytes = 0;
    uint64_t dirty_slots = 0;
    bool linked = false;
  };
  CoordinatorCounts counts;
  GatewayCounts gateways;
  WanCounts wan;
  uint64_t unanswered = 0;
  uint64_t pending_bytes = 0;  // Of unanswered requests, and of replies that wait for their turn.
  uint64_t closed_links = 0;
  uint64_t blocked_runs = 0;
  uint64_t parked_runs = 0;    // That wait for values on disk, or for room.
  uint64_t held_messages = 0;  // That did so, ever.
  uint64_t held_bytes = 0;     // Of those that do now, and of what stands behind them.
  uint64_t missing_links = 0;  // To nodes that are there. Of a sum only.
  std::vector<Peer> peers;     // By node.
};

class LaneDriver {
 public:
  LaneDriver(RingNode& node, NetworkThread& thread, EventLoop& loop, uint16_t number,
             Steward* steward);
  ~LaneDriver();

  // Any thread.
  void greet(int fd);                     // Lane 0: a socket that was just accepted.
  void adopt(int fd, std::string bytes);  // A link, with what was read from it.
  void tell(const Note& note);            // A note for this lane.
  void run_here(std::function<void()> task) { loop_.post(std::move(task)); }
  [[nodiscard]] LaneFigures figures() const;

  // The rest is the thread's own.
  void on_ready(PeerLink& link, uint32_t events);
  // Completes a wake-up: hands on what was written and does what the lane wants done.
  void turn();
  // How long the loop may sleep.
  [[nodiscard]] int64_t sleep_ms() const;
  // A command's writes come from a thread that had left the loop.
  void publish(std::vector<Frame> frames);
  // The disk has taken or brought something that commands that run for the lane, or links, may wait
  // for.
  void disk_moved();

  [[nodiscard]] Lane& lane() { return *lane_; }
  [[nodiscard]] RingStore& store() { return store_; }
  [[nodiscard]] RingGate& gate() { return gate_; }

 private:
  void act(Outbox& box);
  void publish_written();
  void dial(NodeIndex node);
  void connect(NodeIndex node, const sockaddr* address, socklen_t size);
  void dial_failed(NodeIndex node, const std::string& why);
  void connected(PeerLink& link);
  void read(PeerLink& link);
  // Hands in what has arrived.
  void take_own(PeerLink& link);
  void take_accepted(PeerLink& link);
  void read_greeting(PeerLink& link);
  void lost(PeerLink& link);
  void drop(PeerLink& link);
  void close_link(LinkId id, const std::string& reason);
  void hang_up(NodeIndex node, const std::string& reason);
  void send(PeerLink& link, std::string_view bytes);
  void note_trouble(NodeIndex node, const std::string& why);
  void look_around(int64_t now_us);
  void collect_some();

  RingNode& node_;
  NetworkThread& thread_;
  EventLoop& loop_;
  const uint16_t number_;
  RingStore store_;
  std::unique_ptr<Lane> lane_;
  RingGate gate_;
  RemoteRuns runs_;
  Outbox box_;  // Empty between turns; keeps its buffers.
  SharedView view_;

  std::map<NodeIndex, std::unique_ptr<PeerLink>> own_links_;
  std::map<LinkId, std::unique_ptr<PeerLink>> accepted_;
  std::vector<std::unique_ptr<PeerLink>> greeting_;
  std::vector<std::unique_ptr<PeerLink>> closed_;  // Freed at the end of the wake-up.
  std::map<NodeIndex, std::string> troubles_;      // What was last logged of a node.
  std::vector<uint32_t> dials_;                    // Attempts by node.
  LinkId next_link_ = 1;
  uint64_t closed_greetings_ = 0;
  int64_t next_look_us_ = 0;
  uint32_t next_collected_ = 0;

  mutable std::mutex mutex_;
  LaneFigures figures_;  // Guarded by mutex_.
};

[[nodiscard]] Now ring_now();

}  // namespace dyno

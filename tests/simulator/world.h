// SPDX-License-Identifier: Apache-2.0
//
// A whole ring in one thread on virtual time: the production machines of ring/, each process with
// an engine of its own, on simulated clocks and links, under faults and load, all of it from one
// seed. Two runs of a seed do the same to the last byte, which the hash of the trace shows.
//
// One world at a time: engines count their keys together.
//
//   world.cc     time and chance, and a run from its start to its end
//   processes.cc what nodes do, and their disks
//   network.cc   links between them
//   faults.cc    what breaks
//   scenes.cc    what goes wrong together
//   workload.cc  clients
//   checks.cc, checks_end.cc    what must hold, always and at the end
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "ring/lane.h"
#include "ring/steward.h"
#include "ring/topology.h"
#include "tests/simulator/disk.h"
#include "tests/simulator/ledger.h"
#include "tests/simulator/node_engine.h"
#include "tests/simulator/random.h"

namespace dyno::simulator {

inline constexpr int64_t kMs = 1000;  // Virtual time is in microseconds.
inline constexpr int64_t kSecond = 1000 * kMs;

// Drawn from the seed. A class of faults with chance 0 is off.
struct Conditions {
  int64_t delay_us_min = 0;
  int64_t delay_us_spread = 0;
  int64_t wan_delay_us = 0;
  int64_t reset_per_million = 0;  // Sends that break their link.
  int64_t partition_percent = 0;  // Of the faults that happen.
  int64_t pause_percent = 0;
  int64_t crash_percent = 0;
  int64_t clock_percent = 0;
  int64_t clog_percent = 0;
  bool unsafe_crashes = false;  // Also while the ring is not whole.
  int64_t fault_every_us = 0;   // 0: none.
  int64_t op_every_us = 0;
  int64_t load_us = 0;
  int64_t burst_us = 0;  // Clients work in the first third of so long, and rest; 0: all the time.
  int lanes = 1;
  int keys = 0;
  size_t log_bytes_max = 0;
  int64_t patience_us = 100 * kMs;  // At least so long a client waits for its answer.
  int64_t wan_rate = 0;             // Bytes per second of each lane; 0: no limit.
  bool compresses = true;
  bool has_disks = false;
  int64_t sync_every_us = 0;  // 0: with every write. Of disks.
  bool syncs_known = false;   // What is published waits for that.
  int64_t cold_percent = 0;   // Of the keys, that leave memory whenever some do.
  int64_t hurry = 1;  // Waits of seconds are this many times shorter, so that more happens in them.

  [[nodiscard]] std::string describe() const;
};

// See scenes.cc.
enum class Scene : uint8_t { kNone, kLostWithMemory, kLateAnswers, kOldDisk, kSlowRemovals };

class World {
 public:
  explicit World(uint64_t seed, bool verbose = false);
  ~World();

  // A mistake in the engines of all worlds from now on; null: none.
  static void plant(bool PlantedFaults::*fault) { engine_fault = fault; }
  // The scene of all worlds from now on; kNone: each draws its own.
  static void stage(Scene scene) { staged = scene; }

  // True when everything held; failures() says what did not.
  bool run();
  [[nodiscard]] const std::vector<std::string>& failures() const { return failures_; }
  [[nodiscard]] uint64_t trace_hash() const { return trace_hash_; }
  // What faults were made and which rare paths were reached.
  [[nodiscard]] const std::map<std::string, uint64_t>& probes() const { return probes_; }
  [[nodiscard]] std::string describe() const;
  // The last of what happened before the first failure: faults, and all that concerns its key. Of a
  // verbose world only.
  [[nodiscard]] std::string history() const;

 private:
  struct Event {
    int64_t at_us;
    uint64_t number;
    std::function<void()> act;
  };
  struct Later {
    bool operator()(const Event& a, const Event& b) const {
      return a.at_us != b.at_us ? a.at_us > b.at_us : a.number > b.number;
    }
  };
  struct Process {
    bool up = false;
    bool paused = false;
    uint64_t life = 0;  // Counts starts and crashes: what was meant for another is dropped.
    uint32_t incarnation = 0;
    int64_t wall_offset_ms = 0;
    int64_t drift_ppm = 0;
    Disk disk;  // Outlives the lives.
    Disk copy;  // Of the disk, made a while ago.
    std::unique_ptr<NodeEngine> engine;
    std::vector<std::unique_ptr<Store>> stores;  // The steward's, then those of the lanes.
    std::unique_ptr<Leases> leases;
    std::unique_ptr<Steward> steward;
    std::vector<std::unique_ptr<Lane>> lanes;
    std::vector<NodeState> states;                     // Of all nodes, as it last said.
    std::vector<std::map<NodeIndex, uint64_t>> links;  // By lane: the own link to each node.
    std::vector<int64_t> timer_us;                     // By lane: when its timer is to fire.
    std::vector<std::function<void()>> backlog;        // While paused.
    std::vector<std::function<void()>> parked;         // Commands that await their values.
  };
  // One direction of a connection.
  struct Pipe {
    int64_t last_us = 0;  // Nothing arrives before what was sent before it.
    std::string held;     // By a partition or a clog, until it ends or the connection breaks.
    bool clogged = false;
    std::string arrived;  // Not yet consumed.
    bool open = true;     // The receiver still listens.
  };
  struct Connection {
    NodeIndex from = kNoNode;
    NodeIndex to = kNoNode;
    uint16_t lane = 0;
    int to_lane = -1;  // -1: before its hello.
    uint64_t from_life = 0;
    uint64_t to_life = 0;
    Pipe there;
    Pipe back;
  };

  // Time and processes.
  void draw_conditions();
  void build_topology();
  void at(int64_t delay_us, std::function<void()> act);
  void on(NodeIndex node, int64_t delay_us, std::function<void()> act);
  void step();
  void run_until(int64_t until_us);
  [[nodiscard]] Now now_of(NodeIndex node) const;
  void start(NodeIndex node);
  void make_engine(NodeIndex node);
  void make_machines(NodeIndex node);
  void crash(NodeIndex node);
  void pause(NodeIndex node, int64_t for_us);
  void write_disk(NodeIndex node);
  void copy_disk();
  void settle(NodeIndex node, uint16_t lane);
  void arm(NodeIndex node, uint16_t lane);
  void route(NodeIndex node, const Note& note);
  void tend(NodeIndex node, const View& view);
  void run_command(NodeIndex node, uint16_t lane, const Outbox::Run& run);
  // None: values are on disk.
  [[nodiscard]] std::optional<std::string> run_op(NodeIndex node, uint64_t id,
                                                  const std::string& command,
                                                  std::vector<Frame>* frames);
  // Values that go to disk, and those that come back.
  void cool(NodeIndex node);
  void fetch(NodeIndex node);
  void disk_moved(NodeIndex node);
  void note_restamped(NodeIndex node, const Frame& old, const Frame& anew);
  void trace(uint64_t a, uint64_t b);
  void probe(const std::string& name, uint64_t count = 1) { probes_[name] += count; }
  void collect_probes(const Process& process);
  void fail(std::string what, const std::string& key = {});
  // For history(); without a key it concerns all of them.
  void note(const std::string& key, const std::string& what);
  void note_frame(NodeIndex node, const char* verb, std::string_view frames);

  // Network.
  [[nodiscard]] int64_t delay_between(NodeIndex a, NodeIndex b);
  void dial(NodeIndex node, uint16_t lane, NodeIndex peer);
  void send(uint64_t id, bool there, std::string bytes);
  void carry(uint64_t id, bool there, std::string bytes);
  void deliver(uint64_t id, bool there, const std::string& bytes);
  void break_link(uint64_t id);
  void close_end(uint64_t id, bool at_acceptor);
  void hear_close(uint64_t id, bool at_acceptor);
  void set_blocked(NodeIndex a, NodeIndex b, bool blocked);
  void clog(uint64_t id, bool there, int64_t for_us);
  void unclog(uint64_t id, bool there);
  [[nodiscard]] bool is_blocked(NodeIndex a, NodeIndex b) const {
    return blocked_.contains({a, b});
  }

  // Scenes.
  void set_scene();
  void play_scene();
  void lose_with_memory(NodeIndex node, NodeIndex unaware);
  void late_answers(NodeIndex asker, NodeIndex writer);
  void start_on_old_disk(NodeIndex node);
  void slow_removals(NodeIndex remover, NodeIndex writer);
  void slow_aware(NodeIndex node, NodeIndex unaware);
  void slow_way(NodeIndex from, NodeIndex to, int64_t for_us, bool both);

  // Faults.
  void next_fault();
  void make_partition();
  void make_pause();
  void make_crash();
  void crash_one(NodeIndex node);
  void damage_disk(NodeIndex node);
  void make_clock_fault();
  void make_clog();
  void slow_refill(NodeIndex node);
  void heal();
  [[nodiscard]] bool is_whole() const;
  // Something happened that may change where requests run.
  void upset();
  // The node and its replicas in its data center take writes, and it is linked with them.
  [[nodiscard]] bool sees_all_well(NodeIndex node) const;
  // Nobody sees anything amiss: the number of the time since when. 0: somebody does.
  [[nodiscard]] uint64_t health();

  // Clients.
  void draw_keys();
  [[nodiscard]] Op draw_op();
  void say(int64_t after_us, NodeIndex node, int lane, const char* verb);
  void submit(Op op);
  void next_op();
  void gather_dues(Op* op);
  void issue(uint64_t id);
  void route(uint64_t id, uint16_t lane);
  void answered(uint64_t id, Outcome outcome, const std::string& bytes);

  // Checks.
  void look();
  [[nodiscard]] bool was_written_meanwhile(const std::string& key, const HeldKey& held,
                                           const Op& read, const Due& due) const;
  [[nodiscard]] std::string unseen(NodeIndex node, const Op& op);
  void check_seen(const Op& op);
  void check_answer(const Op& op, const std::string& reply);
  void check_shown(const Op& op, const std::string& reply);
  void check_once(const Op& op, const std::string& reply);
  void check_held(const Op& op);
  void make_due(const Op& op);
  void check_frontier(NodeIndex node);
  void check_end();
  void check_key(const std::string& key, const KeyHistory& history);
  void check_values();
  [[nodiscard]] std::string difference() const;
  [[nodiscard]] bool is_settled(std::string* why) const;
  [[nodiscard]] bool must_survive(const WrittenFrame& frame) const;
  [[nodiscard]] bool is_alive(const WrittenFrame& frame) const;
  [[nodiscard]] NodeIndex owner(RackNumber rack, const std::string& key) const {
    return topology_.owner(rack, token_of(key, NodeEngine::kHashSeed));
  }

  static constexpr const char* kSceneKey = "s";  // Of which scenes say something.

  static inline bool PlantedFaults::*engine_fault = nullptr;
  static inline Scene staged = Scene::kNone;
  const uint64_t seed_;
  const bool verbose_;
  Random random_;
  Random network_random_;
  Random fault_random_;
  Random op_random_;
  Random disk_random_;
  Random cold_random_;
  Conditions conditions_;
  Scene scene_ = Scene::kNone;
  bool churn_ = false;  // Much happens to few keys of a small ring.
  Topology topology_;
  std::vector<std::unique_ptr<NodeEngine>> graveyard_;
  std::vector<Process> processes_;
  std::vector<std::pair<Family, std::string>> keys_;
  std::vector<SlotIndex> slots_;  // That may hold something.
  SlotSet used_;                  // The same.
  std::vector<Event> events_;     // A heap: the earliest is in front.
  uint64_t next_event_ = 0;
  int64_t now_us_ = 0;
  std::map<uint64_t, Connection> connections_;
  uint64_t next_connection_ = 1;
  std::set<std::pair<NodeIndex, NodeIndex>> blocked_;
  bool calm_ = false;            // Faults have stopped.
  bool loading_ = false;         // Clients are at work.
  int64_t void_before_us_ = -1;  // Quorum promises made before were broken by too many faults.
  int64_t last_disturbed_us_ = 0;
  bool lost_memory_ = false;
  uint64_t upsets_ = 1;
  int64_t upset_us_ = 0;
  uint64_t healthy_ = 0;             // The value of upsets_ for which all was found well.
  std::set<std::string> seen_once_;  // What may be answered once in a healthy time.
  Stamp horizon_ = 0;                // The largest of any node, ever.
  Ledger ledger_;
  uint64_t next_op_ = 1;
  std::map<std::string, uint64_t> probes_;
  std::vector<std::string> failures_;
  std::string failed_key_;
  std::vector<std::pair<std::string, std::string>> history_;  // Key, what.
  uint64_t trace_hash_ = 0;
};

}  // namespace dyno::simulator

// SPDX-License-Identifier: Apache-2.0
//
// A small world of replicas in virtual time, one history for each seed: 2 to 5 nodes whose clocks
// differ, numbered streams between them that delay, repeat and lose their connection, partitions of
// one direction or both, crashes that lose a node's memory, repair by pull, and collection of
// traces by the aged frontier all the while. The nodes are real ones: commands, merging, export,
// digests and collection are the engine's. What the ring does for them is here in a few lines, so
// that each of its rules can be broken on purpose.
//
// At any time a node that holds itself complete up to a stamp knows of all writes up to it, and
// what it collects is known to every state that is on its way and may still be taken. At the end
// all nodes show what the oracle (oracle.h) makes of the writes that outlived the crashes, their
// digests are equal and what they should be, and no tombstone is left.
#pragma once

#include <bitset>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <queue>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/replica_node.h"

namespace dyno {

// Rules to break, to see that the world finds out.
struct WorldFaults {
  PlantedFaults node;
  bool no_dedupe = false;            // What arrives twice is applied twice.
  bool actor_reuse = false;          // A node without memory counts on as the one it was.
  bool fixed_grace = false;          // Traces go 200 ms after they were made.
  bool frontier_offset = false;      // The frontier minus 150 ms, instead of as it was then.
  bool state_pushed = false;         // State is taken however old it is.
  bool positions_of_all = false;     // A new node continues every stream from where it is now.
  bool dead_origin_dropped = false;  // A dead node is out of the frontier at once.
  bool expire_relative = false;      // Deadlines travel as time to live.
  bool spop_as_command = false;      // Each node draws for itself.
};

struct WorldCounts {
  int64_t crashes = 0;
  int64_t partitions = 0;
  int64_t pulls = 0;
  int64_t late_pulls = 0;  // Dropped.
  int64_t writes = 0;
  int64_t lost_writes = 0;  // With the only node that knew of them.
  int64_t tombstones = 0;   // Collected.
};

class World {
 public:
  World(uint32_t seed, const WorldFaults& faults, WorldCounts* counts);

  // Why the nodes are not as they should be, or nothing.
  std::string run();
  // What was done, for people. Kept when asked for before run().
  std::string history;
  bool keeps_history = false;

 private:
  static constexpr size_t kWritesMax = 256;
  static constexpr int64_t kOpsEndMs = 1500;
  static constexpr int64_t kAnswerMaxMs = 100;
  static constexpr int64_t kAgeMs = 150;
  // Keys of told commands; each has one type for good.
  static constexpr std::string_view kToldKeys[] = {"set", "hash", "zset", "list", "number", "text"};
  using WriteSet = std::bitset<kWritesMax>;
  using Event = std::function<void()>;

  struct Write {
    Stamp stamp;
    std::string frame;
    int slot;        // -1: a flush.
    bool is_draw;    // As SPOP's is.
    int64_t amount;  // Added to a counter.
  };
  struct Node {
    std::unique_ptr<ReplicaNode> engine;
    int64_t skew_ms = 0;
    uint32_t incarnation = 1;
    uint32_t life = 1;  // As the world counts, whatever the node says.
    bool is_up = true;
    std::vector<size_t> log;  // Of this life: writes by their numbers.
    std::map<Actor, size_t> next;
    std::map<Actor, Stamp> watermarks;
    std::map<size_t, Stamp> published;
    std::deque<std::pair<int64_t, Stamp>> samples;
    WriteSet known;
    // And those that made no difference when the slot was compared with a node that knew them.
    WriteSet covered;
  };
  // A node that died; its writes may be known to some and not to others until each survivor has
  // pulled from each other one, and its successor, whose first state may lack them too, from all.
  struct Dead {
    size_t node;
    int64_t at_ms;
    std::set<std::pair<size_t, size_t>> pulled;
  };
  struct Snapshot {
    int64_t at_ms;
    std::vector<std::string> frames;
    WriteSet known;
    WriteSet covered;
  };
  struct Batch {
    size_t from;
    uint32_t from_life;
    uint32_t to_life;
    Actor actor;
    size_t first;
    std::vector<size_t> writes;
    size_t total;
    Stamp watermark;
    Stamp published;
  };

  uint32_t draw(uint32_t n) { return static_cast<uint32_t>(random_() % n); }
  int64_t draw(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(draw(static_cast<uint32_t>(high - low + 1)));
  }
  void at(int64_t delay_ms, Event event);
  void advance_to(int64_t end_ms);
  void note(size_t i, const std::string& text);

  // The node with its clock at the present.
  ReplicaNode& enter(size_t i);
  [[nodiscard]] Actor actor(size_t i) const;
  [[nodiscard]] bool is_cut(size_t from, size_t to) const;
  void make_engine(size_t i);

  void operate(size_t i);
  std::vector<std::string> told_command(size_t i);
  std::vector<std::string> wild_command(size_t i);
  std::vector<std::string> brief_command();
  void keep_writes(size_t i, bool is_draw, int64_t amount = 0);
  void check_eviction(size_t i, const std::string& key);

  void beat(size_t i);
  void send(size_t from, size_t to);
  void receive(size_t to, const Batch& batch);
  void apply(size_t to, const Write& write);
  [[nodiscard]] std::string distorted(size_t to, const Write& write);

  [[nodiscard]] Stamp complete(size_t i);
  void check_completeness(size_t i, Stamp complete);
  void check_horizon(size_t i, Stamp horizon);
  void collect(size_t i);

  void ask(size_t i);
  [[nodiscard]] Snapshot snapshot(size_t from, size_t asker, bool everything);
  void take(size_t to, size_t from, const Snapshot& snapshot);
  void retire_dead(size_t to, size_t from, int64_t at_ms);
  void compare(size_t a, size_t b);

  void crash(size_t i);
  void boot(size_t i);
  void cut();
  [[nodiscard]] bool is_settled() const;

  void sweep(size_t i);
  std::string check();
  [[nodiscard]] std::string state_of(size_t i, SlotIndex slot);
  [[nodiscard]] std::string shown(size_t i) { return nodes_[i].engine->describe(); }

  std::mt19937 random_;
  WorldFaults faults_;
  WorldCounts* counts_;
  bool is_wild_;  // Any commands, but no oracle.
  bool has_crashes_;
  bool has_flushes_;
  int64_t now_ms_ = 0;
  uint64_t order_ = 0;
  using Due = std::pair<std::pair<int64_t, uint64_t>, Event>;
  struct Later {
    bool operator()(const Due& a, const Due& b) const { return a.first > b.first; }
  };
  std::priority_queue<Due, std::vector<Due>, Later> events_;
  std::vector<Node> nodes_;
  std::vector<std::unique_ptr<ReplicaNode>> graveyard_;
  std::list<Snapshot> answers_;  // On their way.
  std::vector<Write> writes_;
  std::set<std::pair<size_t, size_t>> cuts_;
  std::map<Actor, Dead> dead_;
  std::string failure_;
};

}  // namespace dyno

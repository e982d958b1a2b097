// SPDX-License-Identifier: Apache-2.0
//
// Takes requests from a client or another node to their answers: one per lane, on its thread.
//
// Where a request runs. At DC_ONE, and for reads, at the owner of its keys in this rack; when that
// is down or not filled, at the owner in another rack of the data center, then elsewhere if
// allowed. A write at a quorum level runs at the owner in the slot's preferred rack, so that while
// all is well one node originates all of a key's quorum writes. A request is forwarded at most
// once.
//
// A write at a quorum level first checks that enough racks are there, runs, and waits until the
// streams of enough racks have acknowledged its frames. Where it cannot be sure to know what a
// quorum has acknowledged (leases.h), and at a node that stands in for the usual origin, it
// compares first, as a read does, so that it rests on nothing older. At a safe level a frame that
// met a later write of another data center is stamped anew and sent again, once. One that met a
// later write of this one is not, as that may have been written by who had seen it: its outcome is
// unknown.
//
// A read at a quorum level first compares versions of its keys with enough other racks, which send
// the state of those that differ; merges; then runs. At DC_QUORUM racks that were found behind are
// told to pull afterwards; at a safe level the answer waits until enough racks hold what it shows.
// At the safe levels versions tell of traces of what was removed, as far as these are kept. When a
// key that was equal changed here meanwhile, what came may have been removed there, and the read
// asks for whole states and runs again.
//
// What an answer says of a write: kDone: it was applied as the level asks. kNotApplied: nothing was
// applied, nor will be. kUnknown: it may have been applied. A request that is not repeatable is
// tried elsewhere only when it was surely not applied.
//
// Errors, by first word: LOADING, NOREPLICAS, CLUSTERDOWN, TRYAGAIN, CROSSSLOT: not applied.
// UNKNOWN, and "ERR Dynomite: Failed to achieve Quorum" of a write: not known.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "protocol/peer_message.h"
#include "ring/held_message.h"
#include "ring/leases.h"
#include "ring/machine.h"
#include "ring/outbox.h"
#include "ring/pool.h"
#include "ring/quorum.h"
#include "ring/request.h"
#include "ring/store.h"
#include "ring/streams.h"
#include "ring/topology.h"
#include "ring/view.h"

namespace dyno {

struct CoordinatorOptions {
  uint64_t hash_seed = 0;
  StateAge age;
  bool may_leave_dc = false;  // Requests may run in another data center when none here can.
  // After this share of its time, a read asks further racks.
  int hedge_percent = 25;
  // Unanswered, of this lane; more are refused with TRYAGAIN. The bytes are those of requests and
  // of replies that wait for acknowledgements; the one that passes the bound is still taken.
  size_t requests_max = 65536;
  size_t request_bytes_max = size_t{256} << 20;
};

// What is to be done with a request, before it is begun.
struct Plan {
  enum class Kind : uint8_t {
    kLocal,    // Run it here, hand its frames to Lane::publish(): there is nothing to wait for.
    kBegin,    // Lane::begin()
    kScatter,  // Begin each group as a request of its own, and gather the answers.
    kRefuse,   // Answer `refusal`.
  };
  Kind kind = Kind::kRefuse;
  std::vector<std::vector<uint32_t>> groups;  // Indexes of keys that run at one node.
  std::string refusal;                        // RESP
};

struct CoordinatorCounts {
  uint64_t forwarded = 0;        // To another node.
  uint64_t failed_over = 0;      // Ran elsewhere than at the first choice.
  uint64_t compared = 0;         // Reads that asked other racks.
  uint64_t writes_compared = 0;  // Likewise writes.
  uint64_t stood_in = 0;         // Writes that ran here for their usual origin.
  uint64_t asked_whole = 0;      // Reads whose keys changed while they were compared.
  uint64_t states_merged = 0;    // Keys that a read found behind here.
  uint64_t racks_behind = 0;     // Racks that a read found behind and told to pull.
  uint64_t restamped = 0;        // Writes that met a later one at a safe level.
  uint64_t refused = 0;          // Not applied.
  uint64_t unknown = 0;
};

class Coordinator {
 public:
  Coordinator(const Topology& topology, NodeIndex self, const CoordinatorOptions& options,
              Store& store, Leases& leases, Streams& streams, Outbox& outbox);

  // Whether and where a command on keys with these tokens can run. `may_split`: it can be done key
  // by key. Without keys a command runs here. Does not allocate when the answer is kLocal.
  [[nodiscard]] Plan plan(std::span<const Token> tokens, bool write, bool may_split,
                          Level level) const;

  void begin(Now now, Request request);
  void handle_forward(Now now, LinkId link, uint64_t id, const Forward& forward);
  void handle_hold(Now now, LinkId link, NodeIndex from, uint64_t id, const Hold& hold);
  // Pulls these keys from a node; with an id other than 0, tells the link when they are here.
  void pull(Now now, NodeIndex from, std::vector<RequestKey> keys, LinkId link, uint64_t id);
  [[nodiscard]] Handled handle_compare(LinkId link, uint64_t id, const Compare& compare);
  void handle_reply(Now now, NodeIndex from, uint64_t id, const ForwardReply& reply);
  [[nodiscard]] Handled handle_compare_answer(Now now, NodeIndex from, uint64_t id,
                                              const CompareAnswer& answer);
  void handle_held(NodeIndex from, uint64_t id, const Held& held);
  // A command that the outbox asked to run has run, and wrote these frames.
  void ran(Now now, uint64_t run, std::string reply, std::vector<Frame> frames);
  // A peer's acknowledgement came in (Streams::acknowledge()).
  void handle_acknowledged(NodeIndex from, const StreamSender::Acknowledged& acks);
  void link_up(NodeIndex node);
  void link_down(Now now, NodeIndex node);
  void set_view(SharedView view);

  void handle_timeout(Now now);
  [[nodiscard]] int64_t next_timeout() const;

  [[nodiscard]] const CoordinatorCounts& counts() const { return counts_; }
  [[nodiscard]] size_t unanswered() const { return operations_.size(); }
  [[nodiscard]] size_t unanswered_bytes() const { return bytes_; }
  [[nodiscard]] std::string describe() const;

 private:
  enum class Phase : uint8_t {
    kForwarded,
    kWaiting,  // Until another node's lease has ended.
    kComparing,
    kRunning,
    kHolding,
    kAcking,
    kPulling
  };
  struct RackWait {
    RackNumber rack = 0;
    bool asked = false;
  };
  // An answer that is to come.
  struct Owed {
    RackNumber rack = 0;
    NodeIndex node = kNoNode;
  };
  // A frame that a request waits for.
  struct Awaited {
    uint64_t number = 0;  // In the stream.
    uint64_t op = 0;
  };
  // What an operation is, but for its buffers.
  struct OperationFacts {
    Request request;
    bool is_client = true;  // Else it came on `link` with `link_id`.
    LinkId link = 0;
    uint64_t link_id = 0;
    Phase phase = Phase::kForwarded;
    int64_t hedge_us = kNever;
    int64_t free_us = kNever;  // The end of that lease.
    int64_t asked_us = 0;      // When another node was asked to run it, or racks for their states.
    bool maybe_applied = false;
    std::string reply;
    size_t bytes = 0;  // Its part of bytes_.
    bool restamped = false;
    bool asks_whole = false;  // For states whatever the versions are.
    // Versions that other racks reported, by key: for the racks that hold what is shown.
    std::map<NodeIndex, std::vector<Version>> reported;
  };
  struct Operation : OperationFacts {
    void reset();

    Quorum quorum;                   // begin_quorum() makes it what it is to be.
    std::vector<Token> tokens;       // Of its keys, in their order.
    std::vector<RackWait> racks;     // That count, but this one.
    std::vector<Owed> owed;          // By them.
    std::vector<NodeIndex> tried;    // Nodes that it was forwarded to, ever.
    std::vector<NodeIndex> pending;  // Nodes of which a reply may still come.
    std::vector<SharedFrame> frames;
    std::vector<NodeIndex> stands_in;                   // For them.
    std::vector<std::pair<NodeIndex, uint64_t>> waits;  // Frames that are not acknowledged.
    // Keys by their indexes, and versions that another rack had too, so that it sent no state.
    std::vector<std::pair<size_t, Version>> equal;
  };

  // RESP
  [[nodiscard]] static std::string error(std::string_view text);

  // Where a request runs: coordinator_plan.cc.
  [[nodiscard]] bool can_run(NodeIndex node, bool write) const;
  [[nodiscard]] bool is_quorum(Level level) const;
  // This node knows of these keys all that a quorum of the data center has acknowledged.
  [[nodiscard]] bool is_settled(Now now, std::span<const Token> tokens) const;
  // The owner that runs a quorum write of this data center on the token while all is well.
  [[nodiscard]] NodeIndex origin(Token token) const;
  [[nodiscard]] NodeIndex owner_of_all(RackNumber rack, std::span<const Token> tokens) const;
  [[nodiscard]] NodeIndex choose(std::span<const Token> tokens, bool write, Level level,
                                 std::span<const NodeIndex> but) const;
  [[nodiscard]] NodeIndex choose_in(uint16_t dc_index, std::span<const Token> tokens, bool write,
                                    std::span<const NodeIndex> but) const;
  [[nodiscard]] Plan split(std::span<const Token> tokens, bool write, Level level) const;
  [[nodiscard]] std::string refusal_for(std::span<const Token> tokens) const;

  Operation& add(Now now, uint64_t id, Request request);
  void start(Now now, uint64_t id, Operation& op);
  void forward(Now now, uint64_t id, Operation& op, NodeIndex node);
  void try_elsewhere(Now now, uint64_t id, Operation& op);
  // Whether another may run what that node has refused.
  [[nodiscard]] bool may_pass_over(Now now, const Operation& op, NodeIndex node,
                                   Outcome outcome) const;
  void run_here(Now now, uint64_t id, Operation& op);
  void run(uint64_t id, Operation& op);
  void finish(uint64_t id, Outcome outcome, std::string bytes);
  void expire(uint64_t id, Operation& op);
  void hedge(Now now, uint64_t id, Operation& op);
  void lose(Now now, uint64_t id, Operation& op, NodeIndex node);
  void arm(uint64_t id, int64_t at_us);
  [[nodiscard]] bool is_full() const {
    return operations_.size() >= options_.requests_max || bytes_ > options_.request_bytes_max;
  }
  void charge(Operation& op, size_t bytes);
  void erase(uint64_t id, const Operation& op);
  void drop_timer();

  // Quorums: coordinator_quorum.cc.
  void begin_quorum(Operation& op, bool only_reachable);
  [[nodiscard]] static bool compares_traces(const Operation& op);
  [[nodiscard]] std::vector<size_t> keys_of(const Operation& op, NodeIndex node) const;
  void compare_more(uint64_t id, Operation& op, bool all);
  void send_compare(uint64_t id, const Operation& op, NodeIndex node);
  void send_hold(uint64_t id, const Operation& op, NodeIndex node);
  [[nodiscard]] Handled merge_states(const Operation& op, NodeIndex from,
                                     const CompareAnswer& answer, std::vector<Version>* reported);
  void compared(uint64_t id, Operation& op, NodeIndex from, const CompareAnswer& answer,
                std::vector<Version> reported);
  [[nodiscard]] bool holds(const Operation& op, NodeIndex node,
                           const std::vector<Version>& current) const;
  void rack_answered(Operation& op, NodeIndex node);
  void rack_failed(uint64_t id, Operation& op, NodeIndex node);
  void go_on(uint64_t id, Operation& op);
  void stand_in(Now now, uint64_t id, Operation& op);
  void begin_comparing(Now now, uint64_t id, Operation& op);
  void read_ran(Now now, uint64_t id, Operation& op);
  void write_ran(uint64_t id, Operation& op);
  void wait_for_acks(uint64_t id, Operation& op);
  void met_later_write(uint64_t id, Operation& op, Stamp stamp);
  void answer_hold(uint64_t id, bool held);
  void give_up(uint64_t id, const Operation& op);

  const Topology& topology_;
  const NodeIndex self_;
  const CoordinatorOptions options_;
  Store& store_;
  Leases& leases_;
  Streams& streams_;
  Outbox& outbox_;
  SharedView view_;
  RackSet near_racks_;           // All of this data center.
  std::vector<bool> linked_;     // By node: this lane's own link is up.
  std::vector<Quorum> quorums_;  // By level, of which nobody has done anything.
  Pool<Operation> operations_;
  size_t bytes_ = 0;  // Of operations_.
  // Deadlines and hedges: a heap whose front is the earliest. Those of requests that have ended
  // leave it when they are due, or when they are most of it.
  std::vector<std::pair<int64_t, uint64_t>> timers_;
  // By node, in the order of the stream. Those of requests that wait no longer leave likewise.
  std::vector<std::deque<Awaited>> awaited_;
  std::vector<std::pair<NodeIndex, uint64_t>> queued_;  // Scratch of wait_for_acks().
  CoordinatorCounts counts_;
};

}  // namespace dyno

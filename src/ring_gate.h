// SPDX-License-Identifier: Apache-2.0
//
// Where the requests of a thread's clients meet the ring: decides for each whether it runs here at
// once, begins it at its owners otherwise, and puts the replies where they belong. Network thread
// only.
//
// Replies keep the order of the requests: every request that is not answered at once has a place in
// its client's `pending`, and what is answered at once while others wait gets a place behind them.
// A pipeline goes on meanwhile, except where order could show: commands without keys, transactions
// and blocking commands wait until nothing is pending, and so does a request above DC_ONE for a key
// that a pending one writes. It also waits while a thread has more than ring.pending_limit bytes of
// requests and replies that wait.
//
// Commands over keys of several owners are split where each key stands for itself (MGET, MSET, DEL,
// UNLINK, EXISTS, TOUCH); those over the whole data set ask every node of this rack, since a rack
// holds everything.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/command.h"
#include "ring/lane.h"
#include "ring/pool.h"
#include "src/client.h"
#include "src/session_facts.h"

namespace dyno {

class NetworkThread;
class RingNode;

class RingGate {
 public:
  enum class Take : uint8_t {
    kHere,    // Run it here, now.
    kTaken,   // The reply was given or will come.
    kParked,  // Not now: the client is parked until its pending replies are there.
  };

  RingGate(RingNode& node, NetworkThread& thread, Lane& lane);

  // `bytes` is the request as it was sent.
  [[nodiscard]] Take take(Client& client, Args args, std::string_view bytes, int64_t now_ms);
  // What the lane answers to a request that was begun here.
  void answer(Outbox::Answer& answer);
  // Hands replies that are complete to their clients.
  void flush_answered();

  using Place = std::shared_ptr<PendingReply>;
  // A place for a reply of this thread.
  [[nodiscard]] Place make_place() const;
  // Of requests that are unanswered, and of replies that wait for their turn.
  [[nodiscard]] int64_t pending_bytes() const;

 private:
  enum class Special : uint8_t {
    kNone,
    kExec,
    kWatch,
    kForgetsWatches,
    kCount,
    kNames,
    kScan,
    kRandom,
    kFlush,
    kSwap,
    kSort,
  };
  // Takes the reply of a request; empty: the reply is the client's as it is.
  using Then = std::function<void(std::string)>;
  struct Waiting {
    void reset() { *this = {}; }

    uint64_t client = 0;
    Place place;
    Then then;
  };
  // One request on its way to the ring.
  struct Asked {
    std::vector<RequestKey> keys;
    std::string command;
    SessionFacts facts;
    Level level = Level::kDcOne;
    bool write = false;
    bool has_deadline = true;
  };

  [[nodiscard]] Special special_of(const CommandSpec& spec) const;
  [[nodiscard]] Take park(Client& client, size_t until);
  [[nodiscard]] static bool meets_pending(const Client& client, bool write,
                                          std::span<const Token> tokens);
  [[nodiscard]] Level level_of(const Client& client, bool write) const;
  [[nodiscard]] SessionFacts facts_of(const Client& client) const;
  [[nodiscard]] Take refuse(Client& client, std::string_view error);
  Place add_place(Client& client);
  [[nodiscard]] bool is_full() const;
  void begin(uint64_t client, const Place& place, Asked asked, Then then);
  void settle(uint64_t client, const Place& place, std::string bytes);

  [[nodiscard]] Take take_keyed(Client& client, const CommandSpec& spec, Args args,
                                const std::vector<int>& indexes, std::string_view bytes);
  void scatter(Client& client, const CommandSpec& spec, Args args, const std::vector<int>& indexes,
               const Plan& plan, Level level);
  [[nodiscard]] Take take_blocking(Client& client, const CommandSpec& spec, Args args, Asked asked);
  void block_on(uint64_t client, const Place& place, const Asked& asked,
                std::vector<std::string> args, size_t timeout_at, int64_t end_us);
  // Transactions: ring_gate_exec.cc.
  [[nodiscard]] Take take_exec(Client& client);
  [[nodiscard]] Take take_watch(Client& client, Args args);
  [[nodiscard]] std::string exec_keys(const Client& client, Asked* asked) const;
  // The whole rack: ring_gate_wide.cc.
  [[nodiscard]] Take take_wide(Client& client, Special special, Args args);
  void ask_rack(Client& client, Special special, Args args);
  void scan(Client& client, Args args);
  [[nodiscard]] Asked asked_of(NodeIndex node, const Client& client, Args args, bool write) const;

  RingNode& node_;
  NetworkThread& thread_;
  Lane& lane_;
  std::vector<Special> specials_;  // By the index of the command's row.
  std::vector<NodeIndex> rack_;    // The nodes of this rack.
  Pool<Waiting> waiting_;          // By request.
  size_t wide_requests_ = 0;
  // Shared with the places, which may be the last to go.
  std::shared_ptr<std::atomic<int64_t>> reply_bytes_ = std::make_shared<std::atomic<int64_t>>(0);
  std::vector<uint64_t> answered_;  // Clients with replies to be handed over.
};

}  // namespace dyno

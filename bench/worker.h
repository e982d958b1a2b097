// SPDX-License-Identifier: Apache-2.0
// One load thread: its share of the clients, an epoll instance, a schedule.
//
// Raw epoll and not Asio on purpose: what the tool spends on a request is taken from the server
// when both share a machine, and it bounds what can be measured. Here a batch costs one recv, one
// send and its share of one epoll_wait, whatever the pipeline; requests are copied from a rendered
// template; replies are parsed where they lie in one receive buffer for all clients; nothing is
// allocated and no lock taken per request.
//
// Closed loop: a client sends `pipeline` requests at once, waits for all replies, and goes on. Open
// loop: a request is due when the schedule says so, whatever the server does; it goes to a client
// with fewer than `pipeline` requests open, and if there is none it waits, and that wait is part of
// its latency.
#pragma once

#include <memory>
#include <vector>

#include "bench/connection.h"
#include "bench/distribution.h"
#include "bench/plan.h"
#include "bench/random.h"
#include "bench/schedule.h"
#include "bench/tally.h"

namespace dyno::bench {

class Worker {
 public:
  /// All references must outlive run().
  Worker(const Plan& plan, Shared& shared, Mailbox& mailbox, unsigned lane);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  /// The thread's body: returns when the phase is over and everything is posted.
  void run();

  static constexpr uint64_t kTick_ns = 250'000'000;

 private:
  // Requests that share everything a latency depends on are recorded as one entry.
  struct Streak {
    Cell* cell = nullptr;
    uint64_t sent_ns = 0;
    uint64_t intended_ns = 0;
    uint64_t times = 0;
  };

  void wait_and_handle();
  void connect(Connection& client, uint64_t now);
  void greet(Connection& client, uint64_t now);
  void on_event(Connection& client, uint32_t events, uint64_t now);
  void on_readable(Connection& client);
  bool on_greeting_reply(Connection& client, const Reply& reply, uint64_t now);
  bool on_reply(Connection& client, const Reply& reply, uint64_t now);
  void count_error(std::string_view kind, std::string_view text, const Connection& client,
                   uint64_t now);
  void on_error_reply(const Reply& reply, const Connection& client, uint64_t now);
  void complete(Connection& client, const Pending& done, uint64_t now);
  void flush_streak(uint64_t now);
  void fail(Connection& client, std::string_view kind, std::string_view text, uint64_t now);
  void flush(Connection& client, uint64_t now);
  void watch(Connection& client);

  bool measured(const Pending& pending) const {
    return pending.intended_ns >= plan_.measure_from_ns;
  }
  bool may_issue(uint64_t now);
  void fill(Connection& client, uint64_t now);
  void issue(Connection& client, uint64_t intended_ns, uint64_t now);
  void render(Connection& client, Pending& pending);
  void dispatch(uint64_t now);
  Connection* free_client();

  void housekeeping(uint64_t now);
  void post();
  void settle(uint64_t now);
  bool finished(uint64_t now);
  uint64_t wait_limit(uint64_t now) const;

  const Plan& plan_;
  Shared& shared_;
  Mailbox& mailbox_;
  const unsigned lane_;
  const std::vector<Operation>& operations_;
  VerifyLane* verify_ = nullptr;
  int epoll_ = -1;
  Random random_;
  Distribution keys_;
  Schedule schedule_;
  std::vector<Connection> clients_;
  std::vector<char> buffer_;
  Tally tally_;
  Streak streak_;
  uint64_t tick_ = 0;
  uint64_t next_check_ns_ = 0;
  uint64_t answered_seen_ = 0;    // of tally_, at the last check
  uint64_t budget_ = UINT64_MAX;  // requests left to issue
  uint64_t load_next_ = 0;        // loading: the next number
  uint32_t load_operation_ = 0;
  size_t turn_ = 0;  // open loop: where to look for a free client
  size_t open_requests_ = 0;
  bool starved_ = false;  // open loop: something is due and no client is free
  bool ending_ = false;
  uint64_t end_ns_ = 0;
  std::vector<Connection*> dirty_;
};

}  // namespace dyno::bench

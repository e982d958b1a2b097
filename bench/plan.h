// SPDX-License-Identifier: Apache-2.0
// Everything that the workers of one phase need to know. Immutable while they run.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bench/endpoint.h"
#include "bench/schedule.h"
#include "bench/tls_stream.h"
#include "bench/workload.h"

namespace dyno::bench {

class VerifyLane;

enum class OnError { kContinue, kStop };

/// How to reach and greet a server.
struct ServerAccess {
  std::vector<Endpoint> endpoints;
  std::shared_ptr<TlsContext> tls;  // null: plain
  int protocol = 2;
  std::string user;
  std::string password;
  unsigned database = 0;
  std::string read_level;  // CLIENT CONSISTENCY READ …, empty: as the server has it
  std::string write_level;

  /// The commands of the greeting, each as its words.
  std::vector<std::vector<std::string>> greeting() const;
};

struct Plan {
  ServerAccess access;
  const Workload* workload = nullptr;
  bool loading = false;  // run `workload->load` for every number instead of the operations
  DistributionSpec keys;
  uint64_t keyspace = 1'000'000;
  unsigned clients = 50;
  unsigned pipeline = 1;
  unsigned threads = 1;
  double rate = 0;  // requests per second; 0: closed loop
  Arrivals arrivals = Arrivals::kFixed;
  uint64_t requests = 0;         // 0: until the time is over
  uint64_t start_ns = 0;         // load begins
  uint64_t measure_from_ns = 0;  // requests that begin earlier are not counted
  uint64_t stop_at_ns = UINT64_MAX;
  uint64_t tick_origin_ns = 0;  // tallies are posted at whole ticks from here
  uint64_t measured_tick = 0;   // the first tick that is measured, at measure_from_ns
  uint64_t timeout_ns = 0;      // a request without an answer for so long breaks its connection
  uint64_t drain_ns = 0;        // how long to wait for open requests at the end
  bool failover = true;
  OnError on_error = OnError::kContinue;
  uint64_t seed = 1;
  std::vector<VerifyLane*> verify;  // one per thread, or empty

  bool open_loop() const { return rate > 0; }
};

/// What the workers share while they run.
struct Shared {
  std::atomic<bool> stop{false};        // end early: interrupted, or an error with --on-error stop
  std::atomic<uint64_t> population{0};  // key numbers in use: grows with inserts
  std::atomic<uint64_t> last_progress_ns{0};
  std::atomic<unsigned> running{0};
};

}  // namespace dyno::bench

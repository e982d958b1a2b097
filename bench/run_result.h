// SPDX-License-Identifier: Apache-2.0
// What one phase came to; every report is made from this and nothing else.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bench/endpoint.h"
#include "bench/events.h"
#include "bench/info_delta.h"
#include "bench/schedule.h"
#include "bench/tally.h"
#include "bench/verify.h"

namespace dyno::bench {

/// One second of a run (or several, in a very long one). Latencies are from the intended start in
/// an open loop.
struct SeriesPoint {
  double at_s = 0;
  double span_s = 1;
  uint64_t answered = 0;
  uint64_t failed = 0;
  uint64_t p50_ns = 0;
  uint64_t p99_ns = 0;
  uint64_t p999_ns = 0;
  uint64_t max_ns = 0;
  std::vector<uint64_t> endpoint_answered;
  std::vector<uint64_t> endpoint_failed;
};

struct RunResult {
  std::string name;
  std::vector<std::pair<std::string, std::string>> settings;  // in words, for the reports
  std::vector<std::string> operations;
  std::vector<Endpoint> endpoints;
  bool open_loop = false;
  double rate_asked = 0;
  double seconds = 0;  // measured
  Tally total;
  std::vector<SeriesPoint> series;
  std::vector<EventMark> events;
  std::optional<uint64_t> server_cpu_ns;
  std::optional<uint64_t> server_resident_bytes;
  uint64_t client_cpu_ns = 0;
  double client_busy = 0;  // share of the load threads' time on a CPU
  std::vector<std::pair<std::string, InfoFigures>> info;  // by endpoint
  std::string stopped;                                    // why it ended early, empty if it did not
  uint64_t requests_loaded = 0;
  double load_seconds = 0;
  std::vector<Staircase::Step> staircase;
  double knee = 0;
  std::optional<VerifyFindings> verify;

  double throughput() const {
    return seconds > 0 ? static_cast<double>(total.answered) / seconds : 0;
  }
  /// All operations together, or one (index), over all endpoints or one.
  Histogram service(int operation = -1, int endpoint = -1) const;
  Histogram intended(int operation = -1, int endpoint = -1) const;
  /// What a reader should look at first: intended in an open loop, service in a closed one.
  Histogram latency(int operation = -1, int endpoint = -1) const {
    return open_loop ? intended(operation, endpoint) : service(operation, endpoint);
  }
  std::optional<double> server_cpu_us_per_request() const;
};

}  // namespace dyno::bench

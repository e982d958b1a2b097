// SPDX-License-Identifier: Apache-2.0
// What was counted: latencies by endpoint and operation, errors by kind with the first text of
// each.
//
// A worker fills one tally at a time without any lock and posts it to its mailbox four times a
// second; the coordinator merges. So the hot path shares nothing, and memory does not grow with the
// length of a run.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bench/histogram.h"

namespace dyno::bench {

/// What a server sent reaches terminals, web pages and JSON: bytes that are not printable ASCII
/// become dots.
std::string printable(std::string_view text);

struct ErrorKind {
  std::string kind;  // "closed", "timeout", "ERR", "WRONGTYPE" …
  uint64_t count = 0;
  std::string first;  // its text, where it came from
  uint64_t first_at_ns = 0;
};

class ErrorCounts {
 public:
  void count(std::string_view kind, std::string_view text, std::string_view where, uint64_t at_ns,
             uint64_t times = 1);
  void merge(const ErrorCounts& other);
  uint64_t total() const;
  const std::vector<ErrorKind>& kinds() const { return kinds_; }

 private:
  static constexpr size_t kKindsMax = 40;  // later ones are counted as "other"
  ErrorKind& kind_of(std::string_view kind);
  std::vector<ErrorKind> kinds_;
};

/// Of one operation at one endpoint.
struct Cell {
  Histogram service;    // from the send to the reply
  Histogram intended;   // from the intended start; open loop only
  uint64_t misses = 0;  // null replies

  void merge(const Cell& other);
};

struct EndpointCounts {
  uint64_t requests = 0;  // answered
  uint64_t failed = 0;    // lost with their connection, timed out, or answered with an error
  uint64_t connects = 0;
  uint64_t disconnects = 0;
};

struct Tally {
  Tally() = default;
  Tally(size_t endpoint_total, size_t operation_total)
      : operation_count(operation_total),
        cells(endpoint_total * operation_total),
        endpoints(endpoint_total) {}

  Cell& cell(size_t endpoint, size_t operation) {
    return cells[endpoint * operation_count + operation];
  }
  const Cell& cell(size_t endpoint, size_t operation) const {
    return cells[endpoint * operation_count + operation];
  }
  void merge(const Tally& other);

  size_t operation_count = 0;
  std::vector<Cell> cells;
  std::vector<EndpointCounts> endpoints;
  ErrorCounts errors;
  uint64_t answered = 0;
  uint64_t failed = 0;
  uint64_t error_replies = 0;
  uint64_t unanswered = 0;  // still open when the run ended
  uint64_t not_sent = 0;    // due in an open loop, but no connection was free until the end
  uint64_t failovers = 0;
  uint64_t bytes_out = 0;
  uint64_t bytes_in = 0;
};

/// Where a worker posts; any thread may call.
class Mailbox {
 public:
  void post(uint64_t tick, Tally&& tally) {
    const std::lock_guard guard(lock_);
    posted_.emplace_back(tick, std::move(tally));
  }
  std::vector<std::pair<uint64_t, Tally>> take() {
    const std::lock_guard guard(lock_);
    return std::exchange(posted_, {});
  }

 private:
  std::mutex lock_;
  std::vector<std::pair<uint64_t, Tally>> posted_;
};

}  // namespace dyno::bench

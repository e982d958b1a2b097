// SPDX-License-Identifier: Apache-2.0
//
// LATENCY: events that took longer than latency-monitor-threshold, with a history of 160 samples
// each, one per second (the worst of that second). Thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace dyno {

class LatencyEvents {
 public:
  static constexpr size_t kSamples = 160;
  struct Sample {
    int64_t unix_s = 0;
    int64_t ms = 0;
  };
  struct Event {
    std::string name;
    std::vector<Sample> samples;  // Oldest first.
    int64_t max_ms = 0;
  };

  void add(std::string_view event, int64_t ms, int64_t unix_s);
  [[nodiscard]] std::vector<Event> all() const;
  // Forgets the named events, or all; returns how many there were.
  size_t reset(const std::vector<std::string>& names);

 private:
  mutable std::mutex mutex_;
  std::map<std::string, Event, std::less<>> events_;
};

}  // namespace dyno

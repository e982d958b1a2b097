// SPDX-License-Identifier: Apache-2.0
#include "src/latency_events.h"

#include <algorithm>

namespace dyno {

void LatencyEvents::add(std::string_view event, int64_t ms, int64_t unix_s) {
  std::lock_guard lock(mutex_);
  auto found = events_.find(event);
  if (found == events_.end()) {
    found = events_.emplace(std::string(event), Event{std::string(event), {}, 0}).first;
  }
  Event& e = found->second;
  e.max_ms = std::max(e.max_ms, ms);
  if (!e.samples.empty() && e.samples.back().unix_s == unix_s) {
    e.samples.back().ms = std::max(e.samples.back().ms, ms);
    return;
  }
  if (e.samples.size() == kSamples) e.samples.erase(e.samples.begin());
  e.samples.push_back({unix_s, ms});
}

std::vector<LatencyEvents::Event> LatencyEvents::all() const {
  std::lock_guard lock(mutex_);
  std::vector<Event> events;
  for (const auto& [_, event] : events_) events.push_back(event);
  return events;
}

size_t LatencyEvents::reset(const std::vector<std::string>& names) {
  std::lock_guard lock(mutex_);
  size_t before = events_.size();
  if (names.empty()) events_.clear();
  for (const std::string& name : names) events_.erase(name);
  return before - events_.size();
}

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
// Which figures of INFO are counters (their difference is shown) and which are gauges.
#include "bench/info_delta.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace dyno::bench {

namespace {

constexpr std::array<std::string_view, 11> kCounters{"total_commands_processed",
                                                     "keyspace_hits",
                                                     "keyspace_misses",
                                                     "expired_keys",
                                                     "evicted_keys",
                                                     "total_net_input_bytes",
                                                     "total_net_output_bytes",
                                                     "total_error_replies",
                                                     "used_cpu_user",
                                                     "used_cpu_sys",
                                                     "total_connections_received"};
constexpr std::array<std::string_view, 4> kGauges{"used_memory", "used_memory_rss",
                                                  "connected_clients", "mem_fragmentation_ratio"};

template <typename Names>
bool among(const Names& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

InfoFigures parse_info(std::string_view text) {
  InfoFigures figures;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text = text.substr(std::min(end + 1, text.size()));
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    const std::string_view name = line.substr(0, colon);
    if (!among(kCounters, name) && !among(kGauges, name)) continue;
    double value = 0;
    const auto [stop, error] =
        std::from_chars(line.data() + colon + 1, line.data() + line.size(), value);
    if (error == std::errc() && stop == line.data() + line.size())
      figures.emplace_back(name, value);
  }
  return figures;
}

InfoFigures info_delta(const InfoFigures& before, const InfoFigures& after) {
  InfoFigures delta;
  for (const auto& [name, value] : after) {
    if (among(kGauges, name)) {
      delta.emplace_back(name, value);
      continue;
    }
    const auto found =
        std::find_if(before.begin(), before.end(),
                     [&wanted = name](const auto& figure) { return figure.first == wanted; });
    if (found != before.end()) delta.emplace_back(name, value - found->second);
  }
  return delta;
}

}  // namespace dyno::bench

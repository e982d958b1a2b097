// SPDX-License-Identifier: Apache-2.0
//
// SLOWLOG and LATENCY: which commands took long, and how long all of them take.
#include <algorithm>
#include <cmath>

#include "protocol/number.h"
#include "src/latency_events.h"
#include "src/server.h"
#include "src/slow_log.h"

namespace dyno {
namespace {

void slowlog_get(Context& c) {
  constexpr int64_t kCountDefault = 10;
  int64_t count = kCountDefault;
  if (c.args.size() == 3) {
    auto read = parse_int64(c.args[2]);
    if (!read || *read < -1) return c.error("ERR count should be greater than or equal to -1");
    count = *read;
  } else if (c.args.size() > 3) {
    return c.error("ERR wrong number of arguments for 'slowlog|get' command");
  }
  auto items = client_of(c).server.slow_log().newest(count);
  c.reply.array(items.size());
  for (const SlowLog::Item& item : items) {
    c.reply.array(6);
    c.reply.integer(item.id);
    c.reply.integer(item.unix_s);
    c.reply.integer(item.duration_us);
    c.reply.array(item.args.size());
    for (const std::string& arg : item.args) c.reply.bulk(arg);
    c.reply.bulk(item.address);
    c.reply.bulk(item.name);
  }
}

void slowlog_len(Context& c) {
  c.reply.integer(static_cast<int64_t>(client_of(c).server.slow_log().size()));
}

void slowlog_reset(Context& c) {
  client_of(c).server.slow_log().reset();
  c.reply.ok();
}

void latency_latest(Context& c) {
  auto events = client_of(c).server.latency_events().all();
  c.reply.array(events.size());
  for (const auto& event : events) {
    c.reply.array(4);
    c.reply.bulk(event.name);
    c.reply.integer(event.samples.back().unix_s);
    c.reply.integer(event.samples.back().ms);
    c.reply.integer(event.max_ms);
  }
}

void latency_history(Context& c) {
  auto events = client_of(c).server.latency_events().all();
  for (const auto& event : events) {
    if (event.name != c.args[2]) continue;
    c.reply.array(event.samples.size());
    for (const auto& sample : event.samples) {
      c.reply.array(2);
      c.reply.integer(sample.unix_s);
      c.reply.integer(sample.ms);
    }
    return;
  }
  c.reply.array(0);
}

void latency_reset(Context& c) {
  std::vector<std::string> names(c.args.begin() + 2, c.args.end());
  c.reply.integer(static_cast<int64_t>(client_of(c).server.latency_events().reset(names)));
}

void latency_graph(Context& c) {
  constexpr int64_t kRows = 4;
  auto events = client_of(c).server.latency_events().all();
  auto event = std::find_if(events.begin(), events.end(),
                            [&](const auto& e) { return e.name == c.args[2]; });
  if (event == events.end()) {
    return c.error("ERR No samples available for event '" + std::string(c.args[2].substr(0, 128)) +
                   "'");
  }
  int64_t low = event->max_ms;
  int64_t high = 0;
  for (const auto& sample : event->samples) {
    low = std::min(low, sample.ms);
    high = std::max(high, sample.ms);
  }
  std::string text = event->name + " - high " + std::to_string(high) + " ms, low " +
                     std::to_string(low) + " ms (all time high " + std::to_string(event->max_ms) +
                     " ms)\n";
  for (int64_t row = kRows; row >= 1; --row) {
    for (const auto& sample : event->samples) {
      int64_t height = high == 0 ? 0 : (sample.ms * kRows + high - 1) / high;
      text += height > row ? '|' : height == row ? '#' : ' ';
    }
    text += '\n';
  }
  c.reply.verbatim(text);
}

void latency_doctor(Context& c) {
  Server& server = client_of(c).server;
  auto events = server.latency_events().all();
  std::string text;
  if (server.limits().latency_threshold_ms <= 0) {
    text =
        "Latency is not monitored. CONFIG SET latency-monitor-threshold <milliseconds> turns it "
        "on; "
        "LATENCY HISTOGRAM works without.\n";
  } else if (events.empty()) {
    text = "No event passed the threshold of " +
           std::to_string(static_cast<int64_t>(server.limits().latency_threshold_ms)) + " ms.\n";
  }
  for (const auto& event : events) {
    text += event.name + ": " + std::to_string(event.samples.size()) + " spikes, worst " +
            std::to_string(event.max_ms) +
            " ms. SLOWLOG GET names the commands; those that walk a "
            "whole collection or data set are best replaced by their SCAN forms.\n";
  }
  c.reply.verbatim(text);
}

// One command's histogram as Redis shows it: cumulative counts by powers of two of microseconds.
void reply_histogram(Context& c, const CommandSpec& spec, const CommandStats::Sum& sum) {
  c.reply.bulk(to_lower(spec.name));
  c.reply.map(2);
  c.reply.bulk("calls");
  c.reply.integer(sum.calls);
  c.reply.bulk("histogram_usec");
  size_t begun = c.reply.begin();
  size_t pairs = 0;
  int64_t seen = 0;
  int64_t total = 0;
  for (int64_t count : sum.histogram) total += count;
  int bucket = 0;
  for (int64_t us = 1; seen < total; us *= 2) {
    int64_t before = seen;
    while (bucket < LatencyHistogram::kBuckets &&
           LatencyHistogram::upper_ns(bucket) / 1000 < static_cast<uint64_t>(us)) {
      seen += sum.histogram[static_cast<size_t>(bucket++)];
    }
    if (bucket == LatencyHistogram::kBuckets) seen = total;
    if (seen == before) continue;
    c.reply.integer(us);
    c.reply.integer(seen);
    ++pairs;
  }
  c.reply.finish_map(begun, pairs);
}

void latency_histogram(Context& c) {
  Server& server = client_of(c).server;
  std::vector<const CommandSpec*> specs;
  if (c.args.size() == 2) {
    for (const CommandSpec& spec : server.commands().all()) specs.push_back(&spec);
  }
  for (std::string_view name : c.args.subspan(2)) {
    const CommandSpec* named = server.commands().find_name(name);
    if (named == nullptr) continue;
    if (named->body != nullptr) specs.push_back(named);
    std::string prefix = std::string(named->name) + "|";
    for (const CommandSpec& spec : server.commands().all()) {
      if (spec.name.starts_with(prefix)) specs.push_back(&spec);
    }
  }
  size_t begun = c.reply.begin();
  size_t pairs = 0;
  for (const CommandSpec* spec : specs) {
    CommandStats::Sum sum = server.command_stats().sum(*spec, true);
    if (sum.calls == 0) continue;
    reply_histogram(c, *spec, sum);
    ++pairs;
  }
  c.reply.finish_map(begun, pairs);
}

constexpr auto kGroup = CommandGroup::kServer;
constexpr uint32_t kPower = kAdmin | kLoading | kStale | kDangerous;

// clang-format off
const CommandSpec kSlowLogRows[] = {
    {"SLOWLOG", -2, 0, {}, kGroup, "2.2.12", "Depends on the subcommand.",
     "Commands about the slow log.", "", nullptr},
    {"SLOWLOG|GET", -2, kPower, {}, kGroup, "2.2.12", "O(N) with N the entries returned",
     "Returns the newest slow commands.", "[count]", slowlog_get},
    {"SLOWLOG|LEN", 2, kPower, {}, kGroup, "2.2.12", "O(1)", "Counts the entries of the slow log.",
     "", slowlog_len},
    {"SLOWLOG|RESET", 2, kPower, {}, kGroup, "2.2.12", "O(N) with N the entries",
     "Empties the slow log.", "", slowlog_reset},
};
// clang-format on

const CommandSpec kLatencyRows[] = {
    {"LATENCY",
     -2,
     0,
     {},
     kGroup,
     "2.8.13",
     "Depends on the subcommand.",
     "Commands about latency.",
     "",
     nullptr},
    {"LATENCY|LATEST",
     2,
     kPower | kNoScript,
     {},
     kGroup,
     "2.8.13",
     "O(1)",
     "Returns the latest sample of every event.",
     "",
     latency_latest},
    {"LATENCY|HISTORY",
     3,
     kPower | kNoScript,
     {},
     kGroup,
     "2.8.13",
     "O(1)",
     "Returns the samples of an event.",
     "event",
     latency_history},
    {"LATENCY|RESET",
     -2,
     kPower | kNoScript,
     {},
     kGroup,
     "2.8.13",
     "O(1)",
     "Forgets the samples of events.",
     "[event [event ...]]",
     latency_reset},
    {"LATENCY|GRAPH",
     3,
     kPower | kNoScript,
     {},
     kGroup,
     "2.8.13",
     "O(1)",
     "Draws the samples of an event.",
     "event",
     latency_graph},
    {"LATENCY|DOCTOR",
     2,
     kPower | kNoScript,
     {},
     kGroup,
     "2.8.13",
     "O(1)",
     "Says what the samples mean.",
     "",
     latency_doctor},
    {"LATENCY|HISTOGRAM",
     -2,
     kPower | kNoScript,
     {},
     kGroup,
     "7.0.0",
     "O(N) with N the commands that have run",
     "Returns the distribution of commands' latencies.",
     "[command [command ...]]",
     latency_histogram},
};

}  // namespace

const std::span<const CommandSpec> kSlowLogCommands{kSlowLogRows};
const std::span<const CommandSpec> kLatencyCommands{kLatencyRows};

}  // namespace dyno

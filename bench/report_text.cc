// SPDX-License-Identifier: Apache-2.0
// The table that people read, 100 columns wide; rows without a value are left out.
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "bench/duration.h"
#include "bench/report.h"

namespace dyno::bench {

namespace {

constexpr double kBusy = 0.8;
constexpr std::pair<const char*, const char*> kInfoShown[] = {
    {"keyspace_hits", "hits"},           {"keyspace_misses", "misses"},
    {"expired_keys", "expired"},         {"evicted_keys", "evicted"},
    {"total_net_input_bytes", "net-in"}, {"total_net_output_bytes", "net-out"},
    {"used_memory", "memory"},           {"used_memory_rss", "rss"},
};

std::string pad(const std::string& text, size_t width) {
  return text.size() >= width ? text : std::string(width - text.size(), ' ') + text;
}
std::string pad_right(std::string text, size_t width) {
  if (text.size() < width) text.append(width - text.size(), ' ');
  return text;
}

std::string latency_cells(const Histogram& histogram) {
  std::string line;
  for (const double percent : {50.0, 90.0, 99.0, 99.9, 99.99, 99.999}) {
    line += pad(show_duration(static_cast<double>(histogram.percentile(percent))), 9);
  }
  return line + pad(show_duration(static_cast<double>(histogram.max())), 9);
}

void add_row(std::string& out, const std::string& name, const std::string& kind,
             const Histogram& histogram, double seconds) {
  if (histogram.count() == 0) return;
  const double rate = seconds > 0 ? static_cast<double>(histogram.count()) / seconds : 0;
  out += "  " + pad_right(name.substr(0, 22), 23) + pad_right(kind, 9) + pad(show_amount(rate), 8) +
         latency_cells(histogram) + "\n";
}

void add_latencies(std::string& out, const RunResult& run) {
  out += "  " + pad_right("", 23) + pad_right("latency", 9) + pad("per s", 8);
  for (const char* name : {"p50", "p90", "p99", "p99.9", "p99.99", "p99.999", "max"}) {
    out += pad(name, 9);
  }
  out += "\n";
  const auto rows = [&](const std::string& name, int operation, int endpoint) {
    if (run.open_loop) {
      add_row(out, name, "intended", run.intended(operation, endpoint), run.seconds);
      add_row(out, "", "service", run.service(operation, endpoint), run.seconds);
    } else {
      add_row(out, name, "service", run.service(operation, endpoint), run.seconds);
    }
  };
  size_t used = 0;
  for (size_t i = 0; i < run.operations.size(); ++i) {
    if (run.service(static_cast<int>(i)).count() > 0) ++used;
  }
  rows("all", -1, -1);
  if (used > 1) {
    for (size_t i = 0; i < run.operations.size(); ++i) {
      rows(run.operations[i], static_cast<int>(i), -1);
    }
  }
  if (run.endpoints.size() < 2) return;
  for (size_t i = 0; i < run.endpoints.size(); ++i) {
    rows(run.endpoints[i].label(), -1, static_cast<int>(i));
    const EndpointCounts& counts = run.total.endpoints[i];
    if (counts.failed + counts.disconnects > 0) {
      out += "      failed " + show_count(static_cast<double>(counts.failed)) + ", connects " +
             show_count(static_cast<double>(counts.connects)) + ", disconnects " +
             show_count(static_cast<double>(counts.disconnects)) + "\n";
    }
  }
}

void add_errors(std::string& out, const RunResult& run) {
  const Tally& total = run.total;
  if (total.failed + total.unanswered + total.not_sent > 0) {
    out += "  failed " + show_count(static_cast<double>(total.failed)) +
           ", unanswered at the end " + show_count(static_cast<double>(total.unanswered)) +
           ", due but never sent " + show_count(static_cast<double>(total.not_sent)) +
           ", fail-overs " + show_count(static_cast<double>(total.failovers)) + "\n";
  }
  for (const ErrorKind& kind : total.errors.kinds()) {
    out += "  error " + pad_right(kind.kind, 14) +
           pad(show_count(static_cast<double>(kind.count)), 9) + "  first: " + kind.first + "\n";
  }
}

void add_verify(std::string& out, const VerifyFindings& findings) {
  out += "  verified: " + show_count(static_cast<double>(findings.reads_checked)) + " reads, " +
         show_count(static_cast<double>(findings.writes_acknowledged)) + " acknowledged writes, " +
         show_count(static_cast<double>(findings.writes_unknown)) + " of unknown outcome, " +
         show_count(static_cast<double>(findings.cells_read_back)) + " read back\n";
  for (size_t kind = 0; kind < VerifyFindings::kKinds; ++kind) {
    if (findings.counts[kind] == 0) continue;
    out += "  FAILED: " + show_count(static_cast<double>(findings.counts[kind])) + " " +
           VerifyFindings::kNames[kind] + "\n";
    for (const std::string& text : findings.listed[kind]) out += "    " + text + "\n";
  }
  for (const std::string& text : findings.unreachable) {
    out += "  NOT READ BACK: " + text + "\n";
  }
  if (findings.total() == 0 && findings.unreachable.empty()) {
    out += "  verified: nothing lost, nothing resurrected, no disagreement\n";
  }
}

void add_series(std::string& out, const RunResult& run) {
  const bool troubled = run.total.failed > 0 || !run.events.empty();
  if (!troubled || run.series.size() < 2) return;
  out += "  second by second (answered, failed, p50, p99, max";
  out += run.endpoints.size() > 1 ? ", answered by endpoint)\n" : ")\n";
  constexpr size_t kShown = 60;
  const auto shown = [](uint64_t ns) {
    return ns == 0 ? std::string("-") : show_duration(static_cast<double>(ns));
  };
  for (size_t i = 0; i < run.series.size() && i < kShown; ++i) {
    const SeriesPoint& point = run.series[i];
    out += pad(show_amount(point.at_s), 8) + " s" +
           pad(show_count(static_cast<double>(point.answered)), 12) +
           pad(show_count(static_cast<double>(point.failed)), 12) + pad(shown(point.p50_ns), 10) +
           pad(shown(point.p99_ns), 10) + pad(shown(point.max_ns), 10);
    if (run.endpoints.size() > 1) {
      for (const uint64_t answered : point.endpoint_answered) {
        out += pad(show_count(static_cast<double>(answered)), 10);
      }
    }
    for (const EventMark& event : run.events) {
      if (event.at_s >= point.at_s && event.at_s < point.at_s + point.span_s)
        out += "  <- " + event.text.substr(0, 60);
    }
    out += "\n";
  }
  if (run.series.size() > kShown) out += "     … the rest is in --csv, --json and --report\n";
}

}  // namespace

std::string text_report(const RunResult& run) {
  std::string out = run.name + ": ";
  out += show_count(static_cast<double>(run.total.answered)) + " requests in ";
  char text[200];
  std::snprintf(text, sizeof text, "%.2f s, %s/s", run.seconds,
                show_count(run.throughput()).c_str());
  out += text;
  if (run.open_loop) out += " of " + show_count(run.rate_asked) + "/s asked for";
  out += "\n";
  if (!run.stopped.empty()) out += "  ended early: " + run.stopped + "\n";
  add_latencies(out, run);
  uint64_t misses = 0;
  for (const Cell& cell : run.total.cells) misses += cell.misses;
  if (misses > 0)
    out += "  null replies (misses): " + show_count(static_cast<double>(misses)) + "\n";
  if (const auto cpu = run.server_cpu_us_per_request()) {
    std::snprintf(text, sizeof text, "  server CPU per request: %.3f us (%.0f %% of a core)\n",
                  *cpu, static_cast<double>(*run.server_cpu_ns) / 1e7 / run.seconds);
    out += text;
  }
  if (run.total.answered > 0) {
    std::snprintf(
        text, sizeof text, "  client CPU per request: %.3f us\n",
        static_cast<double>(run.client_cpu_ns) / 1e3 / static_cast<double>(run.total.answered));
    out += text;
  }
  if (run.client_busy > kBusy) {
    std::snprintf(text, sizeof text,
                  "  note: the load threads were %.0f %% busy; the tool may be what limits the rate"
                  " (--threads)\n",
                  run.client_busy * 100);
    out += text;
  }
  for (const EventMark& event : run.events) {
    std::snprintf(text, sizeof text, "  at %.2f s: ", event.at_s);
    out += text + event.text;
    if (event.took_ms > 0) out += " took " + show_duration(event.took_ms * 1e6);
    out += "\n";
  }
  for (const auto& [where, figures] : run.info) {
    out += "  INFO" + (run.info.size() > 1 ? " " + where : std::string()) + ":";
    for (const auto& [name, value] : figures) {
      for (const auto& [wanted, shown] : kInfoShown) {
        if (name == wanted && value != 0)
          out += std::string(" ") + shown + " " + show_amount(value);
      }
    }
    out += "\n";
  }
  add_errors(out, run);
  add_series(out, run);
  if (run.verify) add_verify(out, *run.verify);
  return out;
}

bool write_text_file(const std::string& path, const std::string& text) {
  std::FILE* const file = path == "-" ? stdout : std::fopen(path.c_str(), "w");
  bool good = file != nullptr;
  if (good) good = std::fwrite(text.data(), 1, text.size(), file) == text.size();
  if (file != nullptr && file != stdout) good = std::fclose(file) == 0 && good;
  if (!good) std::fprintf(stderr, "dyno-bench: cannot write %s\n", path.c_str());
  return good;
}

}  // namespace dyno::bench

// SPDX-License-Identifier: Apache-2.0
// The machine-readable reports. Fields are only ever added; "format" counts incompatible changes.
// Latencies are in microseconds unless the name says otherwise.
#include <cstdio>

#include "bench/json_writer.h"
#include "bench/report.h"

namespace dyno::bench {

namespace {

constexpr std::pair<const char*, double> kPoints[] = {
    {"p50", 50}, {"p75", 75},     {"p90", 90},       {"p95", 95},
    {"p99", 99}, {"p99.9", 99.9}, {"p99.99", 99.99}, {"p99.999", 99.999},
};

void add_histogram(JsonWriter& json, std::string_view name, const Histogram& histogram,
                   bool buckets) {
  json.key(name).open_object();
  json.field("count", histogram.count());
  json.field("mean", histogram.mean() / 1e3);
  json.field("min", static_cast<double>(histogram.min()) / 1e3);
  for (const auto& [label, percent] : kPoints) {
    json.field(label, static_cast<double>(histogram.percentile(percent)) / 1e3);
  }
  json.field("max", static_cast<double>(histogram.max()) / 1e3);
  if (buckets) {
    json.key("buckets_ns").open_array();
    histogram.for_each([&](uint64_t low, uint64_t high, uint64_t times) {
      json.open_array().value(low).value(high).value(times).close_array();
    });
    json.close_array();
  }
  json.close_object();
}

void add_latency(JsonWriter& json, const RunResult& run, int operation, int endpoint,
                 bool buckets) {
  add_histogram(json, "service_us", run.service(operation, endpoint), buckets);
  if (run.open_loop) add_histogram(json, "intended_us", run.intended(operation, endpoint), buckets);
}

void add_series(JsonWriter& json, const RunResult& run) {
  json.key("series").open_array();
  for (const SeriesPoint& point : run.series) {
    json.open_object();
    json.field("at_s", point.at_s).field("span_s", point.span_s);
    json.field("answered", point.answered).field("failed", point.failed);
    json.field("p50_us", static_cast<double>(point.p50_ns) / 1e3);
    json.field("p99_us", static_cast<double>(point.p99_ns) / 1e3);
    json.field("p999_us", static_cast<double>(point.p999_ns) / 1e3);
    json.field("max_us", static_cast<double>(point.max_ns) / 1e3);
    json.key("endpoints").open_array();
    for (size_t i = 0; i < point.endpoint_answered.size(); ++i) {
      json.open_array().value(point.endpoint_answered[i]).value(point.endpoint_failed[i]);
      json.close_array();
    }
    json.close_array().close_object();
  }
  json.close_array();
}

void add_verify(JsonWriter& json, const VerifyFindings& findings) {
  json.key("verify").open_object();
  json.field("failed", findings.total() > 0);
  json.field("reads_checked", findings.reads_checked);
  json.field("writes_acknowledged", findings.writes_acknowledged);
  json.field("writes_unknown", findings.writes_unknown);
  json.field("read_back", findings.cells_read_back);
  json.key("findings").open_object();
  for (size_t kind = 0; kind < VerifyFindings::kKinds; ++kind) {
    json.key(VerifyFindings::kNames[kind]).open_object().field("count", findings.counts[kind]);
    json.key("first").open_array();
    for (const std::string& text : findings.listed[kind]) json.value(text);
    json.close_array().close_object();
  }
  json.close_object().key("not_read_back").open_array();
  for (const std::string& text : findings.unreachable) json.value(text);
  json.close_array().close_object();
}

void add_errors(JsonWriter& json, const RunResult& run) {
  json.field("failed", run.total.failed);
  json.field("error_replies", run.total.error_replies);
  json.field("unanswered", run.total.unanswered);
  json.field("not_sent", run.total.not_sent);
  json.field("failovers", run.total.failovers);
  json.key("errors").open_array();
  for (const ErrorKind& kind : run.total.errors.kinds()) {
    json.open_object().field("kind", kind.kind).field("count", kind.count);
    json.field("first", kind.first).close_object();
  }
  json.close_array();
}

void add_run(JsonWriter& json, const RunResult& run, bool buckets) {
  json.open_object().field("name", run.name);
  json.key("settings").open_object();
  for (const auto& [name, value] : run.settings) json.field(name, value);
  json.close_object();
  json.field("open_loop", run.open_loop);
  if (run.open_loop) json.field("rate_asked", run.rate_asked);
  json.field("seconds", run.seconds).field("requests", run.total.answered);
  json.field("throughput", run.throughput());
  json.field("bytes_sent", run.total.bytes_out).field("bytes_received", run.total.bytes_in);
  if (run.load_seconds > 0) {
    json.field("loaded", run.requests_loaded).field("load_seconds", run.load_seconds);
  }
  if (run.server_cpu_ns) {
    json.field("server_cpu_s", static_cast<double>(*run.server_cpu_ns) / 1e9);
    json.field("server_cpu_us_per_request", run.server_cpu_us_per_request().value_or(0));
  }
  if (run.server_resident_bytes) json.field("server_resident_bytes", *run.server_resident_bytes);
  json.field("client_cpu_s", static_cast<double>(run.client_cpu_ns) / 1e9);
  json.field("client_busy", run.client_busy);
  if (!run.stopped.empty()) json.field("stopped", run.stopped);
  add_latency(json, run, -1, -1, buckets);
  json.key("operations").open_array();
  for (size_t i = 0; i < run.operations.size(); ++i) {
    if (run.service(static_cast<int>(i)).count() == 0) continue;
    json.open_object().field("name", run.operations[i]);
    uint64_t misses = 0;
    for (size_t e = 0; e < run.endpoints.size(); ++e) misses += run.total.cell(e, i).misses;
    json.field("misses", misses);
    add_latency(json, run, static_cast<int>(i), -1, false);
    json.close_object();
  }
  json.close_array().key("endpoints").open_array();
  for (size_t i = 0; i < run.endpoints.size(); ++i) {
    const EndpointCounts& counts = run.total.endpoints[i];
    json.open_object().field("where", run.endpoints[i].where());
    json.field("dc", run.endpoints[i].dc).field("rack", run.endpoints[i].rack);
    json.field("requests", counts.requests).field("failed", counts.failed);
    json.field("connects", counts.connects).field("disconnects", counts.disconnects);
    add_latency(json, run, -1, static_cast<int>(i), false);
    json.close_object();
  }
  json.close_array();
  add_errors(json, run);
  json.key("events").open_array();
  for (const EventMark& event : run.events) {
    json.open_object().field("at_s", event.at_s).field("text", event.text);
    json.field("took_ms", event.took_ms).close_object();
  }
  json.close_array();
  if (!run.staircase.empty()) {
    json.field("knee", run.knee).key("staircase").open_array();
    for (const Staircase::Step& step : run.staircase) {
      json.open_object().field("rate", step.rate).field("achieved", step.achieved);
      json.field("p99_us", static_cast<double>(step.p99_ns) / 1e3).field("held", step.held);
      json.close_object();
    }
    json.close_array();
  }
  json.key("info").open_object();
  for (const auto& [where, figures] : run.info) {
    json.key(where).open_object();
    for (const auto& [name, value] : figures) json.field(name, value);
    json.close_object();
  }
  json.close_object();
  if (run.verify) add_verify(json, *run.verify);
  add_series(json, run);
  json.close_object();
}

}  // namespace

std::string json_report(const std::vector<RunResult>& runs, bool histograms) {
  JsonWriter json;
  json.open_object().field("tool", "dyno-bench").field("version", DYNO_VERSION).field("format", 1);
  json.key("runs").open_array();
  for (const RunResult& run : runs) add_run(json, run, histograms);
  json.close_array().close_object();
  return json.text();
}

std::string series_csv_header(const std::vector<Endpoint>& endpoints) {
  std::string line = "second,span_s,answered,failed,p50_us,p99_us,p99.9_us,max_us";
  for (const Endpoint& endpoint : endpoints) {
    line += ",answered " + endpoint.label() + ",failed " + endpoint.label();
  }
  return line + "\n";
}

std::string series_csv_row(const SeriesPoint& point) {
  char text[256];
  std::snprintf(text, sizeof text, "%.0f,%.0f,%llu,%llu,%.1f,%.1f,%.1f,%.1f", point.at_s,
                point.span_s, static_cast<unsigned long long>(point.answered),
                static_cast<unsigned long long>(point.failed),
                static_cast<double>(point.p50_ns) / 1e3, static_cast<double>(point.p99_ns) / 1e3,
                static_cast<double>(point.p999_ns) / 1e3, static_cast<double>(point.max_ns) / 1e3);
  std::string line = text;
  for (size_t i = 0; i < point.endpoint_answered.size(); ++i) {
    line += "," + std::to_string(point.endpoint_answered[i]) + "," +
            std::to_string(point.endpoint_failed[i]);
  }
  return line + "\n";
}

}  // namespace dyno::bench

// SPDX-License-Identifier: Apache-2.0
// The coordinator: it merges what workers post, and never touches what they work with.
#include "bench/load_run.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <thread>

#include "bench/clock.h"
#include "bench/control.h"
#include "bench/process_meter.h"
#include "bench/report.h"
#include "bench/worker.h"

namespace dyno::bench {

std::atomic<bool> LoadRun::interrupted{false};

namespace {

constexpr unsigned kInfoTimeout_ms = 1000;
constexpr auto kLook = std::chrono::milliseconds(20);

double seconds_of(uint64_t ns) {
  return static_cast<double>(ns) / static_cast<double>(kSecond_ns);
}
uint64_t ns_of(double seconds) {
  return static_cast<uint64_t>(seconds * static_cast<double>(kSecond_ns));
}

Histogram collect(const RunResult& run, int operation, int endpoint, Histogram Cell::*which) {
  Histogram all;
  for (size_t e = 0; e < run.endpoints.size(); ++e) {
    if (endpoint >= 0 && static_cast<size_t>(endpoint) != e) continue;
    for (size_t o = 0; o < run.operations.size(); ++o) {
      if (operation >= 0 && static_cast<size_t>(operation) != o) continue;
      if (!run.total.cells.empty()) all.merge(run.total.cell(e, o).*which);
    }
  }
  return all;
}

}  // namespace

Histogram RunResult::service(int operation, int endpoint) const {
  return collect(*this, operation, endpoint, &Cell::service);
}
Histogram RunResult::intended(int operation, int endpoint) const {
  return collect(*this, operation, endpoint, &Cell::intended);
}

std::optional<double> RunResult::server_cpu_us_per_request() const {
  if (!server_cpu_ns || total.answered == 0) return std::nullopt;
  return static_cast<double>(*server_cpu_ns) / 1e3 / static_cast<double>(total.answered);
}

RunResult LoadRun::execute() {
  result_.name = plan_.workload->name;
  result_.endpoints = plan_.access.endpoints;
  result_.open_loop = plan_.open_loop();
  result_.rate_asked = plan_.rate;
  for (const Operation& operation :
       plan_.loading ? plan_.workload->load : plan_.workload->operations) {
    result_.operations.push_back(operation.name);
  }
  result_.total = Tally(result_.endpoints.size(), result_.operations.size());
  shared_.population = plan_.keyspace;
  if (!settings_.csv_path.empty()) {
    csv_.reset(std::fopen(settings_.csv_path.c_str(), "w"));
    if (csv_) std::fputs(series_csv_header(result_.endpoints).c_str(), csv_.get());
  }

  start_clock();
  std::vector<std::thread> threads;
  shared_.running = plan_.threads;
  for (unsigned lane = 0; lane < plan_.threads; ++lane) {
    threads.emplace_back([this, lane] { Worker(plan_, shared_, mailbox_, lane).run(); });
  }
  Events events(settings_.events, plan_.access);
  events.start(plan_.measure_from_ns);
  watch_workers();
  for (std::thread& thread : threads) thread.join();
  const uint64_t end = now_ns();
  gather();
  close_seconds(INT64_MAX);
  sample_after();
  const uint64_t last = settings_.duration_s > 0 ? std::min(plan_.stop_at_ns, end) : end;
  result_.seconds = last > plan_.measure_from_ns ? seconds_of(last - plan_.measure_from_ns) : 0;
  events.finish();
  result_.events = events.marks();
  progress_.clear();
  csv_.reset();
  return std::move(result_);
}

void LoadRun::start_clock() {
  plan_.start_ns = now_ns();
  if (settings_.want_info) info_before_ = read_info();
  plan_.start_ns = now_ns();
  plan_.measure_from_ns = plan_.start_ns + ns_of(settings_.warmup_s);
  // Ticks are laid out backwards from there, so that none straddles the border.
  plan_.measured_tick = ns_of(settings_.warmup_s) / Worker::kTick_ns + 1;
  plan_.tick_origin_ns = plan_.measure_from_ns - plan_.measured_tick * Worker::kTick_ns;
  if (settings_.duration_s > 0)
    plan_.stop_at_ns = plan_.measure_from_ns + ns_of(settings_.duration_s);
  shared_.last_progress_ns = plan_.start_ns;
  sample_before();
}

void LoadRun::sample_before() {
  cpu_before_ = processes_cpu_ns(settings_.server_pids);
  own_cpu_before_ = own_cpu_ns();
}

void LoadRun::sample_after() {
  const auto cpu = processes_cpu_ns(settings_.server_pids);
  if (cpu && cpu_before_) result_.server_cpu_ns = *cpu - *cpu_before_;
  result_.client_cpu_ns = own_cpu_ns() - own_cpu_before_;
  const double wall = seconds_of(now_ns() - plan_.measure_from_ns);
  if (wall > 0) result_.client_busy = seconds_of(result_.client_cpu_ns) / wall / plan_.threads;
  uint64_t resident = 0;
  for (const int pid : settings_.server_pids) resident += process_resident_bytes(pid).value_or(0);
  if (resident > 0) result_.server_resident_bytes = resident;
  if (!settings_.want_info) return;
  const auto after = read_info();
  for (const auto& [where, figures] : after) {
    const auto before =
        std::find_if(info_before_.begin(), info_before_.end(),
                     [&wanted = where](const auto& entry) { return entry.first == wanted; });
    if (before != info_before_.end() && !figures.empty()) {
      result_.info.emplace_back(where, info_delta(before->second, figures));
    }
  }
}

void LoadRun::watch_workers() {
  bool measuring = settings_.warmup_s <= 0;
  while (shared_.running.load() > 0) {
    std::this_thread::sleep_for(kLook);
    const uint64_t now = now_ns();
    if (!measuring && now >= plan_.measure_from_ns) {
      measuring = true;
      sample_before();
      if (settings_.want_info) info_before_ = read_info();
    }
    gather();
    show(now);
    if (interrupted.load() && !shared_.stop) {
      result_.stopped = "interrupted";
      shared_.stop = true;
    }
    const uint64_t progress = shared_.last_progress_ns.load();
    if (settings_.duration_s <= 0 && now > progress &&
        seconds_of(now - progress) > settings_.give_up_s) {
      result_.stopped =
          "no answer for " + std::to_string(static_cast<int>(settings_.give_up_s)) + " s";
      shared_.stop = true;
    }
  }
  if (shared_.stop && result_.stopped.empty()) result_.stopped = "stopped at the first error";
}

void LoadRun::gather() {
  for (auto& [tick, tally] : mailbox_.take()) {
    add_tick(tick, tally);
    result_.total.merge(tally);
  }
  const uint64_t now = now_ns();
  if (now < plan_.measure_from_ns + kSecond_ns) return;
  // A worker may post a little late; half a second is far more than a loop turn takes.
  close_seconds(static_cast<int64_t>((now - plan_.measure_from_ns - kSecond_ns / 2) / kSecond_ns));
}

void LoadRun::add_tick(uint64_t tick, const Tally& tally) {
  if (tick < plan_.measured_tick) return;
  auto second = static_cast<int64_t>((tick - plan_.measured_tick) * Worker::kTick_ns / kSecond_ns);
  // What is answered while the open requests drain belongs to the last second that was asked for.
  if (settings_.duration_s > 0) {
    second =
        std::min(second, std::max<int64_t>(1, std::llround(std::ceil(settings_.duration_s))) - 1);
  }
  OpenSecond& open = open_[second];
  SeriesPoint& point = open.point;
  point.at_s = static_cast<double>(second);
  point.endpoint_answered.resize(tally.endpoints.size());
  point.endpoint_failed.resize(tally.endpoints.size());
  for (const Cell& cell : tally.cells) {
    open.latency.merge(plan_.open_loop() ? cell.intended : cell.service);
  }
  point.answered += tally.answered;
  point.failed += tally.failed;
  for (size_t i = 0; i < tally.endpoints.size(); ++i) {
    point.endpoint_answered[i] += tally.endpoints[i].requests;
    point.endpoint_failed[i] += tally.endpoints[i].failed;
  }
}

void LoadRun::close_seconds(int64_t before) {
  while (!open_.empty() && open_.begin()->first < before) {
    OpenSecond second = std::move(open_.begin()->second);
    open_.erase(open_.begin());
    SeriesPoint& point = second.point;
    point.p50_ns = second.latency.percentile(50);
    point.p99_ns = second.latency.percentile(99);
    point.p999_ns = second.latency.percentile(99.9);
    point.max_ns = second.latency.max();
    if (csv_) std::fputs(series_csv_row(point).c_str(), csv_.get());
    result_.series.push_back(point);
    last_ = std::move(second);
  }
  if (result_.series.size() > kSeriesMax) halve_series();
}

// Memory stays bounded in a run of any length: two neighbouring points become one.
void LoadRun::halve_series() {
  std::vector<SeriesPoint> halved;
  for (size_t i = 0; i < result_.series.size(); i += 2) {
    SeriesPoint point = result_.series[i];
    if (i + 1 < result_.series.size()) {
      const SeriesPoint& next = result_.series[i + 1];
      const uint64_t sum = point.answered + next.answered;
      if (sum > 0) {
        point.p50_ns = (point.p50_ns * point.answered + next.p50_ns * next.answered) / sum;
      }
      point.span_s += next.span_s;
      point.answered = sum;
      point.failed += next.failed;
      point.p99_ns = std::max(point.p99_ns, next.p99_ns);
      point.p999_ns = std::max(point.p999_ns, next.p999_ns);
      point.max_ns = std::max(point.max_ns, next.max_ns);
      for (size_t e = 0; e < point.endpoint_answered.size(); ++e) {
        point.endpoint_answered[e] += next.endpoint_answered[e];
        point.endpoint_failed[e] += next.endpoint_failed[e];
      }
    }
    halved.push_back(std::move(point));
  }
  result_.series = std::move(halved);
}

void LoadRun::show(uint64_t now) {
  ProgressView view;
  view.phase = plan_.loading ? "load" : now < plan_.measure_from_ns ? "warm-up" : result_.name;
  if (settings_.duration_s > 0) {
    const double total = seconds_of(plan_.stop_at_ns - plan_.start_ns);
    view.done = std::min(1.0, seconds_of(now - plan_.start_ns) / total);
    view.left_s = total - seconds_of(now - plan_.start_ns);
  } else {
    const double total =
        plan_.loading
            ? static_cast<double>(plan_.workload->load_items * plan_.workload->load.size())
            : static_cast<double>(plan_.requests);
    view.done = std::min(1.0, static_cast<double>(result_.total.answered) / total);
    if (view.done > 0) view.left_s = seconds_of(now - plan_.start_ns) * (1 / view.done - 1);
  }
  if (!result_.series.empty()) {
    view.rate = static_cast<double>(last_.point.answered);
    view.p50_ns = last_.point.p50_ns;
    view.p99_ns = last_.point.p99_ns;
  }
  view.errors = result_.total.errors.total();
  progress_.show(view, now);
}

std::vector<std::pair<std::string, InfoFigures>> LoadRun::read_info() const {
  std::vector<std::pair<std::string, InfoFigures>> all;
  for (size_t i = 0; i < plan_.access.endpoints.size(); ++i) {
    Control control;
    Reply reply;
    if (!control.connect(plan_.access, i, kInfoTimeout_ms)) continue;
    if (!control.call({"INFO"}, reply) || reply.kind != ReplyKind::kBulk) continue;
    all.emplace_back(plan_.access.endpoints[i].label(), parse_info(reply.text));
  }
  return all;
}

}  // namespace dyno::bench

// SPDX-License-Identifier: Apache-2.0
// The order of things: reach, prepare, load, run, read back. Each step ends the session if it
// fails.
#include "bench/session.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <thread>

#include "bench/clock.h"
#include "bench/control.h"
#include "bench/duration.h"
#include "bench/load_run.h"

namespace dyno::bench {

namespace {

constexpr unsigned kReachTimeout_ms = 5000;
constexpr unsigned kLoadPipeline = 128;
constexpr unsigned kLoadClients = 8;
constexpr double kDrainMax_s = 2;

uint64_t ns_of(double seconds) {
  return static_cast<uint64_t>(seconds * static_cast<double>(kSecond_ns));
}

std::string text_of(double number) {
  char text[40];
  std::snprintf(text, sizeof text, "%.6g", number);
  return text;
}

}  // namespace

bool Session::reach() {
  bad_settings_ = !prepare_workloads();
  if (bad_settings_) return false;
  access_ = options_.access();
  if (options_.tls.enabled) {
    access_.tls = TlsContext::create(options_.tls, error_);
    if (!access_.tls) return false;
  }
  for (Endpoint& endpoint : access_.endpoints) {
    if (!endpoint.resolve(error_)) return false;
  }
  for (size_t i = 0; i < access_.endpoints.size(); ++i) {
    Control control;
    Reply reply;
    if (control.connect(access_, i, kReachTimeout_ms) && control.call({"PING"}, reply)) {
      if (reply.kind != ReplyKind::kError) {
        error_.clear();
        return true;
      }
      error_ = access_.endpoints[i].where() + ": PING: " + std::string(reply.text);
    } else {
      error_ = access_.endpoints[i].where() + ": " + control.error();
    }
  }
  return false;
}

bool Session::prepare_workloads() {
  error_.clear();
  workloads_.clear();
  if (options_.verify) return true;
  std::vector<std::string> tests = options_.tests;
  if (tests.empty()) tests.emplace_back();
  for (const std::string& test : tests) {
    WorkloadSpec spec = options_.workload;
    spec.test = test;
    spec.settings.deadline_unix_ms = unix_ms() + static_cast<uint64_t>(options_.deadline_s * 1000);
    auto workload = build_workload(spec, error_);
    if (!workload) return false;
    workloads_.push_back(std::move(*workload));
  }
  return true;
}

bool Session::call_once(const std::string& command) {
  const auto words = CommandTemplate::split(command, error_);
  if (!words || words->empty()) return error_.empty();
  Control control;
  Reply reply;
  if (!control.connect(access_, 0, 60'000) || !control.call(*words, reply)) {
    error_ = command + ": " + control.error();
    return false;
  }
  if (reply.kind == ReplyKind::kError) error_ = command + ": " + std::string(reply.text);
  return error_.empty();
}

Plan Session::plan_for(const Workload& workload) const {
  Plan plan;
  plan.access = access_;
  plan.workload = &workload;
  plan.keys = options_.keys;
  plan.keyspace = options_.workload.keyspace;
  plan.clients = options_.clients;
  plan.pipeline = options_.pipeline;
  plan.threads = options_.threads;
  plan.arrivals = options_.arrivals;
  plan.timeout_ns = ns_of(options_.timeout_s);
  plan.drain_ns = ns_of(std::min(options_.timeout_s, kDrainMax_s));
  plan.failover = options_.failover;
  plan.on_error = options_.on_error;
  plan.seed = options_.seed;
  return plan;
}

bool Session::load_workload(const Workload& workload) {
  if (!workload.before.empty() && !call_once(workload.before)) return false;
  if (workload.load.empty()) return true;
  Plan plan = plan_for(workload);
  plan.loading = true;
  plan.clients = std::max(plan.threads, std::min(options_.clients, kLoadClients));
  plan.pipeline = kLoadPipeline;
  LoadRunSettings settings;
  settings.want_info = false;
  settings.give_up_s = std::max(30.0, 2 * options_.timeout_s);
  RunResult loaded = LoadRun(std::move(plan), settings, progress_).execute();
  loaded_ = loaded.total.answered;
  load_seconds_ = loaded.seconds;
  const uint64_t wanted = workload.load_items * workload.load.size();
  if (LoadRun::interrupted || loaded_ < wanted) {
    error_ = "loading: " + std::to_string(loaded_) + " of " + std::to_string(wanted) +
             " requests answered";
    if (!loaded.total.errors.kinds().empty()) error_ += "; " + loaded.total.errors.kinds()[0].first;
    return false;
  }
  return true;
}

bool Session::load() {
  for (const std::string& command : options_.prepare) {
    if (!call_once(command)) return false;
  }
  if (!options_.load && !options_.load_only) return true;
  // A deadline counts from the loading.
  if (options_.deadline_s > 0 && !prepare_workloads()) return false;
  for (const Workload& workload : workloads_) {
    if (!load_workload(workload)) return false;
  }
  return true;
}

RunResult Session::run_one(const Workload& workload, double rate, double duration_s,
                           double warmup_s) {
  Plan plan = plan_for(workload);
  plan.rate = rate;
  plan.requests = options_.requests;
  LoadRunSettings settings;
  settings.duration_s = duration_s;
  settings.warmup_s = warmup_s;
  settings.give_up_s = std::max(30.0, 2 * options_.timeout_s);
  settings.server_pids = options_.server_pids;
  settings.events = options_.events;
  settings.want_info = options_.info;
  settings.csv_path = options_.csv_path;
  RunResult run = LoadRun(std::move(plan), settings, progress_).execute();
  run.requests_loaded = loaded_;
  run.load_seconds = load_seconds_;
  describe(run);
  return run;
}

bool Session::climb(const Workload& workload) {
  Staircase stairs(options_.staircase_first, ns_of(options_.knee_p99_s));
  RunResult best;
  bool have_best = false;
  while (const auto rate = stairs.next_rate()) {
    RunResult step = run_one(workload, *rate, options_.step_s, std::min(0.5, options_.step_s / 10));
    const uint64_t p99 =
        step.total.answered > 0 ? step.intended().percentile(99) : UINT64_MAX / 100;
    const double achieved = step.throughput();
    stairs.report(achieved, p99);
    const bool held = stairs.steps().back().held;
    if (!options_.quiet) {
      std::fprintf(stderr, "step %s/s: %s/s answered, p99 %s, %s\n", show_amount(*rate).c_str(),
                   show_amount(achieved).c_str(), show_duration(static_cast<double>(p99)).c_str(),
                   held ? "held" : "did not hold");
    }
    if (held || !have_best) best = std::move(step);
    have_best = true;
    if (LoadRun::interrupted) break;
  }
  best.staircase = stairs.steps();
  best.knee = stairs.knee();
  best.settings.emplace_back("staircase",
                             "from " + show_amount(options_.staircase_first) + "/s, p99 at most " +
                                 show_duration(static_cast<double>(stairs.p99_limit_ns())));
  results_.push_back(std::move(best));
  return true;
}

bool Session::verified_run() {
  VerifySettings settings;
  settings.run = options_.seed * 0x9e3779b97f4a7c15u ^ unix_ms();
  settings.cells = options_.workload.keyspace == 1'000'000 ? 10'000 : options_.workload.keyspace;
  settings.clients = options_.clients;
  settings.threads = options_.threads;
  settings.value_bytes = options_.workload.settings.value_size.largest();
  settings.kinds = options_.verify_kinds;
  settings.delete_share = options_.verify_deletes;
  settings.read_share = !options_.ratio_given
                            ? 0.5
                            : options_.workload.ratio_get /
                                  (options_.workload.ratio_set + options_.workload.ratio_get);
  settings.delete_share *= 1 - settings.read_share;
  const Workload workload = VerifyLane::workload();
  std::vector<std::unique_ptr<VerifyLane>> lanes;
  Plan plan = plan_for(workload);
  plan.rate = options_.rate;
  plan.requests = options_.requests;
  plan.keyspace = (settings.cells + settings.clients - 1) / settings.clients * settings.clients;
  for (unsigned lane = 0; lane < options_.threads; ++lane) {
    lanes.push_back(std::make_unique<VerifyLane>(settings, lane));
    plan.verify.push_back(lanes.back().get());
  }
  const std::vector<VerifyLane*> pointers = plan.verify;
  LoadRunSettings run_settings;
  run_settings.duration_s = options_.duration_s;
  run_settings.server_pids = options_.server_pids;
  run_settings.events = options_.events;
  run_settings.want_info = options_.info;
  run_settings.csv_path = options_.csv_path;
  RunResult run = LoadRun(std::move(plan), run_settings, progress_).execute();
  std::this_thread::sleep_for(std::chrono::duration<double>(options_.verify_settle_s));
  VerifyFindings findings = ReadBack(settings, pointers, access_).run();
  for (const auto& lane : lanes) findings.merge(lane->findings());
  run.verify = std::move(findings);
  describe(run);
  results_.push_back(std::move(run));
  return true;
}

bool Session::measure() {
  if (options_.verify) return verified_run();
  for (const Workload& workload : workloads_) {
    if (options_.staircase) {
      if (!climb(workload)) return false;
    } else {
      results_.push_back(run_one(workload, options_.rate, options_.duration_s, options_.warmup_s));
    }
    if (LoadRun::interrupted) break;
  }
  return true;
}

// With several tests each is loaded just before it runs, so that one's data does not disturb
// another's.
bool Session::run() {
  if (!reach()) return false;
  if (options_.load_only) return load();
  if (workloads_.size() < 2) return load() && measure();
  std::vector<Workload> all = std::move(workloads_);
  for (Workload& workload : all) {
    workloads_.clear();
    workloads_.push_back(std::move(workload));
    if (!load() || !measure()) return false;
    if (LoadRun::interrupted) break;
  }
  return true;
}

int Session::exit_code() const {
  int code = 0;
  for (const RunResult& run : results_) {
    if (run.verify) {
      uint64_t failures = run.verify->total();
      if (options_.allow_stale) failures -= run.verify->counts[VerifyFindings::kStale];
      if (failures > 0 || (!options_.allow_down && !run.verify->unreachable.empty()) ||
          run.verify->unreachable.size() == run.endpoints.size()) {
        return kExitVerify;
      }
    }
    if (!run.stopped.empty() && run.stopped != "interrupted") code = kExitServer;
    if (run.total.answered == 0) code = kExitServer;
  }
  return code;
}

void Session::describe(RunResult& run) const {
  auto& settings = run.settings;
  std::string where;
  for (const Endpoint& endpoint : run.endpoints)
    where += (where.empty() ? "" : ", ") + endpoint.label();
  settings.emplace_back("endpoints", where);
  settings.emplace_back("clients", std::to_string(options_.clients));
  settings.emplace_back("pipeline", std::to_string(options_.pipeline));
  settings.emplace_back("threads", std::to_string(options_.threads));
  settings.emplace_back("protocol", "RESP" + std::to_string(options_.protocol) +
                                        (options_.tls.enabled ? " over TLS" : ""));
  std::string loop = "closed";
  if (run.open_loop) {
    loop = "open, " + text_of(run.rate_asked) + "/s " +
           (options_.arrivals == Arrivals::kPoisson ? "Poisson" : "fixed");
  }
  settings.emplace_back("loop", loop);
  settings.emplace_back("keys",
                        std::to_string(options_.workload.keyspace) + " " + options_.keys.text);
  settings.emplace_back("value size", options_.workload.settings.value_size.text());
  settings.emplace_back("duration", options_.requests > 0 && options_.duration_s <= 0
                                        ? std::to_string(options_.requests) + " requests"
                                        : text_of(run.seconds) + " s");
  settings.emplace_back("warm-up", text_of(options_.warmup_s) + " s");
  settings.emplace_back("seed", std::to_string(options_.seed));
}

}  // namespace dyno::bench

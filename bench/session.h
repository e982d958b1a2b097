// SPDX-License-Identifier: Apache-2.0
// One invocation against one set of endpoints: reach the server, prepare, load, run each workload,
// verify.
//
// `compare` runs one session per target and round; so a session prints nothing but progress.
#pragma once

#include <string>
#include <vector>

#include "bench/options.h"
#include "bench/run_result.h"

namespace dyno::bench {

class Session {
 public:
  Session(const Options& options, Progress& progress) : options_(options), progress_(progress) {}

  /// Resolves the endpoints and finds one that answers. False with one line in error().
  bool reach();
  /// Runs everything that the options ask for. False with one line in error(); results() has what
  /// was done.
  bool run();
  /// The loading alone (with --prepare); requests sent and seconds taken are kept for the next run.
  bool load();
  /// The run phases alone, as often as wanted.
  bool measure();

  std::vector<RunResult>& results() { return results_; }
  const std::string& error() const { return error_; }
  /// True when the error is one of the command line, found before anything was connected.
  bool bad_settings() const { return bad_settings_; }
  /// True when an error ends the whole session (--on-error stop, verify failed …): see exit_code().
  int exit_code() const;

 private:
  bool prepare_workloads();
  bool call_once(const std::string& command);
  bool load_workload(const Workload& workload);
  Plan plan_for(const Workload& workload) const;
  RunResult run_one(const Workload& workload, double rate, double duration_s, double warmup_s);
  bool climb(const Workload& workload);
  bool verified_run();
  void describe(RunResult& run) const;

  const Options& options_;
  Progress& progress_;
  ServerAccess access_;
  std::vector<Workload> workloads_;
  std::vector<RunResult> results_;
  uint64_t loaded_ = 0;
  double load_seconds_ = 0;
  std::string error_;
  bool bad_settings_ = false;
};

inline constexpr int kExitVerify = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitServer = 3;

}  // namespace dyno::bench

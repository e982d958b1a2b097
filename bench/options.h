// SPDX-License-Identifier: Apache-2.0
// The command line. Everything impossible is refused here, in one line, before anything is
// connected.
//
// Short options are redis-benchmark's. The options of a load are the same in `dyno-bench` and in
// `dyno-bench compare`.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/events.h"
#include "bench/plan.h"
#include "bench/progress.h"
#include "bench/verify.h"
#include "bench/workload.h"

namespace dyno::bench {

struct Options {
  // Connection.
  std::vector<Endpoint> endpoints;
  std::string host = "127.0.0.1";
  std::string port = "6379";
  std::string socket;
  std::string user;
  std::string password;
  unsigned database = 0;
  int protocol = 2;
  TlsSettings tls;
  std::string read_level;
  std::string write_level;
  bool failover = true;
  double timeout_s = 5;
  // Load.
  unsigned clients = 50;
  unsigned pipeline = 1;
  unsigned threads = 1;
  double rate = 0;
  Arrivals arrivals = Arrivals::kFixed;
  bool staircase = false;
  double staircase_first = 1000;
  double step_s = 5;
  double knee_p99_s = 0;
  uint64_t requests = 0;
  double duration_s = 0;  // 0: not given
  double warmup_s = -1;   // below 0: not given
  OnError on_error = OnError::kContinue;
  uint64_t seed = 1;
  std::vector<EventSpec> events;
  // Workload.
  std::vector<std::string> tests;
  WorkloadSpec workload;
  bool ratio_given = false;
  bool size_given = false;
  DistributionSpec keys;
  bool keys_given = false;
  bool load = false;
  bool load_only = false;
  std::vector<std::string> prepare;  // commands run once before everything
  double deadline_s = 0;
  // Verify.
  bool verify = false;
  std::vector<CellKind> verify_kinds;
  double verify_deletes = 0.05;
  double verify_settle_s = 0;
  bool allow_stale = false;
  bool allow_down = false;
  // Observation and output.
  std::vector<int> server_pids;
  bool info = true;
  Progress::Style progress = Progress::Style::kAuto;
  bool quiet = false;
  std::string json_path;
  std::string csv_path;
  std::string hgrm_path;
  std::string html_path;
  bool histograms = false;
  std::string help;  // the topic asked for; "-" is the overview, empty no help
  bool version = false;

  /// Reads arguments (without the program's name) into defaults. Nothing on failure, `why` has one
  /// line.
  static std::optional<Options> parse(const std::vector<std::string>& arguments, std::string& why);
  /// True when `argument` is an option that takes a value.
  static bool takes_value(std::string_view argument);
  /// All long and short names, for completion.
  static std::vector<std::string> names();

  ServerAccess access() const;
};

/// The text of a help topic; empty when there is none of that name.
std::string help_text(std::string_view topic);

}  // namespace dyno::bench

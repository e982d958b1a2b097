// SPDX-License-Identifier: Apache-2.0
// One phase from start to result: starts the workers, gathers what they post, samples the server,
// shows progress, and ends when the time or the requests are over, at an interrupt, or when nothing
// moves any more.
#pragma once

#include <atomic>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "bench/plan.h"
#include "bench/progress.h"
#include "bench/run_result.h"

namespace dyno::bench {

struct LoadRunSettings {
  double warmup_s = 0;
  double duration_s = 0;  // 0: the plan's number of requests decides
  double give_up_s = 30;  // without any answer for so long the run ends
  std::vector<int> server_pids;
  std::vector<EventSpec> events;
  bool want_info = true;
  std::string csv_path;  // the time series, written as it happens
};

class LoadRun {
 public:
  LoadRun(Plan plan, LoadRunSettings settings, Progress& progress)
      : plan_(std::move(plan)), settings_(std::move(settings)), progress_(progress) {}
  /// Blocks until the phase is over.
  RunResult execute();

  /// Set by the signal handler: the phase ends soon and is reported.
  static std::atomic<bool> interrupted;

 private:
  struct OpenSecond {
    Histogram latency;
    SeriesPoint point;
  };
  static constexpr size_t kSeriesMax = 4096;

  void start_clock();
  void watch_workers();
  void gather();
  void add_tick(uint64_t tick, const Tally& tally);
  void close_seconds(int64_t before);
  void halve_series();
  void show(uint64_t now);
  std::vector<std::pair<std::string, InfoFigures>> read_info() const;
  void sample_before();
  void sample_after();

  Plan plan_;
  LoadRunSettings settings_;
  Progress& progress_;
  Shared shared_;
  Mailbox mailbox_;
  RunResult result_;
  std::map<int64_t, OpenSecond> open_;
  OpenSecond last_;  // the newest closed second, for the progress line
  unsigned points_per_entry_ = 1;
  std::vector<std::pair<std::string, InfoFigures>> info_before_;
  std::optional<uint64_t> cpu_before_;
  uint64_t own_cpu_before_ = 0;
  struct CloseFile {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  std::unique_ptr<std::FILE, CloseFile> csv_;
};

}  // namespace dyno::bench

// SPDX-License-Identifier: Apache-2.0
// Things that happen at a set time of a run: a command sent to the first endpoint, or a shell
// command.
//
//   --at 2s:DEL big         the command, on a connection of its own; how long it took is shown
//   --at 5s:exec:kill -9 7  run by /bin/sh, with the first endpoint in $DYNO_BENCH_ENDPOINT
//
// Times count from the start of the measured part. Shell commands still running at the end are
// waited for a second, then killed with everything in their process group.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "bench/plan.h"

namespace dyno::bench {

struct EventSpec {
  double at_s = 0;
  bool shell = false;
  std::string command;

  static std::optional<EventSpec> parse(std::string_view text, std::string& why);
};

struct EventMark {
  double at_s = 0;
  std::string text;
  double took_ms = 0;
};

class Events {
 public:
  Events(std::vector<EventSpec> specs, const ServerAccess& access)
      : specs_(std::move(specs)), access_(access) {}
  ~Events() { finish(); }

  /// Starts the clock: `origin_ns` is second 0.
  void start(uint64_t origin_ns);
  /// Cancels what has not begun yet and ends what runs. Idempotent.
  void finish();
  std::vector<EventMark> marks();

 private:
  void run_one(const EventSpec& spec, uint64_t origin_ns);
  void run_shell(const EventSpec& spec);
  void mark(double at_s, const std::string& text, double took_ms);

  std::vector<EventSpec> specs_;
  const ServerAccess& access_;
  std::mutex lock_;
  std::vector<EventMark> marks_;
  std::vector<std::thread> threads_;
  std::vector<int> children_;
  bool cancelled_ = false;
};

}  // namespace dyno::bench

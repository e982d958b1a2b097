// SPDX-License-Identifier: Apache-2.0
// How far a run is, for people: a bar that is redrawn on a terminal, a plain line per second
// elsewhere.
#pragma once

#include <cstdint>
#include <string>

namespace dyno::bench {

struct ProgressView {
  std::string phase;
  double done = 0;  // share, 0 … 1
  double left_s = 0;
  double rate = 0;  // requests per second, of the last full second
  uint64_t p50_ns = 0;
  uint64_t p99_ns = 0;
  uint64_t errors = 0;
};

class Progress {
 public:
  enum class Style { kAuto, kBar, kLines, kNone };

  explicit Progress(Style style);
  /// Cheap to call often: redraws at most ten times a second, prints lines once a second.
  void show(const ProgressView& view, uint64_t now_ns);
  /// Ends a phase: clears the bar.
  void clear();

 private:
  Style style_;
  bool drawn_ = false;
  uint64_t next_ns_ = 0;
};

}  // namespace dyno::bench

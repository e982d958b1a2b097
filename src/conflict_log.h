// SPDX-License-Identifier: Apache-2.0
//
// Logs writes that lost to a concurrent one, if ring.log_conflicts says so: the key, its type and
// the stamp of the write that is gone. At most kLinesPerSecond; what is left out is counted in the
// next line. Thread-safe; when it is off, the cost is the test of a flag.
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>

#include "engine/entry.h"
#include "engine/replica/stamp.h"
#include "src/log.h"

namespace dyno {

class ConflictLog {
 public:
  static constexpr int64_t kLinesPerSecond = 10;
  static constexpr size_t kKeyBytesMax = 256;  // A longer key is cut.

  ConflictLog(const Log& log, const std::atomic<bool>& is_on) : log_(log), is_on_(is_on) {}

  void write(std::string_view key, Type type, Stamp lost, int64_t unix_ms);

 private:
  const Log& log_;
  const std::atomic<bool>& is_on_;
  std::atomic<int64_t> second_{0};
  std::atomic<int64_t> lines_{0};  // Of that second.
  std::atomic<int64_t> left_out_{0};
};

}  // namespace dyno

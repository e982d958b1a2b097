// SPDX-License-Identifier: Apache-2.0
#include "src/conflict_log.h"

#include <string>

namespace dyno {

void ConflictLog::write(std::string_view key, Type type, Stamp lost, int64_t unix_ms) {
  if (!is_on_.load(std::memory_order_relaxed)) return;
  // Threads that enter a second together may write a line more than they should.
  int64_t second = unix_ms / 1000;
  if (second_.exchange(second) != second) lines_.store(0);
  if (lines_.fetch_add(1) >= kLinesPerSecond) {
    left_out_.fetch_add(1);
    return;
  }
  log_.write(LogLevel::kNotice, "a write lost to a concurrent one",
             {{"key", std::string(key.substr(0, kKeyBytesMax))},
              {"type", std::string(type_name(type))},
              {"written_ms", std::to_string(stamp_ms(lost))},
              {"rack", std::to_string(stamp_rack(lost))},
              {"left_out", std::to_string(left_out_.exchange(0))}});
}

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// The log: one line per event on standard error, as text, logfmt or JSON. Values are escaped, so
// that nothing a client sends can forge a line. Thread-safe.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "src/config.h"

namespace dyno {

struct LogField {
  std::string_view name;
  std::string value;
};

class Log {
 public:
  explicit Log(const Config::Log& config) : config_(config) {}

  void write(LogLevel level, std::string_view message,
             std::initializer_list<LogField> fields = {}) const;

  // The line without its end, as `format` has it; for tests.
  [[nodiscard]] static std::string line(LogFormat format, LogLevel level, int64_t unix_us,
                                        std::string_view message,
                                        std::initializer_list<LogField> fields);

 private:
  const Config::Log& config_;
};

}  // namespace dyno

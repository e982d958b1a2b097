// SPDX-License-Identifier: Apache-2.0
#include "src/log.h"

#include <time.h>
#include <unistd.h>

#include <cstdio>

#include "src/event_loop.h"

namespace dyno {
namespace {

std::string_view level_name(LogLevel level) {
  static constexpr std::string_view kNames[] = {"debug", "verbose", "notice", "warning", "nothing"};
  return kNames[static_cast<size_t>(level)];
}

std::string utc(int64_t unix_us) {
  time_t seconds = unix_us / 1000000;
  tm parts;
  ::gmtime_r(&seconds, &parts);
  char text[40];
  size_t size = std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts);
  std::snprintf(text + size, sizeof(text) - size, ".%03dZ",
                static_cast<int>(unix_us / 1000 % 1000));
  return text;
}

// In quotes, with everything escaped that could end the line or the value.
std::string quoted(std::string_view value) {
  std::string out = "\"";
  for (char c : value) {
    auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte >= 0x7f) {
      char escape[8];
      std::snprintf(escape, sizeof(escape), "\\u%04x", byte);
      out += escape;
    } else {
      out += c;
    }
  }
  return out += '"';
}

}  // namespace

std::string Log::line(LogFormat format, LogLevel level, int64_t unix_us, std::string_view message,
                      std::initializer_list<LogField> fields) {
  std::string out;
  if (format == LogFormat::kJson) {
    out = "{\"time\":" + quoted(utc(unix_us)) + ",\"level\":" + quoted(level_name(level)) +
          ",\"message\":" + quoted(message);
    for (const LogField& f : fields) out += "," + quoted(f.name) + ":" + quoted(f.value);
    return out + "}";
  }
  if (format == LogFormat::kLogfmt) {
    out = "time=" + utc(unix_us) + " level=" + std::string(level_name(level)) +
          " message=" + quoted(message);
    for (const LogField& f : fields) out += " " + std::string(f.name) + "=" + quoted(f.value);
    return out;
  }
  out = utc(unix_us) + " " + std::string(level_name(level)) + " " + std::string(message);
  for (const LogField& f : fields) out += " " + std::string(f.name) + "=" + quoted(f.value);
  return out;
}

void Log::write(LogLevel level, std::string_view message,
                std::initializer_list<LogField> fields) const {
  if (level < config_.level.load(std::memory_order_relaxed)) return;
  std::string text =
      line(config_.format.load(std::memory_order_relaxed), level, unix_time_us(), message, fields);
  text += '\n';
  // One write per line keeps lines of different threads whole.
  [[maybe_unused]] ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
}

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// The server that MIGRATE gives keys to, as its client: one TCP connection, used by one thread,
// which waits in these calls. They hold no lock and touch no key.
//
// Each wait (for the connection, for 64 KiB to be written, for a line to be read) ends after the
// time-out, or within a tenth of a second once the process stops. Names are resolved by the
// system's resolver, which has its own time-outs.
#pragma once

#include <atomic>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace dyno {

class MigrationTarget {
 public:
  using Clock = std::chrono::steady_clock;

  MigrationTarget(std::chrono::milliseconds timeout, const std::atomic<bool>& stopping);
  ~MigrationTarget();
  MigrationTarget(const MigrationTarget&) = delete;
  MigrationTarget& operator=(const MigrationTarget&) = delete;

  // Tries the addresses that `host` has, in turn. An address that refuses counts as connected, as
  // in Redis: it is write() that fails then.
  [[nodiscard]] bool connect(std::string_view host, std::string_view port);
  // False when not all could be written.
  [[nodiscard]] bool write(std::string_view bytes);
  // A status or an error reply, with its first byte and without the line's end. Nothing when the
  // connection ended, the time is over, or something else was sent.
  [[nodiscard]] std::optional<std::string> read_status();

 private:
  // False at the deadline or when the process stops.
  [[nodiscard]] bool wait_for(short events, Clock::time_point deadline) const;
  void disconnect();

  const std::chrono::milliseconds timeout_;
  const std::atomic<bool>& stopping_;
  int fd_ = -1;
  std::string unread_;
};

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
// A server started from a command line for the length of a comparison.
//
// It runs in a process group of its own, ends when this process ends (whatever the reason), and its
// output goes to a temporary file whose last lines explain a failed start.
#pragma once

#include <sys/types.h>

#include <string>

#include "bench/plan.h"

namespace dyno::bench {

class ServerProcess {
 public:
  ServerProcess() = default;
  ~ServerProcess() { stop(); }
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  /// Starts `command` with the shell and waits until endpoint 0 of `access` answers PING. False
  /// with error().
  bool start(const std::string& command, const ServerAccess& access);
  /// SIGTERM, then SIGKILL after ten seconds. Idempotent.
  void stop();
  pid_t pid() const { return pid_; }
  const std::string& error() const { return error_; }

 private:
  std::string last_output() const;
  pid_t pid_ = 0;
  std::string log_path_;
  std::string error_;
};

}  // namespace dyno::bench

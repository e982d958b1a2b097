// SPDX-License-Identifier: Apache-2.0
//
// MONITOR: clients that are shown every command as it runs. Thread-safe. A monitor that does not
// read falls under its output limit like a replica.
#pragma once

#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "engine/executor.h"

namespace dyno {

class NetworkThread;

class Monitors {
 public:
  explicit Monitors(Executor& executor) : executor_(executor) {}

  void add(uint64_t id, NetworkThread& thread);
  void remove(uint64_t id);
  // One command, as "<seconds>.<micros> [<db> <address>] "arg" ...".
  void show(int db, const std::string& address, Args args);

 private:
  Executor& executor_;
  std::mutex mutex_;
  std::vector<std::pair<uint64_t, NetworkThread*>> monitors_;
};

}  // namespace dyno

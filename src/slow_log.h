// SPDX-License-Identifier: Apache-2.0
//
// SLOWLOG: the last commands that took long, with shortened arguments. Thread-safe; the common
// case, a command that was fast, never takes the lock.
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <vector>

#include "engine/session.h"

namespace dyno {

class SlowLog {
 public:
  struct Item {
    int64_t id;
    int64_t unix_s;
    int64_t duration_us;
    std::vector<std::string> args;  // At most 32, each at most 128 bytes and a remark.
    std::string address;
    std::string name;
  };

  // `kept` newest items stay.
  void add(int64_t duration_us, Args args, std::string address, std::string name, int64_t kept);
  // The newest `count`, newest first; all with -1.
  [[nodiscard]] std::vector<Item> newest(int64_t count) const;
  [[nodiscard]] size_t size() const;
  void reset();
  void trim(int64_t kept);

 private:
  mutable std::mutex mutex_;
  std::deque<Item> items_;  // Newest first.
  int64_t next_id_ = 0;
};

}  // namespace dyno

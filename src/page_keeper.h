// SPDX-License-Identifier: Apache-2.0
//
// The thread that changes what pages the data set's memory lies on, so that no network thread waits
// for the kernel: huge pages are there before a growing data set needs them, what nobody uses goes
// back a tenth of a second later, and where neither could be done in time, pages become huge while
// the node rests.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <stop_token>
#include <thread>

namespace dyno {

class NetworkThread;

// The thread runs as long as the object lives, which is not longer than the loops'.
class PageKeeper {
 public:
  explicit PageKeeper(std::span<const std::unique_ptr<NetworkThread>> loops);

 private:
  void run(const std::stop_token& stop);
  // True when nobody has asked for anything since the last call, and the loops had hardly anything
  // to do.
  [[nodiscard]] bool is_resting();

  std::span<const std::unique_ptr<NetworkThread>> loops_;
  int64_t seen_commands_ = 0;
  int64_t seen_busy_us_ = 0;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::jthread thread_;
};

}  // namespace dyno

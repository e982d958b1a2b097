// SPDX-License-Identifier: Apache-2.0
//
// The operating system's threads that drive the network loops, and the watch over them.
//
// A loop is driven by one thread at a time. When a command runs for longer than a few milliseconds
// (KEYS on a large data set, SORT, a huge SUNION), the watch gives its loop to a spare thread: the
// other clients of that loop go on, and the thread with the long command finishes it, hands the
// client back and becomes a spare. So no client waits for another's long command, unless it wants
// the same slot. Go's scheduler does the same with threads that are stuck in system calls.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

namespace dyno {

class NetworkThread;

class LoopDrivers {
 public:
  // Long commands that may run at once beside the loops; further ones make their loop wait.
  static constexpr size_t kSparesMax = 8;

  explicit LoopDrivers(std::span<const std::unique_ptr<NetworkThread>> loops);
  ~LoopDrivers();

  // Starts a thread for each loop, and the watch.
  void start();
  // After every loop was told to stop: waits for all threads.
  void join();

 private:
  struct Drive {
    NetworkThread* loop;
    uint64_t turn;  // Of the long command whose loop is taken over; 0: a fresh loop.
  };

  void hand_out(Drive drive);
  void drive();
  void watch();

  std::span<const std::unique_ptr<NetworkThread>> loops_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Drive> waiting_;
  size_t idle_ = 0;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
  std::thread watch_;
};

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// The loop of a network thread: which client sockets are ready, what other threads ask, what time
// it is. Clients' sockets are level-triggered and handed out as one batch per wake-up, so that all
// ready clients can be read, then executed together, then answered.
//
// Why not Asio here: its edge-triggered reactor costs one more system call per request and has no
// phase in which all ready sockets are known. At one request per read that is about a tenth of the
// server's whole cost. Everything that is not a client's request (accepting, signals) is Asio's.
#pragma once

#include <sys/epoll.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <span>
#include <vector>

namespace dyno {

// How long the turns of a loop took: from a wake-up to the next sleep, and so how long a request
// that came meanwhile was not looked at. Written by the loop's thread, read and reset by any.
struct TurnTimes {
  std::atomic<int64_t> count{0};
  std::atomic<int64_t> total_us{0};
  std::atomic<int64_t> longest_us{0};

  void add(int64_t took_us) {
    count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    total_us.store(total_us.load(std::memory_order_relaxed) + took_us, std::memory_order_relaxed);
    if (took_us > longest_us.load(std::memory_order_relaxed)) {
      longest_us.store(took_us, std::memory_order_relaxed);
    }
  }
  void reset() {
    count.store(0, std::memory_order_relaxed);
    total_us.store(0, std::memory_order_relaxed);
    longest_us.store(0, std::memory_order_relaxed);
  }
};

// Who owns a socket of the loop: a client (client.h), or a link to another node (peer_link.h).
struct LoopMember {
  bool is_client = true;
};

class EventLoop {
 public:
  EventLoop();
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // What a wake-up found: the member given to add() and the epoll events.
  struct Ready {
    LoopMember* member;
    uint32_t events;
  };

  // Any thread: runs `task` in the loop's thread, soon.
  void post(std::function<void()> task);
  // Any thread: makes run() return.
  void stop();

  // The loop's thread only.
  void add(int fd, uint32_t events, LoopMember* member);
  void modify(int fd, uint32_t events, LoopMember* member);
  void remove(int fd);

  // Runs until stop(). After each wake-up: posted tasks, then `on_ready` with the batch, then
  // `on_tick` with the time, which says how many milliseconds the loop may sleep next.
  void run(const std::function<void(std::span<const Ready>)>& on_ready,
           const std::function<int(int64_t now_ms)>& on_tick);

  [[nodiscard]] TurnTimes& times() { return times_; }
  [[nodiscard]] const TurnTimes& times() const { return times_; }

 private:
  void run_tasks();
  void end_turn();

  int epoll_fd_;
  int wake_fd_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> awake_{false};  // A wake-up is already under way.
  std::mutex mutex_;
  std::vector<std::function<void()>> tasks_;
  int64_t turn_began_us_ = 0;  // 0 while the loop sleeps.
  TurnTimes times_;
};

// Milliseconds of Unix time.
[[nodiscard]] int64_t unix_time_ms();
[[nodiscard]] int64_t unix_time_us();
// For measuring spans.
[[nodiscard]] int64_t monotonic_us();

}  // namespace dyno

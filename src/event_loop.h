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

 private:
  void run_tasks();

  int epoll_fd_;
  int wake_fd_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> awake_{false};  // A wake-up is already under way.
  std::mutex mutex_;
  std::vector<std::function<void()>> tasks_;
};

// Milliseconds of Unix time.
[[nodiscard]] int64_t unix_time_ms();
[[nodiscard]] int64_t unix_time_us();
// For measuring spans.
[[nodiscard]] int64_t monotonic_us();

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
#include "src/event_loop.h"

#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>

#include "protocol/check.h"

namespace dyno {
namespace {

constexpr int kBatchMax = 256;

int64_t clock_us(clockid_t id) {
  timespec now;
  ::clock_gettime(id, &now);
  return int64_t{now.tv_sec} * 1000000 + now.tv_nsec / 1000;
}

}  // namespace

int64_t unix_time_ms() {
  return clock_us(CLOCK_REALTIME) / 1000;
}
int64_t unix_time_us() {
  return clock_us(CLOCK_REALTIME);
}
int64_t monotonic_us() {
  return clock_us(CLOCK_MONOTONIC);
}

EventLoop::EventLoop()
    : epoll_fd_(::epoll_create1(EPOLL_CLOEXEC)),
      wake_fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  DYNO_CHECK(epoll_fd_ >= 0 && wake_fd_ >= 0);
  add(wake_fd_, EPOLLIN, nullptr);
}

EventLoop::~EventLoop() {
  ::close(wake_fd_);
  ::close(epoll_fd_);
}

void EventLoop::add(int fd, uint32_t events, LoopMember* member) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = member;
  DYNO_CHECK(::epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event) == 0);
}

void EventLoop::modify(int fd, uint32_t events, LoopMember* member) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = member;
  DYNO_CHECK(::epoll_ctl(epoll_fd_, EPOLL_CTL_MOD, fd, &event) == 0);
}

void EventLoop::remove(int fd) {
  ::epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, fd, nullptr);
}

void EventLoop::post(std::function<void()> task) {
  {
    std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
  }
  if (!awake_.exchange(true)) {
    uint64_t one = 1;
    // The counter can only be full when a wake-up is pending anyway.
    [[maybe_unused]] ssize_t written = ::write(wake_fd_, &one, sizeof(one));
  }
}

void EventLoop::stop() {
  stopping_.store(true);
  post([] {});
}

void EventLoop::run_tasks() {
  awake_.store(false);
  std::vector<std::function<void()>> tasks;
  {
    std::lock_guard lock(mutex_);
    tasks.swap(tasks_);
  }
  for (auto& task : tasks) task();
}

void EventLoop::end_turn() {
  if (turn_began_us_ != 0) times_.add(monotonic_us() - turn_began_us_);
  turn_began_us_ = 0;
}

void EventLoop::run(const std::function<void(std::span<const Ready>)>& on_ready,
                    const std::function<int(int64_t)>& on_tick) {
  epoll_event events[kBatchMax];
  Ready ready[kBatchMax];
  int sleep_ms = on_tick(unix_time_ms());
  end_turn();  // Of the thread that this one has taken over from.
  while (!stopping_.load(std::memory_order_relaxed)) {
    int count = ::epoll_wait(epoll_fd_, events, kBatchMax, sleep_ms);
    DYNO_CHECK(count >= 0 || errno == EINTR);
    turn_began_us_ = monotonic_us();
    size_t ready_count = 0;
    bool woken = false;
    for (int i = 0; i < count; ++i) {
      if (events[i].data.ptr == nullptr) {
        uint64_t ignored;
        [[maybe_unused]] ssize_t got = ::read(wake_fd_, &ignored, sizeof(ignored));
        woken = true;
      } else {
        ready[ready_count++] = {static_cast<LoopMember*>(events[i].data.ptr), events[i].events};
      }
    }
    // The batch first: a task may close a client that is in it.
    if (ready_count > 0) on_ready({ready, ready_count});
    if (woken) run_tasks();
    sleep_ms = on_tick(unix_time_ms());
    end_turn();
  }
}

}  // namespace dyno

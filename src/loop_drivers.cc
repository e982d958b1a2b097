// SPDX-License-Identifier: Apache-2.0
#include "src/loop_drivers.h"

#include <chrono>

#include "src/network_thread.h"
#include "src/thread_name.h"

namespace dyno {
namespace {

// A command that is seen running at two looks in a row is long.
constexpr auto kWatchPeriod = std::chrono::milliseconds(2);
// While no command has run for a while, looking costs less often.
constexpr auto kQuietPeriod = std::chrono::milliseconds(20);
constexpr int kQuietLooks = 50;

}  // namespace

LoopDrivers::LoopDrivers(std::span<const std::unique_ptr<NetworkThread>> loops) : loops_(loops) {}

LoopDrivers::~LoopDrivers() {
  join();
}

void LoopDrivers::start() {
  for (const auto& loop : loops_) hand_out({loop.get(), 0});
  watch_ = std::thread([this] { watch(); });
}

void LoopDrivers::join() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (watch_.joinable()) watch_.join();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void LoopDrivers::hand_out(Drive drive) {
  std::lock_guard lock(mutex_);
  if (idle_ <= waiting_.size()) {
    if (threads_.size() >= loops_.size() + kSparesMax) return;
    threads_.emplace_back([this] { this->drive(); });
  }
  waiting_.push_back(drive);
  wake_.notify_all();
}

void LoopDrivers::drive() {
  name_thread("network");
  std::unique_lock lock(mutex_);
  for (;;) {
    ++idle_;
    wake_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
    --idle_;
    if (waiting_.empty()) return;
    Drive next = waiting_.front();
    waiting_.pop_front();
    lock.unlock();
    next.loop->drive(next.turn);
    lock.lock();
  }
}

void LoopDrivers::watch() {
  name_thread("watch");
  std::vector<uint64_t> seen(loops_.size());
  int quiet_looks = 0;
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    auto period = quiet_looks > kQuietLooks ? kQuietPeriod : kWatchPeriod;
    wake_.wait_for(lock, period, [this] { return stopping_; });
    lock.unlock();
    ++quiet_looks;
    for (size_t i = 0; i < loops_.size(); ++i) {
      uint64_t turn = loops_[i]->turn();
      bool running = turn % 2 == 1;
      if (running && turn == seen[i]) {
        hand_out({loops_[i].get(), turn});
        turn = 0;  // Once is enough.
      }
      if (running || turn != seen[i]) quiet_looks = 0;
      seen[i] = turn;
    }
    lock.lock();
  }
}

}  // namespace dyno

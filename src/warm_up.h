// SPDX-License-Identifier: Apache-2.0
//
// Brings the data back from disk after a restart, slot by slot, while the node serves: a slot that
// a command asks for comes next, the others follow in their order. Until its slot is there a
// command waits, its client parked; no network thread reads the disk. Commands over the whole data
// set wait for the end.
//
// A slot is the unit since it is the unit of everything: its records lie side by side on disk, and
// at ten million keys it is read in about a millisecond.
#pragma once

#include <atomic>
#include <bitset>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "engine/disk/rocks_store.h"
#include "engine/replica/replica.h"
#include "src/log.h"

namespace dyno {

class WarmUp {
 public:
  WarmUp(Replica& replica, RocksStore& store, const Log& log);
  ~WarmUp();

  // Called by the reading thread for each key that was read, before any command can see it. Before
  // the start.
  using OnRead = std::function<void(SlotIndex slot, int db, std::string_view name)>;
  void set_on_read(OnRead on_read) { on_read_ = std::move(on_read); }
  // Begins. `on_progress`, by the reading thread: slots that were asked for are there.
  void start(std::function<void()> on_progress);
  // Ends, done or not.
  void stop();
  // Waits until all is there. Returns why it is not, empty when it is.
  [[nodiscard]] std::string finish();

  [[nodiscard]] bool is_done() const { return done_.load(std::memory_order_acquire); }
  [[nodiscard]] bool has(SlotIndex slot) const {
    return slots_[slot].load(std::memory_order_acquire);
  }
  // Any thread: these come next.
  void want(std::span<const SlotIndex> slots);
  [[nodiscard]] uint64_t slots_done() const { return slots_done_.load(); }
  [[nodiscard]] uint64_t keys_read() const { return keys_read_.load(); }
  // Why reading ended before all was there: the disk failed, or holds what it should not.
  [[nodiscard]] std::string failure() const;

 private:
  void run();
  // The next slot that is not there; -1: none.
  [[nodiscard]] int next(bool* was_wanted);
  [[nodiscard]] std::string read(SlotIndex slot);

  Replica& replica_;
  RocksStore& store_;
  const Log& log_;
  OnRead on_read_;
  std::function<void()> on_progress_;
  std::thread thread_;
  std::unique_ptr<std::atomic<bool>[]> slots_;
  std::atomic<bool> done_{false};
  std::atomic<bool> stopping_{false};
  std::atomic<uint64_t> slots_done_{0};
  std::atomic<uint64_t> keys_read_{0};
  uint32_t next_slot_ = 0;  // The thread's own.

  mutable std::mutex mutex_;
  std::condition_variable ended_;
  std::deque<SlotIndex> wanted_;  // Guarded by mutex_, as is what follows.
  bool has_ended_ = false;
  std::string failure_;
};

}  // namespace dyno

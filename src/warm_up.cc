// SPDX-License-Identifier: Apache-2.0
#include "src/warm_up.h"

#include <algorithm>
#include <utility>

#include "engine/replica/merge.h"
#include "src/event_loop.h"
#include "src/thread_name.h"

namespace dyno {

WarmUp::WarmUp(Replica& replica, RocksStore& store, const Log& log)
    : replica_(replica),
      store_(store),
      log_(log),
      slots_(std::make_unique<std::atomic<bool>[]>(kSlotCount)) {}

WarmUp::~WarmUp() {
  stop();
}

void WarmUp::start(std::function<void()> on_progress) {
  on_progress_ = std::move(on_progress);
  thread_ = std::thread([this] { run(); });
}

void WarmUp::stop() {
  stopping_.store(true);
  if (thread_.joinable()) thread_.join();
}

std::string WarmUp::finish() {
  std::unique_lock lock(mutex_);
  ended_.wait(lock, [this] { return has_ended_; });
  return failure_;
}

void WarmUp::want(std::span<const SlotIndex> slots) {
  std::lock_guard lock(mutex_);
  for (SlotIndex slot : slots) {
    bool is_known = std::find(wanted_.begin(), wanted_.end(), slot) != wanted_.end();
    if (!has(slot) && !is_known) wanted_.push_back(slot);
  }
}

std::string WarmUp::failure() const {
  std::lock_guard lock(mutex_);
  return failure_;
}

int WarmUp::next(bool* was_wanted) {
  {
    std::lock_guard lock(mutex_);
    while (!wanted_.empty()) {
      SlotIndex slot = wanted_.front();
      wanted_.pop_front();
      *was_wanted = true;
      if (!has(slot)) return slot;
    }
  }
  *was_wanted = false;
  while (next_slot_ < kSlotCount && has(static_cast<SlotIndex>(next_slot_))) ++next_slot_;
  return next_slot_ == kSlotCount ? -1 : static_cast<int>(next_slot_);
}

void WarmUp::run() {
  name_thread("warm_up");
  int64_t began_us = monotonic_us();
  std::string failure;
  bool was_wanted = false;
  for (int slot = next(&was_wanted); slot >= 0 && !stopping_; slot = next(&was_wanted)) {
    auto index = static_cast<SlotIndex>(slot);
    failure = read(index);
    if (!failure.empty()) break;
    slots_[index].store(true, std::memory_order_release);
    slots_done_.fetch_add(1, std::memory_order_relaxed);
    if (was_wanted) on_progress_();
  }
  bool is_whole = slots_done_.load() == kSlotCount;
  done_.store(is_whole, std::memory_order_release);
  if (is_whole) {
    log_.write(LogLevel::kNotice, "all data is read from disk",
               {{"keys", std::to_string(keys_read_.load())},
                {"ms", std::to_string((monotonic_us() - began_us) / 1000)}});
  } else if (!failure.empty()) {
    log_.write(LogLevel::kWarning, "reading the data from disk failed", {{"error", failure}});
  }
  {
    std::lock_guard lock(mutex_);
    failure_ = failure;
    has_ended_ = true;
  }
  ended_.notify_all();
  on_progress_();
}

std::string WarmUp::read(SlotIndex slot) {
  std::string refused;
  // Writes of this node may be ahead of its clock, if that was set back since.
  int64_t now_ms = std::max(unix_time_ms(), stamp_ms(replica_.clock().last()));
  std::string failed =
      store_.read_slot(slot, [&](int db, std::string_view name, std::string_view frame) {
        MergeOutcome outcome = merge(replica_, frame, FrameOrigin::kState, now_ms);
        if (!outcome.refused.empty()) refused = outcome.refused;
        if (on_read_) on_read_(slot, db, name);
        keys_read_.fetch_add(1, std::memory_order_relaxed);
      });
  return failed.empty() ? refused : failed;
}

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// Removes keys and hash fields that nobody asks for after their deadline. Commands never see what
// is past its deadline; this only gives the memory back.
//
// A slot is swept when the first of its deadlines has come, and then again when enough more are due
// to be worth the walk (a twentieth of its keys that expire, at the usual effort) or the first of
// them has waited long enough. Only keys that expire are looked at. A sweep holds the slot's lock
// for some tens of microseconds at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "engine/executor.h"

namespace dyno {

class Expirer {
 public:
  explicit Expirer(Executor& executor);
  ~Expirer();

  // Sweeps slots of [begin, end) whose time has come, for about `budget_us` microseconds; true when
  // more is due than that allowed. Goes on next time where it stopped. Thread-safe for ranges that
  // do not overlap; a range is always called with the same bounds. No slot is locked by the caller.
  bool run(uint32_t begin, uint32_t end, int64_t now_ms, int64_t budget_us);

 private:
  struct Sweep;
  struct Share;

  [[nodiscard]] Share& share(uint32_t begin);
  // Goes on with the sweep of one slot; false when the budget ended before the slot did.
  bool sweep(Share& share, SlotIndex index, int64_t now_ms, int64_t end_us);
  void sweep_piece(Sweep& sweep, Slot& slot, int64_t now_ms);
  void finish(Sweep& sweep, SlotIndex index, int64_t now_ms);
  void remove(Slot& slot, Entry* entry, int64_t now_ms);
  // Removes due fields of a hash; returns when to look again, or -1.
  int64_t expire_hash(Entry* entry, int64_t now_ms);

  Executor& executor_;
  // Per slot: not swept before this time in ms, whatever falls due.
  std::unique_ptr<int64_t[]> rest_until_ms_;
  std::mutex mutex_;  // Guards the list, not what it points to.
  std::vector<std::unique_ptr<Share>> shares_;
};

}  // namespace dyno

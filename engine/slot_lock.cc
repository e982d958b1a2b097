// SPDX-License-Identifier: Apache-2.0
#include "engine/slot_lock.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace dyno {
namespace {

constexpr int kSpins = 100;

void pause_processor() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

void SlotLock::lock_contended() {
  for (int i = 0; i < kSpins; ++i) {
    uint32_t expected = kFree;
    if (state_.load(std::memory_order_relaxed) == kFree &&
        state_.compare_exchange_strong(expected, kHeld, std::memory_order_acquire)) {
      return;
    }
    pause_processor();
  }
  while (state_.exchange(kHeldWithSleepers, std::memory_order_acquire) != kFree) {
    ::syscall(SYS_futex, &state_, FUTEX_WAIT_PRIVATE, kHeldWithSleepers, nullptr, nullptr, 0);
  }
}

void SlotLock::wake() {
  ::syscall(SYS_futex, &state_, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
}

}  // namespace dyno

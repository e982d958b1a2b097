// SPDX-License-Identifier: Apache-2.0
//
// Numbers that an operator may change while the engine runs. The configuration table owns their
// names, ranges and documentation; every thread reads them relaxed, without locks.
#pragma once

#include <atomic>
#include <cstdint>

namespace dyno {

// In the order of CONFIG SET's error text, which the configuration table relies on.
enum class EvictionPolicy : uint8_t {
  kVolatileLru,
  kVolatileLfu,
  kVolatileRandom,
  kVolatileTtl,
  kAllKeysLru,
  kAllKeysLfu,
  kAllKeysRandom,
  kNoEviction,
};

// A number that is read on hot paths and changed rarely.
class Setting {
 public:
  Setting(int64_t value) : value_(value) {}  // NOLINT: reads as the default it is.
  operator int64_t() const { return value_.load(std::memory_order_relaxed); }
  void operator=(int64_t value) { value_.store(value, std::memory_order_relaxed); }

 private:
  std::atomic<int64_t> value_;
};

struct Limits {
  // Largest collections that stay packed: elements, and bytes of one element.
  Setting hash_packed_entries = 128;
  Setting hash_packed_value_bytes = 64;
  Setting set_integers_entries = 512;
  Setting set_packed_entries = 128;
  Setting set_packed_value_bytes = 64;
  Setting zset_packed_entries = 128;
  Setting zset_packed_value_bytes = 64;
  // Positive: elements of a list's node; negative: -1 to -5 for 4, 8, 16, 32, 64 KiB.
  Setting list_packed_size = -2;
  Setting hyperloglog_sparse_bytes = 3000;

  // Largest string, in bytes.
  Setting bulk_bytes_max = 512 * 1024 * 1024;

  // Memory of the data set, in bytes; 0 is no limit.
  Setting maxmemory_bytes = 0;
  Setting maxmemory_policy = static_cast<int64_t>(EvictionPolicy::kNoEviction);
  Setting maxmemory_samples = 5;
  Setting lfu_log_factor = 10;
  Setting lfu_decay_minutes = 1;

  // How hard expired keys are looked for: 1 to 10.
  Setting active_expire_effort = 1;

  // Slow log: microseconds from which a command is logged (-1: none), and the entries kept.
  Setting slowlog_slower_us = 10000;
  Setting slowlog_entries = 128;
  Setting latency_threshold_ms = 0;

  [[nodiscard]] EvictionPolicy policy() const {
    return static_cast<EvictionPolicy>(static_cast<int64_t>(maxmemory_policy));
  }
  [[nodiscard]] bool policy_is_lfu() const {
    return policy() == EvictionPolicy::kAllKeysLfu || policy() == EvictionPolicy::kVolatileLfu;
  }
};

}  // namespace dyno

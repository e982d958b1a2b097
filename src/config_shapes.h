// SPDX-License-Identifier: Apache-2.0
//
// What the rows of the configuration table are written with: bindings to members, and shapes of
// values. Seen only by the files of rows (config_rows*.cc).
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>
#include <span>
#include <string_view>

#include "engine/limits.h"
#include "src/config_rows.h"

namespace dyno {

inline constexpr int64_t kInt32Max = std::numeric_limits<int32_t>::max();
inline constexpr int64_t kUint32Max = std::numeric_limits<uint32_t>::max();
inline constexpr int64_t kInt64Max = std::numeric_limits<int64_t>::max();
inline constexpr int64_t kMegabyte = 1 << 20;

template <class T>
[[nodiscard]] NumberBinding bind(std::atomic<T>& member) {
  return {&member,
          [](const void* at) {
            const auto* atomic = static_cast<const std::atomic<T>*>(at);
            return static_cast<int64_t>(atomic->load(std::memory_order_relaxed));
          },
          [](void* at, int64_t value) {
            static_cast<std::atomic<T>*>(at)->store(static_cast<T>(value),
                                                    std::memory_order_relaxed);
          }};
}

[[nodiscard]] inline NumberBinding bind(Setting& member) {
  return {&member,
          [](const void* at) { return static_cast<int64_t>(*static_cast<const Setting*>(at)); },
          [](void* at, int64_t value) { *static_cast<Setting*>(at) = value; }};
}

[[nodiscard]] inline ConfigShape flag() {
  return {.kind = ConfigKind::kBool, .max = 1};
}
[[nodiscard]] inline ConfigShape integer(int64_t min, int64_t max) {
  return {.kind = ConfigKind::kInt, .min = min, .max = max};
}
[[nodiscard]] inline ConfigShape bytes(int64_t min, int64_t max = kInt64Max) {
  return {.kind = ConfigKind::kBytes, .min = min, .max = max};
}
[[nodiscard]] inline ConfigShape duration(ConfigUnit unit, int64_t min, int64_t max) {
  return {.kind = ConfigKind::kDuration, .unit = unit, .min = min, .max = max};
}
[[nodiscard]] inline ConfigShape one_of(std::span<const std::string_view> names) {
  return {.kind = ConfigKind::kEnum, .choices = names};
}

}  // namespace dyno

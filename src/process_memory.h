// SPDX-License-Identifier: Apache-2.0
//
// What the process holds, from the data set's own spans, the allocator and the kernel.
#pragma once

#include <cstdint>
#include <string_view>

namespace dyno {

struct ProcessMemory {
  int64_t allocated = 0;           // Bytes in live objects, the data set's and all others.
  int64_t active = 0;              // Pages that hold them.
  int64_t allocator_resident = 0;  // Pages held by the allocators.
  int64_t resident = 0;            // The process, by the kernel's count.
  std::string_view allocator;
};

// Some microseconds; any thread.
[[nodiscard]] ProcessMemory read_process_memory();
// Gives unused pages back to the system.
void purge_process_memory();

}  // namespace dyno

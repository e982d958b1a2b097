// SPDX-License-Identifier: Apache-2.0
#include "src/process_memory.h"

#include <malloc.h>
#include <unistd.h>

#include <cstdio>

#include "engine/memory.h"

#if defined(DYNO_JEMALLOC)
#include <jemalloc/jemalloc.h>

// Read by jemalloc as the process starts. Growing tables leave pages behind that nothing else will
// use soon: they go back within a second or so, also while the process rests.
const char* malloc_conf = "background_thread:true,dirty_decay_ms:1000,muzzy_decay_ms:0";
#endif

namespace dyno {
namespace {

int64_t resident_bytes() {
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  if (file == nullptr) return 0;
  long long total = 0;
  long long resident = 0;
  int read = std::fscanf(file, "%lld %lld", &total, &resident);
  std::fclose(file);
  return read == 2 ? resident * ::sysconf(_SC_PAGESIZE) : 0;
}

#if defined(DYNO_JEMALLOC)
int64_t jemalloc_bytes(const char* name) {
  size_t value = 0;
  size_t size = sizeof(value);
  return ::mallctl(name, &value, &size, nullptr, 0) == 0 ? static_cast<int64_t>(value) : 0;
}
#endif

}  // namespace

ProcessMemory read_process_memory() {
  ProcessMemory memory;
  int64_t spans = memory::span_bytes();
  memory.resident = resident_bytes();
#if defined(DYNO_JEMALLOC)
  uint64_t epoch = 1;
  size_t size = sizeof(epoch);
  ::mallctl("epoch", &epoch, &size, &epoch, size);
  memory.allocator = "jemalloc-" JEMALLOC_VERSION;
  memory.allocated = jemalloc_bytes("stats.allocated") + memory::small_used_bytes();
  memory.active = jemalloc_bytes("stats.active") + spans;
  memory.allocator_resident = jemalloc_bytes("stats.resident") + spans;
#else
  struct mallinfo2 info = ::mallinfo2();
  memory.allocator = "libc";
  memory.allocated = static_cast<int64_t>(info.uordblks + info.hblkhd) + memory::small_used_bytes();
  memory.active = static_cast<int64_t>(info.arena + info.hblkhd) + spans;
  memory.allocator_resident = memory.active;
#endif
  return memory;
}

void purge_process_memory() {
  memory::purge();
#if defined(DYNO_JEMALLOC)
  ::mallctl("arena.4096.purge", nullptr, nullptr, nullptr, 0);  // 4096: all arenas.
#else
  ::malloc_trim(0);
#endif
}

}  // namespace dyno

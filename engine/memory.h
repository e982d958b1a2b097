// SPDX-License-Identifier: Apache-2.0
//
// Memory of the data set: small objects in steps of eight bytes, the rest from the process
// allocator.
//
// An entry of 53 bytes costs 56 here and 64 in any general allocator of today, which align to 16;
// over millions of small entries that is the difference that users see. Objects of one size class
// share spans of 64 KiB inside one reserved range of addresses. Each thread allocates from and
// frees to its own lists; batches move between them and the span's own list under the class' lock
// (the scheme of TCMalloc's thread caches, Ghemawat and Menage). A span whose objects are all free
// serves any class again, and its pages go back to the system.
//
// Any thread may free what another allocated. Never returns null: memory that the system refuses
// stops the process, as in Redis; maxmemory is the limit that answers with an error.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dyno::memory {

// Largest object served from spans.
inline constexpr size_t kSmallBytesMax = 2048;

// Aligned to 8 bytes; to 64 when `size` is a multiple of 64.
[[nodiscard]] void* allocate(size_t size);
void release(void* object);

// Bytes that the object at `object` may use, at least what was asked for.
[[nodiscard]] size_t usable_bytes(const void* object);
// What usable_bytes() would be for a new object of `size`.
[[nodiscard]] size_t rounded_bytes(size_t size);

// Bytes in live objects, of all threads. Exact when the threads are quiet, else a moment's view.
[[nodiscard]] int64_t used_bytes();
// The calling thread's part of that: what it allocated less what it freed, whoever had allocated
// it.
[[nodiscard]] int64_t thread_used_bytes();
// The part of used_bytes() that lives in spans.
[[nodiscard]] int64_t small_used_bytes();
// Bytes of spans, whether their objects are live or not.
[[nodiscard]] int64_t span_bytes();
// Gives the pages of unused spans back to the system.
void purge();

}  // namespace dyno::memory

// SPDX-License-Identifier: Apache-2.0
//
// Memory of the data set: small objects in fine steps, the rest from the process allocator.
//
// An entry of 26 bytes costs 28 here and 32 in any general allocator of today, one of 53 bytes 56
// instead of 64: they align to 16. Over millions of small entries that is the difference that users
// see. Objects of one size class share spans (span.h). Each thread allocates from and frees to its
// own lists; batches move between them and the span's own list under the class' lock (the scheme of
// TCMalloc's thread caches, Ghemawat and Menage). A span whose objects are all free serves any
// class again, and its pages go back to the system.
//
// Any thread may free what another allocated. Never returns null: memory that the system refuses
// stops the process, as in Redis; maxmemory is the limit that answers with an error.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dyno::memory {

// Largest object served from spans.
inline constexpr size_t kSmallBytesMax = 8192;

// Aligned to 8 bytes; to 64 when `size` is a multiple of 64.
[[nodiscard]] void* allocate(size_t size);
// Aligned to 4 bytes, in finer steps.
[[nodiscard]] void* allocate_tight(size_t size);
void release(void* object);

// Bytes that the object at `object` may use, at least what was asked for.
[[nodiscard]] size_t usable_bytes(const void* object);
// What usable_bytes() would be for a new object of `size`.
[[nodiscard]] size_t rounded_bytes(size_t size);
[[nodiscard]] size_t rounded_tight_bytes(size_t size);

// Bytes in live objects, of all threads. Exact when the threads are quiet, else a moment's view.
[[nodiscard]] int64_t used_bytes();
// The calling thread's part of that: what it allocated less what it freed, whoever had allocated
// it.
[[nodiscard]] int64_t thread_used_bytes();
// The part of used_bytes() that lives in spans.
[[nodiscard]] int64_t small_used_bytes();
// Bytes of spans, whether their objects are live or not.
[[nodiscard]] int64_t span_bytes();

// Spans that lost most of their objects are emptied by moving what is left. Chooses such spans anew
// and returns how many there are; nothing new is put there for the time being. Some ten
// microseconds as long as there are none. `strays`: also those that lie beyond where they need to.
size_t choose_thin_spans(bool strays = true);
// The object is in such a span: whoever owns it moves it.
[[nodiscard]] bool in_thin_span(const void* object);
// Puts the object elsewhere; its alignment is kept, its address is not.
[[nodiscard]] void* move(void* object);
// How many were, ever.
[[nodiscard]] uint64_t moved_objects();

// To be called now and then by each thread that allocates: what its lists hold and it has not used
// since the last call goes back. Some ten microseconds.
void return_idle();
// These three change what pages the memory lies on; they are for a thread that nobody waits for.
// Every few milliseconds: while the data set grows, makes huge pages of what comes next; false when
// it has not grown since the last call.
bool prepare_pages();
// Two more megabytes that have filled up become a huge page; false when there are none. Takes up to
// some milliseconds, and page faults of the process wait for it: only when there is nothing to do.
bool make_huge_page();
// About ten times a second: pages of spans that nobody has needed since the last call go back.
void return_spare_pages();
// Gives all that the calling thread holds for later, and the pages of spare spans, back.
void purge();

}  // namespace dyno::memory

// SPDX-License-Identifier: Apache-2.0
//
// Spans: stretches of 64 KiB of one reserved range of addresses, each holding objects of one size
// class.
//
// A span is described outside of itself, so that its objects use all of it. Tables that grow leave
// spans behind, so they and the many small entries, which stay, lie in areas of their own.
//
// Huge pages halve the cost of a random access, but would make unused bytes resident where little
// is used, and take the kernel milliseconds to make. So the first 8 MiB of an area are taken from
// the system page by page, as objects are first written. An area that is larger and grows finds its
// next stretches of 2 MiB on huge pages, which another thread has made. Stretches that were filled
// without become huge when nothing else happens, since all page faults of the process wait for
// that; so do those that lost their huge page because some of their spans had been given back.
//
// Whoever owns a span guards its fields by a lock of its own; the functions may be called by any
// thread. None of those that memory.cc calls to allocate and to free waits for the kernel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace dyno::memory {

inline constexpr size_t kSpanBytes = 64 * 1024;

// May lie at any multiple of four.
struct [[gnu::packed, gnu::aligned(4)]] FreeObject {
  FreeObject* next;
};

enum class SpanArea : uint8_t { kEntries = 0, kTables = 1 };

struct Span {
  Span* next;
  Span* previous;
  FreeObject* free;
  uint32_t free_count;
  uint32_t carved_bytes;  // What lies beyond has never been handed out.
  // Whether it is to be emptied. Read without a lock by who may move its objects.
  enum Fate : uint32_t {
    kStays = 0,
    kThin = 1,   // There is room for its objects in other spans.
    kStray = 2,  // There is a hole for it, or will be.
  } fate;
};

// Read on every free: set once, before the first object exists.
struct SpanRange {
  char* begin = nullptr;
  size_t bytes = 0;
  uint8_t* class_of_span = nullptr;  // 0: nobody's.
  Span* spans = nullptr;
};
extern SpanRange span_range;

[[nodiscard]] inline bool in_spans(const void* object) {
  return static_cast<size_t>(static_cast<const char*>(object) - span_range.begin) <
         span_range.bytes;
}
// These two only for what is in_spans().
[[nodiscard]] inline size_t class_in_spans(const void* object) {
  return span_range
      .class_of_span[static_cast<size_t>(static_cast<const char*>(object) - span_range.begin) /
                     kSpanBytes];
}
[[nodiscard]] inline Span* span_of(const void* object) {
  return span_range.spans +
         static_cast<size_t>(static_cast<const char*>(object) - span_range.begin) / kSpanBytes;
}
[[nodiscard]] inline char* begin_of(const Span* span) {
  return span_range.begin + static_cast<size_t>(span - span_range.spans) * kSpanBytes;
}

// An empty span for objects of this class; its bytes are whatever they were. The lowest address of
// its area that is free, so that what is used lies close together.
[[nodiscard]] Span* take_span(SpanArea area, uint8_t size_class);
// All of the span has been handed out once. It stays so until the span is given back.
void note_carved(const Span* span);
// No object of the span is live. `carved` says whether note_carved() was told of it.
void give_back_span(Span* span, bool carved);

// Bytes of the spans that are taken.
[[nodiscard]] int64_t taken_span_bytes();
// Makes huge pages of what areas that grow will use next; false when none has grown since the last
// call. To be called every few milliseconds by a thread that nobody waits for.
bool prepare_pages_of_spans();
// Makes one full stretch a huge page; false when there is none that is not. Takes up to some
// milliseconds, in which other threads' page faults wait.
bool make_huge_page_of_spans();
// The spans of the tables' area that lie beyond where it would end without its holes: what is there
// could move into those. Empty when the holes are few. Some of them may be nobody's.
[[nodiscard]] std::span<Span> stray_spans();
// Gives the pages of spans that nobody takes back to the system: of those that have been spare
// since the last call, or all.
void return_spare_spans(bool all);

}  // namespace dyno::memory

// SPDX-License-Identifier: Apache-2.0
#include "engine/memory.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <vector>

#include "engine/span.h"
#include "protocol/check.h"

// Sanitizers follow objects of the process allocator only. Compilers tell of them in two ways.
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define DYNO_SPANS 0
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define DYNO_SPANS 0
#endif
#if !defined(DYNO_SPANS)
#define DYNO_SPANS 1
#endif

#include <malloc.h>

namespace dyno::memory {
namespace {

// --- Counting -----------------------------------------------------------------------------------

struct ThreadCache;

// Every thread's cache, for the sum of used bytes. Caches outlive their threads: a finished
// thread's cache is taken over by the next one that starts.
struct Caches {
  std::mutex mutex;
  std::vector<ThreadCache*> all;
  std::vector<ThreadCache*> unowned;
};

Caches& caches() {
  static Caches* instance = new Caches;
  return *instance;
}

// --- Size classes -------------------------------------------------------------------------------

// Steps of 4 up to 256, of 8 up to 512, of 64 up to 2048, then eight steps to a doubling: beyond
// the smallest never more than an eighth is wasted.
constexpr size_t class_index(size_t size) {
  if (size <= 256) return (size + 3) / 4;
  if (size <= 512) return 64 + (size - 256 + 7) / 8;
  if (size <= 2048) return 96 + (size - 512 + 63) / 64;
  if (size <= 4096) return 120 + (size - 2048 + 255) / 256;
  return 128 + (size - 4096 + 511) / 512;
}
constexpr size_t class_bytes_of(size_t index) {
  if (index <= 64) return index * 4;
  if (index <= 96) return 256 + (index - 64) * 8;
  if (index <= 120) return 512 + (index - 96) * 64;
  if (index <= 128) return 2048 + (index - 120) * 256;
  return 4096 + (index - 128) * 512;
}
constexpr size_t kClassCount = class_index(kSmallBytesMax) + 1;
static_assert(class_bytes_of(kClassCount - 1) == kSmallBytesMax);
static_assert(kClassCount <= 256);
// Most of what is smaller is an entry or an element; most tables are larger.
constexpr SpanArea area_of(size_t index) {
  return class_bytes_of(index) < 128 ? SpanArea::kEntries : SpanArea::kTables;
}
// A free object holds a pointer.
constexpr size_t kObjectBytesMin = 8;

constexpr auto kClassBytes = [] {
  std::array<uint16_t, kClassCount> bytes{};
  for (size_t i = 0; i < kClassCount; ++i) bytes[i] = static_cast<uint16_t>(class_bytes_of(i));
  return bytes;
}();
constexpr size_t class_bytes(size_t index) {
  return kClassBytes[index];
}

// --- Shared lists -------------------------------------------------------------------------------

// Spans are emptied when a class could do with fewer by this many at least.
constexpr size_t kThinSpansMin = 4;
// Looked at in one class at a time.
constexpr size_t kSpansSortedMax = 1024;

// The spans of one class that have something free, in two lists: those to be emptied, and the
// others. Full spans are in none.
class SizeClass {
 public:
  // Takes up to `wanted` objects, at least one.
  size_t take(size_t index, size_t wanted, FreeObject** list) {
    std::lock_guard lock(mutex_);
    // A stray one is not filled again: a new one lies in a hole, and that is what was asked for.
    if (spans_ == nullptr && thin_ != nullptr && thin_->fate == Span::kThin) {
      set_fate(thin_, Span::kStays);
    }
    if (spans_ == nullptr) link(take_span(area_of(index), static_cast<uint8_t>(index)));
    Span* span = spans_;
    size_t bytes = class_bytes(index);
    size_t taken = 0;
    while (taken < wanted) {
      FreeObject* object = span->free;
      if (object != nullptr) {
        span->free = object->next;
        --span->free_count;
      } else if (span->carved_bytes + bytes <= kSpanBytes) {
        object = reinterpret_cast<FreeObject*>(begin_of(span) + span->carved_bytes);
        span->carved_bytes += static_cast<uint32_t>(bytes);
        if (is_carved(span, bytes)) note_carved(span);
      } else {
        break;
      }
      object->next = *list;
      *list = object;
      ++taken;
    }
    if (span->free == nullptr && is_carved(span, bytes)) unlink(span);
    return taken;
  }

  void give(size_t index, FreeObject* list) {
    std::lock_guard lock(mutex_);
    size_t bytes = class_bytes(index);
    while (list != nullptr) {
      FreeObject* object = list;
      list = list->next;
      Span* span = span_of(object);
      if (span->free == nullptr && is_carved(span, bytes)) link(span);
      object->next = span->free;
      span->free = object;
      ++span->free_count;
      if (span->free_count * bytes == span->carved_bytes) {
        unlink(span);
        give_back_span(span, is_carved(span, bytes));
      }
    }
  }

  // Marks a stray span, if it still is one of this class.
  size_t choose_stray(size_t index, Span* span) {
    std::lock_guard lock(mutex_);
    if (span_range.class_of_span[span - span_range.spans] != index || span->fate != Span::kStays)
      return 0;
    if (span->free != nullptr || !is_carved(span, class_bytes(index))) {
      set_fate(span, Span::kStray);
    } else {
      std::atomic_ref(span->fate).store(Span::kStray, std::memory_order_relaxed);
    }
    return 1;
  }
  // Marks the emptiest spans to be emptied, as many as the room in the others is enough for, and
  // none when that would gain little. Returns how many.
  size_t choose_thin(size_t index) {
    std::lock_guard lock(mutex_);
    while (thin_ != nullptr) set_fate(thin_, Span::kStays);
    size_t bytes = class_bytes(index);
    size_t capacity = kSpanBytes / bytes;
    auto live = [bytes](const Span* span) { return span->carved_bytes / bytes - span->free_count; };
    std::vector<Span*> spans;
    size_t room = 0;
    for (Span* span = spans_; span != nullptr && spans.size() < kSpansSortedMax;
         span = span->next) {
      spans.push_back(span);
      room += capacity - live(span);
    }
    if (room < kThinSpansMin * capacity || room < spans.size() * capacity / 8) return 0;
    std::sort(spans.begin(), spans.end(),
              [&](const Span* a, const Span* b) { return live(a) < live(b); });
    size_t moving = 0;
    size_t chosen = 0;
    for (const Span* span : spans) {
      size_t objects = live(span);
      if (objects > capacity / 2 || moving + objects > room - (capacity - objects)) break;
      moving += objects;
      room -= capacity - objects;
      ++chosen;
    }
    if (chosen < kThinSpansMin) return 0;
    for (size_t i = 0; i < chosen; ++i) set_fate(spans[i], Span::kThin);
    return chosen;
  }

 private:
  static bool is_carved(const Span* span, size_t bytes) {
    return span->carved_bytes + bytes > kSpanBytes;
  }
  Span*& list_of(const Span* span) { return span->fate != Span::kStays ? thin_ : spans_; }
  void link(Span* span) {
    Span*& first = list_of(span);
    span->previous = nullptr;
    span->next = first;
    if (first != nullptr) first->previous = span;
    first = span;
  }
  void unlink(Span* span) {
    (span->previous != nullptr ? span->previous->next : list_of(span)) = span->next;
    if (span->next != nullptr) span->next->previous = span->previous;
  }
  void set_fate(Span* span, Span::Fate fate) {
    unlink(span);
    std::atomic_ref(span->fate).store(fate, std::memory_order_relaxed);
    link(span);
  }

  std::mutex mutex_;
  Span* spans_ = nullptr;
  Span* thin_ = nullptr;
};

SizeClass& size_class(size_t index) {
  static auto* classes = new std::array<SizeClass, kClassCount>;
  return (*classes)[index];
}

// --- Thread caches ------------------------------------------------------------------------------

struct alignas(64) ThreadCache {
  // Written by the owning thread only; read by used_bytes().
  std::atomic<int64_t> used{0};
  std::atomic<int64_t> large{0};  // The part of it that the process allocator holds.
  struct List {
    FreeObject* head = nullptr;
    uint32_t count = 0;
  };
  std::array<List, kClassCount> lists;
  // The heads of the lists when return_lists() last looked.
  std::array<FreeObject*, kClassCount> seen{};

  void count_large(int64_t delta) {
    count(delta);
    large.store(large.load(std::memory_order_relaxed) + delta, std::memory_order_relaxed);
  }
  void count(int64_t delta) {
    used.store(used.load(std::memory_order_relaxed) + delta, std::memory_order_relaxed);
  }
};

// Gives back the lists that nobody has used since the last call: a few objects left over in one
// would keep spans from serving other sizes.
void return_lists(ThreadCache& own, bool all) {
  for (size_t index = 1; index < kClassCount; ++index) {
    ThreadCache::List& list = own.lists[index];
    if (list.head != nullptr && (all || list.head == own.seen[index])) {
      size_class(index).give(index, list.head);
      list = {};
    }
    own.seen[index] = list.head;
  }
}

struct CacheOwner {
  ThreadCache* cache;
  CacheOwner() {
    std::lock_guard lock(caches().mutex);
    if (!caches().unowned.empty()) {
      cache = caches().unowned.back();
      caches().unowned.pop_back();
    } else {
      cache = new ThreadCache;
      caches().all.push_back(cache);
    }
  }
  ~CacheOwner() {
    return_lists(*cache, true);
    std::lock_guard lock(caches().mutex);
    caches().unowned.push_back(cache);
  }
};

thread_local ThreadCache* this_cache = nullptr;

ThreadCache* make_cache() {
  static thread_local CacheOwner owner;
  this_cache = owner.cache;
  return this_cache;
}

inline ThreadCache& cache() {
  ThreadCache* found = this_cache;
  return found != nullptr ? *found : *make_cache();
}

// Objects that move at once between a thread and the shared lists.
size_t batch_count(size_t index) {
  return std::clamp<size_t>(8192 / class_bytes(index), 1, 64);
}

[[maybe_unused, gnu::noinline]] void* refill(ThreadCache& own, size_t index) {
  ThreadCache::List& list = own.lists[index];
  list.count +=
      static_cast<uint32_t>(size_class(index).take(index, batch_count(index), &list.head));
  FreeObject* object = list.head;
  list.head = object->next;
  --list.count;
  return object;
}

[[gnu::noinline]] void overflow(ThreadCache& own, size_t index) {
  ThreadCache::List& list = own.lists[index];
  size_t moved = batch_count(index);
  FreeObject* first = list.head;
  FreeObject* last = first;
  for (size_t i = 1; i < moved; ++i) last = last->next;
  list.head = last->next;
  list.count -= static_cast<uint32_t>(moved);
  last->next = nullptr;
  size_class(index).give(index, first);
}

[[maybe_unused]] inline void* allocate_small(ThreadCache& own, size_t size) {
  size_t index = class_index(size);
  own.count(static_cast<int64_t>(class_bytes(index)));
  ThreadCache::List& list = own.lists[index];
  FreeObject* object = list.head;
  if (object == nullptr) [[unlikely]]
    return refill(own, index);
  list.head = object->next;
  --list.count;
  return object;
}

// Past the thread's lists. The object is in a span.
void release_to_span(void* object) {
  size_t index = class_in_spans(object);
  cache().count(-static_cast<int64_t>(class_bytes(index)));
  auto* freed = static_cast<FreeObject*>(object);
  freed->next = nullptr;
  size_class(index).give(index, freed);
}

void* allocate_large(ThreadCache& own, size_t size) {
  void* object = size % 64 == 0 ? ::aligned_alloc(64, size) : std::malloc(size);
  DYNO_CHECK(object != nullptr);
  own.count_large(static_cast<int64_t>(::malloc_usable_size(object)));
  return object;
}

// Objects are as large as what they are aligned to at least.
[[maybe_unused]] constexpr size_t round_up(size_t size) {
  return std::max<size_t>((size + 7) & ~size_t{7}, kObjectBytesMin);
}

}  // namespace

void* allocate(size_t size) {
  ThreadCache& own = cache();
#if DYNO_SPANS
  if (size <= kSmallBytesMax) [[likely]]
    return allocate_small(own, round_up(size));
#endif
  return allocate_large(own, size);
}

void* allocate_tight(size_t size) {
  ThreadCache& own = cache();
#if DYNO_SPANS
  if (size <= kSmallBytesMax) [[likely]]
    return allocate_small(own, std::max(size, kObjectBytesMin));
#endif
  return allocate_large(own, size);
}

void release(void* object) {
  if (object == nullptr) return;
  ThreadCache& own = cache();
  if (in_spans(object)) [[likely]] {
    size_t index = class_in_spans(object);
    own.count(-static_cast<int64_t>(class_bytes(index)));
    ThreadCache::List& list = own.lists[index];
    FreeObject* freed = static_cast<FreeObject*>(object);
    freed->next = list.head;
    list.head = freed;
    if (++list.count > 2 * batch_count(index)) [[unlikely]]
      overflow(own, index);
    return;
  }
  own.count_large(-static_cast<int64_t>(::malloc_usable_size(object)));
  std::free(object);
}

size_t usable_bytes(const void* object) {
  if (in_spans(object)) return class_bytes(class_in_spans(object));
  return ::malloc_usable_size(const_cast<void*>(object));
}

size_t rounded_bytes(size_t size) {
#if DYNO_SPANS
  if (size <= kSmallBytesMax) return class_bytes(class_index(round_up(size)));
#endif
  // The process allocator's classes: four to a doubling.
  if (size <= 64) return (size + 15) & ~size_t{15};
  size_t step = std::max<size_t>(16, size_t{1} << (61 - __builtin_clzll(size - 1)));
  return (size + step - 1) & ~(step - 1);
}

size_t rounded_tight_bytes(size_t size) {
#if DYNO_SPANS
  if (size <= kSmallBytesMax) return class_bytes(class_index(std::max(size, kObjectBytesMin)));
#endif
  return rounded_bytes(size);
}

int64_t used_bytes() {
  Caches& c = caches();
  std::lock_guard lock(c.mutex);
  int64_t sum = 0;
  for (ThreadCache* each : c.all) sum += each->used.load(std::memory_order_relaxed);
  return sum;
}

int64_t thread_used_bytes() {
  return cache().used.load(std::memory_order_relaxed);
}

int64_t small_used_bytes() {
  Caches& c = caches();
  std::lock_guard lock(c.mutex);
  int64_t sum = 0;
  for (ThreadCache* each : c.all) {
    sum += each->used.load(std::memory_order_relaxed) - each->large.load(std::memory_order_relaxed);
  }
  return sum;
}

int64_t span_bytes() {
  return DYNO_SPANS ? taken_span_bytes() : 0;
}

size_t choose_thin_spans(bool strays) {
  size_t chosen = 0;
  if (!DYNO_SPANS) return chosen;
  for (size_t index = 1; index < kClassCount; ++index) {
    chosen += size_class(index).choose_thin(index);
  }
  if (!strays) return chosen;
  for (Span& span : stray_spans()) {
    size_t index = span_range.class_of_span[&span - span_range.spans];
    if (index != 0) chosen += size_class(index).choose_stray(index, &span);
  }
  return chosen;
}

bool in_thin_span(const void* object) {
  return in_spans(object) &&
         std::atomic_ref(span_of(object)->fate).load(std::memory_order_relaxed) != Span::kStays;
}

// What has been moved ever.
std::atomic<uint64_t> moves{0};

uint64_t moved_objects() {
  return moves.load(std::memory_order_relaxed);
}

void* move(void* object) {
  moves.fetch_add(1, std::memory_order_relaxed);
  size_t size = usable_bytes(object);
  void* moved = allocate_tight(size);
  // This thread's list may hold some of the same spans.
  while (in_thin_span(moved)) {
    release_to_span(moved);
    moved = allocate_tight(size);
  }
  std::memcpy(moved, object, size);
  release_to_span(object);
  return moved;
}

void return_idle() {
  if (!DYNO_SPANS) return;
  return_lists(cache(), false);
}

void purge() {
  if (!DYNO_SPANS) return;
  return_lists(cache(), true);
  return_spare_spans(true);
}

bool prepare_pages() {
  return DYNO_SPANS && prepare_pages_of_spans();
}

bool make_huge_page() {
  return DYNO_SPANS && make_huge_page_of_spans();
}

void return_spare_pages() {
  if (DYNO_SPANS) return_spare_spans(false);
}

}  // namespace dyno::memory

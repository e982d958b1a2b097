// SPDX-License-Identifier: Apache-2.0
#include "engine/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <vector>

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

constexpr size_t kSpanBytes = 64 * 1024;
constexpr size_t kSpanHeaderBytes = 64;

// Steps of 8 up to 128, of 16 up to 512, of 64 beyond: never more than an eighth is wasted.
constexpr size_t class_index(size_t size) {
  if (size <= 128) return (size + 7) / 8;
  if (size <= 512) return 16 + (size - 128 + 15) / 16;
  return 40 + (size - 512 + 63) / 64;
}
constexpr size_t class_bytes(size_t index) {
  if (index <= 16) return index * 8;
  if (index <= 40) return 128 + (index - 16) * 16;
  return 512 + (index - 40) * 64;
}
constexpr size_t kClassCount = class_index(kSmallBytesMax) + 1;
static_assert(class_bytes(kClassCount - 1) == kSmallBytesMax);
static_assert(class_bytes(class_index(129)) == 144 && class_bytes(class_index(513)) == 576);

struct FreeObject {
  FreeObject* next;
};

// Sits at the start of its 64 KiB. Guarded by its class' lock.
struct Span {
  Span* next;
  Span* previous;
  FreeObject* free;
  uint32_t free_count;
  uint32_t object_count;
  uint32_t carved_bytes;  // Objects beyond this offset have never been handed out.
};
static_assert(sizeof(Span) <= kSpanHeaderBytes);

// --- The range of addresses ---------------------------------------------------------------------

struct Range {
  char* begin = nullptr;
  size_t span_count = 0;
  uint8_t* class_of_span = nullptr;
  std::mutex mutex;
  size_t spans_taken = 0;             // Spans from the front of the range that were ever used.
  std::vector<char*> spare;           // Spans without objects, their pages still resident.
  std::vector<char*> spare_returned;  // The same, pages given back.
  std::atomic<int64_t> bytes{0};
};

constexpr size_t kSpareSpansMax = 16;  // 1 MiB stays resident for the next burst.

Range& range() {
  static Range* instance = [] {
    Range* made = new Range;
    // Address space only; the largest that the system grants.
    for (size_t bytes = size_t{1} << 42; bytes >= size_t{1} << 30; bytes /= 2) {
      void* at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      if (at == MAP_FAILED) continue;
      uintptr_t aligned =
          (reinterpret_cast<uintptr_t>(at) + (2u << 20) - 1) & ~uintptr_t{(2u << 20) - 1};
      made->begin = reinterpret_cast<char*>(aligned);
      made->span_count = (bytes - (2u << 20)) / kSpanBytes;
      ::madvise(made->begin, made->span_count * kSpanBytes, MADV_HUGEPAGE);
      void* classes = ::mmap(nullptr, made->span_count, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      DYNO_CHECK(classes != MAP_FAILED);
      made->class_of_span = static_cast<uint8_t*>(classes);
      return made;
    }
    DYNO_CHECK(!"the system grants no address space");
    return made;
  }();
  return *instance;
}

// Read on every free: plain copies of what range() holds, set once before the first object exists.
char* range_begin = nullptr;
size_t range_bytes = 0;
uint8_t* span_classes = nullptr;

Span* take_span(size_t index) {
  Range& r = range();
  std::lock_guard lock(r.mutex);
  if (range_bytes == 0) {
    range_begin = r.begin;
    span_classes = r.class_of_span;
    range_bytes = r.span_count * kSpanBytes;
  }
  char* at;
  if (!r.spare.empty()) {
    at = r.spare.back();
    r.spare.pop_back();
  } else if (!r.spare_returned.empty()) {
    at = r.spare_returned.back();
    r.spare_returned.pop_back();
  } else {
    DYNO_CHECK(r.spans_taken < r.span_count);
    at = r.begin + r.spans_taken++ * kSpanBytes;
  }
  r.bytes.fetch_add(kSpanBytes, std::memory_order_relaxed);
  r.class_of_span[static_cast<size_t>(at - r.begin) / kSpanBytes] = static_cast<uint8_t>(index);
  Span* span = reinterpret_cast<Span*>(at);
  *span = Span{};
  span->object_count = static_cast<uint32_t>((kSpanBytes - kSpanHeaderBytes) / class_bytes(index));
  span->carved_bytes = kSpanHeaderBytes;
  return span;
}

void give_back_span(Span* span) {
  Range& r = range();
  std::lock_guard lock(r.mutex);
  char* at = reinterpret_cast<char*>(span);
  r.bytes.fetch_sub(kSpanBytes, std::memory_order_relaxed);
  if (r.spare.size() < kSpareSpansMax) {
    r.spare.push_back(at);
  } else {
    ::madvise(at, kSpanBytes, MADV_DONTNEED);
    r.spare_returned.push_back(at);
  }
}

// --- Shared lists -------------------------------------------------------------------------------

// The spans of one class that have something free, in a list; full spans are in none.
class SizeClass {
 public:
  // Takes up to `wanted` objects, at least one.
  size_t take(size_t index, size_t wanted, FreeObject** list) {
    std::lock_guard lock(mutex_);
    if (spans_ == nullptr) link(take_span(index));
    Span* span = spans_;
    size_t bytes = class_bytes(index);
    size_t taken = 0;
    while (taken < wanted) {
      FreeObject* object = span->free;
      if (object != nullptr) {
        span->free = object->next;
        --span->free_count;
      } else if (span->carved_bytes + bytes <= kSpanBytes) {
        object = reinterpret_cast<FreeObject*>(reinterpret_cast<char*>(span) + span->carved_bytes);
        span->carved_bytes += static_cast<uint32_t>(bytes);
      } else {
        break;
      }
      object->next = *list;
      *list = object;
      ++taken;
    }
    if (span->free == nullptr && span->carved_bytes + bytes > kSpanBytes) unlink(span);
    return taken;
  }

  void give(size_t index, FreeObject* list) {
    std::lock_guard lock(mutex_);
    size_t bytes = class_bytes(index);
    while (list != nullptr) {
      FreeObject* object = list;
      list = list->next;
      Span* span = reinterpret_cast<Span*>(reinterpret_cast<uintptr_t>(object) & ~(kSpanBytes - 1));
      if (span->free == nullptr && span->carved_bytes + bytes > kSpanBytes) link(span);
      object->next = span->free;
      span->free = object;
      ++span->free_count;
      size_t carved = (span->carved_bytes - kSpanHeaderBytes) / bytes;
      if (span->free_count == carved) {
        unlink(span);
        give_back_span(span);
      }
    }
  }

 private:
  void link(Span* span) {
    span->previous = nullptr;
    span->next = spans_;
    if (spans_ != nullptr) spans_->previous = span;
    spans_ = span;
  }
  void unlink(Span* span) {
    (span->previous != nullptr ? span->previous->next : spans_) = span->next;
    if (span->next != nullptr) span->next->previous = span->previous;
  }

  std::mutex mutex_;
  Span* spans_ = nullptr;
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

  void count_large(int64_t delta) {
    count(delta);
    large.store(large.load(std::memory_order_relaxed) + delta, std::memory_order_relaxed);
  }
  void count(int64_t delta) {
    used.store(used.load(std::memory_order_relaxed) + delta, std::memory_order_relaxed);
  }
};

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
  return std::clamp<size_t>(8192 / class_bytes(index), 4, 64);
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

inline bool in_range(const void* object) {
  return static_cast<size_t>(static_cast<const char*>(object) - range_begin) < range_bytes;
}

inline size_t class_of(const void* object) {
  return span_classes[static_cast<size_t>(static_cast<const char*>(object) - range_begin) /
                      kSpanBytes];
}

}  // namespace

void* allocate(size_t size) {
  ThreadCache& own = cache();
#if DYNO_SPANS
  if (size <= kSmallBytesMax) [[likely]] {
    size_t index = class_index(size + (size == 0));
    own.count(static_cast<int64_t>(class_bytes(index)));
    ThreadCache::List& list = own.lists[index];
    FreeObject* object = list.head;
    if (object == nullptr) [[unlikely]]
      return refill(own, index);
    list.head = object->next;
    --list.count;
    return object;
  }
#endif
  void* object = size % 64 == 0 ? ::aligned_alloc(64, size) : std::malloc(size);
  DYNO_CHECK(object != nullptr);
  own.count_large(static_cast<int64_t>(::malloc_usable_size(object)));
  return object;
}

void release(void* object) {
  if (object == nullptr) return;
  ThreadCache& own = cache();
  if (in_range(object)) [[likely]] {
    size_t index = class_of(object);
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
  if (in_range(object)) return class_bytes(class_of(object));
  return ::malloc_usable_size(const_cast<void*>(object));
}

size_t rounded_bytes(size_t size) {
#if DYNO_SPANS
  if (size <= kSmallBytesMax) return class_bytes(class_index(size + (size == 0)));
#endif
  // The process allocator's classes: four to a doubling.
  if (size <= 64) return (size + 15) & ~size_t{15};
  size_t step = std::max<size_t>(16, size_t{1} << (61 - __builtin_clzll(size - 1)));
  return (size + step - 1) & ~(step - 1);
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
  return DYNO_SPANS ? range().bytes.load(std::memory_order_relaxed) : 0;
}

void purge() {
  if (!DYNO_SPANS) return;
  Range& r = range();
  std::lock_guard lock(r.mutex);
  for (char* at : r.spare) {
    ::madvise(at, kSpanBytes, MADV_DONTNEED);
    r.spare_returned.push_back(at);
  }
  r.spare.clear();
}

}  // namespace dyno::memory

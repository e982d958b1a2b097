// SPDX-License-Identifier: Apache-2.0
#include "engine/span.h"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <functional>
#include <mutex>
#include <vector>

#include "protocol/check.h"

namespace dyno::memory {
namespace {

constexpr size_t kHugePageBytes = 2u << 20;
constexpr size_t kSpansPerHugePage = kHugePageBytes / kSpanBytes;
// From which a stretch is worth a huge page: an eighth of it may become resident for nothing.
constexpr size_t kCarvedSpansMin = kSpansPerHugePage * 7 / 8;
constexpr size_t kSpareSpansMax = 16;  // Of an area: 1 MiB stays resident for the next burst.

// Looked at by one call of stray_spans()'s caller.
constexpr size_t kStraySpansMax = 1024;

#if defined(MADV_COLLAPSE)
constexpr int kCollapse = MADV_COLLAPSE;
#else
constexpr int kCollapse = 25;  // Linux 6.1; an older kernel refuses it.
#endif

struct HugePage {
  uint8_t carved_spans;
  bool is_made;
};

// Spans in a heap, the lowest address first.
class LowestFirst {
 public:
  [[nodiscard]] size_t size() const { return heap_.size(); }
  [[nodiscard]] bool empty() const { return heap_.empty(); }
  [[nodiscard]] Span* top() const { return heap_.front(); }
  void push(Span* span) {
    heap_.push_back(span);
    std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
  }
  Span* pop() {
    std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
    return pop_any();
  }
  // Not the lowest, as long as there is another.
  Span* pop_any() {
    Span* span = heap_.back();
    heap_.pop_back();
    return span;
  }

 private:
  std::vector<Span*> heap_;
};

// One half of the range.
struct Area {
  size_t begin = 0;
  size_t end = 0;        // Spans from here on have never been used.
  LowestFirst spare;     // Nobody's, their pages still resident.
  LowestFirst returned;  // The same, pages given back.
  size_t spare_low = 0;  // The fewest spare since return_spare_pages().
};

struct Spans {
  std::mutex mutex;
  std::array<Area, 2> areas;
  size_t spans_per_area = 0;
  HugePage* huge_pages = nullptr;
  std::vector<size_t> carved_huge_pages;  // May be made; looked at again then.
  std::atomic<int64_t> bytes{0};
};

// Address space only; null when the system does not grant so much.
void* reserve(size_t bytes) {
  void* at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return at == MAP_FAILED ? nullptr : at;
}

Spans* reserve_spans() {
  auto* made = new Spans;
  for (size_t bytes = size_t{1} << 42; bytes >= size_t{1} << 30; bytes /= 2) {
    void* at = reserve(bytes);
    if (at == nullptr) continue;
    uintptr_t aligned =
        (reinterpret_cast<uintptr_t>(at) + kHugePageBytes - 1) & ~uintptr_t{kHugePageBytes - 1};
    span_range.begin = reinterpret_cast<char*>(aligned);
    size_t range_bytes = bytes - 2 * kHugePageBytes;  // Halves of whole huge pages.
    size_t count = range_bytes / kSpanBytes;
    span_range.class_of_span = static_cast<uint8_t*>(reserve(count));
    span_range.spans = static_cast<Span*>(reserve(count * sizeof(Span)));
    made->huge_pages =
        static_cast<HugePage*>(reserve(count / kSpansPerHugePage * sizeof(HugePage)));
    DYNO_CHECK(span_range.class_of_span != nullptr && span_range.spans != nullptr &&
               made->huge_pages != nullptr);
    ::madvise(span_range.begin, range_bytes, MADV_NOHUGEPAGE);
    made->spans_per_area = count / 2;
    made->areas[1].begin = made->areas[1].end = made->spans_per_area;
    span_range.bytes = range_bytes;
    return made;
  }
  DYNO_CHECK(!"the system grants no address space");
  return made;
}

Spans& all_spans() {
  static Spans* instance = reserve_spans();
  return *instance;
}

size_t huge_page_of(const Span* span) {
  return static_cast<size_t>(span - span_range.spans) / kSpansPerHugePage;
}

Area& area_of(Spans& all, const Span* span) {
  return all.areas[static_cast<size_t>(span - span_range.spans) / all.spans_per_area];
}

// The kernel would fill a huge page's holes again by and by, unless told otherwise.
void return_pages(Spans& all, Span* span) {
  size_t index = huge_page_of(span);
  HugePage& huge_page = all.huge_pages[index];
  if (huge_page.is_made) {
    huge_page.is_made = false;
    ::madvise(span_range.begin + index * kHugePageBytes, kHugePageBytes, MADV_NOHUGEPAGE);
  }
  ::madvise(begin_of(span), kSpanBytes, MADV_DONTNEED);
  area_of(all, span).returned.push(span);
}

}  // namespace

SpanRange span_range;

Span* take_span(SpanArea wanted, uint8_t size_class) {
  Spans& all = all_spans();
  std::lock_guard lock(all.mutex);
  Area& area = all.areas[static_cast<size_t>(wanted)];
  Span* span;
  if (!area.spare.empty() && (area.returned.empty() || area.spare.top() < area.returned.top())) {
    span = area.spare.pop();
    area.spare_low = std::min(area.spare_low, area.spare.size());
  } else if (!area.returned.empty()) {
    span = area.returned.pop();
  } else {
    DYNO_CHECK(area.end < area.begin + all.spans_per_area);
    span = span_range.spans + area.end++;
  }
  all.bytes.fetch_add(kSpanBytes, std::memory_order_relaxed);
  span_range.class_of_span[span - span_range.spans] = size_class;
  *span = Span{};
  return span;
}

void note_carved(const Span* span) {
  Spans& all = all_spans();
  std::lock_guard lock(all.mutex);
  size_t index = huge_page_of(span);
  if (++all.huge_pages[index].carved_spans == kCarvedSpansMin) {
    all.carved_huge_pages.push_back(index);
  }
}

void give_back_span(Span* span, bool carved) {
  Spans& all = all_spans();
  std::lock_guard lock(all.mutex);
  if (carved) --all.huge_pages[huge_page_of(span)].carved_spans;
  all.bytes.fetch_sub(kSpanBytes, std::memory_order_relaxed);
  span_range.class_of_span[span - span_range.spans] = 0;
  Area& area = area_of(all, span);
  if (area.spare.size() < kSpareSpansMax) {
    area.spare.push(span);
  } else {
    return_pages(all, span);
  }
}

int64_t taken_span_bytes() {
  return all_spans().bytes.load(std::memory_order_relaxed);
}

bool make_huge_page_of_spans() {
  Spans& all = all_spans();
  char* begin = nullptr;
  {
    std::lock_guard lock(all.mutex);
    while (begin == nullptr) {
      if (all.carved_huge_pages.empty()) return false;
      size_t index = all.carved_huge_pages.back();
      all.carved_huge_pages.pop_back();
      HugePage& huge_page = all.huge_pages[index];
      if (huge_page.is_made || huge_page.carved_spans < kCarvedSpansMin) continue;
      huge_page.is_made = true;
      begin = span_range.begin + index * kHugePageBytes;
    }
    ::madvise(begin, kHugePageBytes, MADV_HUGEPAGE);
  }
  // Where this fails, the kernel's own search for huge pages comes by later.
  ::madvise(begin, kHugePageBytes, kCollapse);
  return true;
}

std::span<Span> stray_spans() {
  Spans& all = all_spans();
  std::lock_guard lock(all.mutex);
  const Area& area = all.areas[static_cast<size_t>(SpanArea::kTables)];
  size_t holes = area.spare.size() + area.returned.size();
  if (holes < kSpansPerHugePage) return {};
  // A little more, so that what moves finds holes for certain.
  size_t dense_end = area.end - holes + kSpansPerHugePage / 2;
  return {span_range.spans + dense_end, std::min(area.end - dense_end, kStraySpansMax)};
}

void return_spare_pages(bool all_of_them) {
  Spans& all = all_spans();
  std::lock_guard lock(all.mutex);
  for (Area& area : all.areas) {
    size_t count = all_of_them ? area.spare.size() : area.spare_low;
    for (; count != 0; --count) return_pages(all, area.spare.pop_any());
    area.spare_low = area.spare.size();
  }
}

}  // namespace dyno::memory

// SPDX-License-Identifier: Apache-2.0
#include "engine/span.h"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

#include "protocol/check.h"

namespace dyno::memory {
namespace {

constexpr size_t kHugePageBytes = 2u << 20;
constexpr size_t kSpansPerHugePage = kHugePageBytes / kSpanBytes;
// From which a stretch is worth a huge page: an eighth of it may become resident for nothing.
constexpr size_t kCarvedSpansMin = kSpansPerHugePage * 7 / 8;
// An area as large as this prepares what it will use next. In a smaller one, memory that is
// resident for nothing would weigh too much.
constexpr size_t kPreparingSpansMin = (8u << 20) / kSpanBytes;
// How much of it, at least and at most; in between it is a share of the area.
constexpr size_t kAheadSpansMin = kSpansPerHugePage / 2;
constexpr size_t kAheadSpansMax = 4 * kSpansPerHugePage;
constexpr size_t kAheadShare = 64;
// An area that has not grown for so many calls of return_spare_spans() lets go of what it prepared.
constexpr int kRestCalls = 10;

// Looked at by one call of stray_spans()'s caller.
constexpr size_t kStraySpansMax = 1024;

#if defined(MADV_COLLAPSE)
constexpr int kCollapse = MADV_COLLAPSE;
#else
constexpr int kCollapse = 25;  // Linux 6.1; an older kernel refuses it.
#endif

constexpr size_t kNone = SIZE_MAX;

struct HugePage {
  uint8_t carved_spans;
  bool is_made;
  bool is_listed;  // In carved_huge_pages.
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
  size_t end = 0;            // Spans from here on have never been used.
  size_t prepared_end = 0;   // Those from `end` to here lie on huge pages already.
  size_t preparing = kNone;  // The first of a huge page that is being made beyond `end`.
  size_t seen_end = 0;       // Where prepare_pages_of_spans() saw it end.
  size_t rest_end = 0;       // Where return_spare_spans() saw it end, so many calls in turn.
  int rest_calls = 0;
  LowestFirst spare;     // Nobody's, their pages still resident.
  LowestFirst returned;  // The same, pages given back.
  size_t spare_low = 0;  // The fewest spare since return_spare_spans().
};

struct Spans {
  std::mutex mutex;
  std::array<Area, 2> areas;
  size_t spans_per_area = 0;
  HugePage* huge_pages = nullptr;
  std::vector<size_t> carved_huge_pages;  // May be made; looked at again then.
  std::atomic<int64_t> bytes{0};
  // Held by who asks the kernel for changes of pages; taken before `mutex`, which nobody holds
  // while they take long.
  std::mutex pages_mutex;
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

char* begin_of_huge_page(size_t index) {
  return span_range.begin + index * kHugePageBytes;
}

void list_if_full(Spans& all, size_t index) {
  HugePage& huge_page = all.huge_pages[index];
  if (huge_page.carved_spans < kCarvedSpansMin || huge_page.is_made || huge_page.is_listed) return;
  huge_page.is_listed = true;
  all.carved_huge_pages.push_back(index);
}

// Gives back the pages of spans that belong to nobody, in ascending order of their addresses.
void return_pages(Spans& all, std::span<Span* const> spans) {
  for (size_t i = 0; i < spans.size();) {
    size_t index = huge_page_of(spans[i]);
    bool was_made;
    {
      std::lock_guard lock(all.mutex);
      was_made = std::exchange(all.huge_pages[index].is_made, false);
    }
    // The kernel would fill a huge page's holes again by and by, unless told otherwise.
    if (was_made) ::madvise(begin_of_huge_page(index), kHugePageBytes, MADV_NOHUGEPAGE);
    while (i < spans.size() && huge_page_of(spans[i]) == index) {
      size_t count = 1;
      while (i + count < spans.size() && spans[i + count] == spans[i] + count &&
             huge_page_of(spans[i + count]) == index) {
        ++count;
      }
      ::madvise(begin_of(spans[i]), count * kSpanBytes, MADV_DONTNEED);
      i += count;
    }
  }
}

size_t round_up_to_huge_page(size_t span) {
  return (span + kSpansPerHugePage - 1) / kSpansPerHugePage * kSpansPerHugePage;
}

// Lets go of huge pages that an area was prepared with and has not begun to use.
void drop_prepared(Area& area, Spans& all) {
  size_t first = round_up_to_huge_page(area.end);
  for (; first < area.prepared_end; first += kSpansPerHugePage) {
    size_t index = first / kSpansPerHugePage;
    // Under the lock, so that nobody takes a span there meanwhile; it is a matter of microseconds.
    ::madvise(begin_of_huge_page(index), kHugePageBytes, MADV_DONTNEED);
    ::madvise(begin_of_huge_page(index), kHugePageBytes, MADV_NOHUGEPAGE);
    all.huge_pages[index].is_made = false;
  }
  area.prepared_end = std::min(area.prepared_end, round_up_to_huge_page(area.end));
}

// Where the area's next huge page should be made; kNone when it has enough or does not grow.
size_t next_to_prepare(Area& area, size_t spans_per_area) {
  if (std::exchange(area.seen_end, area.end) == area.end) return kNone;
  size_t used = area.end - area.begin;
  if (used < kPreparingSpansMin) return kNone;
  size_t next = std::max(area.prepared_end, round_up_to_huge_page(area.end));
  if (next - area.end >= std::clamp(used / kAheadShare, kAheadSpansMin, kAheadSpansMax))
    return kNone;
  return next + kSpansPerHugePage <= area.begin + spans_per_area ? next : kNone;
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
    // Nobody waits for a huge page that is being made.
    if (area.end == area.preparing) area.end += kSpansPerHugePage;
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
  ++all.huge_pages[index].carved_spans;
  list_if_full(all, index);
}

void give_back_span(Span* span, bool carved) {
  Spans& all = all_spans();
  std::lock_guard lock(all.mutex);
  if (carved) --all.huge_pages[huge_page_of(span)].carved_spans;
  all.bytes.fetch_sub(kSpanBytes, std::memory_order_relaxed);
  span_range.class_of_span[span - span_range.spans] = 0;
  area_of(all, span).spare.push(span);
}

int64_t taken_span_bytes() {
  return all_spans().bytes.load(std::memory_order_relaxed);
}

bool prepare_pages_of_spans() {
  Spans& all = all_spans();
  std::lock_guard tending(all.pages_mutex);
  bool grows = false;
  for (Area& area : all.areas) {
    size_t first;
    {
      std::lock_guard lock(all.mutex);
      grows |= area.seen_end != area.end;
      first = next_to_prepare(area, all.spans_per_area);
      area.preparing = first;
    }
    if (first == kNone) continue;
    size_t index = first / kSpansPerHugePage;
    char* begin = begin_of_huge_page(index);
    ::madvise(begin, kHugePageBytes, MADV_HUGEPAGE);
    // The first write to it makes the page, and holds up nobody else's page faults, as most calls
    // to the kernel would.
    std::atomic_ref(*begin).store(0, std::memory_order_relaxed);
    std::lock_guard lock(all.mutex);
    all.huge_pages[index].is_made = true;
    area.preparing = kNone;
    if (area.end <= first) {
      area.prepared_end = first + kSpansPerHugePage;
    } else {
      for (size_t i = 0; i < kSpansPerHugePage; ++i) area.spare.push(span_range.spans + first + i);
    }
  }
  return grows;
}

bool make_huge_page_of_spans() {
  Spans& all = all_spans();
  std::lock_guard tending(all.pages_mutex);
  char* begin = nullptr;
  {
    std::lock_guard lock(all.mutex);
    while (begin == nullptr) {
      if (all.carved_huge_pages.empty()) return false;
      size_t index = all.carved_huge_pages.back();
      all.carved_huge_pages.pop_back();
      HugePage& huge_page = all.huge_pages[index];
      huge_page.is_listed = false;
      if (huge_page.is_made || huge_page.carved_spans < kCarvedSpansMin) continue;
      huge_page.is_made = true;
      begin = begin_of_huge_page(index);
    }
  }
  ::madvise(begin, kHugePageBytes, MADV_HUGEPAGE);
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

void return_spare_spans(bool all_of_them) {
  Spans& all = all_spans();
  std::lock_guard tending(all.pages_mutex);
  for (Area& area : all.areas) {
    std::vector<Span*> leaving;
    {
      std::lock_guard lock(all.mutex);
      size_t count = all_of_them ? area.spare.size() : area.spare_low;
      for (; count != 0; --count) leaving.push_back(area.spare.pop_any());
      area.spare_low = area.spare.size();
      area.rest_calls =
          std::exchange(area.rest_end, area.end) == area.end ? area.rest_calls + 1 : 0;
      if (all_of_them || area.rest_calls >= kRestCalls) drop_prepared(area, all);
    }
    std::sort(leaving.begin(), leaving.end());
    return_pages(all, leaving);
    std::lock_guard lock(all.mutex);
    for (Span* span : leaving) area.returned.push(span);
  }
}

}  // namespace dyno::memory

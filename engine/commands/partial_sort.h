// SPDX-License-Identifier: Apache-2.0
//
// Sorts the front of an array: the quicksort of Bentley and McIlroy ("Engineering a Sort Function",
// 1993), which leaves alone the partitions that lie wholly behind what is wanted.
//
// It is not stable, yet which of several equal elements come first is what clients of Redis see
// when they ask for the nearest few of many places at one spot: the choice of pivots and the order
// of exchanges here are those that give the same answer.
#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>

namespace dyno {

// Afterwards the first `wanted` elements are those of the sorted array. `order(a, b)` is negative,
// zero or positive. Quadratic at worst; beyond `kEffortMax` comparisons for each element it falls
// back to an ordinary sort, which may choose others among equal elements.
template <class T, class Order>
class PartialSort {
 public:
  PartialSort(T* begin, size_t size, size_t wanted, Order order)
      : begin_(begin), size_(size), wanted_end_(begin + wanted), order_(order) {}

  void run() {
    effort_left_ = size_ * kEffortMax + 1000;
    if (sort(begin_, size_)) return;
    std::sort(begin_, begin_ + size_, [&](const T& a, const T& b) { return order_(a, b) < 0; });
  }

 private:
  static constexpr size_t kEffortMax = 100;

  int compare(const T* a, const T* b) {
    if (effort_left_ > 0) --effort_left_;
    return order_(*a, *b);
  }

  T* middle_of(T* a, T* b, T* c) {
    if (compare(a, b) < 0) {
      if (compare(b, c) < 0) return b;
      return compare(a, c) < 0 ? c : a;
    }
    if (compare(b, c) > 0) return b;
    return compare(a, c) < 0 ? a : c;
  }

  bool insertion_sort(T* a, size_t n) {
    for (T* from = a + 1; from < a + n; ++from) {
      for (T* at = from; at > a && compare(at - 1, at) > 0; --at) std::swap(*at, *(at - 1));
      if (effort_left_ == 0) return false;
    }
    return true;
  }

  T* choose_pivot(T* a, size_t n) {
    T* middle = a + n / 2;
    if (n <= 7) return middle;
    T* low = a;
    T* high = a + (n - 1);
    if (n > 40) {
      size_t d = n / 8;
      low = middle_of(low, low + d, low + 2 * d);
      middle = middle_of(middle - d, middle, middle + d);
      high = middle_of(high - 2 * d, high - d, high);
    }
    return middle_of(low, middle, high);
  }

  // False when the effort is used up.
  bool sort(T* a, size_t n) {
    for (;;) {
      if (n < 7) return insertion_sort(a, n);
      std::swap(*a, *choose_pivot(a, n));
      // Elements equal to the pivot gather at both ends: [a, equal_low) and (equal_high, a + n).
      T* equal_low = a + 1;
      T* low = a + 1;
      T* high = a + (n - 1);
      T* equal_high = high;
      bool swapped = false;
      for (;;) {
        int r;
        for (; low <= high && (r = compare(low, a)) <= 0; ++low) {
          if (r != 0) continue;
          swapped = true;
          std::swap(*equal_low++, *low);
        }
        for (; low <= high && (r = compare(high, a)) >= 0; --high) {
          if (r != 0) continue;
          swapped = true;
          std::swap(*high, *equal_high--);
        }
        if (low > high) break;
        swapped = true;
        std::swap(*low++, *high--);
      }
      if (effort_left_ == 0) return false;
      if (!swapped) return insertion_sort(a, n);
      T* end = a + n;
      auto less = static_cast<size_t>(low - equal_low);
      auto greater = static_cast<size_t>(equal_high - high);
      size_t r = std::min(static_cast<size_t>(equal_low - a), less);
      std::swap_ranges(a, a + r, low - r);
      r = std::min(greater, static_cast<size_t>(end - equal_high - 1));
      std::swap_ranges(low, low + r, end - r);
      if (less > 1 && a < wanted_end_ && !sort(a, less)) return false;
      if (greater <= 1 || end - greater >= wanted_end_) return true;
      a = end - greater;
      n = greater;
    }
  }

  T* begin_;
  size_t size_;
  T* wanted_end_;
  Order order_;
  size_t effort_left_ = 0;
};

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// Stamps, or other words, under hashes: the stamps of a collection's elements, the records of a
// slot's keys. Of a hash the lower kHashBits count, and stand for what was hashed: hashes are
// keyed, so that nobody can choose them, and that two of a million are equal has odds of one in
// 140,000.
//
//   map   := block*       which one, the lowest bits of the hash say
//   block := row*         the rest of the hash, and the word by the parts of a stamp
//   (packed_rows.h)
//
// Linear hashing (Litwin 1980): one block at a time is split or joined as the map grows or shrinks,
// so that nothing waits for it. About ten bytes for a stamp.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "engine/replica/packed_rows.h"
#include "engine/replica/stamp.h"

namespace dyno {

// Not thread-safe. A word is never 0.
class StampMap {
 public:
  static constexpr unsigned kHashBits = 56;

  StampMap() = default;
  StampMap(StampMap&& other) noexcept { *this = std::move(other); }
  StampMap& operator=(StampMap&& other) noexcept {
    first_ = std::move(other.first_);
    more_ = std::move(other.more_);
    size_ = std::exchange(other.size_, 0);
    block_count_ = std::exchange(other.block_count_, 1);
    other.clear();
    return *this;
  }

  // A small map as one word for the caller to keep; it is empty then.
  [[nodiscard]] bool is_one_block() const { return block_count_ == 1; }
  [[nodiscard]] void* release_block() {
    size_ = 0;
    return first_.release();
  }
  explicit StampMap(void* block) : first_(block) { size_ = static_cast<uint32_t>(first_.size()); }

  [[nodiscard]] size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  // 0 when there is none.
  [[nodiscard]] uint64_t find(uint64_t hash) const;
  // Ask the processor for the lines that find() reads, first where they are. Always inlined: see
  // table.h.
  [[gnu::always_inline]] void prefetch(uint64_t hash) const {
    if (block_count_ > 1) __builtin_prefetch(&block(index(hash)));
  }
  [[gnu::always_inline]] void prefetch_block(uint64_t hash) const { block(index(hash)).prefetch(); }
  void set(uint64_t hash, uint64_t word);
  // Does nothing when there is none.
  void erase(uint64_t hash);
  void clear();
  [[nodiscard]] size_t memory_bytes() const;

  // Calls visit(hash, word) for all, in no particular order; of the hash what counts.
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (uint32_t i = 0; i < block_count_; ++i) {
      const Rows& rows = block(i);
      for (size_t at = 0; at < rows.size(); ++at) {
        const Rows::Row row = rows.at(at);
        visit(row[kRest] << known_bits(i) | i % (uint64_t{1} << known_bits(i)), word_of(row));
      }
    }
  }

  // Moves `count` blocks from `first` on out of thin spans (memory.h), and puts move(word) in the
  // place of each of their words; false when these were the last ones.
  template <class Move>
  bool leave_thin_spans(uint32_t first, uint32_t count, Move&& move) {
    for (uint32_t i = first; i < block_count_ && i - first < count; ++i) {
      Rows& rows = block(i);
      rows.leave_thin_span();
      for (size_t at = 0; at < rows.size(); ++at) {
        const Rows::Row row = rows.at(at);
        const uint64_t word = word_of(row);
        const uint64_t moved = move(word);
        if (moved != word) rows.set(at, row_of(moved, row[kRest]));
      }
    }
    return first < block_count_ && block_count_ - first > count;
  }

 private:
  // Rows of a block on average.
  static constexpr size_t kBlockRows = 20;

  // The highest bit of a word lies above the rack's, since a stamp's is always 0.
  enum Column : size_t { kMs, kRest, kLogical, kRackAndTop, kColumnCount };
  static constexpr uint64_t kTop = uint64_t{1} << 63;
  static constexpr uint64_t kRackMask = (1U << kStampRackBits) - 1;
  using Rows = PackedRows<kColumnCount>;

  [[nodiscard]] static uint64_t word_of(const Rows::Row& row) {
    return row[kMs] << kStampMsShift | row[kLogical] << kStampRackBits |
           (row[kRackAndTop] & kRackMask) | row[kRackAndTop] >> kStampRackBits << 63;
  }
  [[nodiscard]] static Rows::Row row_of(uint64_t word, uint64_t rest) {
    return {(word & ~kTop) >> kStampMsShift, rest,
            word >> kStampRackBits & ((1U << kStampLogicalBits) - 1),
            (word & kRackMask) | word >> 63 << kStampRackBits};
  }
  [[nodiscard]] const Rows& block(uint32_t i) const { return i == 0 ? first_ : more_[i - 1]; }
  [[nodiscard]] Rows& block(uint32_t i) { return i == 0 ? first_ : more_[i - 1]; }
  // Blocks below the largest power of two that have not been split since know a bit less.
  [[nodiscard]] uint32_t level() const {
    return static_cast<uint32_t>(std::bit_width(block_count_)) - 1;
  }
  [[nodiscard]] uint32_t index(uint64_t hash) const {
    auto i = static_cast<uint32_t>(hash & ((uint64_t{2} << level()) - 1));
    return i < block_count_ ? i : i - (1U << level());
  }
  [[nodiscard]] uint32_t known_bits(uint32_t i) const {
    const uint32_t whole = 1U << level();
    return level() + (i >= whole || i < block_count_ - whole ? 1 : 0);
  }
  [[nodiscard]] uint64_t rest(uint64_t hash, uint32_t i) const {
    return (hash & ((uint64_t{1} << kHashBits) - 1)) >> known_bits(i);
  }
  void split();
  void join();
  void set_block_count(uint32_t count);

  Rows first_;
  std::unique_ptr<Rows[]> more_;  // Room for as many as make a power of two with the first.
  uint32_t size_ = 0;
  uint32_t block_count_ = 1;
};

}  // namespace dyno

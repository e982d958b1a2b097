// SPDX-License-Identifier: Apache-2.0
//
// Rows of numbers, each column in as many bits as its largest number needs: stamps that were given
// within the same minutes take some 25 bits instead of 64.
//
//   block := header, rows bit by bit without gaps
//   row   := its columns; column 0 as the distance to the smallest one that it had to hold
//
// "Frame of reference" coding (Goldstein, Ramakrishnan and Shaft 1998). A number that does not fit
// makes the block anew, so columns should grow slowly or be about equally large. For some dozens of
// rows: what is put in or taken out in the middle moves all that follows.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <utility>

#include "engine/memory.h"
#include "protocol/check.h"

namespace dyno {

// Not thread-safe. At most 65535 rows and bytes; numbers of at most 57 bits.
template <size_t kColumns>
class PackedRows {
 public:
  using Row = std::array<uint64_t, kColumns>;

  PackedRows() = default;
  // What release() returned.
  explicit PackedRows(void* block) : block_(static_cast<Block*>(block)) {}
  ~PackedRows() { memory::release(block_); }
  PackedRows(PackedRows&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  PackedRows& operator=(PackedRows&& other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }

  // Its rows as one word for the caller to keep, null when there are none; it is empty then.
  [[nodiscard]] void* release() { return std::exchange(block_, nullptr); }

  [[nodiscard]] size_t size() const { return block_ == nullptr ? 0 : block_->count; }
  [[nodiscard]] bool empty() const { return block_ == nullptr; }
  [[nodiscard]] size_t memory_bytes() const { return block_ == nullptr ? 0 : block_->bytes; }
  void prefetch() const { __builtin_prefetch(block_); }
  void leave_thin_span() {
    if (memory::in_thin_span(block_)) block_ = static_cast<Block*>(memory::move(block_));
  }

  [[nodiscard]] Row at(size_t i) const {
    Row row;
    size_t bit = i * row_bits();
    for (size_t c = 0; c < kColumns; ++c) {
      row[c] = read(bit, block_->widths[c]);
      bit += block_->widths[c];
    }
    row[0] += base();
    return row;
  }
  // The first row with that number in a column other than 0; size() when there is none.
  [[nodiscard]] size_t find(size_t column, uint64_t number) const {
    if (empty()) return 0;
    const size_t width = block_->widths[column];
    if (width == 0) return number == 0 ? 0 : size();
    const uint64_t mask = ~uint64_t{0} >> (64 - width);
    const auto* rows = reinterpret_cast<const uint8_t*>(block_ + 1);
    size_t end = width;
    for (size_t c = 0; c < column; ++c) end += block_->widths[c];
    const size_t step = row_bits();
    const size_t count = block_->count;
    for (size_t i = 0; i < count; ++i, end += step) {
      const size_t byte_end = (end + 7) / 8;
      uint64_t word;
      std::memcpy(&word, rows + byte_end - sizeof(word), sizeof(word));
      if ((word >> (end + 64 - width - byte_end * 8) & mask) == number) return i;
    }
    return count;
  }

  // These rows and no others, with room for more and for somewhat later numbers in column 0.
  void assign(std::span<const Row> rows) {
    *this = PackedRows();
    if (rows.empty()) return;
    uint64_t base = rows[0][0];
    Row largest = rows[0];
    for (const Row& row : rows) widen(row, &base, &largest);
    largest[0] = (largest[0] - base) << 1;
    *this = make(base, largest, rows.size() + 1 + rows.size() / kSpareShare);
    Appender end(*this);
    for (const Row& row : rows) end.append(row);
  }
  void set(size_t i, const Row& row) {
    if (!fits(row)) rebuild(size(), row);
    write_row(i, row);
  }
  void insert(size_t i, const Row& row) {
    const size_t room = size() + 1 + size() / kSpareShare;
    if (!fits(row)) {
      rebuild(room, row);
    } else if ((size() + 1) * row_bits() > capacity_bits()) {
      resize(room);
    }
    const size_t step = row_bits();
    move_bits((i + 1) * step, i * step, (size() - i) * step);
    ++block_->count;
    write_row(i, row);
  }
  void erase(size_t i, size_t count) {
    const size_t step = row_bits();
    move_bits(i * step, (i + count) * step, (size() - i - count) * step);
    block_->count = static_cast<uint16_t>(block_->count - count);
    if (block_->count == 0) {
      memory::release(std::exchange(block_, nullptr));
    } else if ((size() + kSpareRows) * step * 2 < capacity_bits()) {
      rebuild(size() + kSpareRows, at(0));
    }
  }

 private:
  static_assert(std::endian::native == std::endian::little);
  // Room for an eighth more is made when there is none left.
  static constexpr size_t kSpareShare = 8;
  static constexpr size_t kSpareRows = 2;
  static constexpr unsigned kWidthMax = 57;
  static constexpr size_t kFewRows = 8;
  static constexpr unsigned kEarlyBits = 4;

  struct Block {
    uint32_t base_low = 0;
    uint32_t base_high = 0;
    uint16_t count = 0;
    uint16_t bytes = 0;
    std::array<uint8_t, kColumns> widths{};
  };
  // Numbers are read and written by the eight bytes that end where they do.
  static_assert(sizeof(Block) >= sizeof(uint64_t) && alignof(Block) == 4);

  [[nodiscard]] uint64_t base() const {
    return uint64_t{block_->base_high} << 32 | block_->base_low;
  }
  [[nodiscard]] size_t row_bits() const {
    size_t bits = 0;
    for (uint8_t width : block_->widths) bits += width;
    return bits;
  }
  [[nodiscard]] size_t capacity_bits() const { return (block_->bytes - sizeof(Block)) * 8; }

  // The word that ends with the number of `width` bits at `bit`, and where the number begins in it.
  [[nodiscard]] uint8_t* word_of(size_t bit, size_t width, size_t* shift) const {
    size_t end = (bit + width + 7) / 8;
    *shift = bit + 64 - end * 8;
    return reinterpret_cast<uint8_t*>(block_ + 1) + end - sizeof(uint64_t);
  }
  [[nodiscard]] uint64_t read(size_t bit, size_t width) const {
    if (width == 0) return 0;
    size_t shift;
    uint64_t word;
    std::memcpy(&word, word_of(bit, width, &shift), sizeof(word));
    return word >> shift & (~uint64_t{0} >> (64 - width));
  }
  void write(size_t bit, size_t width, uint64_t number) {
    if (width == 0) return;
    size_t shift;
    uint64_t word;
    uint8_t* at = word_of(bit, width, &shift);
    std::memcpy(&word, at, sizeof(word));
    const uint64_t mask = ~uint64_t{0} >> (64 - width) << shift;
    word = (word & ~mask) | number << shift;
    std::memcpy(at, &word, sizeof(word));
  }
  // Columns are gathered first: reading back what was just written in part costs more than writing.
  void write_row(size_t i, const Row& row) {
    size_t bit = i * row_bits();
    uint64_t piece = 0;
    size_t piece_width = 0;
    for (size_t c = 0; c < kColumns; ++c) {
      const size_t width = block_->widths[c];
      if (piece_width + width > kWidthMax) {
        write(bit, piece_width, piece);
        bit += std::exchange(piece_width, 0);
        piece = 0;
      }
      piece |= (c == 0 ? row[c] - base() : row[c]) << piece_width;
      piece_width += width;
    }
    write(bit, piece_width, piece);
  }

  // Writes rows behind each other into a block that has none yet, and counts them in the end.
  class Appender {
   public:
    explicit Appender(PackedRows& rows)
        : block_(*rows.block_),
          at_(reinterpret_cast<uint8_t*>(rows.block_ + 1)),
          base_(rows.base()) {}
    ~Appender() {
      std::memcpy(at_, &word_, (used_ + 7) / 8);
      block_.count = static_cast<uint16_t>(count_);
    }
    Appender(const Appender&) = delete;
    Appender& operator=(const Appender&) = delete;

    void append(const Row& row) {
      ++count_;
      for (size_t c = 0; c < kColumns; ++c) {
        const uint64_t number = c == 0 ? row[c] - base_ : row[c];
        const size_t width = block_.widths[c];
        word_ |= number << used_;
        used_ += width;
        if (used_ < kWordBits) continue;
        std::memcpy(at_, &word_, sizeof(word_));
        at_ += sizeof(word_);
        used_ -= kWordBits;
        word_ = used_ == 0 ? 0 : number >> (width - used_);
      }
    }

   private:
    static constexpr size_t kWordBits = 64;

    Block& block_;
    uint8_t* at_;
    uint64_t base_;
    uint64_t word_ = 0;
    size_t used_ = 0;
    size_t count_ = 0;
  };

  // They may overlap.
  void move_bits(size_t to, size_t from, size_t count) {
    constexpr size_t kPiece = 56;
    for (size_t done = 0; done < count;) {
      size_t piece = std::min(kPiece, count - done);
      size_t at = to < from ? done : count - done - piece;
      write(to + at, piece, read(from + at, piece));
      done += piece;
    }
  }

  [[nodiscard]] bool fits(const Row& row) const {
    if (block_ == nullptr || row[0] < base()) return false;
    for (size_t c = 0; c < kColumns; ++c) {
      uint64_t number = c == 0 ? row[c] - base() : row[c];
      if (static_cast<size_t>(std::bit_width(number)) > block_->widths[c]) return false;
    }
    return true;
  }
  static void widen(const Row& row, uint64_t* base, Row* largest) {
    *base = std::min(*base, row[0]);
    for (size_t c = 0; c < kColumns; ++c) (*largest)[c] = std::max((*largest)[c], row[c]);
  }
  [[nodiscard]] static PackedRows make(uint64_t base, const Row& largest, size_t capacity) {
    Block head{static_cast<uint32_t>(base), static_cast<uint32_t>(base >> 32)};
    for (size_t c = 0; c < kColumns; ++c) {
      head.widths[c] = static_cast<uint8_t>(std::bit_width(largest[c]));
      DYNO_CHECK(head.widths[c] <= kWidthMax);
    }
    return make(head, capacity);
  }
  // A block for `capacity` rows as wide as `head` says, without rows.
  [[nodiscard]] static PackedRows make(Block head, size_t capacity) {
    size_t bits = 0;
    for (uint8_t width : head.widths) bits += width;
    size_t bytes = memory::rounded_tight_bytes(sizeof(Block) + (capacity * bits + 7) / 8);
    DYNO_CHECK(bytes <= std::numeric_limits<uint16_t>::max());
    head.bytes = static_cast<uint16_t>(bytes);
    head.count = 0;
    PackedRows rows;
    rows.block_ = static_cast<Block*>(memory::allocate_tight(bytes));
    *rows.block_ = head;
    std::memset(static_cast<void*>(rows.block_ + 1), 0, bytes - sizeof(Block));
    return rows;
  }
  void resize(size_t capacity) {
    PackedRows larger = make(*block_, capacity);
    std::memcpy(static_cast<void*>(larger.block_ + 1), block_ + 1, (size() * row_bits() + 7) / 8);
    larger.block_->count = block_->count;
    std::swap(block_, larger.block_);
  }
  // Puts the rows into a block with room for `capacity` of them, and for one like `row`. In a small
  // block column 0 has room for later numbers, which come soon.
  void rebuild(size_t capacity, const Row& row) {
    uint64_t base = row[0];
    Row largest = row;
    for (size_t i = 0; i < size(); ++i) widen(at(i), &base, &largest);
    largest[0] -= base;
    if (!empty()) largest[0] <<= size() < kFewRows ? kEarlyBits : 1;
    PackedRows fresh = make(base, largest, capacity);
    {
      Appender end(fresh);
      for (size_t i = 0; i < size(); ++i) end.append(at(i));
    }
    std::swap(block_, fresh.block_);
  }

  Block* block_ = nullptr;
};

}  // namespace dyno

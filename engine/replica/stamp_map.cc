// SPDX-License-Identifier: Apache-2.0
#include "engine/replica/stamp_map.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "protocol/check.h"

namespace dyno {

uint64_t StampMap::find(uint64_t hash) const {
  if (size_ == 0) return 0;
  const uint32_t i = index(hash);
  const Rows& rows = block(i);
  const size_t at = rows.find(kRest, rest(hash, i));
  return at == rows.size() ? 0 : word_of(rows.at(at));
}

void StampMap::set(uint64_t hash, uint64_t word) {
  DYNO_CHECK(word != 0);
  const uint32_t i = index(hash);
  Rows& rows = block(i);
  const Rows::Row row = row_of(word, rest(hash, i));
  const size_t at = rows.find(kRest, row[kRest]);
  if (at < rows.size()) return rows.set(at, row);
  rows.insert(at, row);
  ++size_;
  if (size_ > block_count_ * kBlockRows) split();
}

void StampMap::erase(uint64_t hash) {
  if (size_ == 0) return;
  const uint32_t i = index(hash);
  Rows& rows = block(i);
  const size_t at = rows.find(kRest, rest(hash, i));
  if (at == rows.size()) return;
  // The last row takes its place, since no order is kept.
  if (at + 1 < rows.size()) rows.set(at, rows.at(rows.size() - 1));
  rows.erase(rows.size() - 1, 1);
  if (--size_ == 0) return clear();
  if (block_count_ > 1 && size_ * 4 < block_count_ * kBlockRows) join();
}

void StampMap::clear() {
  first_ = Rows();
  more_.reset();
  size_ = 0;
  block_count_ = 1;
}

void StampMap::set_block_count(uint32_t count) {
  const uint32_t room = std::bit_ceil(count);
  if (room != std::bit_ceil(block_count_)) {
    std::unique_ptr<Rows[]> old = std::move(more_);
    if (room > 1) more_ = std::make_unique<Rows[]>(room - 1);
    for (uint32_t i = 1; i < std::min(count, block_count_); ++i)
      more_[i - 1] = std::move(old[i - 1]);
  }
  block_count_ = count;
}

void StampMap::split() {
  const uint32_t low = block_count_ - (1U << level());
  const Rows rows = std::move(block(low));
  set_block_count(block_count_ + 1);
  // The lowest bit of the rest says which one.
  std::vector<Rows::Row> parts[2];
  for (std::vector<Rows::Row>& part : parts) part.reserve(rows.size());
  for (size_t at = 0; at < rows.size(); ++at) {
    Rows::Row row = rows.at(at);
    parts[std::exchange(row[kRest], row[kRest] >> 1) & 1].push_back(row);
  }
  block(low).assign(parts[0]);
  block(block_count_ - 1).assign(parts[1]);
}

void StampMap::join() {
  const uint32_t high = block_count_ - 1;
  const uint32_t low = high - std::bit_floor(high);
  std::vector<Rows::Row> all;
  for (uint32_t i : {low, high}) {
    const Rows rows = std::move(block(i));
    for (size_t at = 0; at < rows.size(); ++at) {
      Rows::Row row = rows.at(at);
      row[kRest] = row[kRest] << 1 | (i == high ? 1 : 0);
      all.push_back(row);
    }
  }
  set_block_count(high);
  block(low).assign(all);
}

size_t StampMap::memory_bytes() const {
  size_t bytes = more_ == nullptr ? 0 : (std::bit_ceil(block_count_) - 1) * sizeof(Rows);
  for (uint32_t i = 0; i < block_count_; ++i) bytes += block(i).memory_bytes();
  return bytes;
}

}  // namespace dyno

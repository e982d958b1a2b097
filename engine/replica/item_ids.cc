// SPDX-License-Identifier: Apache-2.0
#include "engine/replica/item_ids.h"

#include <algorithm>

#include "protocol/check.h"

namespace dyno {

ItemIds::ItemIds(void* chunk, size_t size) : size_(size) {
  chunks_.push_back({PackedRows<kColumnCount>(chunk), size});
}

void* ItemIds::release_chunk() {
  void* chunk = chunks_.front().rows.release();
  clear();
  return chunk;
}

ItemIds::Run ItemIds::Chunk::run(size_t i) const {
  const PackedRows<kColumnCount>::Row row = rows.at(i);
  Stamp stamp = row[kMs] << kStampMsShift | row[kLogical] << kStampRackBits | row[kRack];
  return {stamp, static_cast<uint32_t>(row[kIndex]), static_cast<uint32_t>(row[kCountAndHead] >> 1),
          (row[kCountAndHead] & 1) != 0};
}

PackedRows<ItemIds::kColumnCount>::Row ItemIds::Chunk::row_of(const Run& run) {
  return {run.stamp >> kStampMsShift, run.stamp >> kStampRackBits & ((1U << kStampLogicalBits) - 1),
          stamp_rack(run.stamp), run.index, uint64_t{run.count} << 1 | (run.head ? 1 : 0)};
}

size_t ItemIds::Chunk::last_not_after(const ItemId& id) const {
  size_t low = 0;
  size_t high = rows.size();
  while (high - low > 1) {
    size_t middle = (low + high) / 2;
    comes_before(id, run(middle).id(0)) ? high = middle : low = middle;
  }
  return low;
}

ItemIds::Place ItemIds::locate(size_t position) const {
  DYNO_CHECK(position < size_);
  Place place{0, 0, 0, 0};
  if (position * 2 < size_) {
    while (position >= place.before_chunk + chunks_[place.chunk].size) {
      place.before_chunk += chunks_[place.chunk++].size;
    }
  } else {
    place.chunk = chunks_.size() - 1;
    place.before_chunk = size_ - chunks_.back().size;
    while (position < place.before_chunk) place.before_chunk -= chunks_[--place.chunk].size;
  }
  const Chunk& chunk = chunks_[place.chunk];
  size_t rest = position - place.before_chunk;
  if (rest * 2 < chunk.size) {
    uint32_t count;
    while (rest >= (count = chunk.run(place.run).count)) {
      rest -= count;
      ++place.run;
    }
  } else {
    size_t after = chunk.size - rest;
    place.run = chunk.rows.size() - 1;
    uint32_t count;
    while (after > (count = chunk.run(place.run).count)) {
      after -= count;
      --place.run;
    }
    rest = count - after;
  }
  place.offset = static_cast<uint32_t>(rest);
  return place;
}

ItemIds::Place ItemIds::lower_place(const ItemId& id) const {
  // The last chunk whose first element does not come after `id`, then the last such run.
  auto chunk = std::upper_bound(
      chunks_.begin(), chunks_.end(), id,
      [](const ItemId& wanted, const Chunk& c) { return comes_before(wanted, c.run(0).id(0)); });
  if (chunk == chunks_.begin()) return {0, 0, 0};
  --chunk;
  Place place{static_cast<size_t>(chunk - chunks_.begin()), chunk->last_not_after(id), 0};
  const Run run = chunk->run(place.run);
  // Within the run only the index differs, if the identity belongs to its command at all.
  uint32_t offset = run.count;
  if (run.stamp == id.stamp && run.head == id.head) {
    uint32_t distance = id.head ? run.index - id.index : id.index - run.index;
    offset = std::min<uint32_t>(distance, run.count);
  }
  place.offset = offset;
  if (offset == run.count) {
    place.offset = 0;
    ++place.run;
  }
  return place;
}

size_t ItemIds::position_of(const Place& place) const {
  size_t position = 0;
  for (size_t i = 0; i < place.chunk; ++i) position += chunks_[i].size;
  const Chunk& chunk = chunks_[place.chunk];
  if (place.run == chunk.rows.size()) return position + chunk.size;
  for (size_t i = 0; i < place.run; ++i) position += chunk.run(i).count;
  return position + place.offset;
}

ItemId ItemIds::at(size_t position) const {
  Place place = locate(position);
  return chunks_[place.chunk].run(place.run).id(place.offset);
}

size_t ItemIds::lower_bound(const ItemId& id) const {
  if (empty()) return 0;
  return position_of(lower_place(id));
}

std::optional<size_t> ItemIds::find(const ItemId& id) const {
  if (empty()) return std::nullopt;
  Place place = lower_place(id);
  if (place.run == chunks_[place.chunk].rows.size()) {
    if (++place.chunk == chunks_.size()) return std::nullopt;
    place.run = 0;
  }
  if (!(chunks_[place.chunk].run(place.run).id(place.offset) == id)) return std::nullopt;
  return position_of(place);
}

// Lets the run before the place, or the one at it, grow by the identity, if it is its neighbour.
bool ItemIds::extend(const Place& place, const ItemId& id) {
  Chunk& chunk = chunks_[place.chunk];
  if (place.offset != 0) return false;
  if (place.run > 0) {
    Run before = chunk.run(place.run - 1);
    uint32_t next = id.head ? before.index - before.count : before.index + before.count;
    if (before.stamp == id.stamp && before.head == id.head && next == id.index) {
      ++before.count;
      chunk.set(place.run - 1, before);
      return true;
    }
  }
  if (place.run < chunk.rows.size()) {
    Run after = chunk.run(place.run);
    uint32_t preceding = id.head ? after.index + 1 : after.index - 1;
    if (after.stamp == id.stamp && after.head == id.head && preceding == id.index) {
      after.index = id.index;
      ++after.count;
      chunk.set(place.run, after);
      return true;
    }
  }
  return false;
}

void ItemIds::split(size_t chunk) {
  Chunk half;
  Chunk& full = chunks_[chunk];
  const size_t middle = full.rows.size() / 2;
  for (size_t i = middle; i < full.rows.size(); ++i) {
    const Run run = full.run(i);
    half.insert(i - middle, run);
    half.size += run.count;
  }
  full.rows.erase(middle, full.rows.size() - middle);
  full.size -= half.size;
  chunks_.insert(chunks_.begin() + static_cast<ptrdiff_t>(chunk) + 1, std::move(half));
}

size_t ItemIds::insert(const ItemId& id) {
  if (empty()) chunks_.emplace_back();
  Place place = size_ == 0 ? Place{0, 0, 0} : lower_place(id);
  Chunk& chunk = chunks_[place.chunk];
  size_t position = position_of(place);
  ++size_;
  ++chunk.size;
  if (extend(place, id)) return position;
  if (place.offset != 0) {
    // A run never holds an identity that sorts between two of its own and is not one of them.
    Run run = chunk.run(place.run);
    Run rest = run;
    DYNO_CHECK(rest.id(place.offset) == id || !(rest.id(0) == id));
    rest.index = rest.id(place.offset).index;
    rest.count -= place.offset;
    run.count = place.offset;
    chunk.set(place.run, run);
    chunk.insert(++place.run, rest);
  }
  chunk.insert(place.run, {id.stamp, id.index, 1, id.head});
  if (chunk.rows.size() > kChunkRuns) split(place.chunk);
  return position;
}

// Removes elements [from, from + count) of a chunk, as far as it has them; returns how many.
size_t ItemIds::erase_in_chunk(size_t chunk_index, size_t from, size_t count) {
  Chunk& chunk = chunks_[chunk_index];
  count = std::min(count, chunk.size - from);
  chunk.size -= count;
  size_t at = 0;
  size_t offset = from;
  Run run = chunk.run(0);
  while (offset >= run.count) {
    offset -= run.count;
    run = chunk.run(++at);
  }
  size_t left = count;
  if (offset != 0) {
    const size_t part = std::min<size_t>(left, run.count - offset);
    Run rest = run;
    run.count = static_cast<uint32_t>(offset);
    chunk.set(at++, run);
    left -= part;
    if (offset + part < rest.count) {
      // Out of the middle of a run.
      rest.index = rest.id(static_cast<uint32_t>(offset + part)).index;
      rest.count -= static_cast<uint32_t>(offset + part);
      chunk.insert(at, rest);
      return count;
    }
  }
  size_t whole = 0;
  while (left > 0 && left >= (run = chunk.run(at + whole)).count) {
    left -= run.count;
    ++whole;
  }
  if (left > 0) {
    run.index = run.id(static_cast<uint32_t>(left)).index;
    run.count -= static_cast<uint32_t>(left);
    chunk.set(at + whole, run);
  }
  if (whole > 0) chunk.rows.erase(at, whole);
  return count;
}

void ItemIds::erase(size_t position, size_t count) {
  DYNO_CHECK(position + count <= size_);
  while (count > 0) {
    Place place = locate(position);
    size_t erased = erase_in_chunk(place.chunk, position - place.before_chunk, count);
    if (chunks_[place.chunk].rows.empty()) {
      chunks_.erase(chunks_.begin() + static_cast<ptrdiff_t>(place.chunk));
    }
    size_ -= erased;
    count -= erased;
  }
  if (size_ == 0) clear();
}

void ItemIds::clear() {
  chunks_.clear();
  chunks_.shrink_to_fit();
  size_ = 0;
}

size_t ItemIds::memory_bytes() const {
  size_t bytes = chunks_.capacity() * sizeof(chunks_[0]);
  for (const Chunk& chunk : chunks_) bytes += chunk.rows.memory_bytes();
  return bytes;
}

}  // namespace dyno

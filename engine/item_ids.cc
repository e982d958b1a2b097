// SPDX-License-Identifier: Apache-2.0
#include "engine/item_ids.h"

#include <algorithm>

#include "protocol/check.h"

namespace dyno {

ItemIds::Place ItemIds::locate(size_t position) const {
  DYNO_CHECK(position < size_);
  Place place{0, 0, 0, 0};
  if (position * 2 < size_) {
    while (position >= place.before_chunk + chunks_[place.chunk]->size) {
      place.before_chunk += chunks_[place.chunk++]->size;
    }
  } else {
    place.chunk = chunks_.size() - 1;
    place.before_chunk = size_ - chunks_.back()->size;
    while (position < place.before_chunk) place.before_chunk -= chunks_[--place.chunk]->size;
  }
  const Chunk& chunk = *chunks_[place.chunk];
  size_t rest = position - place.before_chunk;
  if (rest * 2 < chunk.size) {
    while (rest >= chunk.runs[place.run].count) rest -= chunk.runs[place.run++].count;
  } else {
    size_t after = chunk.size - rest;
    place.run = chunk.runs.size() - 1;
    while (after > chunk.runs[place.run].count) after -= chunk.runs[place.run--].count;
    rest = chunk.runs[place.run].count - after;
  }
  place.offset = static_cast<uint32_t>(rest);
  return place;
}

ItemIds::Place ItemIds::lower_place(const ItemId& id) const {
  // The last chunk whose first element does not come after `id`, then the last such run.
  auto chunk = std::upper_bound(
      chunks_.begin(), chunks_.end(), id,
      [](const ItemId& wanted, const auto& c) { return comes_before(wanted, c->runs[0].id(0)); });
  if (chunk == chunks_.begin()) return {0, 0, 0};
  --chunk;
  const std::vector<Run>& runs = (*chunk)->runs;
  auto run = std::upper_bound(runs.begin(), runs.end(), id, [](const ItemId& wanted, const Run& r) {
    return comes_before(wanted, r.id(0));
  });
  --run;
  Place place{static_cast<size_t>(chunk - chunks_.begin()), static_cast<size_t>(run - runs.begin()),
              0};
  // Within the run only the index differs, if the identity belongs to its command at all.
  uint32_t offset = run->count;
  if (run->stamp == id.stamp && (run->head != 0) == id.head) {
    uint32_t distance = id.head ? run->index - id.index : id.index - run->index;
    offset = std::min<uint32_t>(distance, run->count);
  }
  place.offset = offset;
  if (offset == run->count) {
    place.offset = 0;
    ++place.run;
  }
  return place;
}

size_t ItemIds::position_of(const Place& place) const {
  size_t position = 0;
  for (size_t i = 0; i < place.chunk; ++i) position += chunks_[i]->size;
  for (size_t i = 0; i < place.run; ++i) position += chunks_[place.chunk]->runs[i].count;
  return position + place.offset;
}

ItemId ItemIds::at(size_t position) const {
  Place place = locate(position);
  return chunks_[place.chunk]->runs[place.run].id(place.offset);
}

size_t ItemIds::lower_bound(const ItemId& id) const {
  if (empty()) return 0;
  return position_of(lower_place(id));
}

std::optional<size_t> ItemIds::find(const ItemId& id) const {
  if (empty()) return std::nullopt;
  Place place = lower_place(id);
  if (place.run == chunks_[place.chunk]->runs.size()) {
    if (++place.chunk == chunks_.size()) return std::nullopt;
    place.run = 0;
  }
  if (!(chunks_[place.chunk]->runs[place.run].id(place.offset) == id)) return std::nullopt;
  return position_of(place);
}

// Lets the run before the place, or the one at it, grow by the identity, if it is its neighbour.
bool ItemIds::extend(const Place& place, const ItemId& id) {
  std::vector<Run>& runs = chunks_[place.chunk]->runs;
  auto next_index = [&](const Run& run) {
    return id.head ? run.index - run.count : run.index + run.count;
  };
  if (place.offset != 0) return false;
  if (place.run > 0) {
    Run& before = runs[place.run - 1];
    if (before.stamp == id.stamp && (before.head != 0) == id.head &&
        next_index(before) == id.index) {
      before.count = before.count + 1;
      return true;
    }
  }
  if (place.run < runs.size()) {
    Run& after = runs[place.run];
    uint32_t preceding = id.head ? after.index + 1 : after.index - 1;
    if (after.stamp == id.stamp && (after.head != 0) == id.head && preceding == id.index) {
      after.index = id.index;
      after.count = after.count + 1;
      return true;
    }
  }
  return false;
}

void ItemIds::split(size_t chunk) {
  Chunk& full = *chunks_[chunk];
  auto half = std::make_unique<Chunk>();
  auto middle = full.runs.begin() + static_cast<ptrdiff_t>(full.runs.size() / 2);
  half->runs.assign(middle, full.runs.end());
  full.runs.erase(middle, full.runs.end());
  for (const Run& run : half->runs) half->size += run.count;
  full.size -= half->size;
  chunks_.insert(chunks_.begin() + static_cast<ptrdiff_t>(chunk) + 1, std::move(half));
}

size_t ItemIds::insert(const ItemId& id) {
  if (empty()) chunks_.push_back(std::make_unique<Chunk>());
  Place place = size_ == 0 ? Place{0, 0, 0} : lower_place(id);
  Chunk& chunk = *chunks_[place.chunk];
  size_t position = position_of(place);
  ++size_;
  ++chunk.size;
  if (extend(place, id)) return position;
  auto at = chunk.runs.begin() + static_cast<ptrdiff_t>(place.run);
  if (place.offset != 0) {
    // A run never holds an identity that sorts between two of its own and is not one of them.
    Run rest = *at;
    DYNO_CHECK(rest.id(place.offset) == id || !(rest.id(0) == id));
    ItemId first = rest.id(place.offset);
    rest.index = first.index;
    rest.count = rest.count - place.offset;
    at->count = place.offset;
    at = chunk.runs.insert(at + 1, rest);
  }
  chunk.runs.insert(at, Run{id.stamp, id.index, 1, id.head});
  if (chunk.runs.size() > kChunkRuns) split(place.chunk);
  return position;
}

// Removes elements [from, from + count) of a chunk, as far as it has them; returns how many.
size_t ItemIds::erase_in_chunk(size_t chunk_index, size_t from, size_t count) {
  Chunk& chunk = *chunks_[chunk_index];
  count = std::min(count, chunk.size - from);
  size_t run_index = 0;
  size_t offset = from;
  while (offset >= chunk.runs[run_index].count) offset -= chunk.runs[run_index++].count;
  size_t left = count;
  auto run = chunk.runs.begin() + static_cast<ptrdiff_t>(run_index);
  if (offset != 0) {
    size_t part = std::min<size_t>(left, run->count - offset);
    if (offset + part < run->count) {
      // Out of the middle of a run.
      Run rest = *run;
      ItemId first = rest.id(static_cast<uint32_t>(offset + part));
      rest.index = first.index;
      rest.count = rest.count - static_cast<uint32_t>(offset + part);
      run->count = static_cast<uint32_t>(offset);
      chunk.runs.insert(run + 1, rest);
      chunk.size -= count;
      return count;
    }
    run->count = static_cast<uint32_t>(offset);
    left -= part;
    ++run;
  }
  auto last = run;
  while (left > 0 && left >= last->count) left -= (last++)->count;
  if (left > 0) {
    last->index = last->id(static_cast<uint32_t>(left)).index;
    last->count = last->count - static_cast<uint32_t>(left);
  }
  chunk.runs.erase(run, last);
  chunk.size -= count;
  return count;
}

void ItemIds::erase(size_t position, size_t count) {
  DYNO_CHECK(position + count <= size_);
  while (count > 0) {
    Place place = locate(position);
    size_t erased = erase_in_chunk(place.chunk, position - place.before_chunk, count);
    if (chunks_[place.chunk]->runs.empty()) {
      chunks_.erase(chunks_.begin() + static_cast<ptrdiff_t>(place.chunk));
    }
    size_ -= erased;
    count -= erased;
  }
}

void ItemIds::clear() {
  chunks_.clear();
  size_ = 0;
}

size_t ItemIds::memory_bytes() const {
  size_t bytes = chunks_.capacity() * sizeof(chunks_[0]);
  for (const auto& chunk : chunks_) bytes += sizeof(Chunk) + chunk->runs.capacity() * sizeof(Run);
  return bytes;
}

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// The identities of a list's elements, in the order of the list, beside the list itself: what turns
// the position of an element, which differs from replica to replica, into its identity, which does
// not, and back.
//
//   ids   := chunk*, each of at most kChunkRuns runs; no chunk is empty
//   chunk := run*                            packed (packed_rows.h)
//   run   := stamp, index, count, head       elements that one command pushed and that still lie
//                                            side by side
//
// The identities are ascending as comes_before() orders them. A run at the tail side counts indexes
// up, one at the head side down. Ends cost O(1), places in the middle O(chunks).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "engine/replica/delta.h"
#include "engine/replica/packed_rows.h"

namespace dyno {

// Not thread-safe.
class ItemIds {
 public:
  ItemIds() = default;
  // What release_chunk() returned, with the size that it had.
  ItemIds(void* chunk, size_t size);
  // Few runs as one word for the caller to keep; it is empty then.
  [[nodiscard]] bool is_one_chunk() const { return chunks_.size() == 1; }
  [[nodiscard]] void* release_chunk();

  [[nodiscard]] size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }

  // The identity at a position less than size().
  [[nodiscard]] ItemId at(size_t position) const;
  // Where the identity is, or nothing.
  [[nodiscard]] std::optional<size_t> find(const ItemId& id) const;
  // Where it is or would be.
  [[nodiscard]] size_t lower_bound(const ItemId& id) const;
  // Puts in an identity that is not there; returns its position.
  size_t insert(const ItemId& id);
  void erase(size_t position, size_t count);
  void clear();

  // Calls visit(ItemId first, uint32_t count) for the runs of `count` elements from `first` on;
  // `first` of a run at the head side is its largest index.
  template <class Visit>
  void for_each_run(size_t first, size_t count, Visit&& visit) const {
    if (count == 0) return;
    Place at = locate(first);
    while (count > 0) {
      const Run run = chunks_[at.chunk].run(at.run);
      uint32_t part = run.count - at.offset;
      if (part > count) part = static_cast<uint32_t>(count);
      visit(run.id(at.offset), part);
      count -= part;
      at.offset = 0;
      if (++at.run == chunks_[at.chunk].rows.size()) {
        at.run = 0;
        ++at.chunk;
      }
    }
  }
  [[nodiscard]] size_t memory_bytes() const;

 private:
  static constexpr size_t kChunkRuns = 128;

  struct Run {
    Stamp stamp;
    uint32_t index;  // Of the first element in the order of the list.
    uint32_t count;
    bool head;

    [[nodiscard]] ItemId id(uint32_t offset) const {
      return {head, head ? index - offset : index + offset, stamp};
    }
  };
  enum Column : size_t { kMs, kLogical, kRack, kIndex, kCountAndHead, kColumnCount };
  struct Chunk {
    PackedRows<kColumnCount> rows;
    size_t size = 0;  // Elements.

    [[nodiscard]] Run run(size_t i) const;
    void set(size_t i, const Run& run) { rows.set(i, row_of(run)); }
    void insert(size_t i, const Run& run) { rows.insert(i, row_of(run)); }
    [[nodiscard]] static PackedRows<kColumnCount>::Row row_of(const Run& run);
    // The last run whose first element does not come after `id`; 0 if none does.
    [[nodiscard]] size_t last_not_after(const ItemId& id) const;
  };
  // An element inside a run; one past the last run of the last chunk is the end.
  struct Place {
    size_t chunk;
    size_t run;
    uint32_t offset;
    size_t before_chunk = 0;  // Elements in earlier chunks.
  };

  [[nodiscard]] Place locate(size_t position) const;
  // The first element that does not come before `id`.
  [[nodiscard]] Place lower_place(const ItemId& id) const;
  [[nodiscard]] size_t position_of(const Place& place) const;
  bool extend(const Place& place, const ItemId& id);
  void split(size_t chunk);
  size_t erase_in_chunk(size_t chunk, size_t from, size_t count);

  std::vector<Chunk> chunks_;
  size_t size_ = 0;
};

}  // namespace dyno

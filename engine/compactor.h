// SPDX-License-Identifier: Apache-2.0
//
// Moves keys and slots' tables, and what replicas keep beside them, out of spans that lost most of
// their objects, so that the spans can be given back. Whatever grows leaves such spans behind, and
// so do deletions at random.
//
// Entries move with what they hold inside; the elements of large collections stay where they are,
// and so do their stamps.
// One compactor belongs to one thread and a range of slots. A slot's lock is held while some of its
// words are walked, for some tens of microseconds, however many keys it has.
#pragma once

#include <cstdint>

#include "engine/keyspace.h"

namespace dyno {

class Replica;

class Compactor {
 public:
  Compactor(Keyspace& keyspace, uint32_t begin_slot, uint32_t end_slot);

  // To be called every 10 ms or so; no slot is locked by the caller. Works for a fifth of a
  // millisecond at most, and only after spans were chosen. `replica` is null on a node that has no
  // replicated state.
  void run(Replica* replica);
  // To be called every 100 ms or so by one thread: chooses spans, for all compactors. After a
  // choice of few, or of which nothing could be moved, as of the elements of large collections, the
  // next ones follow ever more rarely: whatever is written leaves some spans behind.
  static void choose();

 private:
  // Some keys of the next slot, or some of their replicated state; false when all was seen.
  bool visit(Replica* replica);

  Keyspace& keyspace_;
  const uint32_t begin_;
  const uint32_t end_;
  uint32_t next_;
  uint64_t position_ = 0;  // Where to go on in that slot's table: Table::scan().
  uint32_t part_ = 0;      // And then in its replicated state.
  uint32_t left_ = 0;      // Slots to visit before all have been seen since the last choice.
  uint64_t seen_choice_ = 0;
};

}  // namespace dyno

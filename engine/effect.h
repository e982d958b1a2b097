// SPDX-License-Identifier: Apache-2.0
//
// Effects: what a command changed, apart from what it decided.
//
// A command reads, judges its conditions and draws its random numbers; then it changes the data
// through the mutators of its family, and those report each change here, as an absolute fact about
// one key. Replaying the effects of a history on an empty keyspace gives the same data set; no
// command, condition, relative time or random draw is in them.
//
// What takes something away is recorded just before it goes; everything else just after it is
// there. The effects of a command come in the order of its changes, and each is made of the parts
// that the row of its kind names; the others are empty, 0 or false.
//
// A node without replicas has no recorder: the mutators then test one pointer and build nothing.
#pragma once

#include <cstdint>
#include <string_view>

#include "engine/amount.h"

namespace dyno {

enum class EffectKind : uint8_t {
  // --- Keys. All but kDeadline before the change.

  // DEL and its kin, a deadline set in the past, or the beginning of another value under this name
  // (RENAME, COPY, MOVE, RESTORE, the STORE forms, whose effects follow). Such a new value comes
  // after a kErase even if the key is not there.
  kErase = 1,
  // The last element of a collection went; its own effect, and that of every other, came before.
  kEmptied,
  kExpired,   // The deadline of the key has come.
  kEvicted,   // maxmemory asked for the room.
  kFlush,     // The database, or with db = -1 all of them, becomes empty. No key.
  kDeadline,  // position: ms of Unix time when the key expires, or -1: it does not.

  // --- Strings. After the change; they make the key if need be.

  // The key is a string, whatever it was: element = its bytes. is_new: the key was not there. The
  // deadline is not part of it and stays, but for a kDeadline that follows; keeps_deadline: the
  // command meant it to stay (SET KEEPTTL), so that none follows.
  kString,
  // A counter: element = its bytes now, amount = what was added, is_new as for kString. The
  // deadline stays.
  kIncrement,
  // position: offset of the bytes that changed, element = those bytes, perhaps none. Zeros fill a
  // gap before them. Never of a HyperLogLog: how one is written is each node's own, so that one
  // which is changed as a mere string is recorded as kString.
  kPatch,
  // A HyperLogLog has registers of at least these ranks: element = (index:u16 little-endian
  // rank:u8)*, those that grew, by ascending index; none when the key was only made (is_new).
  kRegisters,

  // --- Hashes. element = field. is_new: the field was not there.

  kField,           // After: value. The field has no deadline any more.
  kFieldIncrement,  // After: value = the result, amount = what was added. The deadline stays.
  kFieldErase,      // Before.
  kFieldExpired,    // Before: the deadline of the field has come.
  kFieldDeadline,   // After: position as for kDeadline.

  // --- Sets. element = member.

  kMember,       // After. Also when it was there before: then is_new is false.
  kMemberErase,  // Before.

  // --- Sorted sets. element = member.

  kScore,           // After: score, perhaps the same as before; is_new: the member was not there.
  kScoreIncrement,  // After: score = the result, amount.part = what was added, is_new. All finite.
  kScoreErase,      // Before.

  // --- Lists. position: an index from the head, 0 first.

  // After: element has come before what was at `position` (0: head, size: tail). at_head: it was
  // pushed there, if there was nothing else.
  kListInsert,
  kListSet,    // After: element is in the place of what was at `position`.
  kListErase,  // Before: the `count` elements from `position` on.
};

struct Effect {
  EffectKind kind{};
  int db = 0;  // Physical number.
  std::string_view key;
  std::string_view element;
  std::string_view value;
  int64_t position = 0;
  int64_t count = 0;
  double score = 0;
  bool is_new = false;
  bool keeps_deadline = false;
  bool at_head = false;
  Amount amount;
  // What a floating increment was added to, unless is_new.
  std::string_view before;
  double score_before = 0;
};

// Receives effects in the order in which they happen, under the lock of their slot. Views are valid
// during the call only. All threads call it, none of them while it holds no lock of a slot, but for
// now_ms() and refuses_swap().
class EffectRecorder {
 public:
  virtual ~EffectRecorder() = default;

  virtual void record(const Effect& effect) = 0;

  // The time that a request or a background removal runs at, given that of the machine; asked once
  // for each. Deadlines are judged by it.
  [[nodiscard]] virtual int64_t now_ms(int64_t unix_ms) { return unix_ms; }

  // What this thread records from here on belongs to one command: of a client, of EXEC's queue, of
  // a client that waited, or a removal in the background. The command may record nothing.
  virtual void begin_command(int64_t now_ms) { static_cast<void>(now_ms); }

  // What this thread recorded since its last commit, perhaps nothing, happened at once: a command
  // or a whole EXEC with the clients that it served, an eviction, a part of a sweep. All slots
  // that it changed are still locked.
  virtual void commit() {}

  // True when SWAPDB is refused, since replicas would not know of it: it records nothing.
  [[nodiscard]] virtual bool refuses_swap() const { return false; }
};

}  // namespace dyno

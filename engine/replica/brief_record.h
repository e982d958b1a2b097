// SPDX-License-Identifier: Apache-2.0
//
// The record of a key that is there and keeps no trace of anything else, as most collections,
// counters and strings with a deadline of their own have it: one allocation of as few bytes as tell
// it, since most of a key's stamps are that of its last write.
//
//   brief   := head:u24 latest:u64 [base] [type_stamp] [clear] [deadline_stamp] [other_stamp]
//              [deadline:varint] [digest:16] [stamps] [field deadlines] [list] [counters]
//   head    := db:4 type:3, of each optional stamp its code (stamp_code.h; near is the base), for
//              the deadline, field deadlines and counters one bit each: they are there; for stamps
//              and list two: none, small, object
//   deadline := how long after deadline_stamp, modulo 2^63 ms: ms * 2, or seconds * 2 + 1
//   stamps, field deadlines, list, counters := address:u64; of a small list followed by size:varint
//              counters of a string: its one counter itself, see counter_bytes.h; near is clear or,
//              without one, deadline_stamp
//
// Small are a map of one block and a list whose identities are one chunk: the address is that of
// the block or chunk. The digest of a string is not kept, since its stamps tell it.
#pragma once

#include <cstdint>

#include "engine/replica/key_record.h"

namespace dyno {

// Its bytes are the object; made and released by it alone.
class BriefRecord {
 public:
  // Whether it can tell all of the record, but for the digest of a string and the name.
  [[nodiscard]] static bool can_tell(const KeyRecord& record);
  // Takes over what the record holds, in place of `old`, which may be null.
  [[nodiscard]] static BriefRecord* write(KeyRecord& record, BriefRecord* old);
  // Hands over what it holds; then it is to be written anew or released.
  void read(KeyRecord* record);
  static void release(BriefRecord* brief);
  // Moves it, and what small parts it holds, out of thin spans (memory.h); returns where it is.
  [[nodiscard]] static BriefRecord* leave_thin_spans(BriefRecord* brief);

  [[nodiscard]] int db() const;
  [[nodiscard]] Stamp latest() const;
  [[nodiscard]] bool has_counters() const;

 private:
  // All but what it owns and the counter; returns where those begin.
  [[nodiscard]] const uint8_t* read_numbers(KeyRecord* record) const;
  [[nodiscard]] uint32_t head() const;
  [[nodiscard]] const uint8_t* bytes() const { return reinterpret_cast<const uint8_t*>(this); }
  [[nodiscard]] uint8_t* bytes() { return reinterpret_cast<uint8_t*>(this); }
};

}  // namespace dyno

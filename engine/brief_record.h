// SPDX-License-Identifier: Apache-2.0
//
// The record of a key that is there and keeps no trace of anything else, as most collections and
// strings with a deadline have it: in as few words as tell it, since most of a key's stamps are
// that of its last write.
//
//   brief := head latest [base] [type_stamp] [clear] [deadline_stamp] [other_stamp] [deadline_ms]
//            [digest:2] [stamps:3] [field deadlines] [list]
//   head  := db:4 type:4, for each optional stamp two bits (none, as latest, as base, its own), for
//            deadline_ms, stamps, field deadlines and list one bit: it is there
#pragma once

#include <cstdint>

#include "engine/key_record.h"

namespace dyno {

// Its words are the object; made and released by it alone.
class BriefRecord {
 public:
  // Whether it can tell all of the record.
  [[nodiscard]] static bool can_tell(const KeyRecord& record);
  // Takes over what the record holds, in place of `old`, which may be null.
  [[nodiscard]] static BriefRecord* write(KeyRecord& record, BriefRecord* old);
  // Hands over what it holds; then it is to be written anew or released. The digest of a string,
  // which its stamps tell, is left as it is, and so is the name.
  void read(KeyRecord* record);
  static void release(BriefRecord* brief);

  [[nodiscard]] Stamp latest() const { return words()[1]; }

 private:
  [[nodiscard]] const uint64_t* words() const { return reinterpret_cast<const uint64_t*>(this); }
  [[nodiscard]] uint64_t* words() { return reinterpret_cast<uint64_t*>(this); }
};

}  // namespace dyno

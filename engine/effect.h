// SPDX-License-Identifier: Apache-2.0
//
// Effects: what a command changed, apart from what it decided.
//
// A command reads, judges its conditions and draws its random numbers; then it changes the data
// through the mutators of its family, and those report each change here, as an absolute fact about
// one key. Replaying the effects of a history on an empty keyspace gives the same data set; no
// command, condition, relative time or random draw is in them.
//
// A node without replicas has no recorder: the mutators then test one pointer and build nothing.
#pragma once

#include <cstdint>
#include <string_view>

namespace dyno {

enum class EffectKind : uint8_t {
  kErase = 1,          // The key is gone.
  kString = 2,         // The key is a string: element = its bytes. The deadline is not part of it.
  kPatch = 3,          // Bytes of a string from `position` on: element; zeros fill a gap.
  kDeadline = 4,       // position = ms of Unix time, or -1: the key does not expire.
  kField = 5,          // element = field, value; the field loses its deadline.
  kFieldErase = 6,     // element = field
  kFieldDeadline = 7,  // element = field, position = ms of Unix time or -1
  kMember = 8,         // element = member of a set
  kMemberErase = 9,    // element
  kScore = 10,         // element = member of a sorted set, score
  kScoreErase = 11,    // element
  kListInsert = 12,    // element goes before the element now at `position` (0: head, size: tail)
  kListSet = 13,       // position, element
  kListErase = 14,     // position = first element, count = how many
  kFlush = 15,         // The database, or with db = -1 all of them, is empty.
};

struct Effect {
  EffectKind kind;
  int db;
  std::string_view key;
  std::string_view element;
  std::string_view value;
  int64_t position;
  int64_t count;
  double score;
};

// Receives effects in the order in which they happen, under the lock of their slot. Views are valid
// during the call only.
class EffectRecorder {
 public:
  virtual ~EffectRecorder() = default;
  virtual void record(const Effect& effect) = 0;
};

}  // namespace dyno

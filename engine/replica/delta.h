// SPDX-License-Identifier: Apache-2.0
//
// Deltas: what a write made true of one key, as facts that are absolute and carry their stamps. The
// same bytes travel to the other replicas, wait for a replica that is away, and rest on disk; the
// whole state of a key is just its largest delta. Facts say what is, never what to do, so that they
// may arrive twice, late and in any order (merge.h).
//
// A frame holds the deltas of one command or one transaction: a node applies all of it or nothing.
//
//   frame    := magic:u16 = 0x44f1  version:u8 = 1  checksum:u32  size:varint  body
//               checksum: low half of the XXH3 of the body; size: bytes of the body
//   body     := delta*
//   delta    := db:u8 stamp:u64 key:bytes count:varint fact{count}
//   fact     := kind:u8 age:svarint parts       the fact's stamp is the delta's minus age; the kind
//                                               says which parts follow, in the order of its row
//   kind  1 clear           -
//   kind  2 deadline        at:svarint
//   kind  3 value           prev value:bytes
//   kind  4 patch           prev offset:varint value:bytes
//   kind  5 registers       prev value:bytes
//   kind  6 total           type:u8 element:bytes sum
//   kind  7 observed        type:u8 element:bytes sum
//   kind  8 field           prev element:bytes value:bytes
//   kind  9 field gone      element:bytes
//   kind 10 field deadline  element:bytes at:svarint
//   kind 11 member          element:bytes
//   kind 12 member gone     element:bytes
//   kind 13 score           prev element:bytes score:f64
//   kind 14 score gone      element:bytes
//   kind 15 item            item value:bytes
//   kind 16 item gone       item count:varint
//   kind 17 type            type:u8
//   kind 18 other type      -
//   kind 19 flush           -                   the delta's key is empty
//   prev     := 0:u8 | 1:u8 age:svarint         none, or the delta's stamp minus the previous one
//   sum      := actor:u32 generation:u64 whole:i128 part:long_double       the fact's stamp is the
//                                                                          total's own
//   item     := side:u8 age:svarint index:varint
//   bytes    := size:varint byte[size]
//   varint   := as in entry.h, in its shortest form; svarint: zigzag varint, an age's of 65 bits.
//               Fixed-size numbers are little-endian; a long_double is sign_and_exponent:u16
//               mantissa:u64 of the x87 format.
//
// The first fact of a delta has the delta's stamp. Flushes share a delta with nothing else. Items
// are not later than their fact, and index plus count is below 2^32; a total's generation is not
// later than the total. Keys have at most 512 MB, and patches end within as many.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/amount.h"
#include "engine/entry.h"
#include "engine/replica/stamp.h"
#include "protocol/byte_buffer.h"

namespace dyno {

enum class FactKind : uint8_t {
  kClear = 1,           // What is older than the stamp is gone, of every type.
  kDeadline = 2,        // number: ms of Unix time when the key expires, or -1: it does not.
  kValue = 3,           // The key is a string: value.
  kPatch = 4,           // The string of stamp `prev` with the bytes `value` at `number`.
  kRegisters = 5,       // A HyperLogLog's registers are at least so; prev: the clear it was made
                        // under. value: (index:u16 rank:u8)*
  kTotal = 6,           // An actor's increments of a counter, summed up.
  kObserved = 7,        // A write that replaced the counter had seen an actor's total so far.
  kField = 8,           // A hash's field `element` is `value`, and has no deadline older than this.
  kFieldGone = 9,       // element
  kFieldDeadline = 10,  // element, number as in kDeadline
  kMember = 11,         // A set has the member `element`.
  kMemberGone = 12,     // element
  kScore = 13,          // A sorted set's member `element` has `score`.
  kScoreGone = 14,      // element
  kItem = 15,           // A list's element `item` is `value`, as of the stamp.
  kItemGone = 16,       // `count` of a list's elements from `item` on, by ascending index.
  kType = 17,           // The latest fact that made the key a `type` is this old.
  kOtherType = 18,      // The latest fact of any other type is this old.
  kFlush = 19,          // Every key of the database that is older than the stamp is gone.
};

// The identity of a list's element, and its place among the others: those pushed at the head come
// first, the latest of them foremost; then those pushed at the tail, the earliest foremost.
// `index` counts the elements of one command, in the order of its arguments.
struct ItemId {
  bool head = false;
  uint32_t index = 0;
  Stamp stamp = 0;

  friend bool operator==(const ItemId&, const ItemId&) = default;
};
// True when `a` is nearer to the head than `b`.
[[nodiscard]] inline bool comes_before(const ItemId& a, const ItemId& b) {
  if (a.head != b.head) return a.head;
  const ItemId& earlier = a.head ? b : a;
  const ItemId& later = a.head ? a : b;
  return earlier.stamp != later.stamp ? earlier.stamp < later.stamp : earlier.index < later.index;
}

// A HyperLogLog is a type of its own among replicas, though a string to clients: no write of a mere
// string can be united with its registers.
inline constexpr auto kSketchType = static_cast<Type>(kTypeCount);

// What one actor has added to a counter. Totals of an actor are ordered by generation, then stamp.
// A generation is the stamp at which the actor began to count from nothing.
struct Total {
  Actor actor = 0;
  Stamp generation = 0;
  Stamp stamp = 0;
  Amount sum;

  friend bool operator==(const Total&, const Total&) = default;
};
[[nodiscard]] inline bool is_later(const Total& a, const Total& b) {
  return a.generation != b.generation ? a.generation > b.generation : a.stamp > b.stamp;
}

// One fact. Views point into the frame it was read from, or to what the writer was given.
struct Fact {
  FactKind kind{};
  Type type{};  // kTotal, kObserved, kType
  Stamp stamp = 0;
  Stamp prev = 0;  // The stamp that the origin replaced, 0: none.
  std::string_view element = {};
  std::string_view value = {};
  int64_t number = 0;
  double score = 0;
  ItemId item = {};
  uint32_t count = 1;
  Total total;  // kTotal, kObserved; total.stamp equals `stamp`.

  friend bool operator==(const Fact&, const Fact&) = default;
};

// All facts of one key in a frame.
struct Delta {
  int db = 0;
  Stamp stamp = 0;
  std::string_view key;
  std::vector<Fact> facts;

  friend bool operator==(const Delta&, const Delta&) = default;
};

// Appends deltas to a frame. Not thread-safe; kept and reused by its thread.
class FrameWriter {
 public:
  // Adds a fact of a key. Successive facts of one key go into one delta, whose stamp is that of its
  // first fact.
  void add(int db, std::string_view key, const Fact& fact);

  [[nodiscard]] bool empty() const { return fact_total_ == 0; }
  [[nodiscard]] size_t fact_count() const { return fact_total_; }
  // Bytes so far, but for a few. Whoever adds keeps well within kFrameBytesMax: no reader takes a
  // larger frame.
  [[nodiscard]] size_t byte_count() const { return body_.size(); }
  // Completes the frame and returns it. Valid until clear().
  [[nodiscard]] std::string_view finish();
  // Begins a new frame; keeps the memory.
  void clear();

 private:
  [[nodiscard]] bool continues_delta(int db, std::string_view key, FactKind kind) const;
  void begin_delta(int db, std::string_view key, const Fact& first);
  void end_delta();
  void keep_head_room();
  // Room for the parts of a fact or the head of a delta, with so many bytes of variable size.
  [[nodiscard]] uint8_t* reserve(size_t variable_bytes);

  ByteBuffer body_;  // Behind room for the head, once there is a delta.
  // The delta that is being written, and where its key and its count are in the body.
  int db_ = 0;
  Stamp stamp_ = 0;
  bool is_flush_ = false;
  size_t key_at_ = 0;
  size_t count_at_ = 0;
  size_t fact_count_ = 0;
  size_t fact_total_ = 0;
};

inline constexpr size_t kFrameBytesMax = size_t{1} << 30;
inline constexpr size_t kFrameHeadBytesMax = 16;

// Reads a frame, all of it or nothing; views of `deltas` point into `frame`. Returns why it was
// refused, with the byte, empty when it was not. Memory is in proportion to the frame. Every stamp,
// type, number and size in what it accepts is one that a writer may have written.
[[nodiscard]] std::string read_frame(std::string_view frame, std::vector<Delta>* deltas);

// Bytes of the frame that begins here, from its head, once kFrameHeadBytesMax or all bytes are
// there: 0 when this is no frame. For streams of frames.
[[nodiscard]] size_t frame_bytes(std::string_view head);

// One line per delta and fact, for people: `dyno-server --dump-delta FILE`.
[[nodiscard]] std::string describe(const Delta& delta);

}  // namespace dyno

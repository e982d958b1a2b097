// SPDX-License-Identifier: Apache-2.0
#include "engine/replica/delta.h"

#include <cstring>

#include "engine/replica/delta_kinds.h"
#include "protocol/check.h"
#define XXH_INLINE_ALL
#include <xxhash.h>

namespace dyno {
namespace {

// Above what a fact takes without the bytes of its element and value, and a delta's head without
// those of its key.
constexpr size_t kPartsBytesMax = 160;

template <class T>
uint8_t* write_fixed(uint8_t* at, T value) {
  std::memcpy(at, &value, sizeof(value));
  return at + sizeof(value);
}

uint8_t* write_bytes(uint8_t* at, std::string_view bytes) {
  at = write_varint(at, bytes.size());
  if (!bytes.empty()) std::memcpy(at, bytes.data(), bytes.size());
  return at + bytes.size();
}

// The zigzag of `base` minus `stamp`, which may need 65 bits: six of the distance are in the first
// byte, beside the sign.
uint8_t* write_age(uint8_t* at, Stamp base, Stamp stamp) {
  const bool later = stamp > base;
  const uint64_t distance = later ? stamp - base - 1 : base - stamp;
  const uint64_t rest = distance >> 6;
  const auto first = static_cast<uint8_t>((distance & 63) << 1 | (later ? 1 : 0));
  *at++ = rest == 0 ? first : first | 128;
  return rest == 0 ? at : write_varint(at, rest);
}

uint8_t* write_sum(uint8_t* at, const Total& total) {
  at = write_fixed(at, total.actor);
  at = write_fixed(at, total.generation);
  at = write_fixed(at, total.sum.whole);
  const auto* part = reinterpret_cast<const uint8_t*>(&total.sum.part);
  std::memcpy(at, part + kMantissaBytes, sizeof(uint16_t));
  std::memcpy(at + sizeof(uint16_t), part, kMantissaBytes);
  return at + sizeof(uint16_t) + kMantissaBytes;
}

// The parts of a fact behind its age.
uint8_t* write_parts(uint8_t* at, Stamp base, const Fact& fact, unsigned parts) {
  if (parts & kPartType) *at++ = static_cast<uint8_t>(fact.type);
  if (parts & kPartPrev) {
    *at++ = fact.prev == 0 ? 0 : 1;
    if (fact.prev != 0) at = write_age(at, base, fact.prev);
  }
  if (parts & kPartItem) {
    *at++ = fact.item.head ? 1 : 0;
    at = write_age(at, base, fact.item.stamp);
    at = write_varint(at, fact.item.index);
  }
  if (parts & kPartElement) at = write_bytes(at, fact.element);
  if (parts & kPartDeadline) at = write_varint(at, zigzag(fact.number));
  if (parts & kPartOffset) at = write_varint(at, static_cast<uint64_t>(fact.number));
  if (parts & kPartValue) at = write_bytes(at, fact.value);
  if (parts & kPartScore) at = write_fixed(at, fact.score);
  if (parts & kPartCount) at = write_varint(at, fact.count);
  if (parts & kPartSum) {
    DYNO_CHECK(fact.total.stamp == fact.stamp);
    at = write_sum(at, fact.total);
  }
  return at;
}

}  // namespace

uint32_t frame_checksum(std::string_view body) {
  return static_cast<uint32_t>(XXH3_64bits(body.data(), body.size()));
}

void FrameWriter::add(int db, std::string_view key, const Fact& fact) {
  const KindRow& row = row_of(fact.kind);
  DYNO_CHECK(stamp_rack(fact.stamp) != 0 && db >= 0 && db <= kFrameDbMax);
  if (!continues_delta(db, key, fact.kind)) {
    end_delta();
    begin_delta(db, key, fact);
  }
  uint8_t* begin = reserve(fact.element.size() + fact.value.size());
  uint8_t* at = begin;
  *at++ = static_cast<uint8_t>(fact.kind);
  at = write_age(at, stamp_, fact.stamp);
  at = write_parts(at, stamp_, fact, row.parts);
  body_.commit(static_cast<size_t>(at - begin));
  ++fact_count_;
  ++fact_total_;
}

// A flush is beside no other facts, since its empty key is also the name of a key.
bool FrameWriter::continues_delta(int db, std::string_view key, FactKind kind) const {
  if (fact_count_ == 0 || db != db_) return false;
  const std::string_view current = body_.view().substr(key_at_, count_at_ - key_at_);
  return key == current && (kind == FactKind::kFlush) == is_flush_;
}

void FrameWriter::begin_delta(int db, std::string_view key, const Fact& first) {
  keep_head_room();
  db_ = db;
  stamp_ = first.stamp;
  is_flush_ = first.kind == FactKind::kFlush;
  uint8_t* begin = reserve(key.size());
  uint8_t* at = begin;
  *at++ = static_cast<uint8_t>(db);
  at = write_fixed(at, stamp_);
  at = write_bytes(at, key);
  *at++ = 0;
  count_at_ = body_.size() + static_cast<size_t>(at - begin) - 1;
  key_at_ = count_at_ - key.size();
  body_.commit(static_cast<size_t>(at - begin));
}

// The count follows the key in one byte; when it needs more, what is behind it moves.
void FrameWriter::end_delta() {
  if (fact_count_ == 0) return;
  uint8_t count[kVarintBytesMax];
  const uint8_t* end = write_varint(count, fact_count_);
  body_.data()[count_at_] = static_cast<char>(count[0]);
  const auto* rest = reinterpret_cast<const char*>(count + 1);
  body_.insert(count_at_ + 1, {rest, static_cast<size_t>(end - count - 1)});
  fact_count_ = 0;
}

void FrameWriter::keep_head_room() {
  if (!body_.empty()) return;
  body_.reserve(kFrameHeadBytesMax);
  body_.commit(kFrameHeadBytesMax);
}

uint8_t* FrameWriter::reserve(size_t variable_bytes) {
  return reinterpret_cast<uint8_t*>(body_.reserve(kPartsBytesMax + variable_bytes));
}

std::string_view FrameWriter::finish() {
  end_delta();
  keep_head_room();
  const std::string_view body = body_.view().substr(kFrameHeadBytesMax);
  const size_t head_bytes =
      sizeof(kFrameMagic) + sizeof(kFrameVersion) + sizeof(uint32_t) + varint_bytes(body.size());
  DYNO_CHECK(head_bytes <= kFrameHeadBytesMax);
  const size_t begin = kFrameHeadBytesMax - head_bytes;
  auto* at = reinterpret_cast<uint8_t*>(body_.data()) + begin;
  at = write_fixed(at, kFrameMagic);
  at = write_fixed(at, kFrameVersion);
  at = write_fixed(at, frame_checksum(body));
  write_varint(at, body.size());
  return body_.view().substr(begin);
}

void FrameWriter::clear() {
  body_.clear();
  fact_count_ = 0;
  fact_total_ = 0;
}

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
#include "engine/delta.h"

#include <cstring>

#include "engine/delta_kinds.h"
#include "protocol/check.h"
#define XXH_INLINE_ALL
#include <xxhash.h>

namespace dyno {
namespace {

template <class T>
void append_fixed(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

void append_varint(std::string& out, uint64_t value) {
  uint8_t bytes[kVarintBytesMax];
  const uint8_t* end = write_varint(bytes, value);
  out.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(end - bytes));
}

void append_bytes(std::string& out, std::string_view bytes) {
  append_varint(out, bytes.size());
  out.append(bytes);
}

// The zigzag of `base` minus `stamp`, which may need 65 bits: six of the distance are in the first
// byte, beside the sign.
void append_age(std::string& out, Stamp base, Stamp stamp) {
  const bool later = stamp > base;
  const uint64_t distance = later ? stamp - base - 1 : base - stamp;
  const uint64_t rest = distance >> 6;
  const auto first = static_cast<uint8_t>((distance & 63) << 1 | (later ? 1 : 0));
  out += static_cast<char>(rest == 0 ? first : first | 128);
  if (rest != 0) append_varint(out, rest);
}

void append_sum(std::string& out, const Total& total) {
  append_fixed(out, total.actor);
  append_fixed(out, total.generation);
  append_fixed(out, total.sum.whole);
  const auto* part = reinterpret_cast<const char*>(&total.sum.part);
  out.append(part + kMantissaBytes, sizeof(uint16_t));
  out.append(part, kMantissaBytes);
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
  body_ += static_cast<char>(fact.kind);
  append_age(body_, stamp_, fact.stamp);
  if (row.parts & kPartType) body_ += static_cast<char>(fact.type);
  if (row.parts & kPartPrev) {
    body_ += fact.prev == 0 ? '\0' : '\1';
    if (fact.prev != 0) append_age(body_, stamp_, fact.prev);
  }
  if (row.parts & kPartItem) {
    body_ += fact.item.head ? '\1' : '\0';
    append_age(body_, stamp_, fact.item.stamp);
    append_varint(body_, fact.item.index);
  }
  if (row.parts & kPartElement) append_bytes(body_, fact.element);
  if (row.parts & kPartDeadline) append_varint(body_, zigzag(fact.number));
  if (row.parts & kPartOffset) append_varint(body_, static_cast<uint64_t>(fact.number));
  if (row.parts & kPartValue) append_bytes(body_, fact.value);
  if (row.parts & kPartScore) append_fixed(body_, fact.score);
  if (row.parts & kPartCount) append_varint(body_, fact.count);
  if (row.parts & kPartSum) {
    DYNO_CHECK(fact.total.stamp == fact.stamp);
    append_sum(body_, fact.total);
  }
  ++fact_count_;
  ++fact_total_;
}

// A flush is beside no other facts, since its empty key is also the name of a key.
bool FrameWriter::continues_delta(int db, std::string_view key, FactKind kind) const {
  if (fact_count_ == 0 || db != db_) return false;
  const std::string_view current(body_.data() + key_at_, count_at_ - key_at_);
  return key == current && (kind == FactKind::kFlush) == is_flush_;
}

void FrameWriter::begin_delta(int db, std::string_view key, const Fact& first) {
  if (body_.empty()) body_.resize(kFrameHeadBytesMax);
  db_ = db;
  stamp_ = first.stamp;
  is_flush_ = first.kind == FactKind::kFlush;
  body_ += static_cast<char>(db);
  append_fixed(body_, stamp_);
  append_varint(body_, key.size());
  key_at_ = body_.size();
  body_.append(key);
  count_at_ = body_.size();
  body_ += '\0';
}

void FrameWriter::end_delta() {
  if (fact_count_ == 0) return;
  uint8_t count[kVarintBytesMax];
  const uint8_t* end = write_varint(count, fact_count_);
  body_[count_at_] = static_cast<char>(count[0]);
  body_.insert(count_at_ + 1, reinterpret_cast<const char*>(count + 1),
               static_cast<size_t>(end - count - 1));
  fact_count_ = 0;
}

std::string_view FrameWriter::finish() {
  end_delta();
  if (body_.empty()) body_.resize(kFrameHeadBytesMax);
  const std::string_view body = std::string_view(body_).substr(kFrameHeadBytesMax);
  const auto checksum = frame_checksum(body);
  const size_t head_bytes =
      sizeof(kFrameMagic) + sizeof(kFrameVersion) + sizeof(checksum) + varint_bytes(body.size());
  DYNO_CHECK(head_bytes <= kFrameHeadBytesMax);
  auto* at = reinterpret_cast<uint8_t*>(body_.data()) + kFrameHeadBytesMax - head_bytes;
  std::memcpy(at, &kFrameMagic, sizeof(kFrameMagic));
  at[sizeof(kFrameMagic)] = kFrameVersion;
  std::memcpy(at + sizeof(kFrameMagic) + sizeof(kFrameVersion), &checksum, sizeof(checksum));
  write_varint(at + sizeof(kFrameMagic) + sizeof(kFrameVersion) + sizeof(checksum), body.size());
  return std::string_view(body_).substr(kFrameHeadBytesMax - head_bytes);
}

void FrameWriter::clear() {
  body_.clear();
  fact_count_ = 0;
  fact_total_ = 0;
}

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// Reads frames (delta.h) from peers and files, of which anything may be expected: each part is
// judged before it is used, and memory is taken as facts are found, never as a number promises.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/replica/delta.h"
#include "engine/replica/delta_kinds.h"

namespace dyno {
namespace {

static_assert(sizeof(Fact) <= 160, "what a reader takes for each fact, of at least two bytes");

constexpr size_t kFactBytesMin = 2;
// Longest key, and longest string that patches may make.
constexpr uint64_t kStringBytesMax = uint64_t{512} << 20;

constexpr unsigned kRegisterCount = 16384;
constexpr unsigned kRankMax = 51;

constexpr uint16_t kExponentMask = 0x7fff;

// Takes parts from a frame. Refuses the first that is not as expected; from then on there is
// nothing left, and whatever is read is zero or empty.
class PartReader {
 public:
  explicit PartReader(std::string_view frame)
      : begin_(frame.data()), at_(begin_), end_(begin_ + frame.size()) {}

  [[nodiscard]] bool ok() const { return refusal_.empty(); }
  [[nodiscard]] std::string take_refusal() { return std::move(refusal_); }
  [[nodiscard]] size_t left() const { return static_cast<size_t>(end_ - at_); }
  [[nodiscard]] const char* at() const { return at_; }
  [[nodiscard]] size_t offset() const { return static_cast<size_t>(at_ - begin_); }

  void refuse(const char* at, std::string_view expected, std::string_view found) {
    if (!ok()) return;
    refusal_ = "byte " + std::to_string(at - begin_) + ": expected ";
    refusal_.append(expected).append("; got ").append(found);
    at_ = end_;
  }
  void refuse(const char* at, std::string_view expected, uint64_t found) {
    if (ok()) refuse(at, expected, std::to_string(found));
  }

  template <class T>
  T fixed(std::string_view expected) {
    T value{};
    if (left() < sizeof(T)) {
      refuse(at_, expected, "the end of the frame");
      return value;
    }
    std::memcpy(&value, at_, sizeof(T));
    at_ += sizeof(T);
    return value;
  }

  uint8_t byte(std::string_view expected, unsigned least, unsigned most) {
    const char* start = at_;
    const auto value = fixed<uint8_t>(expected);
    if (value >= least && value <= most) return value;
    refuse(start, expected, value);
    return 0;
  }

  uint64_t varint(std::string_view expected, uint64_t most) {
    const char* start = at_;
    uint64_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
      const auto byte = fixed<uint8_t>(expected);
      // The tenth byte holds the highest bit alone.
      if (shift == 63 && byte > 1) {
        refuse(start, expected, "more than 64 bits");
        return 0;
      }
      value |= static_cast<uint64_t>(byte & 127) << shift;
      if (byte >= 128) continue;
      if (byte == 0 && shift > 0)
        refuse(start, expected, "a number that is not in its shortest form");
      break;
    }
    if (value > most) refuse(start, expected, value);
    return ok() ? value : 0;
  }

  std::string_view bytes(std::string_view expected, uint64_t most) {
    const uint64_t size = varint(expected, std::min<uint64_t>(most, kFrameBytesMax));
    if (size > left()) {
      refuse(at_, expected, "the end of the frame");
      return {};
    }
    const std::string_view found(at_, ok() ? size : 0);
    at_ += found.size();
    return found;
  }

  // A stamp by its age before `base`.
  Stamp age(Stamp base) {
    static constexpr std::string_view kExpected = "the age of a stamp";
    const char* start = at_;
    const auto first = fixed<uint8_t>(kExpected);
    uint64_t distance = (first & 127) >> 1;
    if (first >= 128) {
      const uint64_t rest = varint(kExpected, (uint64_t{1} << 58) - 1);
      if (rest == 0) refuse(start, kExpected, "a number that is not in its shortest form");
      distance |= rest << 6;
    }
    const bool later = (first & 1) != 0;
    if (later ? distance >= ~Stamp{0} - base : distance > base) {
      refuse(start, kExpected, "one that leads out of 64 bits");
    }
    return checked(start, later ? base + distance + 1 : base - distance);
  }

  Stamp stamp() {
    const char* start = at_;
    return checked(start, fixed<Stamp>("a stamp"));
  }

 private:
  Stamp checked(const char* start, Stamp stamp) {
    if (stamp_rack(stamp) != 0) return stamp;
    refuse(start, "a stamp with a rack from 1 to 255", stamp);
    return 0;
  }

  const char* begin_;
  const char* at_;
  const char* end_;
  std::string refusal_;
};

struct FrameHead {
  uint32_t checksum = 0;
  size_t body_bytes = 0;
};

FrameHead read_head(PartReader& in) {
  FrameHead head;
  const char* start = in.at();
  const auto magic = in.fixed<uint16_t>("the magic number of a frame");
  if (magic != kFrameMagic) in.refuse(start, "the magic number of a frame", magic);
  in.byte("version 1 of the format", kFrameVersion, kFrameVersion);
  head.checksum = in.fixed<uint32_t>("the checksum of the body");
  head.body_bytes = in.varint("the size of the body", kFrameBytesMax - kFrameHeadBytesMax);
  return head;
}

void read_registers(PartReader& in, std::string_view registers) {
  static constexpr std::string_view kExpected =
      "registers of three bytes, by ascending index below 16384, of ranks from 1 to 51";
  if (registers.size() % kRegisterBytes != 0)
    in.refuse(registers.data(), kExpected, registers.size());
  unsigned next = 0;
  for (size_t i = 0; in.ok() && i < registers.size(); i += kRegisterBytes) {
    const char* at = registers.data() + i;
    uint16_t index;
    std::memcpy(&index, at, sizeof(index));
    const auto rank = static_cast<uint8_t>(at[2]);
    if (index < next || index >= kRegisterCount) in.refuse(at, kExpected, index);
    if (rank == 0 || rank > kRankMax) in.refuse(at + 2, kExpected, rank);
    next = index + 1u;
  }
}

int64_t read_deadline(PartReader& in) {
  static constexpr std::string_view kExpected = "a deadline in ms of Unix time, or -1";
  const char* start = in.at();
  const int64_t at_ms = unzigzag(in.varint(kExpected, UINT64_MAX));
  if (at_ms < -1) in.refuse(start, kExpected, std::to_string(at_ms));
  return at_ms;
}

// Of the encodings that the x87 knows, those that a computation yields: finite, and normalised when
// the exponent is not zero.
long double read_long_double(PartReader& in) {
  static constexpr std::string_view kExpected = "a finite long double";
  const char* start = in.at();
  const auto sign_and_exponent = in.fixed<uint16_t>(kExpected);
  const auto mantissa = in.fixed<uint64_t>(kExpected);
  const unsigned exponent = sign_and_exponent & kExponentMask;
  if (exponent == kExponentMask) in.refuse(start, kExpected, "one that is not finite");
  if ((exponent != 0) != (mantissa >> 63 != 0)) in.refuse(start, kExpected, "one not normalised");
  long double value = 0;
  if (in.ok()) {
    std::memcpy(&value, &mantissa, sizeof(mantissa));
    std::memcpy(reinterpret_cast<char*>(&value) + kMantissaBytes, &sign_and_exponent,
                sizeof(sign_and_exponent));
  }
  return value;
}

Total read_sum(PartReader& in, Stamp stamp) {
  Total total;
  const char* start = in.at();
  total.actor = in.fixed<Actor>("an actor");
  if (actor_rack(total.actor) == 0)
    in.refuse(start, "an actor of a rack from 1 to 255", total.actor);
  start = in.at();
  total.generation = in.stamp();
  if (total.generation > stamp) {
    in.refuse(start, "a generation that is not later than its total", total.generation);
  }
  total.stamp = stamp;
  total.sum.whole = in.fixed<__int128>("the whole part of a sum");
  total.sum.part = read_long_double(in);
  return total;
}

ItemId read_item(PartReader& in, const Delta& delta, Stamp stamp) {
  ItemId item;
  item.head = in.byte("a side: 0 for the tail, 1 for the head", 0, 1) == 1;
  const char* start = in.at();
  item.stamp = in.age(delta.stamp);
  if (item.stamp > stamp) in.refuse(start, "an item that is not later than its fact", item.stamp);
  item.index = static_cast<uint32_t>(in.varint("the index of an item", UINT32_MAX - 1));
  return item;
}

double read_score(PartReader& in) {
  const char* start = in.at();
  const auto score = in.fixed<double>("a score");
  if (std::isnan(score)) in.refuse(start, "a score", "nan");
  return score;
}

void read_fact(PartReader& in, const Delta& delta, Fact& fact) {
  fact.kind = FactKind{in.byte("a fact's kind from 1 to 19", 1, kFactKindLast)};
  if (!in.ok()) return;
  const uint16_t parts = row_of(fact.kind).parts;
  fact.stamp = in.age(delta.stamp);
  if (parts & kPartType) fact.type = Type{in.byte("a type from 0 to 5", 0, kTypeCount)};
  if (parts & kPartPrev) {
    const bool has_prev = in.byte("0 or 1: whether there is a previous stamp", 0, 1) == 1;
    if (has_prev) fact.prev = in.age(delta.stamp);
  }
  if (parts & kPartItem) fact.item = read_item(in, delta, fact.stamp);
  if (parts & kPartElement) fact.element = in.bytes("an element", kFrameBytesMax);
  if (parts & kPartDeadline) fact.number = read_deadline(in);
  const char* start = in.at();
  if (parts & kPartOffset) {
    fact.number = static_cast<int64_t>(in.varint("an offset of at most 512 MB", kStringBytesMax));
  }
  if (parts & kPartValue) fact.value = in.bytes("a value", kFrameBytesMax);
  if ((parts & kPartOffset) && fact.number + fact.value.size() > kStringBytesMax) {
    in.refuse(start, "a patch that ends within 512 MB", fact.number + fact.value.size());
  }
  if (fact.kind == FactKind::kRegisters) read_registers(in, fact.value);
  if (parts & kPartScore) fact.score = read_score(in);
  if (parts & kPartCount) {
    start = in.at();
    const uint64_t most = UINT32_MAX - fact.item.index;
    fact.count = static_cast<uint32_t>(in.varint("items up to the index 4294967294", most));
    if (fact.count == 0) in.refuse(start, "at least one item", uint64_t{0});
  }
  if (parts & kPartSum) fact.total = read_sum(in, fact.stamp);
}

void read_delta(PartReader& in, Delta& delta) {
  delta.db = in.byte("a database from 0 to 15", 0, kFrameDbMax);
  delta.stamp = in.stamp();
  delta.key = in.bytes("a key of at most 512 MB", kStringBytesMax);
  const char* start = in.at();
  const uint64_t most = in.left() / kFactBytesMin;
  const uint64_t count = in.varint("no more facts than have room in the rest of the frame", most);
  if (count == 0) in.refuse(start, "at least one fact", count);
  delta.facts.clear();
  for (uint64_t i = 0; i < count && in.ok(); ++i) {
    start = in.at();
    Fact& fact = delta.facts.emplace_back();
    read_fact(in, delta, fact);
    if (!in.ok()) return;
    if (i == 0 && fact.stamp != delta.stamp) {
      in.refuse(start, "a first fact with the delta's stamp", fact.stamp);
    }
    const bool is_flush = fact.kind == FactKind::kFlush;
    if (is_flush && !delta.key.empty()) in.refuse(start, "a flush of no key", delta.key.size());
    if (i > 0 && is_flush != (delta.facts[0].kind == FactKind::kFlush)) {
      in.refuse(start, "a flush beside no other facts", row_of(fact.kind).name);
    }
  }
}

}  // namespace

std::string read_frame(std::string_view frame, std::vector<Delta>* deltas) {
  PartReader in(frame);
  const FrameHead head = read_head(in);
  const std::string_view body(in.at(), in.left());
  if (body.size() != head.body_bytes) {
    in.refuse(in.at(), "a body of " + std::to_string(head.body_bytes) + " bytes", body.size());
  }
  if (in.ok()) {
    const auto checksum = frame_checksum(body);
    if (checksum != head.checksum) in.refuse(in.at(), "the body of its checksum", checksum);
  }
  // Deltas of the vector are filled again, so that a reader of many frames allocates rarely.
  size_t count = 0;
  while (in.ok() && in.left() > 0) {
    if (count == deltas->size()) deltas->emplace_back();
    read_delta(in, (*deltas)[count++]);
  }
  deltas->resize(in.ok() ? count : 0);
  return in.take_refusal();
}

size_t frame_bytes(std::string_view head) {
  PartReader in(head);
  const FrameHead read = read_head(in);
  return in.ok() ? in.offset() + read.body_bytes : 0;
}

}  // namespace dyno

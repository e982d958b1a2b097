// SPDX-License-Identifier: Apache-2.0
//
// The format of deltas: what is written is read again as it was, frames have the bytes that the
// grammar says, and deltas read well as text. What is refused: delta_refusal_test.cc.
#include "engine/replica/delta.h"

#include <doctest/doctest.h>

#include <limits>
#include <random>
#include <string>
#include <vector>

#include "tests/delta_bytes.h"

namespace dyno {
namespace {

using namespace std::string_view_literals;

// Bytes of a frame before a body of less than 128 bytes.
constexpr size_t kShortHeadBytes = 8;

std::string hex(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) {
    for (const int digit : {static_cast<uint8_t>(c) >> 4, c & 15}) out += "0123456789abcdef"[digit];
  }
  return out;
}

std::string without_spaces(std::string text) {
  std::erase(text, ' ');
  return text;
}

// One fact of each kind, which the cases below fill with the ends of their ranges.
Fact fact_of(FactKind kind, Stamp stamp = kS) {
  Fact fact;
  fact.kind = kind;
  fact.stamp = stamp;
  if (kind == FactKind::kTotal || kind == FactKind::kObserved) {
    fact.total = {.actor = make_actor(1, 0), .generation = kOldest, .stamp = stamp, .sum = {}};
  }
  if (kind == FactKind::kItem || kind == FactKind::kItemGone) fact.item.stamp = kOldest;
  return fact;
}

struct Written {
  int db;
  std::string_view key;
  Fact fact;
};

std::string write(const std::vector<Written>& all) {
  FrameWriter writer;
  for (const Written& each : all) writer.add(each.db, each.key, each.fact);
  return std::string(writer.finish());
}

std::string write(const std::vector<Delta>& deltas) {
  FrameWriter writer;
  for (const Delta& delta : deltas) {
    for (const Fact& fact : delta.facts) writer.add(delta.db, delta.key, fact);
  }
  return std::string(writer.finish());
}

std::vector<Delta> read(std::string_view frame) {
  std::vector<Delta> deltas;
  const std::string refusal = read_frame(frame, &deltas);
  REQUIRE_MESSAGE(refusal.empty(), refusal);
  return deltas;
}

void with_stamps(std::vector<Fact>* facts, Fact fact) {
  for (const Stamp prev : {Stamp{0}, kOldest, kS, kNewest}) {
    fact.prev = prev;
    facts->push_back(fact);
  }
}

// Every kind, with the ends of the ranges of its parts.
std::vector<Fact> edge_facts() {
  static const std::string kLong(100000, '\xff');
  static const std::string kBinary("\0\r\n\x80\xff", 5);
  static const std::string kAllRegisters = [] {
    Bytes all;
    for (unsigned i = 0; i < 16384; ++i) all.u16(static_cast<uint16_t>(i)).u8(1 + i % 51);
    return all.str();
  }();
  std::vector<Fact> facts;
  for (const FactKind kind : {FactKind::kClear, FactKind::kOtherType}) {
    for (const Stamp stamp : {kOldest, kS, kNewest}) facts.push_back(fact_of(kind, stamp));
  }
  for (const std::string_view text :
       {std::string_view(), std::string_view(kBinary), std::string_view(kLong).substr(0, 127),
        std::string_view(kLong).substr(0, 128), std::string_view(kLong)}) {
    for (const FactKind kind : {FactKind::kValue, FactKind::kPatch, FactKind::kField}) {
      Fact fact = fact_of(kind);
      fact.value = text;
      if (kind == FactKind::kField) fact.element = text;
      if (kind == FactKind::kPatch) fact.number = (512 << 20) - static_cast<int64_t>(text.size());
      with_stamps(&facts, fact);
    }
    for (const FactKind kind : {FactKind::kFieldGone, FactKind::kFieldDeadline, FactKind::kMember,
                                FactKind::kMemberGone, FactKind::kScoreGone}) {
      Fact fact = fact_of(kind);
      fact.element = text;
      facts.push_back(fact);
    }
  }
  for (const FactKind kind : {FactKind::kDeadline, FactKind::kFieldDeadline}) {
    for (const int64_t at : {int64_t{-1}, int64_t{0}, kSomeMs, INT64_MAX}) {
      facts.push_back(fact_of(kind));
      facts.back().number = at;
    }
  }
  for (const std::string_view registers :
       {""sv, "\0\0\1"sv, "\0\0\1\xff\x3f\x33"sv, std::string_view(kAllRegisters)}) {
    Fact fact = fact_of(FactKind::kRegisters);
    fact.value = registers;
    with_stamps(&facts, fact);
  }
  using Double = std::numeric_limits<double>;
  for (const double score : {0.0, -0.0, 1.5, Double::infinity(), -Double::infinity(),
                             Double::denorm_min(), Double::max(), Double::lowest()}) {
    Fact fact = fact_of(FactKind::kScore);
    fact.score = score;
    with_stamps(&facts, fact);
  }
  for (const bool head : {false, true}) {
    for (const uint32_t index : {0u, 127u, 128u, UINT32_MAX - 1}) {
      for (const FactKind kind : {FactKind::kItem, FactKind::kItemGone}) {
        for (const Stamp stamp : {kOldest, kS}) {
          facts.push_back(fact_of(kind));
          facts.back().item = {.head = head, .index = index, .stamp = stamp};
        }
      }
      facts.back().count = UINT32_MAX - index;
    }
  }
  for (int type = 0; type < kTypeCount; ++type) {
    facts.push_back(fact_of(FactKind::kType));
    facts.back().type = static_cast<Type>(type);
  }
  using Extended = std::numeric_limits<long double>;
  constexpr auto kWholeMax = static_cast<__int128>(~static_cast<unsigned __int128>(0) >> 1);
  for (const FactKind kind : {FactKind::kTotal, FactKind::kObserved}) {
    for (const Actor actor : {make_actor(1, 0), make_actor(255, kIncarnationMax)}) {
      for (const __int128 whole : {__int128{0}, __int128{-1}, kWholeMax, -kWholeMax - 1}) {
        for (const long double part : {0.0L, -0.0L, 0.1L, Extended::max(), Extended::lowest(),
                                       Extended::min(), Extended::denorm_min()}) {
          Fact fact = fact_of(kind);
          fact.type = static_cast<Type>(facts.size() % kTypeCount);
          fact.element = kBinary;
          fact.total = {.actor = actor, .generation = kS, .stamp = kS, .sum = {whole, part}};
          facts.push_back(fact);
        }
      }
    }
  }
  return facts;
}

}  // namespace

TEST_CASE("every kind is read as it was written, with the ends of its ranges") {
  for (const Fact& fact : edge_facts()) {
    const std::string frame = write({{15, "key", fact}});
    const std::vector<Delta> deltas = read(frame);
    REQUIRE(deltas.size() == 1);
    CHECK(deltas[0] == Delta{.db = 15, .stamp = fact.stamp, .key = "key", .facts = {fact}});
    // The text tells the signs of zeros apart, which are equal otherwise.
    const Delta given{.db = 15, .stamp = fact.stamp, .key = "key", .facts = {fact}};
    CHECK(describe(deltas[0]) == describe(given));
    CHECK(write(deltas) == frame);
  }
}

TEST_CASE("all facts in one delta, whose stamp is the oldest or the newest") {
  for (const Stamp first : {kOldest, kS, kNewest}) {
    std::vector<Fact> facts = {fact_of(FactKind::kClear, first)};
    for (const Fact& fact : edge_facts()) facts.push_back(fact);
    const Delta all{.db = 0, .stamp = first, .key = "", .facts = facts};
    const std::string frame = write(std::vector<Delta>{all});
    CHECK(read(frame) == std::vector<Delta>{all});
    CHECK(write(read(frame)) == frame);
  }
}

TEST_CASE("random frames are read as they were written") {
  std::mt19937_64 random(20240101);
  const std::vector<Fact> edges = edge_facts();
  const std::string keys[] = {"", "k", "key", std::string(300, 'k')};
  FrameWriter writer;
  std::vector<Delta> deltas;
  for (int round = 0; round < 2000; ++round) {
    std::vector<Written> expected;
    for (uint64_t i = random() % 12; i > 0; --i) {
      Written each{static_cast<int>(random() % 16), keys[random() % 4], {}};
      if (random() % 2 == 0 && !expected.empty()) each.db = expected.back().db;
      if (random() % 2 == 0 && !expected.empty()) each.key = expected.back().key;
      do {
        each.fact = edges[random() % edges.size()];
      } while (each.fact.value.size() + each.fact.element.size() > 1000);
      each.fact.stamp = (random() >> random() % 40) | 1;
      each.fact.total.stamp = each.fact.total.actor == 0 ? 0 : each.fact.stamp;
      each.fact.total.generation = std::min(each.fact.total.generation, each.fact.stamp);
      each.fact.item.stamp = std::min(each.fact.item.stamp, each.fact.stamp);
      if (random() % 8 == 0) each = {each.db, "", fact_of(FactKind::kFlush)};
      expected.push_back(each);
      writer.add(each.db, each.key, each.fact);
    }
    CHECK(writer.fact_count() == expected.size());
    CHECK(writer.empty() == expected.empty());
    const std::string frame(writer.finish());
    writer.clear();
    const std::string refusal = read_frame(frame, &deltas);
    REQUIRE_MESSAGE(refusal.empty(), refusal);
    size_t at = 0;
    for (const Delta& delta : deltas) {
      CHECK(delta.stamp == delta.facts.front().stamp);
      for (const Fact& fact : delta.facts) {
        REQUIRE(at < expected.size());
        CHECK(delta.db == expected[at].db);
        CHECK(delta.key == expected[at].key);
        CHECK(fact == expected[at].fact);
        ++at;
      }
    }
    CHECK(at == expected.size());
    CHECK(write(deltas) == frame);
  }
}

TEST_CASE("facts have the bytes that the grammar says") {
  const Total total{
      .actor = make_actor(3, 7), .generation = kOldest, .stamp = kS, .sum = {-2, -1.5L}};
  const std::string_view registers("\x2c\x01\x33", 3);
  using Kind = FactKind;
  const struct {
    Fact fact;
    std::string_view bytes;
  } rows[] = {
      {{.kind = Kind::kClear, .stamp = kS}, "01 00"},
      {{.kind = Kind::kDeadline, .stamp = kS, .number = kSomeMs}, "02 00 d0df8fa59863"},
      {{.kind = Kind::kDeadline, .stamp = kS, .number = -1}, "02 00 01"},
      {{.kind = Kind::kValue, .stamp = kS, .value = "v"}, "03 00 00 0176"},
      {{.kind = Kind::kValue, .stamp = kS, .prev = kOldest, .value = "v"},
       "03 00 01 808880a01f 0176"},
      {{.kind = Kind::kPatch, .stamp = kS, .prev = kNewest, .value = "v", .number = 300},
       "04 00 01 fbf7ffdfe0ffffffff03 ac02 0176"},
      {{.kind = Kind::kRegisters, .stamp = kS, .value = registers}, "05 00 00 03 2c01 33"},
      {{.kind = Kind::kTotal, .type = Type::kHash, .stamp = kS, .element = "f", .total = total},
       "06 00 04 0166 07000003 0100000000000000 feffffffffffffffffffffffffffffff"
       "ffbf 00000000000000c0"},
      {{.kind = Kind::kObserved, .type = Type::kString, .stamp = kS, .total = total},
       "07 00 00 00 07000003 0100000000000000 feffffffffffffffffffffffffffffff"
       "ffbf 00000000000000c0"},
      {{.kind = Kind::kField, .stamp = kS, .element = "f", .value = "v"}, "08 00 00 0166 0176"},
      {{.kind = Kind::kFieldGone, .stamp = kS, .element = "f"}, "09 00 0166"},
      {{.kind = Kind::kFieldDeadline, .stamp = kS, .element = "f", .number = 0}, "0a 00 0166 00"},
      {{.kind = Kind::kMember, .stamp = kS, .element = "m"}, "0b 00 016d"},
      {{.kind = Kind::kMemberGone, .stamp = kS, .element = "m"}, "0c 00 016d"},
      {{.kind = Kind::kScore, .stamp = kS, .element = "m", .score = 1.5},
       "0d 00 00 016d 000000000000f83f"},
      {{.kind = Kind::kScoreGone, .stamp = kS, .element = "m"}, "0e 00 016d"},
      {{.kind = Kind::kItem, .stamp = kS, .value = "v", .item = {true, 300, kS}},
       "0f 00 01 00 ac02 0176"},
      {{.kind = Kind::kItemGone, .stamp = kS, .item = {false, 0, kOldest}, .count = 300},
       "10 00 00 808880a01f 00 ac02"},
      {{.kind = Kind::kType, .type = Type::kZSet, .stamp = kS}, "11 00 03"},
      {{.kind = Kind::kOtherType, .stamp = kS}, "12 00"},
  };
  for (const auto& [fact, bytes] : rows) {
    const std::string frame = write(std::vector<Written>{{2, "k", fact}});
    const std::string body = hex(std::string_view(frame).substr(kShortHeadBytes));
    CHECK(body == without_spaces("02 010200fa00000000 016b 01" + std::string(bytes)));
  }
}

TEST_CASE("frames have the bytes that the grammar says") {
  CHECK(hex(write(std::vector<Written>{})) == without_spaces("f144 01 c294d338 00"));
  // MULTI, FLUSHDB, SET "" x, HSET k f v g w, SADD of another database, EXEC.
  const Stamp second = kS + (Stamp{1} << kStampRackBits);
  const std::vector<Written> transaction = {
      {0, "", fact_of(FactKind::kFlush)},
      {0, "", {.kind = FactKind::kValue, .stamp = second, .value = "x"}},
      {0, "k", {.kind = FactKind::kField, .stamp = second, .element = "f", .value = "v"}},
      {0, "k", {.kind = FactKind::kField, .stamp = second, .element = "g", .value = "w"}},
      {1, "k", {.kind = FactKind::kMember, .stamp = kS, .element = "m"}},
      {1, "k", {.kind = FactKind::kMember, .stamp = second, .element = "n"}},
  };
  CHECK(hex(write(transaction)) == without_spaces("f144 01 13bb21cc 4c"
                                                  "00 010200fa00000000 00 01  13 00"
                                                  "00 010300fa00000000 00 01  03 00 00 0178"
                                                  "00 010300fa00000000 016b 02"
                                                  "  08 00 00 0166 0176  08 00 00 0167 0177"
                                                  "01 010200fa00000000 016b 02"
                                                  "  0b 00 016d  0b ff03 016e"));
}

TEST_CASE("a delta of many facts has a count of several bytes") {
  for (const size_t count : {127u, 128u, 16383u, 16384u}) {
    const Fact fact = fact_of(FactKind::kClear);
    const Delta expected{.db = 0, .stamp = kS, .key = "k", .facts{count, fact}};
    Bytes body;
    body.delta(count);
    for (size_t i = 0; i < count; ++i) body.fact(FactKind::kClear);
    CHECK(write(std::vector<Delta>{expected}) == frame_of(body));
    CHECK(read(frame_of(body)) == std::vector<Delta>{expected});
  }
}

TEST_CASE("a writer goes on after it finished, and begins anew when it is cleared") {
  const std::string one = write({{0, "k", fact_of(FactKind::kClear)}});
  FrameWriter writer;
  writer.add(0, "k", fact_of(FactKind::kClear));
  CHECK(writer.finish() == one);
  CHECK(writer.finish() == one);
  writer.add(0, "k", fact_of(FactKind::kType));
  CHECK(writer.fact_count() == 2);
  CHECK(read(writer.finish()).size() == 2);
  writer.clear();
  CHECK(writer.empty());
  writer.add(0, "k", fact_of(FactKind::kClear));
  CHECK(writer.byte_count() >= one.size());
  CHECK(writer.finish() == one);
}

TEST_CASE("a vector of deltas is filled again") {
  std::vector<Delta> deltas = read(write({{0, "a", fact_of(FactKind::kClear)},
                                          {0, "a", fact_of(FactKind::kOtherType)},
                                          {0, "b", fact_of(FactKind::kClear)}}));
  const std::string next = write({{1, "c", fact_of(FactKind::kMember)}});
  CHECK(read_frame(next, &deltas).empty());
  CHECK(deltas == read(next));
  CHECK(read_frame(write(std::vector<Written>{}), &deltas).empty());
  CHECK(deltas.empty());
}

TEST_CASE("frames that follow one another are told apart by their heads") {
  const std::string value(300, 'v');
  Fact fact = fact_of(FactKind::kValue);
  fact.value = value;
  std::string all;
  std::vector<std::string> frames = {write(std::vector<Written>{}), write({{0, "k", fact}}),
                                     write({{0, "k", fact_of(FactKind::kClear)}})};
  for (const std::string& frame : frames) all += frame;
  size_t at = 0;
  for (const std::string& frame : frames) {
    CHECK(frame_bytes(std::string_view(all).substr(at, kFrameHeadBytesMax)) == frame.size());
    CHECK(frame_bytes(std::string_view(all).substr(at)) == frame.size());
    at += frame.size();
  }
}

TEST_CASE("what is no frame has no size") {
  const std::string frame = write({{0, "k", fact_of(FactKind::kClear)}});
  for (size_t size = 0; size < kShortHeadBytes; ++size)
    CHECK(frame_bytes(frame.substr(0, size)) == 0);
  CHECK(frame_bytes("*1\r\n$4\r\nPING\r\n") == 0);
  CHECK(frame_bytes(Bytes().u16(0x44f1).u8(2).u32(0).varint(0).str()) == 0);
  const uint64_t most = kFrameBytesMax - kFrameHeadBytesMax;
  CHECK(frame_bytes(Bytes().u16(0x44f1).u8(1).u32(0).varint(most).str()) <= kFrameBytesMax);
  CHECK(frame_bytes(Bytes().u16(0x44f1).u8(1).u32(0).varint(most).str()) > most);
  CHECK(frame_bytes(Bytes().u16(0x44f1).u8(1).u32(0).varint(most + 1).str()) == 0);
  CHECK(frame_bytes(Bytes().u16(0x44f1).u8(1).u32(0).varint(UINT64_MAX).str()) == 0);
}

TEST_CASE("deltas as text") {
  const std::string_view registers("\x2c\x01\x33\x2d\x01\x02", 6);
  Total total{.actor = make_actor(3, 7), .generation = kOldest, .stamp = kS, .sum = {-2, -1.5L}};
  const std::string value(300, 'v');
  const Delta delta{
      .db = 3,
      .stamp = kS,
      .key = "a b\n\"\xff",
      .facts = {
          {.kind = FactKind::kDeadline, .stamp = kS, .number = -1},
          {.kind = FactKind::kValue, .stamp = kS, .prev = kOldest, .value = value},
          {.kind = FactKind::kPatch, .stamp = kS, .value = "\r", .number = 300},
          {.kind = FactKind::kRegisters, .stamp = kS, .value = registers},
          {.kind = FactKind::kTotal, .type = Type::kHash, .stamp = kS, .total = total},
          {.kind = FactKind::kFieldDeadline, .stamp = kS, .element = "f", .number = kSomeMs},
          {.kind = FactKind::kScore, .stamp = kS, .element = "m", .score = -0.0},
          {.kind = FactKind::kItem, .stamp = kS, .value = "v", .item = {true, 300, kS}},
          {.kind = FactKind::kItemGone, .stamp = kS, .item = {false, 0, kOldest}, .count = 2},
      }};
  CHECK(describe(delta) ==
        "db=3 key=\"a b\\n\\\"\\xff\" stamp=1704067201000.2.1\n"
        "  deadline stamp=1704067201000.2.1 at=never\n"
        "  value stamp=1704067201000.2.1 prev=1704067200000.0.1 value=\"" +
            std::string(256, 'v') +
            "\"...(300 bytes)\n"
            "  patch stamp=1704067201000.2.1 prev=none offset=300 value=\"\\r\"\n"
            "  registers stamp=1704067201000.2.1 prev=none registers=300:51,301:2\n"
            "  total stamp=1704067201000.2.1 type=hash element=\"\" actor=3.7 "
            "generation=1704067200000.0.1 whole=-2 part=-1.5\n"
            "  field-deadline stamp=1704067201000.2.1 element=\"f\" at=1704067201000\n"
            "  score stamp=1704067201000.2.1 prev=none element=\"m\" score=-0\n"
            "  item stamp=1704067201000.2.1 item=head:1704067201000.2.1:300 value=\"v\"\n"
            "  item-gone stamp=1704067201000.2.1 item=tail:1704067200000.0.1:0 count=2\n");
}

TEST_CASE("the whole part of a sum as text") {
  constexpr auto kMost = static_cast<__int128>(~static_cast<unsigned __int128>(0) >> 1);
  Fact fact = fact_of(FactKind::kTotal);
  for (const auto& [whole, text] :
       {std::pair<__int128, std::string>{0, "whole=0 "},
        {kMost, "whole=170141183460469231731687303715884105727 "},
        {-kMost - 1, "whole=-170141183460469231731687303715884105728 "}}) {
    fact.total.sum.whole = whole;
    CHECK(describe({.stamp = kS, .key = "k", .facts = {fact}}).find(text) != std::string::npos);
  }
}

}  // namespace dyno

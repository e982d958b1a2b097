// SPDX-License-Identifier: Apache-2.0
//
// Whatever a writer would not have written is refused, with the place and what was expected, and
// nothing of it is returned.
#include <doctest/doctest.h>

#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "engine/replica/delta.h"
#include "tests/delta_bytes.h"

namespace dyno {
namespace {

using namespace std::string_view_literals;

using Kind = FactKind;

std::string refusal_of(std::string_view frame) {
  // A copy of its own, so that a sanitizer sees what is read beyond the end.
  const std::string copy(frame);
  std::vector<Delta> deltas(1);
  std::string refusal = read_frame(copy, &deltas);
  CHECK(deltas.empty() == !refusal.empty());
  return refusal;
}
std::string refusal_of(const Bytes& body) {
  return refusal_of(frame_of(body));
}

// A delta of one fact of the key "k", whose parts are to follow. They begin at byte 22.
Bytes one(Kind kind) {
  return Bytes().delta(1).fact(kind);
}

// The parts of a total but for its sum's floating part.
Bytes total(Actor actor = make_actor(1, 0), Stamp generation = kOldest) {
  return one(Kind::kTotal).u8(0).text("").u32(actor).u64(generation).i128(0);
}

// A frame that holds every kind, as a writer makes it.
std::string valid_frame() {
  FrameWriter writer;
  for (int kind = 1; kind < static_cast<int>(Kind::kFlush); ++kind) {
    Fact fact{.kind = static_cast<Kind>(kind), .stamp = kS, .element = "element"};
    if (fact.kind == Kind::kTotal || fact.kind == Kind::kObserved) {
      fact.total = {.actor = make_actor(1, 2), .generation = kS, .stamp = kS, .sum = {-3, 0.5L}};
    }
    if (fact.kind == Kind::kItem || fact.kind == Kind::kItemGone) fact.item.stamp = kOldest;
    if (kind % 2 == 0) fact.prev = kOldest;
    fact.value = fact.kind == Kind::kRegisters ? "\1\1\1\2\2\2"sv : "value"sv;
    writer.add(kind % 16, kind % 3 == 0 ? "key" : "", fact);
  }
  writer.add(0, "", {.kind = Kind::kFlush, .stamp = kS});
  return std::string(writer.finish());
}

// True when the frame was refused, or when it means the same after it was written again.
bool is_refused_or_same(const std::string& frame) {
  std::vector<Delta> deltas;
  if (!read_frame(frame, &deltas).empty()) return deltas.empty();
  FrameWriter writer;
  for (const Delta& delta : deltas) {
    for (const Fact& fact : delta.facts) writer.add(delta.db, delta.key, fact);
  }
  std::vector<Delta> again;
  if (!read_frame(writer.finish(), &again).empty()) return false;
  // The writer puts successive deltas of one key into one.
  std::vector<Fact> facts;
  std::vector<Fact> facts_again;
  for (const Delta& each : deltas) facts.insert(facts.end(), each.facts.begin(), each.facts.end());
  for (const Delta& each : again) {
    facts_again.insert(facts_again.end(), each.facts.begin(), each.facts.end());
  }
  return facts == facts_again;
}

}  // namespace

TEST_CASE("the head of a frame") {
  const std::string body = Bytes().delta(1).fact(Kind::kClear).str();
  CHECK(refusal_of(frame_of(body)).empty());
  const auto head = [&](uint16_t magic, unsigned version, uint64_t size) {
    std::string frame = Bytes().u16(magic).u8(version).u32(0).varint(size).raw(body).str();
    frame.replace(3, 4, frame_of(body), 3, 4);
    return refusal_of(frame);
  };
  CHECK(head(0x44f1, 1, body.size()) == "");
  CHECK(head(0x44f0, 1, body.size()) == "byte 0: expected the magic number of a frame; got 17648");
  CHECK(head(0x44f1, 0, body.size()) == "byte 2: expected version 1 of the format; got 0");
  CHECK(head(0x44f1, 2, body.size()) == "byte 2: expected version 1 of the format; got 2");
  CHECK(head(0x44f1, 1, body.size() - 1) == "byte 8: expected a body of 13 bytes; got 14");
  CHECK(head(0x44f1, 1, body.size() + 1) == "byte 8: expected a body of 15 bytes; got 14");
  CHECK(head(0x44f1, 1, 1 << 30) == "byte 7: expected the size of the body; got 1073741824");
  CHECK(head(0x44f1, 1, UINT64_MAX) ==
        "byte 7: expected the size of the body; got 18446744073709551615");
  std::string broken = frame_of(body);
  broken[3] = static_cast<char>(broken[3] ^ 1);
  CHECK(refusal_of(broken).starts_with("byte 8: expected the body of its checksum; got "));
  CHECK(refusal_of("") == "byte 0: expected the magic number of a frame; got the end of the frame");
}

TEST_CASE("numbers in their shortest form, of at most 64 bits") {
  const auto size = [](const Bytes& number) {
    return refusal_of(Bytes().u16(0x44f1).u8(1).u32(0).raw(number.str()).str());
  };
  CHECK(size(Bytes().u8(128).u8(0)).ends_with("got a number that is not in its shortest form"));
  CHECK(size(Bytes().raw(std::string(9, '\xff')).u8(2)).ends_with("got more than 64 bits"));
  CHECK(size(Bytes().raw(std::string(11, '\x80'))).ends_with("got more than 64 bits"));
  CHECK(size(Bytes().raw(std::string(3, '\x80'))).ends_with("got the end of the frame"));
}

TEST_CASE("the head of a delta") {
  const auto clear = [](Bytes& bytes) { return refusal_of(bytes.fact(Kind::kClear)); };
  CHECK(clear(Bytes().delta(1, "k", 15)) == "");
  CHECK(clear(Bytes().delta(1, "k", 16)) == "byte 8: expected a database from 0 to 15; got 16");
  CHECK(clear(Bytes().delta(1, "k", 255)) == "byte 8: expected a database from 0 to 15; got 255");
  CHECK(clear(Bytes().delta(1, "k", 0, 0)) ==
        "byte 9: expected a stamp with a rack from 1 to 255; got 0");
  CHECK(clear(Bytes().delta(1, "k", 0, 256)) ==
        "byte 9: expected a stamp with a rack from 1 to 255; got 256");
  CHECK(clear(Bytes().u8(0).u64(kS).varint(5).raw("k").varint(1)) ==
        "byte 18: expected a key of at most 512 MB; got the end of the frame");
  CHECK(clear(Bytes().u8(0).u64(kS).varint((512u << 20) + 1)) ==
        "byte 17: expected a key of at most 512 MB; got 536870913");
  CHECK(clear(Bytes().delta(0)) == "byte 19: expected at least one fact; got 0");
  CHECK(clear(Bytes().delta(2)) ==
        "byte 19: expected no more facts than have room in the rest of the frame; got 2");
  CHECK(clear(Bytes().delta(UINT64_MAX)).ends_with("got 18446744073709551615"));
}

TEST_CASE("a delta ends with its last fact") {
  CHECK(refusal_of(Bytes().delta(1).fact(Kind::kClear).u8(0)) ==
        "byte 23: expected a stamp; got the end of the frame");
  CHECK(refusal_of(Bytes().delta(2).fact(Kind::kMember).text("ab")) ==
        "byte 25: expected a fact's kind from 1 to 19; got the end of the frame");
}

TEST_CASE("kinds and ages") {
  const auto kind = [](unsigned number) { return refusal_of(Bytes().delta(1).u8(number).u8(0)); };
  CHECK(kind(0) == "byte 20: expected a fact's kind from 1 to 19; got 0");
  CHECK(kind(20) == "byte 20: expected a fact's kind from 1 to 19; got 20");
  CHECK(kind(255) == "byte 20: expected a fact's kind from 1 to 19; got 255");
  // The second of two facts, by its age.
  const auto age = [](Stamp base, const Bytes& bytes) {
    return refusal_of(Bytes().delta(2, "k", 0, base).fact(Kind::kClear).u8(1).raw(bytes.str()));
  };
  const std::string_view out =
      "byte 23: expected the age of a stamp; got one that leads out of 64 bits";
  const std::string_view rack = "byte 23: expected a stamp with a rack from 1 to 255; got ";
  CHECK(age(5, Bytes().varint(2 * 4)) == "");
  CHECK(age(5, Bytes().varint(2 * 5)).starts_with(rack));
  CHECK(age(5, Bytes().varint(2 * 6)) == out);
  CHECK(age(5, Bytes().varint(2 * 251 - 1)).starts_with(rack));
  CHECK(age(5, Bytes().varint(2 * 252 - 1)) == "");
  CHECK(age(kNewest, Bytes().varint(0)) == "");
  CHECK(age(kNewest, Bytes().varint(1)) == out);
  CHECK(age(kNewest - 1, Bytes().varint(1)) == "");
  CHECK(age(kNewest - 1, Bytes().varint(3)) == out);
  CHECK(age(kNewest, Bytes().raw("\xfc\xff\xff\xff\xff\xff\xff\xff\xff\x03")) == "");
  CHECK(age(kNewest, Bytes().raw("\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x03")).starts_with(rack));
  CHECK(age(1, Bytes().raw("\xfb\xff\xff\xff\xff\xff\xff\xff\xff\x03")) == "");
  CHECK(age(1, Bytes().raw("\xfd\xff\xff\xff\xff\xff\xff\xff\xff\x03")) == out);
  CHECK(age(kNewest, Bytes().raw("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x04"))
            .starts_with("byte 24: expected the age of a stamp; got "));
  CHECK(age(kS, Bytes().u8(128).u8(0)) ==
        "byte 23: expected the age of a stamp; got a number that is not in its shortest form");
  CHECK(age(kS, Bytes().u8(129).u8(128).u8(0)) ==
        "byte 24: expected the age of a stamp; got a number that is not in its shortest form");
  CHECK(refusal_of(Bytes().delta(1).u8(1).varint(2)) ==
        "byte 21: expected a stamp with a rack from 1 to 255; got " + std::to_string(kS - 1));
  CHECK(refusal_of(Bytes().delta(1).u8(1).varint(512)) ==
        "byte 20: expected a first fact with the delta's stamp; got " + std::to_string(kS - 256));
}

TEST_CASE("deadlines") {
  const std::string_view expected = "byte 22: expected a deadline in ms of Unix time, or -1; got ";
  CHECK(refusal_of(one(Kind::kDeadline).varint(zigzag(-1))) == "");
  CHECK(refusal_of(one(Kind::kDeadline).varint(zigzag(-2))) == std::string(expected) + "-2");
  CHECK(refusal_of(one(Kind::kDeadline).varint(zigzag(INT64_MIN))) ==
        std::string(expected) + "-9223372036854775808");
  CHECK(refusal_of(one(Kind::kFieldDeadline).text("f").varint(zigzag(-2))).ends_with("got -2"));
}

TEST_CASE("previous stamps") {
  for (const Kind kind :
       {Kind::kValue, Kind::kPatch, Kind::kRegisters, Kind::kField, Kind::kScore}) {
    CAPTURE(static_cast<int>(kind));
    CHECK(refusal_of(one(kind).u8(2)) ==
          "byte 22: expected 0 or 1: whether there is a previous stamp; got 2");
    CHECK(refusal_of(one(kind).u8(1).varint(2 * kS)).ends_with("from 1 to 255; got 0"));
    CHECK(refusal_of(one(kind).u8(1).varint(2 * kS + 2)).ends_with("that leads out of 64 bits"));
  }
}

TEST_CASE("patches end within 512 MB") {
  const uint64_t most = 512u << 20;
  CHECK(refusal_of(one(Kind::kPatch).u8(0).varint(most - 1).text("v")) == "");
  CHECK(refusal_of(one(Kind::kPatch).u8(0).varint(most).text("")) == "");
  CHECK(refusal_of(one(Kind::kPatch).u8(0).varint(most).text("v")) ==
        "byte 23: expected a patch that ends within 512 MB; got 536870913");
  CHECK(refusal_of(one(Kind::kPatch).u8(0).varint(most + 1).text("")) ==
        "byte 23: expected an offset of at most 512 MB; got 536870913");
  CHECK(refusal_of(one(Kind::kPatch).u8(0).varint(UINT64_MAX).text("v"))
            .ends_with("at most 512 MB; got 18446744073709551615"));
}

TEST_CASE("registers") {
  const auto registers = [](std::string_view bytes) {
    return refusal_of(one(Kind::kRegisters).u8(0).text(bytes));
  };
  const std::string_view expected =
      "expected registers of three bytes, by ascending index below 16384, of ranks from 1 to 51; "
      "got ";
  CHECK(registers("\0\0\1\1\0\x33\xff\x3f\1"sv) == "");
  CHECK(registers("\0\0"sv) == "byte 24: " + std::string(expected) + "2");
  CHECK(registers("\0\0\1\1"sv) == "byte 24: " + std::string(expected) + "4");
  CHECK(registers("\0\0\0"sv) == "byte 26: " + std::string(expected) + "0");
  CHECK(registers("\0\0\x34"sv) == "byte 26: " + std::string(expected) + "52");
  CHECK(registers("\0\x40\1"sv) == "byte 24: " + std::string(expected) + "16384");
  CHECK(registers("\5\0\1\5\0\2"sv) == "byte 27: " + std::string(expected) + "5");
  CHECK(registers("\5\0\1\4\0\2"sv) == "byte 27: " + std::string(expected) + "4");
}

TEST_CASE("types and totals") {
  for (const Kind kind : {Kind::kType, Kind::kTotal, Kind::kObserved}) {
    CHECK(refusal_of(one(kind).u8(6)) == "byte 22: expected a type from 0 to 5; got 6");
  }
  const auto sum = [](Bytes bytes) { return refusal_of(bytes.u16(0).u64(0)); };
  CHECK(sum(total()) == "");
  CHECK(sum(total(make_actor(0, 7))) ==
        "byte 24: expected an actor of a rack from 1 to 255; got 7");
  CHECK(sum(total(make_actor(1, 0), kS)) == "");
  CHECK(sum(total(make_actor(1, 0), kS + 1)) ==
        "byte 28: expected a generation that is not later than its total; got " +
            std::to_string(kS + 1));
  CHECK(sum(total(make_actor(1, 0), 0)) ==
        "byte 28: expected a stamp with a rack from 1 to 255; got 0");
}

TEST_CASE("long doubles are finite and normalised") {
  const auto part = [](uint16_t sign_and_exponent, uint64_t mantissa) {
    return refusal_of(total().u16(sign_and_exponent).u64(mantissa));
  };
  const uint64_t unit = uint64_t{1} << 63;
  const std::string_view not_finite =
      "byte 52: expected a finite long double; got one that is not finite";
  const std::string_view not_normal =
      "byte 52: expected a finite long double; got one not normalised";
  CHECK(part(0x3fff, unit) == "");
  CHECK(part(0x8000, 0) == "");
  CHECK(part(0, 1) == "");
  CHECK(part(0x7ffe, UINT64_MAX) == "");
  CHECK(part(0x7fff, unit) == not_finite);
  CHECK(part(0xffff, unit) == not_finite);
  CHECK(part(0x7fff, unit | 1) == not_finite);
  CHECK(part(0x7fff, 0) == not_finite);
  CHECK(part(0x3fff, unit - 1) == not_normal);
  CHECK(part(0x3fff, 0) == not_normal);
  CHECK(part(0, unit) == not_normal);
}

TEST_CASE("scores are numbers") {
  const auto score = [](uint64_t bits) {
    return refusal_of(one(Kind::kScore).u8(0).text("m").u64(bits));
  };
  CHECK(score(0x7ff0000000000000) == "");
  CHECK(score(0xfff0000000000000) == "");
  for (const uint64_t nan : {0x7ff8000000000000u, 0x7ff0000000000001u, 0xffffffffffffffffu}) {
    CHECK(score(nan) == "byte 25: expected a score; got nan");
  }
}

TEST_CASE("items") {
  const auto gone = [](unsigned side, uint64_t age, uint64_t index, uint64_t count) {
    return refusal_of(one(Kind::kItemGone).u8(side).varint(age).varint(index).varint(count));
  };
  CHECK(gone(0, 0, 0, UINT32_MAX) == "");
  CHECK(gone(1, 0, UINT32_MAX - 1, 1) == "");
  CHECK(gone(2, 0, 0, 1) == "byte 22: expected a side: 0 for the tail, 1 for the head; got 2");
  CHECK(gone(0, zigzag(-1), 0, 1) ==
        "byte 23: expected an item that is not later than its fact; got " + std::to_string(kS + 1));
  CHECK(gone(0, 2, 0, 1).starts_with("byte 23: expected a stamp with a rack from 1 to 255; got "));
  CHECK(gone(0, 0, 0, 0) == "byte 25: expected at least one item; got 0");
  CHECK(gone(0, 0, 1, UINT32_MAX) ==
        "byte 25: expected items up to the index 4294967294; got 4294967295");
  CHECK(gone(0, 0, UINT32_MAX, 1) == "byte 24: expected the index of an item; got 4294967295");
  CHECK(gone(0, 0, uint64_t{1} << 32, 1).ends_with("the index of an item; got 4294967296"));
}

TEST_CASE("flushes share a delta with nothing") {
  const auto both = [](std::string_view key, Kind first, Kind second) {
    return refusal_of(Bytes().delta(2, key).fact(first).fact(second));
  };
  CHECK(both("", Kind::kFlush, Kind::kFlush) == "");
  CHECK(both("", Kind::kClear, Kind::kClear) == "");
  CHECK(both("", Kind::kClear, Kind::kFlush) ==
        "byte 21: expected a flush beside no other facts; got flush");
  CHECK(both("", Kind::kFlush, Kind::kClear) ==
        "byte 21: expected a flush beside no other facts; got clear");
  CHECK(both("k", Kind::kFlush, Kind::kFlush) == "byte 20: expected a flush of no key; got 1");
}

TEST_CASE("a frame that ends early is refused wherever it ends") {
  const std::string frame = valid_frame();
  const std::string body = frame.substr(frame_of("").size() + 1);
  REQUIRE(frame_of(body) == frame);
  for (size_t size = 0; size < frame.size(); ++size) {
    CHECK_FALSE(refusal_of(frame.substr(0, size)).empty());
  }
  // With sizes and checksums that agree, it is taken where a delta ends.
  int taken = 0;
  for (size_t size = 1; size < body.size(); ++size) {
    const std::string part = frame_of(std::string_view(body).substr(0, size));
    CHECK(is_refused_or_same(part));
    taken += refusal_of(part).empty() ? 1 : 0;
  }
  CHECK(taken == 18);
  CHECK(refusal_of(frame + "x").starts_with("byte 9: expected a body of "));
}

TEST_CASE("any flipped bit is seen; with the checksum made right the rest is still judged") {
  const std::string frame = valid_frame();
  const size_t head = frame_of("").size() + 1;
  size_t refused = 0;
  for (size_t bit = 0; bit < frame.size() * 8; ++bit) {
    std::string flipped = frame;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ 1 << bit % 8);
    CHECK_FALSE(refusal_of(flipped).empty());
    if (bit / 8 < head) continue;
    const std::string mended = frame_of(std::string_view(flipped).substr(head));
    CHECK(is_refused_or_same(mended));
    refused += refusal_of(mended).empty() ? 0 : 1;
  }
  CHECK(refused > frame.size());
}

TEST_CASE("random bytes behind a right head") {
  std::mt19937 random(7);
  const std::string body = valid_frame().substr(frame_of("").size() + 1);
  for (int round = 0; round < 20000; ++round) {
    std::string changed = body;
    for (uint32_t i = 1 + random() % 4; i > 0; --i) {
      const size_t at = random() % changed.size();
      switch (random() % 3) {
        case 0:
          changed[at] = static_cast<char>(random());
          break;
        case 1:
          changed.erase(at, 1 + random() % 4);
          break;
        default:
          changed.insert(at, body, random() % body.size(), random() % 20);
      }
    }
    REQUIRE(is_refused_or_same(frame_of(changed)));
  }
}

}  // namespace dyno

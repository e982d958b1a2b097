// SPDX-License-Identifier: Apache-2.0
//
// Brief records: what is written into one is what is read from it.
#include <doctest/doctest.h>

#include <cstdint>

#include "engine/replica/brief_record.h"

namespace dyno {
namespace {

constexpr int64_t kNowMs = kStampEpochMs + 90'000'000'000;

KeyRecord timed_string(Stamp base, Stamp deadline_stamp, int64_t deadline_ms) {
  KeyRecord record;
  record.db = 15;
  record.is_live = true;
  record.base = record.clear = record.type_stamp = base;
  record.deadline_stamp = deadline_stamp;
  record.deadline_ms = deadline_ms;
  record.latest = base > deadline_stamp ? base : deadline_stamp;
  return record;
}

}  // namespace

TEST_CASE("a string has the deadline and the stamps that it was written with") {
  const Stamp base = make_stamp(kNowMs, 3, 1);
  for (Stamp deadline_stamp : {make_stamp(kNowMs, 4, 1), make_stamp(kNowMs + 5, 0, 255),
                               make_stamp(kNowMs - 86'400'000, 0, 2), Stamp{1}}) {
    const int64_t set_ms = stamp_ms(deadline_stamp);
    for (int64_t deadline_ms :
         {int64_t{0}, int64_t{1}, set_ms - 1, set_ms - 1000, set_ms, set_ms + 999, set_ms + 1000,
          set_ms + 100'000'001, INT64_MAX - 1, INT64_MAX, int64_t{-1}}) {
      CAPTURE(deadline_ms);
      KeyRecord record = timed_string(base, deadline_stamp, deadline_ms);
      REQUIRE(BriefRecord::can_tell(record));
      BriefRecord* brief = BriefRecord::write(record, nullptr);
      CHECK(brief->db() == record.db);
      CHECK(brief->latest() == record.latest);
      CHECK_FALSE(brief->has_counters());
      KeyRecord read;
      brief->read(&read);
      BriefRecord::release(brief);
      CHECK(read.type == Type::kString);
      CHECK(read.base == base);
      CHECK(read.clear == base);
      CHECK(read.type_stamp == base);
      CHECK(read.other_stamp == 0);
      CHECK(read.deadline_stamp == deadline_stamp);
      CHECK(read.deadline_ms == deadline_ms);
    }
  }
}

TEST_CASE("a record that says another time before the first one is not told in brief") {
  const Stamp base = make_stamp(kNowMs, 3, 1);
  CHECK_FALSE(BriefRecord::can_tell(timed_string(base, base + 256, -2)));
}

TEST_CASE("a string's counter lies in the record, those of a hash are owned by it") {
  const Stamp stamp = make_stamp(kNowMs, 0, 1);
  for (Type type : {Type::kString, Type::kHash}) {
    KeyRecord record;
    record.type = type;
    record.is_live = true;
    record.clear = record.type_stamp = record.latest = stamp;
    (void)record.add_counter(type, {}).add(make_actor(1, 1), stamp, {.whole = 7});
    REQUIRE(BriefRecord::can_tell(record));
    BriefRecord* brief = BriefRecord::write(record, nullptr);
    CHECK(record.counters == nullptr);
    CHECK(brief->has_counters());
    KeyRecord read;
    brief->read(&read);
    BriefRecord::release(brief);
    CHECK(read.type == type);
    CHECK(read.latest == stamp);
    REQUIRE(read.counter(type, {}) != nullptr);
    CHECK(read.counter(type, {})->totals().size() == 1);
    CHECK(read.counter(type, {})->totals().front().stamp == stamp);
  }
}

}  // namespace dyno

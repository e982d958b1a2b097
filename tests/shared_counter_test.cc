// SPDX-License-Identifier: Apache-2.0
//
// Counters that several replicas add to: what each rule is there for.
#include "engine/replica/shared_counter.h"

#include <doctest/doctest.h>

#include <array>
#include <limits>

#include "engine/replica/counter_bytes.h"

namespace dyno {
namespace {

constexpr Actor kOne = make_actor(1, 1);
constexpr Actor kTwo = make_actor(2, 1);
constexpr SharedCounter::Cut kNoCut = {};

Stamp at(int64_t ms, uint8_t rack = 1) {
  return make_stamp(kStampEpochMs + ms, 0, rack);
}
SharedCounter::Base number(Stamp stamp, std::string_view text) {
  return {stamp, true, std::string(text), 0};
}

TEST_CASE("increments of several actors add up, in any order and however often they come") {
  SharedCounter here(Type::kString);
  SharedCounter there(Type::kString);
  CHECK(here.set_base(number(at(1), "10")));
  Total a = here.add(kOne, at(2), {.whole = 5});
  Total b = here.add(kOne, at(3), {.whole = 2});
  Total c = there.add(kTwo, at(2, 2), {.whole = 100});
  CHECK(there.add_total(b));
  CHECK_FALSE(there.add_total(a));
  CHECK_FALSE(there.add_total(b));
  CHECK(there.set_base(number(at(1), "10")));
  CHECK(here.add_total(c));
  CHECK(here.text(kNoCut) == "117");
  CHECK(there.text(kNoCut) == "117");
}

TEST_CASE("a SET takes away what it has seen, and nothing else") {
  SharedCounter here(Type::kString);
  Total a = here.add(kOne, at(2), {.whole = 5});
  SharedCounter there(Type::kString);
  CHECK(there.add_total(a));
  // At the same time: one more here, a SET there.
  Total b = here.add(kOne, at(3), {.whole = 7});
  there.observe_all();
  CHECK(there.set_base(number(at(4, 2), "100")));
  CHECK(there.text(kNoCut) == "100");
  CHECK(there.add_total(b));
  CHECK(there.text(kNoCut) == "107");
  for (const Total& total : there.observed()) CHECK(here.add_observed(total));
  CHECK(here.set_base(number(at(4, 2), "100")));
  CHECK(here.text(kNoCut) == "107");
}

TEST_CASE("a SET that loses has taken away what it had seen, too") {
  SharedCounter counter(Type::kString);
  Total a = counter.add(kOne, at(2), {.whole = 5});
  CHECK(counter.set_base(number(at(9), "1")));
  CHECK(counter.text(kNoCut) == "6");
  CHECK(counter.add_observed(a));
  CHECK_FALSE(counter.set_base(number(at(8), "50")));
  CHECK(counter.text(kNoCut) == "1");
}

TEST_CASE("who was observed as a whole begins a new generation") {
  SharedCounter counter(Type::kString);
  (void)counter.add(kOne, at(2), {.whole = 5});
  counter.observe_all();
  Total next = counter.add(kOne, at(3), {.whole = 1});
  CHECK(next.generation == at(3));
  CHECK(static_cast<int64_t>(next.sum.whole) == 1);
  CHECK(counter.text(kNoCut) == "1");
  Total more = counter.add(kOne, at(4), {.whole = 1});
  CHECK(more.generation == at(3));
  CHECK(counter.text(kNoCut) == "2");
}

TEST_CASE("an expiry hides; what came after it shows; without it all shows again") {
  SharedCounter counter(Type::kString);
  CHECK(counter.set_base(number(at(1), "10")));
  (void)counter.add(kOne, at(2), {.whole = 5});
  const SharedCounter::Cut expired{at(5), at(5)};
  CHECK_FALSE(counter.is_alive(expired));
  CHECK(counter.add_total({kTwo, at(6, 2), at(6, 2), {.whole = 3}}));
  CHECK(counter.text(expired) == "3");
  CHECK(counter.text(kNoCut) == "18");
  counter.forget({at(5), at(5)});
  CHECK(counter.text(kNoCut) == "3");
}

TEST_CASE("observed totals go in two steps behind the horizon") {
  SharedCounter counter(Type::kString);
  (void)counter.add(kOne, at(2), {.whole = 5});
  CHECK_FALSE(counter.collect(kNoCut, at(100), at(100)));
  counter.observe_all();
  CHECK(counter.set_base(number(at(3), "7")));
  CHECK_FALSE(counter.collect(kNoCut, at(2), at(10)));
  CHECK_FALSE(counter.collect(kNoCut, at(3), at(10)));
  CHECK_FALSE(counter.collect(kNoCut, at(9), at(20)));
  CHECK(counter.collect(kNoCut, at(10), at(30)));
  CHECK(counter.totals().empty());
  CHECK(counter.observed().empty());
  CHECK(counter.text(kNoCut) == "7");
}

TEST_CASE("sums of 128 bits are shown, and text that is no number stays as it is") {
  SharedCounter counter(Type::kString);
  CHECK(counter.set_base(number(at(1), "9223372036854775807")));
  (void)counter.add(kOne, at(2), {.whole = 1});
  CHECK(counter.text(kNoCut) == "9223372036854775808");
  SharedCounter text(Type::kString);
  CHECK(text.set_base(number(at(1), "abc")));
  (void)text.add(kOne, at(2), {.whole = 1});
  CHECK(text.text(kNoCut) == "abc");
}

TEST_CASE("what few have written is told in a few bytes and read back as it was") {
  SharedCounter counter(Type::kString);
  CHECK(counter.set_base(number(at(1), "-17")));
  (void)counter.add(kOne, at(2), {.whole = -5});
  (void)counter.add(kTwo, at(3, 2),
                    {.whole = std::numeric_limits<__int128>::min(), .part = -0.25L});
  counter.observe_all();
  (void)counter.add(make_actor(255, kIncarnationMax), at(4, 255), {.part = 1e-4000L});
  REQUIRE(CounterBytes::can_tell(counter));
  for (const StampCode& stamps :
       {StampCode{}, StampCode{counter.latest(), at(1)}, StampCode{at(1), at(3, 2)}}) {
    std::array<uint8_t, CounterBytes::kBytesMax> bytes;
    const uint8_t* end = CounterBytes::write(bytes.data(), counter, stamps);
    CHECK(end <= bytes.data() + bytes.size());
    SharedCounter read(Type::kString);
    CounterBytes::read(bytes.data(), stamps, &read);
    CHECK(read.base().stamp == counter.base().stamp);
    CHECK(read.base().exists);
    CHECK(read.base().text == "-17");
    CHECK(read.totals() == counter.totals());
    CHECK(read.observed() == counter.observed());
  }
}

TEST_CASE("what many have written, or long text, is not told in a few bytes") {
  SharedCounter counter(Type::kString);
  for (uint8_t rack = 1; rack <= 3; ++rack) {
    CHECK(counter.add_total({make_actor(rack, 1), at(1), at(1), {.whole = 1}}));
  }
  CHECK(CounterBytes::can_tell(counter));
  CHECK(counter.add_total({make_actor(4, 1), at(1), at(1), {.whole = 1}}));
  CHECK_FALSE(CounterBytes::can_tell(counter));
  SharedCounter text(Type::kString);
  CHECK(text.set_base(number(at(1), std::string(CounterBytes::kTextMax + 1, '1'))));
  CHECK_FALSE(CounterBytes::can_tell(text));
}

}  // namespace
}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// A key's counters, packed and as objects, against a plain map of objects.
#include "engine/replica/counter_map.h"

#include <doctest/doctest.h>

#include <map>
#include <random>
#include <string>
#include <utility>

#include "engine/memory.h"

namespace dyno {
namespace {

std::string describe(const SharedCounter& counter) {
  auto totals = [](const std::vector<Total>& all) {
    std::string text;
    for (const Total& each : all) {
      text += ' ' + std::to_string(each.actor) + ':' + std::to_string(each.generation) + ':' +
              std::to_string(each.stamp) + ':' +
              std::to_string(static_cast<int64_t>(each.sum.whole)) + ':' +
              std::to_string(each.sum.part);
    }
    return text;
  };
  const SharedCounter::Base& base = counter.base();
  return std::to_string(static_cast<int>(counter.type())) + ' ' + std::to_string(base.stamp) +
         (base.exists ? " exists " : " ") + base.text + ' ' + std::to_string(base.score) +
         totals(counter.totals()) + " observed" + totals(counter.observed());
}

std::map<std::string, std::string> describe(const CounterMap& map) {
  std::map<std::string, std::string> all;
  map.for_each([&](std::string_view name, const SharedCounter& counter) {
    CHECK(all.emplace(name, describe(counter)).second);
  });
  return all;
}

std::string name_of(Type type, int element) {
  return std::string(1, static_cast<char>(type)) + "element:" + std::to_string(element);
}

TEST_CASE("counters are what they were, whether packed or not") {
  std::mt19937_64 random(7);
  CounterMap map;
  std::map<std::string, std::string> model;
  const Type types[] = {Type::kString, Type::kHash, Type::kZSet};
  for (int step = 0; step < 20'000; ++step) {
    const Type type = types[random() % 3];
    const std::string name = name_of(type, static_cast<int>(random() % 300));
    CHECK(map.has(name) == model.contains(name));
    SharedCounter* counter = map.find(name);
    CHECK((counter != nullptr) == model.contains(name));
    CHECK(map.has(name) == model.contains(name));
    if (counter == nullptr) counter = &map.add(name);
    REQUIRE(counter->type() == type);
    const Stamp stamp = make_stamp(kStampEpochMs + step, 0, 1);
    switch (random() % 8) {
      case 0:
        map.erase(name);
        model.erase(name);
        counter = nullptr;
        break;
      case 1:
        (void)counter->set_base({stamp, true, type == Type::kZSet ? "" : std::to_string(step),
                                 type == Type::kZSet ? step * 0.5 : 0});
        break;
      case 2:
        (void)counter->set_base({.stamp = stamp});
        break;
      case 3:
        counter->observe_all();
        break;
      default:
        // Now and then one has more actors than a few bytes tell.
        (void)counter->add(make_actor(static_cast<uint8_t>(1 + random() % 5), 1), stamp,
                           {.whole = step, .part = step % 3 == 0 ? 0.25L : 0});
    }
    if (counter != nullptr) model[name] = describe(*counter);
    if (random() % 3 != 0) map.pack();
    if (random() % 200 == 0) CHECK(map.all().size() == model.size());
    CHECK(map.size() == model.size());
    if (step % 100 == 0) CHECK(describe(map) == model);
  }
  CHECK(describe(map) == model);
}

TEST_CASE("a counter of one writer takes a name and some forty bytes") {
  CounterMap map;
  constexpr int kCount = 100'000;
  const int64_t before = memory::used_bytes();
  for (int i = 0; i < kCount; ++i) {
    const Stamp stamp = make_stamp(kStampEpochMs + i, 0, 1);
    (void)map.add(name_of(Type::kZSet, i)).add(make_actor(1, 1), stamp, {.part = 1});
    map.pack();
  }
  CHECK((memory::used_bytes() - before) / kCount <= 60);
}

}  // namespace
}  // namespace dyno

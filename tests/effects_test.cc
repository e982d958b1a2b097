// SPDX-License-Identifier: Apache-2.0
//
// The effects of any history of commands, put into an empty keyspace, give the same data set.
#include <doctest/doctest.h>

#include <random>
#include <string>

#include "tests/command_storm.h"
#include "tests/engine_families.h"

namespace dyno {
namespace {

const CommandStorm::Families kAll(std::begin(kEngineFamilies), std::end(kEngineFamilies));

TEST_CASE("any commands") {
  for (uint32_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    CommandStorm storm(kAll, [&](uint32_t n) { return static_cast<uint32_t>(random() % n); });
    for (int i = 0; i < 3000; ++i) storm.step();
    storm.check_counts();
    CHECK(storm.effect_count() > 300);
    std::string wanted = storm.describe();
    CHECK(storm.describe_replayed(kAll) == wanted);
    // Effects matter: without the last of them it is another data set.
    CHECK(storm.describe_replayed(kAll, 300) != wanted);
  }
}

TEST_CASE("one family at a time, with the others in between") {
  for (std::span<const CommandSpec> family : kEngineFamilies) {
    CAPTURE(family[0].name);
    std::mt19937 random(7);
    CommandStorm storm(kAll, [&](uint32_t n) { return static_cast<uint32_t>(random() % n); });
    for (int i = 0; i < 1500; ++i) {
      const CommandSpec& spec = family[random() % family.size()];
      i % 3 != 0 && CommandStorm::takes(spec) ? storm.step_with(spec) : storm.step();
    }
    storm.check_counts();
    std::string wanted = storm.describe();
    CHECK(storm.describe_replayed(kAll) == wanted);
  }
}

}  // namespace
}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// Maps of stamps against a std::map: growing, splitting into children, shrinking, walking.
#include "engine/stamp_map.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <map>
#include <random>
#include <utility>

namespace dyno {
namespace {

void check_equal(const StampMap& map, const std::map<uint64_t, uint64_t>& model) {
  REQUIRE(map.size() == model.size());
  for (const auto& [hash, word] : model) REQUIRE(map.find(hash) == word);
  size_t walked = 0;
  map.for_each([&](uint64_t hash, uint64_t word) {
    ++walked;
    auto at = model.find(hash);
    REQUIRE(at != model.end());
    REQUIRE(at->second == word);
  });
  REQUIRE(walked == model.size());
}

// Hashes below `hash_count`, spread by `spread`, so that they meet again and collide.
void run_against_model(uint32_t seed, uint64_t hash_count, uint64_t spread, int steps) {
  std::mt19937_64 random(seed);
  StampMap map;
  std::map<uint64_t, uint64_t> model;
  for (int i = 0; i < steps; ++i) {
    uint64_t hash = random() % hash_count * spread;
    // It grows in the first half and shrinks in the second.
    if (random() % 4 < (i < steps / 2 ? 3u : 1u)) {
      uint64_t word = random() | 1;
      map.set(hash, word);
      model[hash] = word;
    } else {
      map.erase(hash);
      model.erase(hash);
    }
    if (i % (steps / 20) == 0) check_equal(map, model);
  }
  check_equal(map, model);
  for (const auto& [hash, word] : std::map<uint64_t, uint64_t>(model)) map.erase(hash);
  CHECK(map.empty());
  CHECK(map.memory_bytes() == 0);
}

TEST_CASE("a map of stamps does what a std::map does") {
  run_against_model(1, 50, 1, 2'000);
  // One run of neighbours, and one that wraps around the end.
  run_against_model(2, 300, uint64_t{1} << 20, 4'000);
  run_against_model(3, 64, UINT64_MAX / 64, 2'000);
  // Far beyond what lies flat.
  run_against_model(4, 100'000, 0x9e3779b97f4a7c15, 200'000);
}

TEST_CASE("hashes that agree in their upper bits lie deeper, and are found") {
  StampMap map;
  for (uint64_t i = 0; i < 5'000; ++i) map.set(uint64_t{1} << 63 | i, i + 1);
  CHECK(map.size() == 5'000);
  for (uint64_t i = 0; i < 5'000; ++i) REQUIRE(map.find(uint64_t{1} << 63 | i) == i + 1);
  CHECK(map.find(7) == 0);
}

}  // namespace
}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// Maps of stamps against a std::map: growing, splitting and joining of blocks, walking.
#include "engine/replica/stamp_map.h"

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
    uint64_t hash = random() % hash_count * spread % (uint64_t{1} << StampMap::kHashBits);
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
  // All in one block, and in all but one.
  run_against_model(2, 300, uint64_t{1} << 20, 4'000);
  run_against_model(3, 64, UINT64_MAX / 64, 2'000);
  // Some thousand blocks.
  run_against_model(4, 100'000, 0x9e3779b97f4a7c15, 200'000);
}

TEST_CASE("hashes that agree in their lower bits lie in one block, and are found") {
  StampMap map;
  for (uint64_t i = 0; i < 3'000; ++i) map.set(i << 24, i + 1);
  CHECK(map.size() == 3'000);
  for (uint64_t i = 0; i < 3'000; ++i) REQUIRE(map.find(i << 24) == i + 1);
  CHECK(map.find(7) == 0);
}

TEST_CASE("stamps of one day take about ten bytes each") {
  for (uint64_t count : {100, 10'000, 300'000}) {
    std::mt19937_64 random(1);
    StampMap map;
    for (uint64_t i = 0; i < count; ++i) {
      map.set(random(), make_stamp(kStampEpochMs + 86'400'000 / static_cast<int64_t>(count) *
                                                       static_cast<int64_t>(i),
                                   random() % 100, 1 + random() % 3));
    }
    CHECK(map.memory_bytes() / count >= 9);
    CHECK(map.memory_bytes() / count <= 13);
  }
}

TEST_CASE("a map that was moved from is empty") {
  StampMap map;
  for (uint64_t i = 0; i < 500; ++i) map.set(i, i + 1);
  StampMap other = std::move(map);
  CHECK(other.size() == 500);
  map = StampMap();
  CHECK(map.empty());
  other = std::move(map);
  CHECK(other.empty());
  CHECK(other.memory_bytes() == 0);
}

}  // namespace
}  // namespace dyno

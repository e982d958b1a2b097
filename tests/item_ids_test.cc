// SPDX-License-Identifier: Apache-2.0
//
// Identities of a list's elements against a sorted vector.
#include "engine/replica/item_ids.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace dyno {
namespace {

void check_equal(const ItemIds& ids, const std::vector<ItemId>& model) {
  REQUIRE(ids.size() == model.size());
  std::vector<ItemId> walked;
  ids.for_each_run(0, ids.size(), [&](ItemId first, uint32_t count) {
    for (uint32_t i = 0; i < count; ++i) {
      walked.push_back(first);
      first.index += first.head ? UINT32_MAX : 1;
    }
  });
  REQUIRE(walked == model);
  for (size_t i = 0; i < model.size(); i += 1 + model.size() / 50) {
    REQUIRE(ids.at(i) == model[i]);
    REQUIRE(ids.find(model[i]) == i);
  }
}

// Identities of `stamps` commands of up to `indexes` elements at either end.
void run_against_model(uint32_t seed, uint32_t stamps, uint32_t indexes, int steps) {
  std::mt19937 random(seed);
  ItemIds ids;
  std::vector<ItemId> model;
  for (int i = 0; i < steps; ++i) {
    ItemId id{random() % 2 == 0, static_cast<uint32_t>(random() % indexes),
              (1 + random() % stamps) << kStampRackBits | 1};
    auto at = std::lower_bound(model.begin(), model.end(), id, comes_before);
    auto position = static_cast<size_t>(at - model.begin());
    REQUIRE(ids.lower_bound(id) == position);
    bool is_there = at != model.end() && *at == id;
    REQUIRE(ids.find(id).has_value() == is_there);
    if (!is_there && random() % 4 < (i < steps / 2 ? 4u : 1u)) {
      REQUIRE(ids.insert(id) == position);
      model.insert(at, id);
    } else if (!model.empty() && random() % 2 == 0) {
      size_t first = random() % model.size();
      size_t count = random() % std::min<size_t>(model.size() - first + 1, 8);
      ids.erase(first, count);
      auto from = model.begin() + static_cast<ptrdiff_t>(first);
      model.erase(from, from + static_cast<ptrdiff_t>(count));
    }
    if (i % (steps / 20) == 0) check_equal(ids, model);
  }
  check_equal(ids, model);
  ids.erase(0, ids.size());
  CHECK(ids.empty());
  CHECK(ids.memory_bytes() <= sizeof(void*) * 64);
}

TEST_CASE("identities of elements lie as in a sorted vector") {
  run_against_model(1, 3, 20, 2'000);
  run_against_model(2, 40, 10, 4'000);
  run_against_model(3, 5'000, 3, 20'000);
}

TEST_CASE("what one command pushed is one run") {
  ItemIds ids;
  for (uint32_t i = 0; i < 100'000; ++i) (void)ids.insert({false, i, 257});
  CHECK(ids.memory_bytes() < 200);
  size_t runs = 0;
  ids.for_each_run(0, ids.size(), [&](const ItemId&, uint32_t) { ++runs; });
  CHECK(runs == 1);
}

}  // namespace
}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// Packed rows against a vector of them.
#include "engine/replica/packed_rows.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace dyno {
namespace {

using Rows = PackedRows<3>;

void check_equal(const Rows& rows, const std::vector<Rows::Row>& model) {
  REQUIRE(rows.size() == model.size());
  for (size_t i = 0; i < model.size(); ++i) REQUIRE(rows.at(i) == model[i]);
}

// Rows of numbers of up to so many bits; column 0 lies around 2^50.
void run_against_model(uint32_t seed, int bits, size_t rows_max) {
  std::mt19937_64 random(seed);
  auto number = [&] { return random() >> (64 - bits) >> random() % 4; };
  Rows rows;
  std::vector<Rows::Row> model;
  for (int i = 0; i < 3000; ++i) {
    Rows::Row row = {(uint64_t{1} << 50) + number(), number(), random() % 2};
    size_t at = random() % (model.size() + 1);
    if (random() % 5 < 2 && at < model.size()) {
      rows.set(at, row);
      model[at] = row;
    } else if (model.size() < rows_max && random() % 3 != 0) {
      rows.insert(at, row);
      model.insert(model.begin() + static_cast<ptrdiff_t>(at), row);
    } else if (at < model.size()) {
      size_t count =
          1 + random() % std::min<size_t>(model.size() - at, random() % 20 == 0 ? 99 : 3);
      rows.erase(at, count);
      auto from = model.begin() + static_cast<ptrdiff_t>(at);
      model.erase(from, from + static_cast<ptrdiff_t>(count));
    }
    check_equal(rows, model);
    uint64_t wanted = model.empty() ? 0 : model[at % model.size()][1];
    size_t first = 0;
    while (first < model.size() && model[first][1] != wanted) ++first;
    REQUIRE(rows.find(1, wanted) == first);
  }
  rows.assign(model);
  check_equal(rows, model);
  rows.insert(0, {1, 2, 0});
  rows.erase(0, 1);
  check_equal(rows, model);
  rows.erase(0, rows.size());
  CHECK(rows.empty());
  CHECK(rows.memory_bytes() == 0);
}

TEST_CASE("packed rows are what a vector of rows is") {
  run_against_model(1, 1, 4);
  run_against_model(2, 9, 40);
  run_against_model(3, 48, 90);
}

TEST_CASE("rows take as many bits as their numbers") {
  Rows rows;
  for (uint64_t i = 0; i < 64; ++i) rows.insert(i, {(uint64_t{1} << 50) + i, 7, 1});
  // 6, 3 and 1 bits, and some room to grow.
  CHECK(rows.memory_bytes() >= 64 * 10 / 8);
  CHECK(rows.memory_bytes() <= 64 * 10 / 8 + 40);
}

}  // namespace
}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// Arithmetic of quorums, and the names of levels.
#include "ring/quorum.h"

#include <doctest/doctest.h>

namespace dyno {
namespace {

// Racks 1 to 3 in dc1, 4 to 6 in dc2.
Topology six_racks() {
  std::vector<NodeSpec> specs;
  for (uint16_t i = 0; i < 6; ++i) {
    specs.push_back(
        {i < 3 ? "dc1" : "dc2", "r" + std::to_string(i), {0}, "h", static_cast<uint16_t>(i + 1)});
  }
  Topology topology;
  REQUIRE(Topology::make(specs, &topology).empty());
  return topology;
}

TEST_CASE("a majority of the racks of one data center") {
  Topology topology = six_racks();
  Quorum quorum(topology, Level::kDcQuorum, 0);
  CHECK(quorum.counts(1));
  CHECK_FALSE(quorum.counts(4));
  CHECK_FALSE(quorum.reached());
  quorum.done(1);
  quorum.done(4);
  CHECK_FALSE(quorum.reached());
  CHECK(quorum.lacking_in(0) == 1);
  CHECK(quorum.describe() == "1 of 2");
  quorum.failed(2);
  CHECK(quorum.possible());
  quorum.failed(3);
  CHECK_FALSE(quorum.possible());
  quorum.done(3);
  CHECK(quorum.possible());
  CHECK(quorum.reached());
}

TEST_CASE("a majority in every data center") {
  Topology topology = six_racks();
  Quorum quorum(topology, Level::kDcEachSafeQuorum, 0);
  quorum.done(1);
  quorum.done(2);
  quorum.done(3);
  CHECK_FALSE(quorum.reached());
  CHECK(quorum.describe() == "2 of 4");
  quorum.done(5);
  quorum.done(6);
  CHECK(quorum.reached());
}

TEST_CASE("one replica") {
  Topology topology = six_racks();
  Quorum quorum(topology, Level::kDcOne, 1);
  CHECK_FALSE(quorum.reached());
  quorum.done(5);
  CHECK(quorum.reached());
}

TEST_CASE("names of levels") {
  CHECK(level_name(Level::kDcSafeQuorum) == "DC_SAFE_QUORUM");
  CHECK(parse_level("dc_each_safe_quorum") == Level::kDcEachSafeQuorum);
  CHECK(parse_level("DC_One") == Level::kDcOne);
  CHECK_FALSE(parse_level("QUORUM"));
  CHECK_FALSE(parse_level(""));
}

}  // namespace
}  // namespace dyno

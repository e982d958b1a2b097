// SPDX-License-Identifier: Apache-2.0
//
// Replicas that were told the same facts hold the same, whatever the commands were and in whatever
// order, however late and however often the facts came. The program replica_storm runs more of
// the same.
#include <doctest/doctest.h>

#include "tests/replica_storm.h"

namespace dyno {
namespace {

TEST_CASE("replicas under random writes") {
  constexpr int kSteps = 300;
  for (uint32_t seed = 1; seed <= 60; ++seed) {
    CAPTURE(seed);
    ReplicaStorm storm(seed, 2 + static_cast<int>(seed % 2));
    for (int i = 0; i < kSteps; ++i) storm.step();
    REQUIRE(storm.finish() == "");
  }
}

}  // namespace
}  // namespace dyno

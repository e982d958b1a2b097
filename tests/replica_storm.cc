// SPDX-License-Identifier: Apache-2.0
//
// Runs storms of replicas by seed: replica_storm FIRST LAST [STEPS [KEY]]. For a seed that fails it
// prints why; with KEY, whatever happened to that key.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "tests/replica_storm.h"

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: replica_storm FIRST LAST [STEPS [KEY]]\n");
    return 2;
  }
  auto number = [&](int i) { return static_cast<uint32_t>(std::strtoul(argv[i], nullptr, 10)); };
  const uint32_t first = number(1);
  const uint32_t last = number(2);
  if (first > last) {
    std::fprintf(stderr,
                 "replica_storm: the first seed is expected to be no larger than the last\n");
    return 2;
  }
  const uint32_t steps = argc > 3 ? number(3) : 400;
  int failed = 0;
  for (uint32_t seed = first; seed <= last; ++seed) {
    dyno::ReplicaStorm storm(seed, 2 + static_cast<int>(seed % 2));
    if (argc > 4) storm.watch(argv[4]);
    for (uint32_t i = 0; i < steps; ++i) storm.step();
    std::string why = storm.finish();
    if (why.empty()) continue;
    ++failed;
    std::printf("seed %u: %s\n", seed, why.c_str());
    if (argc > 4) std::fwrite(storm.history().data(), 1, storm.history().size(), stdout);
    std::fflush(stdout);
  }
  std::printf("%u seeds, %d failed\n", last - first + 1, failed);
  return failed == 0 ? 0 : 1;
}

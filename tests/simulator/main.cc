// SPDX-License-Identifier: Apache-2.0
//
// Runs the simulator over a range of seeds:
//   simulator [--seeds A..B] [--seconds S] [--verbose]
// Each seed runs as far as its conditions say; the first of the range runs twice, and must do the
// same. Prints what failed, and how often each fault was made and each rare path was reached; ends
// with a line "N passed, N failed". --seconds stops taking new seeds after so long.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "tests/simulator/world.h"

namespace {

using dyno::simulator::World;

struct Arguments {
  uint64_t first = 1;
  uint64_t last = 20;
  double seconds = 1e9;
  bool verbose = false;
};

bool parse(int count, char** words, Arguments* arguments) {
  for (int i = 1; i < count; ++i) {
    std::string word = words[i];
    if (word == "--verbose") {
      arguments->verbose = true;
    } else if (word == "--seconds" && i + 1 < count) {
      arguments->seconds = std::strtod(words[++i], nullptr);
    } else if (word == "--seeds" && i + 1 < count) {
      char* rest = nullptr;
      arguments->first = arguments->last = std::strtoull(words[++i], &rest, 10);
      if (std::strncmp(rest, "..", 2) == 0) arguments->last = std::strtoull(rest + 2, nullptr, 10);
    } else {
      return false;
    }
  }
  return arguments->first <= arguments->last;
}

}  // namespace

int main(int count, char** words) {
  Arguments arguments;
  if (!parse(count, words, &arguments)) {
    std::fprintf(stderr, "usage: simulator [--seeds A..B] [--seconds S] [--verbose]\n");
    return 2;
  }
  auto started = std::chrono::steady_clock::now();
  std::map<std::string, uint64_t> probes;
  int passed = 0;
  int failed = 0;
  for (uint64_t seed = arguments.first; seed <= arguments.last; ++seed) {
    World world(seed, arguments.verbose);
    bool good = world.run();
    if (seed == arguments.first) {
      World again(seed, arguments.verbose);
      again.run();
      if (again.trace_hash() != world.trace_hash()) {
        std::printf("seed %llu did two different things\n", static_cast<unsigned long long>(seed));
        good = false;
      }
    }
    for (const auto& [name, times] : world.probes()) probes[name] += times;
    ++(good ? passed : failed);
    if (!good || arguments.verbose) std::printf("%s\n", world.describe().c_str());
    std::chrono::duration<double> spent = std::chrono::steady_clock::now() - started;
    if (spent.count() > arguments.seconds) break;
  }
  for (const auto& [name, times] : probes) {
    std::printf("%10llu %s\n", static_cast<unsigned long long>(times), name.c_str());
  }
  std::printf("simulator: %d passed, %d failed, 0 skipped\n", passed, failed);
  return failed == 0 ? 0 : 1;
}

// SPDX-License-Identifier: Apache-2.0
//
// small_world --seeds A..B [--fault NAME] [--history]: runs small worlds (world.h). Without a fault
// it fails when a world does; with one, when none does. --history tells what was done in the first
// world that failed.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "tests/small_world/world.h"

namespace dyno {
namespace {

struct FaultRow {
  std::string_view name;
  bool WorldFaults::*world;
  bool PlantedFaults::*node;
};
constexpr FaultRow kFaults[] = {
    {"no-dedupe", &WorldFaults::no_dedupe, nullptr},
    {"actor-reuse", &WorldFaults::actor_reuse, nullptr},
    {"fixed-grace", &WorldFaults::fixed_grace, nullptr},
    {"frontier-offset", &WorldFaults::frontier_offset, nullptr},
    {"state-pushed", &WorldFaults::state_pushed, nullptr},
    {"positions-of-all", &WorldFaults::positions_of_all, nullptr},
    {"dead-origin-dropped", &WorldFaults::dead_origin_dropped, nullptr},
    {"expire-relative", &WorldFaults::expire_relative, nullptr},
    {"spop-as-command", &WorldFaults::spop_as_command, nullptr},
    {"whole-key-wins", nullptr, &PlantedFaults::whole_key_wins},
    {"no-generations", nullptr, &PlantedFaults::no_generations},
    {"observed-by-winner", nullptr, &PlantedFaults::observed_by_winner},
    {"no-stamp-raise", nullptr, &PlantedFaults::no_stamp_raise},
    {"eviction-deletes-now", nullptr, &PlantedFaults::eviction_deletes_now},
    {"digest-without-deadlines", nullptr, &PlantedFaults::digest_without_deadlines},
};

struct Options {
  uint32_t first = 1;
  uint32_t last = 1000;
  WorldFaults faults;
  bool is_faulty = false;
  bool tells = false;
};

bool plant(std::string_view name, WorldFaults* faults) {
  for (const FaultRow& row : kFaults) {
    if (row.name != name) continue;
    if (row.world != nullptr) faults->*row.world = true;
    if (row.node != nullptr) faults->node.*row.node = true;
    return true;
  }
  return false;
}

bool read(int argc, char** argv, Options* options) {
  for (int i = 1; i < argc; ++i) {
    std::string_view word = argv[i];
    if (word == "--history") {
      options->tells = true;
    } else if (word == "--seeds" && i + 1 < argc) {
      char* end = nullptr;
      options->first = static_cast<uint32_t>(std::strtoul(argv[++i], &end, 10));
      if (std::strncmp(end, "..", 2) != 0) return false;
      options->last = static_cast<uint32_t>(std::strtoul(end + 2, nullptr, 10));
    } else if (word == "--fault" && i + 1 < argc) {
      options->is_faulty = true;
      if (!plant(argv[++i], &options->faults)) return false;
    } else {
      return false;
    }
  }
  return options->first <= options->last;
}

int run(const Options& options) {
  constexpr int kToldMax = 10;
  WorldCounts counts;
  int64_t failed = 0;
  uint32_t seed = options.first;
  for (;; ++seed) {
    World world(seed, options.faults, &counts);
    world.keeps_history = options.tells;
    std::string why = world.run();
    if (!why.empty() && ++failed <= kToldMax) {
      std::printf("seed %u: ", seed);
      if (options.tells) std::fwrite(world.history.data(), 1, world.history.size(), stdout);
      std::fwrite(why.data(), 1, why.size(), stdout);
      std::printf("\n");
      std::fflush(stdout);
    }
    bool enough = failed > 0 && (options.is_faulty || options.tells);
    if (seed == options.last || enough) break;
  }
  std::printf(
      "%u seeds, %lld failed; %lld writes, %lld lost with their node, %lld crashes, %lld "
      "partitions, "
      "%lld pulls, %lld too late, %lld tombstones collected\n",
      seed - options.first + 1, static_cast<long long>(failed),
      static_cast<long long>(counts.writes), static_cast<long long>(counts.lost_writes),
      static_cast<long long>(counts.crashes), static_cast<long long>(counts.partitions),
      static_cast<long long>(counts.pulls), static_cast<long long>(counts.late_pulls),
      static_cast<long long>(counts.tombstones));
  return (failed != 0) == options.is_faulty ? 0 : 1;
}

}  // namespace
}  // namespace dyno

int main(int argc, char** argv) {
  dyno::Options options;
  if (dyno::read(argc, argv, &options)) return dyno::run(options);
  std::fprintf(stderr, "usage: small_world --seeds A..B [--fault NAME] [--history]\nfaults:");
  for (const dyno::FaultRow& row : dyno::kFaults) {
    std::fprintf(stderr, " %.*s", static_cast<int>(row.name.size()), row.name.data());
  }
  std::fprintf(stderr, "\n");
  return 2;
}

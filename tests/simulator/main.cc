// SPDX-License-Identifier: Apache-2.0
//
// Runs the simulator over a range of seeds:
//   simulator [--scene late|lost|old|removals] [--seeds A..B] [--seconds S] [--verbose]
//   simulator --controls|--control NAME [--seeds A..B] [--seconds S]
// Each seed runs as far as its conditions say; the first of the range runs twice, and must do the
// same. Prints what failed, and how often each fault was made and each rare path was reached; ends
// with a line "N passed, N failed". --seconds stops taking new seeds after so long.
//
// --controls plants one mistake after the other (ring/planted_fault.h), each for all seeds and
// seconds, and passes those that some seed finds.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "ring/planted_fault.h"
#include "tests/simulator/world.h"

namespace {

using dyno::simulator::Scene;
using dyno::simulator::World;

struct Arguments {
  uint64_t first = 1;
  uint64_t last = 20;
  double seconds = 1e9;
  bool verbose = false;
  bool controls = false;
  std::string control;  // One of them, by name.
};

Scene scene_of(const std::string& name) {
  if (name == "late") return Scene::kLateAnswers;
  if (name == "lost") return Scene::kLostWithMemory;
  if (name == "old") return Scene::kOldDisk;
  return name == "removals" ? Scene::kSlowRemovals : Scene::kNone;
}

bool parse(int count, char** words, Arguments* arguments) {
  for (int i = 1; i < count; ++i) {
    std::string word = words[i];
    if (word == "--controls") {
      arguments->controls = true;
    } else if (word == "--control" && i + 1 < count) {
      arguments->controls = true;
      arguments->control = words[++i];
    } else if (word == "--scene" && i + 1 < count) {
      std::string name = words[++i];
      Scene scene = scene_of(name);
      if (scene == Scene::kNone) return false;
      World::stage(scene);
    } else if (word == "--verbose") {
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

uint64_t hash_of(uint64_t seed) {
  World world(seed);
  world.run();
  return world.trace_hash();
}

// `hash`: what the trace is to come to, or 0.
bool run_seed(uint64_t seed, bool verbose, uint64_t hash, std::map<std::string, uint64_t>* probes) {
  World world(seed, verbose);
  bool good = world.run();
  if (hash != 0 && world.trace_hash() != hash) {
    std::printf("seed %llu did two different things\n", static_cast<unsigned long long>(seed));
    good = false;
  }
  for (const auto& [name, times] : world.probes()) (*probes)[name] += times;
  if (!good || verbose) std::printf("%s\n", world.describe().c_str());
  return good;
}

// Runs the seed once more, which fails as it did before, and says what led to it.
void tell_history(uint64_t seed) {
  World world(seed, true);
  world.run();
  std::printf("%s\n", world.history().c_str());
}

struct Control {
  dyno::PlantedFault fault;
  const char* name;
  Scene scene = Scene::kNone;                   // In which it is sought.
  bool dyno::PlantedFaults::*engine = nullptr;  // A mistake in the engines.
};
constexpr Control kControls[] = {
    {dyno::PlantedFault::kUnagedFrontier, "unaged frontier", Scene::kLateAnswers},
    {dyno::PlantedFault::kFixedGrace, "fixed grace"},
    {dyno::PlantedFault::kPredecessorDropped, "predecessor dropped", Scene::kLostWithMemory},
    {dyno::PlantedFault::kFirstLaneOnly, "first lane only"},
    {dyno::PlantedFault::kMarksWhileDirty, "marks while dirty"},
    {dyno::PlantedFault::kSkipsAway, "skips away"},
    {dyno::PlantedFault::kLateAnswers, "late answers", Scene::kLateAnswers},
    {dyno::PlantedFault::kLiveDigestsOnly, "live digests only"},
    {dyno::PlantedFault::kServesEmpty, "serves empty", Scene::kLostWithMemory},
    {dyno::PlantedFault::kOneDonor, "one donor", Scene::kLostWithMemory},
    {dyno::PlantedFault::kBlindWrites, "blind writes"},
    {dyno::PlantedFault::kHintCounts, "hint counts"},
    {dyno::PlantedFault::kSkippedCounts, "skipped counts"},
    {dyno::PlantedFault::kAliveVersions, "alive versions", Scene::kSlowRemovals},
    {dyno::PlantedFault::kNoHold, "no hold"},
    {dyno::PlantedFault::kStaleCompare, "stale compare"},
    {dyno::PlantedFault::kRefusesLate, "refuses late"},
    {dyno::PlantedFault::kTrustsOldData, "trusts old data", Scene::kOldDisk},
    {dyno::PlantedFault::kSameIncarnation, "same incarnation"},
    {dyno::PlantedFault::kNone, "whole key wins", Scene::kNone,
     &dyno::PlantedFaults::whole_key_wins},
    {dyno::PlantedFault::kNone, "no generations", Scene::kNone,
     &dyno::PlantedFaults::no_generations},
    {dyno::PlantedFault::kNone, "observed by winner", Scene::kNone,
     &dyno::PlantedFaults::observed_by_winner},
};

double seconds_since(std::chrono::steady_clock::time_point started) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
}

int run_controls(const Arguments& arguments) {
  int found = 0;
  int missed = 0;
  for (const Control& control : kControls) {
    if (!arguments.control.empty() && arguments.control != control.name) continue;
    dyno::plant(control.fault);
    World::plant(control.engine);
    World::stage(control.scene);
    auto started = std::chrono::steady_clock::now();
    bool caught = false;
    uint64_t seed = arguments.first;
    for (; seed <= arguments.last && !caught && seconds_since(started) < arguments.seconds;
         ++seed) {
      World world(seed, false);
      caught = !world.run();
      if (caught) std::printf("%s: %s\n", control.name, world.failures().front().c_str());
    }
    std::printf("%s: %s after %llu seeds, %.1f s\n", control.name, caught ? "found" : "MISSED",
                static_cast<unsigned long long>(seed - arguments.first), seconds_since(started));
    std::fflush(stdout);
    ++(caught ? found : missed);
  }
  std::printf("simulator controls: %d passed, %d failed, 0 skipped\n", found, missed);
  return missed == 0 ? 0 : 1;
}

}  // namespace

int main(int count, char** words) {
  Arguments arguments;
  if (!parse(count, words, &arguments)) {
    std::fprintf(stderr,
                 "usage: simulator [--controls|--control NAME] [--seeds A..B] "
                 "[--seconds S] "
                 "[--verbose]\n");
    return 2;
  }
  if (arguments.controls) return run_controls(arguments);
  auto started = std::chrono::steady_clock::now();
  std::map<std::string, uint64_t> probes;
  int passed = 0;
  int failed = 0;
  uint64_t first_hash = hash_of(arguments.first);
  for (uint64_t seed = arguments.first; seed <= arguments.last; ++seed) {
    bool good = run_seed(seed, arguments.verbose, first_hash, &probes);
    first_hash = 0;
    ++(good ? passed : failed);
    if (!good && !arguments.verbose) tell_history(seed);
    std::fflush(stdout);
    if (seconds_since(started) > arguments.seconds) break;
  }
  for (const auto& [name, times] : probes) {
    std::printf("%10llu %s\n", static_cast<unsigned long long>(times), name.c_str());
  }
  std::printf("simulator: %d passed, %d failed, 0 skipped\n", passed, failed);
  return failed == 0 ? 0 : 1;
}

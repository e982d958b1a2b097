// SPDX-License-Identifier: Apache-2.0
//
// Fuzz target of the command table: the input is the draws by which commands of all families are
// written (random_command.h) and run by several sessions of one engine. Replies must be well
// formed, counters must agree with the tables, and the recorded effects must rebuild the data set.
#include <cstdint>
#include <string>

#include "tests/command_storm.h"
#include "tests/engine_families.h"

namespace dyno {
namespace {

constexpr size_t kInputMax = 8192;
constexpr int kStepsMax = 500;

// Numbers out of the input, two bytes where one is not enough; zeros behind its end.
struct Draws {
  const uint8_t* at;
  const uint8_t* end;

  uint32_t operator()(uint32_t n) {
    uint32_t bytes = 0;
    for (uint32_t reach = 1; reach < n && at < end; reach *= 256) bytes = bytes * 256 + *at++;
    return n == 0 ? 0 : bytes % n;
  }
};

void storm(const uint8_t* data, size_t size) {
  const CommandStorm::Families families(std::begin(kEngineFamilies), std::end(kEngineFamilies));
  Draws draws{data, data + size};
  CommandStorm storm(families, [&](uint32_t n) { return draws(n); });
  for (int i = 0; i < kStepsMax && draws.at < draws.end; ++i) storm.step();
  storm.check_counts();
  std::string wanted = storm.describe();
  DYNO_CHECK(storm.describe_replayed(families) == wanted);
}

}  // namespace
}  // namespace dyno

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size <= dyno::kInputMax) dyno::storm(data, size);
  return 0;
}

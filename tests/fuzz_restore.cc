// SPDX-License-Identifier: Apache-2.0
//
// Fuzz target of RESTORE: the input is the object of a payload whose version and checksum are made
// right. It is refused, or it becomes a key that reads, dumps and restores like any other, in
// memory that is in proportion to the payload.
#include <cstdint>
#include <string>

#include "engine/types/crc64.h"
#include "tests/command_storm.h"
#include "tests/engine_families.h"

namespace dyno {
namespace {

constexpr size_t kInputMax = 1 << 16;
constexpr int64_t kStringBytesMax = 1 << 20;
// Compressed strings may be longer than they arrive, but never longer than a string may be.
constexpr int64_t kMemoryBytesMax = 16 * kStringBytesMax;

std::string payload_of(std::string object) {
  constexpr uint16_t kVersion = 11;
  object += static_cast<char>(kVersion);
  object += '\0';
  uint64_t checksum = crc64(object);
  for (int i = 0; i < 8; ++i) object += static_cast<char>(checksum >> (8 * i));
  return object;
}

void restore(const std::string& object) {
  int64_t used_before = memory::used_bytes();
  const CommandStorm::Families families(std::begin(kEngineFamilies), std::end(kEngineFamilies));
  EngineClient engine(families);
  engine.limits().bulk_bytes_max = kStringBytesMax;
  std::string reply = engine.run({"RESTORE", "a", "0", payload_of(object)});
  DYNO_CHECK(memory::used_bytes() - used_before < kMemoryBytesMax);
  if (reply != "+OK\r\n") {
    DYNO_CHECK(reply.starts_with("-ERR "));
    DYNO_CHECK(engine("EXISTS a") == ":0\r\n");
    return;
  }
  // A hash whose fields are all past their deadlines is no key.
  if (engine("EXISTS a") == ":0\r\n") return;
  std::string before = CommandStorm::describe(engine, engine.now_ms);
  std::vector<std::string> dumped = std::move(ReplyReader(engine("DUMP a")).leaves());
  engine("DEL a");
  DYNO_CHECK(engine.run({"RESTORE", "a", "0", dumped[0]}) == "+OK\r\n");
  DYNO_CHECK(CommandStorm::describe(engine, engine.now_ms) == before);
}

}  // namespace
}  // namespace dyno

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size <= dyno::kInputMax) dyno::restore({reinterpret_cast<const char*>(data), size});
  return 0;
}

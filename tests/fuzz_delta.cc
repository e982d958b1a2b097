// SPDX-License-Identifier: Apache-2.0
//
// Fuzz target of deltas: any bytes, as a frame and as the body of a frame whose head is right. They
// are refused with a reason, or they mean the same after they were written again. Memory is in
// proportion to the bytes.
#include <cstdint>
#include <string>
#include <vector>

#include "engine/replica/delta.h"
#include "protocol/check.h"
#include "tests/delta_bytes.h"

namespace dyno {
namespace {

constexpr size_t kInputMax = 1 << 16;
constexpr size_t kFactsPerByteMax = 1;

// The facts in order. Their text, too, since zeros are equal whatever their sign.
struct Meaning {
  std::vector<Fact> facts;
  std::string text;

  explicit Meaning(const std::vector<Delta>& deltas) {
    for (const Delta& delta : deltas) {
      for (const Fact& fact : delta.facts) {
        facts.push_back(fact);
        text += describe({.db = delta.db, .stamp = fact.stamp, .key = delta.key, .facts = {fact}});
      }
    }
  }
  bool operator==(const Meaning&) const = default;
};

void read_any(const std::string& frame) {
  std::vector<Delta> deltas;
  const std::string refusal = read_frame(frame, &deltas);
  if (!refusal.empty()) {
    DYNO_CHECK(deltas.empty() && refusal.starts_with("byte "));
    return;
  }
  DYNO_CHECK(frame_bytes(frame) == frame.size());
  FrameWriter writer;
  size_t capacity = 0;
  for (const Delta& delta : deltas) {
    DYNO_CHECK(!describe(delta).empty());
    capacity += delta.facts.capacity();
    for (const Fact& fact : delta.facts) writer.add(delta.db, delta.key, fact);
  }
  DYNO_CHECK(capacity <= kFactsPerByteMax * frame.size());
  const std::string written(writer.finish());
  std::vector<Delta> again;
  DYNO_CHECK(read_frame(written, &again).empty());
  DYNO_CHECK(Meaning(again) == Meaning(deltas));
}

}  // namespace
}  // namespace dyno

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > dyno::kInputMax) return 0;
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  dyno::read_any(bytes);
  dyno::read_any(dyno::frame_of(bytes));
  return 0;
}

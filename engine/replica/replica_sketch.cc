// SPDX-License-Identifier: Apache-2.0
#include "engine/replica/replica_sketch.h"

#include <xxhash.h>

#include <algorithm>
#include <memory>

#include "engine/types/sketch.h"

namespace dyno {
namespace {

constexpr size_t kRaisedBytes = 3;

SketchRecord::Raised read_raised(std::string_view raised, size_t at) {
  auto byte = [&](size_t i) { return static_cast<uint8_t>(raised[at + i]); };
  return {0, static_cast<uint16_t>(byte(0) | byte(1) << 8), byte(2)};
}

void append_raised(std::string& out, uint32_t index, uint8_t rank) {
  out.push_back(static_cast<char>(index & 0xff));
  out.push_back(static_cast<char>(index >> 8));
  out.push_back(static_cast<char>(rank));
}

bool raise_one(std::string* sketch, const SketchRecord::Raised& raised, size_t sparse_bytes_max) {
  return sketch::raise(sketch, {raised.index, raised.rank}, sparse_bytes_max) !=
         sketch::Raised::kDamaged;
}

}  // namespace

void note_raised(KeyState& state, std::string_view raised, Stamp stamp) {
  if (state->sketch == nullptr) state->sketch = std::make_unique<SketchRecord>();
  bool is_known = std::any_of(state->sketch->recent.begin(), state->sketch->recent.end(),
                              [&](const auto& each) { return each.stamp == stamp; });
  if (is_known) return;
  for (size_t at = 0; at + kRaisedBytes <= raised.size(); at += kRaisedBytes) {
    SketchRecord::Raised each = read_raised(raised, at);
    each.stamp = stamp;
    state->sketch->recent.push_back(each);
  }
  // A sketch without any register has a stamp, too.
  if (raised.empty()) state->sketch->recent.push_back({stamp, 0, 0});
  state.note(stamp);
  state.await_collection();
}

void forget_raised(SketchRecord& sketch, Stamp floor) {
  std::erase_if(sketch.recent, [&](const auto& raised) { return raised.stamp < floor; });
}

bool raise_all(std::string* sketch, std::string_view raised, size_t sparse_bytes_max) {
  if (!sketch::is_sketch(*sketch)) return false;
  for (size_t at = 0; at + kRaisedBytes <= raised.size(); at += kRaisedBytes) {
    if (!raise_one(sketch, read_raised(raised, at), sparse_bytes_max)) return false;
  }
  return true;
}

bool raise_all(std::string* sketch, const SketchRecord& recent, size_t sparse_bytes_max) {
  if (!sketch::is_sketch(*sketch)) return false;
  for (const SketchRecord::Raised& raised : recent.recent) {
    if (raised.rank != 0 && !raise_one(sketch, raised, sparse_bytes_max)) return false;
  }
  return true;
}

std::string raised_of(std::string_view sketch) {
  std::string raised;
  if (!sketch::is_sketch(sketch)) return raised;
  auto registers = std::make_unique<sketch::Registers>();
  if (!sketch::merge_into(registers.get(), sketch)) return raised;
  for (uint32_t index = 0; index < sketch::kRegisterCount; ++index) {
    if ((*registers)[index] != 0) append_raised(raised, index, (*registers)[index]);
  }
  return raised;
}

std::string raised_of(const SketchRecord& recent, size_t begin, size_t* end) {
  std::string raised;
  Stamp stamp = recent.recent[begin].stamp;
  for (*end = begin; *end < recent.recent.size() && recent.recent[*end].stamp == stamp; ++*end) {
    const SketchRecord::Raised& each = recent.recent[*end];
    if (each.rank != 0) append_raised(raised, each.index, each.rank);
  }
  return raised;
}

uint64_t hash_of_registers(std::string_view sketch) {
  auto registers = std::make_unique<sketch::Registers>();
  if (sketch::is_sketch(sketch)) (void)sketch::merge_into(registers.get(), sketch);
  return XXH3_64bits(registers->data(), registers->size()) | 1;
}

}  // namespace dyno

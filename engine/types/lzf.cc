// SPDX-License-Identifier: Apache-2.0
#include "engine/types/lzf.h"

#include <cstdint>

namespace dyno {
namespace {

// Three bytes of the stream give at most 264.
constexpr size_t kGrowthMax = 88;

}  // namespace

std::optional<std::string> decompress_lzf(std::string_view stream, size_t size) {
  if (size / kGrowthMax > stream.size()) return std::nullopt;
  std::string out;
  out.reserve(size);
  auto byte_at = [&](size_t at) { return static_cast<uint8_t>(stream[at]); };
  for (size_t at = 0; at < stream.size();) {
    size_t control = byte_at(at++);
    if (control < 32) {
      size_t literal = control + 1;
      if (literal > stream.size() - at || literal > size - out.size()) return std::nullopt;
      out.append(stream, at, literal);
      at += literal;
      continue;
    }
    size_t length = control >> 5;
    if (length == 7) {
      if (at == stream.size()) return std::nullopt;
      length += byte_at(at++);
    }
    length += 2;
    if (at == stream.size()) return std::nullopt;
    size_t offset = ((control & 31) << 8) + byte_at(at++) + 1;
    if (offset > out.size() || length > size - out.size()) return std::nullopt;
    // Source and destination may overlap: a run repeats what it has just written.
    for (size_t from = out.size() - offset; length > 0; --length) out.push_back(out[from++]);
  }
  if (out.size() != size) return std::nullopt;
  return out;
}

}  // namespace dyno

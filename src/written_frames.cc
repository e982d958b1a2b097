// SPDX-License-Identifier: Apache-2.0
#include "src/written_frames.h"

#include <string>
#include <utility>

namespace dyno {
namespace {

std::vector<Frame>& written() {
  static thread_local std::vector<Frame> frames;
  return frames;
}

}  // namespace

void WrittenFrames::emit(Token token, Stamp stamp, std::string_view frame) {
  written().push_back({stamp, {token}, std::string(frame)});
}

void WrittenFrames::emit_everywhere(Stamp stamp, std::string_view frame) {
  written().push_back({stamp, {}, std::string(frame)});
}

std::vector<Frame> WrittenFrames::take() {
  return std::exchange(written(), {});
}

bool WrittenFrames::empty() {
  return written().empty();
}

}  // namespace dyno

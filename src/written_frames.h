// SPDX-License-Identifier: Apache-2.0
//
// What this node's commands wrote, on its way from the engine to the ring. Every thread keeps its
// own; whoever drives a lane hands on what its thread has written before it lets the lane speak.
#pragma once

#include <string_view>
#include <vector>

#include "engine/replica/replica.h"
#include "ring/stream_sender.h"

namespace dyno {

class WrittenFrames final : public FrameSink {
 public:
  void emit(Token token, Stamp stamp, std::string_view frame) override;
  void emit_everywhere(Stamp stamp, std::string_view frame) override;

  // The calling thread's frames, in the order in which they were written.
  [[nodiscard]] static std::vector<Frame> take();
  [[nodiscard]] static bool empty();
};

}  // namespace dyno

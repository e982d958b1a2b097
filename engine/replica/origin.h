// SPDX-License-Identifier: Apache-2.0
//
// Turns what commands changed on this node into deltas: each effect gets the command's stamp, the
// key's replicated state takes note of it, and the facts go to the sink when the command commits.
//
//   One command has one stamp, unless it writes one element twice: then a later one from there on.
//   Effects of keys with one token that commit together make one frame.
//   A write that replaces a counter tells which increments it had seen.
//   Patches of strings of at most kWholeStringBytes travel as the whole string, larger ones as what
//   changed.
//   An element put into the middle of a list is put at the nearer end, after the elements between,
//   which move there with it.
#pragma once

#include <string_view>

#include "engine/effect.h"
#include "engine/replica/key_state.h"
#include "engine/replica/replica.h"

namespace dyno {

// One for a node; each thread collects its own command's effects.
class Origin final : public EffectRecorder {
 public:
  static constexpr size_t kWholeStringBytes = 1024;

  explicit Origin(Replica& replica) : replica_(replica) {}

  void record(const Effect& effect) override;
  [[nodiscard]] int64_t now_ms(int64_t unix_ms) override {
    return replica_.clock().now_ms(unix_ms);
  }
  void begin_command(int64_t now_ms) override;
  void commit() override;
  [[nodiscard]] bool refuses_swap() const override { return true; }

 private:
  class Write;
  struct Pending;

  // The calling thread's.
  static Pending& pending();
  void flush(const Effect& effect);
  void observe_flushed(SlotIndex index, int db, Stamp stamp);

  Replica& replica_;
};

}  // namespace dyno

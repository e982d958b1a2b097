// SPDX-License-Identifier: Apache-2.0
//
// Keeps commands from running while values of their keys are on disk. It is asked under the locks
// of the command's slots, before anything was changed: a command runs with all its values in memory
// or not at all.
//
// A command that cannot run has asked for what it lacks, and its session says so (awaits_disk):
// whoever runs it tries again when values have come back. It is answered with an error when a value
// cannot be read, or when what it needs at once never is in memory at once.
#pragma once

#include <string_view>
#include <vector>

#include "engine/cold_keys.h"
#include "engine/context.h"
#include "engine/keyspace.h"

namespace dyno {

// Thread-safe, as far as slots are locked.
class ColdGate {
 public:
  ColdGate(Keyspace& keyspace, ColdKeys& cold) : keyspace_(keyspace), cold_(cold) {}

  // Asks for what the command would lack, if it came now; for one that stands behind another. Locks
  // slots.
  void ask_ahead(const CommandSpec& spec, Args args, int db);

  // Each of these is true when the command must not run now. `name`: a key that it looks at.
  [[nodiscard]] bool holds_key(Context& context, std::string_view name, int db);
  // The command's own keys; `context` has its row and arguments.
  [[nodiscard]] bool holds_command(Context& context, int db);
  // Keys that it may write to on behalf of clients that wait in these slots (blocking.h).
  [[nodiscard]] bool holds_waiters(Context& context, const std::vector<SlotIndex>& slots);

 private:
  // Asks for the value of a key that is cold.
  void ask(Context& context, SlotIndex slot, std::string_view name, int db);

  Keyspace& keyspace_;
  ColdKeys& cold_;
};

}  // namespace dyno

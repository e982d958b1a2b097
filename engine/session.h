// SPDX-License-Identifier: Apache-2.0
//
// What the engine knows of one client: its database, its protocol, its transaction. Connections own
// one each; a session belongs to its connection's thread, except for the members marked otherwise.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace dyno {

struct CommandSpec;
struct Waiter;
using Args = std::span<const std::string_view>;

// A key under WATCH. Writers of the key set `touched` under the slot's lock; the session reads it
// under the same lock when it executes.
struct WatchState {
  std::atomic<bool> touched{false};
};

struct WatchedKey {
  int db;
  std::string key;
};

// A command inside MULTI, with its own copy of the arguments.
struct QueuedCommand {
  const CommandSpec* spec;
  std::vector<std::string> storage;
  std::vector<std::string_view> args;
  size_t bytes;
};

enum class ReplyMode : uint8_t { kOn, kOff, kSkipNext, kSkipThis };

struct Session {
  uint64_t id = 0;
  int db = 0;  // As the client numbers it.
  int protocol = 2;
  bool authenticated = true;
  bool no_evict = false;
  bool no_touch = false;
  ReplyMode reply_mode = ReplyMode::kOn;
  std::string name;
  std::string library_name;
  std::string library_version;

  // Transactions.
  bool in_multi = false;
  bool multi_failed = false;        // A queued command was refused; EXEC will abort.
  bool multi_needs_memory = false;  // Some queued command may need memory.
  std::vector<QueuedCommand> queue;
  size_t queue_bytes = 0;
  std::vector<WatchedKey> watched;
  std::shared_ptr<WatchState> watch;

  // Set while a blocking command waits; the connection runs nothing else until it is served.
  std::shared_ptr<Waiter> waiter;
  // Passed on to waiters: how the thread that serves one reaches the connection.
  std::function<void(const std::shared_ptr<Waiter>&)> wake;

  // The last command did not run: values of its keys are being read from disk (cold_gate.h).
  bool awaits_disk = false;
  uint32_t disk_asks = 0;  // How often that was so since a command has run.

  // Asked by a command; the connection acts on it after the reply.
  bool close_after_reply = false;

  // What CLIENT LIST shows; written here, read by other threads under the registry's lock.
  const CommandSpec* last_command = nullptr;
};

}  // namespace dyno

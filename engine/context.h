// SPDX-License-Identifier: Apache-2.0
//
// What a command's body works with while it runs: arguments, reply, time, and its keys.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "engine/effect.h"
#include "engine/entry.h"
#include "engine/error_counts.h"
#include "engine/errors.h"
#include "engine/keyspace.h"
#include "engine/limits.h"
#include "engine/replication.h"
#include "engine/session.h"
#include "protocol/resp_reply.h"

namespace dyno {

struct CommandSpec;
class Executor;
struct Waiter;

// One command's execution. Lives on the stack of the thread that runs it.
struct Context {
  Executor& executor;
  Keyspace& keyspace;
  const Limits& limits;
  Session& session;
  Reply& reply;
  const CommandSpec* spec = nullptr;
  Args args;  // args[0] is the command's name, or of a subcommand "CONFIG GET" its parent's.
  int64_t now_ms = 0;  // Unix time; the same for all commands of a transaction.
  int db = 0;          // Physical database of the session at the time.
  EffectRecorder* effects = nullptr;
  bool in_exec = false;    // Part of EXEC: a blocking command answers as if timed out.
  bool holds_all = false;  // Every slot is locked by this command.
  bool no_touch = false;   // Reads do not count as use.
  bool failed = false;     // An error reply was given.
  // Hash of the first key, made by the executor.
  std::string_view hashed_key;
  KeyHash hashed{};

  [[nodiscard]] KeyHash hash(std::string_view key) const {
    return key.data() == hashed_key.data() && key.size() == hashed_key.size() ? hashed
                                                                              : keyspace.hash(key);
  }
  // What the command changes is told to `effects`.
  [[nodiscard]] bool records() const { return kHasReplication && effects != nullptr; }
  // Answers with an error ("ERR ...") and counts it.
  void error(std::string_view text) {
    failed = true;
    count_error(text);
    reply.error(text);
  }
  // Fresh random bits, uniform.
  [[nodiscard]] uint64_t random();
};

// An argument that Redis keeps in an int, as database numbers are; answers the error when it is
// none.
[[nodiscard]] std::optional<int> read_int(Context& context, std::string_view text);

// One key of the running command, found in its slot. The slot is locked. A key past its deadline is
// removed on sight by writers and invisible to readers. Keeps pointing to the key while its own
// mutators change the table; any other change of the same slot's table in between makes it stale,
// and then find() again. Two Key objects for different keys may share a slot: insertions and
// removals through one make the other stale, so call find() on the other before its next use.
class Key {
 public:
  enum class Use : uint8_t {
    kRead,   // Counts a hit or miss and marks the entry as used.
    kWrite,  // Removes it when expired.
    kPeek,  // Neither counts nor marks; the key may be cold: its value is not to be looked at then.
    kReplace,  // As kWrite, for one that is only looked for or replaced: it may be cold.
  };

  Key(Context& context, std::string_view name, Use use);
  // In another database, physical number.
  Key(Context& context, std::string_view name, Use use, int db);

  [[nodiscard]] bool exists() const { return word_ != nullptr; }
  // Its value is on disk; only of one that exists.
  [[nodiscard]] bool is_cold() const { return EntryTable::flags(*word_) & kWordCold; }
  [[nodiscard]] Entry* entry() const { return EntryTable::node(*word_); }
  [[nodiscard]] Type type() const { return entry()->type(); }
  [[nodiscard]] bool is(Type type) const { return exists() && entry()->type() == type; }
  // True when the key may be used as `type`: missing or of that type. Else answers WRONGTYPE.
  [[nodiscard]] bool allows(Type type) {
    if (!exists() || entry()->type() == type) [[likely]]
      return true;
    context_.error(errors::kWrongType);
    return false;
  }
  [[nodiscard]] std::string_view name() const { return name_; }
  [[nodiscard]] int db() const { return db_; }
  [[nodiscard]] Context& context() const { return context_; }
  [[nodiscard]] Slot& slot() const { return slot_; }
  [[nodiscard]] uint64_t* word() const { return word_; }

  // Looks the key up again after others changed the slot.
  void find();

  // --- Changes of the table. They do not record effects and do not signal: mutators of families
  // do.

  // The entry was moved by a resize: put its new address in place.
  void moved(Entry* entry) { EntryTable::set_node(word_, entry); }
  // Puts a fresh entry under this key, in place of what is there, whose memory is freed. The fresh
  // entry has its own deadline (or none).
  void put(Entry* fresh);
  // Takes the key out of the table without recording an effect; see erase().
  void drop();
  // Takes the entry out of the table without freeing it, e.g. to put it under another name.
  [[nodiscard]] Entry* take();

  // --- Changes that are complete: recorded as effects.

  // The key is gone: DEL, or a deadline set in the past.
  void erase();
  // The key is gone with its last element, whose own erasure was recorded.
  void erase_empty();
  // Another value is about to be built under this name, from nothing. What is there is dropped.
  void begin_anew();
  // Milliseconds of Unix time; -1 takes the deadline away.
  void set_deadline(int64_t at_ms);
  [[nodiscard]] int64_t deadline() const {
    return exists() && entry()->has_deadline() ? entry()->deadline() : -1;
  }

  // Reports that the key changed: wakes its watchers and waiters, and counts a change. Every
  // command calls it once for each key it changed, after the change.
  void changed();

  // Effects of this key, when they are recorded.
  [[nodiscard]] bool records() const { return context_.records(); }
  void record(EffectKind kind, std::string_view element = {}, std::string_view value = {},
              int64_t position = 0, int64_t count = 0) {
    if (records()) [[unlikely]]
      record_parts(kind, element, value, position, count);
  }
  // The same with all parts, of which the key's are filled in; only when records().
  [[gnu::cold]] void record(Effect effect);

 private:
  void locate(Use use);
  [[gnu::cold]] void record_parts(EffectKind kind, std::string_view element, std::string_view value,
                                  int64_t position, int64_t count);

  Context& context_;
  std::string_view name_;
  int db_;
  uint32_t position_;
  Slot& slot_;
  uint64_t* word_ = nullptr;
};

}  // namespace dyno

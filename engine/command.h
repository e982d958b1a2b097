// SPDX-License-Identifier: Apache-2.0
//
// The command table: one row per command, written in the file of its family. Dispatch, COMMAND and
// COMMAND DOCS, key extraction, ACL categories, routing and docs/COMMANDS.md all read these rows.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/session.h"

namespace dyno {

struct Context;

// What a row says of a command, beside COMMAND's flags of the same names.
enum CommandFlag : uint32_t {
  kWrite = 1u << 0,
  kReadonly = 1u << 1,
  kDenyOom = 1u << 2,  // May need memory: refused when over maxmemory and nothing can go.
  kAdmin = 1u << 3,
  kPubSub = 1u << 4,
  kNoScript = 1u << 5,
  kBlocking = 1u << 6,
  kLoading = 1u << 7,  // Allowed while loading.
  kStale = 1u << 8,
  kNoMonitor = 1u << 9,  // Not shown by MONITOR.
  kNoSlowlog = 1u << 10,
  kFast = 1u << 11,         // O(1) or O(log N).
  kNoAuth = 1u << 12,       // Allowed before authentication.
  kNoMulti = 1u << 13,      // Not allowed inside MULTI.
  kMovableKeys = 1u << 14,  // Some keys are found by find_keys only.
  kDangerous = 1u << 15,    // ACL category.
  kConnection = 1u << 16,   // ACL category.
  // Not flags of COMMAND, but how the executor treats the body:
  kLocksAll = 1u << 20,       // Every slot is locked while it runs.
  kLocksItself = 1u << 21,    // The body walks slots and locks each in turn, unless holds_all.
  kContainer = 1u << 23,      // Has subcommands; with a body, it is also a command of its own.
  kControlsMulti = 1u << 22,  // Runs at once inside MULTI instead of being queued.
  kKeepsCold = 1u << 24,      // Does not look at values, which may be on disk (cold_keys.h).
};

enum class CommandGroup : uint8_t {
  kString,
  kBitmap,
  kHash,
  kList,
  kSet,
  kSortedSet,
  kHyperLogLog,
  kGeo,
  kGeneric,
  kTransactions,
  kConnection,
  kServer,
};
[[nodiscard]] std::string_view group_name(CommandGroup group);

// Keys at first, first + step, ... last; last may be negative, counted from the end (-1: the last
// argument). first = 0: no keys by position.
struct KeyRange {
  int first = 0;
  int last = 0;
  int step = 0;
};

// Finds the indexes of all keys among the arguments, for commands whose keys the range cannot tell.
// False when the arguments make no sense; the body will say what is wrong.
using KeyFinder = bool (*)(Args args, std::vector<int>* indexes);

struct CommandSpec {
  std::string_view name;  // Upper case; a subcommand's is "PARENT|SUB".
  int arity;              // Arguments including the name; negative: at least that many.
  uint32_t flags;
  KeyRange keys;
  CommandGroup group;
  std::string_view since;  // The Redis version that introduced it.
  std::string_view complexity;
  std::string_view summary;
  // Arguments in the notation of Redis' manual, from which COMMAND DOCS is made:
  // "key value [NX | XX] [GET] [EX seconds | PX milliseconds]". Lower case: a value; upper case: a
  // word to be typed; [..]: optional; a | b: one of; (..): a group; "x [x ...]": one or more.
  std::string_view syntax;
  void (*body)(Context&);  // Null for a mere container of subcommands.
  KeyFinder find_keys = nullptr;
  // For commands that need every slot with some arguments only, as SORT does with patterns.
  bool (*locks_all)(Args args) = nullptr;
  // As kKeepsCold, with some arguments only, as SET without GET.
  bool (*may_keep_cold)(Args args) = nullptr;

  [[nodiscard]] bool keeps_cold(Args args) const {
    return (flags & kKeepsCold) != 0 || (may_keep_cold != nullptr && may_keep_cold(args));
  }
  [[nodiscard]] bool is_container() const { return body == nullptr || (flags & kContainer) != 0; }
};

// Key finder for "numkeys key [key ...]" with the count at argument `At`.
bool keys_counted(Args args, int at, std::vector<int>* indexes);
template <int At>
bool keys_counted_at(Args args, std::vector<int>* indexes) {
  return keys_counted(args, At, indexes);
}
// The same with a destination key at argument 1, as ZUNIONSTORE has it.
bool keys_counted_with_destination(Args args, std::vector<int>* indexes);

// Every row, found by name. Filled before the first thread starts, constant afterwards.
class CommandTable {
 public:
  // Copies the rows; pointers that find() gave before are void.
  void add(std::span<const CommandSpec> rows);

  // The row for a command line, or null: `args[1]` selects the row of a container's subcommand.
  [[nodiscard]] const CommandSpec* find(Args args) const;
  // By name alone, of any case: "GET", "config|get".
  [[nodiscard]] const CommandSpec* find_name(std::string_view name) const;
  // In alphabetical order; subcommands follow their container.
  [[nodiscard]] const std::vector<CommandSpec>& all() const { return all_; }
  [[nodiscard]] size_t index_of(const CommandSpec& spec) const {
    return static_cast<size_t>(&spec - all_.data());
  }

  // Indexes of the keys among `args`; false when the arguments do not tell.
  [[nodiscard]] static bool key_indexes(const CommandSpec& spec, Args args,
                                        std::vector<int>* indexes);

 private:
  struct Bucket {
    uint64_t prefix = 0;  // The first eight bytes of the name, upper case.
    const CommandSpec* spec = nullptr;
    uint8_t name_size = 0;
    bool short_letters = false;  // The prefix and the size tell the whole name.
    bool subcommand = false;
  };
  [[nodiscard]] const Bucket* find_bucket(std::string_view name) const;
  void rebuild();

  std::vector<CommandSpec> all_;
  std::vector<Bucket> buckets_;  // Open addressing, a power of two.
};

// The engine's families.
extern const std::span<const CommandSpec> kStringCommands;
extern const std::span<const CommandSpec> kBitmapCommands;
extern const std::span<const CommandSpec> kHashCommands;
extern const std::span<const CommandSpec> kHashExpiryCommands;
extern const std::span<const CommandSpec> kListCommands;
extern const std::span<const CommandSpec> kSetCommands;
extern const std::span<const CommandSpec> kZSetCommands;
extern const std::span<const CommandSpec> kZSetRangeCommands;
extern const std::span<const CommandSpec> kZSetAlgebraCommands;
extern const std::span<const CommandSpec> kZSetPopCommands;
extern const std::span<const CommandSpec> kHyperLogLogCommands;
extern const std::span<const CommandSpec> kGeoCommands;
extern const std::span<const CommandSpec> kGenericCommands;
extern const std::span<const CommandSpec> kExpiryCommands;
extern const std::span<const CommandSpec> kScanCommands;
extern const std::span<const CommandSpec> kSortCommands;
extern const std::span<const CommandSpec> kDumpCommands;
extern const std::span<const CommandSpec> kTransactionCommands;
extern const std::span<const CommandSpec> kLcsCommands;

}  // namespace dyno

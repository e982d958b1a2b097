// SPDX-License-Identifier: Apache-2.0
//
// COMMAND: the command table, shown to clients.
#include <algorithm>

#include "protocol/glob.h"
#include "protocol/words.h"
#include "src/command_docs.h"
#include "src/server.h"

namespace dyno {
namespace {

struct FlagName {
  uint32_t flag;
  std::string_view name;
};

constexpr FlagName kFlagNames[] = {
    {kWrite, "write"},
    {kReadonly, "readonly"},
    {kDenyOom, "denyoom"},
    {kAdmin, "admin"},
    {kPubSub, "pubsub"},
    {kNoScript, "noscript"},
    {kBlocking, "blocking"},
    {kLoading, "loading"},
    {kStale, "stale"},
    {kNoMonitor, "skip_monitor"},
    {kNoSlowlog, "skip_slowlog"},
    {kFast, "fast"},
    {kNoAuth, "no_auth"},
    {kNoMulti, "no_multi"},
    {kMovableKeys, "movablekeys"},
};

bool is_subcommand(const CommandSpec& spec) {
  return spec.name.find('|') != std::string_view::npos;
}

// The rows of a container's subcommands.
std::vector<const CommandSpec*> subcommands(const CommandTable& table, const CommandSpec& parent) {
  std::vector<const CommandSpec*> found;
  if (!parent.is_container()) return found;
  std::string prefix = std::string(parent.name) + "|";
  for (const CommandSpec& spec : table.all()) {
    if (spec.name.starts_with(prefix)) found.push_back(&spec);
  }
  return found;
}

std::vector<std::string> categories(const CommandSpec& spec) {
  static constexpr std::string_view kGroupCategories[] = {
      "string",      "bitmap", "hash",     "list",        "set",        "sortedset",
      "hyperloglog", "geo",    "keyspace", "transaction", "connection", "",
  };
  std::vector<std::string> names;
  auto add_if = [&](bool wanted, std::string_view name) {
    std::string full = "@" + std::string(name);
    if (wanted && std::find(names.begin(), names.end(), full) == names.end()) names.push_back(full);
  };
  std::string_view group = kGroupCategories[static_cast<size_t>(spec.group)];
  add_if(spec.group == CommandGroup::kGeneric, "keyspace");
  add_if(spec.flags & kReadonly, "read");
  add_if(spec.flags & kWrite, "write");
  add_if(!group.empty() && group != "keyspace" && group != "connection", group);
  add_if(spec.flags & kAdmin, "admin");
  add_if(spec.flags & kFast, "fast");
  add_if(!(spec.flags & kFast), "slow");
  add_if(spec.flags & kBlocking, "blocking");
  add_if(spec.flags & kDangerous, "dangerous");
  add_if(spec.flags & kConnection, "connection");
  add_if(spec.group == CommandGroup::kTransactions, "transaction");
  return names;
}

void reply_key_specs(Context& c, const CommandSpec& spec) {
  if (spec.keys.first == 0) return c.reply.array(0);
  c.reply.array(1);
  c.reply.map(3);
  c.reply.bulk("flags");
  bool writes = (spec.flags & kWrite) != 0;
  c.reply.set(2);
  c.reply.simple(writes ? "RW" : "RO");
  c.reply.simple("access");
  c.reply.bulk("begin_search");
  c.reply.map(2);
  c.reply.bulk("type");
  c.reply.bulk("index");
  c.reply.bulk("spec");
  c.reply.map(1);
  c.reply.bulk("index");
  c.reply.integer(spec.keys.first);
  c.reply.bulk("find_keys");
  c.reply.map(2);
  c.reply.bulk("type");
  c.reply.bulk("range");
  c.reply.bulk("spec");
  c.reply.map(3);
  c.reply.bulk("lastkey");
  c.reply.integer(spec.keys.last < 0 ? spec.keys.last : spec.keys.last - spec.keys.first);
  c.reply.bulk("keystep");
  c.reply.integer(spec.keys.step);
  c.reply.bulk("limit");
  c.reply.integer(0);
}

void reply_info(Context& c, const CommandSpec& spec) {
  c.reply.array(10);
  c.reply.bulk(to_lower(spec.name));
  c.reply.integer(spec.arity);
  size_t begun = c.reply.begin();
  size_t flags = 0;
  for (const FlagName& flag : kFlagNames) {
    if (!(spec.flags & flag.flag)) continue;
    c.reply.simple(flag.name);
    ++flags;
  }
  c.reply.finish_set(begun, flags);
  c.reply.integer(spec.keys.first);
  c.reply.integer(spec.keys.last);
  c.reply.integer(spec.keys.step);
  std::vector<std::string> names = categories(spec);
  c.reply.set(names.size());
  for (const std::string& name : names) c.reply.simple(name);
  c.reply.array(0);
  reply_key_specs(c, spec);
  auto subs = subcommands(c.executor.commands(), spec);
  c.reply.array(subs.size());
  for (const CommandSpec* sub : subs) reply_info(c, *sub);
}

void reply_arguments(Context& c, const std::vector<ArgumentDoc>& arguments) {
  c.reply.array(arguments.size());
  for (const ArgumentDoc& argument : arguments) {
    size_t flags = static_cast<size_t>(argument.optional) + static_cast<size_t>(argument.multiple);
    bool nested = !argument.arguments.empty();
    c.reply.map(3u + (argument.token.empty() ? 0 : 1) + (flags > 0 ? 1 : 0) + (nested ? 1 : 0));
    c.reply.bulk("name");
    c.reply.bulk(argument.name);
    c.reply.bulk("type");
    c.reply.bulk(argument.type);
    c.reply.bulk("display_text");
    c.reply.bulk(argument.name);
    if (!argument.token.empty()) {
      c.reply.bulk("token");
      c.reply.bulk(argument.token);
    }
    if (flags > 0) {
      c.reply.bulk("flags");
      c.reply.set(flags);
      if (argument.optional) c.reply.simple("optional");
      if (argument.multiple) c.reply.simple("multiple");
    }
    if (nested) {
      c.reply.bulk("arguments");
      reply_arguments(c, argument.arguments);
    }
  }
}

void reply_docs(Context& c, const CommandSpec& spec) {
  auto subs = subcommands(c.executor.commands(), spec);
  std::vector<ArgumentDoc> arguments = parse_syntax(spec.syntax);
  c.reply.bulk(to_lower(spec.name));
  c.reply.map(4u + (arguments.empty() ? 0 : 1) + (subs.empty() ? 0 : 1));
  c.reply.bulk("summary");
  c.reply.bulk(spec.summary);
  c.reply.bulk("since");
  c.reply.bulk(spec.since);
  c.reply.bulk("group");
  c.reply.bulk(group_name(spec.group));
  c.reply.bulk("complexity");
  c.reply.bulk(spec.complexity);
  if (!arguments.empty()) {
    c.reply.bulk("arguments");
    reply_arguments(c, arguments);
  }
  if (!subs.empty()) {
    c.reply.bulk("subcommands");
    c.reply.map(subs.size());
    for (const CommandSpec* sub : subs) reply_docs(c, *sub);
  }
}

std::vector<const CommandSpec*> top_level(const CommandTable& table) {
  std::vector<const CommandSpec*> found;
  for (const CommandSpec& spec : table.all()) {
    if (!is_subcommand(spec)) found.push_back(&spec);
  }
  return found;
}

void command(Context& c) {
  auto specs = top_level(c.executor.commands());
  c.reply.array(specs.size());
  for (const CommandSpec* spec : specs) reply_info(c, *spec);
}

void command_info(Context& c) {
  if (c.args.size() == 2) return command(c);
  c.reply.array(c.args.size() - 2);
  for (std::string_view name : c.args.subspan(2)) {
    const CommandSpec* spec = c.executor.commands().find_name(name);
    spec == nullptr ? c.reply.null() : reply_info(c, *spec);
  }
}

void command_docs(Context& c) {
  std::vector<const CommandSpec*> specs;
  if (c.args.size() == 2) specs = top_level(c.executor.commands());
  for (std::string_view name : c.args.subspan(2)) {
    const CommandSpec* spec = c.executor.commands().find_name(name);
    if (spec != nullptr) specs.push_back(spec);
  }
  c.reply.map(specs.size());
  for (const CommandSpec* spec : specs) reply_docs(c, *spec);
}

void command_count(Context& c) {
  c.reply.integer(static_cast<int64_t>(top_level(c.executor.commands()).size()));
}

void command_list(Context& c) {
  const CommandTable& table = c.executor.commands();
  std::vector<std::string> names;
  if (c.args.size() == 2) {
    for (const CommandSpec& spec : table.all()) names.push_back(to_lower(spec.name));
  } else if (c.args.size() == 5 && is_word(c.args[2], "FILTERBY")) {
    std::string_view kind = c.args[3];
    std::string_view value = c.args[4];
    bool by_pattern = is_word(kind, "PATTERN");
    bool by_category = is_word(kind, "ACLCAT");
    if (!by_pattern && !by_category && !is_word(kind, "MODULE")) return c.error(errors::kSyntax);
    std::string category = "@" + to_lower(value);
    for (const CommandSpec& spec : table.all()) {
      std::string name = to_lower(spec.name);
      if (by_pattern && glob_match(value, name, /*ignore_case=*/true)) names.push_back(name);
      if (!by_category) continue;
      auto of_spec = categories(spec);
      if (std::find(of_spec.begin(), of_spec.end(), category) != of_spec.end())
        names.push_back(name);
    }
  } else {
    return c.error(errors::kSyntax);
  }
  c.reply.array(names.size());
  for (const std::string& name : names) c.reply.bulk(name);
}

// The command line behind "COMMAND GETKEYS", and where its keys are; answers the error when it is
// none or has none.
const CommandSpec* keys_of(Context& c, std::vector<int>* indexes) {
  Args line = c.args.subspan(2);
  const CommandSpec* spec = c.executor.commands().find(line);
  if (spec == nullptr || spec->body == nullptr) {
    c.error("ERR Invalid command specified");
    return nullptr;
  }
  if (spec->keys.first == 0 && spec->find_keys == nullptr) {
    c.error("ERR The command has no key arguments");
    return nullptr;
  }
  if ((spec->arity > 0 && static_cast<int>(line.size()) != spec->arity) ||
      static_cast<int>(line.size()) < -spec->arity) {
    c.error("ERR Invalid number of arguments specified for command");
    return nullptr;
  }
  if (!CommandTable::key_indexes(*spec, line, indexes)) {
    c.error("ERR Invalid arguments specified for command");
    return nullptr;
  }
  if (indexes->empty()) {
    c.error("ERR The command has no key arguments");
    return nullptr;
  }
  return spec;
}

void command_getkeys(Context& c) {
  std::vector<int> indexes;
  if (keys_of(c, &indexes) == nullptr) return;
  c.reply.array(indexes.size());
  for (int index : indexes) c.reply.bulk(c.args[2 + static_cast<size_t>(index)]);
}

// Commands that write their keys without reading them.
bool overwrites_keys(const CommandSpec& spec) {
  static constexpr std::string_view kNames[] = {"SET", "SETEX", "PSETEX", "MSET"};
  return std::find(std::begin(kNames), std::end(kNames), spec.name) != std::end(kNames);
}

void command_getkeysandflags(Context& c) {
  std::vector<int> indexes;
  const CommandSpec* spec = keys_of(c, &indexes);
  if (spec == nullptr) return;
  c.reply.array(indexes.size());
  for (int index : indexes) {
    c.reply.array(2);
    c.reply.bulk(c.args[2 + static_cast<size_t>(index)]);
    c.reply.set(2);
    bool overwrites = overwrites_keys(*spec);
    c.reply.simple(overwrites ? "OW" : spec->flags & kWrite ? "RW" : "RO");
    c.reply.simple(overwrites ? "update" : "access");
  }
}

constexpr auto kGroup = CommandGroup::kServer;
constexpr uint32_t kPlain = kLoading | kStale | kConnection;

// clang-format off
const CommandSpec kRows[] = {
    {"COMMAND", -1, kPlain | kContainer, {}, kGroup, "2.8.13", "O(N) with N the number of commands",
     "Describes every command.", "", command},
    {"COMMAND|COUNT", 2, kPlain, {}, kGroup, "2.8.13", "O(1)", "Returns the number of commands.",
     "", command_count},
    {"COMMAND|INFO", -2, kPlain, {}, kGroup, "2.8.13", "O(N) with N the commands asked for",
     "Describes commands: arity, flags, keys.", "[command-name [command-name ...]]", command_info},
    {"COMMAND|DOCS", -2, kPlain, {}, kGroup, "7.0.0", "O(N) with N the commands asked for",
     "Returns the documentation of commands.", "[command-name [command-name ...]]", command_docs},
    {"COMMAND|LIST", -2, kPlain, {}, kGroup, "7.0.0", "O(N) with N the number of commands",
     "Lists the names of commands.",
     "[FILTERBY <MODULE module-name | ACLCAT category | PATTERN pattern>]", command_list},
    {"COMMAND|GETKEYS", -4, kPlain, {}, kGroup, "2.8.13", "O(N) with N the arguments",
     "Extracts the keys of a command line.", "command [arg ...]", command_getkeys},
    {"COMMAND|GETKEYSANDFLAGS", -4, kPlain, {}, kGroup, "7.0.0", "O(N) with N the arguments",
     "Extracts the keys of a command line and how they are used.", "command [arg ...]",
     command_getkeysandflags},
};
// clang-format on

}  // namespace

const std::span<const CommandSpec> kCommandCommands{kRows};

}  // namespace dyno

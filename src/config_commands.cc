// SPDX-License-Identifier: Apache-2.0
//
// CONFIG: the configuration table as clients see it, and the reset of what INFO counts.

#include "src/log.h"
#include "src/server.h"

namespace dyno {
namespace {

void config_get(Context& c) {
  const ConfigTable& table = client_of(c).server.config_table();
  const std::vector<ConfigTable::Pair> found = table.get(c.args.subspan(2));
  c.reply.map(found.size());
  for (const auto& [name, value] : found) {
    c.reply.bulk(name);
    c.reply.bulk(value);
  }
}

void config_set(Context& c) {
  if (c.args.size() % 2 != 0) return c.error(errors::kSyntax);
  Server& server = client_of(c).server;
  std::vector<ConfigTable::Pair> pairs;
  for (size_t i = 2; i < c.args.size(); i += 2) pairs.emplace_back(c.args[i], c.args[i + 1]);
  if (const std::optional<std::string> error = server.config_table().set(pairs)) {
    return c.error("ERR " + *error);
  }
  for (const auto& [name, value] : pairs) {
    const bool sensitive = server.config_table().is_sensitive(name);
    server.log().write(LogLevel::kNotice, "configuration changed",
                       {{"client", client_of(c).facts.address},
                        {"name", name},
                        {"value", sensitive ? "(not shown)" : value}});
  }
  c.reply.ok();
}

void config_rewrite(Context& c) {
  Server& server = client_of(c).server;
  if (const std::optional<std::string> error = server.config_table().rewrite()) {
    return c.error("ERR " + *error);
  }
  server.log().write(LogLevel::kNotice, "configuration file rewritten",
                     {{"client", client_of(c).facts.address}});
  c.reply.ok();
}

void config_resetstat(Context& c) {
  client_of(c).server.reset_stats();
  c.reply.ok();
}

constexpr auto kGroup = CommandGroup::kServer;
constexpr uint32_t kPower = kAdmin | kNoScript | kLoading | kStale | kDangerous;

// clang-format off
const CommandSpec kRows[] = {
    {"CONFIG", -2, 0, {}, kGroup, "2.0.0", "Depends on the subcommand.",
     "Reads and changes the configuration.", "", nullptr},
    {"CONFIG|GET", -3, kPower, {}, kGroup, "2.0.0", "O(N) with N the number of settings",
     "Returns the settings whose names match.", "parameter [parameter ...]", config_get},
    {"CONFIG|SET", -4, kPower | kNoSlowlog, {}, kGroup, "2.0.0",
     "O(N) with N the number of settings given", "Changes settings, all of them or none.",
     "<parameter value [parameter value ...]>", config_set},
    {"CONFIG|RESETSTAT", 2, kPower, {}, kGroup, "2.0.0", "O(1)", "Sets the counters of INFO to 0.",
     "", config_resetstat},
    {"CONFIG|REWRITE", 2, kPower, {}, kGroup, "2.8.0", "O(N) with N the size of the file",
     "Writes changed settings into the configuration file.", "", config_rewrite},
};
// clang-format on

}  // namespace

const std::span<const CommandSpec> kConfigCommands{kRows};

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
#include "src/command_page.h"

#include <array>
#include <utility>

namespace dyno {
namespace {

constexpr std::array<std::pair<CommandGroup, std::string_view>, 12> kSections{{
    {CommandGroup::kString, "Strings"},
    {CommandGroup::kBitmap, "Bitmaps"},
    {CommandGroup::kHash, "Hashes"},
    {CommandGroup::kList, "Lists"},
    {CommandGroup::kSet, "Sets"},
    {CommandGroup::kSortedSet, "Sorted sets"},
    {CommandGroup::kHyperLogLog, "HyperLogLog"},
    {CommandGroup::kGeo, "Places"},
    {CommandGroup::kGeneric, "Keys of any type"},
    {CommandGroup::kTransactions, "Transactions"},
    {CommandGroup::kConnection, "Connections"},
    {CommandGroup::kServer, "Server"},
}};

// A cell of a Markdown table; a bar would end it.
std::string cell(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '|') out += '\\';
    out += c;
  }
  return out;
}

// "CONFIG|GET" is typed as "CONFIG GET".
std::string typed(std::string_view name) {
  std::string out(name);
  for (char& c : out) {
    if (c == '|') c = ' ';
  }
  return out;
}

}  // namespace

std::string command_page(const CommandTable& commands) {
  std::string page =
      "# Commands\n\n"
      "Made from the command table by `dyno-server --print-commands`; do not edit. Replies and "
      "errors "
      "are those of Redis 7.2; *since* is the version of Redis that introduced a command.\n";
  for (const auto& [group, title] : kSections) {
    page.append("\n## ").append(title).append(
        "\n\n| command | what it does | complexity | since |\n|---|---|---|---|\n");
    for (const CommandSpec& spec : commands.all()) {
      if (spec.group != group || spec.body == nullptr) continue;
      std::string usage = typed(spec.name);
      if (!spec.syntax.empty()) usage.append(" ").append(spec.syntax);
      page.append("| `").append(cell(usage)).append("` | ").append(cell(spec.summary));
      page.append(" | ").append(cell(spec.complexity)).append(" | ").append(spec.since);
      page.append(" |\n");
    }
  }
  return page;
}

}  // namespace dyno

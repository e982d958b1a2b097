// SPDX-License-Identifier: Apache-2.0
#include "ring/request.h"

#include <iterator>

namespace dyno {
namespace {

constexpr std::string_view kLevelNames[] = {"DC_ONE", "DC_QUORUM", "DC_SAFE_QUORUM",
                                            "DC_EACH_SAFE_QUORUM"};

}  // namespace

std::string_view level_name(Level level) {
  return kLevelNames[static_cast<size_t>(level)];
}

std::optional<Level> parse_level(std::string_view name) {
  for (size_t i = 0; i < std::size(kLevelNames); ++i) {
    if (name.size() != kLevelNames[i].size()) continue;
    bool same = true;
    for (size_t at = 0; at < name.size() && same; ++at) {
      char c =
          name[at] >= 'a' && name[at] <= 'z' ? static_cast<char>(name[at] - 'a' + 'A') : name[at];
      same = c == kLevelNames[i][at];
    }
    if (same) return static_cast<Level>(i);
  }
  return std::nullopt;
}

}  // namespace dyno

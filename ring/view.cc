// SPDX-License-Identifier: Apache-2.0
#include "ring/view.h"

#include <iterator>

namespace dyno {

std::string_view node_state_name(NodeState state) {
  static constexpr std::string_view kNames[] = {"DOWN",   "LOADING", "NORMAL",     "LEAVING",
                                                "FENCED", "STANDBY", "WRITES_ONLY"};
  auto index = static_cast<size_t>(state);
  return index < std::size(kNames) ? kNames[index] : "UNKNOWN";
}

}  // namespace dyno

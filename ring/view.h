// SPDX-License-Identifier: Apache-2.0
//
// What a node believes of all nodes at one time. The steward (steward.h) makes a new view whenever
// something changes; the lanes of all threads read it. Constant once made.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "engine/replica/stamp.h"
#include "ring/topology.h"

namespace dyno {

// The numbers travel (Heartbeat::state).
enum class NodeState : uint8_t {
  kDown = 0,     // Not heard of for a while, or never.
  kLoading = 1,  // Filling its memory; applies, but neither runs commands nor counts in a quorum.
  kNormal = 2,
  kLeaving = 3,  // Finishes what it began and begins nothing.
  kFenced = 4,   // Its clock is too far off: it serves reads and applies, but originates nothing.
  kStandby = 5,  // By an operator's wish: it applies, and runs nothing.
  kWritesOnly = 6,  // Likewise: it applies and runs writes, and shows nothing.
};
[[nodiscard]] std::string_view node_state_name(NodeState state);

struct View {
  [[nodiscard]] static bool may_write(NodeState state) {
    return state == NodeState::kNormal || state == NodeState::kWritesOnly;
  }

  struct NodeView {
    NodeState state = NodeState::kDown;
    uint32_t incarnation = 0;     // 0: never heard of.
    int64_t clock_offset_ms = 0;  // Its wall clock minus this node's.

    [[nodiscard]] bool may_write() const { return View::may_write(state); }
    [[nodiscard]] bool may_read() const {
      return state == NodeState::kNormal || state == NodeState::kFenced;
    }
  };

  std::vector<NodeView> nodes;  // By NodeIndex, this node too.
  // This node knows every write up to this stamp to the keys that it owns; 0: not even that.
  Stamp published = 0;
  // What was removed up to this stamp may be forgotten (frontier.h).
  Stamp horizon = 0;
  // Every write of this data center up to this stamp to the keys that this node owns is here.
  Stamp known = 0;
};
using SharedView = std::shared_ptr<const View>;

}  // namespace dyno

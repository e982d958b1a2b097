// SPDX-License-Identifier: Apache-2.0
//
// What the lanes of a node and its steward tell each other. The driver carries notes between their
// threads, in order from each sender to each receiver, at its leisure: none of them is urgent. Whom
// a note is for follows from its kind.
#pragma once

#include <cstdint>
#include <variant>

#include "engine/replica/stamp.h"
#include "ring/slot_set.h"
#include "ring/topology.h"
#include "ring/view.h"

namespace dyno {

// A peer's lane dialed this node, in this incarnation. To the steward.
struct PeerSeen {
  NodeIndex node = kNoNode;
  uint32_t incarnation = 0;
  uint16_t lanes = 1;
};
// A stream brought a mark; or, of this node itself, what a lane of it has handed over, without
// `published`. To the steward.
struct MarkSeen {
  NodeIndex node = kNoNode;
  uint32_t incarnation = 0;
  uint16_t lane = 0;
  Stamp watermark = 0;
  Stamp published = 0;
};
// A stream skipped frames; their slots are to be pulled from its node. To the steward.
struct SlotsDirty {
  NodeIndex node = kNoNode;
  uint32_t incarnation = 0;
  uint16_t lane = 0;
  uint64_t epoch = 0;
  SlotSet slots;
};
// They were pulled. To the lane that serves the stream: `lane` modulo the number of lanes here.
struct SlotsClean {
  NodeIndex node = kNoNode;
  uint32_t incarnation = 0;
  uint16_t lane = 0;
  uint64_t epoch = 0;
};
// What the node believes now. To every lane.
struct ViewChanged {
  SharedView view;
};

// A peer refuses this node, since another process has taken its place. To the steward.
struct Superseded {
  NodeIndex by = kNoNode;  // The peer that says so.
};

using Note = std::variant<PeerSeen, MarkSeen, SlotsDirty, SlotsClean, ViewChanged, Superseded>;

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// Which nodes the ring has and which of them this process is, as the configuration says: the seeds
// and this node itself, whose own entry may or may not be among the seeds.
#pragma once

#include <string>

#include "ring/topology.h"
#include "src/config.h"

namespace dyno {

struct RingMembership {
  // Without seeds: no topology, no peer port, nothing is replicated or forwarded.
  bool alone = true;
  Topology topology;
  NodeIndex self = kNoNode;
};

// Returns why the configuration makes no ring, saying what was expected; empty when it does.
[[nodiscard]] std::string read_membership(const Config& config, RingMembership* membership);

}  // namespace dyno

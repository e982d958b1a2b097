// SPDX-License-Identifier: Apache-2.0
//
// What really happened, as only the simulator can know: every write that any node ever ran, and
// every request with what its client was told. The checks judge by it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "engine/stamp.h"
#include "ring/request.h"
#include "ring/topology.h"

namespace dyno::simulator {

// One element of one key set to a value, or removed.
struct Write {
  uint64_t op = 0;
  std::string key;
  std::string element;
  Stamp stamp = 0;
  bool alive = false;
  std::string value;
  NodeIndex origin = kNoNode;
  uint32_t incarnation = 0;
};

enum class OpKind : uint8_t { kPut, kRemove, kRemoveAll, kPutNew, kGet };

struct Op {
  uint64_t id = 0;
  OpKind kind = OpKind::kGet;
  std::string key;
  std::string element;
  std::string value;
  Level level = Level::kDcOne;
  NodeIndex node = kNoNode;  // That the client spoke to.
  int64_t began_us = 0;
  int64_t ended_us = -1;  // -1: never; the node died.
  bool done = false;      // Answered with the outcome kDone and no error.
  bool refused = false;   // Answered that nothing was or will be applied.
  Stamp shown = 0;        // What a read showed: the stamp, and whether something was there.
  bool shown_alive = false;
  std::string shown_value;
};

using Place = std::pair<std::string, std::string>;  // Key and element.

struct Ledger {
  std::vector<Write> writes;
  std::map<Place, std::vector<size_t>> by_place;  // Indexes of writes.
  std::map<uint64_t, std::vector<size_t>> by_op;
  std::map<uint64_t, Op> ops;

  void add(Write write) {
    by_place[{write.key, write.element}].push_back(writes.size());
    by_op[write.op].push_back(writes.size());
    writes.push_back(std::move(write));
  }
};

}  // namespace dyno::simulator

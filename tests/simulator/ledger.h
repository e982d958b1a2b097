// SPDX-License-Identifier: Apache-2.0
//
// What really happened, as only the simulator can know: every frame that any node ever wrote, fact
// by fact, and every request with what its client was told. The checks judge by it.
//
// A fact belongs to a place: an element of a key, named as the element is; of a string the empty
// one; of a list "#" and the element's identity. Of two facts of a place the one of larger rank
// counts, which is its stamp, but that what left a list has left it for good.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/replica/delta.h"
#include "engine/replica/stamp.h"
#include "ring/request.h"
#include "ring/topology.h"

namespace dyno::simulator {

using Place = std::string;

// One fact of a frame.
struct Write {
  FactKind kind{};
  Place place;
  Stamp stamp = 0;
  Stamp rank = 0;
  Stamp born = 0;  // What a clear is compared with: of a list's element its identity's stamp.
  bool alive = false;
  std::string value;
  Total total;
  size_t frame = 0;  // Index of Ledger::frames.
};

// The facts of a frame by their keys; those about deadlines and types are passed over.
[[nodiscard]] std::vector<std::pair<std::string, Write>> writes_of(std::string_view frame);

// What a node holds of a key.
struct HeldKey {
  Stamp clear = 0;
  std::map<Place, Write> cells;
  std::map<std::pair<Place, Actor>, Total> totals;
  std::map<std::pair<Place, Actor>, Total> observed;
};
// `state` is the key's whole state as a frame; empty: nothing is held.
[[nodiscard]] HeldKey held_of(std::string_view state);

struct WrittenFrame {
  uint64_t op = 0;
  NodeIndex origin = kNoNode;
  uint32_t incarnation = 0;
  std::string bytes;
  int64_t amount = 0;     // That its command added to a counter.
  bool replaced = false;  // It was stamped anew.
};

// A write that whoever reads from now on has to know.
struct Due {
  Write write;
  uint64_t op = 0;  // Of which a client was told.
  int64_t began_us = 0;
};

// What became of a key, in the order in which it was written.
struct KeyHistory {
  std::vector<Write> writes;
  std::vector<Stamp> clears;
  std::map<Place, std::vector<size_t>> gone;  // Indexes of writes.
  std::map<std::pair<Place, Actor>, std::vector<size_t>> observed;
  // By data center and place; of a counter also by actor, of a clear by "*".
  std::map<std::pair<uint16_t, std::string>, Due> dues;
};

// What the key's commands are, which its first letter says too.
enum class Family : uint8_t {
  kText,     // t  strings
  kCounter,  // c  INCRBY of what is positive, and nothing else
  kHash,     // h  fields, some of them counters
  kSet,      // s
  kZSet,     // z  members, some of them counters
  kQueue,    // q  LPUSH and RPOP
  kPair,     // {  two counters that a transaction raises together
  kLock,     // l  SET NX, a new key every few requests
  kTimed,    // x  strings with deadlines; what they are worth, and when, is not judged
};

[[nodiscard]] inline bool is_judged(const std::string& key) {
  return key.front() != 'x';
}

struct Op {
  uint64_t id = 0;
  bool write = false;
  Family family = Family::kText;
  std::vector<std::string> keys;
  std::string verb;
  Place place;  // That a read of one element shows.
  int64_t amount = 0;
  std::string command;  // One request or more.
  Level level = Level::kDcOne;
  NodeIndex node = kNoNode;  // That the client spoke to.
  int lane = -1;             // Of it; -1: any.
  int64_t began_us = 0;
  int64_t ended_us = -1;   // -1: never; the node died.
  bool done = false;       // Answered with the outcome kDone.
  bool refused = false;    // Answered that nothing was or will be applied.
  bool saw_amiss = false;  // Who ran this quorum write knew that not all was well.
  uint64_t healthy = 0;    // The ring was healthy when it began: the number of that time. 0: not.
  std::vector<std::pair<std::string, Due>> must_see;  // By key.
  std::map<NodeIndex, std::string> unseen;  // What was amiss when a read last ran on a node.
  std::map<std::string, HeldKey> shown;     // By key: what was there when a read ran.
};

struct Ledger {
  std::vector<WrittenFrame> frames;
  std::map<std::string, KeyHistory> keys;
  std::map<uint64_t, std::vector<size_t>> by_op;  // Indexes of frames.
  std::map<uint64_t, Op> ops;

  void add(WrittenFrame frame);
  // Whether who holds this of the key knows the write, or what makes it void. What was removed up
  // to `horizon` may have been forgotten.
  [[nodiscard]] bool is_known(const std::string& key, const HeldKey& held, const Write& write,
                              Stamp horizon) const;
  // From now on the write has to be seen in the data center.
  void make_due(const std::string& key, uint16_t dc, Due due);

 private:
  [[nodiscard]] Stamp forgotten_rank(const std::string& key, const Write& write,
                                     Stamp horizon) const;
};

}  // namespace dyno::simulator

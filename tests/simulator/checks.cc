// SPDX-License-Identifier: Apache-2.0
//
// What must hold. With every answer: a read shows only what some client wrote, at a quorum level
// nothing older than what a quorum had acknowledged, at a safe level nothing older than what a safe
// read had shown; what a quorum acknowledged is held by one. All along: a node that says to know
// everything up to a stamp does. At the end, once faults have stopped: all replicas are equal, no
// write that had to survive is missing, nothing removed is back, nothing removed is still kept, no
// stream or pull has anything left to do, and it stays so.
#include <algorithm>

#include "tests/simulator/world.h"

namespace dyno::simulator {

bool World::is_alive(const Write& write) const {
  const Process& origin = processes_[write.origin];
  return origin.up && origin.incarnation == write.incarnation;
}

// The process that ran it is still there, or a quorum acknowledged it and was not overtaxed.
bool World::must_survive(const Write& write) const {
  if (is_alive(write)) return true;
  auto found = ledger_.ops.find(write.op);
  if (found == ledger_.ops.end()) return false;
  const Op& op = found->second;
  uint16_t dc = topology_.node(op.node).dc_index;
  return op.done && write.stamp == op.shown && op.level != Level::kDcOne &&
         op.began_us > void_before_us_ && topology_.dcs()[dc].racks.size() > 1;
}

void World::check_answer(const Op& op) {
  std::string who = "request " + std::to_string(op.id) + " at " +
                    std::string(level_name(op.level)) + " on " + op.key + " " + op.element;
  if (op.kind != OpKind::kGet) return check_held(op);
  auto place = ledger_.by_place.find({op.key, op.element});
  if (place == ledger_.by_place.end()) {
    if (op.shown != 0) fail(who + " showed what nobody wrote");
    return;
  }
  bool known = op.shown == 0;
  Stamp removed = 0;  // Latest removal, ever.
  for (size_t index : place->second) {
    const Write& write = ledger_.writes[index];
    if (!write.alive) removed = std::max(removed, write.stamp);
    known = known || (write.stamp == op.shown && write.alive == op.shown_alive &&
                      write.value == op.shown_value);
  }
  if (!known) return fail(who + " showed what nobody wrote");
  uint16_t dc = topology_.node(op.node).dc_index;
  if (op.level == Level::kDcOne || topology_.dcs()[dc].racks.size() < 2) return;
  auto must_see = [&](Stamp stamp, const Op& earlier) {
    // What was removed since may be forgotten already.
    if (op.shown >= stamp || (op.shown == 0 && removed >= stamp)) return;
    fail(who + " showed " + std::to_string(op.shown) + ", but request " +
         std::to_string(earlier.id) + " at " + std::string(level_name(earlier.level)) +
         " before it " + std::to_string(stamp));
  };
  for (size_t index : place->second) {
    const Write& write = ledger_.writes[index];
    const Op& earlier = ledger_.ops.at(write.op);
    bool same_dc = topology_.node(earlier.node).dc_index == dc ||
                   earlier.level == Level::kDcEachSafeQuorum ||
                   op.level == Level::kDcEachSafeQuorum;
    // Another run of a repeatable request is not the one that was answered.
    if (earlier.done && write.stamp == earlier.shown && earlier.level != Level::kDcOne &&
        earlier.ended_us < op.began_us && earlier.began_us > void_before_us_ && same_dc) {
      must_see(write.stamp, earlier);
    }
  }
  for (const auto& [id, earlier] : ledger_.ops) {
    bool same_place = earlier.key == op.key && earlier.element == op.element;
    bool same_dc = topology_.node(earlier.node).dc_index == dc;
    if (same_place && same_dc && earlier.kind == OpKind::kGet && earlier.done &&
        is_safe(earlier.level) && earlier.ended_us < op.began_us &&
        earlier.began_us > void_before_us_) {
      must_see(earlier.shown, earlier);
    }
  }
}

// A quorum that acknowledged a write has it.
void World::check_held(const Op& op) {
  uint16_t own_dc = topology_.node(op.node).dc_index;
  auto written = ledger_.by_op.find(op.id);
  if (op.level == Level::kDcOne || written == ledger_.by_op.end()) return;
  if (op.began_us <= last_disturbed_us_ || op.began_us <= void_before_us_) return;
  for (uint16_t dc = 0; dc < topology_.dcs().size(); ++dc) {
    const Topology::DataCenter& center = topology_.dcs()[dc];
    if (dc != own_dc && op.level != Level::kDcEachSafeQuorum) continue;
    for (size_t index : written->second) {
      const Write& write = ledger_.writes[index];
      // Another run of a repeatable request is not the one that was answered.
      if (write.stamp != op.shown) continue;
      size_t holders = 0;
      for (RackNumber rack : center.racks) {
        NodeIndex owner = topology_.owner(rack, token_of(write.key, 0));
        if (!processes_[owner].up) continue;
        const ElementStore::Cell* cell = processes_[owner].store->find(write.key, write.element);
        // Without a cell it was removed, and that forgotten, since.
        if (cell == nullptr ? !write.alive : cell->stamp >= write.stamp) ++holders;
      }
      if (holders < center.quorum()) {
        fail("request " + std::to_string(op.id) + " at " + std::string(level_name(op.level)) +
             " was acknowledged, and " + std::to_string(holders) + " racks of " + center.name +
             " hold it");
      }
    }
  }
}

// What a node publishes it must know. Of writes whose origin died there may be no trace.
void World::check_frontier(NodeIndex node) {
  const Process& process = processes_[node];
  if (!process.up) return;
  Stamp published = process.steward->view()->published;
  for (const auto& [place, indexes] : ledger_.by_place) {
    if (!topology_.owns(node, token_of(place.first, 0))) continue;
    const ElementStore::Cell* cell = process.store->find(place.first, place.second);
    Stamp forgotten = 0;
    for (size_t index : indexes) {
      const Write& write = ledger_.writes[index];
      // What another node had forgotten could not be pulled from it any more.
      if (!write.alive && write.stamp <= horizon_) forgotten = std::max(forgotten, write.stamp);
    }
    for (size_t index : indexes) {
      const Write& write = ledger_.writes[index];
      if (write.stamp > published || !is_alive(write)) continue;
      Stamp known = cell == nullptr ? forgotten : cell->stamp;
      if (known < write.stamp) {
        return fail("node " + std::to_string(node) + " publishes " + std::to_string(published) +
                    " and does not know " + std::to_string(write.stamp) + " of node " +
                    std::to_string(write.origin) + " on " + place.first + " " + place.second);
      }
    }
  }
}

std::string World::difference() const {
  for (const auto& [place, indexes] : ledger_.by_place) {
    const ElementStore::Cell* first = nullptr;
    bool is_first = true;
    for (const Topology::Rack& rack : topology_.racks()) {
      NodeIndex owner = topology_.owner(rack.number, token_of(place.first, 0));
      const ElementStore::Cell* cell = processes_[owner].store->find(place.first, place.second);
      if (cell != nullptr && !cell->alive) cell = nullptr;
      bool same = is_first || (first == nullptr ? cell == nullptr
                                                : cell != nullptr && cell->stamp == first->stamp &&
                                                      cell->value == first->value);
      if (!same) {
        return place.first + " " + place.second + " differs on node " + std::to_string(owner);
      }
      first = cell;
      is_first = false;
    }
  }
  return "";
}

bool World::is_settled(std::string* why) const {
  for (NodeIndex node = 0; node < processes_.size(); ++node) {
    const Process& process = processes_[node];
    std::string who = "node " + std::to_string(node);
    if (!process.up || process.paused) {
      *why = who + " is not running";
      return false;
    }
    if (process.steward->own_state() != NodeState::kNormal) {
      *why = who + " is " + std::string(node_state_name(process.steward->own_state()));
      return false;
    }
    if (!process.steward->is_repaired()) {
      *why = who + " still pulls";
      return false;
    }
    for (const auto& lane : process.lanes) {
      if (lane->coordinator().unanswered() > 0) {
        *why = who + " has requests that are not answered";
        return false;
      }
      if (lane->hint_bytes() > 0) {
        *why = who + " has frames that are not acknowledged";
        return false;
      }
    }
    // With one replica nothing that was removed is kept for anyone, but here it is until collected.
    if (process.store->removed_count() > 0) {
      *why = who + " keeps what was removed";
      return false;
    }
  }
  *why = difference();
  return why->empty();
}

void World::check_end() {
  for (const auto& [id, op] : ledger_.ops) {
    if (op.ended_us < 0) return fail("request " + std::to_string(id) + " was never answered");
    if (op.refused && ledger_.by_op.contains(id)) {
      return fail("request " + std::to_string(id) + " was refused, and applied");
    }
  }
  for (const auto& [place, indexes] : ledger_.by_place) check_place(place, indexes);
  auto pulled = [this] {
    uint64_t keys = 0;
    for (const Process& process : processes_) {
      keys += process.steward->anti_entropy().counts().keys_pulled;
    }
    return keys;
  };
  // What was under way when everything had become equal may end.
  run_until(now_us_ + 6 * kSecond);
  uint64_t before = pulled();
  run_until(now_us_ + 15 * kSecond);
  std::string why;
  if (pulled() != before) fail("keys are pulled though nothing happens");
  if (!is_settled(&why)) fail("what was at rest moved: " + why);
}

void World::check_place(const Place& place, const std::vector<size_t>& indexes) {
  NodeIndex owner = topology_.owner(1, token_of(place.first, 0));
  const ElementStore::Cell* cell = processes_[owner].store->find(place.first, place.second);
  std::string what = place.first + " " + place.second;
  Stamp removed = 0;
  bool known = cell == nullptr;
  for (size_t index : indexes) {
    const Write& write = ledger_.writes[index];
    if (!write.alive) removed = std::max(removed, write.stamp);
    known = known || (write.stamp == cell->stamp && write.value == cell->value && write.alive);
  }
  if (!known) return fail(what + " holds what nobody wrote");
  Stamp last = cell == nullptr ? removed : cell->stamp;
  for (size_t index : indexes) {
    const Write& write = ledger_.writes[index];
    if (write.stamp <= last || !must_survive(write)) continue;
    fail(what + (write.alive ? " lost the write " : " came back after its removal at ") +
         std::to_string(write.stamp) + " of request " + std::to_string(write.op) + ", holds " +
         std::to_string(last));
  }
}

}  // namespace dyno::simulator

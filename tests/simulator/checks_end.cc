// SPDX-License-Identifier: Apache-2.0
//
// What must hold at the end, once faults have stopped: all replicas are equal and their digests are
// what they should be, no write that had to survive is missing, nothing removed is back, nothing
// removed is still kept, commands show what the writes come to, no stream or pull has anything left
// to do, and it stays so.
#include <algorithm>
#include <sstream>

#include "tests/replica_storm.h"
#include "tests/simulator/world.h"
#include "tests/small_world/oracle.h"

namespace dyno::simulator {
namespace {

// Lines of Oracle::describe() by key, without those of keys that are not judged.
std::map<std::string, std::string> lines_by_key(const std::string& text) {
  std::map<std::string, std::string> lines;
  std::istringstream rest(text);
  for (std::string line; std::getline(rest, line);) {
    constexpr size_t kKeyAt = 2;  // Behind "0 ".
    std::string key = line.substr(kKeyAt, line.find(' ', kKeyAt) - kKeyAt);
    if (is_judged(key)) lines[key] = line;
  }
  return lines;
}

std::string joined(const std::map<std::string, std::string>& lines) {
  std::string text;
  for (const auto& [key, line] : lines) text += line + "\n";
  return text;
}

}  // namespace

std::string World::difference() const {
  for (const auto& [key, history] : ledger_.keys) {
    Version first = processes_[owner(1, key)].engine->version_of(key);
    for (const Topology::Rack& rack : topology_.racks()) {
      NodeIndex node = owner(rack.number, key);
      if (processes_[node].engine->version_of(key) == first) continue;
      return key + " differs on node " + std::to_string(node);
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
    if (!process.parked.empty()) {
      *why = who + " has requests that await values";
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
    for (SlotIndex slot : slots_) {
      if (!process.engine->has_traces(slot)) continue;
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
  for (const auto& [key, history] : ledger_.keys) {
    if (is_judged(key)) check_key(key, history);
  }
  check_values();
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

void World::check_key(const std::string& key, const KeyHistory& history) {
  HeldKey held = processes_[owner(1, key)].engine->held(key);
  std::map<std::pair<Place, Stamp>, const Write*> written;
  for (const Write& write : history.writes) {
    if (write.alive) written[{write.place, write.rank}] = &write;
  }
  for (const auto& [place, cell] : held.cells) {
    if (!cell.alive) continue;
    auto found = written.find({place, cell.rank});
    if (found == written.end() || found->second->value != cell.value) {
      return fail(key + " " + place + " holds what nobody wrote", key);
    }
  }
  for (const Write& write : history.writes) {
    const WrittenFrame& frame = ledger_.frames[write.frame];
    if (!must_survive(frame) || ledger_.is_known(key, held, write, horizon_)) continue;
    bool is_removal = !write.alive && write.kind != FactKind::kTotal;
    return fail(key + " " + write.place +
                    (is_removal ? " came back after its removal at " : " lost the write ") +
                    std::to_string(write.stamp) + " of request " + std::to_string(frame.op),
                key);
  }
}

// What clients are shown is what the writes come to.
void World::check_values() {
  Oracle state;
  Oracle all;
  for (const auto& [key, history] : ledger_.keys) {
    std::string frames = processes_[owner(1, key)].engine->state_of(key);
    if (is_judged(key) && !frames.empty()) state.add(frames, 0);
  }
  for (const WrittenFrame& frame : ledger_.frames) {
    if (is_judged(ledger_.ops.at(frame.op).keys.front())) all.add(frame.bytes, frame.amount);
  }
  if (!all.adds_up()) return fail("a counter's total has lost what was added before");
  std::map<std::string, std::string> wanted = lines_by_key(state.describe());
  for (const Topology::Rack& rack : topology_.racks()) {
    std::map<std::string, std::string> shown;
    for (NodeIndex node : rack.nodes) {
      Process& process = processes_[node];
      process.engine->set_time(now_of(node).unix_ms);
      shown.merge(lines_by_key(process.engine->describe()));
      if (process.engine->damaged_slot() < 0) continue;
      return fail("node " + std::to_string(node) + " has a damaged digest");
    }
    if (shown == wanted) continue;
    return fail("rack " + std::to_string(rack.number) + " shows (>) other than it holds (<):" +
                ReplicaStorm::difference(joined(wanted), joined(shown)));
  }
  if (lost_memory_) return;
  std::string told = ReplicaStorm::difference(all.describe(), joined(wanted));
  if (lines_by_key(all.describe()) != wanted) fail("the writes (<) come to another state:" + told);
}

}  // namespace dyno::simulator

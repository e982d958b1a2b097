// SPDX-License-Identifier: Apache-2.0
//
// The small world's part of what nodes do among themselves besides writing: collect traces by the
// aged frontier, and pull what differs from each other. See world.h.
#include <algorithm>
#include <utility>

#include "tests/small_world/world.h"

namespace dyno {
namespace {

Stamp stamp_before(Stamp stamp, int64_t ms) {
  return stamp - std::min(stamp, static_cast<Stamp>(ms) << kStampMsShift);
}

}  // namespace

// --- Collection ---------------------------------------------------------------------------------

// Up to which stamp the node knows every write.
Stamp World::complete(size_t i) {
  Stamp least = UINT64_MAX;
  for (size_t other = 0; other < nodes_.size(); ++other) {
    if (other != i) least = std::min(least, nodes_[i].watermarks[actor(other)]);
  }
  for (const auto& [actor, dead] : dead_) {
    least = std::min(least, nodes_[i].watermarks[actor]);
  }
  return least;
}

// A node that says that it knows every write up to a stamp does. Writes that are known to no node
// that is up went with the one that made them.
void World::check_completeness(size_t i, Stamp complete) {
  for (size_t n = 0; n < writes_.size(); ++n) {
    if (writes_[n].stamp > complete || nodes_[i].covered[n]) continue;
    for (const Node& other : nodes_) {
      if (!other.is_up || !other.known[n]) continue;
      failure_ = "a node believes to be complete, and does not know of a write";
      return;
    }
  }
}

// Nothing that may still arrive brings back what is forgotten.
void World::check_horizon(size_t i, Stamp horizon) {
  for (const Snapshot& answer : answers_) {
    if (now_ms_ - answer.at_ms > kAnswerMaxMs && !faults_.state_pushed) continue;
    for (size_t n = 0; n < writes_.size(); ++n) {
      if (writes_[n].stamp > horizon || !nodes_[i].known[n] || answer.covered[n]) continue;
      failure_ = "a node forgets what a state on its way has not heard of";
      return;
    }
  }
}

void World::collect(size_t i) {
  Node& node = nodes_[i];
  Stamp frontier = complete(i);
  check_completeness(i, frontier);
  for (size_t other = 0; other < nodes_.size(); ++other) {
    if (other != i) frontier = std::min(frontier, node.published[other]);
  }
  node.samples.push_back({now_ms_, frontier});
  while (node.samples.size() > 1 && node.samples[1].first + kAgeMs <= now_ms_) {
    node.samples.pop_front();
  }
  Stamp horizon = node.samples[0].first + kAgeMs <= now_ms_ ? node.samples[0].second : 0;
  if (faults_.frontier_offset) horizon = stamp_before(frontier, kAgeMs);
  if (faults_.fixed_grace) {
    horizon = stamp_before(first_stamp_of(node.engine->client.now_ms), 200);
  }
  check_horizon(i, horizon);
  int64_t before = node.engine->replica.counts().tombstones;
  node.engine->collect(horizon);
  keep_writes(i, false);
  counts_->tombstones += before - node.engine->replica.counts().tombstones;
}

// --- Repair -------------------------------------------------------------------------------------

void World::ask(size_t i) {
  at(draw(40, 140), [this, i] { ask(i); });
  size_t from = draw(static_cast<uint32_t>(nodes_.size()));
  if (from == i || is_cut(from, i) || is_cut(i, from)) return;
  answers_.push_back(snapshot(from, i, draw(8) == 0));
  auto answer = std::prev(answers_.end());
  constexpr int64_t kDelays[] = {5, 20, 60, 120, 350};
  uint32_t to_life = nodes_[i].life;
  uint32_t from_life = nodes_[from].life;
  at(kDelays[draw(std::size(kDelays))], [this, i, from, to_life, from_life, answer] {
    const Snapshot state = std::move(*answer);
    answers_.erase(answer);
    if (is_cut(from, i) || nodes_[i].life != to_life || nodes_[from].life != from_life) return;
    if (now_ms_ - state.at_ms > kAnswerMaxMs && !faults_.state_pushed) {
      ++counts_->late_pulls;
      return;
    }
    take(i, from, state);
  });
}

World::Snapshot World::snapshot(size_t from, size_t asker, bool everything) {
  ReplicaNode& engine = enter(from);
  Snapshot state{now_ms_, {}, {}, nodes_[from].covered};
  if (!is_wild_) compare(from, asker);
  std::set<int> told;
  for (SlotIndex slot : engine.slots) {
    bool equal = engine.replica.digest(slot) == enter(asker).replica.digest(slot);
    if (equal && !everything) continue;
    told.insert({slot, -1});
    engine.export_slot(slot, [&](std::string_view frame) { state.frames.emplace_back(frame); });
  }
  for (size_t n = 0; n < writes_.size(); ++n) {
    if (nodes_[from].known[n] && told.count(writes_[n].slot) != 0) state.known.set(n);
  }
  return state;
}

void World::take(size_t to, size_t from, const Snapshot& state) {
  ++counts_->pulls;
  for (const std::string& frame : state.frames) {
    MergeOutcome outcome = enter(to).receive(frame, FrameOrigin::kState);
    if (!outcome.refused.empty()) failure_ = "refused: " + outcome.refused;
  }
  nodes_[to].known |= state.known;
  nodes_[to].covered |= state.covered;
  retire_dead(to, from, state.at_ms);
}

void World::retire_dead(size_t to, size_t from, int64_t at_ms) {
  for (auto dead = dead_.begin(); dead != dead_.end();) {
    if (at_ms >= dead->second.at_ms) dead->second.pulled.insert({to, from});
    bool all = true;
    for (size_t a = 0; a < nodes_.size(); ++a) {
      for (size_t b = 0; b < nodes_.size(); ++b) {
        bool counts = a != b && b != dead->second.node;
        // It needs no state, had it been right to go on with the streams where they are.
        if (faults_.positions_of_all && a == dead->second.node) counts = false;
        if (counts && dead->second.pulled.count({a, b}) == 0) all = false;
      }
    }
    dead = all ? dead_.erase(dead) : std::next(dead);
  }
}

// Equal digests mean equal deadlines, as they mean equal data.
void World::compare(size_t a, size_t b) {
  for (std::string_view name : kToldKeys) {
    std::string key(name);
    SlotIndex slot = nodes_[a].engine->client.keyspace().hash(key).slot();
    if (!(enter(a).replica.digest(slot) == enter(b).replica.digest(slot))) continue;
    if (enter(a).run({"PEXPIRETIME", key}) != enter(b).run({"PEXPIRETIME", key})) {
      failure_ = "equal digests, unequal deadlines: " + key;
    }
  }
}

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// What must hold while clients are at work. With every answer: a read shows only what some client
// wrote; at a quorum level whoever runs it knows all that a quorum had acknowledged, and all that a
// safe read had shown; what a quorum acknowledged is held by one; whoever runs a quorum write knows
// what quorum writes here were acknowledged before, unless something is amiss that it cannot see;
// while the ring is healthy a counter gives each number once, a queue each element, and a lock has
// one winner in a data center.
// All along: a node that says to know everything up to a stamp does. checks_end.cc has what must
// hold at the end.
#include <algorithm>
#include <limits>

#include "protocol/number.h"
#include "src/request_text.h"
#include "tests/simulator/world.h"

namespace dyno::simulator {

bool World::is_alive(const WrittenFrame& frame) const {
  const Process& origin = processes_[frame.origin];
  return origin.up && origin.incarnation == frame.incarnation;
}

// The process that ran it is still there, or a quorum acknowledged it and was not overtaxed.
bool World::must_survive(const WrittenFrame& frame) const {
  if (frame.replaced) return false;
  if (is_alive(frame)) return true;
  const Op& op = ledger_.ops.at(frame.op);
  uint16_t dc = topology_.node(op.node).dc_index;
  return op.done && op.level != Level::kDcOne && op.began_us > void_before_us_ &&
         topology_.dcs()[dc].racks.size() > 1;
}

// Something of the key was written after the read had begun, so that it may be what a node with a
// slow clock shows although a quorum has removed it, as its clock says, later. So may what was
// written where the removal was after that had been told of, when its clock was fast: a read that
// shows it does not go back in time.
bool World::was_written_meanwhile(const std::string& key, const HeldKey& held, const Op& read,
                                  const Due& due) const {
  const std::vector<Write>& writes = ledger_.keys.at(key).writes;
  int64_t told_us = ledger_.ops.at(due.op).ended_us;
  return std::any_of(writes.begin(), writes.end(), [&](const Write& write) {
    auto cell = held.cells.find(write.place);
    if (!write.alive || cell == held.cells.end() || cell->second.rank != write.rank) return false;
    int64_t began_us = ledger_.ops.at(ledger_.frames[write.frame].op).began_us;
    bool after_removal = !due.write.alive && write.place == due.write.place && began_us >= told_us;
    return after_removal || began_us >= read.began_us;
  });
}

// What a node that is about to run a request should know and does not; empty: nothing. Racks
// compare what commands can see, so that of what was removed since there need not be a trace.
std::string World::unseen(NodeIndex node, const Op& op) {
  std::map<std::string, HeldKey> held;
  for (const auto& [key, due] : op.must_see) {
    if (due.began_us <= void_before_us_ || !is_judged(key)) continue;
    auto [at, is_new] = held.try_emplace(key);
    if (is_new) at->second = processes_[node].engine->held(key);
    if (ledger_.is_known(key, at->second, due.write, std::numeric_limits<Stamp>::max())) continue;
    if (was_written_meanwhile(key, at->second, op, due)) continue;
    note_frame(node, "holds", processes_[node].engine->state_of(key));
    return "request " + std::to_string(op.id) + " at " + std::string(level_name(op.level)) +
           (op.write ? " wrote " : " read ") + key + " on node " + std::to_string(node) +
           ", which did not know the write " + std::to_string(due.write.stamp) + " of " +
           due.write.place + " that request " + std::to_string(due.op) + " had told of";
  }
  return {};
}

// A read may have run on several nodes, and a last time on each; a write runs once.
void World::check_seen(const Op& op) {
  if (op.unseen.empty()) return;
  for (const auto& [node, what] : op.unseen) {
    if (what.empty()) return;
  }
  fail(op.unseen.begin()->second, op.keys.front());
}

void World::check_answer(const Op& op, const std::string& reply) {
  if (!op.write) {
    check_seen(op);
    check_shown(op, reply);
    if (is_safe(op.level) && op.unseen.size() == 1) make_due(op);
    return;
  }
  bool is_healthy = op.healthy != 0 && op.healthy == health();
  if (is_healthy || op.saw_amiss) check_seen(op);
  if (is_healthy) check_once(op, reply);
  check_held(op);
  make_due(op);
}

void World::check_shown(const Op& op, const std::string& reply) {
  std::vector<std::string_view> values;
  if (auto bulk = bulk_of_reply(reply)) values.push_back(*bulk);
  if (op.verb == "LRANGE") {
    auto elements = elements_of_reply(reply);
    if (!elements) return fail(op.verb + " was answered " + reply);
    for (std::string_view element : *elements) values.push_back(*bulk_of_reply(element));
  }
  bool is_count = op.family == Family::kCounter || op.family == Family::kPair || op.verb == "MGET";
  if (is_count || op.family == Family::kTimed || op.family == Family::kSet) return;
  for (std::string_view value : values) {
    // A score is the number of the request; other values have a "v" before it.
    if (op.family != Family::kZSet && value.starts_with('v')) value.remove_prefix(1);
    auto id = parse_uint64(value);
    auto writer = id ? ledger_.ops.find(*id) : ledger_.ops.end();
    bool is_known = writer != ledger_.ops.end() && writer->second.write &&
                    writer->second.keys == op.keys && writer->second.place == op.place;
    if (!is_known) {
      return fail("request " + std::to_string(op.id) + " on " + op.keys.front() + " " + op.place +
                      " showed what nobody wrote: " + reply,
                  op.keys.front());
    }
  }
}

// In a healthy time one node runs all of a data center's quorum writes of a key.
void World::check_once(const Op& op, const std::string& reply) {
  bool counts = op.family == Family::kCounter || (op.verb == "RPOP" && !is_null_reply(reply)) ||
                (op.family == Family::kLock && !is_null_reply(reply));
  if (!counts) return;
  probe("answered in a healthy time: " + op.verb);
  std::string name = std::to_string(op.healthy) + " " +
                     std::to_string(topology_.node(op.node).dc_index) + " " + op.keys.front();
  if (op.family != Family::kLock) name += " " + reply;
  if (seen_once_.insert(name).second) return;
  fail(op.verb + " " + op.keys.front() + " at " + std::string(level_name(op.level)) +
           " was answered twice with " + reply + " though nothing was amiss",
       op.keys.front());
}

// A quorum that acknowledged a write has it.
void World::check_held(const Op& op) {
  uint16_t own_dc = topology_.node(op.node).dc_index;
  auto written = ledger_.by_op.find(op.id);
  if (op.level == Level::kDcOne || written == ledger_.by_op.end()) return;
  if (op.began_us <= last_disturbed_us_ || op.began_us <= void_before_us_) return;
  for (const std::string& key : op.keys) {
    if (!is_judged(key)) continue;
    std::vector<const Write*> writes;
    for (const Write& write : ledger_.keys.at(key).writes) {
      const WrittenFrame& frame = ledger_.frames[write.frame];
      if (frame.op == op.id && !frame.replaced) writes.push_back(&write);
    }
    for (uint16_t dc = 0; dc < topology_.dcs().size(); ++dc) {
      const Topology::DataCenter& center = topology_.dcs()[dc];
      if (dc != own_dc && op.level != Level::kDcEachSafeQuorum) continue;
      auto holds = [&](RackNumber rack) {
        const Process& process = processes_[owner(rack, key)];
        if (!process.up) return false;
        HeldKey held = process.engine->held(key);
        return std::all_of(writes.begin(), writes.end(), [&](const Write* write) {
          return ledger_.is_known(key, held, *write, horizon_);
        });
      };
      auto holders =
          static_cast<size_t>(std::count_if(center.racks.begin(), center.racks.end(), holds));
      if (holders < center.quorum()) {
        fail("request " + std::to_string(op.id) + " at " + std::string(level_name(op.level)) +
                 " was acknowledged, and " + std::to_string(holders) + " racks of " + center.name +
                 " hold it",
             key);
      }
    }
  }
}

// Later reads have to know what this request wrote or showed.
void World::make_due(const Op& op) {
  uint16_t own_dc = topology_.node(op.node).dc_index;
  if (op.level == Level::kDcOne || topology_.dcs()[own_dc].racks.size() < 2) return;
  auto tell = [&](const std::string& key, const Write& write) {
    for (uint16_t dc = 0; dc < topology_.dcs().size(); ++dc) {
      bool counts = dc == own_dc || (op.write && op.level == Level::kDcEachSafeQuorum);
      if (counts) ledger_.make_due(key, dc, {write, op.id, op.began_us});
    }
  };
  auto frames = ledger_.by_op.find(op.id);
  if (op.write && frames != ledger_.by_op.end()) {
    for (size_t index : frames->second) {
      const WrittenFrame& frame = ledger_.frames[index];
      if (frame.replaced) continue;
      for (const auto& [key, write] : writes_of(frame.bytes)) tell(key, write);
    }
  }
  for (const auto& [key, held] : op.shown) {
    for (const auto& [place, cell] : held.cells) tell(key, cell);
    for (const auto& [where, total] : held.totals) {
      tell(key,
           {.kind = FactKind::kTotal, .place = where.first, .stamp = total.stamp, .total = total});
    }
    if (held.clear != 0) tell(key, {.kind = FactKind::kClear, .stamp = held.clear});
  }
}

// Now and then one node is held to what it says of itself.
void World::look() {
  constexpr int64_t kLookUs = 200 * kMs;
  check_frontier(static_cast<NodeIndex>(random_.below(std::ssize(processes_))));
  at(kLookUs, [this] { look(); });
}

// What a node publishes it must know. Of writes whose origin died there may be no trace.
void World::check_frontier(NodeIndex node) {
  constexpr int kKeys = 3;
  Process& process = processes_[node];
  if (!process.up || ledger_.keys.empty()) return;
  Stamp published = process.steward->view()->published;
  for (int i = 0; i < kKeys; ++i) {
    auto found = ledger_.keys.begin();
    std::advance(found, random_.below(std::ssize(ledger_.keys)));
    const auto& [key, history] = *found;
    if (!is_judged(key) || !topology_.owns(node, token_of(key, NodeEngine::kHashSeed))) continue;
    HeldKey held = process.engine->held(key);
    for (const Write& write : history.writes) {
      const WrittenFrame& frame = ledger_.frames[write.frame];
      if (write.stamp > published || !is_alive(frame)) continue;
      if (ledger_.is_known(key, held, write, horizon_)) continue;
      note_frame(node, "holds", process.engine->state_of(key));
      note_frame(frame.origin, "holds", processes_[frame.origin].engine->state_of(key));
      return fail("node " + std::to_string(node) + " publishes " + std::to_string(published) +
                      " and does not know " + std::to_string(write.stamp) + " of node " +
                      std::to_string(frame.origin) + " on " + key + " " + write.place,
                  key);
    }
  }
}

}  // namespace dyno::simulator

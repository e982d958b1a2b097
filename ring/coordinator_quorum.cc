// SPDX-License-Identifier: Apache-2.0
//
// The coordinator's part above DC_ONE: comparing versions before a read, holding what it showed,
// and waiting for acknowledgements after a write.
#include <algorithm>
#include <limits>

#include "ring/coordinator.h"
#include "ring/planted_fault.h"

namespace dyno {
namespace {

// No key has it.
constexpr Version kNoVersion{std::numeric_limits<uint64_t>::max(),
                             std::numeric_limits<uint64_t>::max()};
constexpr size_t kCompareKeysMax = 65536;
constexpr int64_t kHoldUs = 2000 * kMicrosPerMs;

}  // namespace

// Who holds what a safe read showed holds the traces of what it did not show, too: another read
// might show that again. So does who pulls for one. Who writes must not take for new what arrives
// late and is gone elsewhere.
bool Coordinator::compares_traces(const Operation& op) {
  if (is_planted(PlantedFault::kAliveVersions)) return false;
  return op.phase == Phase::kPulling || op.request.write || is_safe(op.request.level);
}

// `only_reachable`: the nodes that are concerned owe an answer, and racks where one cannot take
// part have failed. Else nobody owes anything yet.
void Coordinator::begin_quorum(Operation& op, bool only_reachable) {
  const Topology::Node& own = topology_.node(self_);
  op.quorum = quorums_[static_cast<size_t>(op.request.level)];
  op.quorum.done(own.rack_number);
  op.racks.clear();
  op.owed.clear();
  for (const Topology::Rack& rack : topology_.racks()) {
    if (rack.number == own.rack_number || !op.quorum.counts(rack.number)) continue;
    op.racks.push_back({rack.number, false});
    if (!only_reachable) continue;
    for (Token token : op.tokens) {
      NodeIndex node = topology_.owner(rack.number, token);
      bool is_there = std::any_of(op.owed.begin(), op.owed.end(),
                                  [node](const Owed& owed) { return owed.node == node; });
      if (!is_there) op.owed.push_back({rack.number, node});
      bool takes_part = can_run(node, false) || (op.request.write && can_run(node, true));
      if (!takes_part) op.quorum.failed(rack.number);
    }
  }
}

std::vector<size_t> Coordinator::keys_of(const Operation& op, NodeIndex node) const {
  std::vector<size_t> indexes;
  for (size_t i = 0; i < op.tokens.size(); ++i) {
    if (topology_.owns(node, op.tokens[i])) indexes.push_back(i);
  }
  return indexes;
}

// Begins to compare before a write, when nobody else may run one on its keys without asking.
void Coordinator::stand_in(Now now, uint64_t id, Operation& op) {
  op.free_us = now.mono_us;
  for (Token token : op.tokens) {
    NodeIndex node = origin(token);
    bool is_there = std::find(op.stands_in.begin(), op.stands_in.end(), node) != op.stands_in.end();
    if (node == self_ || is_there) continue;
    op.stands_in.push_back(node);
    op.free_us = std::max(op.free_us, leases_.stand_in(node));
  }
  if (!op.stands_in.empty()) ++counts_.stood_in;
  if (op.free_us <= now.mono_us) return begin_comparing(now, id, op);
  op.phase = Phase::kWaiting;
  arm(id, op.free_us);
}

void Coordinator::begin_comparing(Now now, uint64_t id, Operation& op) {
  begin_quorum(op, true);
  op.phase = Phase::kComparing;
  op.asked_us = now.mono_us;
  op.reported.clear();
  op.equal.clear();
  ++(op.request.write ? counts_.writes_compared : counts_.compared);
  go_on(id, op);
}

// Takes the next step of an operation after some rack has answered or failed.
void Coordinator::go_on(uint64_t id, Operation& op) {
  if (op.quorum.reached()) {
    if (op.phase == Phase::kComparing) return run(id, op);
    return finish(id, Outcome::kDone, std::move(op.reply));
  }
  if (!op.quorum.possible()) return give_up(id, op);
  // Nobody else may take a write over while it waits for a slow rack.
  if (op.phase == Phase::kComparing) compare_more(id, op, op.request.write);
}

// Asks as many racks as are still lacking, or all of them.
void Coordinator::compare_more(uint64_t id, Operation& op, bool all) {
  for (uint16_t dc = 0; dc < topology_.dcs().size(); ++dc) {
    size_t lacking = op.quorum.lacking_in(dc);
    for (const RackWait& wait : op.racks) {
      bool on_its_way =
          wait.asked && !op.quorum.is_done(wait.rack) && !op.quorum.is_failed(wait.rack);
      if (topology_.rack(wait.rack).dc_index == dc && on_its_way && lacking > 0) --lacking;
    }
    // Begin with another rack for each slot, so that the load spreads.
    size_t count = op.racks.size();
    for (size_t i = 0; i < count && (lacking > 0 || all); ++i) {
      RackWait& wait = op.racks[(i + slot_of(op.tokens.front())) % count];
      if (topology_.rack(wait.rack).dc_index != dc || wait.asked ||
          op.quorum.is_failed(wait.rack)) {
        continue;
      }
      wait.asked = true;
      if (lacking > 0) --lacking;
      for (const Owed& owed : op.owed) {
        if (owed.rack == wait.rack) send_compare(id, op, owed.node);
      }
    }
  }
}

void Coordinator::send_compare(uint64_t id, const Operation& op, NodeIndex node) {
  Compare body;
  for (size_t index : keys_of(op, node)) {
    const RequestKey& key = op.request.keys[index];
    Version version = op.asks_whole ? kNoVersion : store_.version(key, compares_traces(op));
    body.keys.push_back({{key.db, key.name}, version.low, version.high});
  }
  body.traces = compares_traces(op);
  write_message(MessageKind::kCompare, id, body, &outbox_.to_nodes[node]);
}

Handled Coordinator::handle_compare(LinkId link, uint64_t id, const Compare& compare) {
  CompareAnswer answer;
  bool has_all = true;
  std::vector<std::string> states;
  if (can_run(self_, false) && compare.keys.size() <= kCompareKeysMax) {
    states.reserve(compare.keys.size());
    for (const KeyVersion& asked : compare.keys) {
      RequestKey key{asked.name.db, std::string(asked.name.key),
                     token_of(asked.name.key, options_.hash_seed)};
      Version version = store_.version(key, compare.traces);
      std::string& state = states.emplace_back();
      bool is_known = version == Version{asked.low, asked.high};
      // All that lack something have asked for it when the first is not yet.
      has_all &= is_known || store_.export_key(key, &state);
      answer.keys.push_back({version.low, version.high, state});
    }
  }
  if (!has_all) return Handled::kNotYet;
  write_message(MessageKind::kCompareAnswer, id, answer, &outbox_.to_links[link]);
  return Handled::kDone;
}

Handled Coordinator::merge_states(const Operation& op, NodeIndex from, const CompareAnswer& answer,
                                  std::vector<Version>* reported) {
  if (answer.keys.size() != keys_of(op, from).size()) return Handled::kBroken;
  for (const KeyAnswer& state : answer.keys) {
    reported->push_back({state.low, state.high});
    if (state.state.empty() || is_planted(PlantedFault::kStaleCompare)) continue;
    Store::Refusal refusal = store_.apply_state(state.state).refusal;
    if (refusal == Store::Refusal::kNotYet) return Handled::kNotYet;
    if (refusal != Store::Refusal::kNone) return Handled::kBroken;
    ++counts_.states_merged;
  }
  return Handled::kDone;
}

Handled Coordinator::handle_compare_answer(Now now, NodeIndex from, uint64_t id,
                                           const CompareAnswer& answer) {
  Operation* found = operations_.find(id);
  if (found == nullptr) return Handled::kDone;
  Operation& op = *found;
  bool late = now.mono_us - op.asked_us > options_.age.answer_max_us &&
              !is_planted(PlantedFault::kLateAnswers);
  bool is_pulling = op.phase == Phase::kPulling;
  bool is_owed = is_pulling
                     ? std::find(op.pending.begin(), op.pending.end(), from) != op.pending.end()
                     : op.phase == Phase::kComparing;
  if (!is_owed) return Handled::kDone;
  std::vector<Version> reported;
  Handled merged = late ? Handled::kBroken : merge_states(op, from, answer, &reported);
  if (merged == Handled::kNotYet) return merged;
  bool is_good = merged == Handled::kDone;
  if (is_pulling) {
    answer_hold(id, is_good);
  } else if (is_good) {
    compared(id, op, from, answer, std::move(reported));
  } else {
    rack_failed(id, op, from);
  }
  return Handled::kDone;
}

// A rack has told its versions, and what it had else is merged.
void Coordinator::compared(uint64_t id, Operation& op, NodeIndex from, const CompareAnswer& answer,
                           std::vector<Version> reported) {
  std::vector<size_t> indexes = keys_of(op, from);
  for (size_t i = 0; i < indexes.size(); ++i) {
    if (answer.keys[i].state.empty()) op.equal.emplace_back(indexes[i], reported[i]);
  }
  op.reported[from] = std::move(reported);
  rack_answered(op, from);
  go_on(id, op);
}

void Coordinator::rack_answered(Operation& op, NodeIndex node) {
  auto found = std::find_if(op.owed.begin(), op.owed.end(),
                            [node](const Owed& owed) { return owed.node == node; });
  if (found == op.owed.end()) return;
  RackNumber rack = found->rack;
  bool asked = std::any_of(op.racks.begin(), op.racks.end(), [rack](const RackWait& wait) {
    return wait.rack == rack && wait.asked;
  });
  if (!asked) return;
  op.owed.erase(found);
  bool is_last = std::none_of(op.owed.begin(), op.owed.end(),
                              [rack](const Owed& owed) { return owed.rack == rack; });
  if (is_last) op.quorum.done(rack);
}

void Coordinator::rack_failed(uint64_t id, Operation& op, NodeIndex node) {
  for (const Owed& owed : op.owed) {
    if (owed.node != node) continue;
    op.quorum.failed(owed.rack);
    return go_on(id, op);
  }
}

bool Coordinator::holds(const Operation& op, NodeIndex node,
                        const std::vector<Version>& current) const {
  const std::vector<Version>& reported = op.reported.at(node);
  std::vector<size_t> indexes = keys_of(op, node);
  for (size_t i = 0; i < indexes.size(); ++i) {
    if (reported[i] != current[indexes[i]]) return false;
  }
  return true;
}

// The command has read. What it may have shown is what is here now.
void Coordinator::read_ran(Now now, uint64_t id, Operation& op) {
  std::vector<Version> current;
  for (const RequestKey& key : op.request.keys) {
    current.push_back(store_.version(key, compares_traces(op)));
  }
  bool is_overtaken = std::any_of(op.equal.begin(), op.equal.end(), [&](const auto& each) {
    return current[each.first] != each.second;
  });
  if (is_overtaken && !op.asks_whole) {
    op.asks_whole = true;
    ++counts_.asked_whole;
    return begin_comparing(now, id, op);
  }
  std::vector<NodeIndex> behind;
  for (const auto& [node, reported] : op.reported) {
    if (!holds(op, node, current)) behind.push_back(node);
  }
  counts_.racks_behind += behind.size();
  if (!is_safe(op.request.level) || is_planted(PlantedFault::kNoHold)) {
    for (NodeIndex node : behind) send_hold(0, op, node);
    return finish(id, Outcome::kDone, std::move(op.reply));
  }
  begin_quorum(op, true);
  op.phase = Phase::kHolding;
  for (RackWait& wait : op.racks) wait.asked = true;
  for (const auto& [node, reported] : op.reported) {
    if (std::find(behind.begin(), behind.end(), node) == behind.end()) rack_answered(op, node);
  }
  if (!op.quorum.reached()) {
    for (const Owed& owed : op.owed) {
      if (!op.quorum.is_failed(owed.rack)) send_hold(id, op, owed.node);
    }
  }
  go_on(id, op);
}

void Coordinator::send_hold(uint64_t id, const Operation& op, NodeIndex node) {
  if (!linked_[node]) return;
  Hold body;
  for (size_t index : keys_of(op, node)) {
    const RequestKey& key = op.request.keys[index];
    body.keys.push_back({key.db, key.name});
  }
  write_message(MessageKind::kHold, id, body, &outbox_.to_nodes[node]);
}

void Coordinator::handle_hold(Now now, LinkId link, NodeIndex from, uint64_t id, const Hold& hold) {
  std::vector<RequestKey> keys;
  for (const KeyName& name : hold.keys) {
    Token token = token_of(name.key, options_.hash_seed);
    // Keys that the asker does not own it cannot be asked for.
    if (topology_.owns(from, token)) keys.push_back({name.db, std::string(name.key), token});
  }
  pull(now, from, std::move(keys), link, id);
}

void Coordinator::pull(Now now, NodeIndex from, std::vector<RequestKey> keys, LinkId link,
                       uint64_t id) {
  // Who fills its memory has nothing to tell, or nothing that may be believed (completeness.h).
  bool is_loading = view_->nodes[from].state == NodeState::kLoading;
  bool can_pull = linked_[from] && !is_loading && !keys.empty() && !is_full();
  Request request;
  request.deadline_us = now.mono_us + kHoldUs;
  request.keys = std::move(keys);
  uint64_t op_id = operations_.add();
  Operation& op = add(now, op_id, std::move(request));
  op.is_client = false;
  op.link = link;
  op.link_id = id;
  op.phase = Phase::kPulling;
  op.asked_us = now.mono_us;
  op.pending.push_back(from);
  if (!can_pull) return answer_hold(op_id, false);
  send_compare(op_id, op, from);
}

void Coordinator::answer_hold(uint64_t id, bool held) {
  Operation& op = *operations_.find(id);
  if (op.link_id != 0) {
    Held body{held};
    write_message(MessageKind::kHeld, op.link_id, body, &outbox_.to_links[op.link]);
  }
  erase(id, op);
}

void Coordinator::handle_held(NodeIndex from, uint64_t id, const Held& held) {
  Operation* found = operations_.find(id);
  if (found == nullptr || found->phase != Phase::kHolding) return;
  Operation& op = *found;
  if (!held.held) return rack_failed(id, op, from);
  rack_answered(op, from);
  go_on(id, op);
}

void Coordinator::write_ran(uint64_t id, Operation& op) {
  op.phase = Phase::kAcking;
  if (op.frames.empty()) return finish(id, Outcome::kDone, std::move(op.reply));
  wait_for_acks(id, op);
  go_on(id, op);
}

void Coordinator::wait_for_acks(uint64_t id, Operation& op) {
  begin_quorum(op, false);
  for (RackWait& wait : op.racks) wait.asked = true;
  for (const SharedFrame& frame : op.frames) {
    queued_.clear();
    streams_.publish(frame, &queued_);
    for (const auto& [node, number] : queued_) {
      RackNumber rack = topology_.node(node).rack_number;
      if (!op.quorum.counts(rack)) continue;
      op.owed.push_back({rack, node});
      op.waits.push_back({node, number});
      std::deque<Awaited>& awaited = awaited_[node];
      while (!awaited.empty() && !operations_.contains(awaited.front().op)) awaited.pop_front();
      awaited.push_back({number, id});
      if (is_planted(PlantedFault::kHintCounts)) op.quorum.done(rack);
    }
  }
}

void Coordinator::handle_acknowledged(NodeIndex from, const StreamSender::Acknowledged& acks) {
  std::deque<Awaited>& awaited = awaited_[from];
  while (!awaited.empty() && awaited.front().number <= acks.through) {
    auto [number, id] = awaited.front();
    awaited.pop_front();
    // It may have ended, or its frames were stamped anew.
    Operation* found = operations_.find(id);
    if (found == nullptr) continue;
    Operation& op = *found;
    auto wait = std::find(op.waits.begin(), op.waits.end(), std::pair{from, number});
    if (wait == op.waits.end()) continue;
    op.waits.erase(wait);
    if (number < acks.first && !is_planted(PlantedFault::kSkippedCounts)) {
      rack_failed(id, op, from);
      continue;
    }
    Stamp dominated = 0;
    for (const DominatedFrame& frame : acks.dominated) {
      if (frame.number == number) dominated = frame.stamp;
    }
    if (dominated != 0 && is_safe(op.request.level)) {
      met_later_write(id, op, dominated);
      continue;
    }
    rack_answered(op, from);
    go_on(id, op);
  }
}

void Coordinator::met_later_write(uint64_t id, Operation& op, Stamp stamp) {
  op.waits.clear();
  std::vector<SharedFrame> later;
  for (const SharedFrame& frame : op.frames) {
    std::optional<Frame> anew;
    if (!op.restamped) anew = store_.restamp(*frame, stamp);
    if (!anew) break;
    later.push_back(std::make_shared<const Frame>(std::move(*anew)));
  }
  // What was stamped anew is already merged here, so that it goes out whatever becomes of the rest.
  if (later.size() < op.frames.size()) {
    for (const SharedFrame& frame : later) streams_.publish(frame, nullptr);
    return give_up(id, op);
  }
  op.restamped = true;
  op.frames = std::move(later);
  ++counts_.restamped;
  write_ran(id, op);
}

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
#include "ring/coordinator.h"

#include <algorithm>
#include <functional>

#include "protocol/check.h"
#include "ring/failure_detector.h"
#include "ring/planted_fault.h"

namespace dyno {
namespace {

// Answers that came in time may still be worth nothing to a client; a command that blocked gets
// this long for its acknowledgements.
constexpr int64_t kAfterRunUs = 500 * kMicrosPerMs;

constexpr std::string_view kUnknownText =
    "UNKNOWN write applied on 0 or more replicas; outcome unknown";

}  // namespace

Coordinator::Coordinator(const Topology& topology, NodeIndex self,
                         const CoordinatorOptions& options, Store& store, Leases& leases,
                         Streams& streams, Outbox& outbox)
    : topology_(topology),
      self_(self),
      options_(options),
      store_(store),
      leases_(leases),
      streams_(streams),
      outbox_(outbox),
      linked_(topology.nodes().size()),
      awaited_(topology.nodes().size()) {
  for (uint8_t level = 0; level <= static_cast<uint8_t>(Level::kDcEachSafeQuorum); ++level) {
    quorums_.emplace_back(topology, static_cast<Level>(level), topology.node(self).dc_index);
  }
  const Topology::Node& own = topology.node(self);
  for (RackNumber rack : topology.dcs()[own.dc_index].racks) near_racks_.insert(rack);
  auto view = std::make_shared<View>();
  view->nodes.resize(topology.nodes().size());
  view_ = std::move(view);
}

std::string Coordinator::error(std::string_view text) {
  return "-" + std::string(text) + "\r\n";
}

void Coordinator::Operation::reset() {
  constexpr size_t kKept = 64;
  static_cast<OperationFacts&>(*this) = {};
  auto empty = [](auto& buffer) {
    buffer.clear();
    if (buffer.capacity() > kKept) buffer.shrink_to_fit();
  };
  empty(tokens);
  empty(racks);
  empty(owed);
  empty(tried);
  empty(pending);
  empty(frames);
  empty(stands_in);
  empty(waits);
  empty(equal);
}

Coordinator::Operation& Coordinator::add(Now now, uint64_t id, Request request) {
  Operation& op = *operations_.find(id);
  op.request = std::move(request);
  charge(op, op.request.command.size() + op.request.context.size());
  for (const RequestKey& key : op.request.keys) {
    op.tokens.push_back(key.token);
    charge(op, key.name.size());
  }
  arm(id, op.request.deadline_us);
  if (!op.request.write || op.request.repeatable) {
    int64_t left = op.request.deadline_us == kNever ? kNever : op.request.deadline_us - now.mono_us;
    if (left != kNever) op.hedge_us = now.mono_us + left * options_.hedge_percent / 100;
    arm(id, op.hedge_us);
  }
  return op;
}

void Coordinator::charge(Operation& op, size_t bytes) {
  op.bytes += bytes;
  bytes_ += bytes;
}

void Coordinator::erase(uint64_t id, const Operation& op) {
  bytes_ -= op.bytes;
  for (NodeIndex node : op.stands_in) leases_.end_standing_in(node);
  operations_.erase(id);
  constexpr size_t kTimersMin = 1024;
  if (timers_.size() < kTimersMin || timers_.size() < 8 * operations_.size()) return;
  std::erase_if(timers_, [this](const auto& timer) { return !operations_.contains(timer.second); });
  std::make_heap(timers_.begin(), timers_.end(), std::greater<>());
}

void Coordinator::arm(uint64_t id, int64_t at_us) {
  if (at_us == kNever) return;
  timers_.emplace_back(at_us, id);
  std::push_heap(timers_.begin(), timers_.end(), std::greater<>());
}

void Coordinator::drop_timer() {
  std::pop_heap(timers_.begin(), timers_.end(), std::greater<>());
  timers_.pop_back();
}

void Coordinator::begin(Now now, Request request) {
  DYNO_CHECK(!request.keys.empty());
  if (is_full()) {
    outbox_.answers.push_back({request.id, Outcome::kNotApplied,
                               error("TRYAGAIN too many requests wait for other nodes")});
    ++counts_.refused;
    return;
  }
  uint64_t id = operations_.add();
  start(now, id, add(now, id, std::move(request)));
}

void Coordinator::start(Now now, uint64_t id, Operation& op) {
  NodeIndex node = choose(op.tokens, op.request.write, op.request.level, {});
  if (node == kNoNode) return finish(id, Outcome::kNotApplied, refusal_for(op.tokens));
  if (node == self_) return run_here(now, id, op);
  forward(now, id, op, node);
}

void Coordinator::forward(Now now, uint64_t id, Operation& op, NodeIndex node) {
  op.phase = Phase::kForwarded;
  op.asked_us = now.mono_us;
  op.tried.push_back(node);
  op.pending.push_back(node);
  Forward body;
  body.hops = static_cast<uint8_t>(op.request.hops + 1);
  body.level = static_cast<uint8_t>(op.request.level);
  body.write = op.request.write;
  if (op.request.deadline_us != kNever) {
    int64_t left = (op.request.deadline_us - now.mono_us) / kMicrosPerMs;
    body.timeout_ms = static_cast<uint32_t>(std::clamp<int64_t>(left, 1, 1 << 30));
  }
  for (const RequestKey& key : op.request.keys) body.keys.push_back({key.db, key.name});
  body.context = op.request.context;
  body.command = op.request.command;
  write_message(MessageKind::kForward, id, body, &outbox_.to_nodes[node]);
  ++counts_.forwarded;
  if (op.tried.size() > 1) ++counts_.failed_over;
}

void Coordinator::handle_forward(Now now, LinkId link, uint64_t id, const Forward& forward) {
  Request request;
  request.write = forward.write;
  request.level = static_cast<Level>(forward.level);
  request.hops = forward.hops;
  request.deadline_us =
      forward.timeout_ms == 0 ? kNever : now.mono_us + forward.timeout_ms * kMicrosPerMs;
  for (const KeyName& name : forward.keys) {
    request.keys.push_back(
        {name.db, std::string(name.key), token_of(name.key, options_.hash_seed)});
  }
  request.context = forward.context;
  request.command = forward.command;
  std::string refusal;
  if (is_full()) {
    refusal = error("TRYAGAIN too many requests wait for other nodes");
  } else if (request.hops != 1 || request.keys.empty()) {
    refusal = error("TRYAGAIN the request was forwarded too often");
  }
  uint64_t op_id = operations_.add();
  Operation& op = add(now, op_id, std::move(request));
  op.is_client = false;
  op.link = link;
  op.link_id = id;
  if (refusal.empty() && owner_of_all(topology_.node(self_).rack_number, op.tokens) != self_) {
    refusal = error("TRYAGAIN this node does not own the keys");
  }
  if (!refusal.empty()) return finish(op_id, Outcome::kNotApplied, std::move(refusal));
  if (!can_run(self_, op.request.write)) {
    return finish(op_id, Outcome::kElsewhere, refusal_for(op.tokens));
  }
  run_here(now, op_id, op);
}

void Coordinator::handle_reply(Now now, NodeIndex from, uint64_t id, const ForwardReply& reply) {
  Operation* found = operations_.find(id);
  if (found == nullptr) return;
  Operation& op = *found;
  auto pending = std::find(op.pending.begin(), op.pending.end(), from);
  if (op.phase != Phase::kForwarded || pending == op.pending.end()) return;
  op.pending.erase(pending);
  auto outcome = static_cast<Outcome>(reply.outcome);
  if (outcome == Outcome::kDone) return finish(id, outcome, std::string(reply.bytes));
  op.reply = reply.bytes;
  if (outcome == Outcome::kUnknown) op.maybe_applied = true;
  if (outcome == Outcome::kUnknown && op.request.write && !op.request.repeatable) {
    return finish(id, outcome, std::string(reply.bytes));
  }
  if (!op.pending.empty()) return;
  if (may_pass_over(now, op, from, outcome)) return try_elsewhere(now, id, op);
  finish(id, Outcome::kNotApplied, std::move(op.reply));
}

// Nobody stands in for an origin that goes on writing: the two would not know of each other.
bool Coordinator::may_pass_over(Now now, const Operation& op, NodeIndex node,
                                Outcome outcome) const {
  bool reads_and_writes = op.request.write && !op.request.repeatable;
  if (!reads_and_writes || !is_quorum(op.request.level) || !can_run(node, true)) return true;
  // What it said long ago need not be so any more.
  bool is_late = now.mono_us - op.asked_us > FailureDetector::kLinklessUs;
  return outcome == Outcome::kElsewhere && !is_late;
}

void Coordinator::try_elsewhere(Now now, uint64_t id, Operation& op) {
  NodeIndex node = kNoNode;
  if (now.mono_us < op.request.deadline_us) {
    node = choose(op.tokens, op.request.write, op.request.level, op.tried);
  }
  if (node == self_) return run_here(now, id, op);
  if (node != kNoNode) return forward(now, id, op, node);
  std::string bytes = op.reply.empty() ? refusal_for(op.tokens) : std::move(op.reply);
  finish(id, Outcome::kNotApplied, std::move(bytes));
}

void Coordinator::run_here(Now now, uint64_t id, Operation& op) {
  if (!is_quorum(op.request.level)) return run(id, op);
  if (!op.request.write) return begin_comparing(now, id, op);
  begin_quorum(op, true);
  if (!op.quorum.possible()) return give_up(id, op);
  if (is_settled(now, op.tokens) || is_planted(PlantedFault::kBlindWrites)) return run(id, op);
  stand_in(now, id, op);
}

void Coordinator::run(uint64_t id, Operation& op) {
  op.phase = Phase::kRunning;
  Outbox::Run& run = outbox_.runs.emplace_back();
  run.run = id;
  run.write = op.request.write;
  // A write runs once; a read may run again.
  if (run.write) {
    run.context = std::move(op.request.context);
    run.command = std::move(op.request.command);
  } else {
    run.context = op.request.context;
    run.command = op.request.command;
  }
}

void Coordinator::ran(Now now, uint64_t run, std::string reply, std::vector<Frame> frames) {
  Operation* found = operations_.find(run);
  DYNO_CHECK(found != nullptr && found->phase == Phase::kRunning);
  Operation& op = *found;
  op.reply = std::move(reply);
  charge(op, op.reply.size());
  for (Frame& frame : frames) {
    op.frames.push_back(std::make_shared<const Frame>(std::move(frame)));
  }
  if (is_quorum(op.request.level)) {
    int64_t least = now.mono_us + kAfterRunUs;
    if (op.request.deadline_us == kNever || op.request.deadline_us <= now.mono_us) {
      op.request.deadline_us = least;
      arm(run, least);
    }
    // A command that only reads may have removed what had expired.
    if (!op.request.write) {
      for (const SharedFrame& frame : op.frames) streams_.publish(frame, nullptr);
      return read_ran(now, run, op);
    }
    return write_ran(run, op);
  }
  for (const SharedFrame& frame : op.frames) streams_.publish(frame, nullptr);
  finish(run, Outcome::kDone, std::move(op.reply));
}

void Coordinator::finish(uint64_t id, Outcome outcome, std::string bytes) {
  Operation& op = *operations_.find(id);
  if (outcome == Outcome::kNotApplied && op.request.write &&
      (op.maybe_applied || !op.pending.empty())) {
    // It was refused here, but another node may have run it.
    outcome = Outcome::kUnknown;
    bytes = error(kUnknownText);
  }
  if (outcome == Outcome::kNotApplied || outcome == Outcome::kElsewhere) ++counts_.refused;
  if (outcome == Outcome::kUnknown) ++counts_.unknown;
  if (op.is_client) {
    outbox_.answers.push_back({op.request.id, outcome, std::move(bytes)});
  } else {
    ForwardReply reply{static_cast<uint8_t>(outcome), bytes};
    write_message(MessageKind::kReply, op.link_id, reply, &outbox_.to_links[op.link]);
  }
  erase(id, op);
}

void Coordinator::link_up(NodeIndex node) {
  linked_[node] = true;
}

void Coordinator::set_view(SharedView view) {
  view_ = std::move(view);
}

void Coordinator::link_down(Now now, NodeIndex node) {
  linked_[node] = false;
  std::vector<uint64_t> ids;
  operations_.each([&](uint64_t id, const Operation&) { ids.push_back(id); });
  for (uint64_t id : ids) {
    Operation* found = operations_.find(id);
    if (found != nullptr) lose(now, id, *found, node);
  }
}

void Coordinator::lose(Now now, uint64_t id, Operation& op, NodeIndex node) {
  if (op.phase == Phase::kComparing || op.phase == Phase::kHolding) {
    return rack_failed(id, op, node);
  }
  auto pending = std::find(op.pending.begin(), op.pending.end(), node);
  if (op.phase == Phase::kPulling && pending != op.pending.end()) return answer_hold(id, false);
  if (op.phase != Phase::kForwarded || pending == op.pending.end()) return;
  op.pending.erase(pending);
  op.maybe_applied = true;
  if (is_planted(PlantedFault::kRefusesLate)) {
    op.maybe_applied = false;
    return try_elsewhere(now, id, op);
  }
  if (op.request.write && !op.request.repeatable) {
    return finish(id, Outcome::kUnknown, error(kUnknownText));
  }
  if (op.pending.empty()) try_elsewhere(now, id, op);
}

void Coordinator::handle_timeout(Now now) {
  while (!timers_.empty() && timers_.front().first <= now.mono_us) {
    uint64_t id = timers_.front().second;
    drop_timer();
    Operation* found = operations_.find(id);
    if (found == nullptr) continue;
    Operation& op = *found;
    if (op.request.deadline_us <= now.mono_us) {
      expire(id, op);
    } else if (op.phase == Phase::kWaiting && op.free_us <= now.mono_us) {
      begin_comparing(now, id, op);
    } else if (op.hedge_us <= now.mono_us) {
      op.hedge_us = kNever;
      hedge(now, id, op);
    }
  }
}

int64_t Coordinator::next_timeout() const {
  return timers_.empty() ? kNever : timers_.front().first;
}

void Coordinator::hedge(Now now, uint64_t id, Operation& op) {
  if (op.phase == Phase::kComparing) return compare_more(id, op, true);
  if (op.phase != Phase::kForwarded) return;
  NodeIndex node = choose(op.tokens, op.request.write, op.request.level, op.tried);
  if (node == self_) {
    run_here(now, id, op);
  } else if (node != kNoNode) {
    forward(now, id, op, node);
  }
}

void Coordinator::expire(uint64_t id, Operation& op) {
  switch (op.phase) {
    case Phase::kForwarded:
      if (op.request.write) {
        return finish(id, Outcome::kUnknown, error(kUnknownText));
      }
      return finish(id, Outcome::kNotApplied, error("TRYAGAIN no replica answered in time"));
    case Phase::kRunning:
      // It is not taken back; its time for what follows begins when it has run.
      return;
    case Phase::kPulling:
      return answer_hold(id, false);
    case Phase::kWaiting:
    case Phase::kComparing:
    case Phase::kHolding:
    case Phase::kAcking:
      return give_up(id, op);
  }
}

void Coordinator::give_up(uint64_t id, const Operation& op) {
  std::string text;
  Outcome outcome = Outcome::kNotApplied;
  if (op.phase == Phase::kAcking) {
    outcome = Outcome::kUnknown;
    text =
        "UNKNOWN write applied on " + op.quorum.describe() + " required replicas; outcome unknown";
  } else if (op.request.write) {
    text = "NOREPLICAS Not enough good replicas to write.";
    return finish(id, outcome, error(text));
  } else {
    text = "CLUSTERDOWN quorum unavailable, " + op.quorum.describe() + " answered";
  }
  if (is_safe(op.request.level)) text = "ERR Dynomite: Failed to achieve Quorum";
  finish(id, outcome, error(text));
}

std::string Coordinator::describe() const {
  static constexpr std::string_view kPhases[] = {"forwarded", "waiting", "comparing", "running",
                                                 "holding",   "acking",  "pulling"};
  std::string text;
  operations_.each([&](uint64_t id, const Operation& op) {
    text += std::to_string(id) + " " + std::string(kPhases[static_cast<size_t>(op.phase)]) +
            (op.request.write ? " write " : " read ") + std::string(level_name(op.request.level));
    for (NodeIndex node : op.pending) text += " at " + std::to_string(node);
    text += "\n";
  });
  return text;
}

}  // namespace dyno

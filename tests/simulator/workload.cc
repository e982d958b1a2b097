// SPDX-License-Identifier: Apache-2.0
//
// Clients: each request goes to a random lane of a random node, at a random level.
#include <cstdlib>

#include "tests/simulator/world.h"

namespace dyno::simulator {
namespace {

// "+stamp alive value"
bool parse_reply(const std::string& bytes, Op* op) {
  if (bytes.empty() || bytes.front() != '+') return false;
  size_t space = bytes.find(' ');
  op->shown = std::stoull(bytes.substr(1, space - 1));
  op->shown_alive = bytes[space + 1] == '1';
  op->shown_value = bytes.substr(space + 3);
  return true;
}

}  // namespace

void World::next_op() {
  if (!loading_) return;
  at(op_random_.between(1, 2 * conditions_.op_every_us), [this] { next_op(); });
  Op op;
  op.id = next_op_++;
  int64_t dice = op_random_.below(100);
  op.kind = dice < 35   ? OpKind::kPut
            : dice < 40 ? OpKind::kPutNew
            : dice < 60 ? OpKind::kRemove
            : dice < 65 ? OpKind::kRemoveAll
                        : OpKind::kGet;
  op.key = "key" + std::to_string(op_random_.below(conditions_.keys));
  op.element = "e" + std::to_string(op_random_.below(3));
  op.value = "v" + std::to_string(op.id);
  op.level = static_cast<Level>(op_random_.percent(30) ? 0 : op_random_.below(4));
  op.node = static_cast<NodeIndex>(op_random_.below(static_cast<int64_t>(processes_.size())));
  if (!processes_[op.node].up) return;
  uint64_t id = op.id;
  ledger_.ops[id] = op;
  on(op.node, 0, [this, op] { issue(op); });
}

void World::issue(Op op) {
  ledger_.ops[op.id].began_us = now_us_;
  op.began_us = now_us_;
  Process& process = processes_[op.node];
  auto lane_number =
      static_cast<uint16_t>(op_random_.below(static_cast<int64_t>(process.lanes.size())));
  Lane& lane = *process.lanes[lane_number];
  Now now = now_of(op.node);
  process.store->set_time(now.unix_ms);
  bool write = op.kind != OpKind::kGet;
  std::vector<Token> tokens = {token_of(op.key, 0)};
  Plan plan = lane.plan(tokens, write, false, op.level);
  std::string command = ElementStore::command_of(op);
  trace(10, op.id);
  if (plan.kind == Plan::Kind::kRefuse) {
    answered(op.id, Outcome::kNotApplied, plan.refusal);
  } else if (plan.kind == Plan::Kind::kLocal) {
    std::vector<Frame> frames;
    std::string reply = process.store->run(command, &frames);
    lane.publish(std::move(frames));
    answered(op.id, Outcome::kDone, reply);
  } else {
    Request request;
    request.id = op.id;
    request.write = write;
    request.repeatable = op.kind == OpKind::kRemove && op_random_.percent(20);
    request.level = op.level;
    request.deadline_us = now.mono_us + op_random_.between(100, 2000) * kMs;
    request.keys.push_back({0, op.key, tokens.front()});
    request.command = std::move(command);
    lane.begin(now, std::move(request));
  }
  settle(op.node, lane_number);
}

void World::answered(uint64_t id, Outcome outcome, const std::string& bytes) {
  Op& op = ledger_.ops.at(id);
  if (op.ended_us >= 0) return fail("request " + std::to_string(id) + " answered twice");
  op.ended_us = now_us_;
  op.done = outcome == Outcome::kDone && parse_reply(bytes, &op);
  op.refused = outcome == Outcome::kNotApplied;
  trace(11, id * 4 + static_cast<uint64_t>(outcome));
  if (op.done) {
    probe("done at " + std::string(level_name(op.level)));
    check_answer(op);
  } else {
    size_t word = bytes.find(' ');
    probe("answer " + bytes.substr(0, word));
  }
}

}  // namespace dyno::simulator

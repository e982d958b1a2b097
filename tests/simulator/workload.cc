// SPDX-License-Identifier: Apache-2.0
//
// Clients: real commands, each sent to a random lane of a random node, at a random level. Values
// are "v" and the number of the request, so that whatever is shown tells who wrote it.
#include <algorithm>
#include <initializer_list>
#include <string_view>

#include "src/request_text.h"
#include "tests/simulator/world.h"

namespace dyno::simulator {
namespace {

// Requests that contend for one lock.
constexpr uint64_t kLockRequests = 64;

std::string request(const std::vector<std::string>& words) {
  std::string bytes;
  append_request(&bytes, {words.begin(), words.end()});
  return bytes;
}

bool is_timed_counter(const std::string& key) {
  return key.back() == 'n';
}

// What the client of one family says.
class Speaker {
 public:
  Speaker(Random& random, Op* op) : random_(random), op_(*op), key_(op->keys.front()) {}

  void speak() {
    switch (op_.family) {
      case Family::kText:
        return text();
      case Family::kCounter:
        return counter();
      case Family::kHash:
        return hash();
      case Family::kSet:
        return set();
      case Family::kZSet:
        return zset();
      case Family::kQueue:
        return queue();
      case Family::kPair:
        return pair();
      case Family::kLock:
        return lock();
      case Family::kTimed:
        return timed();
    }
  }

 private:
  void say(bool write, std::initializer_list<std::string> words) {
    op_.write = write;
    op_.verb = *words.begin();
    op_.command = request(words);
  }
  std::string value() const { return "v" + std::to_string(op_.id); }
  std::string amount(int64_t least) {
    op_.amount = random_.between(least, 9);
    return std::to_string(op_.amount);
  }
  std::string element(const char* head, int64_t count) {
    return op_.place = head + std::to_string(random_.below(count));
  }

  void text() {
    int64_t dice = random_.below(100);
    if (dice < 35) return say(true, {"SET", key_, value()});
    if (dice < 40) return say(true, {"SET", key_, value(), "NX"});
    if (dice < 45) return say(true, {"SET", key_, value(), "GET"});
    if (dice < 48) return say(true, {"GETDEL", key_});
    if (dice < 60) return say(true, {"DEL", key_});
    say(false, {"GET", key_});
  }
  void counter() {
    if (random_.percent(60)) return say(true, {"INCRBY", key_, amount(1)});
    say(false, {"GET", key_});
  }
  void hash() {
    int64_t dice = random_.below(100);
    if (dice < 25) return say(true, {"HSET", key_, element("f", 3), value()});
    if (dice < 37) return say(true, {"HINCRBY", key_, element("n", 2), amount(-5)});
    if (dice < 40) return say(true, {"HSET", key_, element("n", 2), std::to_string(op_.id)});
    if (dice < 52) return say(true, {"HDEL", key_, element("f", 3)});
    if (dice < 57) return say(true, {"HDEL", key_, element("n", 2)});
    if (dice < 62) return say(true, {"DEL", key_});
    say(false, {"HGET", key_, element("f", 3)});
  }
  void set() {
    int64_t dice = random_.below(100);
    if (dice < 25) return say(true, {"SADD", key_, element("m", 3)});
    if (dice < 32) return say(true, {"SADD", key_, element("m", 2), "m2"});
    if (dice < 57) return say(true, {"SREM", key_, element("m", 3)});
    if (dice < 62) return say(true, {"DEL", key_});
    if (dice < 75) return say(false, {"SMEMBERS", key_});
    say(false, {"SISMEMBER", key_, element("m", 3)});
  }
  void zset() {
    int64_t dice = random_.below(100);
    if (dice < 25) return say(true, {"ZADD", key_, std::to_string(op_.id), element("m", 3)});
    if (dice < 30) return say(true, {"ZADD", key_, "GT", std::to_string(op_.id), element("m", 3)});
    if (dice < 40) return say(true, {"ZINCRBY", key_, amount(-5), element("n", 2)});
    if (dice < 52) return say(true, {"ZREM", key_, element("m", 3)});
    if (dice < 56) return say(true, {"ZREM", key_, element("n", 2)});
    if (dice < 59) return say(true, {"ZPOPMIN", key_});
    if (dice < 62) return say(true, {"DEL", key_});
    say(false, {"ZSCORE", key_, element("m", 3)});
  }
  void queue() {
    int64_t dice = random_.below(100);
    if (dice < 35) return say(true, {"LPUSH", key_, value()});
    if (dice < 70) return say(true, {"RPOP", key_});
    if (dice < 72) return say(true, {"LREM", key_, "1", "v" + std::to_string(op_.id - 1)});
    if (dice < 74) return say(true, {"LTRIM", key_, "0", "5"});
    if (dice < 75) return say(true, {"DEL", key_});
    say(false, {"LRANGE", key_, "0", "-1"});
  }
  void pair() {
    const std::string& other = op_.keys.back();
    if (random_.percent(60)) {
      std::string by = amount(1);
      say(true, {"MULTI"});
      op_.command += request({"INCRBY", key_, by}) + request({"INCRBY", other, by});
      op_.command += request({"EXEC"});
      return;
    }
    say(false, {"MGET", key_, other});
  }
  void lock() {
    if (random_.percent(70)) return say(true, {"SET", key_, value(), "NX"});
    say(false, {"GET", key_});
  }
  void timed() {
    int64_t dice = random_.below(100);
    std::string soon = std::to_string(random_.between(1, 4000));
    if (dice < 20) return say(true, {"PEXPIRE", key_, soon});
    if (dice < 25) return say(true, {"PERSIST", key_});
    if (dice < 30) return say(true, {"DEL", key_});
    if (dice > 60) return say(false, {"GET", key_});
    if (is_timed_counter(key_)) return say(true, {"INCRBY", key_, amount(1)});
    if (dice < 45) return say(true, {"SET", key_, value()});
    say(true, {"SET", key_, value(), "PX", soon});
  }

  Random& random_;
  Op& op_;
  const std::string key_;
};

}  // namespace

void World::draw_keys() {
  static constexpr std::pair<Family, const char*> kFamilies[] = {
      {Family::kText, "t"},    {Family::kText, "t"},  {Family::kHash, "h"},  {Family::kHash, "h"},
      {Family::kSet, "s"},     {Family::kSet, "s"},   {Family::kZSet, "z"},  {Family::kZSet, "z"},
      {Family::kCounter, "c"}, {Family::kQueue, "q"}, {Family::kPair, "{p"}, {Family::kLock, "l"},
      {Family::kTimed, "x"},
  };
  if (scene_ == Scene::kSlowRemovals) keys_.push_back({Family::kSet, kSceneKey});
  for (int i = 0; i < conditions_.keys; ++i) {
    const auto& [family, head] = kFamilies[random_.below(std::ssize(kFamilies))];
    keys_.push_back({family, head + std::to_string(i)});
  }
}

// What a scene wants said about one member of its set; without a verb, whether it is there.
void World::say(int64_t after_us, NodeIndex node, int lane, const char* verb) {
  at(after_us, [this, node, lane, verb] {
    if (calm_) return;
    Op op;
    op.id = next_op_++;
    op.family = Family::kSet;
    op.keys = {kSceneKey};
    op.write = verb != nullptr;
    op.verb = op.write ? verb : "SISMEMBER";
    op.place = "m0";
    op.command = request({op.verb, kSceneKey, op.place});
    op.level = op.write ? Level::kDcOne : Level::kDcSafeQuorum;
    op.node = node;
    op.lane = lane;
    submit(std::move(op));
  });
}

Op World::draw_op() {
  Op op;
  op.id = next_op_++;
  const auto& [family, name] = keys_[static_cast<size_t>(op_random_.below(std::ssize(keys_)))];
  op.family = family;
  if (family == Family::kPair) {
    op.keys = {name + "}a", name + "}b"};
  } else if (family == Family::kLock) {
    op.keys = {name + "." + std::to_string(op.id / kLockRequests)};
  } else if (family == Family::kTimed && op_random_.percent(40)) {
    op.keys = {name + "n"};
  } else {
    op.keys = {name};
  }
  Speaker(op_random_, &op).speak();
  op.level = static_cast<Level>(op_random_.percent(30) ? 0 : op_random_.below(4));
  op.node = static_cast<NodeIndex>(op_random_.below(std::ssize(processes_)));
  return op;
}

void World::next_op() {
  if (!loading_) return;
  at(op_random_.between(1, 2 * conditions_.op_every_us), [this] { next_op(); });
  // What was removed is forgotten while they rest.
  bool rests =
      conditions_.burst_us > 0 && now_us_ % conditions_.burst_us > conditions_.burst_us / 3;
  if (rests) return;
  submit(draw_op());
}

void World::submit(Op op) {
  if (!processes_[op.node].up) return;
  for (const std::string& key : op.keys) {
    SlotIndex slot = slot_of(token_of(key, NodeEngine::kHashSeed));
    if (used_.contains(slot)) continue;
    used_.insert(slot);
    slots_.push_back(slot);
  }
  uint64_t id = op.id;
  NodeIndex node = op.node;
  ledger_.ops[id] = std::move(op);
  on(node, 0, [this, id] { issue(id); });
}

// What whoever runs it from now on has to know; of a write, what a quorum write of its own data
// center wrote.
void World::gather_dues(Op* op) {
  uint16_t dc = topology_.node(op->node).dc_index;
  if (op->level == Level::kDcOne || topology_.dcs()[dc].racks.size() < 2) return;
  for (const std::string& key : op->keys) {
    auto history = ledger_.keys.find(key);
    if (history == ledger_.keys.end()) continue;
    for (const auto& [where, due] : history->second.dues) {
      if (where.first != dc && op->level != Level::kDcEachSafeQuorum) continue;
      const Op& teller = ledger_.ops.at(due.op);
      bool is_near_write = teller.write && topology_.node(teller.node).dc_index == dc;
      if (op->write && !is_near_write) continue;
      op->must_see.emplace_back(key, due);
    }
  }
}

void World::issue(uint64_t id) {
  Op& op = ledger_.ops.at(id);
  op.began_us = now_us_;
  if (op.write && op.level != Level::kDcOne) op.healthy = health();
  gather_dues(&op);
  note(op.keys.front(), "node " + std::to_string(op.node) + " gets request " + std::to_string(id) +
                            " at " + std::string(level_name(op.level)) + ": " + op.verb + " " +
                            op.place);
  int64_t drawn = op_random_.below(std::ssize(processes_[op.node].lanes));
  route(id, static_cast<uint16_t>(op.lane < 0 ? drawn : op.lane));
}

// Again, when it had to wait for values of its keys.
void World::route(uint64_t id, uint16_t lane_number) {
  Op& op = ledger_.ops.at(id);
  Process& process = processes_[op.node];
  Lane& lane = *process.lanes[lane_number];
  Now now = now_of(op.node);
  process.engine->set_time(now.unix_ms);
  Request request;
  std::vector<Token> tokens;
  for (const std::string& key : op.keys) {
    tokens.push_back(token_of(key, NodeEngine::kHashSeed));
    request.keys.push_back({0, key, tokens.back()});
  }
  Plan plan = lane.plan(tokens, op.write, false, op.level);
  trace(10, op.id);
  NodeIndex node = op.node;
  if (plan.kind == Plan::Kind::kRefuse) {
    answered(op.id, Outcome::kNotApplied, plan.refusal);
  } else if (plan.kind == Plan::Kind::kLocal) {
    std::vector<Frame> frames;
    std::optional<std::string> reply = run_op(node, id, op.command, &frames);
    if (!reply) {
      process.parked.push_back([this, id, lane_number] { route(id, lane_number); });
      return;
    }
    lane.publish(std::move(frames));
    answered(op.id, Outcome::kDone, *reply);
  } else {
    request.id = op.id;
    request.write = op.write;
    request.repeatable = !op.write;
    request.level = op.level;
    request.deadline_us = now.mono_us + conditions_.patience_us + op_random_.below(1900 * kMs);
    request.context = std::to_string(op.id);
    request.command = op.command;
    lane.begin(now, std::move(request));
  }
  settle(node, lane_number);
}

void World::answered(uint64_t id, Outcome outcome, const std::string& bytes) {
  Op& op = ledger_.ops.at(id);
  if (op.ended_us >= 0) return fail("request " + std::to_string(id) + " answered twice");
  op.ended_us = now_us_;
  op.done = outcome == Outcome::kDone;
  op.refused = outcome == Outcome::kNotApplied;
  note(op.keys.front(), "request " + std::to_string(id) + " is answered: " + bytes);
  trace(11, id * 4 + static_cast<uint64_t>(outcome));
  if (!op.done) {
    probe("answer " + bytes.substr(0, bytes.find(' ')));
  } else if (is_error_reply(bytes)) {
    fail(op.verb + " " + op.keys.front() + " was answered " + bytes, op.keys.front());
  } else {
    probe("done at " + std::string(level_name(op.level)));
    probe("done: " + op.verb);
    trace(12, bytes.size());
    check_answer(op, bytes);
  }
  op.must_see.clear();
  op.shown.clear();
}

}  // namespace dyno::simulator

// SPDX-License-Identifier: Apache-2.0
#include "tests/small_world/world.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "engine/expirer.h"
#include "engine/fixed_draws.h"
#include "protocol/number.h"
#include "tests/replica_storm.h"
#include "tests/small_world/oracle.h"

namespace dyno {
namespace {

constexpr int64_t kEpochMs = 1'800'000'000'000;

}  // namespace

World::World(uint32_t seed, const WorldFaults& faults, WorldCounts* counts)
    : random_(seed), faults_(faults), counts_(counts) {
  fix_element_seed(1);
  fix_draws(seed);
  is_wild_ = draw(3) == 0;
  has_crashes_ = draw(3) != 0;
  has_flushes_ = draw(4) == 0;
  nodes_.resize(draw(6) == 0 ? 2 + draw(4) : 3 + draw(2));
  for (size_t i = 0; i < nodes_.size(); ++i) {
    nodes_[i].skew_ms = draw(-40, 40);
    make_engine(i);
    at(draw(1, 20), [this, i] { beat(i); });
    at(draw(1, 60), [this, i] { ask(i); });
  }
  for (int64_t n = draw(40, 120); n > 0; --n) {
    at(draw(1, kOpsEndMs), [this] { operate(draw(static_cast<uint32_t>(nodes_.size()))); });
  }
  for (uint32_t n = draw(7); n > 0; --n) at(draw(1, kOpsEndMs), [this] { cut(); });
  for (uint32_t n = has_crashes_ ? 1 + draw(4) : 0; n > 0; --n) {
    at(draw(150, kOpsEndMs), [this] { crash(draw(static_cast<uint32_t>(nodes_.size()))); });
  }
}

std::string World::run() {
  advance_to(kOpsEndMs);
  cuts_.clear();
  // By now everything has arrived, been compared and aged.
  advance_to(kOpsEndMs + 1000);
  for (size_t i = 0; i < nodes_.size(); ++i) {
    nodes_[i].skew_ms = 0;
    sweep(i);
  }
  advance_to(now_ms_ + 500);
  // Repair goes by chance, and the traces of the dead wait until everyone has asked everyone.
  for (int i = 0; i < 40 && !is_settled(); ++i) advance_to(now_ms_ + 500);
  return failure_.empty() ? check() : failure_;
}

bool World::is_settled() const {
  Replica& first = nodes_[0].engine->replica;
  return std::all_of(nodes_.begin(), nodes_.end(), [&](const Node& node) {
    Replica& replica = node.engine->replica;
    auto is_equal = [&](SlotIndex slot) { return replica.digest(slot) == first.digest(slot); };
    const std::vector<SlotIndex>& slots = node.engine->slots;
    return replica.counts().tombstones == 0 && std::all_of(slots.begin(), slots.end(), is_equal);
  });
}

// --- Time ---------------------------------------------------------------------------------------

void World::at(int64_t delay_ms, Event event) {
  events_.push({{now_ms_ + delay_ms, order_++}, event});
}

void World::advance_to(int64_t end_ms) {
  while (failure_.empty() && !events_.empty() && events_.top().first.first <= end_ms) {
    now_ms_ = events_.top().first.first;
    Event event = events_.top().second;
    events_.pop();
    event();
  }
  now_ms_ = end_ms;
}

ReplicaNode& World::enter(size_t i) {
  ReplicaNode& engine = *nodes_[i].engine;
  engine.client.now_ms = kEpochMs + now_ms_ + nodes_[i].skew_ms;
  return engine;
}

void World::note(size_t i, const std::string& text) {
  if (!keeps_history) return;
  history += std::to_string(now_ms_) + " node " + std::to_string(i) + " " + text + "\n";
}

Actor World::actor(size_t i) const {
  return make_actor(static_cast<uint8_t>(i + 1), nodes_[i].incarnation);
}

bool World::is_cut(size_t from, size_t to) const {
  return cuts_.count({from, to}) != 0 || !nodes_[from].is_up || !nodes_[to].is_up;
}

void World::make_engine(size_t i) {
  nodes_[i].engine =
      std::make_unique<ReplicaNode>(static_cast<uint8_t>(i + 1), nodes_[i].incarnation);
  nodes_[i].engine->replica.faults = faults_.node;
  nodes_[i].engine->slots.clear();
}

// --- Writes -------------------------------------------------------------------------------------

std::vector<std::string> World::told_command(size_t i) {
  auto member = [&] { return "m" + std::to_string(draw(5)); };
  auto number = [&] { return std::to_string(draw(-5, 9)); };
  auto value = [&] { return "v" + std::to_string(draw(100)); };
  auto later = [&] { return std::to_string(1000 + draw(1000)); };
  uint32_t which = draw(10);
  if (has_flushes_ && draw(40) == 0) return {draw(2) == 0 ? "FLUSHALL" : "FLUSHDB"};
  std::string key(kToldKeys[draw(std::size(kToldKeys))]);
  if (which == 0 && draw(2) == 0) return {"DEL", key};
  // None of them comes while the world lasts.
  if (draw(12) == 0) return {"EXPIRE", key, later()};
  if (draw(16) == 0) return {"PERSIST", key};
  if (key == "set") {
    if (which < 6) return {"SADD", key, member(), member()};
    if (which < 8) return {"SREM", key, member()};
    // What SPOP does, but of this world's own draw.
    std::vector<std::string> members = elements_of(enter(i).run({"SMEMBERS", key}));
    if (members.empty()) return {"SPOP", key};
    std::sort(members.begin(), members.end());
    return {"SREM", key, members[draw(static_cast<uint32_t>(members.size()))]};
  }
  if (key == "hash") {
    if (draw(6) == 0) return {"HEXPIRE", key, later(), "FIELDS", "1", member()};
    if (draw(8) == 0) return {"HPERSIST", key, "FIELDS", "1", member()};
    if (which < 4) return {"HSET", key, member(), number()};
    if (which < 8) return {"HINCRBY", key, member(), number()};
    return {"HDEL", key, member()};
  }
  if (key == "zset") {
    if (which < 4) return {"ZADD", key, number(), member()};
    if (which < 8) return {"ZINCRBY", key, number(), member()};
    return draw(2) == 0 ? std::vector<std::string>{"ZREM", key, member()}
                        : std::vector<std::string>{"ZPOPMIN", key};
  }
  if (key == "list") {
    if (which < 3) return {"RPUSH", key, value(), value()};
    if (which < 5) return {"LPUSH", key, value()};
    if (which == 5) return {"LPOP", key};
    if (which == 6) return {"LSET", key, "1", value()};
    if (which == 7) return {"LREM", key, "1", value()};
    if (which == 8) return {"LTRIM", key, "0", "5"};
    std::vector<std::string> pivot = elements_of(enter(i).run({"LRANGE", key, "1", "1"}));
    return {"LINSERT", key, "BEFORE", pivot.empty() ? "none" : pivot[0], value()};
  }
  if (key == "number") {
    if (which < 8) return {"INCRBY", key, number()};
    return {"SET", key, number()};
  }
  if (which < 6) return {"SET", key, value()};
  if (which < 8) return {"SET", key, value(), "EX", later()};
  return {"APPEND", key, value()};
}

// Of fields, members and keys that expire within the world.
std::vector<std::string> World::brief_command() {
  std::string key = draw(3) == 0 ? "brief score" : "brief hash";
  std::string field = "f" + std::to_string(draw(3));
  auto number = [&] { return std::to_string(draw(-5, 9)); };
  auto soon = [&] { return std::to_string(1 + draw(600)); };
  uint32_t which = draw(16);
  if (which == 0) return {"PEXPIRE", key, soon()};
  if (which == 1) return {"PERSIST", key};
  if (which == 2 && draw(3) == 0) return {"DEL", key};
  if (key == "brief score") {
    if (which < 7) return {"ZADD", key, number(), field};
    if (which < 12) return {"ZINCRBY", key, number(), field};
    return {"ZREM", key, field};
  }
  if (which < 6) return {"HSET", key, field, number()};
  if (which < 9) return {"HINCRBY", key, field, number()};
  if (which < 13) return {"HPEXPIRE", key, soon(), "FIELDS", "1", field};
  if (which < 15) return {"HPERSIST", key, "FIELDS", "1", field};
  return {"HDEL", key, field};
}

std::vector<std::string> World::wild_command(size_t i) {
  if (draw(3) == 0) return brief_command();
  const auto& specs = ReplicaStorm::specs();
  const CommandSpec* spec = nullptr;
  do {
    spec = specs[draw(static_cast<uint32_t>(specs.size()))];
  } while (spec->name.starts_with("FLUSH") && (!has_flushes_ || draw(4) != 0));
  return RandomCommand(*spec, nodes_[i].engine->client.now_ms, [&](uint32_t n) { return draw(n); })
      .write();
}

void World::operate(size_t i) {
  if (!nodes_[i].is_up) return;
  ReplicaNode& engine = enter(i);
  if (!is_wild_ && draw(25) == 0) {
    std::string key(kToldKeys[draw(std::size(kToldKeys))]);
    note(i, "evicts " + key);
    engine.evict(key);
    check_eviction(i, key);
    return keep_writes(i, false);
  }
  std::vector<std::string> command = is_wild_ ? wild_command(i) : told_command(i);
  std::string text;
  for (const std::string& word : command) text += word + " ";
  std::string reply = engine.run(command);
  note(i, text + "-> " + reply);
  int64_t amount = 0;
  if (!is_wild_ && command[0].ends_with("INCRBY")) {
    amount = *parse_int64(command[0] == "ZINCRBY" ? command[2] : command.back());
  }
  keep_writes(i, command[0] == "SREM", amount);
}

void World::keep_writes(size_t i, bool is_draw, int64_t amount) {
  Node& node = nodes_[i];
  for (ReplicaNode::Written& written : node.engine->written) {
    if (writes_.size() == kWritesMax) {
      failure_ = "too many writes";
      return;
    }
    std::vector<Delta> deltas;
    if (!read_frame(written.frame, &deltas).empty()) {
      failure_ = "a node wrote what nobody can read";
      return;
    }
    int slot_of_write = -1;
    for (const Delta& delta : deltas) {
      if (keeps_history) history += "  " + describe(delta);
      if (is_flush(delta)) continue;
      SlotIndex slot = node.engine->client.keyspace().hash(delta.key).slot();
      slot_of_write = slot;
      for (Node& each : nodes_) {
        auto& slots = each.engine->slots;
        if (std::find(slots.begin(), slots.end(), slot) == slots.end()) slots.push_back(slot);
      }
    }
    node.known.set(writes_.size());
    node.covered.set(writes_.size());
    node.log.push_back(writes_.size());
    writes_.push_back({written.stamp, std::move(written.frame), slot_of_write, is_draw, amount});
    ++counts_->writes;
  }
  node.engine->written.clear();
}

// What an eviction takes is no later than what its node knew of the key.
void World::check_eviction(size_t i, const std::string& key) {
  Stamp known = 0;
  Stamp cleared = 0;
  std::vector<Delta> deltas;
  auto largest = [&](const std::string& frame, bool of_clears) {
    Stamp most = 0;
    DYNO_CHECK(read_frame(frame, &deltas).empty());
    for (const Delta& delta : deltas) {
      for (const Fact& fact : delta.facts) {
        bool counts = !of_clears || fact.kind == FactKind::kClear;
        if ((delta.key == key || is_flush(delta)) && counts) most = std::max(most, fact.stamp);
      }
    }
    return most;
  };
  for (size_t n = 0; n < writes_.size(); ++n) {
    if (nodes_[i].known[n]) known = std::max(known, largest(writes_[n].frame, false));
  }
  for (const auto& written : nodes_[i].engine->written) {
    cleared = std::max(cleared, largest(written.frame, true));
  }
  if (cleared > known + 2) failure_ = "an eviction takes what its node has not seen";
}

// --- Streams ------------------------------------------------------------------------------------

void World::beat(size_t i) {
  at(20, [this, i] { beat(i); });
  if (!nodes_[i].is_up) return;
  ReplicaNode& engine = enter(i);
  engine.replica.clock().start_above(first_stamp_of(engine.client.now_ms));
  collect(i);
  for (size_t to = 0; to < nodes_.size(); ++to) {
    if (to != i && !is_cut(i, to) && draw(5) != 0) send(i, to);
  }
}

void World::send(size_t from, size_t to) {
  Node& node = nodes_[from];
  Batch batch{from, node.life, nodes_[to].life, actor(from), nodes_[to].next[actor(from)], {}, 0,
              0,    0};
  size_t end = std::min(node.log.size(), batch.first + 1 + draw(6));
  if (batch.first < end) {
    batch.writes.assign(node.log.begin() + static_cast<ptrdiff_t>(batch.first),
                        node.log.begin() + static_cast<ptrdiff_t>(end));
  }
  batch.total = node.log.size();
  batch.watermark = node.engine->replica.clock().last();
  batch.published = complete(from);
  at(draw(1, 30), [this, to, batch] { receive(to, batch); });
  // What was sent on a connection that broke is sent again on the next.
  if (draw(4) == 0) at(draw(1, 400), [this, to, batch] { receive(to, batch); });
}

void World::receive(size_t to, const Batch& batch) {
  Node& node = nodes_[to];
  if (is_cut(batch.from, to) || node.life != batch.to_life ||
      nodes_[batch.from].life != batch.from_life) {
    return;
  }
  size_t& next = node.next[batch.actor];
  if (faults_.no_dedupe) {
    for (size_t number : batch.writes) apply(to, writes_[number]);
    for (size_t number : batch.writes) {
      node.known.set(number);
      node.covered.set(number);
    }
    next = std::max(next, batch.first + batch.writes.size());
  } else {
    if (batch.first > next) return;
    for (size_t k = 0; k < batch.writes.size(); ++k) {
      if (batch.first + k != next) continue;
      apply(to, writes_[batch.writes[k]]);
      node.known.set(batch.writes[k]);
      node.covered.set(batch.writes[k]);
      ++next;
    }
  }
  if (next >= batch.total) {
    Stamp& mark = node.watermarks[batch.actor];
    mark = std::max(mark, batch.watermark);
  }
  if (!faults_.node.no_stamp_raise) node.engine->replica.clock().start_above(batch.watermark);
  Stamp& published = node.published[batch.from];
  published = std::max(published, batch.published);
}

void World::apply(size_t to, const Write& write) {
  std::string frame = distorted(to, write);
  MergeOutcome outcome = enter(to).receive(frame.empty() ? write.frame : frame);
  if (!outcome.refused.empty()) failure_ = "refused: " + outcome.refused;
}

// The frame as a faulty node would read it, or nothing.
std::string World::distorted(size_t to, const Write& write) {
  if (!faults_.expire_relative && !(faults_.spop_as_command && write.is_draw)) return {};
  ReplicaNode& engine = enter(to);
  std::vector<Delta> deltas;
  DYNO_CHECK(read_frame(write.frame, &deltas).empty());
  FrameWriter frame;
  std::vector<std::string> drawn;
  for (const Delta& delta : deltas) {
    for (Fact fact : delta.facts) {
      if (faults_.expire_relative && fact.kind == FactKind::kDeadline && fact.number > 0) {
        fact.number += engine.client.now_ms - stamp_ms(fact.stamp);
      }
      if (faults_.spop_as_command && write.is_draw && fact.kind == FactKind::kMemberGone) {
        drawn = elements_of(engine.run({"SRANDMEMBER", std::string(delta.key), "1"}));
        if (!drawn.empty()) fact.element = drawn[0];
      }
      frame.add(delta.db, delta.key, fact);
    }
  }
  return std::string(frame.finish());
}

// --- Mishaps ------------------------------------------------------------------------------------

// The memory is lost. One at a time: the world has to tell which writes outlived whom.
void World::crash(size_t i) {
  if (!nodes_[i].is_up || !dead_.empty()) return;
  for (const Node& node : nodes_) {
    if (!node.is_up) return;
  }
  note(i, "crashes");
  ++counts_->crashes;
  Node& node = nodes_[i];
  Actor old = actor(i);
  std::vector<SlotIndex> slots = node.engine->slots;
  if (!faults_.dead_origin_dropped) dead_[old] = {i, now_ms_, {}};
  node.is_up = false;
  ++node.life;
  if (faults_.actor_reuse) {
    for (Node& each : nodes_) each.next[old] = 0;
  } else {
    ++node.incarnation;
  }
  node.log.clear();
  node.next.clear();
  node.watermarks.clear();
  node.published.clear();
  node.samples.clear();
  node.known.reset();
  node.covered.reset();
  // Counts of keys are the process' own, and a keyspace that ends takes them along.
  graveyard_.push_back(std::move(node.engine));
  make_engine(i);
  node.engine->slots = slots;
  // Longer than any clock is ahead.
  at(draw(120, 250), [this, i] { boot(i); });
}

void World::boot(size_t i) {
  Node& node = nodes_[i];
  node.is_up = true;
  std::vector<size_t> peers;
  for (size_t peer = 0; peer < nodes_.size(); ++peer) {
    if (peer != i && !is_cut(i, peer) && !is_cut(peer, i)) peers.push_back(peer);
  }
  if (peers.empty()) {
    node.is_up = false;
    at(50, [this, i] { boot(i); });
    return;
  }
  size_t peer = peers[draw(static_cast<uint32_t>(peers.size()))];
  note(i, "begins anew with the state of node " + std::to_string(peer));
  take(i, peer, snapshot(peer, i, true));
  enter(i).replica.clock().start_above(nodes_[peer].engine->replica.clock().last());
  for (const auto& [from, position] : nodes_[peer].next) {
    if (from != actor(i)) node.next[from] = position;
  }
  node.next[actor(peer)] = nodes_[peer].log.size();
  for (size_t other = 0; other < nodes_.size(); ++other) {
    if (other == i) continue;
    if (faults_.positions_of_all) node.next[actor(other)] = nodes_[other].log.size();
    nodes_[other].published.erase(i);
    // A frontier that was taken before this node was new says nothing of it.
    nodes_[other].samples.clear();
  }
}

void World::cut() {
  size_t a = draw(static_cast<uint32_t>(nodes_.size()));
  size_t b = draw(static_cast<uint32_t>(nodes_.size()));
  if (a == b) return;
  ++counts_->partitions;
  bool both = draw(5) < 3;
  cuts_.insert({a, b});
  if (both) cuts_.insert({b, a});
  at(draw(100, 1000), [this, a, b, both] {
    cuts_.erase({a, b});
    if (both) cuts_.erase({b, a});
  });
}

// --- The end ------------------------------------------------------------------------------------

std::string World::state_of(size_t i, SlotIndex slot) {
  std::string text;
  enter(i).export_slot(slot, [&](std::string_view frame) {
    std::vector<Delta> deltas;
    DYNO_CHECK(read_frame(frame, &deltas).empty());
    for (const Delta& delta : deltas) text += "\n" + describe(delta);
  });
  return text;
}

// What is due goes.
void World::sweep(size_t i) {
  ReplicaNode& engine = enter(i);
  (void)Expirer(engine.client.executor()).run(0, kSlotCount, engine.client.now_ms, 1'000'000);
}

std::string World::check() {
  for (size_t i = 0; i < nodes_.size(); ++i) {
    int64_t left = nodes_[i].engine->replica.counts().tombstones;
    if (left == 0) continue;
    return "node " + std::to_string(i) + " has " + std::to_string(left) + " tombstones left";
  }
  for (size_t i = 0; i < nodes_.size(); ++i) sweep(i);
  std::string wanted = shown(0);
  WriteSet known;
  for (size_t i = 0; i < nodes_.size(); ++i) {
    known |= nodes_[i].known;
    ReplicaNode& engine = *nodes_[i].engine;
    std::string name = "node " + std::to_string(i);
    if (shown(i) != wanted) {
      return name + " differs:" + ReplicaStorm::difference(wanted, shown(i));
    }
    for (SlotIndex slot : engine.slots) {
      if (engine.replica.digest(slot) == nodes_[0].engine->replica.digest(slot)) continue;
      return name + " has another digest:" + state_of(i, slot) + "\nunlike:" + state_of(0, slot);
    }
    if (engine.damaged_slot() >= 0) return name + " has a damaged digest";
  }
  counts_->lost_writes += static_cast<int64_t>(writes_.size() - known.count());
  if (is_wild_) return {};
  Oracle oracle;
  for (size_t n = 0; n < writes_.size(); ++n) {
    if (known[n]) oracle.add(writes_[n].frame, writes_[n].amount);
  }
  if (!oracle.adds_up()) return "a counter's total has lost what was added before";
  std::string told = ReplicaStorm::difference(oracle.describe(), wanted);
  return told.empty() ? told : "the oracle (<) says otherwise:" + told;
}

}  // namespace dyno

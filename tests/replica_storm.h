// SPDX-License-Identifier: Apache-2.0
//
// Random commands on several replicas of one process: frames arrive in any order, twice, late; the
// nodes' clocks differ; deadlines come; traces are collected once every node knows of them. In the
// end, after the nodes have asked each other for everything, they hold the same, and their digests
// say so.
//
// Each seed is a history of its own, the same in every run.
#pragma once

#include <algorithm>
#include <iterator>
#include <memory>
#include <random>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "engine/expirer.h"
#include "engine/fixed_draws.h"
#include "engine/live_key.h"
#include "tests/random_command.h"
#include "tests/replica_node.h"

namespace dyno {

class ReplicaStorm {
 public:
  ReplicaStorm(uint32_t seed, int nodes) : random_(seed) {
    fix_element_seed(1);
    fix_draws(seed);
    for (int i = 0; i < nodes; ++i) {
      nodes_.push_back(std::make_unique<ReplicaNode>(static_cast<uint8_t>(i + 1)));
      nodes_.back()->client.now_ms += draw(kSkewMs);
      nodes_.back()->client.limits().hyperloglog_sparse_bytes = 100;
    }
    inbox_.resize(nodes_.size());
    time_passes_ = draw(3) != 0;
    collects_ = draw(3) != 0;
    evicts_ = draw(4) == 0;
  }

  void step() {
    size_t i = draw(static_cast<uint32_t>(nodes_.size()));
    write(i);
    if (draw(3) == 0) deliver(draw(static_cast<uint32_t>(nodes_.size())), draw(10));
    if (draw(60) == 0) pull(draw(static_cast<uint32_t>(nodes_.size())), i);
    int64_t passed = time_passes_ && draw(40) == 0 ? draw(4000) : draw(3);
    for (auto& each : nodes_) each->client.now_ms += passed;
    if (collects_ && draw(20) == 0) collect();
  }

  // Why the nodes are not equal, or nothing.
  std::string finish() {
    for (size_t i = 0; i < nodes_.size(); ++i) deliver(i, SIZE_MAX);
    if (!failure_.empty()) return failure_;
    std::string damage = damaged("after delivery");
    if (!damage.empty()) return damage;
    int64_t end_ms = 0;
    for (auto& each : nodes_) end_ms = std::max(end_ms, each->client.now_ms);
    for (auto& each : nodes_) each->client.now_ms = end_ms + (time_passes_ ? 1000 : 0);
    // Whoever was told of a write by nobody else tells it on in the second round.
    for (int round = 0; round < 2; ++round) {
      sweep();
      for (size_t to = 0; to < nodes_.size(); ++to) {
        for (size_t from = 0; from < nodes_.size(); ++from) {
          if (to != from) pull(to, from);
        }
      }
    }
    sweep();
    damage = damaged("after repair");
    if (!damage.empty()) return damage;
    std::string wanted = nodes_[0]->describe();
    for (size_t i = 1; i < nodes_.size(); ++i) {
      std::string unlike = difference(wanted, nodes_[i]->describe());
      if (!unlike.empty()) return "node " + std::to_string(i) + " differs:" + unlike;
      for (uint32_t slot = 0; slot < kSlotCount; ++slot) {
        auto index = static_cast<SlotIndex>(slot);
        if (nodes_[i]->replica.slot(index).digest == nodes_[0]->replica.slot(index).digest) {
          continue;
        }
        return "node " + std::to_string(i) + " has another digest:" + keys_of(*nodes_[i], index);
      }
    }
    return forget();
  }

  // Whatever changes this key from now on is kept as text: commands and frames that name it, and
  // the key's state wherever it changed.
  void watch(std::string key) {
    watched_ = std::move(key);
    states_.resize(nodes_.size());
  }
  [[nodiscard]] const std::string& history() const { return history_; }

  // Commands that change one key's data and never wait.
  static const std::vector<const CommandSpec*>& specs() {
    static const std::vector<const CommandSpec*> specs = [] {
      std::vector<const CommandSpec*> all;
      for (std::span<const CommandSpec> family : kEngineFamilies) {
        for (const CommandSpec& spec : family) {
          bool writes = (spec.flags & kWrite) != 0 && (spec.flags & kBlocking) == 0;
          // Counts of databases' keys are the process' own, so the nodes keep to one.
          bool moves = spec.name == "MOVE" || spec.name == "COPY";
          if (writes && !moves && CommandStorm::takes(spec)) all.push_back(&spec);
        }
      }
      return all;
    }();
    return specs;
  }

  // Lines that only one of the texts has.
  static std::string difference(const std::string& a, const std::string& b) {
    auto lines = [](const std::string& text) {
      std::vector<std::string> all;
      std::istringstream in(text);
      for (std::string line; std::getline(in, line);) all.push_back(line);
      std::sort(all.begin(), all.end());
      return all;
    };
    std::vector<std::string> both[2];
    std::vector<std::string> left = lines(a);
    std::vector<std::string> right = lines(b);
    std::set_difference(left.begin(), left.end(), right.begin(), right.end(),
                        std::back_inserter(both[0]));
    std::set_difference(right.begin(), right.end(), left.begin(), left.end(),
                        std::back_inserter(both[1]));
    std::string text;
    for (const std::string& line : both[0]) text += "\n< " + line.substr(0, 2000);
    for (const std::string& line : both[1]) text += "\n> " + line.substr(0, 2000);
    return text;
  }

 private:
  static constexpr uint32_t kSkewMs = 400;

  uint32_t draw(uint32_t n) { return n == 0 ? 0 : static_cast<uint32_t>(random_() % n); }
  // What node `i` did, if it concerns the watched key.
  void note(size_t i, const std::string& line) {
    if (watched_.empty()) return;
    FrameWriter frame;
    nodes_[i]->read_key(0, watched_, &frame);
    std::string state = frame.empty() ? "nothing" : facts(frame.finish());
    bool changed = std::exchange(states_[i], state) != state;
    if (!changed && line.find(watched_) == std::string::npos) return;
    history_ += at(i) + line + "\n";
    if (changed) history_ += "  is now " + state;
    auto slot = nodes_[i]->client.keyspace().hash(watched_).slot();
    if (!(nodes_[i]->replica.digest(slot) == nodes_[i]->replica.recomputed_digest(slot))) {
      history_ += "  has a damaged digest\n";
    }
  }
  // At the node's time.
  [[nodiscard]] std::string at(size_t i) const {
    return "node " + std::to_string(i) + " at " +
           std::to_string(nodes_[i]->client.now_ms - 1'800'000'000'000) + ": ";
  }
  [[nodiscard]] std::string facts(std::string_view frame) const {
    std::vector<Delta> deltas;
    if (watched_.empty() || !read_frame(frame, &deltas).empty()) return {};
    std::string text;
    for (const Delta& delta : deltas) {
      if (delta.key == watched_ || delta.key.empty()) text += describe(delta);
    }
    return text;
  }

  std::vector<std::string> command(size_t i) {
    const CommandSpec* spec = nullptr;
    do {
      spec = specs()[draw(static_cast<uint32_t>(specs().size()))];
    } while (spec->name.starts_with("FLUSH") && draw(20) != 0);
    return RandomCommand(*spec, nodes_[i]->client.now_ms, [&](uint32_t n) { return draw(n); })
        .write();
  }

  void write(size_t i) {
    ReplicaNode& node = *nodes_[i];
    if (evicts_ && draw(20) == 0) {
      std::string key = "k" + std::to_string(draw(8)) + ":" + std::to_string(draw(3));
      node.evict(key);
      note(i, "evicts " + key);
    } else if (draw(20) == 0) {
      (void)node.run({"MULTI"});
      for (uint32_t n = draw(4); n > 0; --n) run(i, command(i));
      run(i, {"EXEC"});
    } else {
      run(i, command(i));
    }
    ship(i);
  }
  // What node `i` wrote goes to the others.
  void ship(size_t i) {
    ReplicaNode& node = *nodes_[i];
    for (const ReplicaNode::Written& written : node.written) {
      note(i, "writes " + facts(written.frame));
      for (size_t to = 0; to < nodes_.size(); ++to) {
        if (to == i) continue;
        inbox_[to].push_back({i, written.stamp, written.frame});
        if (draw(8) == 0) inbox_[to].push_back({i, written.stamp, written.frame});
      }
    }
    node.written.clear();
  }
  void run(size_t i, const std::vector<std::string>& words) {
    std::string line;
    for (const std::string& word : words) line += " " + (word.empty() ? "''" : word);
    std::string reply = nodes_[i]->run(words);
    note(i, line + " -> " + reply.substr(0, 80));
  }

  // Delivers some of what waits for a node, in any order.
  void deliver(size_t to, size_t count) {
    auto& inbox = inbox_[to];
    for (; count > 0 && !inbox.empty(); --count) {
      size_t which = draw(static_cast<uint32_t>(inbox.size()));
      Sent sent = std::move(inbox[which]);
      inbox.erase(inbox.begin() + static_cast<ptrdiff_t>(which));
      MergeOutcome outcome = nodes_[to]->receive(sent.frame);
      note(to, "receives from " + std::to_string(sent.from) + " " + facts(sent.frame));
      if (!outcome.refused.empty()) failure_ = "refused: " + outcome.refused;
      if (draw(2) == 0) continue;
      for (const auto& [db, name] : outcome.to_pull) {
        nodes_[to]->pull_key(*nodes_[sent.from], db, name);
        note(to, "pulls " + name + " from " + std::to_string(sent.from));
      }
    }
  }
  void pull(size_t to, size_t from) {
    if (to == from) return;
    nodes_[to]->pull(*nodes_[from]);
    note(to, "pulls everything from " + std::to_string(from));
  }

  // Every write up to the horizon has arrived everywhere, and none so early will be made.
  void collect() {
    Stamp horizon = UINT64_MAX;
    for (size_t i = 0; i < nodes_.size(); ++i) {
      for (const Sent& sent : inbox_[i]) horizon = std::min(horizon, sent.stamp - 1);
      Stamp next =
          std::max(nodes_[i]->replica.clock().last(), first_stamp_of(nodes_[i]->client.now_ms) - 1);
      horizon = std::min(horizon, next);
    }
    size_t i = draw(static_cast<uint32_t>(nodes_.size()));
    nodes_[i]->collect(horizon);
    note(i, "collects up to " + std::to_string(horizon));
  }

  // Takes out what is due everywhere, keys and fields.
  void sweep() {
    for (size_t i = 0; i < nodes_.size(); ++i) {
      ReplicaNode& node = *nodes_[i];
      Expirer expirer(node.client.executor());
      while (expirer.run(0, kSlotCount, node.client.now_ms, 1'000'000)) {
      }
      ship(i);
    }
    for (size_t i = 0; i < nodes_.size(); ++i) deliver(i, SIZE_MAX);
  }

  // When all is known everywhere, what was removed leaves no trace.
  std::string forget() {
    std::string wanted = nodes_[0]->describe();
    for (auto& each : nodes_) each->client.now_ms += 120'000;
    sweep();
    for (int i = 0; i < 4; ++i) {
      for (auto& each : nodes_) {
        each->client.now_ms += 1000;
        each->collect(first_stamp_of(each->client.now_ms - 500));
      }
    }
    std::string damage = damaged("after collection");
    if (!damage.empty()) return damage;
    for (auto& each : nodes_) {
      int64_t left = each->replica.counts().tombstones;
      if (left != 0) return std::to_string(left) + " tombstones are left";
      std::string unlike = difference(nodes_[0]->describe(), each->describe());
      if (!unlike.empty()) return "differs after collection:" + unlike;
      if (!(each->digest() == nodes_[0]->digest())) return "another digest after collection";
    }
    return {};
  }

  std::string damaged(std::string_view when) {
    for (size_t i = 0; i < nodes_.size(); ++i) {
      int slot = nodes_[i]->damaged_slot();
      if (slot < 0) continue;
      return "node " + std::to_string(i) + " has a damaged digest " + std::string(when) + ":" +
             keys_of(*nodes_[i], static_cast<SlotIndex>(slot));
    }
    return {};
  }
  static std::string keys_of(ReplicaNode& node, SlotIndex index) {
    std::string text;
    for_each_replicated_key(node.replica, index, [&](int, std::string_view name) {
      text += " ";
      text += name;
    });
    return text;
  }

  struct Sent {
    size_t from;
    Stamp stamp;
    std::string frame;
  };

  std::mt19937 random_;
  std::vector<std::unique_ptr<ReplicaNode>> nodes_;
  std::vector<std::vector<Sent>> inbox_;
  std::string watched_;
  std::vector<std::string> states_;
  std::string history_;
  std::string failure_;
  bool time_passes_;
  bool collects_;
  bool evicts_;
};

}  // namespace dyno

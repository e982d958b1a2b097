// SPDX-License-Identifier: Apache-2.0
//
// Replicas that were told the same facts hold the same, whatever the commands were and in whatever
// order, however late and however often the facts came.
#include <doctest/doctest.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <random>
#include <sstream>

#include "tests/random_command.h"
#include "tests/replica_node.h"

namespace dyno {
namespace {

// Commands that change one key's data and never wait.
std::vector<const CommandSpec*> write_commands() {
  std::vector<const CommandSpec*> specs;
  for (std::span<const CommandSpec> family : kEngineFamilies) {
    for (const CommandSpec& spec : family) {
      bool writes = (spec.flags & kWrite) != 0 && (spec.flags & kBlocking) == 0;
      // Counts of databases' keys are the process' own, so the nodes keep to one.
      bool moves = spec.name == "MOVE" || spec.name == "COPY";
      if (writes && !moves && CommandStorm::takes(spec)) specs.push_back(&spec);
    }
  }
  return specs;
}

class Storm {
 public:
  explicit Storm(uint32_t seed, int nodes) : random_(seed) {
    for (int i = 0; i < nodes; ++i) {
      nodes_.push_back(std::make_unique<ReplicaNode>(static_cast<uint8_t>(i + 1)));
    }
    inbox_.resize(nodes_.size());
  }

  void step(const std::vector<const CommandSpec*>& specs) {
    size_t i = draw(static_cast<uint32_t>(nodes_.size()));
    ReplicaNode& node = *nodes_[i];
    auto command = RandomCommand(*specs[draw(static_cast<uint32_t>(specs.size()))],
                                 node.client.now_ms, [&](uint32_t n) { return draw(n); })
                       .write();
    (void)node.run(command);
    for (const std::string& frame : node.written) {
      for (size_t to = 0; to < nodes_.size(); ++to) {
        if (to == i) continue;
        inbox_[to].push_back(frame);
        if (draw(8) == 0) inbox_[to].push_back(frame);
      }
    }
    node.written.clear();
    if (draw(3) == 0) deliver(draw(static_cast<uint32_t>(nodes_.size())), draw(10));
    for (auto& each : nodes_) each->client.now_ms += draw(3);
  }

  // Delivers some of what waits for a node, in any order.
  void deliver(size_t to, size_t count) {
    auto& inbox = inbox_[to];
    for (; count > 0 && !inbox.empty(); --count) {
      size_t at = draw(static_cast<uint32_t>(inbox.size()));
      MergeOutcome outcome = nodes_[to]->receive(inbox[at]);
      REQUIRE(outcome.refused == "");
      inbox.erase(inbox.begin() + static_cast<ptrdiff_t>(at));
    }
  }
  void deliver_all() {
    for (size_t i = 0; i < nodes_.size(); ++i) deliver(i, SIZE_MAX);
  }
  void repair() {
    for (auto& to : nodes_) {
      for (auto& from : nodes_) {
        if (to != from) to->pull(*from);
      }
    }
  }

  uint32_t draw(uint32_t n) { return n == 0 ? 0 : static_cast<uint32_t>(random_() % n); }
  ReplicaNode& node(size_t i) { return *nodes_[i]; }

 private:
  std::mt19937 random_;
  std::vector<std::unique_ptr<ReplicaNode>> nodes_;
  std::vector<std::vector<std::string>> inbox_;
};

// Lines that only one of the texts has.
std::string difference(const std::string& a, const std::string& b) {
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
  for (const std::string& line : both[0]) text += "\n< " + line.substr(0, 300);
  for (const std::string& line : both[1]) text += "\n> " + line.substr(0, 300);
  return text;
}

TEST_CASE("three replicas under random writes") {
  auto specs = write_commands();
  constexpr int kSteps = 300;
  for (uint32_t seed = 1; seed <= 40; ++seed) {
    CAPTURE(seed);
    Storm storm(seed, 3);
    for (int i = 0; i < kSteps; ++i) storm.step(specs);
    storm.deliver_all();
    for (size_t i = 0; i < 3; ++i) REQUIRE(storm.node(i).damaged_slot() == -1);
    storm.repair();
    std::string wanted = storm.node(0).describe();
    for (size_t i = 1; i < 3; ++i) {
      REQUIRE(difference(storm.node(i).describe(), wanted) == "");
      REQUIRE(storm.node(i).digest() == storm.node(0).digest());
    }
    for (size_t i = 0; i < 3; ++i) REQUIRE(storm.node(i).damaged_slot() == -1);
  }
}

}  // namespace
}  // namespace dyno

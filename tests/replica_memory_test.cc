// SPDX-License-Identifier: Apache-2.0
//
// What replicas cost: the bytes that keys take on a node with replicas, less those that the same
// keys take on one without. bench/compare shows the same of processes, with what is resident.
#include <doctest/doctest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/memory.h"
#include "protocol/check.h"
#include "tests/replica_node.h"

namespace dyno {
namespace {

constexpr int kKeys = 100'000;
constexpr int kKeysPerMs = 50;

// Runs the commands for each key, all keys' first ones first; of `commands` the word KEY is the
// key. Returns the bytes that a key takes.
double bytes_per_key(ReplicaNode& node, int keys, const std::vector<std::string>& commands) {
  const int64_t before = memory::used_bytes();
  for (const std::string& command : commands) {
    std::vector<std::string> words;
    REQUIRE(split_words(command, &words));
    for (int i = 0; i < keys; ++i) {
      if (i % kKeysPerMs == 0) ++node.client.now_ms;
      words[1] = "key:" + std::to_string(1'000'000 + i);
      DYNO_CHECK(node.run(words)[0] != '-');
      node.written.clear();
    }
  }
  return static_cast<double>(memory::used_bytes() - before) / keys;
}

double cost_per_key(int keys, const std::vector<std::string>& commands) {
  auto node = std::make_unique<ReplicaNode>(uint8_t{1});
  const double with = bytes_per_key(*node, keys, commands);
  node = std::make_unique<ReplicaNode>(uint8_t{1});
  node->client.executor().set_recorder(nullptr);
  return with - bytes_per_key(*node, keys, commands);
}

std::vector<std::string> one_by_one(const std::string& command) {
  std::vector<std::string> commands;
  for (int i = 0; i < 10; ++i) {
    std::string each = command;
    each.replace(each.find('#'), 1, std::to_string(i));
    commands.push_back(each);
  }
  return commands;
}

}  // namespace

TEST_CASE("strings take sixteen bytes more, with their deadlines or without") {
  CHECK(cost_per_key(kKeys, {"SET KEY 12345678901234567890123456789012"}) <= 16);
  CHECK(cost_per_key(kKeys, {"SET KEY 12345678901234567890123456789012 EX 1000"}) <= 16);
  CHECK(cost_per_key(kKeys, {"SET KEY value", "SET KEY value PX 100000"}) <= 16);
}

TEST_CASE("a deadline that EXPIRE gave a string later takes three dozen bytes") {
  CHECK(cost_per_key(kKeys, {"SET KEY 12345678901234567890123456789012", "EXPIRE KEY 100000"}) <=
        40);
}

TEST_CASE("counters of one writer take some dozen bytes more") {
  CHECK(cost_per_key(kKeys, {"INCR KEY"}) <= 32);
  CHECK(cost_per_key(kKeys, {"INCRBY KEY 1000000", "DECR KEY", "INCRBYFLOAT KEY 2"}) <= 48);
  CHECK(cost_per_key(kKeys, {"SET KEY 100", "INCR KEY"}) <= 44);
  CHECK(cost_per_key(kKeys, {"INCR KEY", "EXPIRE KEY 100"}) <= 48);
}

TEST_CASE("fields and scores that were incremented take some dozen bytes more") {
  CHECK(cost_per_key(kKeys / 10, one_by_one("HINCRBY KEY field# 1")) <= 10 * 60);
  CHECK(cost_per_key(kKeys / 10, one_by_one("ZINCRBY KEY 2 member#")) <= 10 * 60);
}

TEST_CASE("elements that were written together take nothing, others about ten bytes each") {
  CHECK(cost_per_key(kKeys / 2, {"HSET KEY a 1 b 2 c 3 d 4 e 5 f 6 g 7 h 8 i 9 j 10"}) <= 48);
  CHECK(cost_per_key(kKeys / 2, {"RPUSH KEY a b c d e f g h i j"}) <= 80);
  CHECK(cost_per_key(kKeys / 2, one_by_one("SADD KEY member#")) <= 175);
  CHECK(cost_per_key(kKeys / 2, one_by_one("RPUSH KEY member#")) <= 130);
}

}  // namespace dyno

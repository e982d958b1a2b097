// SPDX-License-Identifier: Apache-2.0
//
// Compaction: after most keys are gone, what is left moves together, its spans are given back, and
// every key still has its value.
#include "engine/compactor.h"

#include <doctest/doctest.h>

#include <chrono>
#include <string>
#include <thread>

#include "engine/memory.h"
#include "engine/span.h"
#include "tests/engine_client.h"
#include "tests/engine_families.h"
#include "tests/replica_node.h"

namespace dyno {
namespace {

constexpr int kKeys = 100000;
constexpr int kKeptEvery = 20;

std::string value_of(int key) {
  return std::string(static_cast<size_t>(200 + key % 3), static_cast<char>('a' + key % 26));
}

TEST_CASE("keys left over by deletions move together and keep their values") {
  EngineClient client(std::vector<std::span<const CommandSpec>>(std::begin(kEngineFamilies),
                                                                std::end(kEngineFamilies)));
  for (int key = 0; key < kKeys; ++key) {
    client.run({"SET", "key:" + std::to_string(key), value_of(key)});
  }
  int64_t full = memory::span_bytes();
  for (int key = 0; key < kKeys; ++key) {
    if (key % kKeptEvery != 0) client.run({"DEL", "key:" + std::to_string(key)});
  }
  memory::purge();
  int64_t before = memory::span_bytes();

  Compactor low(client.keyspace(), 0, kSlotCount / 2);
  Compactor high(client.keyspace(), kSlotCount / 2, kSlotCount);
  auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (memory::span_bytes() > full / 4 && std::chrono::steady_clock::now() < end) {
    Compactor::choose();
    // A round over all slots takes several calls.
    for (int i = 0; i < 100; ++i) {
      low.run(nullptr);
      high.run(nullptr);
    }
    memory::purge();
  }
  if (full != 0) {  // A sanitizer's build has no spans.
    CHECK(before > full / 2);
    CHECK(memory::span_bytes() <= full / 4);
  }
  for (int key = 0; key < kKeys; key += kKeptEvery) {
    std::string value = value_of(key);
    REQUIRE(client.run({"GET", "key:" + std::to_string(key)}) ==
            "$" + std::to_string(value.size()) + "\r\n" + value + "\r\n");
  }
  CHECK(client("DBSIZE") == ":" + std::to_string(kKeys / kKeptEvery) + "\r\n");
}

TEST_CASE("what replicas keep moves together, too, and tells the same") {
  ReplicaNode node(1);
  const std::string value(300, 'v');
  for (int i = 0; i < 12; ++i) {
    for (int key = 0; key < kKeys / 4; ++key) {
      const std::string name = std::to_string(key);
      node.run({"SADD", "set:" + name, "member:" + std::to_string(i)});
      node.run({"RPUSH", "list:" + name, "element"});
      if (i == 0) node.run({"INCRBY", "counter:" + name, name});
      node.written.clear();
      if (key % 50 == 0) ++node.client.now_ms;
    }
  }
  const Digest digest = node.digest();
  memory::purge();
  const int64_t before = memory::span_bytes();
  Compactor compactor(node.client.keyspace(), 0, kSlotCount);
  for (int round = 0; round < 3; ++round) {
    Compactor::choose();
    for (int i = 0; i < 400; ++i) compactor.run(&node.replica);
    memory::purge();
  }
  const auto used = static_cast<double>(memory::small_used_bytes());
  if (before != 0) CHECK(static_cast<double>(memory::span_bytes()) < used * 1.2);
  CHECK(node.digest() == digest);
  CHECK(node.damaged_slot() == -1);
}

TEST_CASE("when all lies together, nothing is moved any more") {
  EngineClient client(std::vector<std::span<const CommandSpec>>(std::begin(kEngineFamilies),
                                                                std::end(kEngineFamilies)));
  // Tables that grow leave others behind.
  for (int key = 0; key < 10 * kKeys; ++key) client.run({"SET", std::to_string(key), "v"});
  memory::purge();
  Compactor compactor(client.keyspace(), 0, kSlotCount);
  uint64_t moved = 0;
  for (int round = 0; round < 80; ++round) {
    if (round == 60) moved = memory::moved_objects();
    Compactor::choose();
    for (int i = 0; i < 1000; ++i) compactor.run(nullptr);
    memory::return_idle();
  }
  CHECK(memory::moved_objects() == moved);
  int strays = 0;
  for (const memory::Span& span : memory::stray_spans()) {
    strays += memory::span_range.class_of_span[&span - memory::span_range.spans] != 0 ? 1 : 0;
  }
  CHECK(strays < 8);
}

}  // namespace
}  // namespace dyno

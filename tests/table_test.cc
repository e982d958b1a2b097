// SPDX-License-Identifier: Apache-2.0
//
// The table against std::unordered_map through growth, splits, erasures and shrinking, with
// positions that spread and positions that do not; and the promise of its scans while it changes.
#include "engine/table.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace dyno {
namespace {

struct Node {
  uint64_t key;
  uint32_t position;
};

struct NodeTraits {
  using Node = dyno::Node;
  using Key = uint64_t;
  static bool equal(const Node* node, const Key& key) { return node->key == key; }
  static uint32_t position(const Node* node) { return node->position; }
};

uint32_t mixed(uint64_t key) {
  key = (key ^ (key >> 31)) * 0x9e3779b97f4a7c15;
  return static_cast<uint32_t>(key >> 29);
}

// A table and a map that must agree. `Place` gives a key's position.
class Pair {
 public:
  explicit Pair(uint32_t (*place)(uint64_t)) : place_(place) {}
  ~Pair() {
    for (auto& [key, node] : nodes) memory::release(node);
    table.release();
  }

  void insert(uint64_t key, uint64_t flags = 0) {
    if (nodes.contains(key)) return;
    auto* node = new (memory::allocate(sizeof(Node))) Node{key, place_(key)};
    table.insert(node->position, node, flags);
    nodes[key] = node;
    flags_of[key] = flags;
  }
  void erase(uint64_t key) {
    auto found = nodes.find(key);
    uint64_t* word = table.find(place_(key), key);
    REQUIRE((word != nullptr) == (found != nodes.end()));
    if (word == nullptr) return;
    REQUIRE(table.node(*word) == found->second);
    table.erase(place_(key), word);
    memory::release(found->second);
    nodes.erase(found);
    flags_of.erase(key);
  }
  // Everything in the map is found, with its flags, and nothing else is in the table.
  void check() const {
    REQUIRE(table.size() == nodes.size());
    REQUIRE(table.empty() == nodes.empty());
    for (auto& [key, node] : nodes) {
      uint64_t* word = table.find(node->position, key);
      REQUIRE(word != nullptr);
      REQUIRE(table.node(*word) == node);
      REQUIRE(table.flags(*word) == flags_of.at(key));
    }
    size_t count = 0;
    table.for_each([&](uint64_t* word) {
      REQUIRE(nodes.at(table.node(*word)->key) == table.node(*word));
      ++count;
      return true;
    });
    REQUIRE(count == nodes.size());
  }

  Table<NodeTraits> table;
  std::unordered_map<uint64_t, Node*> nodes;
  std::unordered_map<uint64_t, uint64_t> flags_of;

 private:
  uint32_t (*place_)(uint64_t);
};

TEST_CASE("an empty table") {
  Table<NodeTraits> table;
  CHECK(table.empty());
  CHECK(table.find(0, 1) == nullptr);
  CHECK(table.random([] { return uint64_t{0}; }) == nullptr);
  CHECK(table.scan(0, 10, [](uint64_t*) { FAIL("nothing is there"); }) == uint64_t{1} << 32);
  CHECK(table.for_each([](uint64_t*) { return false; }));
  CHECK(table.memory_bytes() == 0);
  table.prefetch_group(5);
  table.prefetch_node(5);
  table.release();
}

TEST_CASE("insertions and erasures agree with a map") {
  struct Shape {
    const char* name;
    uint32_t (*place)(uint64_t);
    uint64_t keys;
    int rounds;
  };
  for (const Shape& shape : {
           Shape{"spread", mixed, 64, 20000},
           Shape{"spread, larger", mixed, 3000, 60000},
           Shape{"in the last group", [](uint64_t key) { return ~static_cast<uint32_t>(key % 50); },
                 300, 20000},
           Shape{"all alike", [](uint64_t) { return 0u; }, 400, 20000},
           Shape{"few positions", [](uint64_t key) { return mixed(key % 17); }, 1500, 30000},
       }) {
    CAPTURE(shape.name);
    std::mt19937_64 random(11);
    Pair pair(shape.place);
    for (int round = 0; round < shape.rounds; ++round) {
      // Grows for a while, then shrinks for a while.
      bool growing = round / (shape.rounds / 6) % 2 == 0;
      uint64_t key = random() % shape.keys;
      if (random() % 10 < (growing ? 8u : 2u)) {
        pair.insert(key, random() % 4);
      } else {
        pair.erase(key);
      }
      if (round % 997 == 0) pair.check();
    }
    pair.check();
    for (uint64_t key = 0; key < shape.keys; ++key) pair.erase(key);
    pair.check();
    CHECK(pair.table.memory_bytes() < 64 * 1024);
  }
}

TEST_CASE("a table of many splits") {
  constexpr uint64_t kKeys = 150'000;
  Pair pair(mixed);
  for (uint64_t key = 0; key < kKeys; ++key) pair.insert(key, key % 4);
  pair.check();
  // The words, the directory and what is free: near ten bytes a node.
  CHECK(pair.table.memory_bytes() < kKeys * 12);
  for (uint64_t key = 0; key < kKeys; key += 2) pair.erase(key);
  pair.check();
  for (uint64_t key = 0; key < kKeys; key += 3) pair.insert(key);
  pair.check();
  for (uint64_t key = 0; key < kKeys; ++key) pair.erase(key);
  pair.check();
  for (uint64_t key = 0; key < 1000; ++key) pair.insert(key);
  pair.check();
}

TEST_CASE("positions that begin alike cost space and time, but nothing breaks") {
  // A segment that cannot split any more: 16 leading bits in common.
  Pair pair([](uint64_t key) { return 0xabcd0000u | (mixed(key) & 0xffff); });
  for (uint64_t key = 0; key < 30000; ++key) pair.insert(key);
  pair.check();
  for (uint64_t key = 0; key < 30000; ++key) {
    if (key % 100 != 0) pair.erase(key);
  }
  pair.check();
}

TEST_CASE("flags and nodes can be changed in place") {
  Pair pair(mixed);
  for (uint64_t key = 0; key < 100; ++key) pair.insert(key, 2);
  for (uint64_t key = 0; key < 100; ++key) {
    uint64_t* word = pair.table.find(mixed(key), key);
    Node* moved = new (memory::allocate(sizeof(Node))) Node{key, mixed(key)};
    Table<NodeTraits>::set_node(word, moved);
    Table<NodeTraits>::set_flags(word, key % 4);
    memory::release(pair.nodes[key]);
    pair.nodes[key] = moved;
    pair.flags_of[key] = key % 4;
  }
  pair.check();
}

TEST_CASE("a stolen table is whole") {
  Pair from(mixed);
  Pair to(mixed);
  for (uint64_t key = 0; key < 2000; ++key) from.insert(key);
  to.table.steal(from.table);
  to.nodes.swap(from.nodes);
  to.flags_of.swap(from.flags_of);
  to.check();
  from.check();
  from.insert(1);
  from.check();
}

TEST_CASE("for_each ends early when told to") {
  Pair pair(mixed);
  for (uint64_t key = 0; key < 5000; ++key) pair.insert(key);
  int visited = 0;
  CHECK_FALSE(pair.table.for_each([&](uint64_t*) { return ++visited < 10; }));
  CHECK(visited == 10);
}

TEST_CASE("random draws reach everything, about evenly") {
  std::mt19937_64 random(12);
  for (uint64_t keys : {1, 5, 100, 3000}) {
    Pair pair(mixed);
    for (uint64_t key = 0; key < keys; ++key) pair.insert(key);
    std::vector<int> drawn(keys);
    for (uint64_t i = 0; i < keys * 100; ++i) {
      uint64_t* word = pair.table.random([&] { return random(); });
      ++drawn[pair.table.node(*word)->key];
    }
    CHECK(*std::min_element(drawn.begin(), drawn.end()) > 30);
    CHECK(*std::max_element(drawn.begin(), drawn.end()) < 250);
  }
}

// Scans all of the table, calling `meanwhile` between stretches, and counts how often each key
// came.
template <class Meanwhile>
std::unordered_map<uint64_t, int> scan_all(Table<NodeTraits>& table, uint32_t wanted,
                                           Meanwhile&& meanwhile) {
  std::unordered_map<uint64_t, int> seen;
  uint64_t cursor = 0;
  while (cursor < uint64_t{1} << 32) {
    uint64_t next = table.scan(static_cast<uint32_t>(cursor), wanted, [&](uint64_t* word) {
      Node* node = table.node(*word);
      CHECK(node->position >= cursor);
      ++seen[node->key];
    });
    REQUIRE(next > cursor);
    cursor = next;
    meanwhile();
  }
  return seen;
}

TEST_CASE("a scan of a table at rest returns everything once") {
  for (auto place :
       {+[](uint64_t key) { return mixed(key); }, +[](uint64_t key) { return mixed(key % 10); },
        +[](uint64_t key) { return ~static_cast<uint32_t>(key % 100); },
        +[](uint64_t key) { return 0xabcd0000u | (mixed(key) & 0xffff); }}) {
    for (uint64_t keys : {1, 7, 8, 100, 2000, 20000}) {
      for (uint32_t wanted : {0u, 1u, 10u, 1000u, UINT32_MAX}) {
        if (wanted < 10 && keys > 2000) continue;
        Pair pair(place);
        for (uint64_t key = 0; key < std::min<uint64_t>(keys, 5000); ++key) pair.insert(key);
        auto seen = scan_all(pair.table, wanted, [] {});
        CHECK(seen.size() == pair.nodes.size());
        for (auto& [key, times] : seen) CHECK(times == 1);
      }
    }
  }
}

TEST_CASE("a scan while the table changes misses nothing that stays and repeats nothing") {
  std::mt19937_64 random(13);
  for (int round = 0; round < 40; ++round) {
    Pair pair(round % 4 == 3 ? +[](uint64_t key) { return mixed(key % 300); } : mixed);
    constexpr uint64_t kStaying = 1500;
    for (uint64_t key = 0; key < kStaying; ++key) pair.insert(key);
    for (uint64_t key = kStaying; key < 4000 && round % 3 == 1; ++key) pair.insert(key);
    uint64_t fresh = 1'000'000;
    auto seen = scan_all(pair.table, 1 + static_cast<uint32_t>(random() % 50), [&] {
      for (uint64_t i = random() % 60; i > 0; --i) {
        if (round % 3 != 1) pair.insert(fresh++);
        if (round % 3 != 0) pair.erase(kStaying + random() % 2500);
      }
    });
    pair.check();
    for (uint64_t key = 0; key < kStaying; ++key) CHECK(seen[key] == 1);
    for (auto& [key, times] : seen) CHECK(times <= 1);
  }
}

}  // namespace
}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
// The named tests of `-t`: those of redis-benchmark with its exact commands, and one for each
// further hot command of the five types. A row is a command, what it answers, and how its data is
// loaded.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace dyno::bench {

struct TestRow {
  std::string_view name;
  std::string_view command;
  uint16_t expect;          // bits of Expect
  std::string_view load;    // empty: nothing to load
  uint64_t load_items;      // 0: the whole keyspace
  uint64_t group;           // elements per collection, for __group__ and __member__
  std::string_view before;  // run once before the load, "" for none
  std::string_view family;  // string, hash, list, set, zset, key, server
};

std::span<const TestRow> test_catalog();
/// nullptr when there is none of that name (case does not matter).
const TestRow* find_test(std::string_view name);

}  // namespace dyno::bench

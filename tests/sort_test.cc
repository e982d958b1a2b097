// SPDX-License-Identifier: Apache-2.0
//
// SORT over lists, sets and sorted sets: orders, limits, patterns, destinations and errors.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tests/engine_client.h"

namespace dyno {
namespace {

std::string elements(const std::vector<std::string>& texts) {
  std::string reply = "*" + std::to_string(texts.size()) + "\r\n";
  for (const std::string& text : texts) reply += text == "nil" ? "$-1\r\n" : bulk_reply(text);
  return reply;
}

struct Sorting {
  EngineClient client{kSortCommands, kListCommands,   kSetCommands,    kZSetCommands,
                      kHashCommands, kStringCommands, kGenericCommands};

  std::string operator()(std::string_view line) { return client(line); }
};

TEST_CASE_FIXTURE(Sorting, "orders and limits") {
  Sorting& run = *this;
  run("RPUSH l 3 1.5 -2 0x10 10 1e1");
  CHECK(run("SORT l") == elements({"-2", "1.5", "3", "10", "1e1", "0x10"}));
  CHECK(run("SORT l DESC") == elements({"0x10", "1e1", "10", "3", "1.5", "-2"}));
  CHECK(run("SORT l ALPHA") == elements({"-2", "0x10", "1.5", "10", "1e1", "3"}));
  CHECK(run("SORT l LIMIT 1 2") == elements({"1.5", "3"}));
  CHECK(run("SORT l LIMIT -5 1") == elements({"-2"}));
  CHECK(run("SORT l LIMIT 5 -1") == elements({"0x10"}));
  CHECK(run("SORT l LIMIT 9223372036854775806 3") == "*0\r\n");
  CHECK(run("SORT l LIMIT -1 9223372036854775807 DESC LIMIT 0 1") == elements({"0x10"}));
  CHECK(run("SORT l LIMIT 0 0") == "*0\r\n");
  CHECK(run("SORT l BY nosort") == elements({"3", "1.5", "-2", "0x10", "10", "1e1"}));
  CHECK(run("SORT l BY nosort DESC LIMIT 1 2") == elements({"10", "0x10"}));
  run("RPUSH words b a c");
  CHECK(run("SORT words") == "-ERR One or more scores can't be converted into double\r\n");
  CHECK(run("SORT_RO words ALPHA DESC") == elements({"c", "b", "a"}));
  run("SADD s 3 1 2");
  CHECK(run("SORT s DESC") == elements({"3", "2", "1"}));
  run("ZADD z 1 c 2 b 3 a");
  CHECK(run("SORT z ALPHA") == elements({"a", "b", "c"}));
  CHECK(run("SORT z BY nosort DESC LIMIT 0 2") == elements({"a", "b"}));
  CHECK(run("SORT none") == "*0\r\n");
}

TEST_CASE_FIXTURE(Sorting, "patterns") {
  Sorting& run = *this;
  run("RPUSH l 1 2 3");
  run("SET w_1 30");
  run("SET w_2 20");
  run("HSET h1 f x n 9");
  run("HSET h2 f y n 8");
  CHECK(run("SORT l BY w_*") == elements({"3", "2", "1"}));
  CHECK(run("SORT l BY w_* GET # GET w_* GET h*->f GET fixed GET h*") ==
        elements({"3", "nil", "nil", "nil", "nil", "2", "20", "y", "nil", "nil", "1", "30", "x",
                  "nil", "nil"}));
  CHECK(run("SORT l BY h*->n DESC") == elements({"1", "2", "3"}));
  CHECK(run("SORT l BY h*->f ALPHA") == elements({"3", "1", "2"}));
  CHECK(run("SORT l BY h*->f ALPHA DESC") == elements({"2", "1", "3"}));
  run("SET odd1-> 5");
  CHECK(run("SORT l LIMIT 0 1 GET odd*->") == elements({"5"}));
  CHECK(run("SORT l BY h*->f") == "-ERR One or more scores can't be converted into double\r\n");
}

TEST_CASE_FIXTURE(Sorting, "destinations and errors") {
  Sorting& run = *this;
  run("RPUSH l 3 1 2");
  CHECK(run("SORT l STORE l") == ":3\r\n");
  CHECK(run("LRANGE l 0 -1") == elements({"1", "2", "3"}));
  run("SET s x");
  CHECK(run("SORT l DESC GET # GET none_* STORE s") == ":6\r\n");
  CHECK(run("LRANGE s 0 -1") == elements({"3", "", "2", "", "1", ""}));
  CHECK(run("SORT l LIMIT 7 1 STORE s") == ":0\r\n");
  CHECK(run("EXISTS s") == ":0\r\n");
  run("SADD set c a b");
  CHECK(run("SORT set BY nosort STORE s") == ":3\r\n");
  CHECK(run("LRANGE s 0 -1") == elements({"a", "b", "c"}));
  run("SET text x");
  run("HSET hash f v");
  for (std::string_view line : {"SORT text", "SORT hash", "SORT_RO text STORE"}) {
    CAPTURE(line);
    CHECK(run(line).starts_with(line.ends_with("STORE") ? "-ERR syntax error" : "-WRONGTYPE"));
  }
  CHECK(run("SORT text LIMIT 1") == "-ERR syntax error\r\n");
  CHECK(run("SORT text LIMIT a 1") == "-ERR value is not an integer or out of range\r\n");
  CHECK(run("SORT text BY") == "-ERR syntax error\r\n");
  CHECK(run("SORT_RO l STORE x") == "-ERR syntax error\r\n");
  std::vector<int> keys;
  std::vector<std::string_view> args{"SORT", "l", "BY", "store", "GET", "STORE", "STORE", "x"};
  CHECK(kSortCommands[0].find_keys(args, &keys));
  CHECK(keys == std::vector<int>{1, 7});
}

}  // namespace
}  // namespace dyno

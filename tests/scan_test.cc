// SPDX-License-Identifier: Apache-2.0
//
// SCAN's promise while the keyspace changes, its filters and any cursor; KEYS, RANDOMKEY and the
// commands on whole databases.
#include <doctest/doctest.h>

#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "engine/reclaimer.h"
#include "tests/engine_client.h"
#include "tests/recorded_effects.h"

namespace dyno {
namespace {

// The bulk strings of a reply, in order.
std::vector<std::string> texts_of(const std::string& reply) {
  std::vector<std::string> texts;
  for (size_t at = 0; at < reply.size();) {
    size_t end = reply.find("\r\n", at);
    if (reply[at] == '$') {
      size_t size = std::stoul(reply.substr(at + 1, end - at - 1));
      texts.push_back(reply.substr(end + 2, size));
      end += 2 + size;
    }
    at = end + 2;
  }
  return texts;
}

struct Scans {
  EngineClient client{kScanCommands, kStringCommands, kSetCommands, kGenericCommands,
                      kExpiryCommands};
  std::string operator()(std::string_view line) { return client(line); }

  // One call of SCAN: its keys, and the cursor moved on.
  std::vector<std::string> scan(std::string* cursor, const std::string& options) {
    std::vector<std::string> texts = texts_of(client("SCAN " + *cursor + " " + options));
    *cursor = texts.at(0);
    texts.erase(texts.begin());
    return texts;
  }
  // A whole iteration: how often each key came.
  std::map<std::string, int> scan_all(const std::string& options, int* calls = nullptr) {
    std::map<std::string, int> seen;
    std::string cursor = "0";
    do {
      for (const std::string& key : scan(&cursor, options)) ++seen[key];
      if (calls != nullptr) ++*calls;
    } while (cursor != "0");
    return seen;
  }
};

TEST_CASE_FIXTURE(Scans, "a small database comes in one call") {
  Scans& run = *this;
  CHECK(run("SCAN 0") == "*2\r\n$1\r\n0\r\n*0\r\n");
  run("SET a 1");
  CHECK(run("SCAN 0") == "*2\r\n$1\r\n0\r\n*1\r\n$1\r\na\r\n");
  for (int i = 0; i < 9; ++i) run("SET k" + std::to_string(i) + " v");
  int calls = 0;
  CHECK(scan_all("", &calls).size() == 10);
  CHECK(calls == 1);
}

TEST_CASE_FIXTURE(Scans, "every key comes exactly once, whatever COUNT") {
  for (int i = 0; i < 20'000; ++i) client.run({"SET", "key:" + std::to_string(i), "v"});
  // Many keys in one slot, so that its table splits.
  for (int i = 0; i < 20'000; ++i) client.run({"SET", "{tag}" + std::to_string(i), "v"});
  for (const char* options :
       {"COUNT 1", "COUNT 7", "", "COUNT 1000", "COUNT 9223372036854775807"}) {
    int calls = 0;
    auto seen = scan_all(options, &calls);
    CHECK(seen.size() == 40'000);
    int most = 0;
    for (const auto& [_, times] : seen) most = std::max(most, times);
    CHECK(most == 1);
    if (options == std::string("COUNT 1000")) CHECK(calls < 100);
  }
}

TEST_CASE_FIXTURE(Scans, "what stays is seen once while everything else comes and goes") {
  std::mt19937 random(3);
  for (int i = 0; i < 3000; ++i)
    client.run({"SET", "stays{t" + std::to_string(i % 7) + "}" + std::to_string(i), "v"});
  std::map<std::string, int> seen;
  std::string cursor = "0";
  do {
    for (const std::string& key : scan(&cursor, "COUNT 20")) ++seen[key];
    for (int i = 0; i < 50; ++i) {
      std::string key =
          "goes{t" + std::to_string(random() % 7) + "}" + std::to_string(random() % 20'000);
      client.run({"SET", key, "v"});
      client.run({"DEL", "goes{t" + std::to_string(random() % 7) + "}" +
                             std::to_string(random() % 20'000)});
    }
  } while (cursor != "0");
  int missed_or_twice = 0;
  for (int i = 0; i < 3000; ++i) {
    missed_or_twice += seen["stays{t" + std::to_string(i % 7) + "}" + std::to_string(i)] != 1;
  }
  CHECK(missed_or_twice == 0);
}

TEST_CASE_FIXTURE(Scans, "filters") {
  Scans& run = *this;
  for (int i = 0; i < 100; ++i) client.run({"SET", "s" + std::to_string(i), "v"});
  for (int i = 0; i < 30; ++i) client.run({"SADD", "m" + std::to_string(i), "v"});
  run("SET gone v PX 10");
  client.now_ms += 20;
  CHECK(scan_all("").size() == 130);
  CHECK(scan_all("MATCH s*").size() == 100);
  CHECK(scan_all("MATCH s1?").size() == 10);
  CHECK(scan_all("MATCH s5").size() == 1);
  CHECK(scan_all("TYPE set").size() == 30);
  CHECK(scan_all("TYPE SET MATCH m1*").size() == 11);
  CHECK(scan_all("TYPE hash").empty());
  CHECK(scan_all("TYPE nosuchtype").empty());
  CHECK(scan_all("MATCH gone").empty());
  client.session().db = 1;
  CHECK(scan_all("").empty());
}

TEST_CASE_FIXTURE(Scans, "a pattern that begins with a hash tag visits its slot alone") {
  for (int i = 0; i < 5000; ++i) client.run({"SET", "other" + std::to_string(i), "v"});
  for (int i = 0; i < 5; ++i) client.run({"SET", "{t}" + std::to_string(i), "v"});
  int calls = 0;
  CHECK(scan_all("MATCH {t}*", &calls).size() == 5);
  CHECK(calls <= 2);
  CHECK(texts_of(client("KEYS {t}*")).size() == 5);
  CHECK(texts_of(client("KEYS {t}[0-2]")).size() == 3);
  // No tag is known before a wildcard.
  CHECK(scan_all("MATCH {*}*").size() == 5);
  CHECK(scan_all("MATCH {?}0").size() == 1);
  CHECK(scan_all("MATCH \\{t}1").size() == 1);
}

TEST_CASE_FIXTURE(Scans, "any number is a safe cursor") {
  Scans& run = *this;
  for (int i = 0; i < 100; ++i) client.run({"SET", "{t}" + std::to_string(i), "v"});
  std::mt19937_64 random(5);
  for (int i = 0; i < 500; ++i) {
    uint64_t cursor = random() >> (random() % 64);
    CHECK(client("SCAN " + std::to_string(cursor) + " COUNT 50").starts_with("*2\r\n$"));
  }
  CHECK(run("SCAN 18446744073709551615") == "*2\r\n$1\r\n0\r\n*0\r\n");
  CHECK(run("SCAN 70368744177664") == "*2\r\n$1\r\n0\r\n*0\r\n");
  CHECK(run("SCAN 18446744073709551616") == "-ERR invalid cursor\r\n");
  CHECK(run("SCAN x") == "-ERR invalid cursor\r\n");
  CHECK(run("SCAN 0 COUNT 0") == "-ERR syntax error\r\n");
  CHECK(run("SCAN 0 COUNT x") == "-ERR value is not an integer or out of range\r\n");
  CHECK(run("SCAN 0 COUNT") == "-ERR syntax error\r\n");
  CHECK(run("SCAN 0 FOO x") == "-ERR syntax error\r\n");
}

TEST_CASE_FIXTURE(Scans, "KEYS") {
  Scans& run = *this;
  for (int i = 0; i < 2000; ++i) client.run({"SET", "k" + std::to_string(i), "v"});
  run("SET [x] v");
  run("SET gone v PX 10");
  client.now_ms += 20;
  auto all = texts_of(run("KEYS *"));
  CHECK(std::set<std::string>(all.begin(), all.end()).size() == 2001);
  CHECK(all.size() == 2001);
  CHECK(texts_of(run("KEYS k1??")).size() == 100);
  CHECK(run("KEYS k77") == "*1\r\n$3\r\nk77\r\n");
  CHECK(run("KEYS nope") == "*0\r\n");
  CHECK(run("KEYS gone") == "*0\r\n");
  CHECK(client.run({"KEYS", "\\[x\\]"}) == "*1\r\n$3\r\n[x]\r\n");
}

TEST_CASE_FIXTURE(Scans, "RANDOMKEY draws live keys of its database, and reaches all of them") {
  Scans& run = *this;
  CHECK(run("RANDOMKEY") == "$-1\r\n");
  run("SET gone v PX 10");
  client.now_ms += 20;
  CHECK(run("RANDOMKEY") == "$-1\r\n");
  client.session().db = 1;
  for (int i = 0; i < 1000; ++i) client.run({"SET", "o" + std::to_string(i), "v"});
  client.session().db = 0;
  std::set<std::string> seen;
  for (const char* key : {"a", "b", "c"}) client.run({"SET", key, "v"});
  for (int i = 0; i < 300; ++i) seen.insert(run("RANDOMKEY"));
  CHECK(seen == std::set<std::string>{bulk_reply("a"), bulk_reply("b"), bulk_reply("c")});
}

TEST_CASE_FIXTURE(Scans, "FLUSHDB empties one database and FLUSHALL all") {
  Scans& run = *this;
  RecordedEffects effects;
  for (const char* mode : {"", " ASYNC", " SYNC", " sync"}) {
    for (int db = 0; db < 3; ++db) {
      client.session().db = db;
      for (int i = 0; i < 50; ++i) client.run({"SET", "k" + std::to_string(i), "v", "EX", "100"});
    }
    client.session().db = 2;
    CHECK(run(std::string("FLUSHDB") + mode) == "+OK\r\n");
    CHECK(run("DBSIZE") == ":0\r\n");
    client.session().db = 1;
    CHECK(run("DBSIZE") == ":50\r\n");
    client.executor().set_recorder(&effects);
    CHECK(run(std::string("FLUSHDB") + mode) == "+OK\r\n");
    CHECK(effects.take() == std::vector<std::string>{"1 flush"});
    CHECK(run("DBSIZE") == ":0\r\n");
    CHECK(run("KEYS *") == "*0\r\n");
    client.session().db = 0;
    CHECK(run("DBSIZE") == ":50\r\n");
    CHECK(client.keyspace().deadline_count(0) == 50);
    CHECK(run(std::string("FLUSHALL") + mode) == "+OK\r\n");
    CHECK(effects.take() == std::vector<std::string>{"-1 flush"});
    client.executor().set_recorder(nullptr);
    CHECK(run("DBSIZE") == ":0\r\n");
    CHECK(client.keyspace().deadline_count(0) == 0);
    if (mode == std::string(" SYNC")) CHECK(client.keyspace().reclaimer().pending() == 0);
  }
  CHECK(run("FLUSHALL foo") == "-ERR syntax error\r\n");
  CHECK(run("FLUSHDB ASYNC SYNC") == "-ERR syntax error\r\n");
}

TEST_CASE_FIXTURE(Scans, "SWAPDB exchanges databases for everybody") {
  Scans& run = *this;
  run("SET a zero");
  client.session().db = 1;
  run("MSET a one b one");
  CHECK(run("SWAPDB 0 1") == "+OK\r\n");
  CHECK(run("GET a") == bulk_reply("zero"));
  CHECK(run("DBSIZE") == ":1\r\n");
  client.session().db = 0;
  CHECK(run("GET a") == bulk_reply("one"));
  CHECK(texts_of(run("SCAN 0")).size() == 3);
  CHECK(run("FLUSHDB") == "+OK\r\n");
  client.session().db = 1;
  CHECK(run("GET a") == bulk_reply("zero"));
  CHECK(run("SWAPDB 1 1") == "+OK\r\n");
  CHECK(run("SWAPDB x 1") == "-ERR invalid first DB index\r\n");
  CHECK(run("SWAPDB 1 x") == "-ERR invalid second DB index\r\n");
  CHECK(run("SWAPDB 0 16") == "-ERR DB index is out of range\r\n");
  CHECK(run("SWAPDB -1 0") == "-ERR DB index is out of range\r\n");
}

}  // namespace
}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// Sets: encodings around their thresholds, every command's replies and errors, and long random
// histories against a std::set.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "engine/context.h"
#include "engine/memory.h"
#include "engine/reclaimer.h"
#include "engine/types/set.h"
#include "engine/value.h"
#include "tests/engine_client.h"
#include "tests/recorded_effects.h"

namespace dyno {
namespace {

constexpr std::string_view kIntegerError = "-ERR value is not an integer or out of range\r\n";
constexpr std::string_view kWrongTypeError =
    "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";

using Strings = std::vector<std::string>;

struct Sets : EngineFixture {
  Sets() : EngineFixture{kSetCommands, kStringCommands, kGenericCommands, kExpiryCommands} {}

  void add_range(const std::string& name, int from, int to, const std::string& prefix = "") {
    for (int i = from; i < to; ++i) client.run({"SADD", name, prefix + std::to_string(i)});
  }
  std::set<std::string> contents(std::string_view name) {
    Strings all = elements_of(client.run({"SMEMBERS", std::string(name)}));
    std::set<std::string> found(all.begin(), all.end());
    CHECK(found.size() == all.size());
    return found;
  }
};

TEST_CASE_FIXTURE(Sets, "SADD, SREM and membership") {
  Sets& run = *this;
  CHECK(run("SADD s b a b 3") == ":3\r\n");
  CHECK(run("SADD s a") == ":0\r\n");
  CHECK(run("SMEMBERS s") == "*3\r\n$1\r\nb\r\n$1\r\na\r\n$1\r\n3\r\n");
  CHECK(run("SCARD s") == ":3\r\n");
  CHECK(run("SISMEMBER s a") == ":1\r\n");
  CHECK(run("SISMEMBER s 03") == ":0\r\n");
  CHECK(run("SMISMEMBER s 3 c b") == "*3\r\n:1\r\n:0\r\n:1\r\n");
  CHECK(run("SMISMEMBER missing a") == "*1\r\n:0\r\n");
  CHECK(run("SREM s a a x") == ":1\r\n");
  CHECK(run("SREM s b 3 z") == ":2\r\n");
  CHECK(run("EXISTS s") == ":0\r\n");
  CHECK(run("SREM s a") == ":0\r\n");
  CHECK(run("SMEMBERS s") == "*0\r\n");
  CHECK(run("SCARD s") == ":0\r\n");
  CHECK(run("SADD n 30 -5 7 7") == ":3\r\n");
  CHECK(run("SMEMBERS n") == "*3\r\n$2\r\n-5\r\n$1\r\n7\r\n$2\r\n30\r\n");
  client.session().protocol = 3;
  CHECK(run("SMEMBERS n") == "~3\r\n$2\r\n-5\r\n$1\r\n7\r\n$2\r\n30\r\n");
  CHECK(run("SMEMBERS missing") == "~0\r\n");
  CHECK(run("SPOP missing") == "_\r\n");
  CHECK(run("SPOP missing 1") == "~0\r\n");
  CHECK(run("SRANDMEMBER missing 1") == "*0\r\n");
  CHECK(run("SINTER n missing") == "~0\r\n");
}

TEST_CASE_FIXTURE(Sets, "SMOVE") {
  Sets& run = *this;
  run("SADD {t}a 1 2 x");
  CHECK(run("SMOVE {t}a {t}b x") == ":1\r\n");
  CHECK(run("SMOVE {t}a {t}b x") == ":0\r\n");
  CHECK(run("SMOVE {t}a {t}a 1") == ":1\r\n");
  CHECK(run("SMOVE {t}a {t}a 9") == ":0\r\n");
  CHECK(run("SMOVE {t}missing {t}b 1") == ":0\r\n");
  CHECK(run("SMOVE {t}a {t}b 1") == ":1\r\n");
  CHECK(run("SMOVE {t}a {t}b 2") == ":1\r\n");
  CHECK(run("EXISTS {t}a") == ":0\r\n");
  CHECK(contents("{t}b") == std::set<std::string>{"x", "1", "2"});
  run("SET {t}s x");
  CHECK(run("SMOVE {t}missing {t}s 1") == ":0\r\n");
  CHECK(run("SMOVE {t}b {t}s 1") == kWrongTypeError);
  CHECK(run("SMOVE {t}s {t}b 1") == kWrongTypeError);
}

TEST_CASE_FIXTURE(Sets, "encodings at the thresholds") {
  Sets& run = *this;
  add_range("integers", 0, 512);
  CHECK(encoding("integers") == "intset");
  run("SADD integers 511");
  CHECK(encoding("integers") == "intset");
  run("SADD integers 512");
  CHECK(encoding("integers") == "hashtable");
  CHECK(contents("integers").size() == 513);
  add_range("mixed", 0, 127);
  run("SADD mixed x");
  CHECK(encoding("mixed") == "listpack");
  run("SADD mixed 5");
  CHECK(encoding("mixed") == "listpack");
  run("SADD mixed y");
  CHECK(encoding("mixed") == "hashtable");
  CHECK(contents("mixed").size() == 129);
  add_range("late", 0, 128);
  run("SADD late x");
  CHECK(encoding("late") == "hashtable");
  client.run({"SADD", "value", std::string(64, 'v')});
  CHECK(encoding("value") == "listpack");
  client.run({"SADD", "value", std::string(65, 'v')});
  CHECK(encoding("value") == "hashtable");
  client.run({"SADD", "long", std::string(65, 'v')});
  CHECK(encoding("long") == "hashtable");
  run("SREM value x");
  CHECK(encoding("value") == "hashtable");
  Strings many = {"SADD", "many"};
  for (int i = 0; i < 129; ++i) many.push_back("same");
  client.run(many);
  CHECK(encoding("many") == "hashtable");
  client.limits().set_packed_entries = 0;
  run("SADD none x");
  CHECK(encoding("none") == "hashtable");
  client.limits().set_integers_entries = 0;
  run("SADD no-integers 1");
  CHECK(encoding("no-integers") == "hashtable");
  client.limits().set_packed_entries = 128;
  run("SADD packed-integers 1");
  CHECK(encoding("packed-integers") == "listpack");
  CHECK(run("SISMEMBER packed-integers 1") == ":1\r\n");
}

TEST_CASE_FIXTURE(Sets, "integers of every width") {
  Strings values;
  for (int shift = 0; shift < 63; ++shift) {
    int64_t power = int64_t{1} << shift;
    for (int64_t value : {power - 1, power, -power, -power - 1}) {
      values.push_back(std::to_string(value));
    }
  }
  values.push_back("9223372036854775807");
  values.push_back("-9223372036854775808");
  std::mt19937_64 random(7);
  for (int round = 0; round < 20; ++round) {
    client("DEL s");
    std::set<std::string> model;
    std::shuffle(values.begin(), values.end(), random);
    for (const std::string& value : values) {
      REQUIRE(client.run({"SADD", "s", value}) ==
              (model.insert(value).second ? ":1\r\n" : ":0\r\n"));
    }
    CHECK(encoding("s") == "intset");
    CHECK(contents("s") == model);
    Strings all = elements_of(client("SMEMBERS s"));
    CHECK(std::is_sorted(all.begin(), all.end(), [](const std::string& a, const std::string& b) {
      return std::stoll(a) < std::stoll(b);
    }));
    CHECK(client("SISMEMBER s 9223372036854775808") == ":0\r\n");
    for (size_t i = 0; i < values.size() / 2; ++i) {
      client.run({"SREM", "s", values[i]});
      model.erase(values[i]);
    }
    CHECK(contents("s") == model);
  }
}

TEST_CASE_FIXTURE(Sets, "SPOP takes what it answers") {
  Sets& run = *this;
  for (const char* prefix : {"", "m"}) {
    for (int size : {1, 20, 100, 400, 5000}) {
      for (int count : {1, 2, size / 2, size * 4 / 5, size - 1, size, size + 1}) {
        if (count < 1) continue;
        run("DEL s");
        add_range("s", 0, size, prefix);
        run("PEXPIRE s 100000");
        std::set<std::string> before = contents("s");
        Strings popped = elements_of(client.run({"SPOP", "s", std::to_string(count)}));
        REQUIRE(popped.size() == static_cast<size_t>(std::min(count, size)));
        for (const std::string& member : popped) REQUIRE(before.erase(member) == 1);
        REQUIRE(contents("s") == before);
        REQUIRE(run("PTTL s") == (count < size ? ":100000\r\n" : ":-2\r\n"));
      }
    }
  }
  run("DEL s");
  add_range("s", 0, 1000, "m");
  CHECK(encoding("s") == "hashtable");
  run("SPOP s 900");
  CHECK(encoding("s") == "listpack");
  std::set<std::string> left = contents("s");
  for (int i = 0; i < 100; ++i) CHECK(left.erase(elements_of("\r\n" + run("SPOP s"))[0]) == 1);
  CHECK(run("EXISTS s") == ":0\r\n");
  CHECK(run("SPOP s") == "$-1\r\n");
  CHECK(run("SPOP s 3") == "*0\r\n");
  run("SADD s a");
  CHECK(run("SPOP s 0") == "*0\r\n");
  CHECK(run("SPOP s 9223372036854775807") == "*1\r\n$1\r\na\r\n");
}

TEST_CASE_FIXTURE(Sets, "SRANDMEMBER draws as told and from everywhere") {
  Sets& run = *this;
  for (int size : {5, 100, 1000}) {
    for (const char* prefix : {"", "m"}) {
      run("DEL s");
      add_range("s", 0, size, prefix);
      std::set<std::string> all = contents("s");
      for (int count : {1, 3, size / 4, size - 1, size, size + 1}) {
        Strings drawn = elements_of(client.run({"SRANDMEMBER", "s", std::to_string(count)}));
        CHECK(drawn.size() == static_cast<size_t>(std::min(count, size)));
        CHECK(std::set<std::string>(drawn.begin(), drawn.end()).size() == drawn.size());
        for (const std::string& member : drawn) CHECK(all.contains(member));
      }
      std::map<std::string, int> seen;
      for (const std::string& member : elements_of(run("SRANDMEMBER s -20000"))) ++seen[member];
      CHECK(seen.size() == all.size());
      for (const auto& [member, times] : seen) CHECK(times > 20000 / size / 10);
      CHECK(all.contains(elements_of("\r\n" + run("SRANDMEMBER s"))[0]));
    }
  }
  CHECK(run("SRANDMEMBER missing") == "$-1\r\n");
  CHECK(run("SRANDMEMBER missing -5") == "*0\r\n");
  CHECK(run("SRANDMEMBER s 0") == "*0\r\n");
  client.run({"SADD", "wide", std::string(1 << 20, 'w')});
  CHECK(run("SRANDMEMBER wide -9223372036854775807") ==
        "-ERR value is out of range, the reply would be too large\r\n");
}

TEST_CASE_FIXTURE(Sets, "errors in Redis' order") {
  Sets& run = *this;
  run("SET s x");
  run("SADD set a");
  for (std::string_view line :
       {"SADD s a", "SREM s a", "SCARD s", "SISMEMBER s a", "SMISMEMBER s a", "SMEMBERS s",
        "SPOP s", "SPOP s 1", "SRANDMEMBER s", "SRANDMEMBER s 1", "SSCAN s 0", "SINTER missing s",
        "SUNION missing s", "SDIFF missing s", "SINTERSTORE set missing s", "SUNIONSTORE set s",
        "SDIFFSTORE set s", "SINTERCARD 2 missing s"}) {
    CHECK_MESSAGE(run(line) == kWrongTypeError, line);
  }
  CHECK(run("SCARD set") == ":1\r\n");
  CHECK(run("SPOP s x") == "-ERR value is out of range, must be positive\r\n");
  CHECK(run("SPOP s -1") == "-ERR value is out of range, must be positive\r\n");
  CHECK(run("SPOP s 1 2") == "-ERR syntax error\r\n");
  CHECK(run("SRANDMEMBER s x") == kIntegerError);
  CHECK(run("SRANDMEMBER s 1 2") == "-ERR syntax error\r\n");
  CHECK(run("SRANDMEMBER s -9223372036854775808") ==
        "-ERR value is out of range, value must between -9223372036854775807 and "
        "9223372036854775807\r\n");
  CHECK(run("SINTERCARD 0 a") == "-ERR numkeys should be greater than 0\r\n");
  CHECK(run("SINTERCARD x a") == "-ERR numkeys should be greater than 0\r\n");
  CHECK(run("SINTERCARD 2 a") == "-ERR Number of keys can't be greater than number of args\r\n");
  CHECK(run("SINTERCARD 1 set LIMIT -1") == "-ERR LIMIT can't be negative\r\n");
  CHECK(run("SINTERCARD 1 set LIMIT x") == "-ERR LIMIT can't be negative\r\n");
  CHECK(run("SINTERCARD 1 set LIMIT") == "-ERR syntax error\r\n");
  CHECK(run("SINTERCARD 1 set WHAT 1") == "-ERR syntax error\r\n");
  CHECK(run("SSCAN s -1") == "-ERR invalid cursor\r\n");
  CHECK(run("SSCAN set 0 NOVALUES") == "-ERR syntax error\r\n");
}

TEST_CASE_FIXTURE(Sets, "SSCAN sees every member once") {
  for (int size : {100, 20000}) {
    client("DEL s");
    add_range("s", 0, size, size == 100 ? "" : "m");
    std::set<std::string> seen;
    std::string cursor = "0";
    int calls = 0;
    do {
      Strings elements = elements_of(client.run({"SSCAN", "s", cursor, "COUNT", "100"}));
      cursor = elements[0];
      for (size_t i = 2; i < elements.size(); ++i) CHECK(seen.insert(elements[i]).second);
      ++calls;
    } while (cursor != "0");
    CHECK(seen == contents("s"));
    CHECK((size == 100 ? calls == 1 : calls > 50));
  }
  CHECK(elements_of(client("SSCAN s 0 MATCH m1999? COUNT 1000000")).size() == 2 + 10);
}

TEST_CASE_FIXTURE(Sets, "encodings of stored results") {
  Sets& run = *this;
  add_range("{t}a", 0, 1000);
  add_range("{t}b", 500, 700);
  CHECK(run("SINTERSTORE {t}r {t}a {t}b") == ":200\r\n");
  CHECK(encoding("{t}r") == "intset");
  add_range("{t}c", 0, 200, "m");
  add_range("{t}c", 0, 200);
  add_range("{t}d", 100, 300, "m");
  CHECK(run("SINTERSTORE {t}r {t}c {t}d") == ":100\r\n");
  CHECK(encoding("{t}r") == "listpack");
  CHECK(run("SINTERSTORE {t}r {t}c {t}a") == ":200\r\n");
  CHECK(encoding("{t}r") == "intset");
  CHECK(run("SUNIONSTORE {t}r {t}b {t}d") == ":400\r\n");
  CHECK(encoding("{t}r") == "hashtable");
  CHECK(run("SDIFFSTORE {t}r {t}c {t}a") == ":200\r\n");
  CHECK(run("SDIFFSTORE {t}r {t}c {t}a {t}d") == ":100\r\n");
  CHECK(encoding("{t}r") == "listpack");
  run("PEXPIRE {t}r 1000");
  CHECK(run("SUNIONSTORE {t}r {t}r {t}b") == ":300\r\n");
  CHECK(run("PTTL {t}r") == ":-1\r\n");
  run("SET {t}s x");
  CHECK(run("SUNIONSTORE {t}s {t}b") == ":200\r\n");
  CHECK(run("SINTERSTORE {t}s {t}b {t}missing") == ":0\r\n");
  CHECK(run("EXISTS {t}s") == ":0\r\n");
}

TEST_CASE_FIXTURE(Sets, "intersections, unions and differences of random sets") {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    std::mt19937_64 random(seed);
    std::vector<std::set<std::string>> model(4);
    Strings names;
    for (size_t i = 0; i < model.size(); ++i) {
      std::string name = "{t}" + std::to_string(i);
      client.run({"DEL", name});
      uint64_t size = random() % 5 == 0 ? 0 : random() % (random() % 2 ? 20 : 700);
      const char* prefix = random() % 2 ? "" : "m";
      for (uint64_t j = 0; j < size; ++j) {
        std::string member = prefix + std::to_string(random() % (size + 30));
        if (random() % 10 == 0) member = std::to_string(random() % 50);
        client.run({"SADD", name, member});
        model[i].insert(member);
      }
      names.push_back(name);
    }
    std::set<std::string> both = model[0];
    std::set<std::string> any = model[0];
    std::set<std::string> rest = model[0];
    for (size_t i = 1; i < 4; ++i) {
      std::erase_if(both, [&](const std::string& each) { return !model[i].contains(each); });
      any.insert(model[i].begin(), model[i].end());
      for (const std::string& member : model[i]) rest.erase(member);
    }
    auto check = [&](const std::string& name, const std::set<std::string>& wanted) {
      Strings line = {name};
      line.insert(line.end(), names.begin(), names.end());
      Strings found = elements_of(client.run(line));
      REQUIRE(found.size() == wanted.size());
      REQUIRE(std::set<std::string>(found.begin(), found.end()) == wanted);
      line[0] = name + "STORE";
      line.insert(line.begin() + 1, seed % 2 ? "{t}result" : "{t}0");
      REQUIRE(client.run(line) == ":" + std::to_string(wanted.size()) + "\r\n");
      REQUIRE(contents(line[1]) == wanted);
      if (seed % 2) return;
      client("DEL {t}0");
      for (const std::string& member : model[0]) client.run({"SADD", "{t}0", member});
    };
    check("SINTER", both);
    check("SUNION", any);
    check("SDIFF", rest);
    REQUIRE(client("SINTERCARD 4 {t}0 {t}1 {t}2 {t}3") ==
            ":" + std::to_string(both.size()) + "\r\n");
    REQUIRE(client("SINTERCARD 1 {t}1 LIMIT 5") ==
            ":" + std::to_string(std::min<size_t>(5, model[1].size())) + "\r\n");
  }
  CHECK(client("SDIFF {t}1 {t}1") == "*0\r\n");
}

TEST_CASE_FIXTURE(Sets, "long random histories") {
  int64_t before = memory::used_bytes();
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    std::mt19937_64 random(seed);
    client.limits().set_packed_entries = seed % 3 == 0 ? 5000 : 128;
    client.limits().set_integers_entries = seed % 4 == 0 ? 5000 : 512;
    uint64_t names = seed % 3 == 1 ? 60 : 3000;
    std::set<std::string> model;
    for (int step = 0; step < 6000; ++step) {
      std::string member = std::to_string(random() % names);
      if (seed % 2 && random() % 2) member = "name-" + member;
      uint64_t choice = random() % 100;
      if (choice < 55) {
        bool added = model.insert(member).second;
        REQUIRE(client.run({"SADD", "s", member}) == (added ? ":1\r\n" : ":0\r\n"));
      } else if (choice < 80) {
        REQUIRE(client.run({"SREM", "s", member}) == (model.erase(member) ? ":1\r\n" : ":0\r\n"));
      } else if (choice < 90) {
        REQUIRE(client.run({"SISMEMBER", "s", member}) ==
                (model.contains(member) ? ":1\r\n" : ":0\r\n"));
      } else if (choice < 95) {
        std::string reply = client("SPOP s");
        REQUIRE((reply == "$-1\r\n") == model.empty());
        if (!model.empty()) REQUIRE(model.erase(elements_of("\r\n" + reply)[0]) == 1);
      } else if (choice < 97) {
        REQUIRE(client("SCARD s") == ":" + std::to_string(model.size()) + "\r\n");
      } else if (choice == 97) {
        REQUIRE(contents("s") == model);
      } else if (random() % 40 == 0) {
        client("DEL s");
        model.clear();
      }
    }
    client("DEL s");
  }
  client.keyspace().reclaimer().finish();
  CHECK(memory::used_bytes() == before);
}

TEST_CASE_FIXTURE(Sets, "effects are absolute facts") {
  Sets& run = *this;
  RecordedEffects effects;
  client.executor().set_recorder(&effects);
  run("SADD s a b a");
  run("SPOP s");
  run("SPOP s 7");
  run("SADD s 1 x");
  run("SUNIONSTORE {s}r s");
  run("SMOVE s {s}r x");
  run("SREM s 1");
  client.executor().set_recorder(nullptr);
  Strings texts = effects.take();
  REQUIRE(texts.size() == 14);
  CHECK(texts[0] == "0 member s a new");
  CHECK(texts[1] == "0 member s b new");
  // Whichever came first.
  std::sort(texts.begin() + 2, texts.begin() + 4);
  Strings rest(texts.begin() + 2, texts.end());
  CHECK(rest == Strings{"0 member-erase s a", "0 member-erase s b", "0 emptied s",
                        "0 member s 1 new", "0 member s x new", "0 erase {s}r",
                        "0 member {s}r 1 new", "0 member {s}r x new", "0 member-erase s x",
                        "0 member {s}r x", "0 member-erase s 1", "0 emptied s"});
}

TEST_CASE_FIXTURE(Sets, "a large set is freed in slices, copied and measured") {
  Strings add = {"SADD", "s"};
  for (int i = 0; i < 20000; ++i) add.push_back("member-" + std::to_string(10000000 + i));
  int64_t before = memory::used_bytes();
  client.run(add);
  int64_t used = memory::used_bytes() - before;
  with_key("s", [&](Key& key) {
    auto measured = static_cast<int64_t>(kSetOps.memory_bytes(key.entry(), 0));
    CHECK(measured > used * 9 / 10);
    CHECK(measured < used * 11 / 10);
    Entry* copied = kSetOps.copy(key.entry(), 0, "other");
    CHECK(kSetOps.length(copied) == 20000);
    int slices = 1;
    while (!kSetOps.destroy_some(copied, 100)) ++slices;
    CHECK(slices > 100);
    CHECK(slices < 400);
    memory::release(copied);
  });
  MESSAGE("bytes per member of a large set: " << static_cast<double>(used) / 20000);
  client("DEL s");
  client.keyspace().reclaimer().finish();
  CHECK(memory::used_bytes() == before);
}

}  // namespace
}  // namespace dyno

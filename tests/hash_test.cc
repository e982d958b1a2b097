// SPDX-License-Identifier: Apache-2.0
//
// Hashes: encodings around their thresholds, every command's replies and errors, deadlines of
// fields, and long random histories against a std::map.
#include <doctest/doctest.h>

#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "engine/context.h"
#include "engine/memory.h"
#include "engine/reclaimer.h"
#include "engine/types/hash.h"
#include "engine/value.h"
#include "tests/engine_client.h"
#include "tests/recorded_effects.h"

namespace dyno {
namespace {

constexpr std::string_view kIntegerError = "-ERR value is not an integer or out of range\r\n";
constexpr std::string_view kWrongTypeError =
    "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";

struct Hashes : EngineFixture {
  Hashes()
      : EngineFixture{kHashCommands, kHashExpiryCommands, kStringCommands, kGenericCommands,
                      kExpiryCommands} {}

  int64_t sweep(std::string_view name) {
    int64_t next = 0;
    with_key(name, [&](Key& key) { next = expire_fields(key, client.now_ms); });
    return next;
  }
  bool flagged(std::string_view name) {
    bool set = false;
    with_key(name,
             [&](Key& key) { set = (EntryTable::flags(*key.word()) & kWordHasDeadline) != 0; });
    return set;
  }
  std::map<std::string, std::string> contents(std::string_view name) {
    std::vector<std::string> all = elements_of(client.run({"HGETALL", std::string(name)}));
    std::map<std::string, std::string> found;
    for (size_t i = 0; i + 1 < all.size(); i += 2) found[all[i]] = all[i + 1];
    CHECK(found.size() * 2 == all.size());
    return found;
  }
};

TEST_CASE_FIXTURE(Hashes, "HSET, HGET and HGETALL in the order of insertion") {
  Hashes& run = *this;
  CHECK(run("HSET h b 1 a two b 3") == ":2\r\n");
  CHECK(run("HGET h b") == bulk_reply("3"));
  CHECK(run("HGET h nothing") == "$-1\r\n");
  CHECK(run("HGET missing f") == "$-1\r\n");
  CHECK(run("HSET h c -7") == ":1\r\n");
  CHECK(run("HSET h a 2") == ":0\r\n");
  CHECK(run("HGETALL h") ==
        "*6\r\n$1\r\nb\r\n$1\r\n3\r\n$1\r\na\r\n$1\r\n2\r\n$1\r\nc\r\n$2\r\n-7\r\n");
  CHECK(run("HKEYS h") == "*3\r\n$1\r\nb\r\n$1\r\na\r\n$1\r\nc\r\n");
  CHECK(run("HVALS h") == "*3\r\n$1\r\n3\r\n$1\r\n2\r\n$2\r\n-7\r\n");
  CHECK(run("HMGET h a zz b") == "*3\r\n$1\r\n2\r\n$-1\r\n$1\r\n3\r\n");
  CHECK(run("HMGET missing a b") == "*2\r\n$-1\r\n$-1\r\n");
  CHECK(run("HLEN h") == ":3\r\n");
  CHECK(run("HSTRLEN h c") == ":2\r\n");
  CHECK(run("HSTRLEN h zz") == ":0\r\n");
  CHECK(run("HEXISTS h c") == ":1\r\n");
  CHECK(run("HEXISTS h d") == ":0\r\n");
  CHECK(run("HDEL h b d b") == ":1\r\n");
  CHECK(run("HMSET h d 4 e 5") == "+OK\r\n");
  CHECK(run("HSETNX h d 5") == ":0\r\n");
  CHECK(run("HSETNX h f 5") == ":1\r\n");
  CHECK(run("HDEL h a c d e f") == ":5\r\n");
  CHECK(run("EXISTS h") == ":0\r\n");
  CHECK(run("HGETALL h") == "*0\r\n");
  CHECK(run("HLEN h") == ":0\r\n");
}

TEST_CASE_FIXTURE(Hashes, "RESP3 has maps and pairs") {
  Hashes& run = *this;
  client.session().protocol = 3;
  run("HSET h a 1");
  CHECK(run("HGETALL h") == "%1\r\n$1\r\na\r\n$1\r\n1\r\n");
  CHECK(run("HGETALL missing") == "%0\r\n");
  CHECK(run("HGET h zz") == "_\r\n");
  CHECK(run("HRANDFIELD h 1 WITHVALUES") == "*1\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n");
}

TEST_CASE_FIXTURE(Hashes, "errors in Redis' order") {
  Hashes& run = *this;
  run("SET s x");
  CHECK(run("HSET h a") == "-ERR wrong number of arguments for 'hset' command\r\n");
  CHECK(run("HSET s a 1 b") == "-ERR wrong number of arguments for 'hset' command\r\n");
  CHECK(run("HMSET s a 1 b") == "-ERR wrong number of arguments for 'hmset' command\r\n");
  for (std::string_view line :
       {"HSET s a 1", "HSETNX s a 1", "HGET s a", "HMGET s a", "HDEL s a", "HLEN s", "HSTRLEN s a",
        "HEXISTS s a", "HGETALL s", "HKEYS s", "HVALS s", "HINCRBY s a 1", "HINCRBYFLOAT s a 1",
        "HRANDFIELD s", "HRANDFIELD s 1", "HSCAN s 0", "HEXPIRE s x FIELDS 1 f",
        "HTTL s FIELDS 1 f", "HPERSIST s x 1 f"}) {
    CHECK_MESSAGE(run(line) == kWrongTypeError, line);
  }
  CHECK(run("HINCRBY s a x") == kIntegerError);
  CHECK(run("HINCRBYFLOAT s a x") == "-ERR value is not a valid float\r\n");
  CHECK(run("HINCRBYFLOAT s a inf") == "-ERR value is NaN or Infinity\r\n");
  CHECK(run("HRANDFIELD s x") == kIntegerError);
  CHECK(run("HRANDFIELD h 1 WITHVALUE") == "-ERR syntax error\r\n");
  CHECK(run("HRANDFIELD h 1 WITHVALUES x") == "-ERR syntax error\r\n");
  CHECK(run("HRANDFIELD h -9223372036854775808") ==
        "-ERR value is out of range, value must between -9223372036854775807 and "
        "9223372036854775807\r\n");
  CHECK(run("HRANDFIELD h -4611686018427387904 WITHVALUES") == "-ERR value is out of range\r\n");
  CHECK(run("HSCAN s x") == "-ERR invalid cursor\r\n");
  CHECK(run("HSCAN missing 0 WHAT") == "*2\r\n$1\r\n0\r\n*0\r\n");
  run("HSET h a 1");
  CHECK(run("HSCAN h 0 COUNT 0") == "-ERR syntax error\r\n");
  CHECK(run("HSCAN h 0 COUNT x") == kIntegerError);
  CHECK(run("HSCAN h 0 MATCH") == "-ERR syntax error\r\n");
}

TEST_CASE_FIXTURE(Hashes, "HINCRBY and HINCRBYFLOAT") {
  Hashes& run = *this;
  CHECK(run("HINCRBY h n 5") == ":5\r\n");
  CHECK(run("HINCRBY h n -7") == ":-2\r\n");
  run("HSET h max 9223372036854775807 text abc spaced ' 1'");
  CHECK(run("HINCRBY h max 1") == "-ERR increment or decrement would overflow\r\n");
  CHECK(run("HINCRBY h text 1") == "-ERR hash value is not an integer\r\n");
  CHECK(run("HINCRBY h spaced 1") == "-ERR hash value is not an integer\r\n");
  CHECK(run("HINCRBYFLOAT h n 2.5") == bulk_reply("0.5"));
  CHECK(run("HINCRBYFLOAT h n 1.5") == bulk_reply("2"));
  CHECK(run("HINCRBY h n 1") == ":3\r\n");
  CHECK(run("HINCRBYFLOAT h text 1") == "-ERR hash value is not a float\r\n");
  CHECK(run("HINCRBYFLOAT h new 0x10") == bulk_reply("16"));
  run("HSET h big 1e4932");
  CHECK(run("HINCRBYFLOAT h big 1.1e4932") == "-ERR increment would produce NaN or Infinity\r\n");
}

TEST_CASE_FIXTURE(Hashes, "encodings at the thresholds") {
  Hashes& run = *this;
  client.run({"HSET", "value", "f", std::string(64, 'v')});
  CHECK(encoding("value") == "listpack");
  client.run({"HSET", "value", "f", std::string(65, 'v')});
  CHECK(encoding("value") == "hashtable");
  client.run({"HSET", "value", "f", "v"});
  CHECK(encoding("value") == "hashtable");
  client.run({"HSET", "field", std::string(65, 'f'), "v"});
  CHECK(encoding("field") == "hashtable");
  for (int i = 0; i < 128; ++i) run("HSET many f" + std::to_string(i) + " v");
  CHECK(encoding("many") == "listpack");
  run("HSET many f0 w");
  CHECK(encoding("many") == "listpack");
  run("HSET many f128 v");
  CHECK(encoding("many") == "hashtable");
  CHECK(contents("many").size() == 129);
  client.limits().hash_packed_entries = 0;
  run("HSET none f v");
  CHECK(encoding("none") == "hashtable");
  client.limits().hash_packed_entries = 1;
  run("HSET one f v");
  CHECK(encoding("one") == "listpack");
  run("HSET one f 1 f 2");
  CHECK(encoding("one") == "hashtable");
}

TEST_CASE_FIXTURE(Hashes, "a packed hash turns large before its size overflows") {
  client.limits().hash_packed_entries = 1 << 30;
  client.limits().hash_packed_value_bytes = 1 << 30;
  client.run({"HSET", "h", "f", std::string(40000, 'a'), "g", std::string(25000, 'b')});
  CHECK(encoding("h") == "listpack");
  client.run({"HSET", "h", "g", std::string(26000, 'c')});
  CHECK(encoding("h") == "hashtable");
  CHECK(client.run({"HSTRLEN", "h", "f"}) == ":40000\r\n");
  CHECK(client.run({"HSTRLEN", "h", "g"}) == ":26000\r\n");
  std::vector<std::string> full = {"HSET", "full"};
  for (int i = 0; i < 16000; ++i) {
    full.push_back(std::to_string(10000 + i));
    full.push_back("1");
  }
  client.run(full);
  CHECK(encoding("full") == "listpack");
  CHECK(client.run({"HEXPIRE", "full", "100", "FIELDS", "1", "10000"}) == "*1\r\n:1\r\n");
  CHECK(encoding("full") == "hashtable");
  CHECK(client.run({"HTTL", "full", "FIELDS", "2", "10000", "10001"}) == "*2\r\n:100\r\n:-1\r\n");
  CHECK(client.run({"HLEN", "full"}) == ":16000\r\n");
}

TEST_CASE_FIXTURE(Hashes, "HRANDFIELD draws as told and from everywhere") {
  Hashes& run = *this;
  for (int size : {5, 100, 1000}) {
    std::string name = "h" + std::to_string(size);
    for (int i = 0; i < size; ++i) {
      client.run({"HSET", name, "f" + std::to_string(i), std::to_string(i)});
    }
    std::map<std::string, std::string> all = contents(name);
    for (int count : {1, 3, size / 4, size - 1, size, size + 1}) {
      std::vector<std::string> drawn =
          elements_of(client.run({"HRANDFIELD", name, std::to_string(count)}));
      CHECK(drawn.size() == static_cast<size_t>(std::min(count, size)));
      CHECK(std::set<std::string>(drawn.begin(), drawn.end()).size() == drawn.size());
      for (const std::string& field : drawn) CHECK(all.contains(field));
    }
    std::vector<std::string> repeated =
        elements_of(client.run({"HRANDFIELD", name, "-20000", "WITHVALUES"}));
    REQUIRE(repeated.size() == 40000);
    std::map<std::string, int> seen;
    for (size_t i = 0; i < repeated.size(); i += 2) {
      CHECK(all[repeated[i]] == repeated[i + 1]);
      ++seen[repeated[i]];
    }
    CHECK(seen.size() == static_cast<size_t>(size));
    for (const auto& [field, times] : seen) CHECK(times > 20000 / size / 10);
    std::string one = client.run({"HRANDFIELD", name});
    CHECK(all.contains(elements_of("\r\n" + one).at(0)));
  }
  CHECK(run("HRANDFIELD missing") == "$-1\r\n");
  CHECK(run("HRANDFIELD missing 5") == "*0\r\n");
  CHECK(run("HRANDFIELD h5 0") == "*0\r\n");
  CHECK(elements_of(run("HRANDFIELD h5 9223372036854775807")).size() == 5);
}

TEST_CASE_FIXTURE(Hashes, "HSCAN sees every field once") {
  for (int size : {50, 20000}) {
    client("DEL h");
    for (int i = 0; i < size; ++i) client("HSET h f" + std::to_string(i) + " " + std::to_string(i));
    std::map<std::string, std::string> seen;
    std::string cursor = "0";
    int calls = 0;
    do {
      std::string reply = client.run({"HSCAN", "h", cursor, "COUNT", "100"});
      REQUIRE(reply.starts_with("*2\r\n$"));
      std::vector<std::string> elements = elements_of(reply);
      cursor = elements[0];
      for (size_t i = 2; i < elements.size(); i += 2) {
        CHECK(seen.emplace(elements[i], elements[i + 1]).second);
      }
      ++calls;
    } while (cursor != "0");
    CHECK(seen == contents("h"));
    CHECK((size == 50 ? calls == 1 : calls > 50));
  }
  std::vector<std::string> only =
      elements_of(client("HSCAN h 0 MATCH f1999? COUNT 1000000 NOVALUES"));
  CHECK(only.size() == 2 + 10);
  CHECK(only[1] == "*10");
  CHECK(client("HSCAN h 4294967296") == "*2\r\n$1\r\n0\r\n*0\r\n");
  CHECK(client("HSCAN h 18446744073709551615") == "*2\r\n$1\r\n0\r\n*0\r\n");
}

TEST_CASE_FIXTURE(Hashes, "deadlines of fields: replies and conditions") {
  Hashes& run = *this;
  for (int large : {0, 1}) {
    run("DEL h");
    if (large) client.run({"HSET", "h", "x", std::string(100, 'x')});
    run("HSET h a 1 b 2");
    CHECK(encoding("h") == (large ? "hashtable" : "listpack"));
    CHECK(!flagged("h"));
    CHECK(run("HEXPIRE h 100 FIELDS 2 a ghost") == "*2\r\n:1\r\n:-2\r\n");
    CHECK(encoding("h") == (large ? "hashtable" : "listpackex"));
    CHECK(flagged("h"));
    CHECK(run("HTTL h FIELDS 3 a b ghost") == "*3\r\n:100\r\n:-1\r\n:-2\r\n");
    CHECK(run("HPTTL h FIELDS 1 a") == "*1\r\n:100000\r\n");
    std::string at_ms = std::to_string(client.now_ms + 100'000);
    CHECK(run("HPEXPIRETIME h FIELDS 1 a") == "*1\r\n:" + at_ms + "\r\n");
    CHECK(run("HEXPIRETIME h FIELDS 1 a") == "*1\r\n:1700000100\r\n");
    CHECK(run("HPEXPIRE h 100500 FIELDS 1 a") == "*1\r\n:1\r\n");
    CHECK(run("HTTL h FIELDS 1 a") == "*1\r\n:101\r\n");
    CHECK(run("HEXPIREAT h 1700000200 NX FIELDS 2 a b") == "*2\r\n:0\r\n:1\r\n");
    CHECK(run("HPERSIST h FIELDS 3 b b ghost") == "*3\r\n:1\r\n:-1\r\n:-2\r\n");
    CHECK(run("HEXPIRE h 50 XX FIELDS 2 a b") == "*2\r\n:1\r\n:0\r\n");
    CHECK(run("HEXPIRE h 50 GT FIELDS 2 a b") == "*2\r\n:0\r\n:0\r\n");
    CHECK(run("HEXPIRE h 51 GT FIELDS 1 a") == "*1\r\n:1\r\n");
    CHECK(run("HEXPIRE h 51 LT FIELDS 2 a b") == "*2\r\n:0\r\n:1\r\n");
    CHECK(run("HPEXPIREAT h 1 FIELDS 1 b") == "*1\r\n:2\r\n");
    CHECK(run("HGET h b") == "$-1\r\n");
    CHECK(run("HINCRBY h a 1") == ":2\r\n");
    CHECK(run("HTTL h FIELDS 1 a") == "*1\r\n:51\r\n");
    CHECK(run("HSET h a 9") == ":0\r\n");
    CHECK(run("HTTL h FIELDS 1 a") == "*1\r\n:-1\r\n");
    CHECK(run("HEXPIRE h 0 FIELDS 1 a") == "*1\r\n:2\r\n");
    CHECK(run("EXISTS h") == (large ? ":1\r\n" : ":0\r\n"));
  }
  CHECK(run("HEXPIRE missing 10 FIELDS 2 a b") == "*2\r\n:-2\r\n:-2\r\n");
  CHECK(run("HTTL missing FIELDS 1 a") == "*1\r\n:-2\r\n");
  CHECK(run("HPERSIST missing FIELDS 1 a") == "*1\r\n:-2\r\n");
}

TEST_CASE_FIXTURE(Hashes, "deadlines of fields: errors") {
  Hashes& run = *this;
  run("HSET h a 1");
  constexpr std::string_view kMissing =
      "-ERR Mandatory argument FIELDS is missing or not at the right position\r\n";
  constexpr std::string_view kMismatch =
      "-ERR The `numfields` parameter must match the number of arguments\r\n";
  CHECK(run("HEXPIRE h x FIELDS 1 a") == kIntegerError);
  CHECK(run("HEXPIRE h -1 FIELDS 1 a") == "-ERR invalid expire time, must be >= 0\r\n");
  CHECK(run("HEXPIRE h 281474976711 FIELDS 1 a") ==
        "-ERR invalid expire time in 'hexpire' command\r\n");
  CHECK(run("HPEXPIRE h 281474976710654 FIELDS 1 a") ==
        "-ERR invalid expire time in 'hpexpire' command\r\n");
  CHECK(run("HPEXPIREAT h 281474976710654 FIELDS 1 a") == "*1\r\n:1\r\n");
  CHECK(run("HPEXPIREAT h 281474976710655 FIELDS 1 a") ==
        "-ERR invalid expire time in 'hpexpireat' command\r\n");
  CHECK(run("HEXPIREAT h 9223372036854775807 FIELDS 1 a") ==
        "-ERR invalid expire time in 'hexpireat' command\r\n");
  CHECK(run("HEXPIRE h 10 WHAT FIELDS 1 a") == kMissing);
  CHECK(run("HTTL h WHAT 1 a") == kMissing);
  CHECK(run("HEXPIRE h 10 FIELDS 0 a") ==
        "-ERR Parameter `numFields` should be greater than 0\r\n");
  CHECK(run("HTTL h FIELDS x a") == "-ERR Number of fields must be a positive integer\r\n");
  CHECK(run("HEXPIRE h 10 FIELDS 2 a") == kMismatch);
  CHECK(run("HPERSIST h FIELDS 9223372036854775807 a") == kMismatch);
  CHECK(run("HEXPIRE h 10 NX FIELDS 1") ==
        "-ERR The `numfields` parameter must match the number of "
        "arguments\r\n");
}

TEST_CASE_FIXTURE(Hashes, "due fields are invisible to readers and removed by writers and sweeps") {
  Hashes& run = *this;
  for (int large : {0, 1}) {
    run("DEL h copy");
    run("HSET h stay 1 go 2 later 3");
    if (large) client.run({"HSET", "h", "wide", std::string(100, 'x')});
    int others = large;
    run("HEXPIRE h 10 FIELDS 1 go");
    run("HEXPIRE h 1000 FIELDS 1 later");
    client.now_ms += 10'000;
    CHECK(run("HGET h go") == "$-1\r\n");
    CHECK(run("HEXISTS h go") == ":0\r\n");
    CHECK(run("HLEN h") == ":" + std::to_string(2 + others) + "\r\n");
    CHECK(contents("h").size() == 2u + static_cast<size_t>(others));
    CHECK(run("HTTL h FIELDS 1 go") == "*1\r\n:-2\r\n");
    for (int i = 0; i < 50; ++i) CHECK(run("HRANDFIELD h 1").find("go") == std::string::npos);
    CHECK(run("HSCAN h 0 COUNT 100").find("go") == std::string::npos);
    with_key("h", [&](Key& key) {
      CHECK(HashFields(key.entry()).count() == 3u + static_cast<size_t>(others));
    });
    CHECK(run("HINCRBY h go 5") == ":5\r\n");
    CHECK(run("HTTL h FIELDS 1 go") == "*1\r\n:-1\r\n");
    CHECK(run("COPY h copy") == ":1\r\n");
    CHECK(flagged("copy"));
    CHECK(run("HTTL copy FIELDS 2 later go") == "*2\r\n:990\r\n:-1\r\n");
    CHECK(sweep("h") == client.now_ms + 990'000);
    client.now_ms += 990'000;
    CHECK(sweep("h") == -1);
    CHECK(!flagged("h"));
    CHECK(run("HEXISTS h later") == ":0\r\n");
    CHECK(run("HDEL copy later") == ":0\r\n");
    CHECK(run("HPEXPIRE h 1 FIELDS 3 stay go wide").starts_with("*3\r\n:1\r\n:1\r\n"));
    client.now_ms += 1;
    CHECK(sweep("h") == -1);
    CHECK(run("EXISTS h") == ":0\r\n");
  }
}

// A hash as it should be.
struct ModelField {
  std::string value;
  int64_t deadline_ms = kNoDeadline;
};

TEST_CASE_FIXTURE(Hashes, "long random histories") {
  int64_t before = memory::used_bytes();
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    std::mt19937_64 random(seed);
    client.limits().hash_packed_entries = seed % 3 == 0 ? 1 << 20 : 128;
    client.limits().hash_packed_value_bytes = seed % 4 == 0 ? 300 : 64;
    bool has_deadlines = seed % 2 == 0;
    uint64_t names = seed % 3 == 1 ? 60 : 3000;
    std::map<std::string, ModelField> model;
    auto drop_due = [&] {
      std::erase_if(model, [&](const auto& each) {
        return each.second.deadline_ms != kNoDeadline && each.second.deadline_ms <= client.now_ms;
      });
    };
    for (int step = 0; step < 6000; ++step) {
      std::string field = std::to_string(random() % names);
      if (random() % 2) field = "name-" + field;
      client.now_ms += static_cast<int64_t>(random() % 3);
      drop_due();
      uint64_t choice = random() % 100;
      if (choice < 45) {
        std::string value =
            random() % 3 == 0 ? std::to_string(static_cast<int64_t>(random()) >> (random() % 64))
                              : std::string(random() % 70, static_cast<char>('a' + random() % 26));
        std::string wanted = model.contains(field) ? ":0\r\n" : ":1\r\n";
        REQUIRE(client.run({"HSET", "h", field, value}) == wanted);
        model[field] = {value};
      } else if (choice < 65) {
        REQUIRE(client.run({"HDEL", "h", field}) == (model.erase(field) ? ":1\r\n" : ":0\r\n"));
      } else if (choice < 80) {
        auto found = model.find(field);
        REQUIRE(client.run({"HGET", "h", field}) ==
                (found == model.end() ? "$-1\r\n" : bulk_reply(found->second.value)));
      } else if (has_deadlines && choice < 95) {
        int64_t at_ms = client.now_ms + 1 + static_cast<int64_t>(random() % 4000);
        auto found = model.find(field);
        REQUIRE(client.run({"HPEXPIREAT", "h", std::to_string(at_ms), "FIELDS", "1", field}) ==
                (found == model.end() ? "*1\r\n:-2\r\n" : "*1\r\n:1\r\n"));
        if (found != model.end()) found->second.deadline_ms = at_ms;
      } else if (choice < 97) {
        REQUIRE(client("HLEN h") == ":" + std::to_string(model.size()) + "\r\n");
      } else if (choice == 97) {
        std::map<std::string, std::string> wanted;
        for (const auto& [name, each] : model) wanted[name] = each.value;
        REQUIRE(contents("h") == wanted);
      } else if (choice == 98 && has_deadlines) {
        bool exists = client("EXISTS h") == ":1\r\n";
        if (exists) sweep("h");
      } else if (random() % 20 == 0) {
        client("DEL h");
        model.clear();
      }
    }
    client("DEL h");
  }
  client.keyspace().reclaimer().finish();
  CHECK(memory::used_bytes() == before);
}

TEST_CASE_FIXTURE(Hashes, "effects are absolute facts") {
  Hashes& run = *this;
  RecordedEffects effects;
  client.executor().set_recorder(&effects);
  run("HSET h a 1 b 2");
  run("HINCRBY h a 4");
  run("HPEXPIREAT h 1700000000500 FIELDS 1 a");
  run("HINCRBY h a 1");
  client.now_ms += 1000;
  run("HSET h c 3");
  run("HDEL h b c");
  client.executor().set_recorder(nullptr);
  CHECK(effects.take() ==
        std::vector<std::string>{"0 field h a 1 new", "0 field h b 2 new",
                                 "0 field-increment h a 5 +4", "0 field-deadline h a 1700000000500",
                                 "0 field-increment h a 6 +1", "0 field-expired h a",
                                 "0 field h c 3 new", "0 field-erase h b", "0 field-erase h c",
                                 "0 emptied h"});
}

TEST_CASE_FIXTURE(Hashes, "a large hash is freed in slices, copied and measured") {
  std::vector<std::string> set = {"HSET", "h"};
  for (int i = 0; i < 20000; ++i) {
    set.push_back("f" + std::to_string(i));
    set.push_back(std::string(32, 'v'));
  }
  int64_t before = memory::used_bytes();
  client.run(set);
  client("HEXPIRE h 100 FIELDS 2 f1 f2");
  int64_t used = memory::used_bytes() - before;
  with_key("h", [&](Key& key) {
    auto measured = static_cast<int64_t>(kHashOps.memory_bytes(key.entry(), 0));
    CHECK(measured > used * 9 / 10);
    CHECK(measured < used * 11 / 10);
    auto sampled = static_cast<int64_t>(kHashOps.memory_bytes(key.entry(), 5));
    CHECK(sampled > used * 8 / 10);
    Entry* copied = kHashOps.copy(key.entry(), 0, "other");
    CHECK(kHashOps.length(copied) == 20000);
    CHECK(next_field_deadline(copied) == client.now_ms + 100'000);
    int slices = 1;
    while (!kHashOps.destroy_some(copied, 100)) ++slices;
    CHECK(slices > 100);
    CHECK(slices < 400);
    memory::release(copied);
  });
  MESSAGE("bytes per field of a large hash: " << static_cast<double>(used) / 20000);
  client("DEL h");
  client.keyspace().reclaimer().finish();
  CHECK(memory::used_bytes() == before);
}

}  // namespace
}  // namespace dyno

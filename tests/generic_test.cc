// SPDX-License-Identifier: Apache-2.0
//
// Commands on keys of any type: names, copies and moves of small and large values with their
// deadlines, what they record, and OBJECT.
#include <doctest/doctest.h>

#include <mutex>
#include <string>
#include <vector>

#include "engine/access_clock.h"
#include "engine/live_key.h"
#include "engine/reclaimer.h"
#include "tests/engine_client.h"
#include "tests/recorded_effects.h"

namespace dyno {
namespace {

using Texts = std::vector<std::string>;

struct Keys {
  EngineClient client{kGenericCommands, kExpiryCommands, kStringCommands,    kSetCommands,
                      kHashCommands,    kScanCommands,   kHashExpiryCommands};
  std::string operator()(std::string_view line) { return client(line); }

  // Members "0" to "count - 1", and one that keeps the set from being integers.
  void make_set(const std::string& key, int count) {
    std::vector<std::string> words{"SADD", key, "text"};
    for (int i = 0; i < count; ++i) words.push_back(std::to_string(i));
    client.run(words);
  }
};

TEST_CASE_FIXTURE(Keys, "DEL, UNLINK and EXISTS count keys") {
  Keys& run = *this;
  run("MSET a 1 b 2 c 3");
  CHECK(run("EXISTS a b a nope") == ":3\r\n");
  CHECK(run("DEL a a nope") == ":1\r\n");
  CHECK(run("UNLINK b c") == ":2\r\n");
  CHECK(run("DBSIZE") == ":0\r\n");
}

TEST_CASE_FIXTURE(Keys, "TYPE names the five types") {
  Keys& run = *this;
  run("SET s 1");
  run("SADD m a");
  run("HSET h f v");
  CHECK(run("TYPE s") == "+string\r\n");
  CHECK(run("TYPE m") == "+set\r\n");
  CHECK(run("TYPE h") == "+hash\r\n");
  CHECK(run("TYPE nope") == "+none\r\n");
}

TEST_CASE_FIXTURE(Keys, "RENAME moves any value over any other, with its deadline") {
  Keys& run = *this;
  CHECK(run("RENAME nope x") == "-ERR no such key\r\n");
  CHECK(run("RENAME nope nope") == "-ERR no such key\r\n");
  for (int size : {1, 5, 1000}) {
    for (const char* target : {"x", "{same}y", "{same}a"}) {
      make_set("{same}a", size);
      run("PEXPIRE {same}a 5000");
      make_set("x", 700);
      run("HSET {same}y f v");
      CHECK(client.run({"RENAME", "{same}a", target}) == "+OK\r\n");
      CHECK(client.run({"SCARD", target}) == ":" + std::to_string(size + 1) + "\r\n");
      CHECK(client.run({"SISMEMBER", target, "0"}) == ":1\r\n");
      CHECK(client.run({"PTTL", target}) == ":5000\r\n");
      if (target != std::string("{same}a")) CHECK(run("EXISTS {same}a") == ":0\r\n");
      run("DEL {same}a x {same}y");
      CHECK(run("DBSIZE") == ":0\r\n");
      CHECK(client.keyspace().deadline_count(0) == 0);
    }
  }
}

TEST_CASE_FIXTURE(Keys, "RENAME of a key over an expired one and of an expired key") {
  Keys& run = *this;
  run("SET a 1");
  run("SET b 2 PX 10");
  client.now_ms += 20;
  CHECK(run("RENAMENX a b") == ":1\r\n");
  CHECK(run("GET b") == bulk_reply("1"));
  CHECK(run("TTL b") == ":-1\r\n");
  run("PEXPIRE b 10");
  client.now_ms += 20;
  CHECK(run("RENAME b c") == "-ERR no such key\r\n");
}

TEST_CASE_FIXTURE(Keys, "RENAMENX") {
  Keys& run = *this;
  run("MSET a 1 b 2");
  CHECK(run("RENAMENX a b") == ":0\r\n");
  CHECK(run("RENAMENX a a") == ":0\r\n");
  CHECK(run("RENAMENX a c") == ":1\r\n");
  CHECK(run("MGET a b c") == "*3\r\n$-1\r\n$1\r\n2\r\n$1\r\n1\r\n");
}

TEST_CASE_FIXTURE(Keys, "COPY makes an independent value, also in another database") {
  Keys& run = *this;
  for (int size : {1, 1000}) {
    make_set("a", size);
    run("PEXPIRE a 5000");
    CHECK(run("COPY a b") == ":1\r\n");
    CHECK(run("COPY a b") == ":0\r\n");
    CHECK(run("COPY a b REPLACE") == ":1\r\n");
    CHECK(run("COPY a a DB 3 REPLACE") == ":1\r\n");
    run("DEL a");
    client.keyspace().reclaimer().finish();
    CHECK(run("SCARD b") == ":" + std::to_string(size + 1) + "\r\n");
    CHECK(run("PTTL b") == ":5000\r\n");
    client.session().db = 3;
    CHECK(run("SISMEMBER a text") == ":1\r\n");
    CHECK(run("PTTL a") == ":5000\r\n");
    client.session().db = 0;
    run("RENAME b c");
  }
  run("SET b v");
  CHECK(run("COPY nope x") == ":0\r\n");
  CHECK(run("COPY b b") == "-ERR source and destination objects are the same\r\n");
  CHECK(run("COPY b c DB 16") == "-ERR DB index is out of range\r\n");
  CHECK(run("COPY b c DB") == "-ERR syntax error\r\n");
  CHECK(run("COPY b c DB x") == "-ERR value is not an integer or out of range\r\n");
}

TEST_CASE_FIXTURE(Keys, "MOVE goes to another database unless the key is there") {
  Keys& run = *this;
  run("SET a 1 PX 5000");
  CHECK(run("MOVE a 0") == "-ERR source and destination objects are the same\r\n");
  CHECK(run("MOVE a 16") == "-ERR DB index is out of range\r\n");
  CHECK(run("MOVE nope 1") == ":0\r\n");
  CHECK(run("MOVE a 1") == ":1\r\n");
  CHECK(run("EXISTS a") == ":0\r\n");
  run("SET a other");
  CHECK(run("MOVE a 1") == ":0\r\n");
  client.session().db = 1;
  CHECK(run("GET a") == bulk_reply("1"));
  CHECK(run("PTTL a") == ":5000\r\n");
}

TEST_CASE_FIXTURE(Keys, "fields keep their deadlines when their hash is renamed or copied") {
  Keys& run = *this;
  run("HSET h f v g w");
  run("HPEXPIRE h 50 FIELDS 1 f");
  CHECK(run("COPY h copy") == ":1\r\n");
  CHECK(run("RENAME h {t}h2") == "+OK\r\n");
  CHECK(run("MOVE {t}h2 2") == ":1\r\n");
  client.now_ms += 100;
  CHECK(run("HLEN copy") == ":1\r\n");
  Slot& slot = client.keyspace().slot(client.keyspace().hash("{t}h2").slot());
  CHECK(slot.deadline_count == 1);
  client.session().db = 2;
  CHECK(run("HGETALL {t}h2") == "*2\r\n$1\r\ng\r\n$1\r\nw\r\n");
}

TEST_CASE_FIXTURE(Keys, "effects of renames and copies are the whole new state") {
  Keys& run = *this;
  RecordedEffects effects;
  run("SET a 1");
  run("PEXPIREAT a 1700000009000");
  client.executor().set_recorder(&effects);
  run("RENAME a b");
  CHECK(effects.take() ==
        Texts{"0 erase b", "0 erase a", "0 string b 1 new", "0 deadline b 1700000009000"});
  run("COPY b c DB 2");
  CHECK(effects.take() == Texts{"2 erase c", "2 string c 1 new", "2 deadline c 1700000009000"});
  run("MOVE b 1");
  CHECK(effects.take() ==
        Texts{"1 erase b", "0 erase b", "1 string b 1 new", "1 deadline b 1700000009000"});
  run("DEL b c");
  CHECK(effects.take().empty());
  client.session().db = 1;
  run("UNLINK b");
  CHECK(effects.take() == Texts{"1 erase b"});
}

TEST_CASE_FIXTURE(Keys, "OBJECT") {
  Keys& run = *this;
  run("MSET n 12 s text");
  CHECK(run("OBJECT ENCODING n") == bulk_reply("int"));
  CHECK(run("OBJECT ENCODING s") == bulk_reply("embstr"));
  CHECK(run("OBJECT ENCODING nope") == "$-1\r\n");
  CHECK(run("OBJECT REFCOUNT n") == ":2147483647\r\n");
  CHECK(run("OBJECT REFCOUNT s") == ":1\r\n");
  CHECK(run("OBJECT FOO s") == "-ERR unknown subcommand 'FOO'. Try OBJECT HELP.\r\n");
  CHECK(run("OBJECT ENCODING") ==
        "-ERR wrong number of arguments for 'object|encoding' command\r\n");
  CHECK(run("OBJECT FREQ s").starts_with("-ERR An LFU maxmemory policy is not selected"));
}

TEST_CASE_FIXTURE(Keys, "OBJECT IDLETIME counts from the last use, which looking is not") {
  Keys& run = *this;
  run("SET s text");
  client.now_ms += 7000;
  CHECK(run("OBJECT IDLETIME s") == ":7\r\n");
  run("TYPE s");
  run("EXISTS s");
  run("TTL s");
  CHECK(run("OBJECT IDLETIME s") == ":7\r\n");
  client.session().no_touch = true;
  run("GET s");
  CHECK(run("OBJECT IDLETIME s") == ":7\r\n");
  CHECK(run("TOUCH s nope") == ":1\r\n");
  CHECK(run("OBJECT IDLETIME s") == ":0\r\n");
  client.session().no_touch = false;
  client.now_ms += 3000;
  run("RENAME s t");
  CHECK(run("OBJECT IDLETIME t") == ":3\r\n");
  run("GET t");
  CHECK(run("OBJECT IDLETIME t") == ":0\r\n");
}

TEST_CASE_FIXTURE(Keys, "the first use of a value that came back from disk is not its last") {
  Keys& run = *this;
  run("SET s text");
  {
    Keyspace& keyspace = client.keyspace();
    std::lock_guard lock(keyspace.slot(keyspace.hash("s").slot()).lock);
    LiveKey live(client.executor(), 0, "s", client.now_ms);
    set_returned_clock(live.key().entry(), client.limits(), client.now_ms, 0);
  }
  CHECK(run("OBJECT IDLETIME s") == ":3\r\n");
  client.now_ms += 1000;
  CHECK(run("GET s") == "$4\r\ntext\r\n");
  CHECK(run("OBJECT IDLETIME s") == ":3\r\n");
  CHECK(run("GET s") == "$4\r\ntext\r\n");
  CHECK(run("OBJECT IDLETIME s") == ":0\r\n");
}

TEST_CASE_FIXTURE(Keys, "OBJECT FREQ grows with use and decays with time") {
  Keys& run = *this;
  client.limits().maxmemory_policy = static_cast<int64_t>(EvictionPolicy::kAllKeysLfu);
  run("SET s text");
  CHECK(run("OBJECT FREQ s") == ":5\r\n");
  for (int i = 0; i < 200; ++i) run("GET s");
  int used = std::stoi(run("OBJECT FREQ s").substr(1));
  CHECK(used > 5);
  client.now_ms += 60000 * 300;
  CHECK(run("OBJECT FREQ s") == ":0\r\n");
  CHECK(run("OBJECT IDLETIME s").starts_with("-ERR An LFU maxmemory policy is selected"));
}

}  // namespace
}  // namespace dyno

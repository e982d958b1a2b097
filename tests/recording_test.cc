// SPDX-License-Identifier: Apache-2.0
//
// What each command records: which effects, how they are grouped into commands and commits, and
// that they are committed before anybody else can see what changed.
#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "engine/blocking.h"
#include "engine/evictor.h"
#include "engine/expirer.h"
#include "engine/types/sketch.h"
#include "tests/engine_client.h"
#include "tests/engine_families.h"
#include "tests/recorded_effects.h"

namespace dyno {
namespace {

using Texts = std::vector<std::string>;

// Runs commands and says what they recorded.
struct Recording {
  EngineClient client{std::vector<std::span<const CommandSpec>>(std::begin(kEngineFamilies),
                                                                std::end(kEngineFamilies))};
  RecordedEffects effects;

  Recording() { client.executor().set_recorder(&effects); }
  ~Recording() { client.executor().set_recorder(nullptr); }

  // What a line recorded. An error is what no line here is meant to give.
  Texts operator()(std::string_view line) {
    std::string reply = client(line);
    CAPTURE(line);
    CHECK_MESSAGE(!reply.starts_with("-"), reply);
    return effects.take();
  }
};

TEST_CASE_FIXTURE(Recording, "strings tell whether they are new and what becomes of the deadline") {
  Recording& run = *this;
  CHECK(run("SET k v") == Texts{"0 string k v new"});
  CHECK(run("SET k w") == Texts{"0 string k w"});
  CHECK(run("SET k w EX 10") == Texts{"0 string k w", "0 deadline k 1700000010000"});
  CHECK(run("SET k x KEEPTTL") == Texts{"0 string k x keeps deadline"});
  CHECK(run("GETSET k y") == Texts{"0 string k y", "0 deadline k -1"});
  CHECK(run("SADD k2 m") == Texts{"0 member k2 m new"});
  CHECK(run("SET k2 v") == Texts{"0 string k2 v"});
  CHECK(run("APPEND k z") == Texts{"0 patch k z @1"});
  CHECK(run("SETRANGE k3 2 z") == Texts{"0 patch k3 z @2"});
  CHECK(run("BITOP NOT k3 {k3}none") == Texts{"0 erase k3"});
  CHECK(run("GETDEL k") == Texts{"0 erase k"});
  CHECK(run("SET k v NX") == Texts{"0 string k v new"});
  CHECK(run("SET k v NX").empty());
  CHECK(run("SET k v EXAT 1") == Texts{"0 erase k"});
}

TEST_CASE_FIXTURE(Recording, "counters tell their amount") {
  Recording& run = *this;
  CHECK(run("INCR n") == Texts{"0 increment n 1 +1 new"});
  CHECK(run("EXPIRE n 10") == Texts{"0 deadline n 1700000010000"});
  CHECK(run("DECRBY n 5") == Texts{"0 increment n -4 +-5"});
  CHECK(run("INCRBYFLOAT n 0.5") == Texts{"0 increment n -3.5 +0.5"});
  CHECK(run("TTL n").empty());
  CHECK(client("TTL n") == ":10\r\n");

  CHECK(run("HINCRBY h f 3") == Texts{"0 field-increment h f 3 +3 new"});
  CHECK(run("HPEXPIREAT h 1700000000500 FIELDS 1 f") ==
        Texts{"0 field-deadline h f 1700000000500"});
  CHECK(run("HINCRBYFLOAT h f 0.25") == Texts{"0 field-increment h f 3.25 +0.25"});
  CHECK(client("HPEXPIRETIME h FIELDS 1 f") == "*1\r\n:1700000000500\r\n");
  CHECK(run("HSET h f 4") == Texts{"0 field h f 4"});
  CHECK(client("HPEXPIRETIME h FIELDS 1 f") == "*1\r\n:-1\r\n");

  CHECK(run("ZINCRBY z 2 a") == Texts{"0 score-increment z a =2 +2 new"});
  CHECK(run("ZADD z INCR 1.5 a") == Texts{"0 score-increment z a =3.5 +1.5"});
  CHECK(run("ZADD z INCR GT -1 a").empty());
  CHECK(run("ZINCRBY z inf a") == Texts{"0 score z a =inf"});
  CHECK(run("ZINCRBY z 1 a") == Texts{"0 score z a =inf"});
  CHECK(run("ZADD z INCR 0 b") == Texts{"0 score-increment z b =0 new"});
}

TEST_CASE_FIXTURE(Recording, "what is there already is recorded without being a change") {
  Recording& run = *this;
  run("SADD s a");
  run("ZADD z 1 a");
  run("GEOADD g 1 2 a");
  CHECK(run("SADD s a") == Texts{"0 member s a"});
  CHECK(run("ZADD z 1 a") == Texts{"0 score z a =1"});
  CHECK(run("GEOADD g 1 2 a").size() == 1);
  CHECK(run("ZADD z NX 2 a").empty());
  CHECK(run("ZADD z GT 1 a").empty());
  CHECK(run("ZADD z CH 1 a 2 b") == Texts{"0 score z a =1", "0 score z b =2 new"});
  // Who watches is not told of what changed nothing.
  client("WATCH s z g");
  run("SADD s a");
  run("ZADD z 1 a");
  run("GEOADD g 1 2 a");
  client("MULTI");
  client("TYPE s");
  CHECK(client("EXEC") == "*1\r\n+set\r\n");
}

TEST_CASE_FIXTURE(Recording, "a collection that loses its last element is emptied, not erased") {
  Recording& run = *this;
  auto wanted = [](const std::string& erasure, const std::string& key) {
    return Texts{"0 " + erasure, "0 emptied " + key};
  };
  for (std::string_view line : {"SREM s a", "SPOP s", "SPOP s 1", "SPOP s 5"}) {
    run("SADD s a");
    CHECK(run(line) == wanted("member-erase s a", "s"));
  }
  run("SADD s a");
  CHECK(run("SMOVE s {s}2 a") == Texts{"0 member-erase s a", "0 emptied s", "0 member {s}2 a new"});
  for (std::string_view line :
       {"ZREM z a", "ZPOPMIN z", "ZPOPMAX z 5", "ZREMRANGEBYRANK z 0 -1", "ZREMRANGEBYSCORE z 0 9",
        "ZREMRANGEBYLEX z - +", "ZMPOP 1 z MIN", "BZPOPMIN z 0"}) {
    run("ZADD z 1 a");
    CHECK(run(line) == wanted("score-erase z a", "z"));
  }
  run("HSET h a 1");
  CHECK(run("HDEL h a") == wanted("field-erase h a", "h"));
  run("HSET h a 1");
  CHECK(run("HPEXPIREAT h 1 FIELDS 1 a") == wanted("field-erase h a", "h"));
  for (std::string_view line :
       {"LPOP l", "RPOP l 3", "LTRIM l 1 0", "LREM l 0 a", "LMPOP 1 l LEFT", "BLPOP l 0"}) {
    run("RPUSH l a");
    CHECK(run(line) == wanted("list-erase l @0*1", "l"));
  }
  run("RPUSH l a");
  CHECK(run("LMOVE l {l}2 LEFT LEFT") ==
        Texts{"0 list-insert {l}2 a @0", "0 list-erase l @0*1", "0 emptied l"});
}

TEST_CASE_FIXTURE(Recording, "large collections are emptied element by element, too") {
  Recording& run = *this;
  for (std::string_view line : {"SPOP", "ZREMRANGEBYRANK", "LREM"}) {
    constexpr size_t kCount = 1000;
    std::string key(line);
    for (size_t i = 0; i < kCount; ++i) {
      if (line == "SPOP") client.run({"SADD", key, "m" + std::to_string(i)});
      if (line == "LREM") client.run({"RPUSH", key, "m"});
      if (line == "ZREMRANGEBYRANK") client.run({"ZADD", key, "1", "m" + std::to_string(i)});
    }
    static_cast<void>(effects.take());
    Texts texts = run(line == "SPOP"   ? "SPOP SPOP 1000"
                      : line == "LREM" ? "LREM LREM 0 m"
                                       : "ZREMRANGEBYRANK ZREMRANGEBYRANK 0 -1");
    REQUIRE(texts.size() == kCount + 1);
    CHECK(texts.back() == "0 emptied " + key);
    CHECK(std::all_of(texts.begin(), texts.end() - 1, [](const std::string& text) {
      return text.find("-erase ") != std::string::npos;
    }));
  }
}

TEST_CASE_FIXTURE(Recording, "what replaces a key begins with its erasure") {
  Recording& run = *this;
  run("SADD {s}a 1 2");
  run("ZADD {s}z 1 m");
  CHECK(run("SUNIONSTORE {s}t {s}a") ==
        Texts{"0 erase {s}t", "0 member {s}t 1 new", "0 member {s}t 2 new"});
  CHECK(run("SINTERSTORE {s}t {s}a {s}none") == Texts{"0 erase {s}t"});
  CHECK(run("SINTERSTORE {s}t {s}a {s}none").empty());
  CHECK(run("ZUNIONSTORE {s}t 1 {s}z") == Texts{"0 erase {s}t", "0 score {s}t m =1 new"});
  CHECK(run("ZRANGESTORE {s}t {s}z 5 6") == Texts{"0 erase {s}t"});
  CHECK(run("SORT {s}a STORE {s}t") ==
        Texts{"0 erase {s}t", "0 list-insert {s}t 1 @0", "0 list-insert {s}t 2 @1"});
  CHECK(run("COPY {s}z {s}t REPLACE") == Texts{"0 erase {s}t", "0 score {s}t m =1 new"});
  CHECK(run("RENAME {s}t {s}a") == Texts{"0 erase {s}a", "0 erase {s}t", "0 score {s}a m =1 new"});
  CHECK(run("MOVE {s}a 1") == Texts{"1 erase {s}a", "0 erase {s}a", "1 score {s}a m =1 new"});
  run("SET {s}n 7");
  std::string dump = elements_of("*1\r\n" + client("DUMP {s}n"))[0];
  CHECK(client.run({"RESTORE", "{s}z", "5000", dump, "REPLACE"}) == "+OK\r\n");
  CHECK(effects.take() ==
        Texts{"0 erase {s}z", "0 string {s}z 7 new", "0 deadline {s}z 1700000005000"});
  CHECK(run("BITOP AND {s}z {s}n {s}n") == Texts{"0 string {s}z 7", "0 deadline {s}z -1"});
  CHECK(run("UNLINK {s}z {s}n") == Texts{"0 erase {s}z", "0 erase {s}n"});
}

// The registers of a HyperLogLog's effect, as "index=rank" and so on.
std::string registers_of(const std::string& text, const std::string& key) {
  std::string prefix = "0 registers " + key + " ";
  if (!text.starts_with(prefix)) return text;
  std::string shown;
  for (size_t at = prefix.size(); at + 3 <= text.size() && text.substr(at) != " new"; at += 3) {
    auto byte = [&](size_t n) { return static_cast<uint8_t>(text[at + n]); };
    shown += std::to_string(byte(0) + 256 * byte(1)) + "=" + std::to_string(byte(2)) + " ";
  }
  return shown;
}

TEST_CASE_FIXTURE(Recording, "HyperLogLogs tell the registers that grew") {
  Recording& run = *this;
  auto wanted = [](std::vector<std::string> elements) {
    std::vector<sketch::Place> places;
    for (const std::string& element : elements) places.push_back(sketch::place_of(element));
    std::sort(places.begin(), places.end(), [](auto a, auto b) { return a.index < b.index; });
    std::string text;
    for (auto [index, rank] : places) {
      text += std::to_string(index) + "=" + std::to_string(rank) + " ";
    }
    return text;
  };
  CHECK(run("PFADD p") == Texts{"0 registers p new"});
  Texts texts = run("PFADD p a b c");
  REQUIRE(texts.size() == 1);
  CHECK(registers_of(texts[0], "p") == wanted({"a", "b", "c"}));
  CHECK(run("PFADD p a c").empty());
  CHECK(run("PFCOUNT p").empty());
  CHECK(run("PFDEBUG TODENSE p").empty());
  texts = run("PFADD p d a");
  REQUIRE(texts.size() == 1);
  CHECK(registers_of(texts[0], "p") == wanted({"d"}));
  run("PFADD {p}2 c e");
  texts = run("PFMERGE p {p}2");
  REQUIRE(texts.size() == 1);
  CHECK(registers_of(texts[0], "p") == wanted({"e"}));
  CHECK(run("PFMERGE p {p}2").empty());
  // Bytes of a HyperLogLog that are changed from outside go as a whole.
  texts = run("SETBIT p 64 1");
  REQUIRE(texts.size() == 1);
  CHECK(texts[0].starts_with("0 string p HYLL"));
  CHECK(texts[0].ends_with(" keeps deadline"));
}

TEST_CASE_FIXTURE(Recording, "what goes by itself says why") {
  Recording& run = *this;
  run("SET k v PX 100");
  run("HSET h a 1 b 2");
  run("HPEXPIRE h 100 FIELDS 1 a");
  client.now_ms += 100;
  CHECK(run("GET k") == Texts{"0 expired k"});
  CHECK(run("HSET h b 3") == Texts{"0 field-expired h a", "0 field h b 3"});
  run("HPEXPIRE h 100 FIELDS 1 b");
  run("SET k v PX 100");
  run("SET k2 v PX 100");
  client.now_ms += 100;
  effects.shows_commands = true;
  Expirer expirer(client.executor());
  while (expirer.run(0, kSlotCount, client.now_ms, 1'000'000)) {
  }
  Texts texts = effects.take();
  CHECK(std::count(texts.begin(), texts.end(), "0 expired k") == 1);
  CHECK(std::count(texts.begin(), texts.end(), "0 expired k2") == 1);
  CHECK(std::count(texts.begin(), texts.end(), "0 field-expired h b") == 1);
  auto emptied = std::find(texts.begin(), texts.end(), "0 emptied h");
  REQUIRE(emptied != texts.end());
  CHECK(*(emptied - 1) == "0 field-expired h b");
  CHECK(*(emptied - 2) == "begin");
  CHECK(*(emptied + 1) == "commit");
  CHECK(std::count(texts.begin(), texts.end(), "begin") == 3);
}

TEST_CASE_FIXTURE(Recording, "a command is committed once, and so is a transaction") {
  Recording& run = *this;
  effects.shows_commands = true;
  CHECK(run("SET a 1") == Texts{"begin", "0 string a 1 new", "commit"});
  CHECK(run("MSET a 1 b 2") == Texts{"begin", "0 string a 1", "0 string b 2 new", "commit"});
  CHECK(run("GET a") == Texts{"begin", "commit"});
  client("MULTI");
  client("INCR a");
  client("SADD s x");
  client("SADD a x");
  client("DEL b");
  CHECK(run("EXEC") == Texts{"begin", "0 increment a 2 +1", "begin", "0 member s x new", "begin",
                             "begin", "0 erase b", "commit"});
  client("MULTI");
  client("FLUSHDB");
  client("SET a 1");
  CHECK(run("EXEC") == Texts{"begin", "0 flush", "begin", "0 string a 1 new", "commit"});
  CHECK(run("FLUSHALL") == Texts{"begin", "-1 flush", "commit"});
}

TEST_CASE_FIXTURE(Recording, "who is served is committed with the push, before he hears of it") {
  effects.shows_commands = true;
  Recording& run = *this;
  auto served_by = [&](std::string_view waits, const Texts& lines) {
    Session waiting;
    Texts at_wake;
    waiting.wake = [&](const std::shared_ptr<Waiter>&) { at_wake = effects.take(); };
    std::swap(waiting, client.session());
    client(waits);
    std::swap(waiting, client.session());
    static_cast<void>(effects.take());
    for (const std::string& line : lines) client(line);
    client.executor().leave_queues(*waiting.waiter);
    CHECK(effects.take().empty());
    return at_wake;
  };
  CHECK(served_by("BLPOP l 0", {"RPUSH l a b"}) == Texts{"begin", "0 list-insert l a @0",
                                                         "0 list-insert l b @1", "begin",
                                                         "0 list-erase l @0*1", "commit"});
  run("DEL l");
  CHECK(served_by("BLMOVE l {l}2 LEFT LEFT 0", {"RPUSH l a"}) ==
        Texts{"begin", "0 list-insert l a @0", "begin", "0 list-insert {l}2 a @0",
              "0 list-erase l @0*1", "0 emptied l", "commit"});
  CHECK(served_by("BZPOPMIN z 0", {"MULTI", "ZADD z 1 a", "SET k v", "EXEC"}) ==
        Texts{"begin", "0 score z a =1 new", "begin", "0 string k v new", "begin",
              "0 score-erase z a", "0 emptied z", "commit"});
}

TEST_CASE_FIXTURE(Recording, "evictions are commands of their own") {
  Recording& run = *this;
  Evictor evictor(client.executor());
  client.executor().set_make_room([](void* own) { return static_cast<Evictor*>(own)->make_room(); },
                                  &evictor);
  static_cast<void>(run("SET a v"));
  REQUIRE(client.limits().policy() == EvictionPolicy::kNoEviction);
  client.limits().maxmemory_policy = static_cast<int64_t>(EvictionPolicy::kAllKeysRandom);
  client.limits().maxmemory_bytes = 1;
  effects.shows_commands = true;
  client("SET b v");
  CHECK(effects.take() ==
        Texts{"begin", "0 evicted a", "commit", "begin", "0 string b v new", "commit"});
}

// Whose time is an hour ahead, and who refuses SWAPDB.
struct Ahead : RecordedEffects {
  static constexpr int64_t kHourMs = 3'600'000;
  int asked = 0;
  int64_t begun_ms = 0;

  int64_t now_ms(int64_t unix_ms) override {
    ++asked;
    return unix_ms + kHourMs;
  }
  void begin_command(int64_t now_ms) override { begun_ms = now_ms; }
  [[nodiscard]] bool refuses_swap() const override { return true; }
};

TEST_CASE_FIXTURE(Recording, "the recorder says what time it is, once for a request") {
  Ahead ahead;
  client.executor().set_recorder(&ahead);
  client("SET k v EX 10");
  CHECK(ahead.asked == 1);
  CHECK(ahead.begun_ms == client.now_ms + Ahead::kHourMs);
  CHECK(ahead.take()[1] == "0 deadline k " + std::to_string(ahead.begun_ms + 10'000));
  client.now_ms += 9'999;
  CHECK(client("GET k") == "$1\r\nv\r\n");
  client.now_ms += 1;
  client("MULTI");
  client("GET k");
  client("SET k w PX 1");
  ahead.asked = 0;
  CHECK(client("EXEC") == "*2\r\n$-1\r\n+OK\r\n");
  CHECK(ahead.asked == 1);
  client.executor().set_recorder(&effects);
}

TEST_CASE_FIXTURE(Recording, "SWAPDB records nothing, so replicas refuse it") {
  CHECK(client("SWAPDB 0 1") == "+OK\r\n");
  CHECK(effects.take().empty());
  Ahead ahead;
  client.executor().set_recorder(&ahead);
  CHECK(client("SWAPDB 0 1") ==
        "-ERR SWAPDB is not possible on a node with replicas or with its data on disk\r\n");
  client.executor().set_recorder(&effects);
}

}  // namespace
}  // namespace dyno

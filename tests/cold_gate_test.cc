// SPDX-License-Identifier: Apache-2.0
//
// Keys whose values are on disk answer as if they had never left memory: the same random commands
// run on two engines, in one of which all values that may go are taken out again and again.
#include "engine/disk/cold_gate.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "engine/disk/cold_value.h"
#include "engine/expirer.h"
#include "engine/fixed_draws.h"
#include "engine/live_key.h"
#include "tests/cold_storm.h"
#include "tests/command_storm.h"
#include "tests/engine_client.h"
#include "tests/engine_families.h"
#include "tests/random_command.h"

namespace dyno {
namespace {

// An engine with a map for a disk.
class ColdEngine final : public ColdKeys {
  using Name = std::tuple<SlotIndex, int, std::string>;

 public:
  ColdEngine() : client({std::begin(kEngineFamilies), std::end(kEngineFamilies)}) {
    client.keyspace().set_cold_keys(this);
    client.executor().set_cold_gate(&gate_);
  }
  ~ColdEngine() override {
    client.keyspace().lock_all();
    client.keyspace().flush(-1, false);
    client.keyspace().unlock_all();
    client.keyspace().set_cold_keys(nullptr);
  }

  // Takes out every value that may go.
  void chill_all() {
    for_each_warm(client, [&](SlotIndex index, Key& key) {
      const Name name{index, key.db(), std::string(key.name())};
      std::string bytes;
      if (key.entry()->has_copy()) {
        REQUIRE(disk_.contains(name));
        ++unwritten;
      } else if (save_cold_value(key, &bytes)) {
        disk_[name] = bytes;
      } else {
        return;
      }
      client.keyspace().chill(key.slot(), key.word());
      ++chilled;
    });
  }

  // Runs until it has run.
  std::string run(const std::vector<std::string>& words) {
    for (;;) {
      std::string reply = client.run(words);
      if (!client.session().awaits_disk) return reply;
      CHECK(reply.empty());
      ++waits;
      bring_back();
    }
  }
  std::string operator()(std::string_view line) {
    std::vector<std::string> words;
    REQUIRE(split_words(line, &words));
    return run(words);
  }

  void bring_back() {
    auto wanted = std::exchange(wanted_, {});
    REQUIRE(!wanted.empty());
    for (const auto& [slot, db, name] : wanted) {
      std::lock_guard lock(client.keyspace().slot(slot).lock);
      LiveKey live(client.executor(), db, name, client.now_ms);
      if (!live.key().exists()) continue;
      std::string bytes = disk_.at({slot, db, name});
      REQUIRE(restore_cold_value(live.key(), bytes));
    }
  }

  bool want(SlotIndex slot, int db, std::string_view name) override {
    return wanted_.emplace(slot, db, std::string(name)).second;
  }
  std::string take_failure(SlotIndex, int, std::string_view) override {
    return std::exchange(failure, {});
  }
  void forget(SlotIndex slot, int db, std::string_view name) override {
    CHECK(disk_.erase({slot, db, std::string(name)}) == 1);
  }
  void forget_all() override { disk_.clear(); }
  [[nodiscard]] size_t on_disk() const { return disk_.size(); }

  EngineClient client;
  std::string failure;
  int chilled = 0;
  int unwritten = 0;  // Of those, which were on disk already.
  int waits = 0;

 private:
  std::map<Name, std::string> disk_;
  std::set<Name> wanted_;
  ColdGate gate_{client.keyspace(), *this};
};

void run_seed(uint32_t seed, int steps) {
  std::mt19937 random(seed);
  RandomCommand::Draw draw = [&](uint32_t n) { return n == 0 ? 0 : random() % n; };
  EngineClient plain({std::begin(kEngineFamilies), std::end(kEngineFamilies)});
  ColdEngine cold;
  const std::vector<const CommandSpec*> specs = comparable_commands();
  for (int i = 0; i < steps; ++i) {
    const CommandSpec& spec = *specs[draw(static_cast<uint32_t>(specs.size()))];
    if (spec.name.starts_with("FLUSH") && draw(60) != 0) continue;
    std::vector<std::string> words = RandomCommand(spec, plain.now_ms, draw).write();
    if (std::find(words.begin(), words.end(), "BYLEX") != words.end()) continue;
    if (draw(3) == 0) cold.chill_all();
    std::string expected = plain.run(words);
    std::string found = cold.run(words);
    std::string text;
    for (const std::string& word : words) text += word.substr(0, 80) + " ";
    CAPTURE(seed);
    CAPTURE(text);
    REQUIRE(leaves_of(found) == leaves_of(expected));
    if (draw(30) == 0) plain.now_ms = cold.client.now_ms = plain.now_ms + draw(2000);
  }
  CHECK(cold.chilled > 0);
  CHECK(cold.waits > 0);
  CHECK(cold.unwritten > 0);
  cold.chill_all();
  CHECK(Keyspace::cold_count() == static_cast<int64_t>(cold.on_disk()));
}

const std::string kLong(100, 'x');

}  // namespace

TEST_CASE("any command finds values that went to disk") {
  for (uint32_t seed = 1; seed <= 30; ++seed) run_seed(seed, 1500);
}

TEST_CASE("every type comes back as it was, small and large") {
  ColdEngine cold;
  cold("SET text " + kLong);
  cold("SETRANGE edited 30 " + kLong);
  for (int i = 0; i < 300; ++i) {
    std::string n = std::to_string(i);
    cold("RPUSH list " + kLong + n);
    cold("SADD set member" + n);
    cold("ZADD zset " + n + ".5 member" + n);
    cold("HSET hash field" + n + " value" + n);
    cold("SADD integers " + n);
    if (i >= 20) continue;
    cold("RPUSH small-list item" + n);
    cold("HSET small-hash field" + n + " value" + n);
    cold("ZADD small-zset " + n + " member" + n);
    cold("SADD small-set member" + n);
  }
  const std::vector<std::string> reads = {"GET text",
                                          "GET edited",
                                          "LRANGE list 0 -1",
                                          "SMEMBERS set",
                                          "ZRANGE zset 0 -1 WITHSCORES",
                                          "HGETALL hash",
                                          "SMEMBERS integers",
                                          "LRANGE small-list 0 -1",
                                          "HGETALL small-hash",
                                          "ZRANGE small-zset 0 -1 WITHSCORES",
                                          "SMEMBERS small-set"};
  std::vector<std::vector<std::string>> before;
  std::vector<std::string> encodings;
  for (const std::string& read : reads) {
    before.push_back(leaves_of(cold(read)));
    encodings.push_back(cold(
        "OBJECT ENCODING " +
        read.substr(read.find(' ') + 1, read.find(' ', read.find(' ') + 1) - read.find(' ') - 1)));
  }
  for (int round = 0; round < 2; ++round) {
    int chilled = cold.chilled;
    cold.chill_all();
    CHECK(cold.chilled - chilled == static_cast<int>(reads.size()));
    for (size_t i = 0; i < reads.size(); ++i) {
      CAPTURE(reads[i]);
      CHECK(leaves_of(cold(reads[i])) == before[i]);
      size_t begin = reads[i].find(' ') + 1;
      std::string name = reads[i].substr(begin, reads[i].find(' ', begin) - begin);
      CHECK(cold("OBJECT ENCODING " + name) == encodings[i]);
    }
  }
}

TEST_CASE("what does not look at values needs no disk") {
  ColdEngine cold;
  cold("SET a " + kLong + " PX 100000");
  cold("SET b " + kLong);
  cold("SET other " + kLong);
  cold.chill_all();
  CHECK(cold("EXISTS a b nothing") == ":2\r\n");
  CHECK(cold("TYPE a") == "+string\r\n");
  CHECK(cold("PTTL a") == ":100000\r\n");
  CHECK(cold("TTL b") == ":-1\r\n");
  CHECK(cold("DEL b") == ":1\r\n");
  CHECK(leaves_of(cold("KEYS *")) == std::vector<std::string>{"a", "other"});
  cold.client.now_ms += 100000;
  CHECK(cold("EXISTS a") == ":0\r\n");
  CHECK(cold.waits == 0);
  CHECK(cold("GET a") == "$-1\r\n");
  CHECK(cold("GET other") == bulk_reply(kLong));
  CHECK(cold.on_disk() == 1);
  CHECK(cold("APPEND other x") == ":101\r\n");
  CHECK(cold.on_disk() == 0);
}

TEST_CASE("what replaces a value does not read it") {
  ColdEngine cold;
  for (std::string_view name : {"a", "b", "c", "d"}) cold("SET " + std::string(name) + " " + kLong);
  cold.chill_all();
  CHECK(cold("SET a short") == "+OK\r\n");
  CHECK(cold("SET b " + kLong + " EX 100 XX") == "+OK\r\n");
  CHECK(cold("MSET c 1") == "+OK\r\n");
  CHECK(cold("SETNX d 1") == ":0\r\n");
  CHECK(cold.waits == 0);
  CHECK(cold.on_disk() == 1);
  CHECK(cold("MGET a c") == "*2\r\n" + bulk_reply("short") + bulk_reply("1"));
  CHECK(cold("TTL b") == ":100\r\n");
  CHECK(cold("SET d 2 GET") == bulk_reply(kLong));
  CHECK(cold.waits == 1);
}

TEST_CASE("values of a hash whose fields expire stay, as do small ones") {
  ColdEngine cold;
  cold("HSET timed f " + kLong);
  cold("HPEXPIRE timed 1000 FIELDS 1 f");
  cold("SET number 12345");
  cold.chill_all();
  CHECK(cold.on_disk() == 0);
}

TEST_CASE("sweeps pass over a hash on disk whose fields no longer expire") {
  ColdEngine cold;
  cold("HSET hash f " + kLong);
  cold("HPEXPIRE hash 1000 FIELDS 1 f");
  cold("HPERSIST hash FIELDS 1 f");
  cold.chill_all();
  CHECK(cold.on_disk() == 1);
  Expirer expirer(cold.client.executor());
  cold.client.now_ms += 5000;
  (void)expirer.run(0, kSlotCount, cold.client.now_ms, 1'000'000);
  CHECK(cold.waits == 0);
  CHECK(cold("HGET hash f") == bulk_reply(kLong));
}

TEST_CASE("a transaction runs once, with all its values") {
  ColdEngine cold;
  cold("SET a " + kLong);
  cold("RPUSH list one two " + kLong);
  cold("SET watched " + kLong);
  cold("WATCH watched");
  cold.chill_all();
  cold("MULTI");
  cold("APPEND a y");
  cold("LPOP list");
  CHECK(cold("EXEC") == "*2\r\n:101\r\n" + bulk_reply("one"));
  CHECK(cold.waits == 1);
  cold.chill_all();
  cold("MULTI");
  cold("LPOP list");
  cold("DISCARD");
  CHECK(cold("LRANGE list 0 0") == "*1\r\n" + bulk_reply("two"));
}

TEST_CASE("a transaction that sorts by values on disk is told so") {
  ColdEngine cold;
  cold("RPUSH list 1 2");
  cold("SET weight_1 " + kLong);
  cold.chill_all();
  CHECK(cold("SORT list BY weight_* ALPHA") == "*2\r\n" + bulk_reply("2") + bulk_reply("1"));
  cold.chill_all();
  cold("MULTI");
  cold("SORT list BY weight_* ALPHA");
  CHECK(cold("EXEC") ==
        "*1\r\n-ERR SORT in a transaction needs values that are on disk: read them first\r\n");
}

TEST_CASE("SORT reads what its patterns name") {
  ColdEngine cold;
  for (std::string_view n : {"1", "2", "3"}) {
    cold("RPUSH list " + std::string(n));
    cold("SET weight_" + std::string(n) + " " + std::to_string(9 - std::stoi(std::string(n))) +
         std::string(40, '0'));
    cold("HSET hash_" + std::string(n) + " f value" + std::string(n) + kLong);
  }
  cold.chill_all();
  CHECK(cold("SORT list BY weight_* GET hash_*->f STORE sorted") == ":3\r\n");
  CHECK(cold.waits >= 2);
  CHECK(cold("LINDEX sorted 0") == bulk_reply("value3" + kLong));
}

TEST_CASE("who waits may be given what goes to a list on disk") {
  ColdEngine cold;
  cold("RPUSH destination " + kLong);
  Session waiting;
  waiting.wake = [](const std::shared_ptr<Waiter>&) {};
  std::vector<std::string_view> words = {"BLMOVE", "source", "destination", "LEFT", "RIGHT", "0"};
  ByteBuffer out;
  Reply reply(&out);
  cold.client.executor().run(waiting, words, reply, cold.client.now_ms);
  REQUIRE(waiting.waiter != nullptr);
  cold.chill_all();
  CHECK(cold("RPUSH source moved") == ":1\r\n");
  CHECK(cold.waits == 1);
  CHECK(waiting.waiter->state.load() == Waiter::kServed);
  CHECK(cold("LLEN destination") == ":2\r\n");
  cold.client.executor().end(waiting);
}

TEST_CASE("a value that cannot be read is told, and so are too many at once") {
  ColdEngine cold;
  cold("SET a " + kLong);
  cold.chill_all();
  cold.failure = "the disk is gone";
  CHECK(cold("GET a") == "-MISCONF Errors reading from disk: the disk is gone\r\n");
  CHECK(cold("GET a") == bulk_reply(kLong));
  cold("SET b " + kLong);
  std::string reply;
  // What was read goes again before the command has run.
  do {
    cold.chill_all();
    reply = cold.client("MGET a b");
    if (cold.client.session().awaits_disk) cold.bring_back();
  } while (cold.client.session().awaits_disk);
  CHECK(reply == "-OOM the values of this command's keys do not fit into memory together\r\n");
}

TEST_CASE("bytes that are no value are refused") {
  ColdEngine cold;
  cold("SET a " + kLong);
  cold.chill_all();
  Slot& slot = cold.client.keyspace().slot(cold.client.keyspace().hash("a").slot());
  std::lock_guard lock(slot.lock);
  LiveKey live(cold.client.executor(), 0, "a", cold.client.now_ms);
  for (std::string_view bytes :
       {std::string_view(), std::string_view("\0", 1), std::string_view("\0\5", 2),
        std::string_view("\1", 1), std::string_view("\1\2\1\1a", 5), std::string_view("\2ab", 3)}) {
    CHECK_FALSE(restore_cold_value(live.key(), bytes));
  }
}

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// The removal of what nobody asks for after its deadline: nothing early, everything in the end,
// fields of hashes too, within its budget and without walking slots for nothing.
#include <doctest/doctest.h>

#include <map>
#include <random>
#include <string>

#include "engine/expirer.h"
#include "engine/stats.h"
#include "tests/engine_client.h"
#include "tests/recorded_effects.h"

namespace dyno {
namespace {

struct Expiring {
  EngineClient client{kStringCommands, kExpiryCommands,     kScanCommands,
                      kHashCommands,   kHashExpiryCommands, kGenericCommands};
  Expirer expirer{client.executor()};
  std::string operator()(std::string_view line) { return client(line); }

  [[nodiscard]] int64_t keys() { return client.keyspace().key_count(0); }
  // Runs to the end of what is due.
  void sweep() {
    while (expirer.run(0, kSlotCount, client.now_ms, 1'000'000)) {
    }
  }
  // Moves the clock, sweeping as a thread's timer does.
  void pass(int64_t ms, int64_t step_ms = 100) {
    for (int64_t end = client.now_ms + ms; client.now_ms < end;) {
      client.now_ms = std::min(end, client.now_ms + step_ms);
      sweep();
    }
  }
};

TEST_CASE_FIXTURE(Expiring, "nothing goes before its deadline, and soon after it everything") {
  Expiring& run = *this;
  for (int i = 0; i < 1000; ++i) client.run({"SET", "k" + std::to_string(i), "v", "PX", "1000"});
  run("SET forever v");
  pass(999);
  CHECK(keys() == 1001);
  pass(200);
  CHECK(keys() == 1);
  CHECK(client.keyspace().deadline_count(0) == 0);
  CHECK(run("GET forever") == bulk_reply("v"));
}

TEST_CASE_FIXTURE(Expiring, "a slot with very many keys") {
  for (int i = 0; i < 30'000; ++i) {
    client.run({"SET", "{t}" + std::to_string(i), "v", "PX", i % 3 == 0 ? "100000" : "1000"});
  }
  client.now_ms += 1000;
  sweep();
  CHECK(keys() == 10'000);
  pass(99'500, 1000);
  CHECK(keys() <= 10'000);
  // At most a sweep's patience later.
  pass(100'000, 1000);
  CHECK(keys() == 0);
}

TEST_CASE_FIXTURE(Expiring, "deadlines set, changed and removed in between") {
  std::mt19937 random(11);
  std::map<std::string, int64_t> model;  // Deadlines; -1 is none.
  for (int round = 0; round < 300; ++round) {
    for (int i = 0; i < 50; ++i) {
      std::string key = "{t" + std::to_string(random() % 5) + "}" + std::to_string(random() % 300);
      int64_t ttl = 1 + static_cast<int64_t>(random() % 5000);
      bool lives = model.contains(key) && (model[key] == -1 || model[key] > client.now_ms);
      switch (random() % 4) {
        case 0:
          client.run({"SET", key, "v", "PX", std::to_string(ttl)});
          model[key] = client.now_ms + ttl;
          break;
        case 1:
          client.run({"SET", key, "v"});
          model[key] = -1;
          break;
        case 2:
          client.run({"PEXPIRE", key, std::to_string(ttl)});
          if (lives) model[key] = client.now_ms + ttl;
          break;
        case 3:
          client.run({"PERSIST", key});
          if (lives) model[key] = -1;
          break;
      }
    }
    client.now_ms += static_cast<int64_t>(random() % 200);
    sweep();
    int64_t live = 0;
    for (const auto& [_, at_ms] : model) live += at_ms == -1 || at_ms > client.now_ms;
    // Those past their deadline may linger; those before it may not be missing.
    CHECK(keys() >= live);
  }
  pass(20'000);
  int64_t forever = 0;
  for (const auto& [_, at_ms] : model) forever += at_ms == -1;
  CHECK(keys() == forever);
}

TEST_CASE_FIXTURE(Expiring, "fields of hashes, small and large, and the hash with its last field") {
  Expiring& run = *this;
  for (int size : {3, 3000}) {
    std::vector<std::string> all{"HSET", "h" + std::to_string(size)};
    for (int i = 0; i < size; ++i) all.insert(all.end(), {"f" + std::to_string(i), "v"});
    client.run(all);
    std::vector<std::string> expire{"HPEXPIRE", all[1], "1000", "FIELDS", std::to_string(size - 1)};
    for (int i = 1; i < size; ++i) expire.push_back("f" + std::to_string(i));
    client.run(expire);
  }
  run("HSET both f v g w");
  run("HPEXPIRE both 500 FIELDS 1 f");
  run("PEXPIRE both 2000");
  int64_t before = sum_stats([](ThreadStats& s) { return s.expired_fields.get(); });
  pass(900);
  CHECK(run("HLEN both") == ":1\r\n");
  CHECK(run("HLEN h3000") == ":3000\r\n");
  pass(700);
  CHECK(sum_stats([](ThreadStats& s) { return s.expired_fields.get(); }) - before == 1 + 2 + 2999);
  CHECK(run("HLEN h3") == ":1\r\n");
  CHECK(run("HLEN h3000") == ":1\r\n");
  CHECK(client.keyspace().slot(client.keyspace().hash("h3").slot()).deadline_count == 0);
  pass(1000);
  CHECK(run("EXISTS both") == ":0\r\n");
  run("HPEXPIRE h3 100 FIELDS 1 f0");
  run("HPEXPIRE h3000 100 FIELDS 1 f0");
  pass(500);
  CHECK(keys() == 0);
}

TEST_CASE_FIXTURE(Expiring, "the budget bounds a call, and the next one goes on") {
  for (int i = 0; i < 50'000; ++i) client.run({"SET", "k" + std::to_string(i), "v", "PX", "1000"});
  client.now_ms += 1000;
  int calls = 0;
  for (bool more = true; more; ++calls) {
    int64_t before = keys();
    more = expirer.run(0, kSlotCount, client.now_ms, 200);
    CHECK((before > keys() || !more));
  }
  CHECK(calls > 3);
  CHECK(keys() == 0);
  CHECK_FALSE(expirer.run(0, kSlotCount, client.now_ms, 200));
}

TEST_CASE_FIXTURE(Expiring, "ranges are swept by their own threads") {
  for (int i = 0; i < 10'000; ++i) client.run({"SET", "k" + std::to_string(i), "v", "PX", "1000"});
  client.now_ms += 1000;
  expirer.run(0, kSlotCount / 2, client.now_ms, 1'000'000);
  CHECK(keys() > 4000);
  CHECK(keys() < 6000);
  expirer.run(kSlotCount / 2, kSlotCount, client.now_ms, 1'000'000);
  CHECK(keys() == 0);
}

TEST_CASE_FIXTURE(Expiring, "few deadlines of many keys do not make sweeps of all others") {
  // One slot of many keys that expire late, and one that is set anew to expire at once, over and
  // over.
  for (int i = 0; i < 3000; ++i)
    client.run({"SET", "{t}" + std::to_string(i), "v", "EX", "1000000"});
  int sweeps = 0;
  for (int i = 0; i < 2000; ++i) {
    client.run({"SET", "{t}short", "v", "PX", "1"});
    client.now_ms += 2;
    sweep();
    sweeps += keys() == 3000;
  }
  CHECK(sweeps <= 2);
  pass(60'000, 1000);
  CHECK(keys() == 3000);
}

TEST_CASE_FIXTURE(Expiring, "removals are recorded as effects") {
  Expiring& run = *this;
  RecordedEffects effects;
  run("SET a v PX 100");
  client.executor().set_recorder(&effects);
  pass(200);
  CHECK(effects.take() == std::vector<std::string>{"0 expired a"});
}

}  // namespace
}  // namespace dyno

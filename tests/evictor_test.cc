// SPDX-License-Identifier: Apache-2.0
//
// Eviction: each policy takes what it is named after, memory stays below the limit, and what cannot
// be evicted is refused.
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "engine/evictor.h"
#include "engine/memory.h"
#include "engine/reclaimer.h"
#include "engine/stats.h"
#include "tests/engine_client.h"
#include "tests/recorded_effects.h"

namespace dyno {
namespace {

constexpr std::string_view kFull = "-OOM command not allowed when used memory > 'maxmemory'.\r\n";

// The evictor's clock is the real one, so that of the client is too.
int64_t real_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

struct Evicting {
  EngineClient client{kStringCommands,  kExpiryCommands, kScanCommands,
                      kGenericCommands, kSetCommands,    kTransactionCommands};
  Evictor evictor{client.executor()};
  int64_t evicted_before = evicted();

  Evicting() {
    client.now_ms = real_ms();
    client.executor().set_make_room([](void* e) { return static_cast<Evictor*>(e)->make_room(); },
                                    &evictor);
  }
  std::string operator()(std::string_view line) { return client(line); }
  static int64_t evicted() {
    return sum_stats([](ThreadStats& s) { return s.evicted_keys.get(); });
  }
  void set_policy(EvictionPolicy policy) {
    client.limits().maxmemory_policy = static_cast<int64_t>(policy);
  }
  // Allows this many bytes more than are used now.
  void limit_to(int64_t more_bytes) {
    client.limits().maxmemory_bytes = memory::used_bytes() + more_bytes;
  }
  std::string set(const std::string& key, int64_t ttl_s = 0) {
    std::vector<std::string> words{"SET", key, std::string(100, 'x')};
    if (ttl_s != 0) words.insert(words.end(), {"EX", std::to_string(ttl_s)});
    return client.run(words);
  }
  // How many of prefix + number are still there.
  int count(const std::string& prefix, int from, int to) {
    int found = 0;
    for (int i = from; i < to; ++i)
      found += client.run({"EXISTS", prefix + std::to_string(i)}) == ":1\r\n";
    return found;
  }
};

TEST_CASE_FIXTURE(Evicting, "without eviction what needs memory is refused, the rest runs") {
  Evicting& run = *this;
  set("a");
  limit_to(50'000);
  int stored = 0;
  while (set("k" + std::to_string(stored)) == "+OK\r\n") ++stored;
  CHECK(stored > 200);
  CHECK(stored < 600);
  CHECK(run("SET x y") == kFull);
  CHECK(run("GET a").starts_with("$100"));
  CHECK(run("DEL k0 k1 k2") == ":3\r\n");
  CHECK(run("SET x y") == "+OK\r\n");
  CHECK(evicted() == evicted_before);
}

TEST_CASE_FIXTURE(Evicting, "every policy keeps memory below the limit") {
  for (auto policy :
       {EvictionPolicy::kAllKeysLru, EvictionPolicy::kAllKeysLfu, EvictionPolicy::kAllKeysRandom,
        EvictionPolicy::kVolatileLru, EvictionPolicy::kVolatileLfu, EvictionPolicy::kVolatileRandom,
        EvictionPolicy::kVolatileTtl}) {
    set_policy(policy);
    limit_to(500'000);
    for (int i = 0; i < 20'000; ++i) {
      REQUIRE(set("k" + std::to_string(i), 1000 + i % 100) == "+OK\r\n");
    }
    CHECK(memory::used_bytes() <= client.limits().maxmemory_bytes + 10'000);
    int64_t left = client.keyspace().key_count(0);
    CHECK(left > 1500);
    CHECK(left < 4500);
    client.limits().maxmemory_bytes = 0;
    client("FLUSHALL SYNC");
  }
}

TEST_CASE_FIXTURE(Evicting,
                  "volatile policies leave keys without a deadline alone, and end with OOM") {
  Evicting& run = *this;
  for (auto policy : {EvictionPolicy::kVolatileLru, EvictionPolicy::kVolatileLfu,
                      EvictionPolicy::kVolatileRandom, EvictionPolicy::kVolatileTtl}) {
    set_policy(policy);
    for (int i = 0; i < 2000; ++i) set("stay" + std::to_string(i));
    // A few among many, in slots that hold others too.
    for (int i = 0; i < 100; ++i) set("go" + std::to_string(i), 1000);
    limit_to(0);
    int stored = 0;
    while (set("stay" + std::to_string(2000 + stored)) == "+OK\r\n") ++stored;
    CHECK(stored >= 80);
    CHECK(count("go", 0, 100) == 0);
    CHECK(count("stay", 0, 2000) == 2000);
    CHECK(run("SET x y") == kFull);
    client.limits().maxmemory_bytes = 0;
    client("FLUSHALL SYNC");
  }
}

TEST_CASE_FIXTURE(Evicting, "LRU: what was used lately survives") {
  set_policy(EvictionPolicy::kAllKeysLru);
  // Ages by the entries' own clocks.
  client.now_ms = real_ms() - 10'000'000;
  for (int i = 0; i < 10'000; ++i) {
    if (i % 10 == 0) client.now_ms += 9000;
    set("k" + std::to_string(i));
  }
  client.now_ms = real_ms();
  for (int i = 0; i < 500; ++i) client.run({"GET", "k" + std::to_string(i)});
  limit_to(0);
  for (int i = 0; i < 5000; ++i) set("new" + std::to_string(i));
  CHECK(count("k", 0, 500) >= 495);  // Old, but used.
  CHECK(count("new", 0, 5000) >= 4950);
  int old_half = count("k", 500, 5000);
  int young_half = count("k", 5000, 10'000);
  CHECK(old_half < 900);
  CHECK(young_half > 3500);
}

TEST_CASE_FIXTURE(Evicting, "whoever looks where a key lies finds it, or one that is worse") {
  Evictor mover(client.executor(), true);
  const Keyspace& keyspace = client.executor().keyspace();
  auto look = [&](const std::string& key) {
    KeyHash hash = keyspace.hash(key);
    return mover.find_worst_near(hash.slot(), position_in_slot(hash.inner, 0), real_ms());
  };
  CHECK_FALSE(look("old:1"));
  client.now_ms = real_ms() - 50'000;
  for (int i = 0; i < 100; ++i) CHECK(set("old:" + std::to_string(i)) == "+OK\r\n");
  client.now_ms = real_ms();
  for (int i = 0; i < 100; ++i) CHECK(set("new:" + std::to_string(i)) == "+OK\r\n");
  for (int i = 0; i < 100; ++i) {
    auto worst = look("old:" + std::to_string(i));
    REQUIRE(worst);
    CHECK(worst->score >= 49);
    CHECK(worst->key.starts_with("old:"));
  }
}

TEST_CASE_FIXTURE(Evicting, "LFU: what is used often survives") {
  set_policy(EvictionPolicy::kAllKeysLfu);
  for (int i = 0; i < 5000; ++i) set("k" + std::to_string(i));
  for (int round = 0; round < 50; ++round) {
    for (int i = 0; i < 200; ++i) client.run({"GET", "k" + std::to_string(i)});
  }
  limit_to(0);
  for (int i = 0; i < 4000; ++i) set("new" + std::to_string(i));
  CHECK(count("k", 0, 200) >= 190);
}

TEST_CASE_FIXTURE(Evicting, "TTL: what would expire first goes first") {
  set_policy(EvictionPolicy::kVolatileTtl);
  for (int i = 0; i < 5000; ++i) set("soon" + std::to_string(i), 1000 + i);
  for (int i = 0; i < 5000; ++i) set("late" + std::to_string(i), 100'000 + i);
  limit_to(0);
  for (int i = 0; i < 4500; ++i) set("new" + std::to_string(i), 1'000'000);
  CHECK(count("late", 0, 5000) >= 4250);
  CHECK(count("soon", 0, 5000) < 1200);
}

TEST_CASE_FIXTURE(Evicting, "a large value is freed before anything more is evicted") {
  set_policy(EvictionPolicy::kAllKeysLru);
  for (int k = 0; k < 10; ++k) {
    std::vector<std::string> words{"SADD", "big" + std::to_string(k)};
    for (int i = 0; i < 50'000; ++i) words.push_back("member:" + std::to_string(i));
    client.run(words);
  }
  limit_to(-10'000);
  for (int i = 0; i < 2000 && memory::used_bytes() > client.limits().maxmemory_bytes; ++i) {
    CHECK(evictor.make_room());
  }
  CHECK(memory::used_bytes() <= client.limits().maxmemory_bytes);
  CHECK(evicted() - evicted_before == 1);
}

TEST_CASE_FIXTURE(Evicting, "deleted values do not cost others their place") {
  set_policy(EvictionPolicy::kAllKeysLru);
  std::vector<std::string> words{"SADD", "big"};
  for (int i = 0; i < 50'000; ++i) words.push_back("member:" + std::to_string(i));
  client.run(words);
  for (int i = 0; i < 1000; ++i) set("k" + std::to_string(i));
  limit_to(0);
  client("DEL big");
  for (int i = 1000; i < 3000; ++i) CHECK(set("k" + std::to_string(i)) == "+OK\r\n");
  CHECK(evicted() == evicted_before);
}

TEST_CASE_FIXTURE(Evicting, "what the process uses besides counts, and effects are recorded") {
  Evicting& run = *this;
  set_policy(EvictionPolicy::kAllKeysRandom);
  set("a");
  limit_to(10'000);
  CHECK(run("SET b c") == "+OK\r\n");
  RecordedEffects effects;
  client.executor().set_recorder(&effects);
  static int64_t buffers = 0;
  buffers = 1'000'000;
  evictor.set_other_bytes([](void*) { return buffers; }, nullptr);
  std::string last;
  for (int i = 0; i < 20; ++i) last = run("SET c d");
  CHECK(last == kFull);
  auto recorded = effects.take();
  CHECK(std::count(recorded.begin(), recorded.end(), "0 evicted a") == 1);
  client.executor().set_recorder(nullptr);
}

TEST_CASE_FIXTURE(Evicting, "an evicted key was changed for who watches it") {
  Evicting& run = *this;
  set_policy(EvictionPolicy::kAllKeysRandom);
  set("a");
  run("WATCH a");
  limit_to(-1);
  static_cast<void>(evictor.make_room());
  client.limits().maxmemory_bytes = 0;
  run("MULTI");
  CHECK(run("EXEC") == "*-1\r\n");
}

TEST_CASE_FIXTURE(Evicting, "many threads stay below the limit together") {
  set_policy(EvictionPolicy::kAllKeysLru);
  limit_to(1'000'000);
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([this, t] {
      Session session;
      std::string value(200, 'x');
      for (int i = 0; i < 10'000; ++i) {
        std::string key = std::to_string(t) + ":" + std::to_string(i);
        std::string_view args[] = {"SET", key, value};
        ByteBuffer buffer;
        Reply reply(&buffer);
        client.executor().run(session, args, reply, client.now_ms);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(memory::used_bytes() <= client.limits().maxmemory_bytes + 50'000);
  CHECK(client.keyspace().key_count(0) > 2000);
  client.limits().maxmemory_bytes = 0;
}

}  // namespace
}  // namespace dyno

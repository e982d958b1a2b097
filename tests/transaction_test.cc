// SPDX-License-Identifier: Apache-2.0
//
// MULTI, EXEC, DISCARD, WATCH: what is queued and refused, and every way in which a watched key
// does or does not change.
#include <doctest/doctest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "engine/expirer.h"
#include "tests/engine_client.h"

namespace dyno {
namespace {

struct Transactions {
  EngineClient client{kTransactionCommands, kStringCommands, kSetCommands,
                      kGenericCommands,     kScanCommands,   kExpiryCommands};
  Session other;

  ~Transactions() { client.executor().end(other); }
  std::string operator()(std::string_view line) { return client(line); }
  // As another client.
  std::string by_other(std::string_view line) {
    std::swap(client.session(), other);
    std::string reply = client(line);
    std::swap(client.session(), other);
    return reply;
  }
  // Whether EXEC runs after `change` by another client, given that `key` is watched.
  bool survives(const std::string& key, std::string_view change) {
    CHECK(client("WATCH " + key) == "+OK\r\n");
    by_other(change);
    client("MULTI");
    client("GETDEL nothing");
    return client("EXEC") == "*1\r\n$-1\r\n";
  }
  [[nodiscard]] size_t sides() {
    size_t count = 0;
    for (uint32_t i = 0; i < kSlotCount; ++i) {
      count += client.keyspace().slot(static_cast<SlotIndex>(i)).side != nullptr;
    }
    return count;
  }
};

TEST_CASE_FIXTURE(Transactions, "a queue runs at once, errors of its commands included") {
  Transactions& run = *this;
  CHECK(run("MULTI") == "+OK\r\n");
  CHECK(run("SET a 1") == "+QUEUED\r\n");
  CHECK(run("SADD a x") == "+QUEUED\r\n");
  CHECK(run("INCR a") == "+QUEUED\r\n");
  CHECK(by_other("EXISTS a") == ":0\r\n");
  CHECK(
      run("EXEC") ==
      "*3\r\n+OK\r\n-WRONGTYPE Operation against a key holding the wrong kind of value\r\n:2\r\n");
  CHECK(run("GET a") == bulk_reply("2"));
  CHECK(run("MULTI") == "+OK\r\n");
  CHECK(run("EXEC") == "*0\r\n");
}

TEST_CASE_FIXTURE(Transactions, "controls out of place") {
  Transactions& run = *this;
  CHECK(run("EXEC") == "-ERR EXEC without MULTI\r\n");
  CHECK(run("DISCARD") == "-ERR DISCARD without MULTI\r\n");
  run("MULTI");
  CHECK(run("MULTI") == "-ERR MULTI calls can not be nested\r\n");
  CHECK(run("WATCH a") == "-ERR WATCH inside MULTI is not allowed\r\n");
  CHECK(run("SET a 1") == "+QUEUED\r\n");
  CHECK(run("EXEC") == "*1\r\n+OK\r\n");
  run("MULTI");
  run("SET a 2");
  CHECK(run("DISCARD") == "+OK\r\n");
  CHECK(run("EXEC") == "-ERR EXEC without MULTI\r\n");
  CHECK(run("GET a") == bulk_reply("1"));
}

TEST_CASE_FIXTURE(Transactions, "a refused command aborts the transaction") {
  Transactions& run = *this;
  for (const char* bad : {"SET a", "FOO", "OBJECT FOO", "DISCARD x"}) {
    run("MULTI");
    CHECK(run(bad).starts_with("-ERR "));
    CHECK(run("SET a 1") == "+QUEUED\r\n");
    CHECK(run("EXEC") == "-EXECABORT Transaction discarded because of previous errors.\r\n");
    CHECK(run("EXISTS a") == ":0\r\n");
  }
  run("MULTI");
  CHECK(run("EXEC now") ==
        "-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' "
        "command\r\n");
  CHECK(run("EXEC") == "-ERR EXEC without MULTI\r\n");
}

TEST_CASE_FIXTURE(Transactions, "without memory queuing is refused, and EXEC if it needs some") {
  Transactions& run = *this;
  client.executor().set_make_room([](void*) { return false; }, nullptr);
  constexpr std::string_view kFull = "-OOM command not allowed when used memory > 'maxmemory'.\r\n";
  run("MULTI");
  CHECK(run("SET a 1") == "+QUEUED\r\n");
  client.limits().maxmemory_bytes = 1;
  CHECK(run("EXEC") ==
        "-EXECABORT Transaction discarded because of: "
        "OOM command not allowed when used memory > 'maxmemory'.\r\n");
  CHECK(run("SET a 1") == kFull);
  CHECK(run("GET a") == "$-1\r\n");
  CHECK(run("DEL a") == ":0\r\n");
  run("MULTI");
  CHECK(run("GET a") == kFull);
  CHECK(run("DISCARD") == "+OK\r\n");
  client.limits().maxmemory_bytes = 0;
  run("MULTI");
  run("GET a");
  client.limits().maxmemory_bytes = 1;
  CHECK(run("EXEC") == "*1\r\n$-1\r\n");
}

TEST_CASE_FIXTURE(Transactions, "changes of a watched key abort") {
  Transactions& run = *this;
  for (const char* change :
       {"SET a 2", "DEL a", "EXPIRE a 100", "RENAME a b", "RENAME z a", "COPY z a REPLACE",
        "MOVE a 5", "FLUSHDB", "FLUSHALL", "SWAPDB 0 1", "APPEND a x", "MSET x 1 a 2"}) {
    run("MSET a 1 z 1");
    CAPTURE(change);
    CHECK(!survives("a", change));
  }
  CHECK(!survives("missing", "SET missing 1"));
}

TEST_CASE_FIXTURE(Transactions, "other changes do not") {
  Transactions& run = *this;
  for (const char* change : {"SET b 2", "GET a", "DEL missing", "EXPIRE missing 1", "SETNX a 3",
                             "PERSIST a", "SADD a x", "RENAMENX z a", "OBJECT ENCODING a"}) {
    run("MSET a 1 z 1");
    CAPTURE(change);
    CHECK(survives("a", change));
  }
  CHECK(survives("missing", "FLUSHALL"));
  CHECK(survives("missing", "FLUSHDB"));
  other.db = 1;
  CHECK(survives("a", "SET a 2"));
  CHECK(survives("missing", "SET missing 2"));
}

TEST_CASE_FIXTURE(Transactions, "one's own change counts") {
  Transactions& run = *this;
  run("WATCH a");
  run("SET a 1");
  run("MULTI");
  CHECK(run("EXEC") == "*-1\r\n");
  client.session().protocol = 3;
  run("WATCH a");
  run("SET a 1");
  run("MULTI");
  CHECK(run("EXEC") == "_\r\n");
}

TEST_CASE_FIXTURE(Transactions,
                  "UNWATCH, DISCARD, EXEC and an aborted EXEC forget what was watched") {
  Transactions& run = *this;
  run("WATCH a b");
  CHECK(sides() == 2);
  CHECK(run("UNWATCH") == "+OK\r\n");
  CHECK(sides() == 0);
  CHECK(survives("b", "SET a 1"));
  run("WATCH a");
  run("MULTI");
  run("DISCARD");
  by_other("SET a 2");
  run("MULTI");
  CHECK(run("EXEC") == "*0\r\n");
  CHECK(!survives("a", "SET a 3"));
  CHECK(survives("b", "SET a 3"));
  run("WATCH a");
  run("MULTI");
  run("FOO");
  run("EXEC");
  CHECK(sides() == 0);
  // Inside a transaction it does nothing any more.
  run("WATCH a");
  run("MULTI");
  run("UNWATCH");
  by_other("SET a 4");
  CHECK(run("EXEC") == "*-1\r\n");
  run("WATCH a");
  run("MULTI");
  run("UNWATCH");
  CHECK(run("EXEC") == "*1\r\n+OK\r\n");
}

TEST_CASE_FIXTURE(Transactions,
                  "a watched key that expires was changed, one that had expired was not") {
  Transactions& run = *this;
  for (bool swept : {false, true}) {
    for (bool read : {false, true}) {
      run("SET a 1 PX 100");
      run("WATCH a");
      client.now_ms += 200;
      if (read) by_other("GET a");
      if (swept) Expirer(client.executor()).run(0, kSlotCount, client.now_ms, 1'000'000);
      run("MULTI");
      CHECK(run("EXEC") == "*-1\r\n");
      run("SET a 1 PX 100");
      client.now_ms += 200;
      run("WATCH a");
      if (read) by_other("GET a");
      if (swept) Expirer(client.executor()).run(0, kSlotCount, client.now_ms, 1'000'000);
      run("MULTI");
      CHECK(run("EXEC") == "*0\r\n");
    }
  }
}

TEST_CASE_FIXTURE(Transactions, "walks of the whole keyspace run inside a transaction") {
  Transactions& run = *this;
  run("SET a 1");
  run("MULTI");
  for (const char* line :
       {"KEYS *", "SCAN 0", "DBSIZE", "RANDOMKEY", "FLUSHALL SYNC", "DBSIZE", "SWAPDB 0 1"}) {
    CHECK(run(line) == "+QUEUED\r\n");
  }
  CHECK(run("EXEC") ==
        "*7\r\n*1\r\n$1\r\na\r\n*2\r\n$1\r\n0\r\n*1\r\n$1\r\na\r\n:1\r\n$1\r\na\r\n+OK\r\n:0\r\n+"
        "OK\r\n");
}

TEST_CASE_FIXTURE(Transactions, "transactions of many threads are atomic") {
  constexpr int kThreads = 4;
  constexpr int kRounds = 400;
  client("MSET {x}a 1000 b 1000");
  std::atomic<int> broken{0};
  std::atomic<int> lost{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      Session session;
      auto say = [&](std::vector<std::string> words) {
        std::vector<std::string_view> args(words.begin(), words.end());
        ByteBuffer buffer;
        Reply reply(&buffer);
        client.executor().run(session, args, reply, 1'700'000'000'000);
        return std::string(buffer.view());
      };
      for (int i = 0; i < kRounds; ++i) {
        // Move one from a key to another; nobody ever sees another sum.
        say({"MULTI"});
        say({t % 2 != 0 ? "INCR" : "DECR", "{x}a"});
        say({t % 2 != 0 ? "DECR" : "INCR", "b"});
        say({"MGET", "{x}a", "b"});
        std::string reply = say({"EXEC"});
        int sum = 0;
        for (size_t at = reply.find('*', 1); at < reply.size(); at = reply.find("\r\n", at) + 2) {
          if (reply[at] != '*' && reply[at] != '$') sum += std::stoi(reply.substr(at));
        }
        if (sum != 2000) ++broken;
        // Increment by reading first: every one counts.
        for (bool done = false; !done;) {
          say({"WATCH", "count"});
          std::string now = say({"GET", "count"});
          int value = now == "$-1\r\n" ? 0 : std::stoi(now.substr(now.find('\n') + 1));
          say({"MULTI"});
          say({"SET", "count", std::to_string(value + 1)});
          done = say({"EXEC"}) != "*-1\r\n";
          if (!done) ++lost;
        }
      }
      client.executor().end(session);
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(broken.load() == 0);
  CHECK(client("GET count") == bulk_reply(std::to_string(kThreads * kRounds)));
  CHECK(sides() == 0);
}

}  // namespace
}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// Waiting for keys: who is served by what, in which order, under which locks, and what is left
// behind.
#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "engine/blocking.h"
#include "tests/engine_client.h"

namespace dyno {
namespace {

// A client that may block: what it was answered, at once or later.
struct Blocked {
  Session session;
  std::string answer;
};

struct Waiters {
  EngineClient client{kListCommands, kStringCommands, kTransactionCommands, kGenericCommands,
                      kScanCommands, kExpiryCommands, kZSetCommands,        kZSetPopCommands};
  std::vector<std::unique_ptr<Blocked>> blocked;
  std::vector<size_t> served_order;

  ~Waiters() {
    for (auto& each : blocked) {
      if (each->session.waiter != nullptr) client.executor().leave_queues(*each->session.waiter);
      client.executor().end(each->session);
    }
  }
  std::string operator()(std::string_view line) { return client(line); }

  // Runs a line as a new client; returns its number.
  size_t by_new(std::string_view line, int db = 0, int protocol = 2) {
    size_t number = blocked.size();
    blocked.push_back(std::make_unique<Blocked>());
    Blocked& mine = *blocked.back();
    mine.session.db = db;
    mine.session.protocol = protocol;
    mine.session.wake = [this, number](const std::shared_ptr<Waiter>& waiter) {
      blocked[number]->answer = std::string(waiter->reply.view());
      served_order.push_back(number);
    };
    std::swap(mine.session, client.session());
    mine.answer = client(line);
    std::swap(mine.session, client.session());
    return number;
  }
  [[nodiscard]] bool waits(size_t number) const {
    const auto& waiter = blocked[number]->session.waiter;
    return waiter != nullptr && waiter->state.load() == Waiter::kWaiting;
  }
  [[nodiscard]] const std::string& answer(size_t number) const { return blocked[number]->answer; }
  // As its connection does when a waiter was served.
  void finish(size_t number) { client.executor().leave_queues(*blocked[number]->session.waiter); }
  [[nodiscard]] size_t sides() {
    size_t count = 0;
    for (uint32_t i = 0; i < kSlotCount; ++i) {
      count += client.keyspace().slot(static_cast<SlotIndex>(i)).side != nullptr;
    }
    return count;
  }
};

std::string pair_reply(std::string_view a, std::string_view b) {
  return "*2\r\n" + bulk_reply(a) + bulk_reply(b);
}

TEST_CASE_FIXTURE(Waiters, "a writer serves who waits, by arrival") {
  Waiters& run = *this;
  size_t first = by_new("BLPOP l 0");
  size_t second = by_new("BRPOP l 0");
  CHECK(waits(first));
  CHECK(sides() == 1);
  CHECK(run("RPUSH l a b c") == ":3\r\n");
  CHECK(answer(first) == pair_reply("l", "a"));
  CHECK(answer(second) == pair_reply("l", "c"));
  CHECK(run("LRANGE l 0 -1") == "*1\r\n$1\r\nb\r\n");
  CHECK(sides() == 0);
  CHECK(answer(by_new("BLPOP l 0")) == pair_reply("l", "b"));
}

TEST_CASE_FIXTURE(Waiters, "what is pushed to nobody's key waits for nobody") {
  Waiters& run = *this;
  size_t waiter = by_new("BLPOP l 0");
  run("RPUSH other x");
  run("SET l text");
  CHECK(waits(waiter));
  run("DEL l");
  run("RPUSH l x");
  CHECK(answer(waiter) == pair_reply("l", "x"));
}

TEST_CASE_FIXTURE(Waiters, "a waiter for several keys is served once, by the first that is ready") {
  Waiters& run = *this;
  size_t waiter = by_new("BLPOP a b c b 0");
  CHECK(sides() == 3);
  run("RPUSH b 1");
  CHECK(answer(waiter) == pair_reply("b", "1"));
  run("RPUSH a 2");
  CHECK(run("LLEN a") == ":1\r\n");
  finish(waiter);
  CHECK(sides() == 0);
}

TEST_CASE_FIXTURE(Waiters,
                  "after a transaction a waiter takes the first of its keys that is ready") {
  Waiters& run = *this;
  for (bool swapped : {false, true}) {
    std::string keys[2] = {swapped ? "q" : "p", swapped ? "p" : "q"};
    size_t waiter = by_new("BLPOP p q 0");
    run("MULTI");
    run("RPUSH " + keys[0] + " x");
    run("RPUSH " + keys[1] + " y");
    run("LPUSH " + keys[0] + " z");
    run("EXEC");
    CHECK(answer(waiter) == pair_reply("p", swapped ? "y" : "z"));
    finish(waiter);
    run("DEL p q");
  }
}

TEST_CASE_FIXTURE(Waiters, "inside EXEC nothing blocks") {
  Waiters& run = *this;
  run("MULTI");
  run("BLPOP l 0");
  run("BLMOVE l m LEFT LEFT 0");
  CHECK(run("EXEC") == "*2\r\n*-1\r\n$-1\r\n");
  CHECK(sides() == 0);
}

TEST_CASE_FIXTURE(Waiters, "what a waiter moves serves the next one, in any slots") {
  Waiters& run = *this;
  for (const char* names : {"a b c", "{t}a {t}b {t}c"}) {
    std::string a = std::string(names).substr(0, std::string(names).find(' '));
    std::string b = a.substr(0, a.size() - 1) + "b";
    std::string c = a.substr(0, a.size() - 1) + "c";
    size_t end = by_new("BLPOP " + c + " 0");
    size_t middle = by_new("BLMOVE " + b + " " + c + " LEFT RIGHT 0");
    size_t begin = by_new("BRPOPLPUSH " + a + " " + b + " 0");
    run("RPUSH " + a + " x");
    CHECK(answer(begin) == bulk_reply("x"));
    CHECK(answer(middle) == bulk_reply("x"));
    CHECK(answer(end) == pair_reply(c, "x"));
    CHECK(run("DBSIZE") == ":0\r\n");
    CHECK(sides() == 0);
  }
}

TEST_CASE_FIXTURE(Waiters, "a move onto its own list and onto another type") {
  Waiters& run = *this;
  size_t own = by_new("BLMOVE l l LEFT RIGHT 0");
  run("RPUSH l x");
  CHECK(answer(own) == bulk_reply("x"));
  CHECK(run("LRANGE l 0 -1") == "*1\r\n$1\r\nx\r\n");
  run("SET text v");
  size_t wrong = by_new("BLMOVE m text LEFT RIGHT 0");
  size_t next = by_new("BLPOP m 0");
  run("RPUSH m y");
  CHECK(answer(wrong).starts_with("-WRONGTYPE"));
  CHECK(answer(next) == pair_reply("m", "y"));
}

TEST_CASE_FIXTURE(Waiters, "keys become ready by RENAME, COPY, MOVE and SWAPDB too") {
  Waiters& run = *this;
  size_t waiter = by_new("BLPOP l 0");
  run("RPUSH src x");
  run("RENAME src l");
  CHECK(answer(waiter) == pair_reply("l", "x"));
  waiter = by_new("BLPOP l 0");
  run("RPUSH src x");
  run("COPY src l");
  CHECK(answer(waiter) == pair_reply("l", "x"));
  waiter = by_new("BLPOP src 0", 3);
  run("MOVE src 3");
  CHECK(answer(waiter) == pair_reply("src", "x"));
  waiter = by_new("BLPOP l 0", 4);
  run("RPUSH l in-zero");
  CHECK(waits(waiter));
  run("SWAPDB 0 4");
  CHECK(answer(waiter) == pair_reply("l", "in-zero"));
  waiter = by_new("BLPOP l m 0", 4);
  run("SWAPDB 0 4");
  run("RPUSH l here");
  CHECK(waits(waiter));
  client.session().db = 4;
  run("RPUSH m there");
  CHECK(answer(waiter) == pair_reply("m", "there"));
}

TEST_CASE_FIXTURE(Waiters, "types: a sorted set serves no list's waiter") {
  Waiters& run = *this;
  size_t list = by_new("BLPOP k 0");
  size_t zset = by_new("BZPOPMIN k 0");
  size_t zset3 = by_new("BZPOPMAX k 0", 0, 3);
  run("ZADD k 1 a 2 b");
  CHECK(waits(list));
  CHECK(answer(zset) == "*3\r\n$1\r\nk\r\n$1\r\na\r\n$1\r\n1\r\n");
  CHECK(answer(zset3) == "*3\r\n$1\r\nk\r\n$1\r\nb\r\n,2\r\n");
  run("RPUSH k x");
  CHECK(answer(list) == pair_reply("k", "x"));
}

TEST_CASE_FIXTURE(Waiters, "one that has left is passed over") {
  Waiters& run = *this;
  size_t gone = by_new("BLPOP l 5");
  size_t stays = by_new("BLPOP l 0");
  CHECK(blocked[gone]->session.waiter->deadline_ms == client.now_ms + 5000);
  CHECK(blocked[stays]->session.waiter->deadline_ms == 0);
  CHECK(blocked[gone]->session.waiter->claim());
  run("RPUSH l x");
  CHECK(answer(stays) == pair_reply("l", "x"));
  CHECK(answer(gone).empty());
  finish(gone);
  CHECK(sides() == 0);
}

TEST_CASE_FIXTURE(Waiters, "timeouts that are none") {
  Waiters& run = *this;
  CHECK(run("BLPOP l x") == "-ERR timeout is not a float or out of range\r\n");
  CHECK(run("BLPOP l -1") == "-ERR timeout is negative\r\n");
  CHECK(run("BLPOP l 1e400").starts_with("-ERR timeout"));
  CHECK(run("BLPOP l nan") == "-ERR timeout is not a float or out of range\r\n");
  CHECK(sides() == 0);
}

TEST_CASE("every element goes to exactly one of many waiters") {
  EngineClient client{kListCommands};
  constexpr int kConsumers = 3;
  constexpr int kElements = 3000;
  std::atomic<int> popped{0};
  std::atomic<int64_t> sum{0};
  std::vector<std::thread> threads;
  auto say = [&](Session& session, std::vector<std::string> words) {
    std::vector<std::string_view> args(words.begin(), words.end());
    ByteBuffer buffer;
    Reply reply(&buffer);
    client.executor().run(session, args, reply, client.now_ms);
    return std::string(buffer.view());
  };
  auto number_in = [](const std::string& reply) {
    return std::stoi(reply.substr(reply.find('\n', reply.rfind('$')) + 1));
  };
  for (int t = 0; t < kConsumers; ++t) {
    threads.emplace_back([&] {
      Session session;
      while (popped.load() < kElements) {
        std::atomic<bool> served{false};
        session.wake = [&](const std::shared_ptr<Waiter>&) { served.store(true); };
        std::string reply = say(session, {"BLPOP", "a", "b", "c", "0"});
        if (reply.empty()) {
          std::shared_ptr<Waiter> waiter = session.waiter;
          while (!served.load() && popped.load() < kElements) std::this_thread::yield();
          // The end: nobody will serve it any more, unless somebody is about to.
          bool mine = waiter->claim();
          while (!mine && !served.load()) std::this_thread::yield();
          client.executor().leave_queues(*waiter);
          session.waiter.reset();
          if (mine) break;
          reply = std::string(waiter->reply.view());
        }
        sum.fetch_add(number_in(reply));
        popped.fetch_add(1);
      }
    });
  }
  Session producer;
  int64_t expected = 0;
  for (int i = 1; i <= kElements; ++i) {
    say(producer, {"RPUSH", std::string(1, static_cast<char>('a' + i % 3)), std::to_string(i)});
    expected += i;
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(popped.load() == kElements);
  CHECK(sum.load() == expected);
}

}  // namespace
}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// Running commands: what is refused and how, what observers see, locks of many keys, and threads
// that run at once.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/stats.h"
#include "tests/engine_client.h"

namespace dyno {
namespace {

struct Commands {
  EngineClient client{kStringCommands, kGenericCommands,     kSetCommands, kScanCommands,
                      kExpiryCommands, kTransactionCommands, kListCommands};
  std::string operator()(std::string_view line) { return client(line); }
};

TEST_CASE_FIXTURE(Commands, "names of any case, and those that are none") {
  Commands& run = *this;
  CHECK(run("sEt k v") == "+OK\r\n");
  CHECK(run("object ENCODING k") == bulk_reply("embstr"));
  CHECK(run("NOSUCH a b") ==
        "-ERR unknown command 'NOSUCH', with args beginning with: 'a' 'b' \r\n");
  CHECK(run("nosuch") == "-ERR unknown command 'nosuch', with args beginning with: \r\n");
  // Subcommands are not reached by their internal names.
  CHECK(run("OBJECT|ENCODING k") ==
        "-ERR unknown command 'OBJECT|ENCODING', with args beginning with: 'k' \r\n");
  CHECK(client.run({"a\r\nb"}) == "-ERR unknown command 'a  b', with args beginning with: \r\n");
  CHECK(client.run({std::string("a\0b", 3), "c"}) ==
        "-ERR unknown command 'a', with args beginning with: 'c' \r\n");
}

TEST_CASE_FIXTURE(Commands, "an error does not repeat more than some bytes of what it was given") {
  std::string reply = client.run({std::string(10'000, 'x'), std::string(10'000, 'y'), "z"});
  CHECK(reply.size() < 400);
  CHECK(reply.starts_with("-ERR unknown command 'xxx"));
  CHECK(client.run({""}) == "-ERR unknown command '', with args beginning with: \r\n");
}

TEST_CASE_FIXTURE(Commands, "numbers of arguments") {
  Commands& run = *this;
  CHECK(run("GET") == "-ERR wrong number of arguments for 'get' command\r\n");
  CHECK(run("GET a b") == "-ERR wrong number of arguments for 'get' command\r\n");
  CHECK(run("DEL") == "-ERR wrong number of arguments for 'del' command\r\n");
  CHECK(run("OBJECT") == "-ERR wrong number of arguments for 'object' command\r\n");
  CHECK(run("OBJECT ENCODING a b") ==
        "-ERR wrong number of arguments for 'object|encoding' command\r\n");
  CHECK(run("OBJECT NOSUCH a") == "-ERR unknown subcommand 'NOSUCH'. Try OBJECT HELP.\r\n");
}

TEST_CASE_FIXTURE(Commands, "nothing runs before authentication") {
  Commands& run = *this;
  client.session().authenticated = false;
  CHECK(run("SET k v") == "-NOAUTH Authentication required.\r\n");
  CHECK(run("NOSUCH").starts_with("-ERR unknown command"));
  client.session().authenticated = true;
  CHECK(run("GET k") == "$-1\r\n");
}

class Log : public CommandObserver {
 public:
  void on_command(const Session&, const CommandSpec& spec, Args args) override {
    lines.push_back("runs " + std::string(spec.name) + " " + std::to_string(args.size()));
  }
  void on_done(const Session&, const CommandSpec& spec, Args, uint64_t, bool failed) override {
    lines.push_back((failed ? "failed " : "done ") + std::string(spec.name));
  }
  void on_rejected(const CommandSpec& spec) override {
    lines.push_back("rejected " + std::string(spec.name));
  }
  std::vector<std::string> take() { return std::exchange(lines, {}); }
  std::vector<std::string> lines;
};

TEST_CASE_FIXTURE(Commands, "observers see what runs, fails and is refused") {
  Commands& run = *this;
  Log log;
  client.executor().set_observer(&log);
  using Lines = std::vector<std::string>;
  run("SET k v");
  CHECK(log.take() == Lines{"done SET"});
  run("SADD k v");
  CHECK(log.take() == Lines{"failed SADD"});
  run("GET");
  CHECK(log.take() == Lines{"rejected GET"});
  run("NOSUCH");
  CHECK(log.take().empty());
  client.executor().set_monitored(true);
  run("MGET a b");
  CHECK(log.take() == Lines{"runs MGET 3", "done MGET"});
  run("MULTI");
  run("GET k");
  log.take();
  run("EXEC");
  Lines lines = log.take();
  CHECK(std::count(lines.begin(), lines.end(), "runs GET 2") == 1);
  CHECK(std::count(lines.begin(), lines.end(), "done GET") == 1);
  CHECK(std::count(lines.begin(), lines.end(), "done EXEC") == 1);
}

TEST_CASE_FIXTURE(Commands, "keys named twice, and many of one slot, lock it once") {
  Commands& run = *this;
  CHECK(run("MSET {t}a 1 {t}b 2 {t}a 3") == "+OK\r\n");
  CHECK(run("MGET {t}a {t}a {t}b") == "*3\r\n$1\r\n3\r\n$1\r\n3\r\n$1\r\n2\r\n");
  std::vector<std::string> words{"DEL"};
  for (int i = 0; i < 20'000; ++i) words.push_back("k" + std::to_string(i));
  CHECK(client.run(words) == ":0\r\n");
  for (uint32_t i = 0; i < kSlotCount; ++i) {
    REQUIRE(!client.keyspace().slot(static_cast<SlotIndex>(i)).lock.is_locked());
  }
}

TEST_CASE_FIXTURE(Commands, "asking for lines ahead is harmless for any request") {
  for (const std::vector<std::string>& words : {std::vector<std::string>{"GET"},
                                                {"GET", "k"},
                                                {"NOSUCH", ""},
                                                {"MSET", "a", "1", "b", "2"}}) {
    std::vector<std::string_view> args(words.begin(), words.end());
    Executor::Prefetch prefetch;
    if (!client.executor().prefetch_slot(client.session(), args, &prefetch)) continue;
    Executor::prefetch_group(prefetch);
    Executor::prefetch_entry(prefetch);
  }
  CHECK(client("SET k v") == "+OK\r\n");
}

TEST_CASE_FIXTURE(Commands, "errors and commands are counted") {
  auto commands = [] { return sum_stats([](ThreadStats& s) { return s.commands.get(); }); };
  auto errors = [] { return sum_stats([](ThreadStats& s) { return s.errors.get(); }); };
  int64_t commands_before = commands();
  int64_t errors_before = errors();
  client("SET k v");
  client("LPUSH k v");
  client("NOSUCH");
  CHECK(commands() - commands_before == 3);
  CHECK(errors() - errors_before == 2);
}

// Threads move amounts between random keys, in both orders of every pair: a wrong order of locks
// would end in a deadlock, a missing one in a wrong sum.
TEST_CASE_FIXTURE(Commands, "many threads with several keys each") {
  constexpr int kThreads = 4;
  constexpr int kRounds = 3000;
  std::vector<std::thread> threads;
  std::atomic<int> torn{0};
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      Session session;
      std::mt19937 random(static_cast<unsigned>(t));
      auto say = [&](const std::vector<std::string>& words) {
        std::vector<std::string_view> args(words.begin(), words.end());
        ByteBuffer buffer;
        Reply reply(&buffer);
        client.executor().run(session, args, reply, client.now_ms);
        return std::string(buffer.view());
      };
      for (int i = 0; i < kRounds; ++i) {
        std::string pair = std::to_string(random() % 10);
        std::string a = pair + (random() % 2 != 0 ? "a" : "b");
        std::string b = pair + (a.back() == 'a' ? "b" : "a");
        std::string value = std::to_string(t) + ":" + std::to_string(i);
        // Both keys of a pair always hold the same.
        say({"MSET", a, value, b, value});
        std::string reply = say({"MGET", a, b});
        size_t half = (reply.size() - 4) / 2;
        if (reply.substr(4, half) != reply.substr(4 + half)) ++torn;
        if (i % 100 == 0) say({i % 200 == 0 ? "KEYS" : "DBSIZE", "*"});
        if (i % 1000 == 500) say({"SWAPDB", "0", "1"});
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(torn.load() == 0);
}

}  // namespace
}  // namespace dyno

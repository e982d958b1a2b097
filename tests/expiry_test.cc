// SPDX-License-Identifier: Apache-2.0
//
// Deadlines of keys: every command that sets, reads or removes one, the conditions of EXPIRE, and
// times at the ends of what 64 bits hold.
#include <doctest/doctest.h>

#include <climits>
#include <optional>
#include <string>

#include "tests/engine_client.h"
#include "tests/recorded_effects.h"

namespace dyno {
namespace {

constexpr int64_t kNow = 1'700'000'000'000;

struct Deadlines {
  EngineClient client{kGenericCommands, kExpiryCommands, kStringCommands, kScanCommands};
  std::string operator()(std::string_view line) { return client(line); }
};

TEST_CASE_FIXTURE(Deadlines, "each way to set a deadline gives the same deadline") {
  Deadlines& run = *this;
  for (const char* line :
       {"EXPIRE k 10", "PEXPIRE k 10000", "EXPIREAT k 1700000010", "PEXPIREAT k 1700000010000"}) {
    run("SET k v");
    CHECK(run("TTL k") == ":-1\r\n");
    CHECK(run(line) == ":1\r\n");
    CHECK(run("TTL k") == ":10\r\n");
    CHECK(run("PTTL k") == ":10000\r\n");
    CHECK(run("EXPIRETIME k") == ":1700000010\r\n");
    CHECK(run("PEXPIRETIME k") == ":1700000010000\r\n");
    CHECK(client.keyspace().deadline_count(0) == 1);
  }
  client.now_ms = kNow + 9'999;
  CHECK(run("GET k") == bulk_reply("v"));
  client.now_ms = kNow + 10'000;
  CHECK(run("GET k") == "$-1\r\n");
  CHECK(run("DBSIZE") == ":0\r\n");
}

TEST_CASE_FIXTURE(Deadlines, "seconds are rounded to the nearest") {
  Deadlines& run = *this;
  run("SET k v PX 1499");
  CHECK(run("TTL k") == ":1\r\n");
  run("PEXPIRE k 1500");
  CHECK(run("TTL k") == ":2\r\n");
  run("PEXPIRE k 400");
  CHECK(run("TTL k") == ":0\r\n");
}

TEST_CASE_FIXTURE(Deadlines, "missing keys") {
  Deadlines& run = *this;
  for (const char* line : {"TTL k", "PTTL k", "EXPIRETIME k", "PEXPIRETIME k"})
    CHECK(run(line) == ":-2\r\n");
  CHECK(run("EXPIRE k 10") == ":0\r\n");
  CHECK(run("PERSIST k") == ":0\r\n");
}

TEST_CASE_FIXTURE(Deadlines, "PERSIST takes the deadline away") {
  Deadlines& run = *this;
  run("SET k v EX 10");
  CHECK(run("PERSIST k") == ":1\r\n");
  CHECK(run("PERSIST k") == ":0\r\n");
  CHECK(client.keyspace().deadline_count(0) == 0);
  client.now_ms += 20'000;
  CHECK(run("GET k") == bulk_reply("v"));
}

TEST_CASE_FIXTURE(Deadlines, "a deadline in the past deletes the key") {
  Deadlines& run = *this;
  for (const char* line :
       {"EXPIRE k 0", "EXPIRE k -1", "PEXPIRE k -1", "EXPIREAT k 1", "PEXPIREAT k -5",
        "EXPIRE k -9223372036854775", "PEXPIREAT k 1700000000000"}) {
    run("SET k v");
    CHECK(run(line) == ":1\r\n");
    CHECK(run("DBSIZE") == ":0\r\n");
  }
}

// The conditions of EXPIRE by their definitions, a missing deadline being later than all.
bool allowed(const std::string& condition, std::optional<int64_t> current, int64_t wanted) {
  if (condition == "NX") return !current;
  if (condition == "XX") return current.has_value();
  if (condition == "GT") return current && wanted > *current;
  if (condition == "LT") return !current || wanted < *current;
  if (condition == "XX GT") return current && wanted > *current;
  if (condition == "XX LT") return current && wanted < *current;
  return true;
}

TEST_CASE_FIXTURE(Deadlines, "conditions") {
  Deadlines& run = *this;
  for (const char* condition : {"", "NX", "XX", "GT", "LT", "XX GT", "XX LT", "XX XX", "gt GT"}) {
    std::string folded = condition == std::string("XX XX")   ? "XX"
                         : condition == std::string("gt GT") ? "GT"
                                                             : condition;
    for (std::optional<int64_t> current : {std::optional<int64_t>(), std::optional<int64_t>(100)}) {
      for (int64_t wanted : {50, 100, 150}) {
        run("SET k v");
        if (current) run("EXPIRE k " + std::to_string(*current));
        bool expected = allowed(folded, current, wanted);
        CAPTURE(condition);
        CAPTURE(wanted);
        CHECK(run("EXPIRE k " + std::to_string(wanted) + " " + condition) ==
              (expected ? ":1\r\n" : ":0\r\n"));
        int64_t now = expected ? wanted : current.value_or(-1);
        CHECK(run("TTL k") == ":" + std::to_string(now) + "\r\n");
      }
    }
  }
}

TEST_CASE_FIXTURE(Deadlines, "errors, options before numbers before keys") {
  Deadlines& run = *this;
  constexpr std::string_view kOneOfTwo =
      "-ERR NX and XX, GT or LT options at the same time are not compatible\r\n";
  CHECK(run("EXPIRE k x NX GT") == kOneOfTwo);
  CHECK(run("EXPIRE k x NX XX") == kOneOfTwo);
  CHECK(run("EXPIRE k x GT LT") ==
        "-ERR GT and LT options at the same time are not compatible\r\n");
  CHECK(run("EXPIRE k x FOO") == "-ERR Unsupported option FOO\r\n");
  CHECK(run("EXPIRE k x") == "-ERR value is not an integer or out of range\r\n");
  CHECK(run("EXPIRE k 1.5") == "-ERR value is not an integer or out of range\r\n");
  CHECK(run("EXPIRE k") == "-ERR wrong number of arguments for 'expire' command\r\n");
}

TEST_CASE_FIXTURE(Deadlines, "times at the ends of the range") {
  Deadlines& run = *this;
  run("SET k v");
  CHECK(run("EXPIRE k 9223372036854775807") == "-ERR invalid expire time in 'expire' command\r\n");
  CHECK(run("EXPIRE k 9223372036854775") == "-ERR invalid expire time in 'expire' command\r\n");
  CHECK(run("EXPIREAT k 9223372036854776") == "-ERR invalid expire time in 'expireat' command\r\n");
  CHECK(run("PEXPIRE k 9223372036854775807") ==
        "-ERR invalid expire time in 'pexpire' command\r\n");
  CHECK(run("TTL k") == ":-1\r\n");
  CHECK(run("PEXPIREAT k 9223372036854775807") == ":1\r\n");
  CHECK(run("PEXPIRETIME k") == ":9223372036854775807\r\n");
  CHECK(run("EXPIRETIME k") == ":9223372036854776\r\n");
  CHECK(run("EXPIRE k -9223372036854775808") == "-ERR invalid expire time in 'expire' command\r\n");
  CHECK(run("PEXPIREAT k -9223372036854775808") == ":1\r\n");
  CHECK(run("EXISTS k") == ":0\r\n");
}

TEST_CASE_FIXTURE(Deadlines, "effects are absolute") {
  Deadlines& run = *this;
  RecordedEffects effects;
  run("SET k v");
  client.executor().set_recorder(&effects);
  run("EXPIRE k 10");
  CHECK(effects.take() == std::vector<std::string>{"0 deadline k 1700000010000"});
  run("EXPIRE k 5 GT");
  CHECK(effects.take().empty());
  run("PERSIST k");
  CHECK(effects.take() == std::vector<std::string>{"0 deadline k -1"});
  run("EXPIRE k -1");
  CHECK(effects.take() == std::vector<std::string>{"0 erase k"});
}

}  // namespace
}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// Sorted sets: encodings around their thresholds, replies and errors of the commands, effects,
// freeing in slices, and long random histories against a std::map.
#include "engine/types/zset.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "engine/blocking.h"
#include "engine/memory.h"
#include "engine/reclaimer.h"
#include "engine/value.h"
#include "tests/engine_client.h"
#include "tests/recorded_effects.h"

namespace dyno {
namespace {

const std::string kWrongTypeError =
    "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";

std::string joined(const std::string& reply) {
  std::string text;
  for (const std::string& element : elements_of(reply)) text += (text.empty() ? "" : " ") + element;
  return text;
}

struct ZSets : EngineFixture {
  ZSets()
      : EngineFixture{kZSetCommands, kZSetRangeCommands, kZSetAlgebraCommands, kZSetPopCommands,
                      kSetCommands,  kStringCommands,    kGenericCommands,     kExpiryCommands} {}

  void add_many(const std::string& name, int count) {
    for (int i = 0; i < count; ++i) {
      client.run({"ZADD", name, std::to_string(i), "member:" + std::to_string(i)});
    }
  }
};

}  // namespace

TEST_CASE_FIXTURE(ZSets, "zset: ZADD and its options") {
  ZSets& run = *this;
  CHECK(run("ZADD z 1 a 2 b") == ":2\r\n");
  CHECK(run("ZADD z 1 a 3 b 4 c") == ":1\r\n");
  CHECK(run("ZADD z CH 1 a 5 b 4 d") == ":2\r\n");
  CHECK(run("ZADD z NX 9 a 9 e") == ":1\r\n");
  CHECK(run("ZADD z XX CH 8 e 8 f") == ":1\r\n");
  CHECK(run("ZADD z GT CH 7 e 9 b") == ":1\r\n");
  CHECK(run("ZADD z LT CH 7 e 10 b") == ":1\r\n");
  CHECK(joined(run("ZRANGE z 0 -1 WITHSCORES")) == "a 1 c 4 d 4 e 7 b 9");
  CHECK(run("ZADD z INCR 2.5 a") == "$3\r\n3.5\r\n");
  CHECK(run("ZADD z NX INCR 2.5 a") == "$-1\r\n");
  CHECK(run("ZADD z XX INCR 2.5 nobody") == "$-1\r\n");
  CHECK(run("ZADD z GT INCR -1 a") == "$-1\r\n");
  CHECK(run("ZINCRBY z -3.5 a") == "$1\r\n0\r\n");
  CHECK(run("ZADD missing XX 1 a") == ":0\r\n");
  CHECK(run("EXISTS missing") == ":0\r\n");
}

TEST_CASE_FIXTURE(ZSets, "zset: errors in Redis' order, changing nothing") {
  ZSets& run = *this;
  run("SET s text");
  run("ZADD z 1 a");
  CHECK(run("ZADD s 1") == "-ERR wrong number of arguments for 'zadd' command\r\n");
  CHECK(run("ZADD s 1 a 2") == "-ERR syntax error\r\n");
  CHECK(run("ZADD s NX XX 1 a") ==
        "-ERR XX and NX options at the same time are not compatible\r\n");
  CHECK(run("ZADD s GT LT 1 a") ==
        "-ERR GT, LT, and/or NX options at the same time are not compatible\r\n");
  CHECK(run("ZADD s INCR 1 a 2 b") ==
        "-ERR INCR option supports a single increment-element pair\r\n");
  CHECK(run("ZADD s nan a") == "-ERR value is not a valid float\r\n");
  CHECK(run("ZADD z 2 a oops b") == "-ERR value is not a valid float\r\n");
  CHECK(run("ZSCORE z a") == "$1\r\n1\r\n");
  CHECK(run("ZADD s 1 a") == kWrongTypeError);
  run("ZADD z inf i");
  CHECK(run("ZINCRBY z -inf i") == "-ERR resulting score is not a number (NaN)\r\n");
  CHECK(run("ZSCORE z i") == "$3\r\ninf\r\n");
  for (const char* line :
       {"ZREM s a", "ZCARD s", "ZSCORE s a", "ZMSCORE s a", "ZRANK s a", "ZRANDMEMBER s",
        "ZSCAN s 0", "ZRANGE s 0 -1", "ZCOUNT s 0 1", "ZLEXCOUNT s - +", "ZREMRANGEBYRANK s 0 -1",
        "ZPOPMIN s", "ZMPOP 1 s MIN", "BZPOPMIN s 0", "ZUNION 1 s", "ZRANGESTORE d s 0 -1"}) {
    CAPTURE(line);
    CHECK(run(line) == kWrongTypeError);
  }
  CHECK(run("ZRANK z a b c") == "-ERR wrong number of arguments for 'zrank' command\r\n");
  CHECK(run("ZRANGE z 0 1 LIMIT 0 1") ==
        "-ERR syntax error, LIMIT is only supported in combination with either BYSCORE or "
        "BYLEX\r\n");
  CHECK(run("ZRANGE z - + BYLEX WITHSCORES") ==
        "-ERR syntax error, WITHSCORES not supported in combination with BYLEX\r\n");
  CHECK(run("ZRANGEBYSCORE z (nan 1") == "-ERR min or max is not a float\r\n");
  CHECK(run("ZRANGEBYSCORE z ((1 1") == "-ERR min or max is not a float\r\n");
  CHECK(run("ZRANGEBYLEX z a +") == "-ERR min or max not valid string range item\r\n");
  CHECK(run("ZRANDMEMBER z -9223372036854775808 WITHSCORES").substr(0, 27) ==
        "-ERR value is out of range,");
  CHECK(run("ZRANDMEMBER z -4611686018427387905 WITHSCORES") == "-ERR value is out of range\r\n");
  CHECK(run("ZUNION 0 z") == "-ERR at least 1 input key is needed for 'zunion' command\r\n");
  CHECK(run("ZUNION 3 z") == "-ERR syntax error\r\n");
  CHECK(run("ZMPOP 0 z MIN") == "-ERR numkeys should be greater than 0\r\n");
  CHECK(run("ZMPOP 1 z MIN COUNT 0") == "-ERR count should be greater than 0\r\n");
  CHECK(run("ZPOPMIN z -1") == "-ERR value is out of range, must be positive\r\n");
}

TEST_CASE_FIXTURE(ZSets, "zset: encodings at the thresholds") {
  ZSets& run = *this;
  add_many("z", 128);
  CHECK(encoding("z") == "listpack");
  run("ZADD z 5 member:3");
  CHECK(encoding("z") == "listpack");
  run("ZADD z 5 one-more");
  CHECK(encoding("z") == "skiplist");
  run("ZREM z one-more");
  CHECK(encoding("z") == "skiplist");
  client.run({"ZADD", "w", "1", std::string(64, 'x')});
  CHECK(encoding("w") == "listpack");
  client.run({"ZADD", "w", "1", std::string(65, 'x')});
  CHECK(encoding("w") == "skiplist");
  CHECK(run("ZCARD w") == ":2\r\n");
  client.limits().zset_packed_entries = 0;
  run("ZADD v 1 a");
  CHECK(encoding("v") == "skiplist");
  // A command that may bring more than fits converts at once, as in Redis.
  client.limits().zset_packed_entries = 2;
  run("ZADD u 1 a");
  CHECK(encoding("u") == "listpack");
  run("ZADD u 1 a 1 a 1 a");
  CHECK(encoding("u") == "skiplist");
  // Whatever the limits, a packed value ends at 64 KiB.
  client.limits().zset_packed_entries = 1'000'000;
  client.limits().zset_packed_value_bytes = 1'000'000;
  for (int i = 0; i < 100; ++i) {
    client.run({"ZADD", "big", std::to_string(i), std::string(1000, 'b') + std::to_string(i)});
  }
  CHECK(encoding("big") == "skiplist");
  CHECK(run("ZCARD big") == ":100\r\n");
}

TEST_CASE_FIXTURE(ZSets, "zset: -0 is 0 while packed and stays -0 when large") {
  ZSets& run = *this;
  run("ZADD z -0 a");
  CHECK(run("ZSCORE z a") == "$1\r\n0\r\n");
  std::string text(65, 'x');
  client.run({"ZADD", "large", "-0", text});
  CHECK(client.run({"ZSCORE", "large", text}) == "$2\r\n-0\r\n");
  run("ZADD large 0 b 0 a");
  CHECK(joined(run("ZRANGE large 0 1")) == "a b");
  CHECK(run("ZCOUNT large 0 0") == ":3\r\n");
}

TEST_CASE_FIXTURE(ZSets, "zset: ranges of every kind, packed and large") {
  ZSets& run = *this;
  for (int large = 0; large < 2; ++large) {
    client.limits().zset_packed_entries = large ? 0 : 128;
    run("DEL z t");
    run("ZADD z 1 a 2 b 3 c 4 d 5 e");
    run("ZADD t 0 a 0 b 0 c 0 d 0 e");
    CHECK(joined(run("ZRANGE z 1 -2")) == "b c d");
    CHECK(joined(run("ZRANGE z 1 3 REV WITHSCORES")) == "d 4 c 3 b 2");
    CHECK(run("ZRANGE z 3 1") == "*0\r\n");
    CHECK(run("ZRANGE z 9223372036854775807 9223372036854775807") == "*0\r\n");
    CHECK(joined(run("ZRANGE z -9223372036854775808 0")) == "a");
    CHECK(joined(run("ZREVRANGE z 0 1")) == "e d");
    CHECK(joined(run("ZRANGEBYSCORE z (1 3")) == "b c");
    CHECK(joined(run("ZRANGEBYSCORE z -inf +inf LIMIT 1 2")) == "b c");
    CHECK(run("ZRANGEBYSCORE z -inf +inf LIMIT -5 -1") == "*0\r\n");
    CHECK(joined(run("ZRANGEBYSCORE z -inf +inf LIMIT 4 9223372036854775807")) == "e");
    CHECK(joined(run("ZREVRANGEBYSCORE z 4 (1 LIMIT 1 2 WITHSCORES")) == "c 3 b 2");
    CHECK(joined(run("ZRANGE z (4 1 BYSCORE REV LIMIT 0 2")) == "c b");
    CHECK(joined(run("ZRANGEBYLEX t [b (d")) == "b c");
    CHECK(joined(run("ZREVRANGEBYLEX t + (b")) == "e d c");
    CHECK(joined(run("ZRANGE t + - BYLEX REV LIMIT 1 1")) == "d");
    CHECK(run("ZRANGEBYLEX t + -") == "*0\r\n");
    CHECK(run("ZCOUNT z 2 (5") == ":3\r\n");
    CHECK(run("ZLEXCOUNT t (a +") == ":4\r\n");
    CHECK(run("ZRANK z d") == ":3\r\n");
    CHECK(run("ZREVRANK z d WITHSCORE") == "*2\r\n:1\r\n$1\r\n4\r\n");
    CHECK(run("ZRANK z x") == "$-1\r\n");
    CHECK(run("ZRANK z x WITHSCORE") == "*-1\r\n");
    CHECK(run("ZRANGESTORE d z (1 inf BYSCORE REV LIMIT 1 2") == ":0\r\n");
    CHECK(run("ZRANGESTORE d z inf (1 BYSCORE REV LIMIT 1 2") == ":2\r\n");
    CHECK(joined(run("ZRANGE d 0 -1")) == "c d");
    CHECK(run("ZRANGESTORE z z 1 2") == ":2\r\n");
    CHECK(joined(run("ZRANGE z 0 -1 WITHSCORES")) == "b 2 c 3");
    CHECK(run("ZRANGESTORE z missing 0 -1") == ":0\r\n");
    CHECK(run("EXISTS z") == ":0\r\n");
    CHECK(run("ZREMRANGEBYLEX t [d +") == ":2\r\n");
    CHECK(run("ZREMRANGEBYRANK t 1 1") == ":1\r\n");
    CHECK(joined(run("ZRANGE t 0 -1")) == "a c");
    CHECK(run("ZREMRANGEBYSCORE t 0 0") == ":2\r\n");
    CHECK(run("EXISTS t") == ":0\r\n");
  }
}

TEST_CASE_FIXTURE(ZSets, "zset: pops, and RESP3's pairs") {
  ZSets& run = *this;
  run("ZADD z 1 a 2 b 3 c 4 d 5 e");
  CHECK(joined(run("ZPOPMIN z")) == "a 1");
  CHECK(joined(run("ZPOPMAX z 2")) == "e 5 d 4");
  CHECK(run("ZPOPMIN z 0") == "*0\r\n");
  CHECK(run("ZMPOP 2 none z MAX") == "*2\r\n$1\r\nz\r\n*1\r\n*2\r\n$1\r\nc\r\n$1\r\n3\r\n");
  CHECK(run("BZPOPMIN none z 0") == "*3\r\n$1\r\nz\r\n$1\r\nb\r\n$1\r\n2\r\n");
  CHECK(run("EXISTS z") == ":0\r\n");
  CHECK(run("ZPOPMIN z") == "*0\r\n");
  CHECK(run("ZMPOP 1 z MIN") == "*-1\r\n");
  client.session().protocol = 3;
  run("ZADD z 1 a 2 b 3.5 c");
  CHECK(run("ZPOPMIN z") == "*2\r\n$1\r\na\r\n,1\r\n");
  CHECK(run("ZPOPMIN z 1") == "*1\r\n*2\r\n$1\r\nb\r\n,2\r\n");
  CHECK(run("ZRANGE z 0 -1 WITHSCORES") == "*1\r\n*2\r\n$1\r\nc\r\n,3.5\r\n");
  CHECK(run("ZSCORE z c") == ",3.5\r\n");
  CHECK(run("ZRANDMEMBER z 1 WITHSCORES") == "*1\r\n*2\r\n$1\r\nc\r\n,3.5\r\n");
  CHECK(run("ZUNION 1 z WITHSCORES") == "*1\r\n*2\r\n$1\r\nc\r\n,3.5\r\n");
}

TEST_CASE_FIXTURE(ZSets, "zset: a waiting client is served by the next writer") {
  ZSets& run = *this;
  Session waiting;
  int woken = 0;
  waiting.wake = [&](const std::shared_ptr<Waiter>&) { ++woken; };
  ByteBuffer buffer;
  Reply reply(&buffer);
  auto block_on = [&](std::vector<std::string_view> args) {
    client.executor().run(waiting, args, reply, client.now_ms);
    REQUIRE(buffer.empty());
    REQUIRE(waiting.waiter != nullptr);
  };
  block_on({"BZPOPMAX", "a", "b", "0"});
  CHECK(run("ZADD b 1 x 2 y") == ":2\r\n");
  CHECK(woken == 1);
  CHECK(waiting.waiter->reply.view() == "*3\r\n$1\r\nb\r\n$1\r\ny\r\n$1\r\n2\r\n");
  CHECK(run("ZCARD b") == ":1\r\n");
  waiting.waiter = nullptr;
  block_on({"BZMPOP", "0", "1", "c", "MIN", "COUNT", "10"});
  CHECK(run("ZUNIONSTORE c 1 b") == ":1\r\n");
  CHECK(woken == 2);
  CHECK(waiting.waiter->reply.view() == "*2\r\n$1\r\nc\r\n*1\r\n*2\r\n$1\r\nx\r\n$1\r\n1\r\n");
  CHECK(run("EXISTS c") == ":0\r\n");
  waiting.waiter = nullptr;
  CHECK(run("BZPOPMIN z nan") == "-ERR timeout is not a float or out of range\r\n");
  CHECK(run("BZPOPMIN z -1") == "-ERR timeout is negative\r\n");
}

TEST_CASE_FIXTURE(ZSets, "zset: unions, intersections and differences, with plain sets") {
  ZSets& run = *this;
  for (int large = 0; large < 2; ++large) {
    client.limits().zset_packed_entries = large ? 0 : 128;
    run("DEL a b s d");
    run("ZADD a 1 x 2 y 3 7");
    run("ZADD b 10 y 20 7 30 z");
    run("SADD s 7 z");
    CHECK(joined(run("ZUNION 2 a b WITHSCORES")) == "x 1 y 12 7 23 z 30");
    CHECK(joined(run("ZUNION 2 a b WEIGHTS 2 -1 AGGREGATE MIN WITHSCORES")) ==
          "z -30 7 -20 y -10 x 2");
    CHECK(joined(run("ZINTER 3 a b s WITHSCORES")) == "7 24");
    CHECK(joined(run("ZINTER 2 a b AGGREGATE MAX WITHSCORES")) == "y 10 7 20");
    CHECK(joined(run("ZDIFF 2 a s WITHSCORES")) == "x 1 y 2");
    CHECK(run("ZDIFF 2 missing a") == "*0\r\n");
    CHECK(run("ZINTERCARD 2 a b") == ":2\r\n");
    CHECK(run("ZINTERCARD 2 a b LIMIT 1") == ":1\r\n");
    CHECK(run("ZINTERCARD 2 a missing LIMIT 0") == ":0\r\n");
    CHECK(run("ZUNIONSTORE a 2 a a WEIGHTS 1 2") == ":3\r\n");
    CHECK(joined(run("ZRANGE a 0 -1 WITHSCORES")) == "x 3 y 6 7 9");
    CHECK(run("ZDIFFSTORE d 2 a b") == ":1\r\n");
    CHECK(run("ZINTERSTORE d 2 a missing") == ":0\r\n");
    CHECK(run("EXISTS d") == ":0\r\n");
    run("ZADD inf inf x");
    run("ZADD minf -inf x");
    CHECK(joined(run("ZUNION 2 inf minf WITHSCORES")) == "x 0");
    CHECK(joined(run("ZUNION 1 inf WEIGHTS 0 WITHSCORES")) == "x 0");
  }
}

TEST_CASE_FIXTURE(ZSets, "zset: random members are members, each as likely as any other") {
  ZSets& run = *this;
  add_many("z", 300);
  CHECK(elements_of(run("ZRANDMEMBER z -1000")).size() == 1000);
  for (int count : {1, 10, 150, 299, 300, 1000}) {
    std::vector<std::string> drawn = elements_of(run("ZRANDMEMBER z " + std::to_string(count)));
    CHECK(drawn.size() == static_cast<size_t>(std::min(count, 300)));
    CHECK(std::set<std::string>(drawn.begin(), drawn.end()).size() == drawn.size());
  }
  std::map<std::string, int> seen;
  for (int i = 0; i < 200; ++i) {
    for (const std::string& member : elements_of(run("ZRANDMEMBER z 30"))) ++seen[member];
  }
  CHECK(seen.size() == 300);  // Each is expected 20 times.
  CHECK(run("ZRANDMEMBER missing") == "$-1\r\n");
  CHECK(run("ZRANDMEMBER missing 5") == "*0\r\n");
  // More than a reply may hold is refused instead of written.
  client.limits().bulk_bytes_max = 1 << 20;
  CHECK(run("ZRANDMEMBER z -9223372036854775807") == "-ERR value is out of range\r\n");
}

TEST_CASE_FIXTURE(ZSets, "zset: ZSCAN sees everything that stays, whatever else changes") {
  ZSets& run = *this;
  add_many("z", 5000);
  std::map<std::string, int> seen;
  std::string cursor = "0";
  int step = 0;
  do {
    std::string reply = client.run({"ZSCAN", "z", cursor, "COUNT", "50"});
    size_t at = reply.find("\r\n", 4) + 2;
    size_t end = reply.find("\r\n", at);
    cursor = reply.substr(at, end - at);
    std::vector<std::string> found = elements_of(reply.substr(end + 2));
    for (size_t i = 0; i < found.size(); i += 2) {
      ++seen[found[i]];
      if (found[i].substr(0, 7) == "member:") CHECK(found[i + 1] == found[i].substr(7));
    }
    if (++step % 3 == 0) client.run({"ZADD", "z", "1", "new:" + std::to_string(step)});
    if (step % 5 == 0) client.run({"ZREM", "z", "new:" + std::to_string(step - 2)});
  } while (cursor != "0");
  for (int i = 0; i < 5000; ++i) CHECK(seen["member:" + std::to_string(i)] == 1);
  run("ZADD p 0.1 a 2 b");
  CHECK(run("ZSCAN p 0") ==
        "*2\r\n$1\r\n0\r\n*4\r\n$1\r\na\r\n$3\r\n0.1\r\n$1\r\nb\r\n$1\r\n2\r\n");
  CHECK(run("ZSCAN p 0 MATCH b*") == "*2\r\n$1\r\n0\r\n*2\r\n$1\r\nb\r\n$1\r\n2\r\n");
  CHECK(run("ZSCAN p x") == "-ERR invalid cursor\r\n");
  CHECK(run("ZSCAN p 0 COUNT 0") == "-ERR syntax error\r\n");
  CHECK(run("ZSCAN missing 0") == "*2\r\n$1\r\n0\r\n*0\r\n");
}

TEST_CASE_FIXTURE(ZSets, "zset: a large one is freed in slices") {
  add_many("z", 20000);
  int64_t with = memory::used_bytes();
  client("DEL z");
  int runs = 1;
  while (client.keyspace().reclaimer().run(1)) ++runs;
  CHECK(runs > 3);
  CHECK(with - memory::used_bytes() > 20000 * 30);
  add_many("z", 2000);
  with_key("z", [&](Key& key) {
    Entry* entry = key.take();
    int slices = 1;
    while (!kZSetOps.destroy_some(entry, 100)) ++slices;
    CHECK(slices >= 10);
    memory::release(entry);
  });
}

TEST_CASE_FIXTURE(ZSets, "zset: of a range that is most of a large set, the rest stays as it was") {
  ZSets& run = *this;
  struct Cut {
    int first, last;
  };
  for (Cut cut : {Cut{0, 8999}, Cut{1000, 9998}, Cut{1, 9999}, Cut{7, 9990}, Cut{2000, 7001}}) {
    add_many("z", 10000);
    int removed = cut.last - cut.first + 1;
    CHECK(client.run({"ZREMRANGEBYRANK", "z", std::to_string(cut.first),
                      std::to_string(cut.last)}) == ":" + std::to_string(removed) + "\r\n");
    CHECK(run("ZCARD z") == ":" + std::to_string(10000 - removed) + "\r\n");
    std::string left;
    for (int i = 0; i < 10000; ++i) {
      std::string member = "member:" + std::to_string(i);
      bool stays = i < cut.first || i > cut.last;
      if (stays) left += (left.empty() ? "" : " ") + member;
      if (i % 97 == 0 || i == cut.first || i == cut.last) {
        std::string score = std::to_string(i);
        CHECK(client.run({"ZSCORE", "z", member}) ==
              (stays ? "$" + std::to_string(score.size()) + "\r\n" + score + "\r\n" : "$-1\r\n"));
      }
    }
    CHECK(joined(run("ZRANGE z 0 -1")) == left);
    CHECK(client.run({"ZADD", "z", "-1", "member:" + std::to_string(cut.first)}) == ":1\r\n");
    CHECK(joined(run("ZRANGE z 0 0")) == "member:" + std::to_string(cut.first));
    CHECK(run("DEL z") == ":1\r\n");
    client.keyspace().reclaimer().finish();
  }
}

TEST_CASE_FIXTURE(ZSets, "zset: mutators record what they changed") {
  for (int large = 0; large < 2; ++large) {
    client.limits().zset_packed_entries = large ? 0 : 128;
    RecordedEffects recorder;
    with_key(
        "z",
        [](Key& key) {
          ZSet set(key);
          set.expect(1, 1);
          set.put(set.find("a"), "a", 1);
          set.put(set.find("b"), "b", 2);
          set.put(set.find("c"), "c", 3);
          set.put(set.find("a"), "a", 4);
          set.put(set.find("a"), "a", 4);
          set.erase(set.find("b"), "b");
          set.erase_range(0, 1);
          set.erase_range(0, 1);
          CHECK(!key.exists());
          MemberList members;
          members.add("y", 2, true);
          members.add("x", 1, true);
          ZSet::replace(key, members);
          ZSet::replace(key, members);
        },
        &recorder);
    CHECK(recorder.take() ==
          std::vector<std::string>{"0 score z a =1 new", "0 score z b =2 new", "0 score z c =3 new",
                                   "0 score z a =4", "0 score z a =4", "0 score-erase z b",
                                   "0 score-erase z c", "0 score-erase z a", "0 emptied z",
                                   "0 erase z", "0 score z x =1 new", "0 score z y =2 new",
                                   "0 erase z", "0 score z x =1 new", "0 score z y =2 new"});
    client("DEL z");
  }
}

TEST_CASE_FIXTURE(ZSets, "zset: COPY has the same members and a deadline of its own") {
  for (int count : {5, 500}) {
    client("DEL z y");
    add_many("z", count);
    client("EXPIRE z 100");
    CHECK(client("COPY z y") == ":1\r\n");
    client("ZREM z member:1");
    CHECK(client("ZCARD y") == ":" + std::to_string(count) + "\r\n");
    CHECK(client("ZSCORE y member:1") == "$1\r\n1\r\n");
    CHECK(client("TTL y") == ":100\r\n");
  }
}

namespace {

using Model = std::map<std::string, double>;

std::vector<std::pair<double, std::string>> in_order(const Model& model) {
  std::vector<std::pair<double, std::string>> all;
  for (const auto& [member, score] : model) all.emplace_back(score, member);
  std::sort(all.begin(), all.end());
  return all;
}

std::string listed(const std::vector<std::pair<double, std::string>>& all) {
  std::string text;
  for (const auto& [score, member] : all) {
    text += (text.empty() ? "" : " ") + member + " " + format_double(score);
  }
  return text;
}

// One change of a random kind, to the set and to the model.
void change(EngineClient& client, Model& model, std::mt19937_64& random, int members) {
  std::string member = std::to_string(random() % static_cast<uint64_t>(members));
  if (random() % 3 == 0) member = "m" + member;
  double score = static_cast<double>(random() % 200) / 4 - 20;
  std::string score_text = format_double(score);
  switch (random() % 8) {
    case 0:
    case 1:
    case 2:
    case 3: {
      bool is_new = !model.contains(member);
      CHECK(client.run({"ZADD", "z", score_text, member}) == (is_new ? ":1\r\n" : ":0\r\n"));
      model[member] = score;
      break;
    }
    case 4:
    case 5: {
      double sum = model[member] += score;
      CHECK(client.run({"ZINCRBY", "z", score_text, member}) == bulk_reply(format_double(sum)));
      break;
    }
    case 6:
      CHECK(client.run({"ZREM", "z", member}) == (model.erase(member) ? ":1\r\n" : ":0\r\n"));
      break;
    default: {
      if (random() % 20 != 0) break;
      auto all = in_order(model);
      size_t first = random() % (all.size() + 1);
      size_t last = first + random() % 40;
      for (size_t i = first; i <= last && i < all.size(); ++i) model.erase(all[i].second);
      client.run({"ZREMRANGEBYRANK", "z", std::to_string(first), std::to_string(last)});
    }
  }
}

}  // namespace

TEST_CASE_FIXTURE(ZSets, "zset: long random histories agree with a model") {
  for (int members : {20, 100, 1000}) {
    std::mt19937_64 random(static_cast<uint64_t>(members));
    client("DEL z");
    Model model;
    for (int step = 0; step < 6000; ++step) {
      change(client, model, random, members);
      if (step % 100 != 0 || model.empty()) continue;
      auto all = in_order(model);
      REQUIRE(joined(client("ZRANGE z 0 -1 WITHSCORES")) == listed(all));
      std::reverse(all.begin(), all.end());
      REQUIRE(joined(client("ZREVRANGE z 0 -1 WITHSCORES")) == listed(all));
      size_t index = random() % all.size();
      CHECK(client.run({"ZREVRANK", "z", all[index].second}) ==
            ":" + std::to_string(index) + "\r\n");
      double low = all[index].first;
      auto inside =
          std::count_if(all.begin(), all.end(), [&](const auto& each) { return each.first > low; });
      CHECK(client.run({"ZCOUNT", "z", "(" + format_double(low), "+inf"}) ==
            ":" + std::to_string(inside) + "\r\n");
    }
  }
}

}  // namespace dyno

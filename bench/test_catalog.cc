// SPDX-License-Identifier: Apache-2.0
// The table. Rows under the first mark are redis-benchmark's own; the others spread their work over
// many collections of ten or a hundred elements, as applications do.
#include "bench/test_catalog.h"

#include <array>

#include "bench/workload.h"

namespace dyno::bench {

namespace {

constexpr uint16_t kOk = kExpectStatus;
constexpr uint16_t kInt = kExpectInteger;
constexpr uint16_t kBulk = kExpectBulk;
constexpr uint16_t kList = kExpectList;
constexpr uint16_t kScore = kExpectScore;

constexpr std::string_view kSet = "SET __key__ __data__";
constexpr std::string_view kHash = "HSET h:__group__ f__member__ __data__";
constexpr std::string_view kPush = "RPUSH l:__group__ __data__";
constexpr std::string_view kAdd = "SADD s:__group__ m:__member__";
constexpr std::string_view kZadd = "ZADD z:__group__ __int__ m:__member__";

constexpr std::array kRows{
    // redis-benchmark's names and commands.
    TestRow{"ping_inline", "PING", kOk, "", 0, 1, "", "server"},
    TestRow{"ping_mbulk", "PING", kOk, "", 0, 1, "", "server"},
    TestRow{"ping", "PING", kOk, "", 0, 1, "", "server"},
    TestRow{"set", "SET __key__ __data__", kOk, "", 0, 1, "", "string"},
    TestRow{"get", "GET __key__", kBulk, kSet, 0, 1, "", "string"},
    TestRow{"incr", "INCR counter:__rand_int__", kInt, "", 0, 1, "", "string"},
    TestRow{"lpush", "LPUSH mylist __data__", kInt, "", 0, 1, "DEL mylist", "list"},
    TestRow{"rpush", "RPUSH mylist __data__", kInt, "", 0, 1, "DEL mylist", "list"},
    TestRow{"lpop", "LPOP mylist", kBulk, "RPUSH mylist __data__", 0, 1, "DEL mylist", "list"},
    TestRow{"rpop", "RPOP mylist", kBulk, "RPUSH mylist __data__", 0, 1, "DEL mylist", "list"},
    TestRow{"sadd", "SADD myset element:__rand_int__", kInt, "", 0, 1, "DEL myset", "set"},
    TestRow{"hset", "HSET myhash element:__rand_int__ __data__", kInt, "", 0, 1, "DEL myhash",
            "hash"},
    TestRow{"spop", "SPOP myset", kBulk, "SADD myset element:__id__", 0, 1, "DEL myset", "set"},
    TestRow{"zadd", "ZADD myzset __int__ element:__rand_int__", kInt, "", 0, 1, "DEL myzset",
            "zset"},
    TestRow{"zpopmin", "ZPOPMIN myzset", kList, "ZADD myzset __int__ element:__id__", 0, 1,
            "DEL myzset", "zset"},
    TestRow{"lrange_100", "LRANGE mylist 0 99", kList, "LPUSH mylist __data__", 1000, 1,
            "DEL mylist", "list"},
    TestRow{"lrange_300", "LRANGE mylist 0 299", kList, "LPUSH mylist __data__", 1000, 1,
            "DEL mylist", "list"},
    TestRow{"lrange_500", "LRANGE mylist 0 499", kList, "LPUSH mylist __data__", 1000, 1,
            "DEL mylist", "list"},
    TestRow{"lrange_600", "LRANGE mylist 0 599", kList, "LPUSH mylist __data__", 1000, 1,
            "DEL mylist", "list"},
    TestRow{"mset",
            "MSET __key__ __data__ __key__ __data__ __key__ __data__ __key__ __data__ __key__ "
            "__data__ __key__ __data__ __key__ __data__ __key__ __data__ __key__ __data__ __key__ "
            "__data__",
            kOk, "", 0, 1, "", "string"},
    // Strings and keys.
    TestRow{"mget",
            "MGET __key__ __key__ __key__ __key__ __key__ __key__ __key__ __key__ __key__ __key__",
            kList, kSet, 0, 1, "", "string"},
    TestRow{"setex", "SETEX __key__ 3600 __data__", kOk, "", 0, 1, "", "string"},
    TestRow{"setnx", "SETNX __key__ __data__", kInt, kSet, 0, 1, "", "string"},
    TestRow{"getset", "GETSET __key__ __data__", kBulk, kSet, 0, 1, "", "string"},
    TestRow{"append", "APPEND a:__id__ x", kInt, "", 0, 1, "", "string"},
    TestRow{"strlen", "STRLEN __key__", kInt, kSet, 0, 1, "", "string"},
    TestRow{"getrange", "GETRANGE __key__ 2 9", kBulk, kSet, 0, 1, "", "string"},
    TestRow{"setrange", "SETRANGE __key__ 4 abcd", kInt, kSet, 0, 1, "", "string"},
    TestRow{"incrby", "INCRBY counter:__id__ 7", kInt, "", 0, 1, "", "string"},
    TestRow{"decr", "DECR counter:__id__", kInt, "", 0, 1, "", "string"},
    TestRow{"incrbyfloat", "INCRBYFLOAT float:__id__ 0.5", kBulk, "", 0, 1, "", "string"},
    TestRow{"exists", "EXISTS __key__", kInt, kSet, 0, 1, "", "key"},
    TestRow{"del", "DEL __key__", kInt, kSet, 0, 1, "", "key"},
    TestRow{"expire", "EXPIRE __key__ 3600", kInt, kSet, 0, 1, "", "key"},
    TestRow{"ttl", "TTL __key__", kInt, kSet, 0, 1, "", "key"},
    TestRow{"type", "TYPE __key__", kOk, kSet, 0, 1, "", "key"},
    // Hashes of ten fields.
    TestRow{"hset_many", kHash, kInt, "", 0, 10, "", "hash"},
    TestRow{"hget", "HGET h:__group__ f__member__", kBulk, kHash, 0, 10, "", "hash"},
    TestRow{"hmget", "HMGET h:__group__ f0 f3 f7", kList, kHash, 0, 10, "", "hash"},
    TestRow{"hgetall", "HGETALL h:__group__", kList, kHash, 0, 10, "", "hash"},
    TestRow{"hincrby", "HINCRBY hc:__group__ f__member__ 1", kInt, "", 0, 10, "", "hash"},
    TestRow{"hdel", "HDEL h:__group__ f__member__", kInt, kHash, 0, 10, "", "hash"},
    TestRow{"hexists", "HEXISTS h:__group__ f__member__", kInt, kHash, 0, 10, "", "hash"},
    TestRow{"hlen", "HLEN h:__group__", kInt, kHash, 0, 10, "", "hash"},
    TestRow{"hget_big", "HGET myhash element:__id__", kBulk, "HSET myhash element:__id__ __data__",
            0, 1, "DEL myhash", "hash"},
    // Lists of a hundred elements.
    TestRow{"rpush_many", kPush, kInt, "", 0, 100, "", "list"},
    TestRow{"lpush_many", "LPUSH l:__group__ __data__", kInt, "", 0, 100, "", "list"},
    TestRow{"lpop_many", "LPOP l:__group__", kBulk, kPush, 0, 100, "", "list"},
    TestRow{"rpop_many", "RPOP l:__group__", kBulk, kPush, 0, 100, "", "list"},
    TestRow{"lindex", "LINDEX l:__group__ __member__", kBulk, kPush, 0, 10, "", "list"},
    TestRow{"lset", "LSET l:__group__ __member__ __data__", kOk, kPush, 0, 10, "", "list"},
    TestRow{"llen", "LLEN l:__group__", kInt, kPush, 0, 100, "", "list"},
    TestRow{"lrange_10", "LRANGE l:__group__ 0 9", kList, kPush, 0, 100, "", "list"},
    // Sets of a hundred members.
    TestRow{"sadd_many", kAdd, kInt, "", 0, 100, "", "set"},
    TestRow{"sismember", "SISMEMBER s:__group__ m:__member__", kInt, kAdd, 0, 100, "", "set"},
    TestRow{"srem", "SREM s:__group__ m:__member__", kInt, kAdd, 0, 100, "", "set"},
    TestRow{"scard", "SCARD s:__group__", kInt, kAdd, 0, 100, "", "set"},
    TestRow{"smembers", "SMEMBERS s:__group__", kList, kAdd, 0, 10, "", "set"},
    TestRow{"srandmember", "SRANDMEMBER s:__group__", kBulk, kAdd, 0, 100, "", "set"},
    TestRow{"sismember_big", "SISMEMBER myset element:__id__", kInt, "SADD myset element:__id__", 0,
            1, "DEL myset", "set"},
    // Sorted sets of a hundred members.
    TestRow{"zadd_many", kZadd, kInt, "", 0, 100, "", "zset"},
    TestRow{"zscore", "ZSCORE z:__group__ m:__member__", kScore, kZadd, 0, 100, "", "zset"},
    TestRow{"zrank", "ZRANK z:__group__ m:__member__", kInt, kZadd, 0, 100, "", "zset"},
    TestRow{"zincrby", "ZINCRBY z:__group__ 1 m:__member__", kScore, kZadd, 0, 100, "", "zset"},
    TestRow{"zrem", "ZREM z:__group__ m:__member__", kInt, kZadd, 0, 100, "", "zset"},
    TestRow{"zcard", "ZCARD z:__group__", kInt, kZadd, 0, 100, "", "zset"},
    TestRow{"zrange_10", "ZRANGE z:__group__ 0 9", kList, kZadd, 0, 100, "", "zset"},
    TestRow{"zrangebyscore", "ZRANGEBYSCORE z:__group__ __int__ +inf LIMIT 0 10", kList, kZadd, 0,
            100, "", "zset"},
    TestRow{"zcount", "ZCOUNT z:__group__ __int__ +inf", kInt, kZadd, 0, 100, "", "zset"},
    TestRow{"zscore_big", "ZSCORE myzset element:__id__", kScore,
            "ZADD myzset __int__ element:__id__", 0, 1, "DEL myzset", "zset"},
    TestRow{"zrank_big", "ZRANK myzset element:__id__", kInt, "ZADD myzset __int__ element:__id__",
            0, 1, "DEL myzset", "zset"},
};

}  // namespace

std::span<const TestRow> test_catalog() {
  return kRows;
}

const TestRow* find_test(std::string_view name) {
  const auto same = [&](std::string_view other) {
    if (other.size() != name.size()) return false;
    for (size_t i = 0; i < name.size(); ++i) {
      const char c = name[i] >= 'A' && name[i] <= 'Z' ? static_cast<char>(name[i] | 0x20) : name[i];
      if (c != other[i]) return false;
    }
    return true;
  };
  for (const TestRow& row : kRows) {
    if (same(row.name)) return &row;
  }
  return nullptr;
}

}  // namespace dyno::bench

// SPDX-License-Identifier: Apache-2.0
//
// Replies in both versions of RESP, and the buffer that they are written to.
#include "protocol/resp_reply.h"

#include <doctest/doctest.h>

#include <cmath>
#include <random>
#include <string>

namespace dyno {
namespace {

template <class Write>
std::string reply_of(int version, Write&& write) {
  ByteBuffer buffer;
  Reply reply(&buffer, version);
  write(reply);
  return std::string(buffer.view());
}

#define CHECK_REPLY(write, resp2, resp3)                                \
  CHECK(reply_of(2, [&](Reply& r) { r.write; }) == std::string(resp2)); \
  CHECK(reply_of(3, [&](Reply& r) { r.write; }) == std::string(resp3))

TEST_CASE("single values") {
  CHECK_REPLY(ok(), "+OK\r\n", "+OK\r\n");
  CHECK_REPLY(simple("QUEUED"), "+QUEUED\r\n", "+QUEUED\r\n");
  CHECK_REPLY(error("ERR no"), "-ERR no\r\n", "-ERR no\r\n");
  CHECK_REPLY(error("ERR a\r\nb\n"), "-ERR a  b \r\n", "-ERR a  b \r\n");
  CHECK_REPLY(integer(0), ":0\r\n", ":0\r\n");
  CHECK_REPLY(integer(INT64_MIN), ":-9223372036854775808\r\n", ":-9223372036854775808\r\n");
  CHECK_REPLY(integer(INT64_MAX), ":9223372036854775807\r\n", ":9223372036854775807\r\n");
  CHECK_REPLY(boolean(true), ":1\r\n", "#t\r\n");
  CHECK_REPLY(boolean(false), ":0\r\n", "#f\r\n");
  CHECK_REPLY(bulk("abc"), "$3\r\nabc\r\n", "$3\r\nabc\r\n");
  CHECK_REPLY(bulk(""), "$0\r\n\r\n", "$0\r\n\r\n");
  CHECK_REPLY(bulk(std::string_view()), "$0\r\n\r\n", "$0\r\n\r\n");
  CHECK_REPLY(bulk_int(-12), "$3\r\n-12\r\n", "$3\r\n-12\r\n");
  CHECK_REPLY(number(1.5), "$3\r\n1.5\r\n", ",1.5\r\n");
  CHECK_REPLY(number(-3), "$2\r\n-3\r\n", ",-3\r\n");
  CHECK_REPLY(number(HUGE_VAL), "$3\r\ninf\r\n", ",inf\r\n");
  CHECK_REPLY(number(-HUGE_VAL), "$4\r\n-inf\r\n", ",-inf\r\n");
  CHECK_REPLY(verbatim("hi"), "$2\r\nhi\r\n", "=6\r\ntxt:hi\r\n");
  CHECK_REPLY(verbatim("hi", "mkd"), "$2\r\nhi\r\n", "=6\r\nmkd:hi\r\n");
  CHECK_REPLY(null(), "$-1\r\n", "_\r\n");
  CHECK_REPLY(null_array(), "*-1\r\n", "_\r\n");
  std::string large(100000, 'x');
  CHECK_REPLY(bulk(large), "$100000\r\n" + large + "\r\n", "$100000\r\n" + large + "\r\n");
}

TEST_CASE("aggregates of known size") {
  CHECK_REPLY(array(0), "*0\r\n", "*0\r\n");
  CHECK_REPLY(array(9), "*9\r\n", "*9\r\n");
  CHECK_REPLY(array(10), "*10\r\n", "*10\r\n");
  CHECK_REPLY(array(1048577), "*1048577\r\n", "*1048577\r\n");
  CHECK_REPLY(map(5), "*10\r\n", "%5\r\n");
  CHECK_REPLY(set(2), "*2\r\n", "~2\r\n");
  CHECK_REPLY(push(3), "*3\r\n", ">3\r\n");
}

TEST_CASE("aggregates whose size is known at their end") {
  for (int count : {0, 1, 9, 10, 1000}) {
    for (int version : {2, 3}) {
      std::string body;
      for (int i = 0; i < count; ++i) body += ":1\r\n";
      auto finished = [&](void (Reply::*finish)(size_t, size_t), size_t size) {
        return reply_of(version, [&](Reply& reply) {
          reply.bulk("before");
          size_t begun = reply.begin();
          for (int i = 0; i < count; ++i) reply.integer(1);
          (reply.*finish)(begun, size);
          reply.bulk("after");
        });
      };
      auto wanted = [&](char type, int size) {
        return "$6\r\nbefore\r\n" + (type + std::to_string(size)) + "\r\n" + body +
               "$5\r\nafter\r\n";
      };
      auto size = static_cast<size_t>(count);
      CHECK(finished(&Reply::finish_array, size) == wanted('*', count));
      CHECK(finished(&Reply::finish_set, size) == wanted(version == 3 ? '~' : '*', count));
      CHECK(finished(&Reply::finish_map, size) ==
            (version == 3 ? wanted('%', count) : wanted('*', 2 * count)));
    }
  }
}

TEST_CASE("what was written can be taken back") {
  CHECK(reply_of(2, [](Reply& reply) {
          reply.ok();
          size_t begun = reply.begin();
          reply.array(2);
          reply.bulk("a");
          reply.rewind(begun);
          reply.error("ERR x");
        }) == "+OK\r\n-ERR x\r\n");
}

TEST_CASE("a reply can go elsewhere for a while") {
  ByteBuffer first;
  ByteBuffer second;
  Reply reply(&first);
  reply.ok();
  reply.redirect(&second);
  reply.integer(1);
  reply.redirect(&first);
  reply.raw(second.view());
  CHECK(first.view() == "+OK\r\n:1\r\n");
}

TEST_CASE("a buffer is the bytes that were put in and not yet taken out") {
  std::mt19937 random(4);
  ByteBuffer buffer;
  std::string model;
  for (int round = 0; round < 20000; ++round) {
    std::string piece(random() % 50 == 0 ? random() % 20000 : random() % 100,
                      static_cast<char>('a' + random() % 26));
    switch (random() % 7) {
      case 0:
        buffer.append(piece);
        model += piece;
        break;
      case 1:
        buffer.push_back('!');
        model += '!';
        break;
      case 2: {
        size_t at = random() % (model.size() + 1);
        buffer.insert(at, piece);
        model.insert(at, piece);
        break;
      }
      case 3:
      case 4: {
        size_t size = std::min<size_t>(model.size(), random() % 200);
        if (random() % 10 == 0) size = model.size();
        buffer.consume(size);
        model.erase(0, size);
        break;
      }
      case 5: {
        size_t size = model.size() - std::min<size_t>(model.size(), random() % 20);
        buffer.truncate(size);
        model.resize(size);
        break;
      }
      default: {
        size_t size = random() % 300;
        char* at = buffer.reserve(size);
        CHECK(buffer.room() >= size);
        for (size_t i = 0; i < size / 2; ++i) at[i] = 'r';
        buffer.commit(size / 2);
        model.append(size / 2, 'r');
      }
    }
    REQUIRE(buffer.size() == model.size());
    if (round % 16 == 0) REQUIRE(buffer.view() == model);
    if (model.size() > 100000) {
      buffer.clear();
      model.clear();
      buffer.shrink(round % 2 == 0 ? 0 : 1 << 30);
    }
  }
  ByteBuffer moved(std::move(buffer));
  CHECK(moved.view() == model);
}

}  // namespace
}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// DUMP and RESTORE: payloads that a redis-server made, one of every encoding; round trips; and
// payloads of which any byte is wrong though the checksum is right.
#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "engine/types/crc64.h"
#include "engine/types/lzf.h"
#include "engine/types/rdb_blob.h"
#include "tests/engine_client.h"

namespace dyno {
namespace {

constexpr std::string_view kOk = "+OK\r\n";
constexpr std::string_view kBadFormat = "-ERR Bad data format\r\n";
constexpr std::string_view kBadChecksum = "-ERR DUMP payload version or checksum are wrong\r\n";

std::string from_hex(std::string_view digits) {
  std::string bytes;
  auto value = [](char digit) { return digit <= '9' ? digit - '0' : digit - 'a' + 10; };
  for (size_t i = 0; i < digits.size(); i += 2) {
    bytes.push_back(static_cast<char>(value(digits[i]) * 16 + value(digits[i + 1])));
  }
  return bytes;
}

std::string sealed(std::string object, uint16_t version = 11) {
  object.push_back(static_cast<char>(version & 0xff));
  object.push_back(static_cast<char>(version >> 8));
  uint64_t checksum = crc64(object);
  for (int i = 0; i < 8; ++i) object.push_back(static_cast<char>(checksum >> (8 * i)));
  return object;
}

// The bytes of a bulk reply.
std::string body_of(const std::string& reply) {
  size_t start = reply.find("\r\n") + 2;
  return reply.substr(start, reply.size() - start - 2);
}

std::string array_of(const std::vector<std::string>& texts) {
  std::string reply = "*" + std::to_string(texts.size()) + "\r\n";
  for (const std::string& text : texts) reply += bulk_reply(text);
  return reply;
}

std::string sorted_lines(const std::string& reply) {
  std::vector<std::string> lines;
  for (size_t at = 0; at < reply.size();) {
    size_t end = reply.find("\r\n", at);
    lines.push_back(reply.substr(at, end - at));
    at = end + 2;
  }
  std::sort(lines.begin(), lines.end());
  std::string joined;
  for (const std::string& line : lines) joined += line + "\n";
  return joined;
}

struct Dumps {
  EngineClient client{kDumpCommands,      kListCommands,      kSetCommands,    kZSetCommands,
                      kZSetRangeCommands, kHashCommands,      kStringCommands, kGenericCommands,
                      kExpiryCommands,    kHashExpiryCommands};

  std::string operator()(std::string_view line) { return client(line); }
  std::string dump(const std::string& key) { return body_of(client.run({"DUMP", key})); }
  std::string restore(const std::string& key, const std::string& payload) {
    return client.run({"RESTORE", key, "0", payload, "REPLACE"});
  }
  // All that a key holds, as replies. What has no order is sorted line by line.
  std::string content(const std::string& key) {
    std::string type = client.run({"TYPE", key});
    if (type == "+string\r\n") return client.run({"GET", key});
    if (type == "+list\r\n") return client.run({"LRANGE", key, "0", "-1"});
    if (type == "+hash\r\n") return sorted_lines(client.run({"HGETALL", key}));
    if (type == "+set\r\n") return sorted_lines(client.run({"SMEMBERS", key}));
    if (type == "+zset\r\n") return client.run({"ZRANGE", key, "0", "-1", "WITHSCORES"});
    return type;
  }
};

struct Sample {
  std::string_view name;
  std::string_view payload;  // In hexadecimal digits.
  std::vector<std::string_view> content;
};

const std::vector<Sample> kSamples = {
    {"string raw", "000568656c6c6f0a006372df766534200a", {"hello"}},
    {"string of 5", "00c0050a00632f5f66832fb351", {"5"}},
    {"string of -300", "00c1d4fe0a00c6c48623febede2e", {"-300"}},
    {"string of 70000", "00c2701101000a0001a408fe953095a5", {"70000"}},
    {"string of 12345678901", "000b31323334353637383930310a00304e52d727176510", {"12345678901"}},
    {"string LZF",
     "00c30b405a0361626361e04b020162630a00238036f9e2d0c780",
     {"abcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcab"
      "c"}},
    {"quicklist2 packed",
     "120102c33440731f73000000090081610280010c01d06002f1307503f200ee8504f30094357705f40b00007c1daf9"
     "3198309e04678e03c000148ff0a005be14989e4198fc5",
     {"a", "", "12", "-4000", "30000", "-8000000", "2000000000", "-9000000000000000000",
      "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}},
    {"quicklist2 plain",
     "1203020a0a0000000100816102ff01c30919017979e00c00017979020c0c00000002008162021101ff0a00c598707"
     "ee835dc35",
     {"a", "yyyyyyyyyyyyyyyyyyyyyyyyy", "b", "17"}},
    {"set", "0203c007016101620a008829d57252c0e257", {"a", "b", "7"}},
    {"intset 16", "0b0e0200000003000000feff01002c010a005b0aa862f794600a", {"1", "-2", "300"}},
    {"intset 32",
     "0b180400000004000000feffffff010000002c010000701101000a0027b7d31c9235162b",
     {"1", "-2", "300", "70000"}},
    {"intset 64",
     "0bc32730040800000005200307000efad5feffffff40034000000120124000002ca00801701140080100000a00a13"
     "aca7b4e6680ca",
     {"1", "-2", "300", "70000", "-5000000000"}},
    {"hash listpack",
     "1013130000000400816602817602816e02dff902ff0a00ee2801f56ed3eb65",
     {"f", "v", "n", "-7"}},
    {"hash", "0402016ec0f9016601760a00fa68cbaf02551953", {"f", "v", "n", "-7"}},
    {"zset listpack",
     "112a2a0000000a00816102842d696e6605816202842d312e350581630200010701030181640283696e6604ff0a004"
     "b94c96af1b1a9e5",
     {"a", "-inf", "b", "-1.5", "c", "0", "7", "3", "d", "inf"}},
    {"zset2",
     "05050164000000000000f07fc0070000000000000840016300000000000000000162000000000000f8bf016100000"
     "0000000f0ff0a00fa385f932f330f0c",
     {"a", "-inf", "b", "-1.5", "c", "0", "7", "3", "d", "inf"}},
    {"set listpack", "1410100000000300816102826263030501ff0b00dee2d5a8265ad9de", {"a", "bc", "5"}},
    {"list ziplist",
     "0a4168680100005e0100000b00000161030002f102fd02fe9c03c0881304f090eefe05d00094357706e000703286d"
     "0f7ffff0a412c78787878787878787878787878787878787878787878787878787878787878787878787878787878"
     "787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787"
     "878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878"
     "787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787"
     "878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878"
     "787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787"
     "8787878787878787878787878787878787878787878787878787878fe2f01000003656e64ff08008a77952583d974"
     "f7",
     {"a", "", "0", "12", "-100", "5000", "-70000", "2000000000", "-9000000000000",
      "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
      "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
      "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
      "xxxxxxxxxxxxxxxxxxxxxxxx",
      "end"}},
    {"quicklist",
     "0e0210100000000d000000020000016103f2ff10100000000d000000020000016203f3ff09003d043e950e6320b7",
     {"a", "1", "b", "2"}},
    {"hash ziplist",
     "0d161600000012000000040000016603017603f202fefeff0600b54a469ea3b0bb6d",
     {"f", "v", "1", "-2"}},
    {"zset ziplist",
     "0c191900000013000000040000016103feff0301620303322e35ff0600939ded190b612730",
     {"a", "-1", "b", "2.5"}},
    {"zset with text scores",
     "0303016103322e350162fe0163ff030021c81527a3467347",
     {"c", "-inf", "a", "2.5", "b", "inf"}},
    {"list", "01030161c005026263010031717bfd5b043ed6", {"a", "5", "bc"}},
    {"hash with deadlines",
     "1800505c18a301000002010166017600016701770c00f8431087a5f9b4f0",
     {"f", "v", "g", "w"}},
};

TEST_CASE("the checksum's check value") {
  CHECK(crc64("123456789") == 0xe9c6d914c4b8d9ca);
  CHECK(crc64("") == 0);
  std::string text(100, 'x');
  CHECK(crc64(text) != crc64(text.substr(1)));
}

TEST_CASE("LZF") {
  using namespace std::string_literals;
  CHECK(decompress_lzf("\x02"s + "abc", 3) == "abc");
  // "ab", then 7 bytes from two before.
  CHECK(decompress_lzf("\x01"s + "ab" + "\xa0\x01", 9) == "ababababa");
  CHECK(decompress_lzf("\x00"s + "x" + "\xe0\xff\x00"s, 265) == std::string(265, 'x'));
  CHECK(!decompress_lzf("\x02"s + "abc", 4));
  CHECK(!decompress_lzf("\x02"s + "abc", 2));
  CHECK(!decompress_lzf("\x03"s + "abc", 4));
  CHECK(!decompress_lzf("\x01"s + "ab" + "\xa0\x02", 9));
  CHECK(!decompress_lzf("\x01"s + "ab" + "\xa0", 9));
  CHECK(!decompress_lzf("\x01"s + "ab" + "\xe0", 9));
  CHECK(!decompress_lzf("\x00"s + "x", uint64_t{1} << 60));
  CHECK(decompress_lzf("", 0) == "");
}

TEST_CASE_FIXTURE(Dumps, "payloads of a redis-server") {
  for (const Sample& sample : kSamples) {
    CAPTURE(sample.name);
    REQUIRE(restore("k", from_hex(sample.payload)) == kOk);
    std::string held = content("k");
    std::vector<std::string> wanted(sample.content.begin(), sample.content.end());
    if (client("TYPE k") == "+string\r\n") {
      CHECK(held == bulk_reply(wanted[0]));
      continue;
    }
    if (client("TYPE k") == "+set\r\n") {
      // Sets have no order of their own.
      CHECK(client("SCARD k") == ":" + std::to_string(wanted.size()) + "\r\n");
      for (const std::string& member : wanted) {
        CHECK(client.run({"SISMEMBER", "k", member}) == ":1\r\n");
      }
      continue;
    }
    if (client("TYPE k") == "+hash\r\n") {
      CHECK(client("HLEN k") == ":" + std::to_string(wanted.size() / 2) + "\r\n");
      for (size_t i = 0; i < wanted.size(); i += 2) {
        CHECK(client.run({"HGET", "k", wanted[i]}) == bulk_reply(wanted[i + 1]));
      }
      continue;
    }
    CHECK(held == array_of(wanted));
  }
}

TEST_CASE_FIXTURE(Dumps, "every value comes back as it was") {
  Dumps& run = *this;
  run("SET text hello");
  run("SET number -70000");
  client.run({"SET", "long", std::string(100000, 'x')});
  run("SET large 9223372036854775807");
  run("RPUSH list a 1 -5000 123456789012 \"\"");
  for (int i = 0; i < 1000; ++i) {
    std::string text = "element " + std::to_string(i * 7919);
    client.run({"RPUSH", "longlist", text});
    client.run({"SADD", "longset", text});
    client.run({"HSET", "longhash", text, text});
    client.run({"ZADD", "longzset", std::to_string(i % 10) + ".5", text});
  }
  run("SADD set a b 3");
  run("SADD numbers 1 2 3 70000");
  run("HSET hash f v 1 2");
  run("HSET timed f v g w");
  CHECK(run("HPEXPIRE timed 5000 FIELDS 1 f") == "*1\r\n:1\r\n");
  run("ZADD zset inf a -inf b 0.1 c 3 d");
  for (std::string key : {"text", "number", "long", "large", "list", "longlist", "longset",
                          "longhash", "longzset", "set", "numbers", "hash", "timed", "zset"}) {
    CAPTURE(key);
    std::string payload = dump(key);
    REQUIRE(restore("copy", payload) == kOk);
    CHECK(content("copy") == content(key));
    CHECK(client.run({"OBJECT", "ENCODING", "copy"}) == client.run({"OBJECT", "ENCODING", key}));
    if (key != "longset" && key != "longhash") CHECK(dump("copy") == payload);
  }
  restore("copy", dump("timed"));
  CHECK(run("HPTTL copy FIELDS 2 f g") == "*2\r\n:5000\r\n:-1\r\n");
  CHECK(run("DUMP none") == "$-1\r\n");
}

TEST_CASE_FIXTURE(Dumps, "options and errors come in Redis' order") {
  Dumps& run = *this;
  run("SET k v");
  std::string payload = dump("k");
  auto restore_with = [&](std::vector<std::string> words) {
    words.insert(words.begin(), "RESTORE");
    return client.run(words);
  };
  CHECK(restore_with({"k", "x", "y", "FOO"}) == "-ERR syntax error\r\n");
  CHECK(restore_with({"k", "x", "y", "IDLETIME"}) == "-ERR syntax error\r\n");
  CHECK(restore_with({"k", "x", "y", "IDLETIME", "1", "FREQ", "1"}) == "-ERR syntax error\r\n");
  CHECK(restore_with({"k", "x", "y", "IDLETIME", "-1"}) ==
        "-ERR Invalid IDLETIME value, must be >= 0\r\n");
  CHECK(restore_with({"k", "x", "y", "FREQ", "256"}) ==
        "-ERR Invalid FREQ value, must be >= 0 and <= 255\r\n");
  CHECK(restore_with({"k", "x", "y"}) == "-BUSYKEY Target key name already exists.\r\n");
  CHECK(restore_with({"n", "x", "y"}) == "-ERR value is not an integer or out of range\r\n");
  CHECK(restore_with({"n", "-1", "y"}) == "-ERR Invalid TTL value, must be >= 0\r\n");
  CHECK(restore_with({"n", "0", "y"}) == kBadChecksum);
  CHECK(restore_with({"n", "0", sealed("xyz")}) == kBadFormat);
  CHECK(restore_with({"n", "0", sealed(std::string("\x00\x01v", 3), 13)}) == kBadChecksum);
  CHECK(restore_with({"n", "0", sealed(std::string("\x00\x01v", 3), 1)}) == kOk);
  CHECK(restore_with({"n", "1000", payload, "REPLACE"}) == kOk);
  CHECK(run("PTTL n") == ":1000\r\n");
  CHECK(restore_with({"n", std::to_string(client.now_ms + 77), payload, "ABSTTL", "REPLACE"}) ==
        kOk);
  CHECK(run("PTTL n") == ":77\r\n");
  CHECK(restore_with({"n", "1", payload, "ABSTTL", "REPLACE"}) == kOk);
  CHECK(run("EXISTS n") == ":0\r\n");
  CHECK(restore_with({"n", "9223372036854775807", payload}) == kOk);
  CHECK(run("GET n") == bulk_reply("v"));
  CHECK(restore_with({"n", "0", payload, "REPLACE", "IDLETIME", "1000"}) == kOk);
  CHECK(run("OBJECT IDLETIME n") == ":1000\r\n");
}

TEST_CASE_FIXTURE(Dumps, "malformed objects are refused and change nothing") {
  using namespace std::string_literals;
  client("SET k kept");
  const std::vector<std::string> objects = {
      "",                                                   // No type.
      "\x00"s,                                              // No body.
      "\x01\x00"s,                                          // An empty list.
      "\x01\x02\x01"s + "a",                                // Fewer elements than said.
      "\x01\x01\x01"s + "ab",                               // Bytes behind the end.
      "\x02\x02\x01"s + "a" + "\x01" + "a",                 // A member twice.
      "\x02\x02\xc0\x05\x01"s + "5",                        // The same in two encodings.
      "\x04\x02\x01"s + "f\x01" + "v\x01" + "f\x01" + "w",  // A field twice.
      "\x01\x81\xff\xff\xff\xff\xff\xff\xff\xff"s,          // A count beyond all bounds.
      "\x04\x81\x80\x00\x00\x00\x00\x00\x00\x01\x01"s + "f\x01" + "v",  // Twice it is two.
      "\x00\x80\xff\xff\xff\xff"s,                                      // A size beyond the end.
      "\x00\xc4"s,                                                      // No such string encoding.
      "\x00\xc1\x01"s,                                                  // A cut integer.
      "\x00\xc3\x04\x7f\x02"s + "abc",                                  // LZF of another size.
      "\x05\x01\x01"s + "a" + "\x00\x00\x00\x00\x00\x00\xf8\x7f"s,      // NaN.
      "\x03\x01\x01"s + "a" + "\xfd",                                   // NaN as a text.
      "\x03\x01\x01"s + "a" + "\x03" + "1.x",  // A score with more behind it.
      "\x0f\x00"s,                             // A stream.
      "\xff\x00"s,
      "\x12\x01\x03\x01"s + "a",                                    // No such container.
      "\x10\x0a\x0a\x00\x00\x00\x01\x00\x81"s + "f\x02\xff",        // A field without a value.
      "\x14\x0b\x0b\x00\x00\x00\x02\x00\x01\x01\x01\x01\xff"s,      // A member twice in a listpack.
      "\x14\x09\x09\x00\x00\x00\x01\x00\x01\x02\xff"s,              // A wrong back-length.
      "\x14\x09\x09\x00\x00\x00\x02\x00\x01\x01\xff"s,              // A wrong count.
      "\x14\x09\x08\x00\x00\x00\x01\x00\x01\x01\xff"s,              // A wrong size.
      "\x0b\x0c\x02\x00\x00\x00\x02\x00\x00\x00\x02\x00\x01\x00"s,  // An intset out of order.
      "\x0b\x0a\x03\x00\x00\x00\x01\x00\x00\x00\x02\x00"s,          // Of three-byte integers.
      "\x18\xff\xff\xff\xff\xff\xff\xff\x7f\x01\x02\x01"s + "f\x01" + "v",  // A deadline too late.
  };
  for (const std::string& object : objects) {
    CAPTURE(&object - objects.data());
    CHECK(restore("k", sealed(object)) == kBadFormat);
    CHECK(client("GET k") == bulk_reply("kept"));
  }
  CHECK(restore("k", sealed("\x14\x09\x09\x00\x00\x00\x01\x00\x01\x01\xff"s)) == kOk);
  CHECK(client("SMEMBERS k") == array_of({"1"}));
  CHECK(restore("k", sealed("\x14\x09\x09\x00\x00\x00\xff\xff\x01\x01\xff"s)) == kOk);
}

TEST_CASE_FIXTURE(Dumps, "any damage is refused or gives a value that can be read") {
  std::mt19937_64 random(7);
  size_t refused = 0;
  size_t taken = 0;
  for (const Sample& sample : kSamples) {
    std::string object = from_hex(sample.payload);
    object.resize(object.size() - 10);
    for (int round = 0; round < 400; ++round) {
      std::string damaged = object;
      if (round % 4 == 0) damaged.resize(random() % damaged.size());
      for (uint64_t n = random() % 3 + 1; n > 0 && !damaged.empty(); --n) {
        damaged[random() % damaged.size()] = static_cast<char>(random());
      }
      client("DEL k");
      std::string reply = restore("k", sealed(damaged));
      if (reply != kOk) {
        REQUIRE(reply == kBadFormat);
        REQUIRE(client("EXISTS k") == ":0\r\n");
        ++refused;
        continue;
      }
      ++taken;
      // All fields of a hash may have been past their deadlines.
      if (client("EXISTS k") == ":0\r\n") continue;
      REQUIRE(!content("k").starts_with("-"));
      // What was taken is whole: it can be written and taken again.
      REQUIRE(restore("again", dump("k")) == kOk);
    }
  }
  CHECK(refused > 1000);
  CHECK(taken > 100);
}

}  // namespace
}  // namespace dyno

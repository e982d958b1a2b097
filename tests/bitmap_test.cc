// SPDX-License-Identifier: Apache-2.0
//
// Bitmap commands against strings of bits made the slow way, and every error in Redis' order.
#include <doctest/doctest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

#include "tests/engine_client.h"

namespace dyno {
namespace {

constexpr std::string_view kOffsetError = "-ERR bit offset is not an integer or out of range\r\n";
constexpr std::string_view kBitError = "-ERR bit is not an integer or out of range\r\n";
constexpr std::string_view kIntegerError = "-ERR value is not an integer or out of range\r\n";
constexpr std::string_view kSyntaxError = "-ERR syntax error\r\n";
constexpr std::string_view kTypeError =
    "-ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 "
    "is.\r\n";

struct Bits {
  EngineClient client{kStringCommands, kBitmapCommands};

  std::string operator()(std::string_view line) { return client(line); }
  void set(const std::string& key, const std::string& bytes) { client.run({"SET", key, bytes}); }
  std::string get(const std::string& key) {
    std::string reply = client.run({"GET", key});
    size_t start = reply.find("\r\n") + 2;
    return reply[0] == '$' && reply[1] != '-' ? reply.substr(start, reply.size() - start - 2) : "";
  }
};

bool bit_of(const std::string& bytes, size_t at) {
  return at / 8 < bytes.size() && ((bytes[at / 8] >> (7 - at % 8)) & 1) != 0;
}

std::string random_bytes(std::mt19937_64& random, size_t size) {
  std::string bytes;
  int kind = static_cast<int>(random() % 4);  // Long runs of equal bits among them.
  for (size_t i = 0; i < size; ++i) {
    bytes += static_cast<char>(kind == 0 ? 0 : kind == 1 ? 0xff : random());
  }
  if (size != 0 && kind < 2) bytes[random() % size] ^= static_cast<char>(1 << random() % 8);
  return bytes;
}

TEST_CASE_FIXTURE(Bits, "SETBIT and GETBIT") {
  Bits& run = *this;
  CHECK(run("GETBIT k 5") == ":0\r\n");
  CHECK(run("SETBIT k 7 1") == ":0\r\n");
  CHECK(run("GET k") == bulk_reply("\x01"));
  CHECK(run("SETBIT k 7 1") == ":1\r\n");
  CHECK(run("SETBIT k 7 0") == ":1\r\n");
  CHECK(run("GET k") == bulk_reply(std::string(1, '\0')));
  CHECK(run("SETBIT k 23 0") == ":0\r\n");
  CHECK(run("STRLEN k") == ":3\r\n");
  CHECK(run("GETBIT k 4294967295") == ":0\r\n");
  // A number is text as soon as its bits are changed.
  run("SET n 12");
  CHECK(run("SETBIT n 7 1") == ":1\r\n");
  CHECK(run("GET n") == bulk_reply("12"));
  CHECK(run("SETBIT n 6 1") == ":0\r\n");
  CHECK(run("GET n") == bulk_reply("32"));
  CHECK(run("GETBIT n 2") == ":1\r\n");
  for (std::string_view bad : {"-1", "4294967296", "9223372036854775807", "9223372036854775808",
                               "x", "1.5", "\"\"", "#1", " "}) {
    CAPTURE(bad);
    CHECK(run("SETBIT k \"" + std::string(bad == "\"\"" ? "" : bad) + "\" 2") == kOffsetError);
    CHECK(run("GETBIT k \"" + std::string(bad == "\"\"" ? "" : bad) + "\"") == kOffsetError);
  }
  for (std::string_view bad : {"2", "-1", "x", "01", "9223372036854775808"}) {
    CHECK(run("SETBIT k 0 " + std::string(bad)) == kBitError);
  }
  client.limits().bulk_bytes_max = 10;
  CHECK(run("SETBIT small 79 1") == ":0\r\n");
  CHECK(run("SETBIT small 80 1") == kOffsetError);
}

TEST_CASE_FIXTURE(Bits, "BITCOUNT of arguments that make no sense") {
  Bits& run = *this;
  run("SET k foobar");
  CHECK(run("BITCOUNT k") == ":26\r\n");
  CHECK(run("BITCOUNT k 0 0") == ":4\r\n");
  CHECK(run("BITCOUNT k 1 1") == ":6\r\n");
  CHECK(run("BITCOUNT k 1 1 byte") == ":6\r\n");
  CHECK(run("BITCOUNT k 5 30 BIT") == ":17\r\n");
  CHECK(run("BITCOUNT k 0 0 BIT") == ":0\r\n");
  CHECK(run("BITCOUNT missing") == ":0\r\n");
  CHECK(run("BITCOUNT missing 0 -1") == ":0\r\n");
  CHECK(run("BITCOUNT k -9223372036854775808 9223372036854775807") == ":26\r\n");
  CHECK(run("BITCOUNT k -9223372036854775808 9223372036854775807 BIT") == ":26\r\n");
  CHECK(run("BITCOUNT k 9223372036854775807 -9223372036854775808") == ":0\r\n");
  CHECK(run("BITCOUNT k -1 -2") == ":0\r\n");
  CHECK(run("BITCOUNT k -100 -200") == ":0\r\n");
  CHECK(run("BITCOUNT k -200 -100") == ":4\r\n");  // Both are clamped to the first byte.
  CHECK(run("BITCOUNT k 0") == kSyntaxError);
  CHECK(run("BITCOUNT k 0 1 BIT x") == kSyntaxError);
  CHECK(run("BITCOUNT k 0 1 NIBBLE") == kSyntaxError);
  CHECK(run("BITCOUNT missing 0 1 NIBBLE") == kSyntaxError);
  CHECK(run("BITCOUNT k a 1") == kIntegerError);
  CHECK(run("BITCOUNT k 0 b NIBBLE") == kIntegerError);
}

TEST_CASE_FIXTURE(Bits, "BITPOS of arguments that make no sense") {
  Bits& run = *this;
  set("k", std::string("\xff\xf0\x00", 3));
  CHECK(run("BITPOS k 0") == ":12\r\n");
  CHECK(run("BITPOS k 1 2") == ":-1\r\n");
  CHECK(run("BITPOS k 1 0 -1") == ":0\r\n");
  CHECK(run("BITPOS k 1 7 15 BIT") == ":7\r\n");
  CHECK(run("BITPOS k 1 7 -3 BIT") == ":7\r\n");
  CHECK(run("BITPOS k 0 0 0") == ":-1\r\n");
  CHECK(run("BITPOS k 0 0 -1 BIT") == ":12\r\n");
  CHECK(run("BITPOS missing 0") == ":0\r\n");
  CHECK(run("BITPOS missing 1") == ":-1\r\n");
  CHECK(run("BITPOS missing 0 5 7 BIT") == ":0\r\n");
  set("ones", "\xff\xff\xff");
  CHECK(run("BITPOS ones 0") == ":24\r\n");
  CHECK(run("BITPOS ones 0 1") == ":24\r\n");
  CHECK(run("BITPOS ones 0 1 -1") == ":-1\r\n");
  CHECK(run("BITPOS ones 0 3") == ":-1\r\n");
  CHECK(run("BITPOS ones 0 -9223372036854775808 9223372036854775807") == ":-1\r\n");
  run("SET empty \"\"");
  CHECK(run("BITPOS empty 0") == ":-1\r\n");
  CHECK(run("BITPOS k 2") == "-ERR The bit argument must be 1 or 0.\r\n");
  CHECK(run("BITPOS k -1") == "-ERR The bit argument must be 1 or 0.\r\n");
  CHECK(run("BITPOS k x") == kIntegerError);
  CHECK(run("BITPOS k 0 x") == kIntegerError);
  CHECK(run("BITPOS k 0 1 x") == kIntegerError);
  CHECK(run("BITPOS k 0 1 x NIBBLE") == kSyntaxError);
  CHECK(run("BITPOS k 0 1 2 BIT 4") == kSyntaxError);
}

TEST_CASE_FIXTURE(Bits, "BITCOUNT and BITPOS agree with counting one by one") {
  std::mt19937_64 random(5);
  for (int round = 0; round < 300; ++round) {
    std::string bytes = random_bytes(random, round < 150 ? random() % 20 : random() % 300);
    set("k", bytes);
    for (int i = 0; i < 20; ++i) {
      bool in_bits = random() % 2 == 0;
      auto total = static_cast<int64_t>(bytes.size() * (in_bits ? 8 : 1));
      auto start = static_cast<int64_t>(random() % (3 * bytes.size() + 4)) - total;
      auto end = static_cast<int64_t>(random() % (3 * bytes.size() + 4)) - total;
      int64_t first = std::max<int64_t>(start < 0 ? start + total : start, 0);
      int64_t last = std::min(std::max<int64_t>(end < 0 ? end + total : end, 0), total - 1);
      int64_t unit = in_bits ? 1 : 8;
      int64_t ones = 0;
      int64_t found[2] = {-1, -1};
      for (int64_t at = first * unit; at < (last + 1) * unit; ++at) {
        bool bit = bit_of(bytes, static_cast<size_t>(at));
        ones += bit;
        if (found[bit] < 0) found[bit] = at;
      }
      if (start < 0 && end < 0 && start > end) ones = 0;
      std::string tail =
          std::to_string(start) + " " + std::to_string(end) + (in_bits ? " BIT" : "");
      CAPTURE(tail);
      CHECK(client("BITCOUNT k " + tail) == ":" + std::to_string(ones) + "\r\n");
      CHECK(client("BITPOS k 1 " + tail) == ":" + std::to_string(found[1]) + "\r\n");
      CHECK(client("BITPOS k 0 " + tail) == ":" + std::to_string(found[0]) + "\r\n");
    }
  }
}

TEST_CASE_FIXTURE(Bits, "BITOP") {
  Bits& run = *this;
  set("a", "abcdef");
  set("b", "foobar");
  CHECK(run("BITOP AND d a b") == ":6\r\n");
  CHECK(run("GET d") == bulk_reply("`bc`ab"));
  CHECK(run("BITOP not d a") == ":6\r\n");
  CHECK(get("d") == "\x9e\x9d\x9c\x9b\x9a\x99");
  CHECK(run("BITOP NOT d a b") == "-ERR BITOP NOT must be called with a single source key.\r\n");
  CHECK(run("BITOP NAND d a b") == kSyntaxError);
  CHECK(run("BITOP OR d missing") == ":0\r\n");
  CHECK(run("GET d") == "$-1\r\n");
  CHECK(run("BITOP AND d a missing") == ":6\r\n");
  CHECK(get("d") == std::string(6, '\0'));
  // The result has no deadline, also where it takes the place of a source.
  run("SET a 123 EX 100");
  CHECK(run("BITOP OR a a b") == ":6\r\n");
  client.now_ms += 200'000;
  CHECK(get("a") ==
        "w\x7f\x7f"
        "bar");
}

TEST_CASE_FIXTURE(Bits, "BITOP agrees with combining byte by byte") {
  std::mt19937_64 random(6);
  for (int round = 0; round < 300; ++round) {
    size_t count = 1 + random() % 5;
    std::vector<std::string> sources(count);
    size_t size = 0;
    for (size_t i = 0; i < count; ++i) {
      sources[i] = random_bytes(random, random() % (round % 10 == 0 ? 40000 : 70));
      size = std::max(size, sources[i].size());
      set("s" + std::to_string(i), sources[i]);
    }
    const char* name =
        std::vector{"AND", "OR", "XOR", "NOT"}[count == 1 ? random() % 4 : random() % 3];
    std::string wanted(size, '\0');
    for (size_t at = 0; at < size; ++at) {
      for (size_t i = 0; i < count; ++i) {
        char byte = at < sources[i].size() ? sources[i][at] : '\0';
        char& out = wanted[at];
        out = i == 0 ? byte
                     : static_cast<char>(name[0] == 'A'   ? out & byte
                                         : name[0] == 'O' ? out | byte
                                                          : out ^ byte);
      }
      if (name[0] == 'N') wanted[at] = static_cast<char>(~wanted[at]);
    }
    std::string destination = random() % 2 == 0 ? "d" : "s" + std::to_string(random() % count);
    std::vector<std::string> words = {"BITOP", name, destination};
    for (size_t i = 0; i < count; ++i) words.push_back("s" + std::to_string(i));
    CHECK(client.run(words) == ":" + std::to_string(size) + "\r\n");
    CHECK(get(destination) == wanted);
  }
}

TEST_CASE_FIXTURE(Bits, "BITFIELD as the manual shows it") {
  Bits& run = *this;
  CHECK(run("BITFIELD k INCRBY i5 100 1 GET u4 0") == "*2\r\n:1\r\n:0\r\n");
  CHECK(run("BITFIELD c INCRBY u2 100 1 OVERFLOW SAT INCRBY u2 102 1") == "*2\r\n:1\r\n:1\r\n");
  CHECK(run("BITFIELD c INCRBY u2 100 1 OVERFLOW SAT INCRBY u2 102 1") == "*2\r\n:2\r\n:2\r\n");
  CHECK(run("BITFIELD c INCRBY u2 100 1 OVERFLOW SAT INCRBY u2 102 1") == "*2\r\n:3\r\n:3\r\n");
  CHECK(run("BITFIELD c INCRBY u2 100 1 OVERFLOW SAT INCRBY u2 102 1") == "*2\r\n:0\r\n:3\r\n");
  CHECK(run("BITFIELD c OVERFLOW FAIL INCRBY u2 102 1") == "*1\r\n$-1\r\n");
  CHECK(run("BITFIELD e") == "*0\r\n");
  CHECK(run("BITFIELD e GET u8 0 GET i64 1000") == "*2\r\n:0\r\n:0\r\n");
  CHECK(run("GET e") == "$-1\r\n");
  CHECK(run("BITFIELD e SET u8 #1 255 GET u8 8") == "*2\r\n:0\r\n:255\r\n");
  CHECK(run("STRLEN e") == ":2\r\n");
  CHECK(run("BITFIELD_RO e GET u8 #1 GET i8 #1") == "*2\r\n:255\r\n:-1\r\n");
  CHECK(run("BITFIELD_RO e SET u8 0 1") == "-ERR BITFIELD_RO only supports the GET subcommand\r\n");
  CHECK(run("BITFIELD_RO e GET u8 0 OVERFLOW WRAP") == "*1\r\n:0\r\n");
}

TEST_CASE_FIXTURE(Bits, "BITFIELD at the limits of its numbers") {
  Bits& run = *this;
  CHECK(run("BITFIELD k SET i64 0 9223372036854775807 INCRBY i64 0 1") ==
        "*2\r\n:0\r\n:-9223372036854775808\r\n");
  CHECK(run("BITFIELD k OVERFLOW SAT INCRBY i64 0 -1 INCRBY i64 0 -9223372036854775808") ==
        "*2\r\n:-9223372036854775808\r\n:-9223372036854775808\r\n");
  CHECK(run("BITFIELD k OVERFLOW FAIL INCRBY i64 0 -1") == "*1\r\n$-1\r\n");
  CHECK(run("BITFIELD k SET u63 3 -1 GET u63 3 GET i64 3") ==
        "*3\r\n:0\r\n:9223372036854775807\r\n:-2\r\n");
  CHECK(run("BITFIELD k OVERFLOW SAT SET u8 0 -1") == "*1\r\n:159\r\n");
  CHECK(run("BITFIELD k GET u8 0 OVERFLOW FAIL SET u8 0 256") == "*2\r\n:255\r\n$-1\r\n");
  CHECK(run("BITFIELD k SET i8 0 128 GET i8 0") == "*2\r\n:-1\r\n:-128\r\n");
  CHECK(run("BITFIELD k OVERFLOW SAT SET i8 0 200 GET i8 0") == "*2\r\n:-128\r\n:127\r\n");
  CHECK(run("BITFIELD k OVERFLOW SAT INCRBY u8 0 -9223372036854775808") == "*1\r\n:0\r\n");
  CHECK(run("BITFIELD k SET i1 0 1 GET u1 0") == "*2\r\n:0\r\n:1\r\n");
}

TEST_CASE_FIXTURE(Bits, "BITFIELD judges everything before it does anything") {
  Bits& run = *this;
  for (std::string_view bad : {"u64", "u0", "i65", "i0", "i-1", "x8", "8", "\"\"", "u", "i08"}) {
    CAPTURE(bad);
    CHECK(run("BITFIELD k SET u8 0 1 GET " + std::string(bad) + " 0") == kTypeError);
  }
  for (std::string_view bad : {"-1", "#-1", "4294967296", "#1152921504606846976", "#", "#x",
                               "#9223372036854775807", "x"}) {
    CAPTURE(bad);
    CHECK(run("BITFIELD k SET u8 0 1 GET u8 " + std::string(bad)) == kOffsetError);
  }
  CHECK(run("BITFIELD k SET u8 0 1 SET u8 0 x") == kIntegerError);
  CHECK(run("BITFIELD k SET u8 0 1 SET u8 0") == kSyntaxError);
  CHECK(run("BITFIELD k SET u8 0 1 GET u8") == kSyntaxError);
  CHECK(run("BITFIELD k SET u8 0 1 FROB") == kSyntaxError);
  CHECK(run("BITFIELD k SET u8 0 1 OVERFLOW") == kSyntaxError);
  CHECK(run("BITFIELD k OVERFLOW NONE SET u8 0 1") == "-ERR Invalid OVERFLOW type specified\r\n");
  CHECK(run("GET k") == "$-1\r\n");
}

TEST_CASE_FIXTURE(Bits, "BITFIELD agrees with a string of bits") {
  std::mt19937_64 random(7);
  std::string model(64, '\0');  // Bytes, as long as the key can become here.
  size_t size = 0;
  for (int round = 0; round < 5000; ++round) {
    bool is_signed = random() % 2 == 0;
    auto bits = static_cast<size_t>(1 + random() % (is_signed ? 64 : 63));
    size_t offset = random() % 400;
    std::string type = (is_signed ? "i" : "u") + std::to_string(bits);
    __int128 old = 0;
    for (size_t i = 0; i < bits; ++i) old = old * 2 + bit_of(model, offset + i);
    __int128 span = __int128{1} << bits;
    if (is_signed && old >= span / 2) old -= span;
    __int128 max = is_signed ? span / 2 - 1 : span - 1;
    __int128 min = is_signed ? -span / 2 : 0;
    auto by = static_cast<int64_t>(random()) >> random() % 64;
    int overflow = static_cast<int>(random() % 3);
    bool sets = random() % 2 == 0;
    __int128 value =
        sets ? (is_signed ? __int128{by} : __int128{static_cast<uint64_t>(by)}) : old + by;
    bool fails = false;
    if (value > max || value < min) {
      fails = overflow == 2;
      if (overflow == 1) value = value > max ? max : min;
      if (overflow == 0) {
        value = ((value % span) + span) % span;
        if (value > max) value -= span;
      }
    }
    auto reply = [](__int128 number) {
      return ":" + std::to_string(static_cast<int64_t>(number)) + "\r\n";
    };
    CHECK(client.run({"BITFIELD_RO", "k", "GET", type, std::to_string(offset)}) ==
          "*1\r\n" + reply(old));
    std::string got =
        client.run({"BITFIELD", "k", "OVERFLOW",
                    std::vector{"WRAP", "SAT", "FAIL"}[static_cast<size_t>(overflow)],
                    sets ? "SET" : "INCRBY", type, std::to_string(offset), std::to_string(by)});
    CHECK(got == "*1\r\n" + (fails ? "$-1\r\n" : reply(sets ? old : value)));
    size = std::max(size, (offset + bits - 1) / 8 + 1);
    for (size_t i = 0; i < bits && !fails; ++i) {
      size_t at = offset + i;
      bool bit = ((value >> (bits - 1 - i)) & 1) != 0;
      char mask = static_cast<char>(0x80 >> at % 8);
      model[at / 8] = static_cast<char>(bit ? model[at / 8] | mask : model[at / 8] & ~mask);
    }
    if (round % 50 == 0) CHECK(get("k") == model.substr(0, size));
  }
}

}  // namespace
}  // namespace dyno

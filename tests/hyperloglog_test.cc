// SPDX-License-Identifier: Apache-2.0
//
// HyperLogLogs: bytes equal to Redis' for the same additions (lengths, hashes and counts here come
// from a Redis 7.0 server), estimates near the truth, and strings that only look like one.
#include <doctest/doctest.h>

#include <cmath>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "engine/types/sketch.h"
#include "tests/engine_client.h"

namespace dyno {
namespace {

constexpr std::string_view kDamagedError = "-INVALIDOBJ Corrupted HLL object detected\r\n";
constexpr std::string_view kNoSketchError =
    "-WRONGTYPE Key is not a valid HyperLogLog string value.\r\n";

struct Sketches {
  EngineClient client{kStringCommands, kHyperLogLogCommands};

  std::string operator()(std::string_view line) { return client(line); }
  std::string get(const std::string& key) {
    std::string reply = client.run({"GET", key});
    size_t start = reply.find("\r\n") + 2;
    return reply.substr(start, reply.size() - start - 2);
  }
  void add(const std::string& key, const std::string& prefix, int count) {
    std::vector<std::string> words = {"PFADD", key};
    for (int i = 0; i < count; ++i) words.push_back(prefix + std::to_string(i));
    client.run(words);
  }
};

// FNV-1a, for comparing long strings with ones from elsewhere.
uint64_t fnv(std::string_view bytes) {
  uint64_t hash = 0xcbf29ce484222325;
  for (char byte : bytes) hash = (hash ^ static_cast<uint8_t>(byte)) * 0x100000001b3;
  return hash;
}

TEST_CASE_FIXTURE(Sketches, "the bytes are Redis' after the same additions") {
  struct Mark {
    int elements;
    size_t bytes;
    uint64_t hash;
    int count;
  };
  int added = 0;
  for (const Mark& mark : std::initializer_list<Mark>{
           {0, 18, 0x524bc36d036c0579, 0},
           {1, 21, 0x5db2e01c33707b73, 1},
           {2, 24, 0xb5f439ba372b0f7f, 2},
           {3, 27, 0x6d9aeaf8915edf0c, 3},
           {10, 48, 0x7159c7ee612b0c1a, 10},
           {50, 158, 0x968ed5c2cc4b37ec, 50},
           {100, 285, 0x400051a0d90b9a9e, 99},
           {300, 687, 0x26acffd849446284, 301},
           {500, 1050, 0x40ad8b9971745032, 502},
           {800, 1571, 0xc69ec853eb60bc0e, 802},
           {1000, 1897, 0x1da562af8b1c0590, 997},
           {1200, 2230, 0x1dc8f9b137a5bdca, 1198},
           {1500, 2722, 0xd5e8f9140402842a, 1500},
           {2000, 12304, 0x43e27285fcfba7ba, 2004},
           {5000, 12304, 0x65bc5e75e7b23a5b, 5005},
           {20000, 12304, 0x8e72a99184eb972f, 19986},
       }) {
    CAPTURE(mark.elements);
    if (mark.elements == 0) client.run({"PFADD", "k"});
    for (; added < mark.elements; ++added) {
      client.run({"PFADD", "k", "element:" + std::to_string(added)});
    }
    std::string bytes = get("k");
    CHECK(bytes.size() == mark.bytes);
    CHECK(fnv(bytes) == mark.hash);
    CHECK(client("PFCOUNT k") == ":" + std::to_string(mark.count) + "\r\n");
  }
}

TEST_CASE_FIXTURE(Sketches, "merging and a low limit give Redis' bytes too") {
  client.limits().hyperloglog_sparse_bytes = 100;
  add("one", "x", 30);
  CHECK(fnv(get("one")) == 0xaa443a366d153531);
  client.limits().hyperloglog_sparse_bytes = 3000;
  for (int i = 0; i < 20000; ++i) client.run({"PFADD", "k", "element:" + std::to_string(i)});
  add("a", "a", 200);
  add("b", "b", 150);
  CHECK(client("PFMERGE m a b") == "+OK\r\n");
  CHECK(get("m").size() == 781);
  CHECK(fnv(get("m")) == 0x854398d9af9d3e70);
  CHECK(client("PFCOUNT m") == ":350\r\n");
  CHECK(client("PFCOUNT a b k") == ":20335\r\n");
  client("PFMERGE a k");
  CHECK(fnv(get("a")) == 0xc0340a8c7f256780);
  CHECK(client("PFCOUNT a") == ":20167\r\n");
  client("PFADD d a b c");
  CHECK(client("PFDEBUG DECODE d") == bulk_reply("Z:8436 v:1,1 Z:4274 v:2,1 Z:3068 v:1,1 Z:603"));
  CHECK(client("PFMERGE fresh") == "+OK\r\n");
  CHECK(get("fresh") == std::string("HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80\x7f\xff", 18));
}

TEST_CASE_FIXTURE(Sketches, "replies and the count in the header") {
  CHECK(client("PFCOUNT k") == ":0\r\n");
  CHECK(client("PFADD k") == ":1\r\n");
  CHECK(client("PFADD k") == ":0\r\n");
  CHECK(client("PFADD k a b") == ":1\r\n");
  CHECK(client("PFADD k a b") == ":0\r\n");
  CHECK((get("k")[15] & 0x80) != 0);
  CHECK(client("PFCOUNT k") == ":2\r\n");
  CHECK((get("k")[15] & 0x80) == 0);
  CHECK(get("k")[8] == 2);
  CHECK(client("PFADD k a") == ":0\r\n");
  CHECK((get("k")[15] & 0x80) == 0);
  CHECK(client("PFADD k c") == ":1\r\n");
  CHECK((get("k")[15] & 0x80) != 0);
  // Several keys, missing ones among them; the same key twice.
  CHECK(client("PFCOUNT k missing k") == ":3\r\n");
  CHECK(client("PFCOUNT missing missing") == ":0\r\n");
  CHECK(client("PFDEBUG TODENSE k") == ":1\r\n");
  CHECK(client("PFDEBUG todense k") == ":0\r\n");
  CHECK(client("PFDEBUG ENCODING k") == "+dense\r\n");
  CHECK(client("PFDEBUG DECODE k") == "-ERR HLL encoding is not sparse\r\n");
  CHECK(client("PFADD k d a") == ":1\r\n");
  CHECK(client("PFADD k d a") == ":0\r\n");
  CHECK(client("PFCOUNT k") == ":4\r\n");
  CHECK(client("PFDEBUG GETREG k").substr(0, 8) == "*16384\r\n");
  CHECK(client("PFDEBUG FROB k") == "-ERR Unknown PFDEBUG subcommand 'FROB'\r\n");
  CHECK(client("PFDEBUG GETREG k x") ==
        "-ERR Wrong number of arguments for the 'GETREG' subcommand\r\n");
  CHECK(client("PFDEBUG GETREG missing") == "-ERR The specified key does not exist\r\n");
  CHECK(client("PFSELFTEST") == "+OK\r\n");
}

TEST_CASE_FIXTURE(Sketches, "a deadline stays") {
  client("PFADD k a");
  client("GETEX k PX 1000");
  client("PFADD k b");
  client("PFADD k c d e f");
  client("PFDEBUG TODENSE k");
  client("PFADD other z");
  client("PFMERGE k other");
  CHECK(client("PFCOUNT k") == ":7\r\n");
  client.now_ms += 1001;
  CHECK(client("PFCOUNT k") == ":0\r\n");
}

TEST_CASE_FIXTURE(Sketches, "estimates are near the truth, alone and as unions") {
  std::mt19937_64 random(8);
  for (int elements : {10, 1000, 30000, 200000}) {
    std::string key = "e" + std::to_string(elements);
    std::vector<std::string> words = {"PFADD", key};
    for (int i = 0; i < elements; ++i) {
      words.push_back(std::to_string(random()));
      if (words.size() == 1000) {
        client.run(words);
        words.resize(2);
      }
    }
    client.run(words);
    double count = std::stod(client("PFCOUNT " + key).substr(1));
    CAPTURE(count);
    CHECK(std::fabs(count - elements) <= std::max(1.0, elements * 0.03));
  }
  double all = std::stod(client("PFCOUNT e10 e1000 e30000 e200000").substr(1));
  CHECK(std::fabs(all - 231010) <= 231010 * 0.03);
}

TEST_CASE_FIXTURE(Sketches, "strings that are no sketch are refused before anything changes") {
  std::string header("HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80", 16);
  for (const std::string& bytes :
       {std::string(), std::string("HYLL"), std::string("12345"), std::string(16, 'x'),
        header.substr(0, 15), "HYLM" + header.substr(4), "HYLL\x02" + header.substr(5),
        "HYLL\xff" + header.substr(5),
        std::string("HYLL\0", 5) + header.substr(5) + std::string(12287, 'x'),
        std::string("HYLL\0", 5) + header.substr(5) + std::string(12289, 'x')}) {
    client.run({"SET", "k", bytes});
    for (std::string_view line : {"PFADD k a", "PFCOUNT k", "PFCOUNT k other", "PFMERGE k other",
                                  "PFMERGE other k", "PFDEBUG GETREG k"}) {
      CAPTURE(line);
      CHECK(client(line) == kNoSketchError);
    }
    CHECK(get("k") == bytes);
    CHECK(client("GET other") == "$-1\r\n");
  }
}

TEST_CASE_FIXTURE(Sketches, "damaged registers are refused before anything changes") {
  std::string header("HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80", 16);
  for (const std::string& registers :
       {std::string(), std::string("\x7f"), std::string("\x7f\xfe"), std::string("\x3f"),
        std::string("\x7f\xff\x00", 3), std::string("\x7f\xff\x7f\xff"), std::string("\x80"),
        std::string("\xff\x7f\xff"), std::string(5000, '\x83'), std::string("\x7f\xfe\x81")}) {
    std::string bytes = header + registers;
    client.run({"SET", "k", bytes});
    for (std::string_view line : {"PFCOUNT k", "PFCOUNT k other", "PFMERGE k other",
                                  "PFMERGE other k", "PFDEBUG GETREG k", "PFDEBUG TODENSE k"}) {
      CAPTURE(line);
      CHECK(client(line) == kDamagedError);
    }
    // Which registers an addition looks at depends on the element; it must not do harm in any case.
    for (int i = 0; i < 50; ++i) client.run({"PFADD", "copy", "x" + std::to_string(i)});
    CHECK(get("k") == bytes);
    client("PFDEBUG DECODE k");
    client("PFADD k a b c d e f g h i j k l m n");
  }
}

TEST_CASE("random bytes behind a good header do no harm") {
  std::mt19937_64 random(9);
  for (int round = 0; round < 3000; ++round) {
    std::string bytes = sketch::empty();
    bytes.resize(sketch::kHeaderBytes);
    for (uint64_t i = random() % 60; i > 0; --i) {
      bytes += static_cast<char>(random() % 3 == 0 ? 0x7f : random());
    }
    // Exactly as large as it is, so that a sanitizer sees any read beyond it.
    std::vector<char> exact(bytes.begin(), bytes.end());
    std::string_view view(exact.data(), exact.size());
    REQUIRE(sketch::is_sketch(view));
    auto registers = std::make_unique<sketch::Registers>();
    bool whole = sketch::estimate(view).has_value();
    CHECK(sketch::merge_into(registers.get(), view) == whole);
    std::string dense(bytes);
    CHECK(sketch::make_dense(&dense) == whole);
    for (int i = 0; i < 20; ++i) {
      sketch::Place place{static_cast<uint32_t>(random() % sketch::kRegisterCount),
                          static_cast<uint8_t>(1 + random() % 51)};
      auto raised = sketch::raise(&bytes, place, 100);
      if (whole) CHECK(raised != sketch::Raised::kDamaged);
    }
    CHECK(sketch::is_sketch(bytes));
  }
}

TEST_CASE("sparse and dense sketches hold the same registers as a plain array") {
  std::mt19937_64 random(10);
  for (size_t limit : {size_t{0}, size_t{40}, size_t{300}, size_t{3000}, size_t{100000}}) {
    std::vector<uint8_t> model(sketch::kRegisterCount);
    std::string bytes = sketch::empty();
    uint32_t near = static_cast<uint32_t>(random() % 16000);
    for (int i = 0; i < 3000; ++i) {
      // Neighbours, so that runs form, are split and are joined.
      sketch::Place place{static_cast<uint32_t>(i % 3 == 0 ? random() % sketch::kRegisterCount
                                                           : near + random() % 40),
                          static_cast<uint8_t>(1 + random() % (i % 500 == 499 ? 51 : 4))};
      bool raises = model[place.index] < place.rank;
      CHECK(sketch::raise(&bytes, place, limit) ==
            (raises ? sketch::Raised::kYes : sketch::Raised::kNo));
      if (raises) model[place.index] = place.rank;
      if (!sketch::is_dense(bytes)) CHECK(bytes.size() <= std::max<size_t>(limit, 18));
      if (i % 50 == 0) near = static_cast<uint32_t>(random() % 16000);
    }
    auto registers = std::make_unique<sketch::Registers>();
    REQUIRE(sketch::merge_into(registers.get(), bytes));
    CHECK(std::equal(model.begin(), model.end(), registers->begin()));
    CHECK(sketch::estimate(bytes) == sketch::estimate(*registers));
    REQUIRE(sketch::make_dense(&bytes));
    for (uint32_t i = 0; i < sketch::kRegisterCount; ++i) {
      CHECK(sketch::dense_register(reinterpret_cast<const uint8_t*>(bytes.data()), i) == model[i]);
    }
  }
}

}  // namespace
}  // namespace dyno

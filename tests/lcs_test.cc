// SPDX-License-Identifier: Apache-2.0
//
// LCS: its forms and errors, and its results against a plain recursion.
#include <doctest/doctest.h>

#include <random>
#include <string>
#include <vector>

#include "tests/engine_client.h"

namespace dyno {
namespace {

struct Lcs {
  EngineClient client{kLcsCommands, kStringCommands, kSetCommands};
  std::string operator()(std::string_view line) { return client(line); }
};

TEST_CASE_FIXTURE(Lcs, "the forms of the reply") {
  Lcs& run = *this;
  run("MSET a ohmytext b mynewtext");
  CHECK(run("LCS a b") == bulk_reply("mytext"));
  CHECK(run("LCS a b LEN") == ":6\r\n");
  std::string both =
      "*4\r\n$7\r\nmatches\r\n*2\r\n*2\r\n*2\r\n:4\r\n:7\r\n*2\r\n:5\r\n:8\r\n*2\r\n*2\r\n:2\r\n:"
      "3\r\n*2\r\n:0\r\n:1\r\n";
  CHECK(run("LCS a b IDX") == both + "$3\r\nlen\r\n:6\r\n");
  CHECK(run("LCS a b IDX MINMATCHLEN 4 WITHMATCHLEN") ==
        "*4\r\n$7\r\nmatches\r\n*1\r\n*3\r\n*2\r\n:4\r\n:7\r\n*2\r\n:5\r\n:8\r\n:4\r\n$"
        "3\r\nlen\r\n:6\r\n");
  CHECK(run("LCS a nope") == bulk_reply(""));
  CHECK(run("LCS nope nope LEN") == ":0\r\n");
  CHECK(run("LCS a a LEN") == ":8\r\n");
}

TEST_CASE_FIXTURE(Lcs, "errors") {
  Lcs& run = *this;
  run("SET a x");
  run("SADD s x");
  CHECK(run("LCS a s FOO") == "-ERR The specified keys must contain string values\r\n");
  CHECK(run("LCS a a FOO") == "-ERR syntax error\r\n");
  CHECK(run("LCS a a MINMATCHLEN") == "-ERR syntax error\r\n");
  CHECK(run("LCS a a MINMATCHLEN x") == "-ERR value is not an integer or out of range\r\n");
  CHECK(run("LCS a a IDX LEN") ==
        "-ERR If you want both the length and indexes, please just use IDX.\r\n");
  client.run({"SET", "big", std::string(20'000, 'x')});
  client.limits().bulk_bytes_max = 1'000'000'000;
  CHECK(run("LCS big big") ==
        "-ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len\r\n");
}

size_t length_by_definition(const std::string& a, const std::string& b) {
  std::vector<std::vector<size_t>> best(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = a.size(); i-- > 0;) {
    for (size_t j = b.size(); j-- > 0;) {
      best[i][j] = a[i] == b[j] ? best[i + 1][j + 1] + 1 : std::max(best[i + 1][j], best[i][j + 1]);
    }
  }
  return best[0][0];
}

bool is_subsequence(const std::string& part, const std::string& whole) {
  size_t at = 0;
  for (char c : whole) at += at < part.size() && part[at] == c;
  return at == part.size();
}

TEST_CASE_FIXTURE(Lcs, "random strings") {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    std::string texts[2];
    for (std::string& text : texts) {
      size_t size = random() % 40;
      for (size_t i = 0; i < size; ++i) text += static_cast<char>('a' + random() % 3);
    }
    client.run({"MSET", "a", texts[0], "b", texts[1]});
    size_t expected = length_by_definition(texts[0], texts[1]);
    CHECK(client("LCS a b LEN") == ":" + std::to_string(expected) + "\r\n");
    std::string reply = client("LCS a b");
    std::string common = reply.substr(reply.find('\n') + 1);
    common.resize(common.size() - 2);
    CHECK(common.size() == expected);
    CHECK(is_subsequence(common, texts[0]));
    CHECK(is_subsequence(common, texts[1]));
  }
}

}  // namespace
}  // namespace dyno

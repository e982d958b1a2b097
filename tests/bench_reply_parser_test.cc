// SPDX-License-Identifier: Apache-2.0
// The reply parser: every reply kind, cut at every byte, and what is not RESP.
#include "bench/reply_parser.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "bench/random.h"

namespace {

using dyno::bench::Random;
using dyno::bench::Reply;
using dyno::bench::ReplyKind;
using dyno::bench::ReplyParser;

std::string describe(const Reply& reply) {
  return std::to_string(static_cast<int>(reply.kind)) + "/" + std::to_string(reply.count) + "/" +
         (reply.nested_error ? "E" : "-") + "/" + std::string(reply.text);
}

// Feeds `bytes` in pieces that end at `cuts`, each in a buffer of its own, and describes the
// replies.
std::vector<std::string> parse(const std::string& bytes, const std::vector<size_t>& cuts,
                               bool& garbage) {
  ReplyParser parser;
  parser.capture(1 << 20);
  std::vector<std::string> replies;
  garbage = false;
  size_t begin = 0;
  for (size_t i = 0; i <= cuts.size() && !garbage; ++i) {
    const size_t end = i < cuts.size() ? cuts[i] : bytes.size();
    const std::string piece = bytes.substr(begin, end - begin);
    begin = end;
    const char* at = piece.data();
    while (true) {
      Reply reply;
      const auto status = parser.next(at, piece.data() + piece.size(), reply);
      if (status == ReplyParser::Status::kGarbage) garbage = true;
      if (status != ReplyParser::Status::kReply) break;
      replies.push_back(describe(reply));
    }
  }
  return replies;
}

const std::string kStream =
    "+OK\r\n-ERR wrong\r\n:-42\r\n$5\r\nhe\r\no\r\n$0\r\n\r\n$-1\r\n*-1\r\n*0\r\n"
    "*3\r\n:1\r\n*2\r\n$1\r\na\r\n-ERR in\r\n+x\r\n_\r\n,1.5\r\n#t\r\n(123456789012345678901\r\n"
    "%2\r\n+a\r\n:1\r\n+b\r\n*0\r\n~1\r\n$3\r\nabc\r\n=7\r\ntxt:abc\r\n!5\r\nERR x\r\n"
    ">2\r\n+message\r\n:1\r\n|1\r\n+ttl\r\n:9\r\n:7\r\n*2\r\n|1\r\n+k\r\n+v\r\n:1\r\n:2\r\n+"
    "end\r\n";

}  // namespace

TEST_CASE("every kind of reply") {
  bool garbage = false;
  const auto replies = parse(kStream, {}, garbage);
  CHECK(!garbage);
  const auto kind = [](ReplyKind k) { return std::to_string(static_cast<int>(k)); };
  const std::vector<std::string> expected{
      kind(ReplyKind::kSimple) + "/0/-/OK",
      kind(ReplyKind::kError) + "/0/-/ERR wrong",
      kind(ReplyKind::kInteger) + "/-42/-/-42",
      kind(ReplyKind::kBulk) + "/5/-/he\r\no",
      kind(ReplyKind::kBulk) + "/0/-/",
      kind(ReplyKind::kNull) + "/0/-/",
      kind(ReplyKind::kNull) + "/0/-/",
      kind(ReplyKind::kArray) + "/0/-/",
      kind(ReplyKind::kArray) + "/3/E/",
      kind(ReplyKind::kNull) + "/0/-/",
      kind(ReplyKind::kDouble) + "/0/-/1.5",
      kind(ReplyKind::kBoolean) + "/1/-/t",
      kind(ReplyKind::kBigNumber) + "/0/-/123456789012345678901",
      kind(ReplyKind::kMap) + "/2/-/",
      kind(ReplyKind::kSet) + "/1/-/",
      kind(ReplyKind::kBulk) + "/7/-/txt:abc",
      kind(ReplyKind::kError) + "/5/-/ERR x",
      kind(ReplyKind::kPush) + "/2/-/",
      kind(ReplyKind::kInteger) + "/7/-/7",
      kind(ReplyKind::kArray) + "/2/-/",
      kind(ReplyKind::kSimple) + "/0/-/end",
  };
  CHECK(replies == expected);
}

TEST_CASE("cut anywhere, the replies are the same") {
  bool garbage = false;
  const auto whole = parse(kStream, {}, garbage);
  for (size_t cut = 0; cut <= kStream.size(); ++cut) {
    CAPTURE(cut);
    CHECK(parse(kStream, {cut}, garbage) == whole);
    CHECK(!garbage);
  }
  std::vector<size_t> every;
  for (size_t i = 1; i < kStream.size(); ++i) every.push_back(i);
  CHECK(parse(kStream, every, garbage) == whole);
}

TEST_CASE("leaves of an aggregate are collected, also across cuts") {
  const std::string bytes = "*3\r\n$3\r\nabc\r\n:12\r\n$4\r\nlong\r\n";
  for (size_t cut = 0; cut <= bytes.size(); ++cut) {
    ReplyParser parser;
    std::vector<std::string> leaves;
    parser.collect(&leaves);
    Reply reply;
    const std::string first = bytes.substr(0, cut);
    const std::string second = bytes.substr(cut);
    const char* at = first.data();
    auto status = parser.next(at, first.data() + first.size(), reply);
    if (status == ReplyParser::Status::kMore) {
      at = second.data();
      status = parser.next(at, second.data() + second.size(), reply);
    }
    CHECK(status == ReplyParser::Status::kReply);
    CHECK(leaves == std::vector<std::string>{"abc", "12", "long"});
  }
}

TEST_CASE("what is not RESP is told apart") {
  for (const char* bytes : {"HTTP/1.1 200 OK\r\n", "$x\r\n", "$-2\r\n", "$99999999999\r\n",
                            ":1.5\r\n", "\r\n", "*-7\r\n", "$3\r\nabcXY", "#x\r\n", ":\r\n",
                            "+OK\n", "%-1\r\n", "*99999999999999999999\r\n"}) {
    bool garbage = false;
    parse(bytes, {}, garbage);
    CAPTURE(bytes);
    CHECK(garbage);
  }
  std::string nested;
  for (int i = 0; i < 100; ++i) nested += "*1\r\n";
  bool garbage = false;
  parse(nested, {}, garbage);
  CHECK(garbage);
}

TEST_CASE("a long error keeps its beginning, a header without an end is garbage") {
  bool garbage = false;
  const std::string error = "-ERR " + std::string(100'000, 'x') + "\r\n+OK\r\n";
  const auto replies = parse(error, {10, 2000, 50'000}, garbage);
  REQUIRE(replies.size() == 2);
  CHECK(replies[0].size() > 400);
  CHECK(replies[0].size() < 600);
  parse("$" + std::string(10'000, '1'), {5000}, garbage);
  CHECK(garbage);
}

TEST_CASE("random bytes never do harm") {
  Random random(99);
  size_t replies = 0;
  const std::string alphabet = "+-:$*%~>|!=_,#(0123456789\r\n\r\n\r\nab";
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes;
    for (uint64_t i = random.below(60); i > 0; --i)
      bytes += alphabet[random.below(alphabet.size())];
    std::vector<size_t> cuts;
    if (!bytes.empty()) cuts.push_back(random.below(bytes.size()));
    bool garbage = false;
    replies += parse(bytes, cuts, garbage).size();
  }
  CHECK(replies > 0);
}

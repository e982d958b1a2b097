// SPDX-License-Identifier: Apache-2.0
//
// The request parser: every request split at every byte, every error's text, every limit.
#include "protocol/resp_request.h"

#include <doctest/doctest.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

namespace dyno {
namespace {

using Status = RequestParser::Status;
using Words = std::vector<std::string>;

Words words_of(const RequestParser& parser) {
  Words words;
  for (std::string_view arg : parser.args()) words.emplace_back(arg);
  return words;
}

// Gives the parser a copy of exactly `bytes`, so that a sanitizer sees any read beyond them.
Status parse_exactly(RequestParser& parser, std::string_view bytes, const RequestLimits& limits,
                     std::unique_ptr<char[]>* copy) {
  auto fresh = std::make_unique<char[]>(bytes.size());
  bytes.copy(fresh.get(), bytes.size());
  Status status = parser.parse({fresh.get(), bytes.size()}, limits);
  *copy = std::move(fresh);
  return status;
}

// All requests of a stream whose bytes arrive in pieces of `piece` bytes, each time in another
// place.
std::vector<Words> read_all(std::string_view stream, size_t piece) {
  std::vector<Words> requests;
  RequestParser parser;
  RequestLimits limits;
  std::unique_ptr<char[]> copy;
  size_t begin = 0;
  size_t end = 0;
  while (begin < stream.size() || end < stream.size()) {
    Status status = parse_exactly(parser, stream.substr(begin, end - begin), limits, &copy);
    REQUIRE(status != Status::kError);
    if (status == Status::kRequest) {
      requests.push_back(words_of(parser));
      begin += parser.size();
      REQUIRE(begin <= end);
      parser.next();
    } else {
      REQUIRE(end < stream.size());
      CHECK(parser.size_wanted() <= stream.size() - begin);
      end = std::min(stream.size(), end + piece);
    }
  }
  return requests;
}

std::string error_of(std::string_view bytes, RequestLimits limits = {}) {
  RequestParser parser;
  std::unique_ptr<char[]> copy;
  Status status = parse_exactly(parser, bytes, limits, &copy);
  if (status == Status::kIncomplete) return "incomplete";
  if (status == Status::kRequest) return "request";
  // Byte by byte it is the same error.
  RequestParser slow;
  for (size_t size = 0; size <= bytes.size(); ++size) {
    Status early = parse_exactly(slow, bytes.substr(0, size), limits, &copy);
    CHECK(early != Status::kRequest);
    if (early == Status::kError) {
      CHECK(slow.error() == parser.error());
      break;
    }
    CHECK((early == Status::kIncomplete && size < bytes.size()));
  }
  return parser.error();
}

TEST_CASE("requests in pieces of every size are the same requests") {
  std::string binary("\0\r\n$*", 5);
  std::string stream =
      "*1\r\n$4\r\nPING\r\n"
      "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\n" +
      binary +
      "\r\n"
      "PING\r\n"
      "set a \"b c\"\n"
      "\r\n"
      "*0\r\n"
      "*-1\r\n"
      "*2\r\n$3\r\nGET\r\n$0\r\n\r\n"
      "*2\r\n$12\r\nabcdefghijkl\r\n$1\r\nx\r\n"
      "*12\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n$1\r\n4\r\n$1\r\n5\r\n$1\r\n6\r\n"
      "$1\r\n7\r\n$1\r\n8\r\n$1\r\n9\r\n$2\r\n10\r\n$2\r\n11\r\n$2\r\n12\r\n";
  std::vector<Words> wanted = {
      {"PING"},
      {"SET", "k", binary},
      {"PING"},
      {"set", "a", "b c"},
      {},
      {},
      {},
      {"GET", ""},
      {"abcdefghijkl", "x"},
      {"1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"},
  };
  for (size_t piece = 1; piece <= stream.size(); ++piece) {
    CAPTURE(piece);
    CHECK(read_all(stream, piece) == wanted);
  }
  // Cut in two at every byte.
  for (size_t cut = 1; cut < stream.size(); ++cut) {
    RequestParser parser;
    std::unique_ptr<char[]> copy;
    size_t begin = 0;
    std::vector<Words> got;
    for (size_t end : {cut, stream.size()}) {
      while (begin < end) {
        Status status = parse_exactly(parser, std::string_view(stream).substr(begin, end - begin),
                                      RequestLimits(), &copy);
        if (status == Status::kIncomplete) break;
        REQUIRE(status == Status::kRequest);
        got.push_back(words_of(parser));
        begin += parser.size();
        parser.next();
      }
    }
    CHECK(got == wanted);
  }
}

TEST_CASE("multibulk errors") {
  for (std::string_view count :
       {"2147483648", "99999999999999999999", "abc", "1a", "+1", "", " 1", "1 ", "-", "01", "-0"}) {
    CAPTURE(count);
    CHECK(error_of("*" + std::string(count) + "\r\n") ==
          "Protocol error: invalid multibulk length");
  }
  CHECK(error_of("*2147483647\r\n") == "incomplete");
  CHECK(error_of("*-9223372036854775808\r\n") == "request");
  for (std::string_view size : {"-1", "536870913", "9223372036854775807", "18446744073709551615",
                                "a", "", "1x", "+1", "00"}) {
    CAPTURE(size);
    CHECK(error_of("*1\r\n$" + std::string(size) + "\r\n") ==
          "Protocol error: invalid bulk length");
  }
  CHECK(error_of("*1\r\n$536870912\r\n") == "incomplete");
  CHECK(error_of("*1\r\n:1\r\n") == "Protocol error: expected '$', got ':'");
  CHECK(error_of("*1\r\n+OK\r\n") == "Protocol error: expected '$', got '+'");
  CHECK(error_of("*1\r\n*1\r\n$1\r\na\r\n") == "Protocol error: expected '$', got '*'");
  CHECK(error_of("*1\r\n\r\n") == "Protocol error: expected '$', got '?'");
  CHECK(error_of("*1\r\n\xff\r\n") == "Protocol error: expected '$', got '?'");
  CHECK(error_of("*2\r\n$1\r\na\r\n%1\r\n") == "Protocol error: expected '$', got '%'");
  CHECK(error_of("*1\r\n$1\r\nab\r\n") == "Protocol error: expected CRLF after the bulk string");
  CHECK(error_of("*1\r\n$1\r\na\n\n") == "Protocol error: expected CRLF after the bulk string");
  CHECK(error_of("*1\r\n$1\r\na\r\r") == "Protocol error: expected CRLF after the bulk string");
  CHECK(error_of("*1\r\n$1\r\na\r") == "incomplete");
  CHECK(error_of("*" + std::string(70000, '1')) == "Protocol error: too big mbulk count string");
  CHECK(error_of("*1\r\n$" + std::string(70000, '1')) ==
        "Protocol error: too big bulk count string");
  CHECK(error_of("*" + std::string(60000, '1')) == "incomplete");
}

TEST_CASE("inline errors and limits") {
  CHECK(error_of("SET \"a\r\n") == "Protocol error: unbalanced quotes in request");
  CHECK(error_of("SET 'a\"b'x\r\n") == "Protocol error: unbalanced quotes in request");
  CHECK(error_of("SET \"a\"b\r\n") == "Protocol error: unbalanced quotes in request");
  CHECK(error_of(std::string(64 * 1024 + 1, 'a')) == "Protocol error: too big inline request");
  CHECK(error_of(std::string(64 * 1024, 'a')) == "incomplete");
  RequestParser parser;
  std::string longest(64 * 1024, 'a');
  CHECK(parser.parse(longest, {}) == Status::kIncomplete);
  longest += '\n';
  REQUIRE(parser.parse(longest, {}) == Status::kRequest);
  CHECK(parser.args()[0].size() == 64 * 1024);
  CHECK(parser.size() == longest.size());
}

TEST_CASE("limits are those of the moment") {
  RequestLimits limits;
  limits.bulk_bytes_max = 5;
  CHECK(error_of("*1\r\n$6\r\n", limits) == "Protocol error: invalid bulk length");
  CHECK(error_of("*1\r\n$5\r\nabcde\r\n", limits) == "request");
  limits = {};
  limits.authenticated = false;
  CHECK(error_of("*11\r\n", limits) == "Protocol error: unauthenticated multibulk length");
  CHECK(error_of("*10\r\n", limits) == "incomplete");
  CHECK(error_of("*1\r\n$16385\r\n", limits) == "Protocol error: unauthenticated bulk length");
  CHECK(error_of("*1\r\n$16384\r\n", limits) == "incomplete");
}

TEST_CASE("words of a line") {
  auto split = [](std::string_view line) {
    Words words;
    if (!split_words(line, &words)) words = {"(unbalanced)"};
    return words;
  };
  CHECK(split("") == Words{});
  CHECK(split(" \t\r\n\v\f ") == Words{});
  CHECK(split("a  b\tc") == Words{"a", "b", "c"});
  CHECK(split("\"\" ''") == Words{"", ""});
  CHECK(split("\"a b\" 'c d'") == Words{"a b", "c d"});
  CHECK(split(R"("\n\r\t\b\a\\\"\q")") == Words{"\n\r\t\b\a\\\"q"});
  CHECK(split(R"("\x41\xfF")") == Words{"A\xff"});
  CHECK(split(R"("\x4")") == Words{"x4"});
  CHECK(split(R"("\x4g")") == Words{"x4g"});
  CHECK(split(R"("\x")") == Words{"x"});
  CHECK(split(R"('\n\'')") == Words{R"(\n')"});
  CHECK(split("a\"b c\" d") == Words{"ab c", "d"});
  CHECK(split("a'b c' d") == Words{"ab c", "d"});
  CHECK(split("\\x41") == Words{"\\x41"});
  CHECK(split("\xff\xfe") == Words{"\xff\xfe"});
  for (std::string_view bad : {"\"", "'", "\"a", "'a", "\"a\"b", "'a'b", "\"a\"\"b\"", "\"\\\"",
                               "\"\\", "'\\'", "\"\\x4"}) {
    CAPTURE(bad);
    CHECK(split(bad) == Words{"(unbalanced)"});
  }
  // A NUL ends the line.
  CHECK(split(std::string_view("a\0b c", 5)) == Words{"a"});
  CHECK(split(std::string_view("a \0b c", 6)) == Words{"a"});
  CHECK(split(std::string_view("\0", 1)) == Words{});
}

TEST_CASE("an announced size costs no memory") {
  RequestParser parser;
  CHECK(parser.parse("*2147483647\r\n", {}) == Status::kIncomplete);
  CHECK(parser.memory_bytes() < 1024);
  RequestParser value;
  CHECK(value.parse("*1\r\n$536870912\r\nabc", {}) == Status::kIncomplete);
  CHECK(value.memory_bytes() < 1024);
  CHECK(value.size_wanted() == 4 + 12 + 536870912 + 2);
}

TEST_CASE("memory of a request of many arguments is given back") {
  std::string many = "*100000\r\n";
  for (int i = 0; i < 100000; ++i) many += "$1\r\nx\r\n";
  RequestParser parser;
  REQUIRE(parser.parse(many, {}) == Status::kRequest);
  CHECK(parser.args().size() == 100000);
  CHECK(parser.size() == many.size());
  parser.next();
  CHECK(parser.memory_bytes() < 64 * 1024);
  CHECK(parser.args().empty());
}

TEST_CASE("random bytes are parsed to the same end however they arrive") {
  std::mt19937 random(3);
  constexpr std::string_view kPieces[] = {"*",  "$",  "\r\n",  "1",      "2",      "3",
                                          "-1", "ab", "\n",    "*1\r\n", "$1\r\n", "\"",
                                          "'",  " ",  "x\r\n", "*2\r\n"};
  auto outcome = [](std::string_view bytes, size_t piece) {
    std::string trace;
    RequestParser parser;
    std::unique_ptr<char[]> copy;
    size_t begin = 0;
    size_t end = 0;
    for (;;) {
      Status status =
          parse_exactly(parser, bytes.substr(begin, end - begin), RequestLimits(), &copy);
      if (status == Status::kError) return trace + "!" + parser.error();
      if (status == Status::kRequest) {
        for (std::string_view arg : parser.args()) trace.append(arg).append("|");
        trace += "\n";
        begin += parser.size();
        parser.next();
      } else if (end == bytes.size()) {
        return trace;
      } else {
        end = std::min(bytes.size(), end + piece);
      }
    }
  };
  for (int round = 0; round < 5000; ++round) {
    std::string bytes;
    for (uint32_t i = random() % 12; i > 0; --i) bytes += kPieces[random() % std::size(kPieces)];
    std::string whole = outcome(bytes, bytes.size() + 1);
    CAPTURE(bytes);
    CHECK(outcome(bytes, 1) == whole);
    CHECK(outcome(bytes, 1 + random() % 5) == whole);
  }
}

}  // namespace
}  // namespace dyno

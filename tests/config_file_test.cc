// SPDX-License-Identifier: Apache-2.0
//
// The TOML file: places of values, errors for every kind of broken text, and edits that leave all
// else as it was.
#include "src/config_file.h"

#include <doctest/doctest.h>

#include <string>

namespace dyno {
namespace {

const std::string kSample =
    "# head\n"
    "[client]\n"
    "listen = [ \"127.0.0.1:1\", # one\n"
    "  \"127.0.0.1:2\" ]\n"
    "  maxclients = 10_000   # many\n"
    "\n"
    "[memory] # how much\n"
    "maxmemory = \"64mb\"\n";

std::string first_error(const std::string& source) {
  const ConfigDocument document = parse_config_document(source);
  if (document.errors.empty()) return "";
  const FileError& error = document.errors.front();
  return std::to_string(error.line) + ":" + std::to_string(error.column) + ": " + error.what;
}

std::string edited(const std::string& source, std::initializer_list<ConfigEdit> edits) {
  const ConfigDocument document = parse_config_document(source);
  REQUIRE(document.errors.empty());
  return edit_config_document(source, document, {edits.begin(), edits.size()});
}

TEST_CASE("settings come with their text and place") {
  const ConfigDocument document = parse_config_document(kSample);
  REQUIRE(document.errors.empty());
  REQUIRE(document.settings.size() == 3);
  CHECK(document.settings[0].name == "client.listen");
  CHECK(document.settings[0].kind == FileValueKind::kList);
  CHECK(document.settings[0].text == "127.0.0.1:1 127.0.0.1:2");
  CHECK(document.settings[0].line == 3);
  CHECK(document.settings[0].column == 10);
  CHECK(document.settings[0].name_column == 1);
  CHECK(document.settings[1].text == "10000");
  CHECK(document.settings[1].name_column == 3);
  CHECK(document.settings[2].kind == FileValueKind::kText);
}

TEST_CASE("a number that does not fit keeps its digits") {
  const ConfigDocument document = parse_config_document("[a]\nb = 99999999999999999999\n");
  REQUIRE(document.settings.size() == 1);
  CHECK(document.settings[0].text == "99999999999999999999");
}

TEST_CASE("broken files are refused with their place") {
  CHECK(first_error("a = 1\na = 2\n") ==
        "2:5: duplicate key a; expected each key and section once");
  CHECK(first_error("[a]\nb = 1\n[a]\nc = 2\n").find("3:1: duplicate key a") == 0);
  CHECK(first_error("[a]\nb = 1kb\n").find("2:") == 0);
  CHECK(first_error("a = \"\xff\"\n") == "1:6: expected UTF-8 text");
  CHECK(first_error(std::string("a = 1\n\0", 7)) ==
        "2:1: expected text, found a control character");
  CHECK(first_error("a = " + std::string(100000, 'x')).find("shorter than 16 kb") !=
        std::string::npos);
  CHECK(first_error("a = " + std::string(1000, '[')) == "1:13: expected less nesting");
  std::string tall = "a = [\n";
  for (int i = 0; i < 1000; ++i) tall += "[\n";
  CHECK(first_error(tall) == "9:1: expected less nesting");
  CHECK(first_error("a = \"[[[[[[[[[[[[[[[[\"\n").empty());
  CHECK(first_error("# [[[[[[[[[[[[[[[[\n").empty());
  std::string dotted = "a";
  for (int i = 0; i < 1000; ++i) dotted += ".a";
  CHECK(first_error(dotted + " = 1\n") == "1:130: expected less nesting");
  CHECK(first_error("").empty());
}

TEST_CASE("a value is replaced where it stands") {
  CHECK(edited(kSample, {{"client.maxclients", "5"}, {"memory.maxmemory", "\"1gb\""}}) ==
        "# head\n"
        "[client]\n"
        "listen = [ \"127.0.0.1:1\", # one\n"
        "  \"127.0.0.1:2\" ]\n"
        "  maxclients = 5   # many\n"
        "\n"
        "[memory] # how much\n"
        "maxmemory = \"1gb\"\n");
  CHECK(edited(kSample, {{"client.listen", "[\"x\"]"}}).find("listen = [\"x\"]\n  max") !=
        std::string::npos);
}

TEST_CASE("a missing key joins its section, a missing section the end") {
  CHECK(edited("[client]\n[memory]\nmaxmemory = 1 # c\n[log]\nlevel = \"debug\"",
               {{"client.timeout", "5"},
                {"client.maxclients", "6"},
                {"memory.maxmemory_policy", "\"x\""},
                {"server.hz", "20"},
                {"server.threads", "2"}}) ==
        "[client]\ntimeout = 5\nmaxclients = 6\n[memory]\nmaxmemory = 1 # c\nmaxmemory_policy = "
        "\"x\"\n[log]\nlevel = \"debug\"\n\n[server]\nhz = 20\nthreads = 2\n");
}

}  // namespace
}  // namespace dyno

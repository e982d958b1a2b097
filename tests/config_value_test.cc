// SPDX-License-Identifier: Apache-2.0
//
// Single settings: units, ranges, the texts of a refusal, and the nearest name.
#include "src/config_value.h"

#include <doctest/doctest.h>

#include <array>
#include <limits>

namespace dyno {
namespace {

constexpr int64_t kInt64Max = std::numeric_limits<int64_t>::max();

const ConfigShape kBytes{.kind = ConfigKind::kBytes};
const ConfigShape kPort{.kind = ConfigKind::kInt, .min = 1, .max = 65535};
const ConfigShape kSeconds{.kind = ConfigKind::kDuration, .unit = ConfigUnit::kSeconds, .max = 100};
const ConfigShape kMicroseconds{
    .kind = ConfigKind::kDuration, .unit = ConfigUnit::kMicroseconds, .min = -1};

int64_t number_of(const ConfigShape& shape, std::string_view text) {
  const ParsedConfigValue parsed = parse_config_value(shape, text);
  REQUIRE_MESSAGE(!parsed.refusal, text);
  return parsed.value.number;
}

bool refused(const ConfigShape& shape, std::string_view text) {
  return parse_config_value(shape, text).refusal.has_value();
}

TEST_CASE("bytes follow Redis' units, and KiB is there too") {
  CHECK(number_of(kBytes, "0") == 0);
  CHECK(number_of(kBytes, "100b") == 100);
  CHECK(number_of(kBytes, "1k") == 1000);
  CHECK(number_of(kBytes, "1kb") == 1024);
  CHECK(number_of(kBytes, "64MB") == 64 << 20);
  CHECK(number_of(kBytes, "1m") == 1000000);
  CHECK(number_of(kBytes, "10MiB") == 10 << 20);
  CHECK(number_of(kBytes, "2g") == 2000000000);
  CHECK(number_of(kBytes, "2gb") == 2LL << 30);
  CHECK(number_of(kBytes, "1tib") == 1LL << 40);
}

TEST_CASE("bytes that do not fit or make no sense are refused, never wrapped") {
  CHECK(number_of(kBytes, "9223372036854775807") == kInt64Max);
  CHECK(number_of(kBytes, "8589934591gb") == 8589934591LL << 30);
  for (const char* text : {"9223372036854775808", "8589934592gb", "18446744073709551616", "-1",
                           "1e9", "10 mib", " 1", "1 ", "", "mb", "1.5gb", "0x10", "1zb", "1bb",
                           "99999999999999999999999999999999kb", "+1"}) {
    CHECK_MESSAGE(refused(kBytes, text), text);
  }
}

TEST_CASE("a percentage only where the row allows it") {
  const ConfigShape percent{.kind = ConfigKind::kBytes, .percent = true};
  CHECK(number_of(percent, "5%") == -5);
  CHECK(number_of(percent, "100%") == -100);
  CHECK(refused(percent, "101%"));
  CHECK(refused(percent, "-5%"));
  CHECK(refused(kBytes, "5%"));
  CHECK(format_config_value(percent, {-5, {}}) == "5%");
  CHECK(format_config_toml(percent, {-5, {}}) == "\"5%\"");
}

TEST_CASE("durations are whole in the unit of their row") {
  CHECK(number_of(kSeconds, "7") == 7);
  CHECK(number_of(kSeconds, "5s") == 5);
  CHECK(number_of(kSeconds, "5000ms") == 5);
  CHECK(number_of(kSeconds, "1m") == 60);
  CHECK(number_of(kMicroseconds, "250ms") == 250000);
  CHECK(number_of(kMicroseconds, "-1") == -1);
  for (const char* text : {"250ms", "101", "2m", "-1", "1 s", "s", "1.5s", "1h30m", "1fortnight",
                           "9223372036854775807d", "99999999999999999999s"}) {
    CHECK_MESSAGE(refused(kSeconds, text), text);
  }
}

TEST_CASE("integers are judged by their range") {
  CHECK(number_of(kPort, "1") == 1);
  CHECK(number_of(kPort, "65535") == 65535);
  for (const char* text : {"0", "65536", "-1", "4294967297", "18446744073709551617", "", "12a"}) {
    CHECK_MESSAGE(refused(kPort, text), text);
  }
  const ParsedConfigValue low = parse_config_value(kPort, "0");
  CHECK(low.refusal->redis == "argument must be between 1 and 65535 inclusive");
  CHECK(low.refusal->expected == "a whole number from 1 to 65535");
  CHECK(parse_config_value(kPort, "x").refusal->redis ==
        "argument couldn't be parsed into an integer");
  const ConfigShape all{.kind = ConfigKind::kInt, .min = std::numeric_limits<int64_t>::min()};
  CHECK(number_of(all, "-9223372036854775808") == std::numeric_limits<int64_t>::min());
  CHECK(refused(all, "-9223372036854775809"));
}

TEST_CASE("bools and enums ignore case") {
  const ConfigShape flag{.kind = ConfigKind::kBool};
  CHECK(number_of(flag, "YES") == 1);
  CHECK(number_of(flag, "true") == 1);
  CHECK(number_of(flag, "No") == 0);
  CHECK(parse_config_value(flag, "1").refusal->redis == "argument must be 'yes' or 'no'");
  static constexpr std::array<std::string_view, 2> kNames = {"calm", "loud"};
  const ConfigShape mood{.kind = ConfigKind::kEnum, .choices = kNames};
  CHECK(number_of(mood, "LOUD") == 1);
  CHECK(format_config_value(mood, {1, {}}) == "loud");
  CHECK(parse_config_value(mood, "x").refusal->redis ==
        "argument(s) must be one of the following: calm, loud");
}

TEST_CASE("what is written to TOML reads back as the same value") {
  const ConfigShape list{.kind = ConfigKind::kList};
  CHECK(format_config_toml(list, {0, "a:1 b:2"}) == "[\"a:1\", \"b:2\"]");
  CHECK(parse_config_value(list, "a:1, b:2,,").value.text == "a:1 b:2");
  CHECK(format_config_toml(kBytes, {64 << 20, {}}) == "\"64mb\"");
  CHECK(format_config_toml(kBytes, {1000, {}}) == "1000");
  CHECK(format_config_toml(kSeconds, {30, {}}) == "\"30s\"");
  CHECK(format_config_toml(kSeconds, {0, {}}) == "0");
  CHECK(format_config_toml({}, {0, "a\"b\\c\n\x7f"}) == "\"a\\\"b\\\\c\\u000A\\u007F\"");
}

TEST_CASE("the nearest name is found, and no name when none is near") {
  static constexpr std::array<std::string_view, 3> kNames = {"client.listen", "client.timeout",
                                                             "memory.maxmemory"};
  CHECK(nearest_name("client.listn", kNames) == "client.listen");
  CHECK(nearest_name("clinet.listen", kNames) == "client.listen");
  CHECK(nearest_name("memory.max_memory", kNames) == "memory.maxmemory");
  CHECK(nearest_name("storage.path", kNames).empty());
  CHECK(nearest_name(std::string(100000, 'a'), kNames).empty());
}

}  // namespace
}  // namespace dyno

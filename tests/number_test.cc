// SPDX-License-Identifier: Apache-2.0
//
// Numbers as text, both ways, at every edge that a client may send.
#include "protocol/number.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "protocol/words.h"

namespace dyno {
namespace {

TEST_CASE("integers are canonical or nothing") {
  CHECK(parse_int64("0") == 0);
  CHECK(parse_int64("7") == 7);
  CHECK(parse_int64("-1") == -1);
  CHECK(parse_int64("9223372036854775807") == std::numeric_limits<int64_t>::max());
  CHECK(parse_int64("-9223372036854775808") == std::numeric_limits<int64_t>::min());
  for (std::string_view bad : {"",
                               "-",
                               "+",
                               "+1",
                               "-0",
                               "00",
                               "01",
                               "-01",
                               " 1",
                               "1 ",
                               "1a",
                               "a",
                               "0x1",
                               "1.0",
                               "1e3",
                               "--1",
                               "9223372036854775808",
                               "-9223372036854775809",
                               "18446744073709551615",
                               "00000000000000000001",
                               "100000000000000000000",
                               "111111111111111111111111111111"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_int64(bad));
    int64_t untouched = 42;
    CHECK_FALSE(is_canonical_int64(bad, &untouched));
  }
  CHECK_FALSE(parse_int64(std::string_view("1\0", 2)));
  CHECK_FALSE(parse_int64(std::string_view("\0", 1)));
}

TEST_CASE("unsigned integers") {
  CHECK(parse_uint64("0") == 0);
  CHECK(parse_uint64("18446744073709551615") == std::numeric_limits<uint64_t>::max());
  for (std::string_view bad : {"", "-1", "+1", " 1", "1 ", "18446744073709551616", "abc", "1x"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_uint64(bad));
  }
}

TEST_CASE("integers are written as they are read") {
  std::mt19937_64 random(1);
  for (int round = 0; round < 20000; ++round) {
    auto value = static_cast<int64_t>(random()) >> (random() % 64);
    char text[kInt64TextMax];
    size_t size = format_int64(value, text);
    REQUIRE(size <= kInt64TextMax);
    CHECK(parse_int64({text, size}) == value);
  }
  std::string out = "x";
  append_int64(out, std::numeric_limits<int64_t>::min());
  CHECK(out == "x-9223372036854775808");
}

TEST_CASE("floats take what strtod takes as a whole") {
  CHECK(parse_double("3.5") == 3.5);
  CHECK(parse_double("-0") == 0.0);
  CHECK(std::signbit(*parse_double("-0")));
  CHECK(parse_double("+5") == 5.0);
  CHECK(parse_double(".5") == 0.5);
  CHECK(parse_double("5.") == 5.0);
  CHECK(parse_double("1e3") == 1000.0);
  CHECK(parse_double("0x1p3") == 8.0);
  CHECK(parse_double("inf") == HUGE_VAL);
  CHECK(parse_double("-InFiNiTy") == -HUGE_VAL);
  CHECK(parse_double("1e-310") == 1e-310);  // Subnormal, but not zero.
  CHECK(parse_double(std::string(100, '1') + "." + std::string(100, '0')).has_value());
  for (std::string_view bad :
       {"", " 1", "\t1", "\n1", "1 ", "1\n", "1e", "e1", "nan", "NaN", "-nan", "nan(1)", "1e400",
        "-1e400", "1e-400", "abc", "1,5", "0x", "--1"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_double(bad));
    if (bad != "1e400" && bad != "-1e400" && bad != "1e-400") CHECK_FALSE(parse_long_double(bad));
  }
  CHECK_FALSE(parse_double(std::string_view("1\0", 2)));
  CHECK_FALSE(
      parse_double(std::string_view("1\0"
                                    "2",
                                    3)));
  CHECK_FALSE(parse_double(std::string(6000, '1')));
  CHECK(parse_long_double("1e400") == 1e400L);
  CHECK_FALSE(parse_long_double("1e5000"));
}

TEST_CASE("scores are written as Redis 7.2 writes them") {
  struct Example {
    double value;
    std::string_view text;
  };
  for (const Example& example : std::initializer_list<Example>{
           {0, "0"},
           {-0.0, "-0"},
           {3, "3"},
           {-17, "-17"},
           {3.5, "3.5"},
           {0.1, "0.1"},
           {-0.25, "-0.25"},
           {1.0 / 3, "0.3333333333333333"},
           {123456.789, "123456.789"},
           {1e15, "1000000000000000"},
           {9007199254740993.0, "9007199254740992"},
           {1e17, "100000000000000000"},
           {4611686018427387904.0, "4611686018427387904"},
           {-4611686018427387904.0, "-4611686018427387904"},
           {1e18, "1000000000000000000"},
           {1e19, "1e+19"},
           {1.5e19, "1.5e+19"},
           {12345678901234567e4, "123456789012345670000"},
           {1e100, "1e+100"},
           {1.7976931348623157e308, "1.7976931348623157e+308"},
           {5e-324, "5e-324"},
           {0.001, "0.001"},
           {0.0001, "0.0001"},
           {0.00001, "0.00001"},
           {0.000001, "0.000001"},
           {0.0000001, "1e-7"},
           {0.00012345, "1.2345e-4"},
           {0.0012345678, "0.0012345678"},
           {-1.5e-9, "-1.5e-9"},
           {HUGE_VAL, "inf"},
           {-HUGE_VAL, "-inf"},
       }) {
    CHECK(format_double(example.value) == example.text);
  }
  CHECK(format_double(std::nan("")) == "nan");
}

TEST_CASE("scores read back as what they were") {
  std::mt19937_64 random(2);
  for (int round = 0; round < 20000; ++round) {
    uint64_t bits = random();
    double value;
    std::memcpy(&value, &bits, sizeof(value));
    if (!std::isfinite(value)) continue;
    if (round % 2 == 0)
      value = std::ldexp(value / std::ldexp(1, std::ilogb(value)), round % 80 - 40);
    CAPTURE(value);
    std::optional<double> read = parse_double(format_double(value));
    REQUIRE(read);
    CHECK(*read == value);
  }
}

TEST_CASE("long doubles are plain decimals without trailing zeros") {
  CHECK(format_long_double(10.5L) == "10.5");
  CHECK(format_long_double(5.0e3L) == "5000");
  CHECK(format_long_double(0) == "0");
  CHECK(format_long_double(-0.0L) == "0");
  CHECK(format_long_double(-1e-30L) == "0");
  CHECK(format_long_double(0.1L) == "0.1");
  CHECK(format_long_double(-3.25L) == "-3.25");
  CHECK(format_long_double(1e20L) == "100000000000000000000");
  CHECK(format_long_double(100) == "100");
  CHECK(format_long_double(std::numeric_limits<long double>::max()).size() == 4933);
  CHECK(format_long_double(HUGE_VALL) == "inf");
  CHECK(format_long_double(-HUGE_VALL) == "-inf");
}

TEST_CASE("words without regard to case") {
  CHECK(equals_ignore_case("GeT", "gEt"));
  CHECK_FALSE(equals_ignore_case("get", "gets"));
  CHECK_FALSE(equals_ignore_case("[", "{"));
  CHECK_FALSE(equals_ignore_case("@", "`"));
  CHECK(to_lower("AZaz09@[\xc0") == "azaz09@[\xc0");
  CHECK(to_upper("AZaz09`{\xe0") == "AZAZ09`{\xe0");
  CHECK(is_word("limit", "LIMIT"));
  CHECK_FALSE(is_word("", "LIMIT"));
}

}  // namespace
}  // namespace dyno

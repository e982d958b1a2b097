// SPDX-License-Identifier: Apache-2.0
//
// Places: replies as Redis gives them for well-known points, and searches against measuring every
// place one by one.
#include <doctest/doctest.h>

#include <algorithm>
#include <limits>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "engine/commands/geohash.h"
#include "engine/commands/partial_sort.h"
#include "engine/types/zset.h"
#include "tests/engine_client.h"

namespace dyno {
namespace {

struct Places {
  EngineClient client{kGeoCommands, kZSetCommands, kZSetRangeCommands, kGenericCommands,
                      kStringCommands};
  std::string operator()(std::string_view line) { return client(line); }
};

}  // namespace

TEST_CASE_FIXTURE(Places, "geo: points, hashes and distances of Sicily") {
  Places& run = *this;
  CHECK(run("GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania") == ":2\r\n");
  CHECK(run("ZSCORE g Palermo") == "$16\r\n3479099956230698\r\n");
  CHECK(run("GEODIST g Palermo Catania") == "$11\r\n166274.1516\r\n");
  CHECK(run("GEODIST g Palermo Catania km") == "$8\r\n166.2742\r\n");
  CHECK(run("GEODIST g Palermo Catania MI") == "$8\r\n103.3182\r\n");
  CHECK(run("GEODIST g Palermo nowhere") == "$-1\r\n");
  CHECK(run("GEODIST g Palermo Palermo") == "$6\r\n0.0000\r\n");
  CHECK(run("GEODIST g Palermo Catania parsec") ==
        "-ERR unsupported unit provided. please use M, KM, FT, MI\r\n");
  CHECK(run("GEOHASH g Palermo nowhere Catania") ==
        "*3\r\n$11\r\nsqc8b49rny0\r\n$-1\r\n$11\r\nsqdtr74hyu0\r\n");
  CHECK(run("GEOPOS g Catania nowhere") ==
        "*2\r\n*2\r\n$20\r\n15.08726745843887329\r\n$20\r\n37.50266842333162032\r\n*-1\r\n");
  CHECK(run("GEORADIUS g 15 37 200 km WITHDIST ASC") ==
        "*2\r\n*2\r\n$7\r\nCatania\r\n$7\r\n56.4413\r\n*2\r\n$7\r\nPalermo\r\n$8\r\n190.4424\r\n");
  CHECK(run("GEOSEARCH g FROMLONLAT 15 37 BYBOX 400 400 km DESC COUNT 1 WITHHASH") ==
        "*1\r\n*2\r\n$7\r\nPalermo\r\n:3479099956230698\r\n");
  CHECK(run("GEOSEARCHSTORE d g FROMMEMBER Catania BYRADIUS 100 km STOREDIST") == ":1\r\n");
  CHECK(run("ZRANGE d 0 -1 WITHSCORES") == "*2\r\n$7\r\nCatania\r\n$1\r\n0\r\n");
  CHECK(run("GEORADIUSBYMEMBER g Catania 1 m STORE g") == ":1\r\n");
  CHECK(run("ZCARD g") == ":1\r\n");
  CHECK(run("GEORADIUS missing 0 0 1 m STORE d") == ":0\r\n");
  CHECK(run("EXISTS d") == ":0\r\n");
}

TEST_CASE_FIXTURE(Places, "geo: errors") {
  Places& run = *this;
  CHECK(run("GEOADD g 181 0 a") == "-ERR invalid longitude,latitude pair 181.000000,0.000000\r\n");
  CHECK(run("GEOADD g 0 90 a") == "-ERR invalid longitude,latitude pair 0.000000,90.000000\r\n");
  CHECK(run("GEOADD g nan 0 a") == "-ERR value is not a valid float\r\n");
  CHECK(run("GEOADD g NX XX 1 1 a") == "-ERR syntax error\r\n");
  CHECK(run("GEOADD g NX CH NX") == "-ERR syntax error\r\n");
  run("GEOADD g 1 1 a");
  CHECK(run("GEOSEARCH g FROMLONLAT 0 0 BYRADIUS -1 m") == "-ERR radius cannot be negative\r\n");
  CHECK(run("GEOSEARCH g FROMLONLAT 0 0 BYBOX nan 1 m") == "-ERR need numeric width\r\n");
  CHECK(run("GEOSEARCH g FROMLONLAT 0 0 BYRADIUS 1 m COUNT -1") == "-ERR COUNT must be > 0\r\n");
  CHECK(run("GEOSEARCH g FROMLONLAT 0 0 BYRADIUS 1 m ANY") ==
        "-ERR the ANY argument requires COUNT argument\r\n");
  CHECK(run("GEOSEARCH g FROMLONLAT 0 0 ASC ASC DESC") ==
        "-ERR exactly one of BYRADIUS and BYBOX can be specified for GEOSEARCH\r\n");
  CHECK(run("geosearch g BYRADIUS 1 m ASC DESC DESC") ==
        "-ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for geosearch\r\n");
  CHECK(run("GEOSEARCH g FROMMEMBER b BYRADIUS 1 m") ==
        "-ERR could not decode requested zset member\r\n");
  CHECK(run("GEORADIUS g 0 0 1 m WITHDIST STORE d") ==
        "-ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD "
        "options\r\n");
  CHECK(run("GEORADIUS_RO g 0 0 1 m STORE d") == "-ERR syntax error\r\n");
  CHECK(run("GEOSEARCH g FROMLONLAT 0 0 BYRADIUS inf m") == "*1\r\n$1\r\na\r\n");
  CHECK(run("GEOSEARCH g FROMLONLAT 0 0 BYRADIUS 1e308 mi") == "*1\r\n$1\r\na\r\n");
  run("SET s x");
  CHECK(run("GEOPOS s a") ==
        "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n");
}

TEST_CASE_FIXTURE(Places, "geo: scores that are no geohash have some place all the same") {
  Places& run = *this;
  run("ZADD g -1 a inf b -inf c 1e300 d 9007199254740993 e 0.5 f -0 g");
  CHECK(run("GEOPOS g a b c d e f g").substr(0, 4) == "*7\r\n");
  CHECK(run("GEOSEARCH g FROMMEMBER a BYRADIUS 1 m").substr(0, 1) == "*");
}

TEST_CASE("geo: searches find exactly what lies inside") {
  std::mt19937_64 random(5);
  auto draw = [&](double max) {
    return (static_cast<double>(random() >> 11) / 4503599627370496.0 - 1) * max;
  };
  std::vector<geohash::Point> points;
  for (int i = 0; i < 3000; ++i) {
    geohash::Point point{draw(180), draw(85)};
    // Half of them near each other.
    if (i % 2 == 0) point = {20 + draw(1), 60 + draw(1)};
    points.push_back(geohash::decode_score(static_cast<double>(geohash::encode(point))));
  }
  for (int i = 0; i < 300; ++i) {
    geohash::Shape shape;
    // Away from the poles and the date line, where Redis' nine cells may miss some.
    shape.centre = i % 2 == 0 ? geohash::Point{20 + draw(1), 60 + draw(1)}
                              : geohash::Point{draw(120), draw(60)};
    shape.is_box = i % 3 == 0;
    shape.unit_m = 1000;
    double size = i % 2 == 0 ? 60 : 1500;
    shape.radius = shape.width = std::fabs(draw(size)) + 0.001;
    shape.height = std::fabs(draw(size)) + 0.001;
    std::vector<geohash::ScoreRange> ranges = geohash::ranges_around(shape);
    CHECK(ranges.size() <= 9);
    for (const geohash::Point& point : points) {
      double distance_m;
      if (!geohash::contains(shape, point, &distance_m)) continue;
      auto score = static_cast<double>(geohash::encode(point));
      auto covers = [&](const geohash::ScoreRange& range) {
        return score >= range.min && score < range.end;
      };
      CHECK(std::count_if(ranges.begin(), ranges.end(), covers) == 1);
    }
  }
}

TEST_CASE("geo: a partial sort agrees with a full one") {
  std::mt19937_64 random(9);
  for (size_t size : {1u, 6u, 7u, 8u, 41u, 500u, 5000u}) {
    for (uint64_t distinct : {uint64_t{1}, uint64_t{3}, uint64_t{1000000}}) {
      std::vector<uint64_t> values(size);
      for (uint64_t& value : values) value = random() % distinct;
      std::vector<uint64_t> sorted = values;
      std::sort(sorted.begin(), sorted.end());
      size_t wanted = 1 + random() % size;
      auto order = [](uint64_t a, uint64_t b) { return a < b ? -1 : a > b; };
      PartialSort(values.data(), size, wanted, order).run();
      CHECK(std::equal(values.begin(), values.begin() + static_cast<int64_t>(wanted),
                       sorted.begin()));
      std::sort(values.begin(), values.end());
      CHECK(values == sorted);
    }
  }
}

}  // namespace dyno

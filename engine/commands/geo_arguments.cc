// SPDX-License-Identifier: Apache-2.0
#include "engine/commands/geo_arguments.h"

#include <cstdio>

#include "engine/context.h"
#include "engine/types/zset.h"
#include "protocol/number.h"
#include "protocol/words.h"

namespace dyno {
namespace {

using geohash::Point;
using geohash::Shape;

bool read_length(Context& c, std::string_view text, std::string_view error, double* value) {
  std::optional<double> length = parse_double(text);
  if (!length) {
    c.error(error);
    return false;
  }
  *value = *length;
  return true;
}

// "radius unit" at argument `at`.
bool read_circle(Context& c, size_t at, Shape* shape) {
  double radius;
  if (!read_length(c, c.args[at], "ERR need numeric radius", &radius)) return false;
  if (radius < 0) {
    c.error("ERR radius cannot be negative");
    return false;
  }
  shape->is_box = false;
  shape->radius = radius;
  return read_unit(c, c.args[at + 1], &shape->unit_m);
}

// "width height unit" at argument `at`.
bool read_box(Context& c, size_t at, Shape* shape) {
  if (!read_length(c, c.args[at], "ERR need numeric width", &shape->width)) return false;
  if (!read_length(c, c.args[at + 1], "ERR need numeric height", &shape->height)) return false;
  if (shape->width < 0 || shape->height < 0) {
    c.error("ERR height or width cannot be negative");
    return false;
  }
  shape->is_box = true;
  return read_unit(c, c.args[at + 2], &shape->unit_m);
}

}  // namespace

// Longitude and latitude at argument `at`; answers the error.
bool read_point(Context& c, size_t at, Point* point) {
  for (size_t i = 0; i < 2; ++i) {
    std::optional<double> value = parse_double(c.args[at + i]);
    if (!value) {
      c.error(errors::kNotFloat);
      return false;
    }
    (i == 0 ? point->longitude : point->latitude) = *value;
  }
  if (geohash::is_valid(*point)) return true;
  char text[800];
  std::snprintf(text, sizeof(text), "ERR invalid longitude,latitude pair %f,%f", point->longitude,
                point->latitude);
  c.error(text);
  return false;
}

// Metres in a unit; answers the error.
bool read_unit(Context& c, std::string_view text, double* metres) {
  if (is_word(text, "M")) {
    *metres = 1;
  } else if (is_word(text, "KM")) {
    *metres = 1000;
  } else if (is_word(text, "FT")) {
    *metres = 0.3048;
  } else if (is_word(text, "MI")) {
    *metres = 1609.34;
  } else {
    c.error("ERR unsupported unit provided. please use M, KM, FT, MI");
    return false;
  }
  return true;
}

// The centre is where a member is.
bool GeoSearch::read_centre(Context& c, const ZSetView& set, size_t at) {
  std::optional<double> score = set.score(c.args[at]);
  if (!score) {
    c.error("ERR could not decode requested zset member");
    return false;
  }
  shape.centre = geohash::decode_score(*score);
  return true;
}

bool GeoSearch::read_search_option(Context& c, const ZSetView& set, bool exists, size_t* at) {
  std::string_view word = c.args[*at];
  size_t behind = c.args.size() - *at - 1;
  if (behind >= 1 && is_word(word, "FROMMEMBER") && !from_point) {
    // Without a source the other options are still judged.
    if (exists && !read_centre(c, set, *at + 1)) return false;
    from_member = true;
    *at += 1;
  } else if (behind >= 2 && is_word(word, "FROMLONLAT") && !from_member) {
    if (!read_point(c, *at + 1, &shape.centre)) return false;
    from_point = true;
    *at += 2;
  } else if (behind >= 2 && is_word(word, "BYRADIUS") && !by_box) {
    if (!read_circle(c, *at + 1, &shape)) return false;
    by_radius = true;
    *at += 2;
  } else if (behind >= 3 && is_word(word, "BYBOX") && !by_radius) {
    if (!read_box(c, *at + 1, &shape)) return false;
    by_box = true;
    *at += 3;
  } else if (kind == Kind::kSearchStore && is_word(word, "STOREDIST")) {
    stores_distance = true;
  } else {
    c.error(errors::kSyntax);
    return false;
  }
  return true;
}

bool GeoSearch::read_option(Context& c, const ZSetView& set, bool exists, size_t* at) {
  std::string_view word = c.args[*at];
  size_t behind = c.args.size() - *at - 1;
  if (is_word(word, "WITHDIST")) {
    with_distance = true;
  } else if (is_word(word, "WITHHASH")) {
    with_hash = true;
  } else if (is_word(word, "WITHCOORD")) {
    with_point = true;
  } else if (is_word(word, "ANY")) {
    any = true;
  } else if (is_word(word, "ASC")) {
    sort = Sort::kAscending;
  } else if (is_word(word, "DESC")) {
    sort = Sort::kDescending;
  } else if (behind >= 1 && is_word(word, "COUNT")) {
    std::optional<int64_t> value = parse_int64(c.args[++*at]);
    if (!value || *value <= 0) {
      c.error(value ? "ERR COUNT must be > 0" : errors::kNotInteger);
      return false;
    }
    count = *value;
  } else if (may_store && behind >= 1 && (is_word(word, "STORE") || is_word(word, "STOREDIST"))) {
    stores = true;
    stores_distance = is_word(word, "STOREDIST");
    destination = c.args[++*at];
  } else if (is_search()) {
    return read_search_option(c, set, exists, at);
  } else {
    c.error(errors::kSyntax);
    return false;
  }
  return true;
}

bool GeoSearch::read_options(Context& c, const ZSetView& set, bool exists, size_t at) {
  for (; at < c.args.size(); ++at) {
    if (!read_option(c, set, exists, &at)) return false;
  }
  return judge(c);
}

bool GeoSearch::judge(Context& c) const {
  auto refuse = [&](std::string text) {
    c.error(text);
    return false;
  };
  bool is_store = kind == Kind::kSearchStore;
  if (stores && (with_distance || with_hash || with_point)) {
    return refuse(std::string("ERR ") +
                  (is_store ? "GEOSEARCHSTORE" : "STORE option in GEORADIUS") +
                  " is not compatible with WITHDIST, WITHHASH and WITHCOORD options");
  }
  if (is_search() && !from_member && !from_point) {
    return refuse("ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for " +
                  std::string(c.args[0]));
  }
  if (is_search() && !by_radius && !by_box) {
    return refuse("ERR exactly one of BYRADIUS and BYBOX can be specified for " +
                  std::string(c.args[0]));
  }
  if (any && count == 0) return refuse("ERR the ANY argument requires COUNT argument");
  return true;
}

bool GeoSearch::read(Context& c, const ZSetView& set, bool exists) {
  switch (kind) {
    case Kind::kRadius:
      return read_point(c, 2, &shape.centre) && read_circle(c, 4, &shape) &&
             read_options(c, set, exists, 6);
    case Kind::kRadiusMember:
      if (exists && (!read_centre(c, set, 2) || !read_circle(c, 3, &shape))) return false;
      return read_options(c, set, exists, 5);
    case Kind::kSearch:
      return read_options(c, set, exists, 2);
    case Kind::kSearchStore:
      stores = true;
      destination = c.args[1];
      return read_options(c, set, exists, 3);
  }
  __builtin_unreachable();
}

}  // namespace dyno

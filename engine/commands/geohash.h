// SPDX-License-Identifier: Apache-2.0
//
// The arithmetic of places: geohashes, distances, and which geohashes lie around a shape. Pure
// functions of numbers. Formulas and their order of evaluation are part of the contract, since
// distances are shown to clients with all their digits. Units: degrees and metres.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace dyno::geohash {

struct Point {
  double longitude = 0;
  double latitude = 0;
};

// A circle or, upright on the sphere, a box. Lengths are in units of `unit_m` metres.
struct Shape {
  Point centre;
  bool is_box = false;
  double unit_m = 1;
  double radius = 0;
  double width = 0;
  double height = 0;
};

// Scores min <= score < end.
struct ScoreRange {
  double min;
  double end;
};

// Within the longitudes and latitudes that have a geohash.
[[nodiscard]] bool is_valid(const Point& point);
// The 52 bits of a valid point.
[[nodiscard]] uint64_t encode(const Point& point);
// The middle of a score's cell; any score, also one that is no geohash, gives some point.
[[nodiscard]] Point decode_score(double score);
// The eleven letters of geohash.org, which counts latitudes from -90 to 90.
[[nodiscard]] std::string text(const Point& point);

// Along a great circle.
[[nodiscard]] double distance_m(const Point& a, const Point& b);
// True when the point lies in the shape; then tells its distance from the centre.
[[nodiscard]] bool contains(const Shape& shape, const Point& point, double* distance_m);

// The cells that cover a shape whose centre is valid: its own, then north, south, east, west,
// north-east, north-west, south-east, south-west, without those that cannot hold any of it.
[[nodiscard]] std::vector<ScoreRange> ranges_around(const Shape& shape);

}  // namespace dyno::geohash

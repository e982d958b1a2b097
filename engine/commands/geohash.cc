// SPDX-License-Identifier: Apache-2.0
#include "engine/commands/geohash.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace dyno::geohash {
namespace {

constexpr int kStepsMax = 26;
constexpr double kLongitudeMax = 180;
constexpr double kLatitudeMax = 85.05112878;
constexpr double kEarthRadiusM = 6372797.560856;
constexpr double kMercatorMaxM = 20037726.37;
constexpr double kDegree = std::numbers::pi / 180;

double to_radians(double degrees) {
  return degrees * kDegree;
}
double to_degrees(double radians) {
  return radians / kDegree;
}

// Puts the bits of `even` at even places and those of `odd` at odd ones.
uint64_t spread(uint32_t bits) {
  uint64_t x = bits;
  x = (x | (x << 16)) & 0x0000ffff0000ffffull;
  x = (x | (x << 8)) & 0x00ff00ff00ff00ffull;
  x = (x | (x << 4)) & 0x0f0f0f0f0f0f0f0full;
  x = (x | (x << 2)) & 0x3333333333333333ull;
  return (x | (x << 1)) & 0x5555555555555555ull;
}
uint64_t interleave(uint32_t even, uint32_t odd) {
  return spread(even) | (spread(odd) << 1);
}

uint32_t gather(uint64_t x) {
  x &= 0x5555555555555555ull;
  x = (x | (x >> 1)) & 0x3333333333333333ull;
  x = (x | (x >> 2)) & 0x0f0f0f0f0f0f0f0full;
  x = (x | (x >> 4)) & 0x00ff00ff00ff00ffull;
  x = (x | (x >> 8)) & 0x0000ffff0000ffffull;
  return static_cast<uint32_t>(x | (x >> 16));
}

// A cell of the grid after `steps` halvings.
struct Cell {
  uint32_t x;  // Eastwards.
  uint32_t y;  // Northwards.
  int steps;

  [[nodiscard]] uint64_t bits() const { return interleave(y, x); }
  // The neighbour so many cells away; the grid has no edges. A coordinate at the very end of its
  // range lies one cell beyond the last, and stays there unless it is moved itself.
  [[nodiscard]] Cell moved(int east, int north) const {
    uint32_t mask = (uint32_t{1} << steps) - 1;
    return {east == 0 ? x : (x + static_cast<uint32_t>(east)) & mask,
            north == 0 ? y : (y + static_cast<uint32_t>(north)) & mask, steps};
  }
};

struct Area {
  double west;
  double east;
  double south;
  double north;
};

// Where a value lies in -max to max, in 2^steps parts.
uint32_t part_of(double value, double max, int steps) {
  double offset = (value + max) / (max + max);
  return static_cast<uint32_t>(offset * static_cast<double>(uint64_t{1} << steps));
}

Cell cell_of(const Point& point, double latitude_max, int steps) {
  return {part_of(point.longitude, kLongitudeMax, steps),
          part_of(point.latitude, latitude_max, steps), steps};
}

double edge(uint64_t part, double max, int steps) {
  double share = static_cast<double>(part) / static_cast<double>(uint64_t{1} << steps);
  return -max + share * (max + max);
}

Area area_of(const Cell& cell) {
  return {edge(cell.x, kLongitudeMax, cell.steps),
          edge(uint64_t{cell.x} + 1, kLongitudeMax, cell.steps),
          edge(cell.y, kLatitudeMax, cell.steps),
          edge(uint64_t{cell.y} + 1, kLatitudeMax, cell.steps)};
}

double latitude_distance_m(double a, double b) {
  return kEarthRadiusM * std::fabs(to_radians(b) - to_radians(a));
}

// Halvings after which a cell is about as large as the search; fewer near the poles, where cells
// are narrow.
int steps_for(double range_m, double latitude) {
  if (range_m == 0) return kStepsMax;
  int steps = 1;
  while (range_m < kMercatorMaxM) {
    range_m *= 2;
    ++steps;
  }
  steps -= 2;
  double from_equator = std::fabs(latitude);
  if (from_equator > 66) --steps;
  if (from_equator > 80) --steps;
  return std::clamp(steps, 1, kStepsMax);
}

// A box around the shape, on the side of the equator where its edges are longest.
Area bounding_box(const Shape& shape) {
  double height = shape.unit_m * (shape.is_box ? shape.height / 2 : shape.radius);
  double width = shape.unit_m * (shape.is_box ? shape.width / 2 : shape.radius);
  double latitude = shape.centre.latitude;
  double longitude = shape.centre.longitude;
  double north_south = to_degrees(height / kEarthRadiusM);
  double widest_at = latitude < 0 ? latitude - north_south : latitude + north_south;
  double east_west = to_degrees(width / kEarthRadiusM / std::cos(to_radians(widest_at)));
  return {longitude - east_west, longitude + east_west, latitude - north_south,
          latitude + north_south};
}

// Its neighbours do not reach as far as the box.
bool is_too_small(const Cell& cell, const Area& box) {
  return area_of(cell.moved(0, 1)).north < box.north ||
         area_of(cell.moved(0, -1)).south > box.south ||
         area_of(cell.moved(1, 0)).east < box.east || area_of(cell.moved(-1, 0)).west > box.west;
}

double radius_m(const Shape& shape) {
  double radius = shape.radius;
  if (shape.is_box) {
    double x = shape.width / 2;
    double y = shape.height / 2;
    radius = std::sqrt(x * x + y * y);
  }
  return radius * shape.unit_m;
}

// The 64 bits that a score stands for; defined for every double.
uint64_t bits_of(double score) {
  constexpr double kTwo63 = 9223372036854775808.0;
  if (score >= -kTwo63 && score < kTwo63) {
    return static_cast<uint64_t>(static_cast<int64_t>(score));
  }
  if (score >= kTwo63 && score < 2 * kTwo63) return static_cast<uint64_t>(score);
  return score > 0 ? 0 : uint64_t{1} << 63;
}

}  // namespace

bool is_valid(const Point& point) {
  return point.longitude >= -kLongitudeMax && point.longitude <= kLongitudeMax &&
         point.latitude >= -kLatitudeMax && point.latitude <= kLatitudeMax;
}

uint64_t encode(const Point& point) {
  return cell_of(point, kLatitudeMax, kStepsMax).bits();
}

Point decode_score(double score) {
  uint64_t bits = bits_of(score);
  Area area = area_of({gather(bits >> 1), gather(bits), kStepsMax});
  return {std::clamp((area.west + area.east) / 2, -kLongitudeMax, kLongitudeMax),
          std::clamp((area.south + area.north) / 2, -kLatitudeMax, kLatitudeMax)};
}

std::string text(const Point& point) {
  constexpr char kLetters[] = "0123456789bcdefghjkmnpqrstuvwxyz";
  constexpr int kLetterCount = 11;
  constexpr int kBits = 2 * kStepsMax;
  uint64_t bits = cell_of(point, 90, kStepsMax).bits();
  std::string letters;
  for (int i = 1; i < kLetterCount; ++i) letters += kLetters[(bits >> (kBits - 5 * i)) & 31];
  // Two bits are left; what they would begin is always written as zero.
  return letters + kLetters[0];
}

double distance_m(const Point& a, const Point& b) {
  double v = std::sin((to_radians(b.longitude) - to_radians(a.longitude)) / 2);
  if (v == 0) return latitude_distance_m(a.latitude, b.latitude);
  double from = to_radians(a.latitude);
  double to = to_radians(b.latitude);
  double u = std::sin((to - from) / 2);
  return 2.0 * kEarthRadiusM * std::asin(std::sqrt(u * u + std::cos(from) * std::cos(to) * v * v));
}

bool contains(const Shape& shape, const Point& point, double* distance) {
  const Point& centre = shape.centre;
  if (!shape.is_box) {
    *distance = distance_m(centre, point);
    return !(*distance > shape.radius * shape.unit_m);
  }
  double width = shape.width * shape.unit_m;
  double height = shape.height * shape.unit_m;
  if (latitude_distance_m(point.latitude, centre.latitude) > height / 2) return false;
  // Along the point's own parallel.
  if (distance_m(point, {centre.longitude, point.latitude}) > width / 2) return false;
  *distance = distance_m(centre, point);
  return true;
}

std::vector<ScoreRange> ranges_around(const Shape& shape) {
  Area box = bounding_box(shape);
  int steps = steps_for(radius_m(shape), shape.centre.latitude);
  Cell centre = cell_of(shape.centre, kLatitudeMax, steps);
  if (steps > 1 && is_too_small(centre, box)) centre = cell_of(shape.centre, kLatitudeMax, --steps);
  Area area = area_of(centre);
  struct Direction {
    int east;
    int north;
  };
  constexpr Direction kOrder[] = {{0, 0}, {0, 1},  {0, -1}, {1, 0},  {-1, 0},
                                  {1, 1}, {-1, 1}, {1, -1}, {-1, -1}};
  std::vector<ScoreRange> ranges;
  uint64_t last = 0;
  bool has_last = false;
  for (const Direction& direction : kOrder) {
    // A side to which the cell itself reaches beyond the box needs no neighbour.
    bool is_useless = (direction.north < 0 && area.south < box.south) ||
                      (direction.north > 0 && area.north > box.north) ||
                      (direction.east < 0 && area.west < box.west) ||
                      (direction.east > 0 && area.east > box.east);
    if (steps >= 2 && is_useless) continue;
    uint64_t bits = centre.moved(direction.east, direction.north).bits();
    // Around the largest shapes neighbours meet behind the globe.
    bool is_centre = direction.east == 0 && direction.north == 0;
    if (has_last && bits == last) continue;
    int unused = 52 - 2 * steps;
    ranges.push_back(
        {static_cast<double>(bits << unused), static_cast<double>((bits + 1) << unused)});
    last = bits;
    has_last = !is_centre;
  }
  return ranges;
}

}  // namespace dyno::geohash

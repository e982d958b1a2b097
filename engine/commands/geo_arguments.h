// SPDX-License-Identifier: Apache-2.0
//
// What the commands about places are asked: points, units, and searches around a point, in the
// grammars of GEORADIUS, GEORADIUSBYMEMBER, GEOSEARCH and GEOSEARCHSTORE. What cannot be read is
// answered with Redis' error, in Redis' order of looking.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "engine/commands/geohash.h"

namespace dyno {

struct Context;
class ZSetView;

// Longitude and latitude at argument `at`; answers the error.
[[nodiscard]] bool read_point(Context& c, size_t at, geohash::Point* point);
// Metres in a unit; answers the error.
[[nodiscard]] bool read_unit(Context& c, std::string_view text, double* metres);

struct GeoSearch {
  enum class Sort : uint8_t { kNone, kAscending, kDescending };
  // The commands that search, by how they name the centre and what they may store.
  enum class Kind : uint8_t { kRadius, kRadiusMember, kSearch, kSearchStore };

  Kind kind;
  bool may_store = false;  // GEORADIUS and GEORADIUSBYMEMBER take STORE.
  geohash::Shape shape{};
  bool with_distance = false;
  bool with_hash = false;
  bool with_point = false;
  bool from_member = false;
  bool from_point = false;
  bool by_radius = false;
  bool by_box = false;
  bool any = false;
  Sort sort = Sort::kNone;
  int64_t count = 0;  // 0: all.
  bool stores = false;
  bool stores_distance = false;
  std::string_view destination;

  [[nodiscard]] bool is_search() const {
    return kind == Kind::kSearch || kind == Kind::kSearchStore;
  }
  // Reads the command of this kind. `set` is the source, `exists` says whether it does. False when
  // an error has been answered.
  [[nodiscard]] bool read(Context& c, const ZSetView& set, bool exists);

 private:
  [[nodiscard]] bool read_centre(Context& c, const ZSetView& set, size_t at);
  [[nodiscard]] bool read_options(Context& c, const ZSetView& set, bool exists, size_t at);
  [[nodiscard]] bool read_option(Context& c, const ZSetView& set, bool exists, size_t* at);
  [[nodiscard]] bool read_search_option(Context& c, const ZSetView& set, bool exists, size_t* at);
  [[nodiscard]] bool judge(Context& c) const;
};

}  // namespace dyno

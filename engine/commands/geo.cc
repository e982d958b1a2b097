// SPDX-License-Identifier: Apache-2.0
//
// Places on earth: a sorted set whose scores are geohashes, and searches around a point.
//
//   score := 52 bits: of the longitude and of the latitude 26 bits each, interleaved, latitude in
//            the even bits. A coordinate's bits are its position in its range, scaled to 2^26.
//
// Longitudes are -180 to 180 degrees, latitudes -85.05112878 to 85.05112878 as in the Mercator
// projection. A geohash of s steps names a cell of the grid that halves both ranges s times; the
// scores of the places in it lie together. A search looks through the cell around its centre and
// the neighbours of that, in an order that clients can observe, and measures each place it finds.
//
// Nothing here changes data but through the sorted set's mutators; see zset.h.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numbers>
#include <string>
#include <vector>

#include "engine/command.h"
#include "engine/commands/geo_arguments.h"
#include "engine/commands/geohash.h"
#include "engine/commands/partial_sort.h"
#include "engine/types/zset.h"
#include "protocol/words.h"

namespace dyno {
namespace {

using geohash::Point;
using Search = GeoSearch;
using Sort = GeoSearch::Sort;
using SearchKind = GeoSearch::Kind;

// --- Replies ------------------------------------------------------------------------------------

// Four decimals, rounded half to even after scaling.
void reply_distance(Reply& reply, double distance) {
  constexpr double kScale = 10000;
  constexpr double kScaledMax = 9.2e18;
  double scaled = distance * kScale;
  char text[400];
  int size;
  if (std::fabs(scaled) < kScaledMax) {
    long long rounded = std::llrint(scaled);
    unsigned long long value = rounded < 0 ? 0ull - static_cast<unsigned long long>(rounded)
                                           : static_cast<unsigned long long>(rounded);
    size = std::snprintf(text, sizeof(text), "%s%llu.%04llu", rounded < 0 ? "-" : "", value / 10000,
                         value % 10000);
  } else {
    size = std::snprintf(text, sizeof(text), "%.4f", distance);
  }
  reply.bulk({text, static_cast<size_t>(size)});
}

void reply_coordinate(Reply& reply, double degrees) {
  std::string text = format_long_double(degrees);
  if (reply.version() != 3) return reply.bulk(text);
  reply.raw(",");
  reply.raw(text);
  reply.raw("\r\n");
}

void reply_point(Reply& reply, const Point& point) {
  reply.array(2);
  reply_coordinate(reply, point.longitude);
  reply_coordinate(reply, point.latitude);
}

// --- GEOADD and single places -------------------------------------------------------------------

void geoadd(Context& c) {
  size_t first = 2;
  bool nx = false;
  bool xx = false;
  bool ch = false;
  for (; first < c.args.size(); ++first) {
    if (is_word(c.args[first], "NX")) {
      nx = true;
    } else if (is_word(c.args[first], "XX")) {
      xx = true;
    } else if (is_word(c.args[first], "CH")) {
      ch = true;
    } else {
      break;
    }
  }
  size_t count = (c.args.size() - first) / 3;
  if ((c.args.size() - first) % 3 != 0 || (nx && xx) || count == 0) return c.error(errors::kSyntax);
  std::vector<double> scores(count);
  for (size_t i = 0; i < count; ++i) {
    Point point;
    if (!read_point(c, first + 3 * i, &point)) return;
    scores[i] = static_cast<double>(geohash::encode(point));
  }
  Key key(c, c.args[1], Key::Use::kWrite);
  if (!key.allows(Type::kZSet)) return;
  if (!key.exists() && xx) return c.reply.integer(0);
  ZSet set(key);
  set.expect(count, c.args[first + 2].size());
  int64_t added = 0;
  int64_t updated = 0;
  for (size_t i = 0; i < count; ++i) {
    std::string_view member = c.args[first + 3 * i + 2];
    ZSetView::Place place = set.find(member);
    if (place.found ? nx : xx) continue;
    set.put(place, member, scores[i]);
    if (!place.found) {
      ++added;
    } else if (place.score != scores[i]) {
      ++updated;
    }
  }
  if (added + updated > 0) key.changed();
  c.reply.integer(ch ? added + updated : added);
}

void geodist(Context& c) {
  double unit_m = 1;
  if (c.args.size() > 5) return c.error(errors::kSyntax);
  if (c.args.size() == 5 && !read_unit(c, c.args[4], &unit_m)) return;
  Key key(c, c.args[1], Key::Use::kRead);
  if (!key.allows(Type::kZSet)) return;
  ZSetView set(key);
  std::optional<double> from = set.score(c.args[2]);
  std::optional<double> to = set.score(c.args[3]);
  if (!from || !to) return c.reply.null();
  reply_distance(
      c.reply,
      geohash::distance_m(geohash::decode_score(*from), geohash::decode_score(*to)) / unit_m);
}

void geohash_command(Context& c) {
  Key key(c, c.args[1], Key::Use::kRead);
  if (!key.allows(Type::kZSet)) return;
  ZSetView set(key);
  c.reply.array(c.args.size() - 2);
  for (std::string_view member : c.args.subspan(2)) {
    std::optional<double> score = set.score(member);
    score ? c.reply.bulk(geohash::text(geohash::decode_score(*score))) : c.reply.null();
  }
}

void geopos(Context& c) {
  Key key(c, c.args[1], Key::Use::kRead);
  if (!key.allows(Type::kZSet)) return;
  ZSetView set(key);
  c.reply.array(c.args.size() - 2);
  for (std::string_view member : c.args.subspan(2)) {
    std::optional<double> score = set.score(member);
    score ? reply_point(c.reply, geohash::decode_score(*score)) : c.reply.null_array();
  }
}

// --- Searches -----------------------------------------------------------------------------------

struct Place {
  std::string_view member;
  double score;
  Point point;
  double distance_m;
};

// Places within the shape; with ANY no more than asked for.
std::vector<Place> find_places(const Search& search, const ZSetView& set, MemberList* texts) {
  std::vector<Place> places;
  auto enough = [&] { return search.any && places.size() >= static_cast<uint64_t>(search.count); };
  for (const geohash::ScoreRange& range : geohash::ranges_around(search.shape)) {
    if (enough()) break;
    uint64_t first = set.count_below(ScoreBound{range.min, false});
    uint64_t end = set.count_below(ScoreBound{range.end, false});
    if (end <= first) continue;
    set.for_each(first, end - first, false, [&](std::string_view member, double score) {
      Point point = geohash::decode_score(score);
      double distance_m;
      if (geohash::contains(search.shape, point, &distance_m)) {
        std::string_view text = set.is_large() ? member : texts->copy(member);
        places.push_back({text, score, point, distance_m});
      }
      return !enough();
    });
  }
  return places;
}

void sort_places(const Search& search, std::vector<Place>& places, size_t kept) {
  // COUNT is of the nearest unless ANY will do.
  Sort sort = search.sort;
  if (sort == Sort::kNone && search.count != 0 && !search.any) sort = Sort::kAscending;
  if (sort == Sort::kNone) return;
  int sign = sort == Sort::kDescending ? -1 : 1;
  auto order = [sign](const Place& a, const Place& b) {
    return a.distance_m > b.distance_m ? sign : a.distance_m < b.distance_m ? -sign : 0;
  };
  if (kept < places.size()) return PartialSort(places.data(), places.size(), kept, order).run();
  std::stable_sort(places.begin(), places.end(),
                   [&](const Place& a, const Place& b) { return order(a, b) < 0; });
}

void reply_places(Context& c, const Search& search, const std::vector<Place>& places, size_t kept) {
  size_t extras = static_cast<size_t>(search.with_distance) + search.with_hash + search.with_point;
  c.reply.array(kept);
  for (size_t i = 0; i < kept; ++i) {
    const Place& place = places[i];
    if (extras > 0) c.reply.array(1 + extras);
    c.reply.bulk(place.member);
    if (search.with_distance) reply_distance(c.reply, place.distance_m / search.shape.unit_m);
    if (search.with_hash) c.reply.integer(static_cast<int64_t>(place.score));
    if (search.with_point) reply_point(c.reply, place.point);
  }
}

void search_with(Context& c, SearchKind kind, bool may_store) {
  Search search{kind, may_store};
  MemberList members;
  std::vector<Place> places;
  size_t kept = 0;
  {
    Key source(c, c.args[kind == SearchKind::kSearchStore ? 2 : 1], Key::Use::kRead);
    if (!source.allows(Type::kZSet)) return;
    ZSetView set(source);
    if (!search.read(c, set, source.exists())) return;
    if (source.exists()) places = find_places(search, set, &members);
  }
  kept = places.size();
  if (search.count != 0) kept = std::min(kept, static_cast<size_t>(search.count));
  sort_places(search, places, kept);
  if (!search.stores) return reply_places(c, search, places, kept);
  for (size_t i = 0; i < kept; ++i) {
    double distance = places[i].distance_m / search.shape.unit_m;
    members.add(places[i].member, search.stores_distance ? distance : places[i].score, true);
  }
  Key destination(c, search.destination, Key::Use::kWrite);
  bool existed = destination.exists();
  ZSet::replace(destination, members);
  if (existed || destination.exists()) destination.changed();
  c.reply.integer(static_cast<int64_t>(kept));
}

void georadius(Context& c) {
  search_with(c, SearchKind::kRadius, true);
}
void georadius_ro(Context& c) {
  search_with(c, SearchKind::kRadius, false);
}
void georadiusbymember(Context& c) {
  search_with(c, SearchKind::kRadiusMember, true);
}
void georadiusbymember_ro(Context& c) {
  search_with(c, SearchKind::kRadiusMember, false);
}
void geosearch(Context& c) {
  search_with(c, SearchKind::kSearch, false);
}
void geosearchstore(Context& c) {
  search_with(c, SearchKind::kSearchStore, false);
}

// The source, and the destination of the last STORE or STOREDIST.
bool radius_keys(Args args, std::vector<int>* indexes) {
  if (args.size() < 5) return false;
  indexes->push_back(1);
  int destination = 0;
  for (size_t i = 5; i + 1 < args.size(); ++i) {
    if (!is_word(args[i], "STORE") && !is_word(args[i], "STOREDIST")) continue;
    destination = static_cast<int>(++i);
  }
  if (destination != 0) indexes->push_back(destination);
  return true;
}

constexpr KeyRange kFirstKey{1, 1, 1};
constexpr KeyRange kTwoKeys{1, 2, 1};
constexpr auto kGroup = CommandGroup::kGeo;
constexpr std::string_view kSearchTime =
    "O(N + log M) with N the places in the cells around the shape and M those in the set";
constexpr std::string_view kRadiusSyntax =
    "key longitude latitude radius (M | KM | FT | MI) [WITHCOORD] [WITHDIST] [WITHHASH] "
    "[COUNT count [ANY]] [ASC | DESC] [STORE key | STOREDIST key]";
constexpr std::string_view kRadiusRoSyntax =
    "key longitude latitude radius (M | KM | FT | MI) [WITHCOORD] [WITHDIST] [WITHHASH] "
    "[COUNT count [ANY]] [ASC | DESC]";
constexpr std::string_view kMemberSyntax =
    "key member radius (M | KM | FT | MI) [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] "
    "[ASC | DESC] [STORE key | STOREDIST key]";
constexpr std::string_view kMemberRoSyntax =
    "key member radius (M | KM | FT | MI) [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] "
    "[ASC | DESC]";
constexpr std::string_view kSearchSyntax =
    "key (FROMMEMBER member | FROMLONLAT longitude latitude) (BYRADIUS radius (M | KM | FT | MI) | "
    "BYBOX width height (M | KM | FT | MI)) [ASC | DESC] [COUNT count [ANY]] [WITHCOORD] "
    "[WITHDIST] [WITHHASH]";
constexpr std::string_view kStoreSyntax =
    "destination source (FROMMEMBER member | FROMLONLAT longitude latitude) (BYRADIUS radius (M | "
    "KM | FT | MI) | BYBOX width height (M | KM | FT | MI)) [ASC | DESC] [COUNT count [ANY]] "
    "[STOREDIST]";

// clang-format off
const CommandSpec kRows[] = {
    {"GEOADD", -5, kWrite | kDenyOom, kFirstKey, kGroup, "3.2.0",
     "O(log N) for each place, with N those in the set",
     "Gives members of a set of places their longitude and latitude.",
     "key [NX | XX] [CH] longitude latitude member [longitude latitude member ...]", geoadd},
    {"GEODIST", -4, kReadonly, kFirstKey, kGroup, "3.2.0", "O(1)",
     "Returns the distance between two places.", "key member1 member2 [M | KM | FT | MI]", geodist},
    {"GEOHASH", -2, kReadonly, kFirstKey, kGroup, "3.2.0", "O(N) with N the members asked for",
     "Returns places as geohash texts of eleven letters.", "key [member [member ...]]",
     geohash_command},
    {"GEOPOS", -2, kReadonly, kFirstKey, kGroup, "3.2.0", "O(N) with N the members asked for",
     "Returns the longitude and latitude of places.", "key [member [member ...]]", geopos},
    {"GEORADIUS", -6, kWrite | kDenyOom | kMovableKeys, kFirstKey, kGroup, "3.2.0", kSearchTime,
     "Returns the places around a point, or stores them.", kRadiusSyntax, georadius, radius_keys},
    {"GEORADIUS_RO", -6, kReadonly, kFirstKey, kGroup, "3.2.10", kSearchTime,
     "Returns the places around a point.", kRadiusRoSyntax, georadius_ro},
    {"GEORADIUSBYMEMBER", -5, kWrite | kDenyOom | kMovableKeys, kFirstKey, kGroup, "3.2.0",
     kSearchTime, "Returns the places around a member, or stores them.", kMemberSyntax,
     georadiusbymember, radius_keys},
    {"GEORADIUSBYMEMBER_RO", -5, kReadonly, kFirstKey, kGroup, "3.2.10", kSearchTime,
     "Returns the places around a member.", kMemberRoSyntax, georadiusbymember_ro},
    {"GEOSEARCH", -7, kReadonly, kFirstKey, kGroup, "6.2.0", kSearchTime,
     "Returns the places within a circle or a box.", kSearchSyntax, geosearch},
    {"GEOSEARCHSTORE", -8, kWrite | kDenyOom, kTwoKeys, kGroup, "6.2.0", kSearchTime,
     "Stores the places within a circle or a box.", kStoreSyntax, geosearchstore},
};
// clang-format on

}  // namespace

const std::span<const CommandSpec> kGeoCommands{kRows};

}  // namespace dyno

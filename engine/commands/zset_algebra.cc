// SPDX-License-Identifier: Apache-2.0
//
// Unions, intersections and differences of sorted sets, and of plain sets, whose members count with
// a score of 1.
//
// Sources are read where they lie; a result is a list of members that point into them, and becomes
// a reply or the destination's new value. Sums are made in the order of the sources' sizes,
// smallest first, as in Redis, because the sum of several doubles depends on it.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "engine/command.h"
#include "engine/types/set_members.h"
#include "engine/types/zset.h"
#include "protocol/words.h"

namespace dyno {
namespace {

enum class Operation : uint8_t { kUnion, kInter, kDiff };
enum class Aggregate : uint8_t { kSum, kMin, kMax };

// One input key: missing, a sorted set or a set.
struct Source {
  Entry* entry = nullptr;
  double weight = 1;

  [[nodiscard]] bool is_set() const { return entry->type() == Type::kSet; }
  [[nodiscard]] uint64_t size() const {
    if (entry == nullptr) return 0;
    return is_set() ? SetMembers(entry).count() : ZSetView(entry).size();
  }
  [[nodiscard]] std::optional<double> score(std::string_view member) const {
    if (entry == nullptr) return std::nullopt;
    if (!is_set()) return ZSetView(entry).score(member);
    return SetMembers(entry).contains(member) ? std::optional(1.0) : std::nullopt;
  }
  // Calls visit(std::string_view member, double score) until it returns false.
  template <class Visit>
  void for_all(Visit&& visit) const {
    if (entry == nullptr) return;
    if (!is_set()) return ZSetView(entry).for_all(visit);
    SetMembers(entry).for_each([&](const packed::Item& item) {
      packed::Item::Buffer buffer;
      return visit(item.view(&buffer), 1.0);
    });
  }
  // Members live as long as the entry.
  [[nodiscard]] bool members_live() const { return entry->encoding() == Encoding::kLarge; }
};

struct Combination {
  Operation operation;
  bool counts_only = false;
  bool with_scores = false;
  Aggregate aggregate = Aggregate::kSum;
  uint64_t limit = 0;  // 0: none.
  std::vector<Source> sources;

  // Reads "numkeys key [key ...]" and the options from argument `at` on; answers the error.
  [[nodiscard]] bool read(Context& c, size_t at, bool stores);
  [[nodiscard]] bool read_options(Context& c, size_t at, bool stores);
  [[nodiscard]] MemberList run();
  [[nodiscard]] uint64_t count();

 private:
  void combine(double* sum, double value) const;
  [[nodiscard]] std::optional<double> intersect(std::string_view member, double score) const;
  void run_union(MemberList* result) const;
  void run_inter(MemberList* result) const;
  void run_diff(MemberList* result) const;
};

bool Combination::read(Context& c, size_t at, bool stores) {
  std::optional<int64_t> key_count = parse_int64(c.args[at]);
  if (!key_count) {
    c.error(errors::kNotInteger);
    return false;
  }
  if (*key_count < 1) {
    c.error("ERR at least 1 input key is needed for '" + to_lower(c.spec->name) + "' command");
    return false;
  }
  if (static_cast<uint64_t>(*key_count) > c.args.size() - at - 1) {
    c.error(errors::kSyntax);
    return false;
  }
  sources.resize(static_cast<size_t>(*key_count));
  for (size_t i = 0; i < sources.size(); ++i) {
    Key key(c, c.args[at + 1 + i], Key::Use::kRead);
    if (!key.exists()) continue;
    if (key.type() != Type::kZSet && key.type() != Type::kSet) {
      c.error(errors::kWrongType);
      return false;
    }
    sources[i].entry = key.entry();
  }
  return read_options(c, at + 1 + sources.size(), stores);
}

bool Combination::read_options(Context& c, size_t at, bool stores) {
  auto refuse = [&](std::string_view text) {
    c.error(text);
    return false;
  };
  bool weighs = operation != Operation::kDiff && !counts_only;
  for (size_t i = at; i < c.args.size(); ++i) {
    size_t behind = c.args.size() - i - 1;
    std::string_view word = c.args[i];
    if (weighs && behind >= sources.size() && is_word(word, "WEIGHTS")) {
      for (Source& source : sources) {
        std::optional<double> weight = parse_double(c.args[++i]);
        if (!weight) return refuse("ERR weight value is not a float");
        source.weight = *weight;
      }
    } else if (weighs && behind >= 1 && is_word(word, "AGGREGATE")) {
      std::string_view name = c.args[++i];
      if (is_word(name, "SUM")) {
        aggregate = Aggregate::kSum;
      } else if (is_word(name, "MIN")) {
        aggregate = Aggregate::kMin;
      } else if (is_word(name, "MAX")) {
        aggregate = Aggregate::kMax;
      } else {
        return refuse(errors::kSyntax);
      }
    } else if (!stores && !counts_only && is_word(word, "WITHSCORES")) {
      with_scores = true;
    } else if (counts_only && behind >= 1 && is_word(word, "LIMIT")) {
      std::optional<int64_t> value = parse_int64(c.args[++i]);
      if (!value || *value < 0) return refuse("ERR LIMIT can't be negative");
      limit = static_cast<uint64_t>(*value);
    } else {
      return refuse(errors::kSyntax);
    }
  }
  return true;
}

void Combination::combine(double* sum, double value) const {
  if (aggregate == Aggregate::kSum) {
    *sum += value;
    if (std::isnan(*sum)) *sum = 0;  // Infinities of both signs.
  } else if (aggregate == Aggregate::kMin ? value < *sum : value > *sum) {
    *sum = value;
  }
}

// What a source gives a member: NaN, infinity times zero, counts as 0.
double weighted(const Source& source, double score) {
  double value = source.weight * score;
  return std::isnan(value) ? 0 : value;
}

// Where members of a list are, by their bytes: open addressing over the list's indexes.
class MemberIndex {
 public:
  explicit MemberIndex(size_t expected) {
    size_t size = 16;
    while (size < expected * 2) size *= 2;
    cells_.assign(size, kFree);
  }
  // The item with these bytes; null after adding the index of an item that is about to be appended.
  [[nodiscard]] MemberList::Item* find_or_add(MemberList& list, std::string_view member) {
    if ((list.items().size() + 1) * 4 > cells_.size() * 3) grow(list);
    size_t at = element_position(member) & (cells_.size() - 1);
    while (cells_[at] != kFree) {
      MemberList::Item& item = list.items()[cells_[at]];
      if (item.member == member) return &item;
      at = (at + 1) & (cells_.size() - 1);
    }
    cells_[at] = static_cast<uint32_t>(list.items().size());
    return nullptr;
  }

 private:
  static constexpr uint32_t kFree = UINT32_MAX;
  void grow(const MemberList& list) {
    cells_.assign(cells_.size() * 2, kFree);
    for (size_t i = 0; i < list.items().size(); ++i) {
      size_t at = element_position(list.items()[i].member) & (cells_.size() - 1);
      while (cells_[at] != kFree) at = (at + 1) & (cells_.size() - 1);
      cells_[at] = static_cast<uint32_t>(i);
    }
  }

  std::vector<uint32_t> cells_;
};

void Combination::run_union(MemberList* result) const {
  MemberIndex index(sources.back().size());
  for (const Source& source : sources) {
    source.for_all([&](std::string_view member, double score) {
      double value = weighted(source, score);
      if (MemberList::Item* item = index.find_or_add(*result, member)) {
        combine(&item->score, value);
      } else {
        result->add(member, value, source.members_live());
      }
      return true;
    });
  }
}

// The score of a member of the first source in the intersection; nothing when it is not in all.
std::optional<double> Combination::intersect(std::string_view member, double score) const {
  double sum = weighted(sources.front(), score);
  for (size_t i = 1; i < sources.size(); ++i) {
    std::optional<double> other = sources[i].score(member);
    if (!other) return std::nullopt;
    combine(&sum, *other * sources[i].weight);
  }
  return sum;
}

void Combination::run_inter(MemberList* result) const {
  const Source& first = sources.front();
  first.for_all([&](std::string_view member, double score) {
    if (std::optional<double> sum = intersect(member, score)) {
      result->add(member, *sum, first.members_live());
    }
    return true;
  });
}

void Combination::run_diff(MemberList* result) const {
  const Source& first = sources.front();
  first.for_all([&](std::string_view member, double score) {
    bool elsewhere = std::any_of(sources.begin() + 1, sources.end(), [&](const Source& source) {
      return source.score(member).has_value();
    });
    if (!elsewhere) result->add(member, score, first.members_live());
    return true;
  });
}

void sort_by_size(std::vector<Source>& sources) {
  std::stable_sort(sources.begin(), sources.end(),
                   [](const Source& a, const Source& b) { return a.size() < b.size(); });
}

MemberList Combination::run() {
  MemberList result;
  if (operation != Operation::kDiff) sort_by_size(sources);
  switch (operation) {
    case Operation::kUnion:
      run_union(&result);
      break;
    case Operation::kInter:
      run_inter(&result);
      break;
    case Operation::kDiff:
      run_diff(&result);
      break;
  }
  return result;
}

uint64_t Combination::count() {
  sort_by_size(sources);
  uint64_t found = 0;
  sources.front().for_all([&](std::string_view member, double score) {
    if (intersect(member, score)) ++found;
    return limit == 0 || found < limit;
  });
  return found;
}

void reply_with(Context& c, Operation operation) {
  Combination combination{operation};
  if (!combination.read(c, 1, false)) return;
  MemberList result = combination.run();
  result.sort();
  if (combination.with_scores) {
    reply_pair_count(c.reply, result.items().size());
  } else {
    c.reply.array(result.items().size());
  }
  for (const MemberList::Item& item : result.items()) {
    combination.with_scores ? reply_pair(c.reply, item.member, item.score)
                            : c.reply.bulk(item.member);
  }
}

void store_with(Context& c, Operation operation) {
  Combination combination{operation};
  if (!combination.read(c, 2, true)) return;
  MemberList result = combination.run();
  Key destination(c, c.args[1], Key::Use::kWrite);
  bool existed = destination.exists();
  ZSet::replace(destination, result);
  if (existed || destination.exists()) destination.changed();
  c.reply.integer(static_cast<int64_t>(result.items().size()));
}

void zunion(Context& c) {
  reply_with(c, Operation::kUnion);
}
void zinter(Context& c) {
  reply_with(c, Operation::kInter);
}
void zdiff(Context& c) {
  reply_with(c, Operation::kDiff);
}
void zunionstore(Context& c) {
  store_with(c, Operation::kUnion);
}
void zinterstore(Context& c) {
  store_with(c, Operation::kInter);
}
void zdiffstore(Context& c) {
  store_with(c, Operation::kDiff);
}

void zintercard(Context& c) {
  Combination combination{Operation::kInter, true};
  if (!combination.read(c, 1, false)) return;
  c.reply.integer(static_cast<int64_t>(combination.count()));
}

constexpr KeyRange kDestination{1, 1, 1};
constexpr auto kGroup = CommandGroup::kSortedSet;
constexpr std::string_view kUnionTime =
    "O(N + M log M) with N the members of all sets and M those of the result";
constexpr std::string_view kInterTime =
    "O(N K + M log M) with N the members of the smallest set, K the sets and M the members of the "
    "result";
constexpr std::string_view kDiffTime =
    "O(N K + M log M) with N the members of the first set, K the sets and M the members of the "
    "result";

// clang-format off
const CommandSpec kRows[] = {
    {"ZUNION", -3, kReadonly | kMovableKeys, {}, kGroup, "6.2.0", kUnionTime,
     "Returns the union of sorted sets.",
     "numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE (SUM | MIN | MAX)] "
     "[WITHSCORES]", zunion, keys_counted_at<1>},
    {"ZINTER", -3, kReadonly | kMovableKeys, {}, kGroup, "6.2.0", kInterTime,
     "Returns the intersection of sorted sets.",
     "numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE (SUM | MIN | MAX)] "
     "[WITHSCORES]", zinter, keys_counted_at<1>},
    {"ZDIFF", -3, kReadonly | kMovableKeys, {}, kGroup, "6.2.0", kDiffTime,
     "Returns the members of the first sorted set that are in none of the others.",
     "numkeys key [key ...] [WITHSCORES]", zdiff, keys_counted_at<1>},
    {"ZINTERCARD", -3, kReadonly | kMovableKeys, {}, kGroup, "7.0.0",
     "O(N K) with N the members of the smallest set and K the sets",
     "Returns the number of members that sorted sets have in common.",
     "numkeys key [key ...] [LIMIT limit]", zintercard, keys_counted_at<1>},
    {"ZUNIONSTORE", -4, kWrite | kDenyOom | kMovableKeys, kDestination, kGroup, "2.0.0", kUnionTime,
     "Stores the union of sorted sets in a key.",
     "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE (SUM | MIN | "
     "MAX)]", zunionstore, keys_counted_with_destination},
    {"ZINTERSTORE", -4, kWrite | kDenyOom | kMovableKeys, kDestination, kGroup, "2.0.0", kInterTime,
     "Stores the intersection of sorted sets in a key.",
     "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE (SUM | MIN | "
     "MAX)]", zinterstore, keys_counted_with_destination},
    {"ZDIFFSTORE", -4, kWrite | kDenyOom | kMovableKeys, kDestination, kGroup, "6.2.0", kDiffTime,
     "Stores the members of the first sorted set that are in none of the others in a key.",
     "destination numkeys key [key ...]", zdiffstore, keys_counted_with_destination},
};
// clang-format on

}  // namespace

const std::span<const CommandSpec> kZSetAlgebraCommands{kRows};

}  // namespace dyno

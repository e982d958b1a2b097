// SPDX-License-Identifier: Apache-2.0
//
// Ranges of sorted sets by rank, score or text: returned, stored, counted, removed. Every range
// becomes a stretch of ranks first; from there on all three kinds are the same.
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <string>

#include "engine/command.h"
#include "engine/types/zset.h"
#include "protocol/words.h"

namespace dyno {
namespace {

enum class By : uint8_t { kRank, kScore, kLex };

// Ranks first to first + count - 1.
struct Stretch {
  uint64_t first = 0;
  uint64_t count = 0;
};

// A score as a bound: what strtod makes of it, to which nothing at all is 0 and too much is
// infinite.
bool read_bound(std::string_view text, double* value) {
  if (std::optional<double> plain = parse_double(text)) {
    *value = *plain;
    return true;
  }
  std::string terminated(text);
  char* end = nullptr;
  *value = std::strtod(terminated.c_str(), &end);
  return *end == '\0' && !std::isnan(*value);
}

// The end of a range by score. What is below the upper end is inside, so that the two ends keep
// equal scores in opposite cases.
bool read_score_bound(std::string_view text, bool is_upper, ScoreBound* bound) {
  bool exclusive = !text.empty() && text.front() == '(';
  if (exclusive) text.remove_prefix(1);
  bound->keeps_equal = exclusive != is_upper;
  return read_bound(text, &bound->score);
}

bool read_lex_bound(std::string_view text, bool is_upper, LexBound* bound) {
  if (text.empty()) return false;
  char kind = text.front();
  text.remove_prefix(1);
  bound->end = LexBound::End::kText;
  bound->text = text;
  switch (kind) {
    case '-':
    case '+':
      bound->end = kind == '-' ? LexBound::End::kLeast : LexBound::End::kGreatest;
      return text.empty();
    case '(':
    case '[':
      bound->keeps_equal = (kind == '(') != is_upper;
      return true;
    default:
      return false;
  }
}

// Both ends of a range as they stand in a command line.
struct Range {
  By by;
  int64_t start = 0;
  int64_t stop = 0;
  ScoreBound low_score{};
  ScoreBound high_score{};
  LexBound low_text;
  LexBound high_text;

  // Answers the error when an end makes no sense.
  [[nodiscard]] bool read(Context& c, std::string_view low, std::string_view high);
  [[nodiscard]] Stretch find_in(const ZSetView& set, bool reverse) const;
};

bool Range::read(Context& c, std::string_view low, std::string_view high) {
  if (by == By::kRank) {
    std::optional<int64_t> first = parse_int64(low);
    std::optional<int64_t> last = first ? parse_int64(high) : std::nullopt;
    if (!last) {
      c.error(errors::kNotInteger);
      return false;
    }
    start = *first;
    stop = *last;
    return true;
  }
  if (by == By::kScore) {
    if (read_score_bound(low, false, &low_score) && read_score_bound(high, true, &high_score)) {
      return true;
    }
    c.error(errors::kMinMaxNotFloat);
    return false;
  }
  if (read_lex_bound(low, false, &low_text) && read_lex_bound(high, true, &high_text)) return true;
  c.error(errors::kMinMaxNotText);
  return false;
}

// Ranks count from the lowest member, also when `reverse` makes start and stop count from the
// highest.
Stretch Range::find_in(const ZSetView& set, bool reverse) const {
  uint64_t size = set.size();
  if (by == By::kRank) {
    auto length = static_cast<int64_t>(size);
    int64_t first = start < 0 ? start + length : start;
    int64_t last = stop < 0 ? stop + length : stop;
    if (first < 0) first = 0;
    if (last >= length) last = length - 1;
    if (first > last || first >= length) return {};
    auto count = static_cast<uint64_t>(last - first + 1);
    return {static_cast<uint64_t>(reverse ? length - 1 - last : first), count};
  }
  uint64_t below = 0;
  uint64_t end = 0;
  if (by == By::kScore) {
    below = set.count_below(low_score);
    // Everything is below an inclusive infinity, and need not be counted.
    bool open_end = high_score.keeps_equal && high_score.score == HUGE_VAL;
    end = open_end ? size : set.count_below(high_score);
  } else {
    below = set.count_below(low_text);
    end = set.count_below(high_text);
  }
  return end > below ? Stretch{below, end - below} : Stretch{};
}

// LIMIT: an offset behind everything or below zero leaves nothing, a negative count everything.
Stretch limit(Stretch stretch, int64_t offset, int64_t count, bool reverse) {
  if (offset < 0 || static_cast<uint64_t>(offset) >= stretch.count) return {};
  uint64_t left = stretch.count - static_cast<uint64_t>(offset);
  uint64_t kept = count < 0 ? left : std::min(left, static_cast<uint64_t>(count));
  uint64_t first = reverse ? stretch.first + left - kept : stretch.first + stretch.count - left;
  return {first, kept};
}

// --- ZRANGE and its kin -------------------------------------------------------------------------

struct RangeCommand {
  Range range;
  bool reverse;
  bool fixed;  // Kind and direction are given by the command's name.
  bool with_scores = false;
  int64_t offset = 0;
  int64_t limit = -1;
};

// The options from argument `at` on; answers the error.
bool read_range_options(Context& c, size_t at, bool stores, RangeCommand* command) {
  bool has_by = command->fixed;
  bool has_reverse = command->fixed;
  for (size_t i = at; i < c.args.size(); ++i) {
    std::string_view word = c.args[i];
    if (!stores && is_word(word, "WITHSCORES")) {
      command->with_scores = true;
    } else if (is_word(word, "LIMIT") && i + 2 < c.args.size()) {
      std::optional<int64_t> offset = parse_int64(c.args[i + 1]);
      std::optional<int64_t> count = offset ? parse_int64(c.args[i + 2]) : std::nullopt;
      if (!count) {
        c.error(errors::kNotInteger);
        return false;
      }
      command->offset = *offset;
      command->limit = *count;
      i += 2;
    } else if (!has_reverse && is_word(word, "REV")) {
      command->reverse = has_reverse = true;
    } else if (!has_by && is_word(word, "BYLEX")) {
      command->range.by = By::kLex;
      has_by = true;
    } else if (!has_by && is_word(word, "BYSCORE")) {
      command->range.by = By::kScore;
      has_by = true;
    } else {
      c.error(errors::kSyntax);
      return false;
    }
  }
  return true;
}

// Source, ends and options from argument `at` on; answers the error.
bool read_range_command(Context& c, size_t at, bool stores, RangeCommand* command) {
  if (!read_range_options(c, at + 3, stores, command)) return false;
  By by = command->range.by;
  if (command->limit != -1 && by == By::kRank) {
    c.error(
        "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX");
    return false;
  }
  if (command->with_scores && by == By::kLex) {
    c.error("ERR syntax error, WITHSCORES not supported in combination with BYLEX");
    return false;
  }
  bool swaps = command->reverse && by != By::kRank;
  return command->range.read(c, c.args[at + (swaps ? 2 : 1)], c.args[at + (swaps ? 1 : 2)]);
}

Stretch find_stretch(const ZSetView& set, const RangeCommand& command) {
  Stretch stretch = command.range.find_in(set, command.reverse);
  if (command.range.by == By::kRank) return stretch;
  return limit(stretch, command.offset, command.limit, command.reverse);
}

void range_with(Context& c, RangeCommand command) {
  if (!read_range_command(c, 1, false, &command)) return;
  Key key(c, c.args[1], Key::Use::kRead);
  if (!key.allows(Type::kZSet)) return;
  if (!key.exists()) return c.reply.array(0);
  ZSetView set(key);
  Stretch stretch = find_stretch(set, command);
  uint64_t from = command.reverse ? stretch.first + stretch.count - 1 : stretch.first;
  if (command.with_scores) {
    reply_pair_count(c.reply, stretch.count);
    set.for_each(from, stretch.count, command.reverse, [&](std::string_view member, double score) {
      reply_pair(c.reply, member, score);
      return true;
    });
  } else {
    c.reply.array(stretch.count);
    set.for_each(from, stretch.count, command.reverse, [&](std::string_view member) {
      c.reply.bulk(member);
      return true;
    });
  }
}

void zrange(Context& c) {
  range_with(c, {{By::kRank}, false, false});
}
void zrevrange(Context& c) {
  range_with(c, {{By::kRank}, true, true});
}
void zrangebyscore(Context& c) {
  range_with(c, {{By::kScore}, false, true});
}
void zrevrangebyscore(Context& c) {
  range_with(c, {{By::kScore}, true, true});
}
void zrangebylex(Context& c) {
  range_with(c, {{By::kLex}, false, true});
}
void zrevrangebylex(Context& c) {
  range_with(c, {{By::kLex}, true, true});
}

void zrangestore(Context& c) {
  RangeCommand command{{By::kRank}, false, false};
  if (!read_range_command(c, 2, true, &command)) return;
  MemberList members;
  {
    Key source(c, c.args[2], Key::Use::kRead);
    if (!source.allows(Type::kZSet)) return;
    if (source.exists()) {
      ZSetView set(source);
      Stretch stretch = find_stretch(set, command);
      members.add_range(set, stretch.first, stretch.count, false);
    }
  }
  Key destination(c, c.args[1], Key::Use::kWrite);
  bool existed = destination.exists();
  ZSet::replace(destination, members);
  if (existed || destination.exists()) destination.changed();
  c.reply.integer(static_cast<int64_t>(members.items().size()));
}

// --- Counting and removing ----------------------------------------------------------------------

void count_with(Context& c, By by) {
  Range range{by};
  if (!range.read(c, c.args[2], c.args[3])) return;
  Key key(c, c.args[1], Key::Use::kRead);
  if (!key.allows(Type::kZSet)) return;
  c.reply.integer(static_cast<int64_t>(range.find_in(ZSetView(key), false).count));
}

void zcount(Context& c) {
  count_with(c, By::kScore);
}
void zlexcount(Context& c) {
  count_with(c, By::kLex);
}

void remove_with(Context& c, By by) {
  Range range{by};
  if (!range.read(c, c.args[2], c.args[3])) return;
  Key key(c, c.args[1], Key::Use::kWrite);
  if (!key.allows(Type::kZSet)) return;
  if (!key.exists()) return c.reply.integer(0);
  ZSet set(key);
  Stretch stretch = range.find_in(set.view(), false);
  set.erase_range(stretch.first, stretch.count);
  if (stretch.count > 0) key.changed();
  c.reply.integer(static_cast<int64_t>(stretch.count));
}

void zremrangebyrank(Context& c) {
  remove_with(c, By::kRank);
}
void zremrangebyscore(Context& c) {
  remove_with(c, By::kScore);
}
void zremrangebylex(Context& c) {
  remove_with(c, By::kLex);
}

constexpr KeyRange kFirstKey{1, 1, 1};
constexpr KeyRange kTwoKeys{1, 2, 1};
constexpr auto kGroup = CommandGroup::kSortedSet;
constexpr std::string_view kRangeTime =
    "O(log N + M) with N the size of the set and M the members returned";
constexpr std::string_view kRemoveTime =
    "O(log N + M) with N the size of the set and M the members removed";

// clang-format off
const CommandSpec kRows[] = {
    {"ZRANGE", -4, kReadonly, kFirstKey, kGroup, "1.2.0", kRangeTime,
     "Returns members of a sorted set within a range of ranks, scores or texts.",
     "key start stop [BYSCORE | BYLEX] [REV] [LIMIT offset count] [WITHSCORES]", zrange},
    {"ZREVRANGE", -4, kReadonly, kFirstKey, kGroup, "1.2.0", kRangeTime,
     "Returns members of a sorted set within a range of ranks, highest score first.",
     "key start stop [WITHSCORES]", zrevrange},
    {"ZRANGEBYSCORE", -4, kReadonly, kFirstKey, kGroup, "1.0.5", kRangeTime,
     "Returns members of a sorted set within a range of scores.",
     "key min max [WITHSCORES] [LIMIT offset count]", zrangebyscore},
    {"ZREVRANGEBYSCORE", -4, kReadonly, kFirstKey, kGroup, "2.2.0", kRangeTime,
     "Returns members of a sorted set within a range of scores, highest score first.",
     "key max min [WITHSCORES] [LIMIT offset count]", zrevrangebyscore},
    {"ZRANGEBYLEX", -4, kReadonly, kFirstKey, kGroup, "2.8.9", kRangeTime,
     "Returns members of a sorted set of equal scores within a range of texts.",
     "key min max [LIMIT offset count]", zrangebylex},
    {"ZREVRANGEBYLEX", -4, kReadonly, kFirstKey, kGroup, "2.8.9", kRangeTime,
     "Returns members of a sorted set of equal scores within a range of texts, last one first.",
     "key max min [LIMIT offset count]", zrevrangebylex},
    {"ZRANGESTORE", -5, kWrite | kDenyOom, kTwoKeys, kGroup, "6.2.0",
     "O(log N + M log M) with N the size of the set and M the members stored",
     "Stores a range of members of a sorted set in another key.",
     "dst src min max [BYSCORE | BYLEX] [REV] [LIMIT offset count]", zrangestore},
    {"ZCOUNT", 4, kReadonly | kFast, kFirstKey, kGroup, "2.0.0", "O(log N)",
     "Returns the number of members of a sorted set within a range of scores.", "key min max",
     zcount},
    {"ZLEXCOUNT", 4, kReadonly | kFast, kFirstKey, kGroup, "2.8.9", "O(log N)",
     "Returns the number of members of a sorted set of equal scores within a range of texts.",
     "key min max", zlexcount},
    {"ZREMRANGEBYRANK", 4, kWrite, kFirstKey, kGroup, "2.0.0", kRemoveTime,
     "Removes the members of a sorted set within a range of ranks.", "key start stop",
     zremrangebyrank},
    {"ZREMRANGEBYSCORE", 4, kWrite, kFirstKey, kGroup, "1.2.0", kRemoveTime,
     "Removes the members of a sorted set within a range of scores.", "key min max",
     zremrangebyscore},
    {"ZREMRANGEBYLEX", 4, kWrite, kFirstKey, kGroup, "2.8.9", kRemoveTime,
     "Removes the members of a sorted set of equal scores within a range of texts.", "key min max",
     zremrangebylex},
};
// clang-format on

}  // namespace

const std::span<const CommandSpec> kZSetRangeCommands{kRows};

}  // namespace dyno

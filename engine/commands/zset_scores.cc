// SPDX-License-Identifier: Apache-2.0
//
// Sorted set commands about single members: their scores, their ranks, samples of them.
// The type itself, its encodings and mutators: zset.h.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <unordered_set>
#include <vector>

#include "engine/command.h"
#include "engine/types/element_scan.h"
#include "engine/types/zset.h"
#include "protocol/words.h"

namespace dyno {
namespace {

// --- ZADD, ZINCRBY ------------------------------------------------------------------------------

struct AddOptions {
  bool nx = false;
  bool xx = false;
  bool gt = false;
  bool lt = false;
  bool ch = false;
  bool incr = false;
};

// The words between the key and the first score. Returns where that is.
size_t read_add_options(Args args, AddOptions* options) {
  size_t i = 2;
  for (; i < args.size(); ++i) {
    std::string_view word = args[i];
    if (is_word(word, "NX")) {
      options->nx = true;
    } else if (is_word(word, "XX")) {
      options->xx = true;
    } else if (is_word(word, "CH")) {
      options->ch = true;
    } else if (is_word(word, "INCR")) {
      options->incr = true;
    } else if (is_word(word, "GT")) {
      options->gt = true;
    } else if (is_word(word, "LT")) {
      options->lt = true;
    } else {
      break;
    }
  }
  return i;
}

// What becomes of one member.
enum class Added { kNothing, kSame, kAdded, kUpdated, kNan };

Added add_one(ZSet& set, const AddOptions& options, std::string_view member, double* score) {
  ZSetView::Place place = set.find(member);
  if (place.found ? options.nx : options.xx) return Added::kNothing;
  double amount = *score;
  if (options.incr && place.found) {
    *score += place.score;
    if (std::isnan(*score)) return Added::kNan;
  }
  bool is_better = !(options.lt && *score >= place.score) && !(options.gt && *score <= place.score);
  if (place.found && !is_better) return Added::kNothing;
  options.incr ? set.add(place, member, *score, amount) : set.put(place, member, *score);
  if (!place.found) return Added::kAdded;
  return *score == place.score ? Added::kSame : Added::kUpdated;
}

// The scores of a command line, read before anything changes.
class Scores {
 public:
  // Scores at `first` and every second argument after it. Answers the error when one is none.
  [[nodiscard]] bool read(Context& c, size_t first, size_t count) {
    if (count > few_.size()) many_.resize(count);
    values_ = count > few_.size() ? many_.data() : few_.data();
    for (size_t i = 0; i < count; ++i) {
      std::optional<double> score = parse_double(c.args[first + 2 * i]);
      if (!score) {
        c.error(errors::kNotFloat);
        return false;
      }
      values_[i] = *score;
    }
    return true;
  }
  [[nodiscard]] double* at(size_t index) { return values_ + index; }

 private:
  std::array<double, 16> few_;
  std::vector<double> many_;
  double* values_ = nullptr;
};

void zadd_with(Context& c, AddOptions options) {
  size_t first = read_add_options(c.args, &options);
  size_t count = (c.args.size() - first) / 2;
  if ((c.args.size() - first) % 2 != 0 || count == 0) return c.error(errors::kSyntax);
  if (options.nx && options.xx) {
    return c.error("ERR XX and NX options at the same time are not compatible");
  }
  if ((options.gt && options.nx) || (options.lt && options.nx) || (options.gt && options.lt)) {
    return c.error("ERR GT, LT, and/or NX options at the same time are not compatible");
  }
  if (options.incr && count > 1) {
    return c.error("ERR INCR option supports a single increment-element pair");
  }
  Scores scores;
  if (!scores.read(c, first, count)) return;

  Key key(c, c.args[1], Key::Use::kWrite);
  if (!key.allows(Type::kZSet)) return;
  if (!key.exists() && options.xx) return options.incr ? c.reply.null() : c.reply.integer(0);
  ZSet set(key);
  set.expect(count, c.args[first + 1].size());
  int64_t added = 0;
  int64_t updated = 0;
  Added last = Added::kNothing;
  for (size_t i = 0; i < count; ++i) {
    last = add_one(set, options, c.args[first + 1 + 2 * i], scores.at(i));
    if (last == Added::kNan) return c.error(errors::kNan);
    if (last == Added::kAdded) ++added;
    if (last == Added::kUpdated) ++updated;
  }
  if (added + updated > 0) key.changed();
  if (!options.incr) return c.reply.integer(options.ch ? added + updated : added);
  last == Added::kNothing ? c.reply.null() : c.reply.number(*scores.at(0));
}

void zadd(Context& c) {
  zadd_with(c, {});
}
void zincrby(Context& c) {
  zadd_with(c, {.incr = true});
}

// --- One member after another -------------------------------------------------------------------

void zrem(Context& c) {
  Key key(c, c.args[1], Key::Use::kWrite);
  if (!key.allows(Type::kZSet)) return;
  ZSet set(key);
  int64_t erased = 0;
  for (size_t i = 2; i < c.args.size() && key.exists(); ++i) {
    ZSetView::Place place = set.find(c.args[i]);
    if (!place.found) continue;
    set.erase(place, c.args[i]);
    ++erased;
  }
  if (erased > 0) key.changed();
  c.reply.integer(erased);
}

void zcard(Context& c) {
  Key key(c, c.args[1], Key::Use::kRead);
  if (!key.allows(Type::kZSet)) return;
  c.reply.integer(static_cast<int64_t>(ZSetView(key).size()));
}

void reply_score(Reply& reply, std::optional<double> score) {
  score ? reply.number(*score) : reply.null();
}

void zscore(Context& c) {
  Key key(c, c.args[1], Key::Use::kRead);
  if (!key.allows(Type::kZSet)) return;
  reply_score(c.reply, ZSetView(key).score(c.args[2]));
}

void zmscore(Context& c) {
  Key key(c, c.args[1], Key::Use::kRead);
  if (!key.allows(Type::kZSet)) return;
  ZSetView set(key);
  c.reply.array(c.args.size() - 2);
  for (std::string_view member : c.args.subspan(2)) reply_score(c.reply, set.score(member));
}

void zrank_from(Context& c, bool reverse) {
  if (c.args.size() > 4) {
    return c.error(reverse ? "ERR wrong number of arguments for 'zrevrank' command"
                           : "ERR wrong number of arguments for 'zrank' command");
  }
  bool with_score = c.args.size() == 4;
  if (with_score && !is_word(c.args[3], "WITHSCORE")) return c.error(errors::kSyntax);
  Key key(c, c.args[1], Key::Use::kRead);
  if (!key.allows(Type::kZSet)) return;
  ZSetView set(key);
  ZSetView::Place place = set.find(c.args[2]);
  if (!place.found) return with_score ? c.reply.null_array() : c.reply.null();
  uint64_t rank = set.rank(place);
  if (reverse) rank = set.size() - 1 - rank;
  if (with_score) c.reply.array(2);
  c.reply.integer(static_cast<int64_t>(rank));
  if (with_score) c.reply.number(place.score);
}

void zrank(Context& c) {
  zrank_from(c, false);
}
void zrevrank(Context& c) {
  zrank_from(c, true);
}

// --- ZRANDMEMBER --------------------------------------------------------------------------------

uint64_t draw_below(Context& c, uint64_t bound) {
  return static_cast<uint64_t>((static_cast<unsigned __int128>(c.random()) * bound) >> 64);
}

// Any number of draws, each from the whole set. Stops at what a reply may hold.
void reply_draws(Context& c, const ZSetView& set, uint64_t count, bool with_scores) {
  size_t begun = c.reply.begin();
  with_scores ? reply_pair_count(c.reply, count) : c.reply.array(count);
  auto bytes_max = static_cast<uint64_t>(c.limits.bulk_bytes_max);
  for (uint64_t i = 0; i < count; ++i) {
    set.for_each(draw_below(c, set.size()), 1, false, [&](std::string_view member, double score) {
      with_scores ? reply_pair(c.reply, member, score) : c.reply.bulk(member);
      return true;
    });
    if (c.reply.begin() - begun > bytes_max) {
      c.reply.rewind(begun);
      return c.error(errors::kOutOfRange);
    }
  }
}

// Distinct members.
void reply_sample(Context& c, const ZSetView& set, uint64_t count, bool with_scores) {
  uint64_t size = set.size();
  count = std::min(count, size);
  with_scores ? reply_pair_count(c.reply, count) : c.reply.array(count);
  auto reply_one = [&](std::string_view member, double score) {
    with_scores ? reply_pair(c.reply, member, score) : c.reply.bulk(member);
    return true;
  };
  if (count * 8 > size) {
    // Walks the set and takes each member with the chance that leaves the rest uniform.
    uint64_t wanted = count;
    uint64_t left = size;
    set.for_each(0, size, false, [&](std::string_view member, double score) {
      if (draw_below(c, left--) < wanted) {
        --wanted;
        reply_one(member, score);
      }
      return wanted > 0;
    });
    return;
  }
  // Floyd's sampling: distinct ranks with one draw each.
  std::unordered_set<uint64_t> drawn;
  for (uint64_t i = size - count; i < size; ++i) {
    uint64_t rank = draw_below(c, i + 1);
    if (!drawn.insert(rank).second) {
      rank = i;
      drawn.insert(rank);
    }
    set.for_each(rank, 1, false, reply_one);
  }
}

void zrandmember(Context& c) {
  bool has_count = c.args.size() >= 3;
  bool with_scores = c.args.size() == 4;
  int64_t count = 1;
  if (has_count) {
    std::optional<int64_t> value = parse_int64(c.args[2]);
    if (!value) return c.error(errors::kNotInteger);
    count = *value;
    if (count == INT64_MIN) {
      return c.error(
          "ERR value is out of range, value must between -9223372036854775807 and "
          "9223372036854775807");
    }
    if (c.args.size() > 4 || (with_scores && !is_word(c.args[3], "WITHSCORES"))) {
      return c.error(errors::kSyntax);
    }
    if (with_scores && (count < -(INT64_MAX / 2) || count > INT64_MAX / 2)) {
      return c.error(errors::kOutOfRange);
    }
  }
  Key key(c, c.args[1], Key::Use::kRead);
  if (!key.allows(Type::kZSet)) return;
  if (!key.exists()) return has_count ? c.reply.array(0) : c.reply.null();
  ZSetView set(key);
  if (!has_count) {
    set.for_each(draw_below(c, set.size()), 1, false, [&](std::string_view member, double) {
      c.reply.bulk(member);
      return true;
    });
  } else if (count < 0) {
    reply_draws(c, set, static_cast<uint64_t>(-count), with_scores);
  } else {
    reply_sample(c, set, static_cast<uint64_t>(count), with_scores);
  }
}

// --- ZSCAN --------------------------------------------------------------------------------------

// Redis prints the scores of large sets with 17 digits here.
void reply_scanned_score(Reply& reply, double score) {
  char text[64];
  int size = std::snprintf(text, sizeof(text), "%.17Lg", static_cast<long double>(score));
  reply.bulk({text, static_cast<size_t>(size)});
}

void zscan(Context& c) {
  ElementScan scan;
  if (!scan.read_cursor(c, c.args[2])) return;
  Key key(c, c.args[1], Key::Use::kRead);
  if (!key.allows(Type::kZSet)) return;
  if (!key.exists()) {
    c.reply.array(2);
    c.reply.bulk("0");
    return c.reply.array(0);
  }
  if (!scan.read_options(c, false)) return;
  ZSetView set(key);
  scan.reply_to(c.reply, [&](uint32_t from, uint32_t wanted, size_t* written) -> uint64_t {
    if (set.is_large()) {
      return set.large().table.scan(from, wanted, [&](const uint64_t* word) {
        const Member* member = Table<ZSetTraits>::node(*word);
        if (!scan.matches(member->text())) return;
        c.reply.bulk(member->text());
        reply_scanned_score(c.reply, member->score);
        *written += 2;
      });
    }
    set.for_all([&](std::string_view member, double score) {
      if (!scan.matches(member)) return true;
      c.reply.bulk(member);
      c.reply.bulk(format_double(score));
      *written += 2;
      return true;
    });
    return 0;
  });
}

constexpr KeyRange kFirstKey{1, 1, 1};
constexpr auto kGroup = CommandGroup::kSortedSet;

const CommandSpec kRows[] = {
    {"ZADD", -4, kWrite | kDenyOom | kFast, kFirstKey, kGroup, "1.2.0",
     "O(log N) for each member, with N the size of the set",
     "Gives members of a sorted set their scores, adding those that are missing.",
     "key [NX | XX] [GT | LT] [CH] [INCR] score member [score member ...]", zadd},
    {"ZINCRBY", 4, kWrite | kDenyOom | kFast, kFirstKey, kGroup, "1.2.0", "O(log N)",
     "Adds to the score of a member of a sorted set; a missing member counts as 0.",
     "key increment member", zincrby},
    {"ZREM", -3, kWrite | kFast, kFirstKey, kGroup, "1.2.0",
     "O(log N) for each member, with N the size of the set",
     "Removes members from a sorted set; the key goes with the last one.",
     "key member [member ...]", zrem},
    {"ZCARD", 2, kReadonly | kFast, kFirstKey, kGroup, "1.2.0", "O(1)",
     "Returns the number of members of a sorted set.", "key", zcard},
    {"ZSCORE", 3, kReadonly | kFast, kFirstKey, kGroup, "1.2.0", "O(1)",
     "Returns the score of a member of a sorted set.", "key member", zscore},
    {"ZMSCORE", -3, kReadonly | kFast, kFirstKey, kGroup, "6.2.0",
     "O(N) with N the members asked for", "Returns the scores of members of a sorted set.",
     "key member [member ...]", zmscore},
    {"ZRANK", -3, kReadonly | kFast, kFirstKey, kGroup, "2.0.0", "O(log N)",
     "Returns how many members of a sorted set come before one, lowest score first.",
     "key member [WITHSCORE]", zrank},
    {"ZREVRANK", -3, kReadonly | kFast, kFirstKey, kGroup, "2.0.0", "O(log N)",
     "Returns how many members of a sorted set come before one, highest score first.",
     "key member [WITHSCORE]", zrevrank},
    {"ZRANDMEMBER", -2, kReadonly, kFirstKey, kGroup, "6.2.0",
     "O(N log M) with N the members returned and M the size of the set",
     "Returns members of a sorted set drawn at random.", "key [count [WITHSCORES]]", zrandmember},
    {"ZSCAN", -3, kReadonly, kFirstKey, kGroup, "2.8.0",
     "O(1) for each call, O(N) for a whole iteration",
     "Iterates over the members and scores of a sorted set.",
     "key cursor [MATCH pattern] [COUNT count]", zscan},
};

}  // namespace

const std::span<const CommandSpec> kZSetCommands{kRows};

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// Sorted sets as priority queues: pops from either end, and those that wait until there is
// something to pop.
#include "engine/blocking.h"

#include "engine/command.h"
#include "engine/types/zset.h"
#include "protocol/words.h"

namespace dyno {
namespace {

enum class End : uint8_t { kMin, kMax };

// How the popped members are announced.
enum class Shape : uint8_t {
  kPairs,      // member, score, ...
  kNested,     // [member, score], ...
  kKeyPair,    // key, member, score
  kKeyNested,  // key, [[member, score], ...]
};

void announce(Reply& reply, Shape shape, std::string_view key, uint64_t count) {
  switch (shape) {
    case Shape::kPairs:
      return reply.array(count * 2);
    case Shape::kNested:
      return reply.array(count);
    case Shape::kKeyPair:
      reply.array(count * 2 + 1);
      return reply.bulk(key);
    case Shape::kKeyNested:
      reply.array(2);
      reply.bulk(key);
      return reply.array(count);
  }
}

// Pops up to `count` members of a sorted set that exists, and replies them.
void pop(Key& key, End end, int64_t count, Shape shape) {
  Reply& reply = key.context().reply;
  ZSet set(key);
  uint64_t size = set.view().size();
  uint64_t popped = std::min(size, static_cast<uint64_t>(count));
  announce(reply, shape, key.name(), popped);
  bool nested = shape == Shape::kNested || shape == Shape::kKeyNested;
  bool reverse = end == End::kMax;
  set.view().for_each(reverse ? size - 1 : 0, popped, reverse,
                      [&](std::string_view member, double score) {
                        if (nested) reply.array(2);
                        reply.bulk(member);
                        reply.number(score);
                        return true;
                      });
  set.erase_range(reverse ? size - popped : 0, popped);
  key.changed();
}

void zpop(Context& c, End end) {
  if (c.args.size() > 3) return c.error(errors::kSyntax);
  bool has_count = c.args.size() == 3;
  int64_t count = 1;
  if (has_count) {
    std::optional<int64_t> value = parse_int64(c.args[2]);
    if (!value || *value < 0) return c.error(errors::kOutOfRangePositive);
    count = *value;
  }
  Key key(c, c.args[1], Key::Use::kWrite);
  if (!key.allows(Type::kZSet)) return;
  if (!key.exists() || count == 0) return c.reply.array(0);
  bool nests = has_count && c.reply.version() == 3;
  pop(key, end, count, nests ? Shape::kNested : Shape::kPairs);
}

void zpopmin(Context& c) {
  zpop(c, End::kMin);
}
void zpopmax(Context& c) {
  zpop(c, End::kMax);
}

// --- ZMPOP --------------------------------------------------------------------------------------

// "numkeys key [key ...] (MIN | MAX) [COUNT count]" from argument `at` on.
struct MultiPop {
  Args keys;
  End end;
  int64_t count = 1;

  // Answers the error.
  [[nodiscard]] bool read(Context& c, size_t at);
};

bool MultiPop::read(Context& c, size_t at) {
  auto refuse = [&](std::string_view text) {
    c.error(text);
    return false;
  };
  std::optional<int64_t> key_count = parse_int64(c.args[at]);
  if (!key_count || *key_count < 1) return refuse(errors::kNumKeys);
  size_t behind = c.args.size() - at - 1;
  if (static_cast<uint64_t>(*key_count) >= behind) return refuse(errors::kSyntax);
  keys = c.args.subspan(at + 1, static_cast<size_t>(*key_count));
  size_t i = at + 1 + keys.size();
  if (is_word(c.args[i], "MIN")) {
    end = End::kMin;
  } else if (is_word(c.args[i], "MAX")) {
    end = End::kMax;
  } else {
    return refuse(errors::kSyntax);
  }
  if (++i == c.args.size()) return true;
  if (!is_word(c.args[i], "COUNT") || i + 1 == c.args.size()) return refuse(errors::kSyntax);
  std::optional<int64_t> value = parse_int64(c.args[i + 1]);
  if (!value || *value < 1) return refuse("ERR count should be greater than 0");
  count = *value;
  return i + 2 == c.args.size() || refuse(errors::kSyntax);
}

// Pops from the first key that exists; false when none does. Answers the error, and returns true,
// when one before it is no sorted set.
bool pop_first(Context& c, Args keys, End end, int64_t count, Shape shape) {
  for (std::string_view name : keys) {
    Key key(c, name, Key::Use::kWrite);
    if (!key.exists()) continue;
    if (key.allows(Type::kZSet)) pop(key, end, count, shape);
    return true;
  }
  return false;
}

void zmpop(Context& c) {
  MultiPop wanted;
  if (!wanted.read(c, 1)) return;
  if (!pop_first(c, wanted.keys, wanted.end, wanted.count, Shape::kKeyNested)) c.reply.null_array();
}

// --- Waiting ------------------------------------------------------------------------------------

void serve_min(Context& c, std::string_view name) {
  Key key(c, name, Key::Use::kWrite);
  pop(key, End::kMin, 1, Shape::kKeyPair);
}

void serve_max(Context& c, std::string_view name) {
  Key key(c, name, Key::Use::kWrite);
  pop(key, End::kMax, 1, Shape::kKeyPair);
}

void serve_multi(Context& c, std::string_view name) {
  MultiPop wanted;
  bool was_read = wanted.read(c, 2);
  DYNO_CHECK(was_read);
  Key key(c, name, Key::Use::kWrite);
  pop(key, wanted.end, wanted.count, Shape::kKeyNested);
}

void bzpop(Context& c, End end) {
  double timeout_s;
  if (!read_timeout(c, c.args.back(), &timeout_s)) return;
  Args keys = c.args.subspan(1, c.args.size() - 2);
  if (pop_first(c, keys, end, 1, Shape::kKeyPair)) return;
  block(c, {.keys = keys,
            .type = Type::kZSet,
            .timeout_s = timeout_s,
            .serve = end == End::kMin ? serve_min : serve_max});
}

void bzpopmin(Context& c) {
  bzpop(c, End::kMin);
}
void bzpopmax(Context& c) {
  bzpop(c, End::kMax);
}

void bzmpop(Context& c) {
  MultiPop wanted;
  if (!wanted.read(c, 2)) return;
  double timeout_s;
  if (!read_timeout(c, c.args[1], &timeout_s)) return;
  if (pop_first(c, wanted.keys, wanted.end, wanted.count, Shape::kKeyNested)) return;
  block(c,
        {.keys = wanted.keys, .type = Type::kZSet, .timeout_s = timeout_s, .serve = serve_multi});
}

constexpr KeyRange kFirstKey{1, 1, 1};
constexpr KeyRange kKeysBeforeTimeout{1, -2, 1};
constexpr auto kGroup = CommandGroup::kSortedSet;
constexpr std::string_view kPopTime =
    "O(log N + M) with N the size of the set and M the members popped";
constexpr std::string_view kMultiPopTime =
    "O(K + log N + M) with K the keys, N the size of the set and M the members popped";

const CommandSpec kRows[] = {
    {"ZPOPMIN", -2, kWrite | kFast, kFirstKey, kGroup, "5.0.0", kPopTime,
     "Removes and returns the members of a sorted set with the lowest scores.", "key [count]",
     zpopmin},
    {"ZPOPMAX", -2, kWrite | kFast, kFirstKey, kGroup, "5.0.0", kPopTime,
     "Removes and returns the members of a sorted set with the highest scores.", "key [count]",
     zpopmax},
    {"ZMPOP",
     -4,
     kWrite | kMovableKeys,
     {},
     kGroup,
     "7.0.0",
     kMultiPopTime,
     "Removes and returns members of the first sorted set among several keys that is not empty.",
     "numkeys key [key ...] (MIN | MAX) [COUNT count]",
     zmpop,
     keys_counted_at<1>},
    {"BZPOPMIN", -3, kWrite | kNoScript | kBlocking | kFast, kKeysBeforeTimeout, kGroup, "5.0.0",
     kMultiPopTime,
     "Removes and returns the member with the lowest score of the first sorted set that is not "
     "empty; waits while all are.",
     "key [key ...] timeout", bzpopmin},
    {"BZPOPMAX", -3, kWrite | kNoScript | kBlocking | kFast, kKeysBeforeTimeout, kGroup, "5.0.0",
     kMultiPopTime,
     "Removes and returns the member with the highest score of the first sorted set that is not "
     "empty; waits while all are.",
     "key [key ...] timeout", bzpopmax},
    {"BZMPOP",
     -5,
     kWrite | kBlocking | kMovableKeys,
     {},
     kGroup,
     "7.0.0",
     kMultiPopTime,
     "Removes and returns members of the first sorted set that is not empty; waits while all are.",
     "timeout numkeys key [key ...] (MIN | MAX) [COUNT count]",
     bzmpop,
     keys_counted_at<2>},
};

}  // namespace

const std::span<const CommandSpec> kZSetPopCommands{kRows};

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// The commands of lists that never wait. What a list is stands in list.cc.
#include "engine/commands/list_commands.h"

#include <algorithm>
#include <string>

#include "engine/command.h"
#include "protocol/number.h"
#include "protocol/words.h"

namespace dyno {
namespace {

constexpr Key::Use kRead = Key::Use::kRead;
constexpr Key::Use kWriteUse = Key::Use::kWrite;

// Answers the error and returns false when `text` is no integer.
bool read_integer(Context& c, std::string_view text, int64_t* value) {
  auto parsed = parse_int64(text);
  if (!parsed) {
    c.error(errors::kNotInteger);
    return false;
  }
  *value = *parsed;
  return true;
}

// The same for an integer from `low` to the largest, with one error text for all that is wrong.
bool read_from(Context& c, std::string_view text, int64_t low, std::string_view error,
               int64_t* value) {
  auto parsed = parse_int64(text);
  if (!parsed || *parsed < low) {
    c.error(error);
    return false;
  }
  *value = *parsed;
  return true;
}

// Elements [first, first + count) of a list of `size`, from inclusive ends as LRANGE has them.
struct Range {
  size_t first;
  size_t count;
};

Range clamp_range(int64_t start, int64_t stop, size_t size) {
  auto length = static_cast<int64_t>(size);
  if (start < 0) start = std::max<int64_t>(start + length, 0);
  if (stop < 0) stop += length;
  stop = std::min(stop, length - 1);
  if (start > stop) return {0, 0};
  return {static_cast<size_t>(start), static_cast<size_t>(stop - start + 1)};
}

// False when there is no such element.
bool locate(int64_t index, size_t size, size_t* place) {
  auto length = static_cast<int64_t>(size);
  if (index < 0) index += length;
  *place = static_cast<size_t>(index);
  return index >= 0 && index < length;
}

// --- Pushing

void push(Context& c, ListEnd end, bool only_existing) {
  Key key(c, c.args[1], kWriteUse);
  if (!key.allows(Type::kList)) return;
  if (only_existing && !key.exists()) return c.reply.integer(0);
  List list(key);
  list.push(end, c.args.subspan(2));
  key.changed();
  c.reply.integer(static_cast<int64_t>(list.size()));
}

void lpush(Context& c) {
  push(c, ListEnd::kHead, false);
}
void rpush(Context& c) {
  push(c, ListEnd::kTail, false);
}
void lpushx(Context& c) {
  push(c, ListEnd::kHead, true);
}
void rpushx(Context& c) {
  push(c, ListEnd::kTail, true);
}

void linsert(Context& c) {
  bool after = is_word(c.args[2], "AFTER");
  if (!after && !is_word(c.args[2], "BEFORE")) return c.error(errors::kSyntax);
  Key key(c, c.args[1], kWriteUse);
  if (!key.allows(Type::kList)) return;
  if (!key.exists()) return c.reply.integer(0);
  List list(key);
  size_t pivot = list.find(c.args[3]);
  if (pivot == list.size()) return c.reply.integer(-1);
  list.insert(pivot + after, c.args[4]);
  key.changed();
  c.reply.integer(static_cast<int64_t>(list.size()));
}

void lset(Context& c) {
  Key key(c, c.args[1], kWriteUse);
  if (!key.exists()) return c.error(errors::kNoSuchKey);
  if (!key.allows(Type::kList)) return;
  int64_t index;
  if (!read_integer(c, c.args[2], &index)) return;
  List list(key);
  size_t place;
  if (!locate(index, list.size(), &place)) return c.error(errors::kIndexRange);
  list.set(place, c.args[3]);
  key.changed();
  c.reply.ok();
}

// --- Popping

void pop(Context& c, ListEnd end) {
  bool has_count = c.args.size() == 3;
  int64_t count = 1;
  if (c.args.size() > 3) {
    return c.error("ERR wrong number of arguments for '" + to_lower(c.spec->name) + "' command");
  }
  if (has_count && !read_from(c, c.args[2], 0, errors::kOutOfRangePositive, &count)) return;
  Key key(c, c.args[1], kWriteUse);
  if (!key.exists()) return has_count ? c.reply.null_array() : c.reply.null();
  if (!key.allows(Type::kList)) return;
  if (!has_count) return pop_one(c, key, end);
  if (count == 0) return c.reply.array(0);
  List list(key);
  size_t size = list.size();
  size_t taken = std::min(static_cast<size_t>(count), size);
  bool head = end == ListEnd::kHead;
  list.reply_range(c.reply, head ? 0 : size - taken, taken, !head);
  list.pop(end, taken);
  key.changed();
}

void lpop(Context& c) {
  pop(c, ListEnd::kHead);
}
void rpop(Context& c) {
  pop(c, ListEnd::kTail);
}

void lmpop(Context& c) {
  MultiPop pop;
  if (!read_multi_pop(c, 1, &pop)) return;
  for (std::string_view name : pop.keys) {
    Key key(c, name, kWriteUse);
    if (!key.exists()) continue;
    if (!key.allows(Type::kList)) return;
    return pop_many_with_key(c, key, pop.end, pop.count);
  }
  c.reply.null_array();
}

void move(Context& c, ListEnd from, ListEnd to) {
  Key source(c, c.args[1], kWriteUse);
  if (!source.exists()) return c.reply.null();
  if (!source.allows(Type::kList)) return;
  move_one(c, source, c.args[2], from, to);
}

void lmove(Context& c) {
  auto from = parse_list_end(c.args[3]);
  auto to = parse_list_end(c.args[4]);
  if (!from || !to) return c.error(errors::kSyntax);
  move(c, *from, *to);
}

void rpoplpush(Context& c) {
  move(c, ListEnd::kTail, ListEnd::kHead);
}

void lrem(Context& c) {
  int64_t count;
  if (!read_integer(c, c.args[2], &count)) return;
  Key key(c, c.args[1], kWriteUse);
  if (!key.allows(Type::kList)) return;
  if (!key.exists()) return c.reply.integer(0);
  bool from_tail = count < 0;
  uint64_t limit = count == 0  ? SIZE_MAX
                   : from_tail ? -static_cast<uint64_t>(count)
                               : static_cast<uint64_t>(count);
  size_t erased = List(key).erase_equal(c.args[3], limit, from_tail);
  if (erased > 0) key.changed();
  c.reply.integer(static_cast<int64_t>(erased));
}

void ltrim(Context& c) {
  int64_t start;
  int64_t stop;
  if (!read_integer(c, c.args[2], &start) || !read_integer(c, c.args[3], &stop)) return;
  Key key(c, c.args[1], kWriteUse);
  if (!key.allows(Type::kList)) return;
  if (!key.exists()) return c.reply.ok();
  List list(key);
  Range kept = clamp_range(start, stop, list.size());
  if (kept.count == 0) {
    list.erase(0, list.size());
  } else {
    size_t behind = kept.first + kept.count;
    list.erase(behind, list.size() - behind);
    list.erase(0, kept.first);
  }
  key.changed();
  c.reply.ok();
}

// --- Reading

void llen(Context& c) {
  Key key(c, c.args[1], kRead);
  if (!key.allows(Type::kList)) return;
  c.reply.integer(static_cast<int64_t>(List(key).size()));
}

void lindex(Context& c) {
  Key key(c, c.args[1], kRead);
  if (!key.exists()) return c.reply.null();
  if (!key.allows(Type::kList)) return;
  int64_t index;
  if (!read_integer(c, c.args[2], &index)) return;
  List list(key);
  size_t place;
  if (!locate(index, list.size(), &place)) return c.reply.null();
  packed::Item::Buffer buffer;
  c.reply.bulk(list.at(place).view(&buffer));
}

void lrange(Context& c) {
  int64_t start;
  int64_t stop;
  if (!read_integer(c, c.args[2], &start) || !read_integer(c, c.args[3], &stop)) return;
  Key key(c, c.args[1], kRead);
  if (!key.exists()) return c.reply.array(0);
  if (!key.allows(Type::kList)) return;
  List list(key);
  Range range = clamp_range(start, stop, list.size());
  list.reply_range(c.reply, range.first, range.count);
}

struct PositionSearch {
  uint64_t rank = 1;  // The first match that counts.
  bool backwards = false;
  int64_t count = -1;      // -1: one answer, not an array; 0: all.
  int64_t looked_max = 0;  // Elements compared; 0: all.
};

bool read_position_options(Context& c, PositionSearch* search) {
  for (size_t i = 3; i < c.args.size(); i += 2) {
    if (i + 1 == c.args.size()) {
      c.error(errors::kSyntax);
      return false;
    }
    std::string_view text = c.args[i + 1];
    if (is_word(c.args[i], "RANK")) {
      int64_t rank;
      if (!read_integer(c, text, &rank)) return false;
      if (rank == INT64_MIN) {
        c.error(
            "ERR value is out of range, value must between -9223372036854775807 and "
            "9223372036854775807");
        return false;
      }
      if (rank == 0) {
        c.error(
            "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second "
            "... or use negative to start from the end of the list");
        return false;
      }
      search->backwards = rank < 0;
      search->rank = static_cast<uint64_t>(rank < 0 ? -rank : rank);
    } else if (is_word(c.args[i], "COUNT")) {
      if (!read_from(c, text, 0, "ERR COUNT can't be negative", &search->count)) return false;
    } else if (is_word(c.args[i], "MAXLEN")) {
      if (!read_from(c, text, 0, "ERR MAXLEN can't be negative", &search->looked_max)) return false;
    } else {
      c.error(errors::kSyntax);
      return false;
    }
  }
  return true;
}

void lpos(Context& c) {
  PositionSearch search;
  if (!read_position_options(c, &search)) return;
  bool many = search.count != -1;
  Key key(c, c.args[1], kRead);
  if (!key.exists()) return many ? c.reply.array(0) : c.reply.null();
  if (!key.allows(Type::kList)) return;
  List list(key);
  packed::Encoded encoded(c.args[2]);
  ItemMatcher wanted(encoded);
  uint64_t matches = 0;
  size_t answered = 0;
  size_t begun = c.reply.begin();
  auto visit = [&](size_t index, const uint8_t* item) {
    if (!wanted.matches(item) || ++matches < search.rank) return true;
    c.reply.integer(static_cast<int64_t>(index));
    ++answered;
    return many && (search.count == 0 || answered < static_cast<uint64_t>(search.count));
  };
  size_t looked = list.size();
  if (search.looked_max != 0) looked = std::min<size_t>(looked, search.looked_max);
  if (search.backwards) {
    list.for_each_item_backwards(list.size() - 1, looked, visit);
  } else {
    list.for_each_item(0, looked, visit);
  }
  if (many) {
    c.reply.finish_array(begun, answered);
  } else if (answered == 0) {
    c.reply.null();
  }
}

// --- Rows

constexpr KeyRange kOneKey{1, 1, 1};
constexpr KeyRange kTwoKeys{1, 2, 1};
constexpr KeyRange kAllButLast{1, -2, 1};
constexpr auto kGroup = CommandGroup::kList;
constexpr std::string_view kPerElement = "O(1) for every element";
constexpr std::string_view kPerKeyAndElement =
    "O(N+M) with N the number of keys and M the number of elements that are taken";

// clang-format off
const CommandSpec kRows[] = {
    {"LPUSH", -3, kWrite | kDenyOom | kFast, kOneKey, kGroup, "1.0.0", kPerElement,
     "Puts elements before the first one of a list, making the list if need be.",
     "key element [element ...]", lpush},
    {"RPUSH", -3, kWrite | kDenyOom | kFast, kOneKey, kGroup, "1.0.0", kPerElement,
     "Puts elements behind the last one of a list, making the list if need be.",
     "key element [element ...]", rpush},
    {"LPUSHX", -3, kWrite | kDenyOom | kFast, kOneKey, kGroup, "2.2.0", kPerElement,
     "Puts elements before the first one of a list, if there is a list.",
     "key element [element ...]", lpushx},
    {"RPUSHX", -3, kWrite | kDenyOom | kFast, kOneKey, kGroup, "2.2.0", kPerElement,
     "Puts elements behind the last one of a list, if there is a list.",
     "key element [element ...]", rpushx},
    {"LINSERT", 5, kWrite | kDenyOom, kOneKey, kGroup, "2.2.0",
     "O(N) with N the number of elements up to the pivot", "Puts an element next to another one.",
     "key (BEFORE | AFTER) pivot element", linsert},
    {"LSET", 4, kWrite | kDenyOom, kOneKey, kGroup, "1.0.0",
     "O(N) with N the distance to the nearer end, counted in nodes of elements",
     "Replaces the element at an index.", "key index element", lset},
    {"LPOP", -2, kWrite | kFast, kOneKey, kGroup, "1.0.0",
     "O(N) with N the number of elements that are taken", "Takes elements from the head of a list.",
     "key [count]", lpop},
    {"RPOP", -2, kWrite | kFast, kOneKey, kGroup, "1.0.0",
     "O(N) with N the number of elements that are taken", "Takes elements from the tail of a list.",
     "key [count]", rpop},
    {"LMPOP", -4, kWrite | kMovableKeys, {}, kGroup, "7.0.0", kPerKeyAndElement,
     "Takes elements from the first of several lists that is not empty.",
     "numkeys key [key ...] (LEFT | RIGHT) [COUNT count]", lmpop, keys_counted_at<1>},
    {"LMOVE", 5, kWrite | kDenyOom, kTwoKeys, kGroup, "6.2.0", "O(1)",
     "Takes an element from one list, puts it into another and answers it.",
     "source destination (LEFT | RIGHT) (LEFT | RIGHT)", lmove},
    {"RPOPLPUSH", 3, kWrite | kDenyOom, kTwoKeys, kGroup, "1.2.0", "O(1)",
     "Moves the last element of one list before the first of another and answers it.",
     "source destination", rpoplpush},
    {"LREM", 4, kWrite, kOneKey, kGroup, "1.0.0", "O(N) with N the length of the list",
     "Removes elements that equal a value: the first ones, the last ones or all.",
     "key count element", lrem},
    {"LTRIM", 4, kWrite, kOneKey, kGroup, "1.0.0",
     "O(N) with N the number of elements that are removed",
     "Removes what is outside of a range of elements.", "key start stop", ltrim},
    {"LLEN", 2, kReadonly | kFast, kOneKey, kGroup, "1.0.0", "O(1)",
     "Tells how many elements a list has.", "key", llen},
    {"LINDEX", 3, kReadonly, kOneKey, kGroup, "1.0.0",
     "O(N) with N the distance to the nearer end, counted in nodes of elements",
     "Answers the element at an index.", "key index", lindex},
    {"LRANGE", 4, kReadonly, kOneKey, kGroup, "1.0.0",
     "O(S+N) with S the distance to the nearer end, counted in nodes, and N the elements answered",
     "Answers a range of elements.", "key start stop", lrange},
    {"LPOS", -3, kReadonly, kOneKey, kGroup, "6.0.6", "O(N) with N the length of the list",
     "Tells at which indexes elements equal a value.",
     "key element [RANK rank] [COUNT num-matches] [MAXLEN len]", lpos},
    {"BLPOP", -3, kWrite | kBlocking, kAllButLast, kGroup, "2.0.0",
     "O(N) with N the number of keys",
     "Takes the first element of the first list that has one, or waits for it.",
     "key [key ...] timeout", blpop},
    {"BRPOP", -3, kWrite | kBlocking, kAllButLast, kGroup, "2.0.0",
     "O(N) with N the number of keys",
     "Takes the last element of the first list that has one, or waits for it.",
     "key [key ...] timeout", brpop},
    {"BLMOVE", 6, kWrite | kDenyOom | kBlocking, kTwoKeys, kGroup, "6.2.0", "O(1)",
     "Moves an element from one list to another and answers it, or waits for it.",
     "source destination (LEFT | RIGHT) (LEFT | RIGHT) timeout", blmove},
    {"BRPOPLPUSH", 4, kWrite | kDenyOom | kBlocking, kTwoKeys, kGroup, "2.2.0", "O(1)",
     "Moves the last element of one list before the first of another, or waits for it.",
     "source destination timeout", brpoplpush},
    {"BLMPOP", -5, kWrite | kBlocking | kMovableKeys, {}, kGroup, "7.0.0", kPerKeyAndElement,
     "Takes elements from the first of several lists that has some, or waits for them.",
     "timeout numkeys key [key ...] (LEFT | RIGHT) [COUNT count]", blmpop, keys_counted_at<2>},
};
// clang-format on

}  // namespace

const std::span<const CommandSpec> kListCommands{kRows};

// --- Shared with the blocking commands

std::optional<ListEnd> parse_list_end(std::string_view word) {
  if (is_word(word, "LEFT")) return ListEnd::kHead;
  if (is_word(word, "RIGHT")) return ListEnd::kTail;
  return std::nullopt;
}

bool read_multi_pop(Context& c, size_t at, MultiPop* pop) {
  int64_t key_count;
  if (!read_from(c, c.args[at], 1, errors::kNumKeys, &key_count)) return false;
  size_t rest = c.args.size() - at - 1;
  auto wanted = static_cast<uint64_t>(key_count);
  auto end = wanted < rest ? parse_list_end(c.args[at + 1 + wanted]) : std::nullopt;
  if (!end) {
    c.error(errors::kSyntax);
    return false;
  }
  pop->keys = c.args.subspan(at + 1, wanted);
  pop->end = *end;
  size_t option = at + 2 + wanted;
  if (option == c.args.size()) return true;
  if (!is_word(c.args[option], "COUNT") || option + 1 == c.args.size()) {
    c.error(errors::kSyntax);
    return false;
  }
  if (!read_from(c, c.args[option + 1], 1, "ERR count should be greater than 0", &pop->count)) {
    return false;
  }
  if (option + 2 != c.args.size()) {
    c.error(errors::kSyntax);
    return false;
  }
  return true;
}

void pop_one(Context& c, Key& key, ListEnd end) {
  List list(key);
  packed::Item::Buffer buffer;
  c.reply.bulk(list.end(end).view(&buffer));
  list.pop(end);
  key.changed();
}

void pop_with_key(Context& c, Key& key, ListEnd end) {
  c.reply.array(2);
  c.reply.bulk(key.name());
  pop_one(c, key, end);
}

void pop_many_with_key(Context& c, Key& key, ListEnd end, int64_t count) {
  List list(key);
  size_t size = list.size();
  size_t taken = std::min(static_cast<size_t>(count), size);
  bool head = end == ListEnd::kHead;
  c.reply.array(2);
  c.reply.bulk(key.name());
  list.reply_range(c.reply, head ? 0 : size - taken, taken, !head);
  list.pop(end, taken);
  key.changed();
}

void move_one(Context& c, Key& source, std::string_view destination, ListEnd from, ListEnd to) {
  packed::Item::Buffer buffer;
  if (source.name() == destination) {
    List list(source);
    std::string element(list.end(from).view(&buffer));
    if (from != to && list.size() > 1) {
      list.pop(from);
      list.push(to, element);
    }
    source.changed();
    return c.reply.bulk(element);
  }
  Key target(c, destination, kWriteUse);
  if (!target.allows(Type::kList)) return;
  source.find();
  // The element is put before it is taken, so that it need not be copied in between.
  std::string_view element = List(source).end(from).view(&buffer);
  List(target).push(to, element);
  c.reply.bulk(element);
  source.find();
  List(source).pop(from);
  source.changed();
  target.changed();
}

}  // namespace dyno

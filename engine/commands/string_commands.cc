// SPDX-License-Identifier: Apache-2.0
//
// The commands of strings: SET and its relatives, counters, ranges. LCS has a file of its own.
#include <algorithm>
#include <climits>
#include <cmath>

#include "engine/command.h"
#include "engine/deadline.h"
#include "engine/types/string.h"
#include "engine/value.h"
#include "protocol/words.h"

namespace dyno {
namespace {

constexpr DeadlineChange kKeepDeadline{DeadlineChange::Kind::kKeep};
constexpr DeadlineChange kNoDeadline{DeadlineChange::Kind::kNone};

void reply_string(Context& c, Key& key) {
  if (!key.exists()) return c.reply.null();
  if (key.entry()->is_number()) return c.reply.bulk_int(key.entry()->number());
  c.reply.bulk(key.entry()->text());
}

void get(Context& c) {
  Key key(c, c.args[1], Key::Use::kRead);
  if (key.allows(Type::kString)) reply_string(c, key);
}

// SET's options, judged before anything is changed.
struct SetOptions {
  bool nx = false;
  bool xx = false;
  bool get = false;
  bool has_time = false;
  bool keep = false;
  TimeUnit unit{};
  std::string_view time;
};

bool read_set_options(Context& c, SetOptions* options) {
  for (size_t i = 3; i < c.args.size(); ++i) {
    std::string_view word = c.args[i];
    auto unit = time_option(word);
    if (is_word(word, "NX") && !options->xx) {
      options->nx = true;
    } else if (is_word(word, "XX") && !options->nx) {
      options->xx = true;
    } else if (is_word(word, "GET")) {
      options->get = true;
    } else if (is_word(word, "KEEPTTL") && !options->has_time) {
      options->keep = true;
    } else if (unit && !options->keep && !options->has_time && i + 1 < c.args.size()) {
      options->has_time = true;
      options->unit = *unit;
      options->time = c.args[++i];
    } else {
      c.error(errors::kSyntax);
      return false;
    }
  }
  return true;
}

// A deadline that has passed already makes the key go away at once.
void assign_until(Key& key, std::string_view bytes, int64_t at_ms) {
  if (at_ms <= key.context().now_ms) {
    if (key.exists()) key.erase();
  } else {
    String(key).assign(bytes, {DeadlineChange::Kind::kAt, at_ms});
  }
}

void set(Context& c) {
  if (c.args.size() == 3) [[likely]] {
    Key key(c, c.args[1], Key::Use::kWrite);
    String(key).assign(c.args[2], kNoDeadline);
    key.changed();
    return c.reply.ok();
  }
  SetOptions options;
  if (!read_set_options(c, &options)) return;
  int64_t at_ms = 0;
  if (options.has_time) {
    auto read = read_deadline(c, options.time, options.unit, /*positive=*/true);
    if (!read) return;
    at_ms = *read;
  }
  Key key(c, c.args[1], options.get ? Key::Use::kRead : Key::Use::kWrite);
  if (options.get) {
    if (!key.allows(Type::kString)) return;
    reply_string(c, key);
  }
  if ((options.nx && key.exists()) || (options.xx && !key.exists())) {
    if (!options.get) c.reply.null();
    return;
  }
  if (options.has_time) {
    assign_until(key, c.args[2], at_ms);
  } else {
    String(key).assign(c.args[2], options.keep ? kKeepDeadline : kNoDeadline);
  }
  key.changed();
  if (!options.get) c.reply.ok();
}

// SET without GET: what it replaces may stay on disk.
bool answers_nothing_old(Args args) {
  return args.size() == 3 || std::none_of(args.begin() + 3, args.end(), [](std::string_view word) {
           return is_word(word, "GET");
         });
}

void setnx(Context& c) {
  Key key(c, c.args[1], Key::Use::kWrite);
  if (key.exists()) return c.reply.integer(0);
  String(key).assign(c.args[2], kNoDeadline);
  key.changed();
  c.reply.integer(1);
}

void set_with_time(Context& c, TimeUnit unit) {
  auto at_ms = read_deadline(c, c.args[2], unit, /*positive=*/true);
  if (!at_ms) return;
  Key key(c, c.args[1], Key::Use::kWrite);
  assign_until(key, c.args[3], *at_ms);
  key.changed();
  c.reply.ok();
}

void setex(Context& c) {
  set_with_time(c, {true, false});
}
void psetex(Context& c) {
  set_with_time(c, {false, false});
}

void getset(Context& c) {
  Key key(c, c.args[1], Key::Use::kRead);
  if (!key.allows(Type::kString)) return;
  reply_string(c, key);
  String(key).assign(c.args[2], kNoDeadline);
  key.changed();
}

void getdel(Context& c) {
  Key key(c, c.args[1], Key::Use::kRead);
  if (!key.allows(Type::kString)) return;
  reply_string(c, key);
  if (!key.exists()) return;
  key.erase();
  key.changed();
}

void getex(Context& c) {
  bool persist = false;
  std::optional<TimeUnit> unit;
  std::string_view time;
  for (size_t i = 2; i < c.args.size(); ++i) {
    auto option = time_option(c.args[i]);
    if (is_word(c.args[i], "PERSIST") && !unit) {
      persist = true;
    } else if (option && !persist && !unit && i + 1 < c.args.size()) {
      unit = option;
      time = c.args[++i];
    } else {
      return c.error(errors::kSyntax);
    }
  }
  Key key(c, c.args[1], Key::Use::kRead);
  if (!key.exists()) return c.reply.null();
  if (!key.allows(Type::kString)) return;
  int64_t at_ms = 0;
  if (unit) {
    auto read = read_deadline(c, time, *unit, /*positive=*/true);
    if (!read) return;
    at_ms = *read;
  }
  reply_string(c, key);
  if (unit && at_ms <= c.now_ms) {
    key.erase();
    key.changed();
  } else if (unit) {
    key.set_deadline(at_ms);
    key.changed();
  } else if (persist && key.deadline() >= 0) {
    key.set_deadline(-1);
    key.changed();
  }
}

void mget(Context& c) {
  c.reply.array(c.args.size() - 1);
  for (std::string_view name : c.args.subspan(1)) {
    Key key(c, name, Key::Use::kRead);
    key.is(Type::kString) ? reply_string(c, key) : c.reply.null();
  }
}

void assign_pairs(Context& c) {
  for (size_t i = 1; i + 1 < c.args.size(); i += 2) {
    Key key(c, c.args[i], Key::Use::kWrite);
    String(key).assign(c.args[i + 1], kNoDeadline);
    key.changed();
  }
}

bool pairs_complete(Context& c) {
  if (c.args.size() % 2 == 1) return true;
  c.error("ERR wrong number of arguments for '" + to_lower(c.spec->name) + "' command");
  return false;
}

void mset(Context& c) {
  if (!pairs_complete(c)) return;
  assign_pairs(c);
  c.reply.ok();
}

void msetnx(Context& c) {
  if (!pairs_complete(c)) return;
  for (size_t i = 1; i < c.args.size(); i += 2) {
    if (Key(c, c.args[i], Key::Use::kWrite).exists()) return c.reply.integer(0);
  }
  assign_pairs(c);
  c.reply.integer(1);
}

void append(Context& c) {
  Key key(c, c.args[1], Key::Use::kWrite);
  if (!key.allows(Type::kString)) return;
  String string(key);
  if (!key.exists()) {
    string.assign(c.args[2], kNoDeadline);
  } else {
    size_t size = string.size();
    if (!allows_size(c, size + c.args[2].size())) return;
    string.patch(size, c.args[2]);
  }
  key.changed();
  c.reply.integer(static_cast<int64_t>(string.size()));
}

void strlen_command(Context& c) {
  Key key(c, c.args[1], Key::Use::kRead);
  if (key.allows(Type::kString)) c.reply.integer(static_cast<int64_t>(String(key).size()));
}

void setrange(Context& c) {
  auto offset = parse_int64(c.args[2]);
  if (!offset) return c.error(errors::kNotInteger);
  if (*offset < 0) return c.error("ERR offset is out of range");
  Key key(c, c.args[1], Key::Use::kWrite);
  if (!key.allows(Type::kString)) return;
  String string(key);
  std::string_view bytes = c.args[3];
  if (bytes.empty()) return c.reply.integer(static_cast<int64_t>(string.size()));
  if (!allows_size(c, static_cast<uint64_t>(*offset) + bytes.size())) return;
  string.patch(static_cast<size_t>(*offset), bytes);
  key.changed();
  c.reply.integer(static_cast<int64_t>(string.size()));
}

void getrange(Context& c) {
  auto start = parse_int64(c.args[2]);
  auto end = parse_int64(c.args[3]);
  if (!start || !end) return c.error(errors::kNotInteger);
  Key key(c, c.args[1], Key::Use::kRead);
  if (!key.allows(Type::kString)) return;
  String::Buffer buffer;
  std::string_view text = String(key).view(&buffer);
  auto size = static_cast<int64_t>(text.size());
  // Both negative and crossed is empty, before either is clamped.
  if (*start < 0 && *end < 0 && *start > *end) return c.reply.bulk({});
  int64_t first = *start < 0 ? std::max<int64_t>(*start + size, 0) : *start;
  int64_t last = *end < 0 ? std::max<int64_t>(*end + size, 0) : *end;
  last = std::min(last, size - 1);
  if (size == 0 || first > last) return c.reply.bulk({});
  c.reply.bulk(text.substr(static_cast<size_t>(first), static_cast<size_t>(last - first + 1)));
}

void increment(Context& c, int64_t by) {
  Key key(c, c.args[1], Key::Use::kWrite);
  if (!key.allows(Type::kString)) return;
  int64_t value = 0;
  if (key.exists()) {
    if (key.entry()->is_number()) {
      value = key.entry()->number();
    } else if (!is_canonical_int64(key.entry()->text(), &value)) {
      return c.error(errors::kNotInteger);
    }
  }
  if (__builtin_add_overflow(value, by, &value)) return c.error(errors::kOverflow);
  char text[kInt64TextMax];
  String(key).add({text, format_int64(value, text)}, by);
  key.changed();
  c.reply.integer(value);
}

void incr(Context& c) {
  increment(c, 1);
}
void decr(Context& c) {
  increment(c, -1);
}

void incrby(Context& c) {
  auto by = parse_int64(c.args[2]);
  if (!by) return c.error(errors::kNotInteger);
  increment(c, *by);
}

void decrby(Context& c) {
  auto by = parse_int64(c.args[2]);
  if (!by) return c.error(errors::kNotInteger);
  if (*by == LLONG_MIN) return c.error("ERR decrement would overflow");
  increment(c, -*by);
}

void incrbyfloat(Context& c) {
  Key key(c, c.args[1], Key::Use::kWrite);
  if (!key.allows(Type::kString)) return;
  String::Buffer buffer;
  std::string_view text = key.exists() ? String(key).view(&buffer) : std::string_view("0");
  auto value = parse_long_double(text);
  auto by = parse_long_double(c.args[2]);
  if (!value || !by) return c.error(errors::kNotFloat);
  long double sum = *value + *by;
  if (std::isnan(sum) || std::isinf(sum)) {
    return c.error("ERR increment would produce NaN or Infinity");
  }
  std::string result = format_long_double(sum);
  String(key).add(result, *by);
  key.changed();
  c.reply.bulk(result);
}

constexpr KeyRange kFirstKey{1, 1, 1};
constexpr KeyRange kAllKeys{1, -1, 1};
constexpr KeyRange kPairs{1, -1, 2};
constexpr auto kGroup = CommandGroup::kString;

// clang-format off
const CommandSpec kRows[] = {
    {"GET", 2, kReadonly | kFast, kFirstKey, kGroup, "1.0.0", "O(1)",
     "Returns the string value of a key.", "key", get},
    {"SET", -3, kWrite | kDenyOom, kFirstKey, kGroup, "1.0.0", "O(1)",
     "Sets the string value of a key, whatever it held; the deadline goes unless kept.",
     "key value [NX | XX] [GET] [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT "
     "unix-time-milliseconds | KEEPTTL]", set, nullptr, nullptr, answers_nothing_old},
    {"SETNX", 3, kWrite | kDenyOom | kFast | kKeepsCold, kFirstKey, kGroup, "1.0.0", "O(1)",
     "Sets the string value of a key only if the key does not exist.", "key value", setnx},
    {"SETEX", 4, kWrite | kDenyOom | kKeepsCold, kFirstKey, kGroup, "2.0.0", "O(1)",
     "Sets the string value of a key and when it expires, in seconds.", "key seconds value", setex},
    {"PSETEX", 4, kWrite | kDenyOom | kKeepsCold, kFirstKey, kGroup, "2.6.0", "O(1)",
     "Sets the string value of a key and when it expires, in milliseconds.",
     "key milliseconds value", psetex},
    {"GETSET", 3, kWrite | kDenyOom | kFast, kFirstKey, kGroup, "1.0.0", "O(1)",
     "Sets the string value of a key and returns the one before.", "key value", getset},
    {"GETDEL", 2, kWrite | kFast, kFirstKey, kGroup, "6.2.0", "O(1)",
     "Returns the string value of a key and deletes the key.", "key", getdel},
    {"GETEX", -2, kWrite | kFast, kFirstKey, kGroup, "6.2.0", "O(1)",
     "Returns the string value of a key and changes when it expires.",
     "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | "
     "PERSIST]", getex},
    {"MGET", -2, kReadonly | kFast, kAllKeys, kGroup, "1.0.0", "O(N) with N the number of keys",
     "Returns the string values of keys, null for those that are missing or no strings.",
     "key [key ...]", mget},
    {"MSET", -3, kWrite | kDenyOom | kKeepsCold, kPairs, kGroup, "1.0.1",
     "O(N) with N the number of keys",
     "Sets the string values of keys, all at once.", "key value [key value ...]", mset},
    {"MSETNX", -3, kWrite | kDenyOom | kKeepsCold, kPairs, kGroup, "1.0.1",
     "O(N) with N the number of keys",
     "Sets the string values of keys, all at once, only if none of them exists.",
     "key value [key value ...]", msetnx},
    {"APPEND", 3, kWrite | kDenyOom | kFast, kFirstKey, kGroup, "2.0.0", "O(1) amortized",
     "Appends to the string value of a key, creating it if needed.", "key value", append},
    {"STRLEN", 2, kReadonly | kFast, kFirstKey, kGroup, "2.2.0", "O(1)",
     "Returns the length of a string value.", "key", strlen_command},
    {"SETRANGE", 4, kWrite | kDenyOom, kFirstKey, kGroup, "2.2.0",
     "O(1), or O(N) with N the bytes that the value grows by",
     "Overwrites a part of a string value, from an offset on.", "key offset value", setrange},
    {"GETRANGE", 4, kReadonly, kFirstKey, kGroup, "2.4.0", "O(N) with N the bytes returned",
     "Returns a part of a string value.", "key start end", getrange},
    {"SUBSTR", 4, kReadonly, kFirstKey, kGroup, "1.0.0", "O(N) with N the bytes returned",
     "Returns a part of a string value; the old name of GETRANGE.", "key start end", getrange},
    {"INCR", 2, kWrite | kDenyOom | kFast, kFirstKey, kGroup, "1.0.0", "O(1)",
     "Adds one to the integer value of a key; a missing key counts as 0.", "key", incr},
    {"DECR", 2, kWrite | kDenyOom | kFast, kFirstKey, kGroup, "1.0.0", "O(1)",
     "Subtracts one from the integer value of a key; a missing key counts as 0.", "key", decr},
    {"INCRBY", 3, kWrite | kDenyOom | kFast, kFirstKey, kGroup, "1.0.0", "O(1)",
     "Adds to the integer value of a key; a missing key counts as 0.", "key increment", incrby},
    {"DECRBY", 3, kWrite | kDenyOom | kFast, kFirstKey, kGroup, "1.0.0", "O(1)",
     "Subtracts from the integer value of a key; a missing key counts as 0.", "key decrement",
     decrby},
    {"INCRBYFLOAT", 3, kWrite | kDenyOom | kFast, kFirstKey, kGroup, "2.6.0", "O(1)",
     "Adds to the floating point value of a key; a missing key counts as 0.", "key increment",
     incrbyfloat},
};
// clang-format on

}  // namespace

const std::span<const CommandSpec> kStringCommands{kRows};

}  // namespace dyno

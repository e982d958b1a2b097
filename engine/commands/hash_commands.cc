// SPDX-License-Identifier: Apache-2.0
//
// The commands of hashes, but for those about deadlines of fields (hash_expiry.cc).
#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_set>
#include <vector>

#include "engine/command.h"
#include "engine/commands/item_reply.h"
#include "engine/errors.h"
#include "engine/types/element_scan.h"
#include "engine/types/hash.h"
#include "protocol/number.h"
#include "protocol/words.h"

namespace dyno {
namespace {

constexpr std::string_view kCountRange =
    "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807";
// A reply with repetitions may ask for any number of elements; one of more bytes is refused.
constexpr size_t kRepeatedReplyBytesMax = 256 * 1024 * 1024;

bool refuses_pairs(Context& context, std::string_view name) {
  if (context.args.size() % 2 == 0) return false;
  context.error("ERR wrong number of arguments for '" + std::string(name) + "' command");
  return true;
}

// HSET and HMSET: the number of new fields, or -1 when nothing was done.
int64_t set_fields(Context& context, std::string_view name) {
  if (refuses_pairs(context, name)) return -1;
  Key key(context, context.args[1], Key::Use::kWrite);
  if (!key.allows(Type::kHash)) return -1;
  Hash hash(key);
  hash.drop_due();
  int64_t added = hash.set_all(context.args.subspan(2));
  key.changed();
  return added;
}

void hset(Context& context) {
  int64_t added = set_fields(context, "hset");
  if (added >= 0) context.reply.integer(added);
}

void hmset(Context& context) {
  if (set_fields(context, "hmset") >= 0) context.reply.ok();
}

void hsetnx(Context& context) {
  Key key(context, context.args[1], Key::Use::kWrite);
  if (!key.allows(Type::kHash)) return;
  Hash hash(key);
  hash.drop_due();
  if (hash.find(context.args[2])) {
    context.reply.integer(0);
    return;
  }
  hash.set_all(context.args.subspan(2));
  key.changed();
  context.reply.integer(1);
}

void reply_value(Reply& reply, const FieldPlace& place) {
  if (place.node != nullptr) {
    reply.bulk(place.node->value());
  } else {
    reply_item(reply, packed::read(place.item));
  }
}

void hget(Context& context) {
  Key key(context, context.args[1], Key::Use::kRead);
  if (!key.allows(Type::kHash)) return;
  FieldPlace found = Hash(key).find(context.args[2]);
  if (found) {
    reply_value(context.reply, found);
  } else {
    context.reply.null();
  }
}

void hmget(Context& context) {
  Key key(context, context.args[1], Key::Use::kRead);
  if (!key.allows(Type::kHash)) return;
  Hash hash(key);
  context.reply.array(context.args.size() - 2);
  for (std::string_view field : context.args.subspan(2)) {
    FieldPlace found = hash.find(field);
    if (found) {
      reply_value(context.reply, found);
    } else {
      context.reply.null();
    }
  }
}

void hdel(Context& context) {
  Key key(context, context.args[1], Key::Use::kWrite);
  if (!key.allows(Type::kHash)) return;
  Hash hash(key);
  hash.drop_due();
  int64_t removed = 0;
  for (std::string_view field : context.args.subspan(2)) {
    if (!key.exists()) break;
    removed += hash.erase(field);
  }
  if (removed != 0) key.changed();
  context.reply.integer(removed);
}

void hlen(Context& context) {
  Key key(context, context.args[1], Key::Use::kRead);
  if (!key.allows(Type::kHash)) return;
  context.reply.integer(static_cast<int64_t>(Hash(key).size()));
}

void hstrlen(Context& context) {
  Key key(context, context.args[1], Key::Use::kRead);
  if (!key.allows(Type::kHash)) return;
  FieldPlace found = Hash(key).find(context.args[2]);
  context.reply.integer(found ? static_cast<int64_t>(found.value().text_size()) : 0);
}

void hexists(Context& context) {
  Key key(context, context.args[1], Key::Use::kRead);
  if (!key.allows(Type::kHash)) return;
  context.reply.integer(Hash(key).find(context.args[2]) ? 1 : 0);
}

// HGETALL, HKEYS and HVALS.
template <bool kFields, bool kValues>
void reply_all(Context& context) {
  Key key(context, context.args[1], Key::Use::kRead);
  if (!key.allows(Type::kHash)) return;
  Reply& reply = context.reply;
  size_t size = Hash(key).size();
  if constexpr (kFields && kValues) {
    reply.map(size);
  } else {
    reply.array(size);
  }
  if (size == 0) return;
  Hash(key).fields().for_each(context.now_ms, [&](const FieldView& view) {
    if constexpr (kFields) reply_item(reply, view.field);
    if constexpr (kValues) reply_item(reply, view.value);
    return true;
  });
}

void hincrby(Context& context) {
  std::optional<int64_t> change = parse_int64(context.args[3]);
  if (!change) return context.error(errors::kNotInteger);
  Key key(context, context.args[1], Key::Use::kWrite);
  if (!key.allows(Type::kHash)) return;
  Hash hash(key);
  hash.drop_due();
  int64_t value = 0;
  if (FieldPlace found = hash.find(context.args[2])) {
    packed::Item item = found.value();
    if (item.kind == packed::Item::Kind::kInteger) {
      value = item.integer;
    } else if (!is_canonical_int64(item.text, &value)) {
      return context.error("ERR hash value is not an integer");
    }
  }
  int64_t result;
  if (__builtin_add_overflow(value, *change, &result)) return context.error(errors::kOverflow);
  char text[kInt64TextMax];
  hash.add(context.args[2], {text, format_int64(result, text)}, *change);
  key.changed();
  context.reply.integer(result);
}

void hincrbyfloat(Context& context) {
  std::optional<long double> change = parse_long_double(context.args[3]);
  if (!change) return context.error(errors::kNotFloat);
  if (std::isinf(*change)) return context.error("ERR value is NaN or Infinity");
  Key key(context, context.args[1], Key::Use::kWrite);
  if (!key.allows(Type::kHash)) return;
  Hash hash(key);
  hash.drop_due();
  long double value = 0;
  if (FieldPlace found = hash.find(context.args[2])) {
    packed::Item::Buffer buffer;
    std::optional<long double> old = parse_long_double(found.value().view(&buffer));
    if (!old) return context.error("ERR hash value is not a float");
    value = *old;
  }
  value += *change;
  if (std::isnan(value) || std::isinf(value)) {
    return context.error("ERR increment would produce NaN or Infinity");
  }
  std::string text = format_long_double(value);
  hash.add(context.args[2], text, *change);
  key.changed();
  context.reply.bulk(text);
}

// How HRANDFIELD writes each field it drew.
struct RandomFieldReply {
  Reply& reply;
  bool with_values;

  void begin(size_t count) const {
    reply.array(with_values && reply.version() == 2 ? count * 2 : count);
  }
  void write(const FieldView& view) const {
    if (with_values && reply.version() == 3) reply.array(2);
    reply_item(reply, view.field);
    if (with_values) reply_item(reply, view.value);
  }
};

std::vector<FieldView> live_fields(const HashFields& fields, int64_t now_ms) {
  std::vector<FieldView> live;
  live.reserve(fields.count());
  fields.for_each(now_ms, [&](const FieldView& view) {
    live.push_back(view);
    return true;
  });
  return live;
}

// `count` independent draws, so that fields may come more than once.
void reply_repeated(Context& context, const HashFields& fields, uint64_t count,
                    const RandomFieldReply& out) {
  size_t begun = context.reply.begin();
  out.begin(count);
  bool draws_words = fields.is_large() && fields.count_due(context.now_ms) == 0;
  std::vector<FieldView> live;
  if (!draws_words) live = live_fields(fields, context.now_ms);
  for (uint64_t i = 0; i < count; ++i) {
    if (draws_words) {
      out.write(fields.draw([&] { return context.random(); }));
    } else {
      out.write(live[context.random() % live.size()]);
    }
    if (context.reply.begin() - begun > kRepeatedReplyBytesMax) [[unlikely]] {
      context.reply.rewind(begun);
      return context.error("ERR value is out of range, the reply would be too large");
    }
  }
}

// `count` different fields, of more than that many.
void reply_distinct(Context& context, const HashFields& fields, size_t count,
                    const RandomFieldReply& out) {
  out.begin(count);
  size_t size = fields.count_live(context.now_ms);
  // Few of many are drawn one by one, else each field is taken or passed over in turn (selection
  // sampling, Knuth 3.4.2 S).
  constexpr size_t kDrawsPerPass = 3;
  if (fields.is_large() && size == fields.count() && count * kDrawsPerPass < size) {
    std::unordered_set<const char*> drawn;
    drawn.reserve(count);
    while (drawn.size() < count) {
      FieldView view = fields.draw([&] { return context.random(); });
      if (drawn.insert(view.field.text.data()).second) out.write(view);
    }
    return;
  }
  size_t left = size;
  fields.for_each(context.now_ms, [&](const FieldView& view) {
    if (context.random() % left-- < count) {
      out.write(view);
      --count;
    }
    return count != 0;
  });
}

void hrandfield_counted(Context& context) {
  std::optional<int64_t> count = parse_int64(context.args[2]);
  if (!count) return context.error(errors::kNotInteger);
  if (*count == INT64_MIN) return context.error(kCountRange);
  size_t argument_count = context.args.size();
  bool with_values = argument_count == 4 && is_word(context.args[3], "WITHVALUES");
  if (argument_count > 3 && !with_values) return context.error(errors::kSyntax);
  if (with_values && (*count < -(INT64_MAX / 2) || *count > INT64_MAX / 2)) {
    return context.error(errors::kOutOfRange);
  }
  Key key(context, context.args[1], Key::Use::kRead);
  if (!key.allows(Type::kHash)) return;
  size_t size = Hash(key).size();
  RandomFieldReply out{context.reply, with_values};
  if (size == 0 || *count == 0) return context.reply.array(0);
  HashFields fields = Hash(key).fields();
  if (*count < 0) return reply_repeated(context, fields, static_cast<uint64_t>(-*count), out);
  auto wanted = static_cast<uint64_t>(*count);
  reply_distinct(context, fields, wanted < size ? wanted : size, out);
}

void hrandfield(Context& context) {
  if (context.args.size() > 2) return hrandfield_counted(context);
  Key key(context, context.args[1], Key::Use::kRead);
  if (!key.allows(Type::kHash)) return;
  size_t size = Hash(key).size();
  if (size == 0) return context.reply.null();
  HashFields fields = Hash(key).fields();
  if (fields.is_large() && size == fields.count()) {
    return reply_item(context.reply, fields.draw([&] { return context.random(); }).field);
  }
  uint64_t left = context.random() % size;
  fields.for_each(context.now_ms, [&](const FieldView& view) {
    if (left-- != 0) return true;
    reply_item(context.reply, view.field);
    return false;
  });
}

void hscan(Context& context) {
  ElementScan scan;
  if (!scan.read_cursor(context, context.args[2])) return;
  Key key(context, context.args[1], Key::Use::kRead);
  if (!key.allows(Type::kHash)) return;
  if (!key.exists()) {
    context.reply.array(2);
    context.reply.bulk("0");
    context.reply.array(0);
    return;
  }
  if (!scan.read_options(context, /*allows_no_values=*/true)) return;
  HashFields fields = Hash(key).fields();
  scan.reply_to(context.reply, [&](uint32_t from, uint32_t wanted, size_t* written) {
    return fields.scan(from, wanted, context.now_ms, [&](const FieldView& view) {
      packed::Item::Buffer buffer;
      if (scan.has_pattern && !scan.matches(view.field.view(&buffer))) return;
      reply_item(context.reply, view.field);
      ++*written;
      if (scan.no_values) return;
      reply_item(context.reply, view.value);
      ++*written;
    });
  });
}

constexpr KeyRange kOneKey{1, 1, 1};

// clang-format off
const CommandSpec kRows[] = {
    {"HSET", -4, kWrite | kDenyOom | kFast, kOneKey, CommandGroup::kHash, "2.0.0",
     "O(N), N fields given", "Sets fields of a hash, making the hash if there is none.",
     "key field value [field value ...]", hset},
    {"HMSET", -4, kWrite | kDenyOom | kFast, kOneKey, CommandGroup::kHash, "2.0.0",
     "O(N), N fields given", "Sets fields of a hash; the older form of HSET.",
     "key field value [field value ...]", hmset},
    {"HSETNX", 4, kWrite | kDenyOom | kFast, kOneKey, CommandGroup::kHash, "2.0.0", "O(1)",
     "Sets a field of a hash unless the field is there.", "key field value", hsetnx},
    {"HGET", 3, kReadonly | kFast, kOneKey, CommandGroup::kHash, "2.0.0", "O(1)",
     "Answers with the value of a field.", "key field", hget},
    {"HMGET", -3, kReadonly | kFast, kOneKey, CommandGroup::kHash, "2.0.0", "O(N), N fields given",
     "Answers with the values of several fields.", "key field [field ...]", hmget},
    {"HDEL", -3, kWrite | kFast, kOneKey, CommandGroup::kHash, "2.0.0", "O(N), N fields given",
     "Removes fields, and the hash with its last field.", "key field [field ...]", hdel},
    {"HLEN", 2, kReadonly | kFast, kOneKey, CommandGroup::kHash, "2.0.0", "O(1)",
     "Counts the fields of a hash.", "key", hlen},
    {"HSTRLEN", 3, kReadonly | kFast, kOneKey, CommandGroup::kHash, "3.2.0", "O(1)",
     "Answers with the length of a field's value.", "key field", hstrlen},
    {"HEXISTS", 3, kReadonly | kFast, kOneKey, CommandGroup::kHash, "2.0.0", "O(1)",
     "Tells whether a hash has a field.", "key field", hexists},
    {"HGETALL", 2, kReadonly, kOneKey, CommandGroup::kHash, "2.0.0", "O(N), N fields of the hash",
     "Answers with all fields and their values.", "key", reply_all<true, true>},
    {"HKEYS", 2, kReadonly, kOneKey, CommandGroup::kHash, "2.0.0", "O(N), N fields of the hash",
     "Answers with all fields.", "key", reply_all<true, false>},
    {"HVALS", 2, kReadonly, kOneKey, CommandGroup::kHash, "2.0.0", "O(N), N fields of the hash",
     "Answers with the values of all fields.", "key", reply_all<false, true>},
    {"HINCRBY", 4, kWrite | kDenyOom | kFast, kOneKey, CommandGroup::kHash, "2.0.0", "O(1)",
     "Adds an integer to the value of a field, 0 if the field is not there.", "key field increment",
     hincrby},
    {"HINCRBYFLOAT", 4, kWrite | kDenyOom | kFast, kOneKey, CommandGroup::kHash, "2.6.0", "O(1)",
     "Adds a float to the value of a field, 0 if the field is not there.", "key field increment",
     hincrbyfloat},
    {"HRANDFIELD", -2, kReadonly, kOneKey, CommandGroup::kHash, "6.2.0", "O(N), N fields answered",
     "Answers with random fields of a hash.", "key [count [WITHVALUES]]", hrandfield},
    {"HSCAN", -3, kReadonly, kOneKey, CommandGroup::kHash, "2.8.0",
     "O(1) a call, O(N) for all calls that walk a hash of N fields",
     "Walks the fields of a hash in steps.", "key cursor [MATCH pattern] [COUNT count] [NOVALUES]",
     hscan},
};
// clang-format on

}  // namespace

const std::span<const CommandSpec> kHashCommands{kRows};

}  // namespace dyno

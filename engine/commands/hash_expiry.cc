// SPDX-License-Identifier: Apache-2.0
//
// Deadlines of hash fields, as Redis 7.4 has them. Every command names its fields behind FIELDS and
// a count, and answers with one integer for each.
#include <string>

#include "engine/command.h"
#include "engine/errors.h"
#include "engine/types/hash.h"
#include "protocol/number.h"
#include "protocol/words.h"

namespace dyno {
namespace {

// Deadlines have 48 bits.
constexpr int64_t kDeadlineMsMax = 0xffff'ffff'fffe;

// Replies for one field.
constexpr int64_t kNoField = -2;
constexpr int64_t kFieldWithoutDeadline = -1;
constexpr int64_t kConditionNotMet = 0;
constexpr int64_t kDone = 1;
constexpr int64_t kFieldRemoved = 2;

// Reads "FIELDS numfields field [field ...]" at `at`; empty after an error.
Args read_fields(Context& context, size_t at, std::string_view count_error) {
  Args args = context.args;
  if (at >= args.size() || !is_word(args[at], "FIELDS")) {
    context.error("ERR Mandatory argument FIELDS is missing or not at the right position");
    return {};
  }
  std::optional<int64_t> count;
  if (at + 1 < args.size()) count = parse_int64(args[at + 1]);
  if (!count || *count < 1) {
    context.error(count_error);
    return {};
  }
  Args fields = args.subspan(at + 2);
  if (static_cast<uint64_t>(*count) != fields.size()) {
    context.error("ERR The `numfields` parameter must match the number of arguments");
    return {};
  }
  return fields;
}

void reply_no_fields(Context& context, size_t count) {
  context.reply.array(count);
  for (size_t i = 0; i < count; ++i) context.reply.integer(kNoField);
}

// What the deadline commands differ in.
struct TimeForm {
  std::string_view name;
  bool in_seconds;
  bool is_relative;
};

enum class Condition : uint8_t { kNone, kNx, kXx, kGt, kLt };

bool read_deadline(Context& context, const TimeForm& form, int64_t* deadline_ms) {
  std::optional<int64_t> given = parse_int64(context.args[2]);
  if (!given) {
    context.error(errors::kNotInteger);
    return false;
  }
  if (*given < 0) {
    context.error("ERR invalid expire time, must be >= 0");
    return false;
  }
  int64_t base_ms = form.is_relative ? context.now_ms : 0;
  int64_t unit_ms = form.in_seconds ? 1000 : 1;
  if (*given > kDeadlineMsMax / unit_ms || *given * unit_ms > kDeadlineMsMax - base_ms) {
    context.error("ERR invalid expire time in '" + std::string(form.name) + "' command");
    return false;
  }
  *deadline_ms = *given * unit_ms + base_ms;
  return true;
}

Condition read_condition(std::string_view arg) {
  if (is_word(arg, "NX")) return Condition::kNx;
  if (is_word(arg, "XX")) return Condition::kXx;
  if (is_word(arg, "GT")) return Condition::kGt;
  if (is_word(arg, "LT")) return Condition::kLt;
  return Condition::kNone;
}

// No deadline counts as one that never comes.
bool holds(Condition condition, int64_t old_ms, int64_t new_ms) {
  switch (condition) {
    case Condition::kNone:
      return true;
    case Condition::kNx:
      return old_ms == kNoDeadline;
    case Condition::kXx:
      return old_ms != kNoDeadline;
    case Condition::kGt:
      return old_ms != kNoDeadline && new_ms > old_ms;
    case Condition::kLt:
      return old_ms == kNoDeadline || new_ms < old_ms;
  }
  return false;
}

int64_t expire_field(Key& key, std::string_view field, Condition condition, int64_t deadline_ms) {
  Hash hash(key);
  FieldPlace found = hash.find(field);
  if (!found) return kNoField;
  if (!holds(condition, found.deadline_ms, deadline_ms)) return kConditionNotMet;
  if (deadline_ms <= key.context().now_ms) {
    hash.erase(field);
    return kFieldRemoved;
  }
  hash.set_deadline(field, deadline_ms);
  return kDone;
}

void expire(Context& context, const TimeForm& form) {
  Key key(context, context.args[1], Key::Use::kWrite);
  if (!key.allows(Type::kHash)) return;
  int64_t deadline_ms = 0;
  if (!read_deadline(context, form, &deadline_ms)) return;
  Condition condition = read_condition(context.args[3]);
  size_t fields_at = condition == Condition::kNone ? 3 : 4;
  Args fields =
      read_fields(context, fields_at, "ERR Parameter `numFields` should be greater than 0");
  if (fields.empty()) return;
  Hash(key).drop_due();
  bool any_done = false;
  context.reply.array(fields.size());
  for (std::string_view field : fields) {
    int64_t code = expire_field(key, field, condition, deadline_ms);
    any_done |= code > kConditionNotMet;
    context.reply.integer(code);
  }
  if (any_done) key.changed();
}

void hexpire(Context& context) {
  expire(context, {"hexpire", true, true});
}
void hpexpire(Context& context) {
  expire(context, {"hpexpire", false, true});
}
void hexpireat(Context& context) {
  expire(context, {"hexpireat", true, false});
}
void hpexpireat(Context& context) {
  expire(context, {"hpexpireat", false, false});
}

constexpr std::string_view kCountError = "ERR Number of fields must be a positive integer";

// HTTL and its kin: when each field goes.
void report_deadlines(Context& context, bool in_seconds, bool is_relative) {
  Key key(context, context.args[1], Key::Use::kRead);
  if (!key.allows(Type::kHash)) return;
  Args fields = read_fields(context, 2, kCountError);
  if (fields.empty()) return;
  if (!key.exists()) return reply_no_fields(context, fields.size());
  context.reply.array(fields.size());
  for (std::string_view field : fields) {
    FieldPlace found = Hash(key).find(field);
    if (!found) {
      context.reply.integer(kNoField);
    } else if (found.deadline_ms == kNoDeadline) {
      context.reply.integer(kFieldWithoutDeadline);
    } else {
      int64_t shown = found.deadline_ms - (is_relative ? context.now_ms : 0);
      context.reply.integer(in_seconds ? (shown + 999) / 1000 : shown);
    }
  }
}

void httl(Context& context) {
  report_deadlines(context, true, true);
}
void hpttl(Context& context) {
  report_deadlines(context, false, true);
}
void hexpiretime(Context& context) {
  report_deadlines(context, true, false);
}
void hpexpiretime(Context& context) {
  report_deadlines(context, false, false);
}

void hpersist(Context& context) {
  Key key(context, context.args[1], Key::Use::kWrite);
  if (!key.allows(Type::kHash)) return;
  Args fields = read_fields(context, 2, kCountError);
  if (fields.empty()) return;
  Hash hash(key);
  hash.drop_due();
  if (!key.exists()) return reply_no_fields(context, fields.size());
  bool any_done = false;
  context.reply.array(fields.size());
  for (std::string_view field : fields) {
    FieldPlace found = hash.find(field);
    if (!found) {
      context.reply.integer(kNoField);
    } else if (found.deadline_ms == kNoDeadline) {
      context.reply.integer(kFieldWithoutDeadline);
    } else {
      hash.set_deadline(field, kNoDeadline);
      context.reply.integer(kDone);
      any_done = true;
    }
  }
  if (any_done) key.changed();
}

constexpr KeyRange kOneKey{1, 1, 1};
constexpr std::string_view kPerField = "O(N), N fields given; O(N log M) with M deadlines set";
constexpr std::string_view kSecondsSyntax =
    "key seconds [NX | XX | GT | LT] FIELDS numfields field [field ...]";
constexpr std::string_view kMillisecondsSyntax =
    "key milliseconds [NX | XX | GT | LT] FIELDS numfields field [field ...]";
constexpr std::string_view kUnixSecondsSyntax =
    "key unix-time-seconds [NX | XX | GT | LT] FIELDS numfields field [field ...]";
constexpr std::string_view kUnixMillisecondsSyntax =
    "key unix-time-milliseconds [NX | XX | GT | LT] FIELDS numfields field [field ...]";
constexpr std::string_view kFieldsSyntax = "key FIELDS numfields field [field ...]";

// clang-format off
const CommandSpec kRows[] = {
    {"HEXPIRE", -6, kWrite | kDenyOom | kFast, kOneKey, CommandGroup::kHash, "7.4.0", kPerField,
     "Lets fields expire after some seconds.", kSecondsSyntax, hexpire},
    {"HPEXPIRE", -6, kWrite | kDenyOom | kFast, kOneKey, CommandGroup::kHash, "7.4.0", kPerField,
     "Lets fields expire after some milliseconds.", kMillisecondsSyntax, hpexpire},
    {"HEXPIREAT", -6, kWrite | kDenyOom | kFast, kOneKey, CommandGroup::kHash, "7.4.0", kPerField,
     "Lets fields expire at a time in seconds.", kUnixSecondsSyntax, hexpireat},
    {"HPEXPIREAT", -6, kWrite | kDenyOom | kFast, kOneKey, CommandGroup::kHash, "7.4.0", kPerField,
     "Lets fields expire at a time in milliseconds.", kUnixMillisecondsSyntax, hpexpireat},
    {"HTTL", -5, kReadonly | kFast, kOneKey, CommandGroup::kHash, "7.4.0", "O(N), N fields given",
     "Tells after how many seconds fields expire.", kFieldsSyntax, httl},
    {"HPTTL", -5, kReadonly | kFast, kOneKey, CommandGroup::kHash, "7.4.0", "O(N), N fields given",
     "Tells after how many milliseconds fields expire.", kFieldsSyntax, hpttl},
    {"HEXPIRETIME", -5, kReadonly | kFast, kOneKey, CommandGroup::kHash, "7.4.0",
     "O(N), N fields given", "Tells when fields expire, in seconds.", kFieldsSyntax, hexpiretime},
    {"HPEXPIRETIME", -5, kReadonly | kFast, kOneKey, CommandGroup::kHash, "7.4.0",
     "O(N), N fields given", "Tells when fields expire, in milliseconds.", kFieldsSyntax,
     hpexpiretime},
    {"HPERSIST", -5, kWrite | kFast, kOneKey, CommandGroup::kHash, "7.4.0", kPerField,
     "Takes the deadlines of fields away.", kFieldsSyntax, hpersist},
};
// clang-format on

}  // namespace

const std::span<const CommandSpec> kHashExpiryCommands{kRows};

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// When keys expire: the commands that set, read and remove deadlines. A deadline is milliseconds of
// Unix time in the key's entry; a command that would set one in the past deletes the key.
//
// Concurrent writers on replicas: the later deadline command wins, apart from the value.
#include <algorithm>

#include "engine/command.h"
#include "engine/context.h"
#include "engine/deadline.h"
#include "engine/stats.h"
#include "protocol/words.h"

namespace dyno {
namespace {

// The condition under which EXPIRE changes a deadline.
struct ExpireCondition {
  bool nx = false;
  bool xx = false;
  bool gt = false;
  bool lt = false;

  // `current_ms` is -1 for a key that does not expire, which counts as later than any time.
  [[nodiscard]] bool allows(int64_t current_ms, int64_t wanted_ms) const {
    bool expires = current_ms != -1;
    if (nx && expires) return false;
    if (xx && !expires) return false;
    if (gt && (!expires || wanted_ms <= current_ms)) return false;
    return !(lt && expires && wanted_ms >= current_ms);
  }
};

bool read_condition(Context& c, ExpireCondition* condition) {
  for (std::string_view word : c.args.subspan(3)) {
    if (is_word(word, "NX")) {
      condition->nx = true;
    } else if (is_word(word, "XX")) {
      condition->xx = true;
    } else if (is_word(word, "GT")) {
      condition->gt = true;
    } else if (is_word(word, "LT")) {
      condition->lt = true;
    } else {
      c.error("ERR Unsupported option " + std::string(echo(word)));
      return false;
    }
  }
  if (condition->nx && (condition->xx || condition->gt || condition->lt)) {
    c.error("ERR NX and XX, GT or LT options at the same time are not compatible");
    return false;
  }
  if (condition->gt && condition->lt) {
    c.error("ERR GT and LT options at the same time are not compatible");
    return false;
  }
  return true;
}

void expire_key(Context& c, TimeUnit unit) {
  ExpireCondition condition;
  if (!read_condition(c, &condition)) return;
  auto at_ms = read_deadline(c, c.args[2], unit, /*positive=*/false);
  if (!at_ms) return;
  Key key(c, c.args[1], Key::Use::kWrite);
  if (!key.exists() || !condition.allows(key.deadline(), *at_ms)) return c.reply.integer(0);
  if (*at_ms <= c.now_ms) {
    key.erase();
  } else {
    key.set_deadline(*at_ms);
  }
  key.changed();
  c.reply.integer(1);
}

void expire(Context& c) {
  expire_key(c, {true, false});
}
void pexpire(Context& c) {
  expire_key(c, {false, false});
}
void expireat(Context& c) {
  expire_key(c, {true, true});
}
void pexpireat(Context& c) {
  expire_key(c, {false, true});
}

void reply_deadline(Context& c, TimeUnit unit) {
  Key key(c, c.args[1], Key::Use::kPeek);
  (key.exists() ? stats().keyspace_hits : stats().keyspace_misses).add();
  if (!key.exists()) return c.reply.integer(-2);
  int64_t at_ms = key.deadline();
  if (at_ms == -1) return c.reply.integer(-1);
  int64_t value = unit.absolute ? at_ms : std::max<int64_t>(at_ms - c.now_ms, 0);
  // Rounded to the nearest second; a deadline close to the end of time must not overflow.
  if (unit.seconds) value = value / 1000 + (value % 1000 >= 500);
  c.reply.integer(value);
}

void ttl(Context& c) {
  reply_deadline(c, {true, false});
}
void pttl(Context& c) {
  reply_deadline(c, {false, false});
}
void expiretime(Context& c) {
  reply_deadline(c, {true, true});
}
void pexpiretime(Context& c) {
  reply_deadline(c, {false, true});
}

void persist(Context& c) {
  Key key(c, c.args[1], Key::Use::kWrite);
  if (!key.exists() || key.deadline() == -1) return c.reply.integer(0);
  key.set_deadline(-1);
  key.changed();
  c.reply.integer(1);
}

constexpr KeyRange kFirstKey{1, 1, 1};
constexpr auto kGroup = CommandGroup::kGeneric;

// clang-format off
const CommandSpec kRows[] = {
    {"EXPIRE", -3, kWrite | kFast, kFirstKey, kGroup, "1.0.0", "O(1)",
     "Sets how many seconds from now a key expires.", "key seconds [NX | XX | GT | LT]", expire},
    {"PEXPIRE", -3, kWrite | kFast, kFirstKey, kGroup, "2.6.0", "O(1)",
     "Sets how many milliseconds from now a key expires.", "key milliseconds [NX | XX | GT | LT]",
     pexpire},
    {"EXPIREAT", -3, kWrite | kFast, kFirstKey, kGroup, "1.2.0", "O(1)",
     "Sets the second of Unix time at which a key expires.",
     "key unix-time-seconds [NX | XX | GT | LT]", expireat},
    {"PEXPIREAT", -3, kWrite | kFast, kFirstKey, kGroup, "2.6.0", "O(1)",
     "Sets the millisecond of Unix time at which a key expires.",
     "key unix-time-milliseconds [NX | XX | GT | LT]", pexpireat},
    {"TTL", 2, kReadonly | kFast | kKeepsCold, kFirstKey, kGroup, "1.0.0", "O(1)",
     "Returns the seconds until a key expires; -1 if it does not, -2 if it is missing.", "key",
     ttl},
    {"PTTL", 2, kReadonly | kFast | kKeepsCold, kFirstKey, kGroup, "2.6.0", "O(1)",
     "Returns the milliseconds until a key expires; -1 if it does not, -2 if it is missing.", "key",
     pttl},
    {"EXPIRETIME", 2, kReadonly | kFast | kKeepsCold, kFirstKey, kGroup, "7.0.0", "O(1)",
     "Returns the second of Unix time at which a key expires.", "key", expiretime},
    {"PEXPIRETIME", 2, kReadonly | kFast | kKeepsCold, kFirstKey, kGroup, "7.0.0", "O(1)",
     "Returns the millisecond of Unix time at which a key expires.", "key", pexpiretime},
    {"PERSIST", 2, kWrite | kFast, kFirstKey, kGroup, "2.2.0", "O(1)",
     "Takes a key's deadline away.", "key", persist},
};
// clang-format on

}  // namespace

const std::span<const CommandSpec> kExpiryCommands{kRows};

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// Commands on keys of any type: delete, name, copy, move, look at. A value is moved by moving what
// its entry owns, so that RENAME and MOVE cost the same for any size.
//
// Concurrent writers on replicas: a deletion takes away what it had seen; a rename is the deletion
// of one key and the whole state of another.
#include <climits>
#include <cstring>

#include "engine/access_clock.h"
#include "engine/command.h"
#include "engine/context.h"
#include "engine/stats.h"
#include "engine/value.h"
#include "protocol/number.h"
#include "protocol/words.h"

namespace dyno {
namespace {

constexpr std::string_view kLfuNeeded =
    "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that "
    "when "
    "switching between policies at runtime LRU and LFU data will take some time to adjust.";
constexpr std::string_view kLfuInTheWay =
    "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when "
    "switching "
    "between policies at runtime LRU and LFU data will take some time to adjust.";

// --- Mutators.

bool word_expires(const Key& key) {
  return (EntryTable::flags(*key.word()) & kWordHasDeadline) != 0;
}

// Fields of a hash may have deadlines that its entry does not show: the flag goes along, and the
// next sweep of the slot finds out when it is due.
void keep_deadline_flag(Key& key, bool expires) {
  Keyspace& keyspace = key.context().keyspace;
  if (!expires || key.entry()->has_deadline()) {
    if (expires && key.is(Type::kHash)) keyspace.note_deadline(key.slot(), key.context().now_ms);
    return;
  }
  keyspace.set_deadline_flag(key.slot(), key.word(), true);
  keyspace.note_deadline(key.slot(), key.context().now_ms);
}

void record_whole(Key& key) {
  if (key.records()) value_ops(key.entry()).record(key);
}

// Gives what `from` holds to `to`, which may exist; `from` is gone then. Neither knows where it is
// when another key of the slot moves, hence the calls of find().
void move_value(Key& from, Key& to) {
  to.begin_anew();
  from.find();
  from.record(EffectKind::kErase);
  bool expires = word_expires(from);
  Entry* old = from.take();
  size_t bytes = value_ops(old).value_bytes(old);
  Entry* moved =
      Entry::make(old->type(), old->encoding(), to.db(), to.name(), old->has_deadline(), bytes);
  if (old->has_deadline()) moved->set_deadline(old->deadline());
  std::memcpy(moved->value(), old->value(), bytes);
  uint32_t clock = old->clock();
  memory::release(old);
  to.find();
  to.put(moved);
  to.entry()->set_clock(clock);
  keep_deadline_flag(to, expires);
  record_whole(to);
}

// --- Commands.

void del(Context& c) {
  int64_t count = 0;
  for (std::string_view name : c.args.subspan(1)) {
    Key key(c, name, Key::Use::kWrite);
    if (!key.exists()) continue;
    key.erase();
    key.changed();
    ++count;
  }
  c.reply.integer(count);
}

void exists(Context& c) {
  int64_t count = 0;
  for (std::string_view name : c.args.subspan(1)) {
    bool found = Key(c, name, Key::Use::kPeek).exists();
    (found ? stats().keyspace_hits : stats().keyspace_misses).add();
    count += found;
  }
  c.reply.integer(count);
}

void touch(Context& c) {
  int64_t count = 0;
  for (std::string_view name : c.args.subspan(1)) {
    Key key(c, name, Key::Use::kPeek);
    (key.exists() ? stats().keyspace_hits : stats().keyspace_misses).add();
    if (!key.exists()) continue;
    // Marks the key whatever CLIENT NO-TOUCH says.
    touch_clock(key.entry(), c.limits, c.now_ms, c.limits.policy_is_lfu() ? c.random() : 0);
    ++count;
  }
  c.reply.integer(count);
}

void type(Context& c) {
  Key key(c, c.args[1], Key::Use::kPeek);
  (key.exists() ? stats().keyspace_hits : stats().keyspace_misses).add();
  c.reply.simple(key.exists() ? type_name(key.type()) : "none");
}

void rename_key(Context& c, bool only_new) {
  Key from(c, c.args[1], Key::Use::kWrite);
  if (!from.exists()) return c.error(errors::kNoSuchKey);
  if (c.args[1] == c.args[2]) return only_new ? c.reply.integer(0) : c.reply.ok();
  Key to(c, c.args[2], Key::Use::kWrite);
  if (only_new && to.exists()) return c.reply.integer(0);
  move_value(from, to);
  from.changed();
  to.changed();
  only_new ? c.reply.integer(1) : c.reply.ok();
}

void rename(Context& c) {
  rename_key(c, false);
}
void renamenx(Context& c) {
  rename_key(c, true);
}

// The physical database that an argument names.
std::optional<int> read_db(Context& c, std::string_view text) {
  auto db = read_int(c, text);
  if (!db) return std::nullopt;
  if (*db < 0 || *db >= kDatabaseCount) {
    c.error(errors::kDbRange);
    return std::nullopt;
  }
  return c.keyspace.physical_db(*db);
}

void copy(Context& c) {
  bool replace = false;
  int db = c.db;
  for (size_t i = 3; i < c.args.size(); ++i) {
    if (is_word(c.args[i], "REPLACE")) {
      replace = true;
    } else if (is_word(c.args[i], "DB") && i + 1 < c.args.size()) {
      auto read = read_db(c, c.args[++i]);
      if (!read) return;
      db = *read;
    } else {
      return c.error(errors::kSyntax);
    }
  }
  if (db == c.db && c.args[1] == c.args[2]) return c.error(errors::kSameObject);
  Key from(c, c.args[1], Key::Use::kRead);
  if (!from.exists()) return c.reply.integer(0);
  Key to(c, c.args[2], Key::Use::kReplace, db);
  if (to.exists() && !replace) return c.reply.integer(0);
  from.find();
  bool expires = word_expires(from);
  Entry* copied = value_ops(from.entry()).copy(from.entry(), db, to.name());
  to.record(EffectKind::kErase);
  to.put(copied);
  keep_deadline_flag(to, expires);
  record_whole(to);
  to.changed();
  c.reply.integer(1);
}

void move(Context& c) {
  auto db = read_db(c, c.args[2]);
  if (!db) return;
  if (*db == c.db) return c.error(errors::kSameObject);
  Key from(c, c.args[1], Key::Use::kWrite);
  if (!from.exists()) return c.reply.integer(0);
  Key to(c, c.args[1], Key::Use::kReplace, *db);
  if (to.exists()) return c.reply.integer(0);
  move_value(from, to);
  from.changed();
  to.changed();
  c.reply.integer(1);
}

// --- OBJECT.

// Whether the key exists; else answers null.
bool object_exists(Context& c, const Key& key) {
  (key.exists() ? stats().keyspace_hits : stats().keyspace_misses).add();
  if (!key.exists()) c.reply.null();
  return key.exists();
}

void object_encoding(Context& c) {
  Key key(c, c.args[2], Key::Use::kPeek);
  if (object_exists(c, key)) c.reply.bulk(value_ops(key.entry()).encoding_name(key.entry()));
}

void object_refcount(Context& c) {
  // Values are never shared, but Redis shows its small integers as shared for ever.
  constexpr int64_t kSharedIntegers = 10000;
  Key key(c, c.args[2], Key::Use::kPeek);
  if (!object_exists(c, key)) return;
  const Entry* entry = key.entry();
  bool shared = entry->type() == Type::kString && entry->is_number() && entry->number() >= 0 &&
                entry->number() < kSharedIntegers;
  c.reply.integer(shared ? INT_MAX : 1);
}

void object_idletime(Context& c) {
  Key key(c, c.args[2], Key::Use::kPeek);
  if (!object_exists(c, key)) return;
  if (c.limits.policy_is_lfu()) return c.error(kLfuInTheWay);
  c.reply.integer(idle_seconds(key.entry(), c.now_ms));
}

void object_freq(Context& c) {
  Key key(c, c.args[2], Key::Use::kPeek);
  if (!object_exists(c, key)) return;
  if (!c.limits.policy_is_lfu()) return c.error(kLfuNeeded);
  c.reply.integer(lfu_counter(key.entry(), c.limits, c.now_ms));
}

constexpr KeyRange kFirstKey{1, 1, 1};
constexpr KeyRange kTwoKeys{1, 2, 1};
constexpr KeyRange kAllKeys{1, -1, 1};
constexpr KeyRange kSecondArgument{2, 2, 1};
constexpr auto kGroup = CommandGroup::kGeneric;

// clang-format off
const CommandSpec kRows[] = {
    {"DEL", -2, kWrite | kKeepsCold, kAllKeys, kGroup, "1.0.0", "O(N) with N the number of keys",
     "Deletes keys; large values are freed afterwards, without keeping anybody waiting.",
     "key [key ...]", del},
    {"UNLINK", -2, kWrite | kFast | kKeepsCold, kAllKeys, kGroup, "4.0.0",
     "O(N) with N the number of keys",
     "Deletes keys, just as DEL does.", "key [key ...]", del},
    {"EXISTS", -2, kReadonly | kFast | kKeepsCold, kAllKeys, kGroup, "1.0.0",
     "O(N) with N the number of keys",
     "Counts how many of the keys exist; one named twice counts twice.", "key [key ...]", exists},
    {"TOUCH", -2, kReadonly | kFast | kKeepsCold, kAllKeys, kGroup, "3.2.1",
     "O(N) with N the number of keys",
     "Marks keys as just used and counts how many of them exist.", "key [key ...]", touch},
    {"TYPE", 2, kReadonly | kFast | kKeepsCold, kFirstKey, kGroup, "1.0.0", "O(1)",
     "Returns the type of a key's value.", "key", type},
    {"RENAME", 3, kWrite, kTwoKeys, kGroup, "1.0.0", "O(1)",
     "Gives a key another name, in place of what had that name.", "key newkey", rename},
    {"RENAMENX", 3, kWrite | kFast, kTwoKeys, kGroup, "1.0.0", "O(1)",
     "Gives a key another name, only if nothing has that name.", "key newkey", renamenx},
    {"COPY", -3, kWrite | kDenyOom, kTwoKeys, kGroup, "6.2.0",
     "O(N) with N the elements of the value, O(1) for a string",
     "Copies a key's value and deadline to another key.",
     "source destination [DB destination-db] [REPLACE]", copy},
    {"MOVE", 3, kWrite | kFast, kFirstKey, kGroup, "1.0.0", "O(1)",
     "Moves a key to another database, only if that has no such key.", "key db", move},
    {"OBJECT", -2, 0, {}, kGroup, "2.2.3", "Depends on the subcommand",
     "Looks at how a key is stored.", "", nullptr},
    {"OBJECT|ENCODING", 3, kReadonly, kSecondArgument, kGroup, "2.2.3", "O(1)",
     "Returns how the value of a key is stored.", "key", object_encoding},
    {"OBJECT|FREQ", 3, kReadonly | kKeepsCold, kSecondArgument, kGroup, "4.0.0", "O(1)",
     "Returns how often a key was used lately, on a logarithmic scale.", "key", object_freq},
    {"OBJECT|IDLETIME", 3, kReadonly | kKeepsCold, kSecondArgument, kGroup, "2.2.3", "O(1)",
     "Returns the seconds since a key was last used.", "key", object_idletime},
    {"OBJECT|REFCOUNT", 3, kReadonly, kSecondArgument, kGroup, "2.2.3", "O(1)",
     "Returns the number of references to a key's value.", "key", object_refcount},
};
// clang-format on

}  // namespace

const std::span<const CommandSpec> kGenericCommands{kRows};

}  // namespace dyno

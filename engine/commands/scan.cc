// SPDX-License-Identifier: Apache-2.0
//
// Commands that walk the keyspace: SCAN, KEYS, RANDOMKEY, and those on whole databases. A walk
// locks one slot at a time, and a slot with very many keys piece by piece, so that nobody waits for
// it.
//
//   cursor := slot:14 position:32        the place in the slot's table; 0 begins and ends
//
// Any number is a safe cursor: those past the last slot end the iteration. What is there from the
// beginning of an iteration to its end is returned exactly once.
#include <algorithm>
#include <climits>
#include <optional>
#include <vector>

#include "engine/blocking.h"
#include "engine/command.h"
#include "engine/context.h"
#include "engine/reclaimer.h"
#include "engine/stats.h"
#include "protocol/glob.h"
#include "protocol/number.h"
#include "protocol/words.h"

namespace dyno {
namespace {

// As in Redis the empty key matches the empty pattern and the plain "*", which means no
// pattern at all.
bool key_matches(std::string_view pattern, std::string_view key) {
  return key.empty() ? pattern.empty() : glob_match(pattern, key);
}

constexpr uint64_t kTableEnd = uint64_t{1} << 32;
// Keys looked at under one hold of a slot's lock.
constexpr uint32_t kPieceKeys = 256;
// Slots that one call of SCAN passes without finding a key, unless it asks for many.
constexpr int64_t kEmptySlots = 1024;

// What a walk shows.
struct KeyFilter {
  int db;
  int64_t now_ms;
  std::optional<std::string_view> pattern;
  std::optional<Type> type;

  [[nodiscard]] bool is_live(const Entry* entry) const {
    return entry->db() == db && !(entry->has_deadline() && entry->deadline() <= now_ms);
  }
  [[nodiscard]] bool shows(const Entry* entry) const {
    return is_live(entry) && (!type || entry->type() == *type) &&
           (!pattern || key_matches(*pattern, entry->key()));
  }
};

class SlotHold {
 public:
  SlotHold(const Context& context, Slot& slot) : slot_(slot), held_before_(context.holds_all) {
    if (!held_before_) slot_.lock.lock();
  }
  ~SlotHold() {
    if (!held_before_) slot_.lock.unlock();
  }
  SlotHold(const SlotHold&) = delete;
  SlotHold& operator=(const SlotHold&) = delete;

 private:
  Slot& slot_;
  bool held_before_;
};

// Calls visit(const Entry*) for about `wanted` keys of all databases from `position` on; returns
// where to go on, kTableEnd at the end.
template <class Visit>
uint64_t visit_piece(Context& c, SlotIndex index, uint32_t position, uint32_t wanted,
                     Visit&& visit) {
  Slot& slot = c.keyspace.slot(index);
  SlotHold hold(c, slot);
  if (slot.table.empty()) return kTableEnd;
  static thread_local std::vector<const Entry*> batch;
  batch.clear();
  uint64_t next = slot.table.scan(position, wanted, [](uint64_t* word) {
    const Entry* entry = EntryTable::node(*word);
    __builtin_prefetch(entry);
    batch.push_back(entry);
  });
  for (const Entry* entry : batch) visit(entry);
  return next;
}

// The part of a pattern that its matches begin with; the whole of it when nothing in it is special.
std::string_view literal_prefix(std::string_view pattern) {
  return pattern.substr(0, pattern.find_first_of("*?[\\"));
}

// The slot of everything that matches, when the pattern begins with a hash tag.
std::optional<SlotIndex> slot_of_pattern(const Context& c, std::string_view pattern) {
  std::string_view prefix = literal_prefix(pattern);
  if (hash_tag(prefix).size() == prefix.size()) return std::nullopt;
  return c.keyspace.hash(prefix).slot();
}

// --- SCAN.

struct ScanOptions {
  int64_t count = 10;
  KeyFilter filter;
  bool nothing = false;  // A type that no key has.
};

std::optional<Type> read_type(std::string_view name) {
  for (int i = 0; i < kTypeCount; ++i) {
    if (is_word(name, type_name(static_cast<Type>(i)))) return static_cast<Type>(i);
  }
  return std::nullopt;
}

bool read_scan_options(Context& c, ScanOptions* options) {
  options->filter = {c.db, c.now_ms, {}, {}};
  for (size_t i = 2; i < c.args.size(); i += 2) {
    if (i + 1 == c.args.size()) return c.error(errors::kSyntax), false;
    std::string_view value = c.args[i + 1];
    if (is_word(c.args[i], "COUNT")) {
      auto count = parse_int64(value);
      if (!count) return c.error(errors::kNotInteger), false;
      if (*count < 1) return c.error(errors::kSyntax), false;
      options->count = *count;
    } else if (is_word(c.args[i], "MATCH")) {
      if (value == "*") {
        options->filter.pattern.reset();
      } else {
        options->filter.pattern = value;
      }
    } else if (is_word(c.args[i], "TYPE")) {
      options->filter.type = read_type(value);
      options->nothing = !options->filter.type;
    } else {
      return c.error(errors::kSyntax), false;
    }
  }
  return true;
}

// One call of SCAN: writes the keys it finds to `keys` and returns the next cursor.
uint64_t scan_some(Context& c, const ScanOptions& options, uint64_t cursor, Reply* keys,
                   size_t* found) {
  uint64_t slot = cursor / kTableEnd;
  auto position = static_cast<uint32_t>(cursor);
  uint64_t last_slot = kSlotCount - 1;
  if (options.filter.pattern) {
    if (auto only = slot_of_pattern(c, *options.filter.pattern)) {
      if (slot < *only) slot = *only, position = 0;
      last_slot = *only;
    }
  }
  // A small database comes whole, however thinly its keys lie.
  bool whole = c.keyspace.key_count(c.session.db) <= options.count;
  int64_t visited = 0;
  int64_t empty_slots = whole ? kSlotCount : std::max(kEmptySlots, options.count);
  for (; slot <= last_slot && (whole || visited < options.count) && empty_slots > 0;) {
    int64_t before = visited;
    auto wanted =
        static_cast<uint32_t>(std::clamp<int64_t>(options.count - visited, 1, kPieceKeys));
    int64_t others = 0;
    uint64_t next =
        visit_piece(c, static_cast<SlotIndex>(slot), position, wanted, [&](const Entry* entry) {
          entry->db() == options.filter.db || !whole ? ++visited : ++others;
          if (!options.filter.shows(entry)) return;
          keys->bulk(entry->key());
          ++*found;
        });
    // Keys of other databases cost time too.
    empty_slots -= others;
    if (next < kTableEnd) {
      position = static_cast<uint32_t>(next);
      continue;
    }
    empty_slots -= visited == before;
    ++slot;
    position = 0;
  }
  return slot > last_slot ? 0 : slot * kTableEnd + position;
}

void scan(Context& c) {
  auto cursor = parse_uint64(c.args[1]);
  if (!cursor) return c.error(errors::kInvalidCursor);
  ScanOptions options;
  if (!read_scan_options(c, &options)) return;
  ByteBuffer bytes;
  Reply keys(&bytes, c.reply.version());
  size_t found = 0;
  uint64_t next = options.nothing ? 0 : scan_some(c, options, *cursor, &keys, &found);
  c.reply.array(2);
  c.reply.bulk_int(static_cast<int64_t>(next));
  c.reply.array(found);
  c.reply.raw(bytes.view());
}

// --- KEYS, RANDOMKEY, DBSIZE.

void keys_exact(Context& c, std::string_view name, const KeyFilter& filter) {
  KeyHash hash = c.keyspace.hash(name);
  Slot& slot = c.keyspace.slot(hash.slot());
  SlotHold hold(c, slot);
  const uint64_t* word = slot.table.find(position_in_slot(hash.inner, c.db), {name, c.db});
  bool found = word != nullptr && filter.is_live(EntryTable::node(*word));
  c.reply.array(found ? 1 : 0);
  if (found) c.reply.bulk(name);
}

void keys(Context& c) {
  std::string_view pattern = c.args[1];
  KeyFilter filter{c.db, c.now_ms, {}, {}};
  if (literal_prefix(pattern).size() == pattern.size()) return keys_exact(c, pattern, filter);
  if (pattern != "*") filter.pattern = pattern;
  auto only = slot_of_pattern(c, pattern);
  uint32_t first = only ? *only : 0;
  uint32_t last = only ? *only : kSlotCount - 1;
  size_t begun = c.reply.begin();
  size_t found = 0;
  for (uint32_t i = first; i <= last; ++i) {
    for (uint64_t at = 0; at < kTableEnd;) {
      at = visit_piece(c, static_cast<SlotIndex>(i), static_cast<uint32_t>(at), kPieceKeys,
                       [&](const Entry* entry) {
                         if (!filter.shows(entry)) return;
                         c.reply.bulk(entry->key());
                         ++found;
                       });
    }
  }
  c.reply.finish_array(begun, found);
}

// Answers with a random key of the slot, if a few draws hit one that is shown.
bool reply_random(Context& c, SlotIndex index, const KeyFilter& filter) {
  constexpr int kDraws = 4;
  Slot& slot = c.keyspace.slot(index);
  SlotHold hold(c, slot);
  for (int i = 0; i < kDraws && !slot.table.empty(); ++i) {
    const Entry* entry = EntryTable::node(*slot.table.random([&] { return c.random(); }));
    if (!filter.is_live(entry)) continue;
    c.reply.bulk(entry->key());
    return true;
  }
  return false;
}

// Answers with the first key of the slot that is shown.
bool reply_first(Context& c, SlotIndex index, const KeyFilter& filter) {
  Slot& slot = c.keyspace.slot(index);
  SlotHold hold(c, slot);
  return !slot.table.for_each([&](const uint64_t* word) {
    const Entry* entry = EntryTable::node(*word);
    if (!filter.is_live(entry)) return true;
    c.reply.bulk(entry->key());
    return false;
  });
}

void randomkey(Context& c) {
  constexpr int kSlotDraws = 64;
  KeyFilter filter{c.db, c.now_ms, {}, {}};
  if (c.keyspace.key_count(c.session.db) == 0) return c.reply.null();
  for (int i = 0; i < kSlotDraws; ++i) {
    if (reply_random(c, static_cast<SlotIndex>(c.random() % kSlotCount), filter)) return;
  }
  // Few keys, or few that have not expired: the next one after a random place.
  uint64_t start = c.random();
  for (uint64_t i = 0; i < kSlotCount; ++i) {
    if (reply_first(c, static_cast<SlotIndex>((start + i) % kSlotCount), filter)) return;
  }
  c.reply.null();
}

void dbsize(Context& c) {
  c.reply.integer(c.keyspace.key_count(c.session.db));
}

// --- Whole databases.

enum class FlushMode : uint8_t { kUnsaid, kAsync, kSync };

bool read_flush_mode(Context& c, FlushMode* mode) {
  if (c.args.size() == 1) {
    *mode = FlushMode::kUnsaid;
  } else if (c.args.size() == 2 && is_word(c.args[1], "ASYNC")) {
    *mode = FlushMode::kAsync;
  } else if (c.args.size() == 2 && is_word(c.args[1], "SYNC")) {
    *mode = FlushMode::kSync;
  } else {
    c.error(errors::kSyntax);
    return false;
  }
  return true;
}

// Takes one database out of tables that others share, slot by slot: nobody waits for all of it.
// What is written meanwhile may stay, as if it had been written afterwards.
void flush_shared(Context& c, int physical_db) {
  for (uint32_t i = 0; i < kSlotCount; ++i) {
    Slot& slot = c.keyspace.slot(static_cast<SlotIndex>(i));
    SlotHold hold(c, slot);
    c.keyspace.flush_slot(slot, physical_db);
  }
}

// Takes whole tables away, under all locks, and frees them later.
void flush_whole(Context& c, int db) {
  if (!c.holds_all) c.keyspace.lock_all();
  if (c.records()) {
    int physical = db < 0 ? -1 : c.keyspace.physical_db(db);
    if (!c.holds_all) c.effects->begin_command(c.now_ms);
    c.effects->record({.kind = EffectKind::kFlush, .db = physical});
  }
  c.keyspace.flush(db, /*lazy=*/true);
  if (c.holds_all) return;
  if (c.records()) c.effects->commit();
  c.keyspace.unlock_all();
}

// Empties a database, or all with -1. SYNC answers when the memory is free, and without a word the
// command frees what takes about a millisecond.
void flush(Context& c, int db) {
  constexpr int64_t kUnsaidUs = 1000;
  FlushMode mode;
  if (!read_flush_mode(c, &mode)) return;
  // An effect is of one moment.
  bool at_once = db < 0 || c.holds_all || c.records() || c.keyspace.is_alone(db);
  at_once ? flush_whole(c, db) : flush_shared(c, c.keyspace.physical_db(db));
  stats().changes.add();
  if (!c.holds_all) {
    if (mode == FlushMode::kSync) c.keyspace.reclaimer().finish();
    if (mode == FlushMode::kUnsaid) static_cast<void>(c.keyspace.reclaimer().run(kUnsaidUs));
  }
  c.reply.ok();
}

void flushdb(Context& c) {
  flush(c, c.session.db);
}
void flushall(Context& c) {
  flush(c, -1);
}

// Those who wait in one of two databases for a key now wait in the other, where the key may be
// ready.
void swap_sides(Context& c, int a, int b) {
  std::vector<Waiter*> waiters;
  for (uint32_t i = 0; i < kSlotCount; ++i) {
    Slot& slot = c.keyspace.slot(static_cast<SlotIndex>(i));
    if (slot.side != nullptr) slot.side->swap_dbs(a, b, &waiters);
  }
  // One that waits for several keys was met several times.
  std::sort(waiters.begin(), waiters.end());
  waiters.erase(std::unique(waiters.begin(), waiters.end()), waiters.end());
  for (Waiter* waiter : waiters) waiter->db = waiter->db == a ? b : a;
}

void swapdb(Context& c) {
  if (c.records() && c.effects->refuses_swap()) {
    return c.error("ERR SWAPDB is not possible on a node with replicas or with its data on disk");
  }
  auto is_int = [](const std::optional<int64_t>& n) { return n && *n >= INT_MIN && *n <= INT_MAX; };
  auto first = parse_int64(c.args[1]);
  if (!is_int(first)) return c.error("ERR invalid first DB index");
  auto second = parse_int64(c.args[2]);
  if (!is_int(second)) return c.error("ERR invalid second DB index");
  for (int64_t db : {*first, *second}) {
    if (db < 0 || db >= kDatabaseCount) return c.error(errors::kDbRange);
  }
  auto a = static_cast<int>(*first);
  auto b = static_cast<int>(*second);
  if (a != b) {
    c.keyspace.swap_dbs(a, b);
    swap_sides(c, c.keyspace.physical_db(a), c.keyspace.physical_db(b));
  }
  stats().changes.add();
  c.reply.ok();
}

constexpr auto kGroup = CommandGroup::kGeneric;
constexpr auto kServer = CommandGroup::kServer;
constexpr std::string_view kFlushComplexity =
    "O(1), and O(N) in the background with N the number of keys removed";

// clang-format off
const CommandSpec kRows[] = {
    {"SCAN", -2, kReadonly | kLocksItself, {}, kGroup, "2.8.0",
     "O(COUNT) a call, O(N) for all with N the number of keys",
     "Returns some of the keys and the cursor that goes on from there.",
     "cursor [MATCH pattern] [COUNT count] [TYPE type]", scan},
    {"KEYS", 2, kReadonly | kDangerous | kLocksItself, {}, kGroup, "1.0.0",
     "O(N) with N the number of keys", "Returns all keys whose names match a pattern.", "pattern",
     keys},
    {"RANDOMKEY", 1, kReadonly | kLocksItself, {}, kGroup, "1.0.0", "O(1)",
     "Returns the name of some key.", "", randomkey},
    {"DBSIZE", 1, kReadonly | kFast, {}, kServer, "1.0.0", "O(1)",
     "Counts the keys of the database.", "", dbsize},
    {"FLUSHDB", -1, kWrite | kDangerous | kLocksItself, {}, kServer, "1.0.0", kFlushComplexity,
     "Removes all keys of the database.", "[ASYNC | SYNC]", flushdb},
    {"FLUSHALL", -1, kWrite | kDangerous | kLocksItself, {}, kServer, "1.0.0", kFlushComplexity,
     "Removes all keys of all databases.", "[ASYNC | SYNC]", flushall},
    {"SWAPDB", 3, kWrite | kFast | kDangerous | kLocksAll, {}, kServer, "4.0.0", "O(1)",
     "Exchanges two databases, for all clients at once.", "index1 index2", swapdb},
};
// clang-format on

}  // namespace

const std::span<const CommandSpec> kScanCommands{kRows};

}  // namespace dyno

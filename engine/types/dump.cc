// SPDX-License-Identifier: Apache-2.0
//
// DUMP and RESTORE: a value as bytes that another server, a Redis too, can take.
//
//   payload := object version:u16 checksum:u64      little endian; the checksum is of all before it
//
// The object is written by rdb_save.cc and read by rdb_load.cc. RESTORE reads all of it before it
// touches any key, and then inserts element by element as a client's commands would.
#include "engine/types/dump.h"

#include <cstring>
#include <string>

#include "engine/access_clock.h"
#include "engine/command.h"
#include "engine/context.h"
#include "engine/types/crc64.h"
#include "engine/types/hash.h"
#include "engine/types/list.h"
#include "engine/types/rdb_load.h"
#include "engine/types/rdb_save.h"
#include "engine/types/set.h"
#include "engine/types/string.h"
#include "engine/types/zset.h"
#include "protocol/words.h"

namespace dyno {
namespace {

constexpr size_t kVersionBytes = 2;
constexpr size_t kTrailerBytes = kVersionBytes + 8;

void append_little_endian(std::string* out, uint64_t value, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) out->push_back(static_cast<char>(value >> (8 * i)));
}

void dump(Context& c) {
  Key key(c, c.args[1], Key::Use::kRead);
  auto payload = dump_payload(key);
  payload ? c.reply.bulk(*payload) : c.reply.null();
}

// The object of a payload whose version and checksum are right.
std::optional<std::string_view> checked_object(std::string_view payload) {
  if (payload.size() < kTrailerBytes) return std::nullopt;
  std::string_view trailer = payload.substr(payload.size() - kTrailerBytes);
  uint16_t version;
  uint64_t checksum;
  std::memcpy(&version, trailer.data(), sizeof(version));
  std::memcpy(&checksum, trailer.data() + kVersionBytes, sizeof(checksum));
  if (version > kRdbVersionTimed) return std::nullopt;
  if (checksum != crc64(payload.substr(0, payload.size() - 8))) return std::nullopt;
  return payload.substr(0, payload.size() - kTrailerBytes);
}

struct RestoreOptions {
  bool replaces = false;
  bool absolute = false;
  int64_t idle_s = -1;
  int64_t counter = -1;
};

bool read_options(Context& c, RestoreOptions* options) {
  for (size_t i = 4; i < c.args.size(); ++i) {
    std::string_view word = c.args[i];
    bool has_value = i + 1 < c.args.size();
    bool is_idle = is_word(word, "IDLETIME") && has_value && options->counter == -1;
    bool is_counter = is_word(word, "FREQ") && has_value && options->idle_s == -1;
    if (is_word(word, "REPLACE")) {
      options->replaces = true;
    } else if (is_word(word, "ABSTTL")) {
      options->absolute = true;
    } else if (is_idle || is_counter) {
      auto value = parse_int64(c.args[++i]);
      if (!value) {
        c.error(errors::kNotInteger);
        return false;
      }
      if (is_idle && *value < 0) {
        c.error("ERR Invalid IDLETIME value, must be >= 0");
        return false;
      }
      if (is_counter && (*value < 0 || *value > 255)) {
        c.error("ERR Invalid FREQ value, must be >= 0 and <= 255");
        return false;
      }
      (is_idle ? options->idle_s : options->counter) = *value;
    } else {
      c.error(errors::kSyntax);
      return false;
    }
  }
  return true;
}

// --- Building

void build_set(Key& key, const RdbValue& value) {
  Set set(key);
  set.prepare(value.elements[0], value.elements.size());
  for (std::string_view member : value.elements) set.add(member);
}

void build_zset(Key& key, const RdbValue& value) {
  ZSet set(key);
  set.expect(value.elements.size(), value.elements[0].size());
  for (size_t i = 0; i < value.elements.size(); ++i) {
    std::string_view member = value.elements[i];
    set.put(set.find(member), member, value.scores[i]);
  }
}

void build_hash(Key& key, const RdbValue& value) {
  Hash hash(key);
  for (size_t i = 0; i < value.elements.size(); i += 2) {
    std::string_view field = value.elements[i];
    int64_t deadline_ms = value.deadlines_ms.empty() ? kNoDeadline : value.deadlines_ms[i / 2];
    if (deadline_ms != kNoDeadline && deadline_ms <= key.context().now_ms) continue;
    hash.set(field, value.elements[i + 1]);
    if (deadline_ms != kNoDeadline) hash.set_deadline(field, deadline_ms);
  }
}

void set_clock(Context& c, Entry* entry, const RestoreOptions& options) {
  if (c.limits.policy_is_lfu()) {
    if (options.counter < 0) return;
    set_lfu_counter(entry, static_cast<uint32_t>(options.counter), c.now_ms);
  } else if (options.idle_s >= 0) {
    set_idle_seconds(entry, std::min<int64_t>(options.idle_s, Entry::kClockMask), c.now_ms);
  }
}

void restore(Context& c) {
  RestoreOptions options;
  if (!read_options(c, &options)) return;
  Key key(c, c.args[1], Key::Use::kWrite);
  if (key.is(Type::kHash)) Hash(key).drop_due();
  if (key.exists() && !options.replaces) {
    return c.error("BUSYKEY Target key name already exists.");
  }
  auto ttl_ms = parse_int64(c.args[2]);
  if (!ttl_ms) return c.error(errors::kNotInteger);
  if (*ttl_ms < 0) return c.error("ERR Invalid TTL value, must be >= 0");
  auto object = checked_object(c.args[3]);
  if (!object) return c.error("ERR DUMP payload version or checksum are wrong");
  auto value = load_rdb_value(*object, static_cast<uint64_t>(int64_t{c.limits.bulk_bytes_max}));
  if (!value) return c.error("ERR Bad data format");

  int64_t deadline_ms = *ttl_ms;
  if (deadline_ms != 0 && !options.absolute &&
      __builtin_add_overflow(*ttl_ms, c.now_ms, &deadline_ms)) {
    deadline_ms = INT64_MAX;
  }
  bool existed = key.exists();
  bool lives = deadline_ms == 0 || deadline_ms > c.now_ms;
  if (existed || lives) key.begin_anew();
  if (lives) build_value(key, *value);
  lives = key.exists();
  if (lives) {
    if (deadline_ms != 0) key.set_deadline(deadline_ms);
    set_clock(c, key.entry(), options);
  }
  if (existed || lives) key.changed();
  c.reply.ok();
}

// clang-format off
const CommandSpec kRows[] = {
    {"DUMP", 2, kReadonly, {1, 1, 1}, CommandGroup::kGeneric, "2.6.0",
     "O(N) with N the number of elements",
     "Answers the value of a key as bytes for RESTORE, or null when there is none.", "key", dump},
    {"RESTORE", -4, kWrite | kDenyOom | kDangerous, {1, 1, 1}, CommandGroup::kGeneric, "2.6.0",
     "O(N) with N the number of elements, and O(log(N)) for each member of a sorted set",
     "Makes a key of the bytes that DUMP answered.",
     "key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]", restore},
    {"RESTORE-ASKING", -4, kWrite | kDenyOom | kDangerous, {1, 1, 1}, CommandGroup::kServer,
     "3.0.0", "O(N) with N the number of elements, and O(log(N)) for each member of a sorted set",
     "What RESTORE does, as MIGRATE of a Redis Cluster asks for it.",
     "key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]", restore},
};
// clang-format on

}  // namespace

void build_value(Key& key, const RdbValue& value) {
  switch (value.type) {
    case Type::kString:
      return String(key).assign(value.elements[0], {});
    case Type::kList:
      return List(key).push(ListEnd::kTail, value.elements);
    case Type::kSet:
      return build_set(key, value);
    case Type::kZSet:
      return build_zset(key, value);
    case Type::kHash:
      return build_hash(key, value);
  }
}

std::optional<std::string> dump_payload(Key& key) {
  if (!key.exists()) return std::nullopt;
  if (key.type() == Type::kHash && Hash(key).size() == 0) return std::nullopt;
  std::string payload;
  uint16_t version = save_rdb_value(key, &payload);
  append_little_endian(&payload, version, kVersionBytes);
  append_little_endian(&payload, crc64(payload), 8);
  return payload;
}

const std::span<const CommandSpec> kDumpCommands{kRows};

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// Commands about the data on disk. SAVE and BGSAVE are snapshots of one name, since the data is
// saved all the time; on a node that keeps it in memory alone they say so.
#include <algorithm>

#include "protocol/number.h"
#include "protocol/words.h"
#include "src/server.h"
#include "src/storage.h"

namespace dyno {
namespace {

constexpr std::string_view kSaved = "saved";
constexpr size_t kNameMax = 64;

// Null after an error reply.
Storage* storage_of(Context& c) {
  Storage* storage = client_of(c).server.storage();
  if (storage == nullptr) c.error("ERR Nothing is kept for a restart: storage.mode is not durable");
  return storage;
}

void reply_snapshot(Context& c, Storage& storage, std::string_view name) {
  std::string why = storage.snapshot(name);
  if (why.empty()) return c.reply.ok();
  c.error("ERR the snapshot failed: " + why);
}

void save(Context& c) {
  Storage* storage = storage_of(c);
  if (storage == nullptr) return;
  if (storage->snapshot_state().is_running) {
    return c.error("ERR Background save already in progress");
  }
  reply_snapshot(c, *storage, kSaved);
}

void bgsave(Context& c) {
  bool schedules = c.args.size() == 2 && is_word(c.args[1], "SCHEDULE");
  if (c.args.size() > 1 && !schedules) return c.error(errors::kSyntax);
  Storage* storage = storage_of(c);
  if (storage == nullptr) return;
  if (!storage->begin_snapshot(kSaved)) return c.error("ERR Background save already in progress");
  c.reply.simple("Background saving started");
}

void lastsave(Context& c) {
  Server& server = client_of(c).server;
  Storage* storage = server.storage();
  int64_t ms = storage == nullptr ? server.started_ms() : storage->snapshot_state().saved_ms;
  c.reply.integer(ms / 1000);
}

void rewrite_log(Context& c) {
  Storage* storage = storage_of(c);
  if (storage == nullptr) return;
  storage->compact_soon();
  c.reply.simple("Background append only file rewriting started");
}

// A name of a folder, and of no other one than below snapshots/.
bool is_name(std::string_view name) {
  auto is_plain = [](char ch) {
    return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') ||
           ch == '-' || ch == '_' || ch == '.';
  };
  return !name.empty() && name.size() <= kNameMax && name.front() != '.' &&
         std::all_of(name.begin(), name.end(), is_plain);
}

void snapshot(Context& c) {
  Storage* storage = storage_of(c);
  if (storage == nullptr) return;
  if (!is_name(c.args[2])) {
    return c.error(
        "ERR a snapshot's name has 1 to 64 letters, digits and any of - _ . but begins "
        "with no dot");
  }
  reply_snapshot(c, *storage, c.args[2]);
}

void waitaof(Context& c) {
  auto local = parse_int64(c.args[1]);
  auto replicas = parse_int64(c.args[2]);
  auto timeout_ms = parse_int64(c.args[3]);
  if (!local || !replicas) return c.error(errors::kNotInteger);
  if (*local < 0 || *local > 1 || *replicas < 0) {
    return c.error("ERR value is out of range, must be positive");
  }
  if (!timeout_ms) return c.error("ERR timeout is not an integer or out of range");
  if (*timeout_ms < 0) return c.error(errors::kTimeoutNegative);
  Storage* storage = client_of(c).server.storage();
  if (*local > 0 && storage == nullptr) {
    return c.error("ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.");
  }
  // The disk may need the slots that a transaction has locked, so that it does not wait.
  bool waits = storage != nullptr && !c.in_exec;
  bool is_synced = waits && storage->sync(*timeout_ms);
  c.reply.array(2);
  c.reply.integer(is_synced ? 1 : 0);
  c.reply.integer(0);
}

constexpr auto kGroup = CommandGroup::kServer;
constexpr uint32_t kPower = kAdmin | kNoScript | kDangerous;

// clang-format off
const CommandSpec kRows[] = {
    {"WAITAOF", 4, kNoScript, {}, CommandGroup::kGeneric, "7.2.0", "O(1)",
     "Waits until the connection's writes are on disk here and on replicas.",
     "numlocal numreplicas timeout", waitaof},
    {"LASTSAVE", 1, kLoading | kStale | kFast | kAdmin | kDangerous, {}, kGroup, "1.0.0", "O(1)",
     "Returns when a snapshot was last made; before the first, when the process began.", "",
     lastsave},
    {"SAVE", 1, kPower | kNoMulti, {}, kGroup, "1.0.0", "O(N) with N the size of the buffers",
     "Makes a snapshot of the data on disk. Refused while storage is off.", "", save},
    {"BGSAVE", -1, kPower, {}, kGroup, "1.0.0", "O(1)",
     "Begins to make a snapshot of the data on disk. Refused while storage is off.", "[SCHEDULE]",
     bgsave},
    {"BGREWRITEAOF", 1, kPower, {}, kGroup, "1.0.0", "O(1)",
     "Begins to rewrite the files on disk, without what is gone. Refused while storage is off.", "",
     rewrite_log},
    {"RING|SNAPSHOT", 3, kPower | kNoMulti, {}, kGroup, "7.2.0",
     "O(N) with N the size of the buffers",
     "Makes a snapshot of this node's data on disk, under a name.", "name", snapshot},
};
// clang-format on

}  // namespace

const std::span<const CommandSpec> kStorageCommands{kRows};

}  // namespace dyno

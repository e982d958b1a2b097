// SPDX-License-Identifier: Apache-2.0
//
// Commands about the process: time, role, its end, its memory; and those of Redis' other ways to
// keep and copy data, which answer what is true here.
#include <algorithm>

#include "engine/value.h"
#include "protocol/words.h"
#include "src/process_memory.h"
#include "src/server.h"

namespace dyno {
namespace {

void time_command(Context& c) {
  int64_t now_us = unix_time_us();
  c.reply.array(2);
  c.reply.bulk_int(now_us / 1000000);
  c.reply.bulk_int(now_us % 1000000);
}

void role(Context& c) {
  c.reply.array(3);
  c.reply.bulk("master");
  c.reply.integer(0);
  c.reply.array(0);
}

void shutdown(Context& c) {
  bool abort = false;
  for (std::string_view word : c.args.subspan(1)) {
    bool known = false;
    for (auto each : {"NOSAVE", "NOW", "FORCE"}) known |= is_word(word, each);
    // Without a disk there is nothing to save to, with one all is saved: refuse to pretend.
    if (is_word(word, "SAVE")) {
      if (client_of(c).server.storage() == nullptr) {
        return c.error("ERR Errors trying to SHUTDOWN. Check logs.");
      }
      known = true;
    }
    if (is_word(word, "ABORT")) {
      abort = known = true;
    }
    if (!known) return c.error(errors::kSyntax);
  }
  if (abort) return c.error("ERR No shutdown in progress.");
  Client& client = client_of(c);
  client.server.log().write(LogLevel::kNotice, "shutdown asked for",
                            {{"client", client.facts.address}});
  client.close_after_reply = true;
  client.server.shut_down();
}

void wait(Context& c) {
  auto replicas = parse_int64(c.args[1]);
  auto timeout_ms = parse_int64(c.args[2]);
  if (!replicas) return c.error(errors::kNotInteger);
  if (!timeout_ms) return c.error("ERR timeout is not an integer or out of range");
  if (*timeout_ms < 0) return c.error(errors::kTimeoutNegative);
  // A node without replicas has the answer at once, and waiting would not change it.
  c.reply.integer(0);
}

void no_replication(Context& c) {
  c.error("ERR REPLICAOF is not supported: a ring has no masters, see RING");
}

void no_cluster(Context& c) {
  c.error("ERR This instance has cluster support disabled");
}

// Redis Cluster's clients ask before they read from a replica; here every node may be read.
void read_anywhere(Context& c) {
  c.reply.ok();
}

void module_list(Context& c) {
  c.reply.array(0);
}

void lolwut(Context& c) {
  c.reply.verbatim("Dyno ver. " DYNO_VERSION ", Redis ver. " + std::string(kRedisVersion) + "\n");
}

void memory_usage(Context& c) {
  constexpr int64_t kSamplesDefault = 5;
  int64_t samples = kSamplesDefault;
  for (size_t i = 3; i < c.args.size(); ++i) {
    if (!is_word(c.args[i], "SAMPLES") || i + 1 == c.args.size()) return c.error(errors::kSyntax);
    auto read = parse_int64(c.args[++i]);
    if (!read) return c.error(errors::kNotInteger);
    if (*read < 0) return c.error(errors::kSyntax);
    samples = *read;
  }
  Key key(c, c.args[2], Key::Use::kPeek);
  if (!key.exists()) return c.reply.null();
  size_t bytes = value_ops(key.entry()).memory_bytes(key.entry(), static_cast<size_t>(samples));
  constexpr size_t kTableBytesPerKey = 10;
  c.reply.integer(static_cast<int64_t>(bytes + kTableBytesPerKey));
}

void memory_stats(Context& c) {
  Server& server = client_of(c).server;
  ProcessMemory memory = read_process_memory();
  int64_t keys = 0;
  for (int db = 0; db < kDatabaseCount; ++db) keys += server.keyspace().key_count(db);
  int64_t data = memory::used_bytes();
  struct Row {
    std::string_view name;
    int64_t value;
  };
  const Row rows[] = {
      {"peak.allocated", std::max(server.stats().used_memory_peak.load(), memory.allocated)},
      {"total.allocated", memory.allocated},
      {"startup.allocated", 0},
      {"replication.backlog", 0},
      {"clients.slaves", 0},
      {"clients.normal", server.client_memory_bytes()},
      {"cluster.links", 0},
      {"aof.buffer", 0},
      {"lua.caches", 0},
      {"functions.caches", 0},
      {"overhead.total", std::max<int64_t>(memory.allocated - data, 0)},
      {"keys.count", keys},
      {"keys.bytes-per-key", keys == 0 ? 0 : data / keys},
      {"dataset.bytes", data},
      {"allocator.allocated", memory.allocated},
      {"allocator.active", memory.active},
      {"allocator.resident", memory.allocator_resident},
  };
  c.reply.map(std::size(rows) + 1);
  for (const Row& row : rows) {
    c.reply.bulk(row.name);
    c.reply.integer(row.value);
  }
  c.reply.bulk("fragmentation");
  c.reply.number(memory.allocated == 0 ? 1
                                       : static_cast<double>(memory.resident) /
                                             static_cast<double>(memory.allocated));
}

void memory_doctor(Context& c) {
  ProcessMemory memory = read_process_memory();
  constexpr int64_t kSmall = 5 * 1024 * 1024;
  constexpr double kFragmented = 1.5;
  if (memory.allocated < kSmall) {
    return c.reply.verbatim("The data set is too small to say anything about its memory.\n");
  }
  double ratio = static_cast<double>(memory.resident) / static_cast<double>(memory.allocated);
  if (ratio < kFragmented) return c.reply.verbatim("Memory looks healthy.\n");
  c.reply.verbatim(
      "The process holds " + format_double(ratio) +
      " times the memory of its live objects. If much was deleted lately, MEMORY PURGE "
      "gives unused pages back to the system.\n");
}

void memory_purge(Context& c) {
  purge_process_memory();
  c.reply.ok();
}

void memory_malloc_stats(Context& c) {
  ProcessMemory memory = read_process_memory();
  c.reply.verbatim("allocator: " + std::string(memory.allocator) + "\nallocated: " +
                   std::to_string(memory.allocated) + "\nactive: " + std::to_string(memory.active) +
                   "\nspans: " + std::to_string(memory::span_bytes()) + "\n");
}

constexpr auto kGroup = CommandGroup::kServer;
constexpr uint32_t kPlain = kLoading | kStale;
constexpr uint32_t kPower = kAdmin | kNoScript | kDangerous;

// clang-format off
const CommandSpec kRows[] = {
    {"TIME", 1, kPlain | kFast, {}, kGroup, "2.6.0", "O(1)", "Returns the server's time.", "",
     time_command},
    {"ROLE", 1, kPlain | kNoScript | kFast | kAdmin | kDangerous, {}, kGroup, "2.8.12", "O(1)",
     "Returns the role: always master, since every node may be written to.", "", role},
    {"SHUTDOWN", -1, kPower | kPlain | kNoMulti, {}, kGroup, "1.0.0", "O(1)", "Ends the process.",
     "[NOSAVE | SAVE] [NOW] [FORCE] [ABORT]", shutdown},
    {"WAIT", 3, 0, {}, CommandGroup::kGeneric, "3.0.0", "O(1)",
     "Waits until replicas have acknowledged the connection's writes.", "numreplicas timeout",
     wait},
    {"REPLICAOF", 3, kPower | kStale, {}, kGroup, "5.0.0", "O(1)",
     "Refused: a ring has no masters.", "host port", no_replication},
    {"SLAVEOF", 3, kPower | kStale, {}, kGroup, "1.0.0", "O(1)", "Refused: a ring has no masters.",
     "host port", no_replication},
    {"CLUSTER", -2, kPlain, {}, kGroup, "3.0.0", "O(1)",
     "Refused: this node is no member of a Redis Cluster.", "subcommand", no_cluster},
    {"MODULE", -2, 0, {}, kGroup, "4.0.0", "Depends on the subcommand.", "Commands about modules.",
     "", nullptr},
    {"MODULE|LIST", 2, kAdmin | kNoScript, {}, kGroup, "4.0.0", "O(1)",
     "Lists the modules: there are none.", "", module_list},
    {"READONLY", 1, kLoading | kStale | kFast | kConnection, {}, CommandGroup::kConnection, "3.0.0",
     "O(1)", "Does nothing: every node may be read.", "", read_anywhere},
    {"READWRITE", 1, kLoading | kStale | kFast | kConnection, {}, CommandGroup::kConnection,
     "3.0.0", "O(1)", "Does nothing: every node may be read.", "", read_anywhere},
    {"LOLWUT", -1, kReadonly | kFast, {}, kGroup, "5.0.0", "O(1)", "Returns the version.",
     "[VERSION version]", lolwut},
};
// clang-format on

const CommandSpec kMemoryRows[] = {
    {"MEMORY",
     -2,
     0,
     {},
     kGroup,
     "4.0.0",
     "Depends on the subcommand.",
     "Commands about memory.",
     "",
     nullptr},
    {"MEMORY|USAGE",
     -3,
     kReadonly,
     {2, 2, 1},
     kGroup,
     "4.0.0",
     "O(N) with N the samples",
     "Estimates the bytes that a key and its value take.",
     "key [SAMPLES count]",
     memory_usage},
    {"MEMORY|STATS",
     2,
     0,
     {},
     kGroup,
     "4.0.0",
     "O(1)",
     "Returns how memory is used.",
     "",
     memory_stats},
    {"MEMORY|DOCTOR",
     2,
     0,
     {},
     kGroup,
     "4.0.0",
     "O(1)",
     "Says whether memory looks healthy.",
     "",
     memory_doctor},
    {"MEMORY|PURGE",
     2,
     0,
     {},
     kGroup,
     "4.0.0",
     "O(1)",
     "Gives unused pages back to the system.",
     "",
     memory_purge},
    {"MEMORY|MALLOC-STATS",
     2,
     0,
     {},
     kGroup,
     "4.0.0",
     "O(1)",
     "Returns the allocator's figures.",
     "",
     memory_malloc_stats},
};

}  // namespace

const std::span<const CommandSpec> kServerCommands{kRows};
const std::span<const CommandSpec> kMemoryCommands{kMemoryRows};

}  // namespace dyno

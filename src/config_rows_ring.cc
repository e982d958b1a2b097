// SPDX-License-Identifier: Apache-2.0
//
// The settings of the ring and of the data on disk: what concerns more than this process' memory.
#include <array>
#include <utility>

#include "src/config_checks.h"
#include "src/config_shapes.h"

namespace dyno {
namespace {

// In the order of Level.
constexpr std::array<std::string_view, 4> kLevelNames = {"dc_one", "dc_quorum", "dc_safe_quorum",
                                                         "dc_each_safe_quorum"};
constexpr std::array<std::string_view, 2> kFailoverNames = {"datacenter", "all"};
constexpr std::array<std::string_view, 3> kStorageModeNames = {"off", "spill", "durable"};
constexpr std::array<std::string_view, 3> kFsyncNames = {"always", "everysec", "no"};

ConfigRow ring_text(std::string_view name, std::string_view alias, ConfigKind kind,
                    std::string_view fallback, ConfigText& text, std::string_view doc) {
  return {.name = name,
          .alias = alias,
          .shape = {.kind = kind},
          .fallback = fallback,
          .text = &text,
          .doc = doc};
}

// Which node of which ring this is.
void add_place_rows(std::vector<ConfigRow>& rows, Config& config) {
  Config::Ring& ring = config.ring;
  rows.insert(
      rows.end(),
      {ring_text("peer.listen", "peer-listen", ConfigKind::kText, "127.0.0.1:8101",
                 config.peer.listen,
                 "Address for the other nodes, as host:port. Links are neither encrypted nor "
                 "authenticated: keep this port inside a network that you trust. Not opened by a "
                 "node without seeds."),
       ring_text("admin.listen", "admin-listen", ConfigKind::kText, kAdminListenDefault,
                 config.admin.listen,
                 "Address of the admin port: HTTP with /info, /metrics, /healthz, /readyz, "
                 "/cluster_describe, /state and more; /help has all paths. It asks for no "
                 "password. Empty: none. When another process has the port of the default, a "
                 "warning says so and this process serves without."),
       ring_text("ring.cluster", "ring-cluster", ConfigKind::kText, "dyno", ring.cluster,
                 "Name of the cluster; nodes of another one are refused."),
       ring_text("ring.dc", "ring-dc", ConfigKind::kText, "dc1", ring.dc,
                 "Data center of this node."),
       ring_text("ring.rack", "ring-rack", ConfigKind::kText, "rack1", ring.rack,
                 "Rack of this node. Every rack holds the whole data, so that a data center has "
                 "as many copies as racks."),
       ring_text("ring.tokens", "ring-tokens", ConfigKind::kList, "0", ring.tokens,
                 "Tokens of this node, 0 to 4294967295: it owns from each of them up to the next "
                 "one in its rack."),
       ring_text("ring.seeds", "ring-seeds", ConfigKind::kList, "", ring.seeds,
                 "All other nodes, as host:port:rack:dc:token; of a node with several tokens one "
                 "entry each. This node's own entry may be among them, so that all nodes can "
                 "share one list. Empty: this node is alone and replicates nothing."),
       {.name = "ring.hash_seed",
        .alias = "hash-seed",
        .shape = integer(0, kInt64Max),
        .fallback = "0",
        .number = bind(ring.hash_seed),
        .doc = "Seed of the hash that makes a key's token; the same on all nodes, for ever."}});
}

// What requests ask of other nodes, and what may wait for them.
void add_request_rows(std::vector<ConfigRow>& rows, Config& config) {
  Config::Ring& ring = config.ring;
  rows.insert(
      rows.end(),
      {{.name = "ring.read_consistency",
        .alias = "read-consistency",
        .shape = one_of(kLevelNames),
        .fallback = "dc_one",
        .change = ConfigChange::kLive,
        .number = bind(ring.read_consistency),
        .doc = "How many racks a read asks: one; a majority of the data center's; a majority that "
               "holds what is answered; the same in every data center."},
       {.name = "ring.write_consistency",
        .alias = "write-consistency",
        .shape = one_of(kLevelNames),
        .fallback = "dc_one",
        .change = ConfigChange::kLive,
        .number = bind(ring.write_consistency),
        .doc = "How many racks have applied a write before it is answered; as read_consistency."},
       {.name = "ring.failover",
        .alias = "ring-failover",
        .shape = one_of(kFailoverNames),
        .fallback = "datacenter",
        .number = bind(ring.failover),
        .doc = "Where a request may run when its owner in this rack is away: in the other racks "
               "of the data center, or in all."},
       {.name = "ring.timeout",
        .alias = "ring-timeout",
        .shape = duration(ConfigUnit::kMilliseconds, 10, 600'000),
        .fallback = "2000",
        .change = ConfigChange::kLive,
        .number = bind(ring.timeout_ms),
        .doc = "How long a request may wait for other nodes before it is answered with an error."},
       {.name = "ring.hint_limit",
        .alias = "ring-hint-limit",
        .shape = bytes(1 << 20, int64_t{1} << 40),
        .fallback = "64mb",
        .number = bind(ring.hint_bytes_max),
        .doc = "What each thread keeps in memory for a peer that is away; beyond it only the "
               "slots to be compared are kept."},
       {.name = "ring.pending_limit",
        .alias = "ring-pending-limit",
        .shape = bytes(1 << 20, int64_t{1} << 40),
        .fallback = "256mb",
        .number = bind(ring.pending_bytes_max),
        .doc = "What each thread keeps of requests that wait for other nodes, and of replies that "
               "wait behind theirs. Beyond it a pipeline waits for its replies, and when requests "
               "alone are more, further ones are refused with TRYAGAIN."},
       {.name = "ring.log_conflicts",
        .alias = "ring-log-conflicts",
        .shape = flag(),
        .fallback = "no",
        .change = ConfigChange::kLive,
        .number = bind(ring.log_conflicts),
        .doc = "Log each write that lost to a concurrent one, with its key and type; at most ten "
               "a second."}});
}

// Between data centers.
void add_wan_rows(std::vector<ConfigRow>& rows, Config& config) {
  Config::Ring& ring = config.ring;
  rows.insert(
      rows.end(),
      {{.name = "ring.wan_compression",
        .alias = "ring-wan-compression",
        .shape = flag(),
        .fallback = "yes",
        .number = bind(ring.wan_compression),
        .doc = "Compress what is sent to nodes of other data centers."},
       {.name = "ring.wan_rate",
        .alias = "ring-wan-rate",
        .shape = bytes(0, int64_t{1} << 40),
        .fallback = "0",
        .number = bind(ring.wan_rate),
        .doc = "Bytes per second that this node sends to each other data center, after "
               "compression. Writes wait for their turn, within ring.hint_limit; heartbeats, "
               "requests and answers do not wait, and take up to half of it from writes. It pulls "
               "states from each node there no faster either. 0: no limit."}});
}

void add_storage_rows(std::vector<ConfigRow>& rows, Config& config) {
  Config::Storage& storage = config.storage;
  rows.insert(
      rows.end(),
      {{.name = "storage.mode",
        .shape = one_of(kStorageModeNames),
        .fallback = "off",
        .number = bind(storage.mode),
        .doc = "off: the data lives in memory alone. spill: what memory.maxmemory has no room for "
               "moves to disk and comes back when it is used. durable: all of it is on disk too, "
               "and there again after a restart; with memory.maxmemory_policy = noeviction, what "
               "memory.maxmemory has no room for is there alone until it is used."},
       {.name = "storage.path",
        .alias = "dir",
        .shape = {.kind = ConfigKind::kText},
        .fallback = "data",
        .text = &storage.path,
        .doc = "Directory of the data on disk; made when it is not there. Of one node alone."},
       {.name = "storage.fsync",
        .alias = "appendfsync",
        .shape = one_of(kFsyncNames),
        .fallback = "everysec",
        .change = ConfigChange::kLive,
        .number = bind(storage.fsync),
        .doc = "What a write that was answered survives. always: the loss of power; the answer "
               "waits for the disk, many clients for one sync. everysec: the loss of power, but "
               "for the last second. no: the end of the process."},
       {.name = "storage.queue_limit",
        .shape = bytes(1 << 20, int64_t{1} << 36),
        .fallback = "64mb",
        .number = bind(storage.queue_bytes_max),
        .doc = "Writes on their way to the disk; beyond it commands that write wait."},
       {.name = "storage.cache",
        .shape = bytes(1 << 20, int64_t{1} << 40),
        .fallback = "64mb",
        .number = bind(storage.cache_bytes),
        .doc = "Memory for blocks read from disk."},
       {.name = "storage.buffer",
        .shape = bytes(1 << 20, int64_t{1} << 32),
        .fallback = "16mb",
        .number = bind(storage.buffer_bytes),
        .doc = "Memory in which writes are gathered before they become a file; up to three of "
               "them. The log, which a start after a crash reads again, grows to twice as much."},
       {.name = "storage.readers",
        .shape = integer(1, 64),
        .fallback = "4",
        .number = bind(storage.readers),
        .doc = "Threads that read values back from disk that memory had no room for."}});
}

}  // namespace

void add_ring_config_rows(std::vector<ConfigRow>& rows, Config& config) {
  add_place_rows(rows, config);
  add_request_rows(rows, config);
  add_wan_rows(rows, config);
  add_storage_rows(rows, config);
}

}  // namespace dyno

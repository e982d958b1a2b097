// SPDX-License-Identifier: Apache-2.0
//
// Every setting of the server, one row each, by section; those of the ring and of the disk are in
// config_rows_ring.cc. Defaults and ranges are those of Redis 7.2 where Redis has the setting. A
// row exists only when something reads it; the fixed rows at the end are the few names that Redis'
// clients and tools set, with what they mean here.
#include "src/config_rows.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "engine/limits.h"
#include "protocol/number.h"
#include "src/config_checks.h"
#include "src/config_shapes.h"
#include "src/listen_address.h"

namespace dyno {
namespace {

constexpr int64_t kThreadsMax = 256;
constexpr int64_t kDatabasesMax = 16;

constexpr std::array<std::string_view, 3> kDebugAccessNames = {"no", "yes", "local"};
constexpr std::array<std::string_view, 5> kLogLevelNames = {"debug", "verbose", "notice", "warning",
                                                            "nothing"};
constexpr std::array<std::string_view, 3> kLogFormatNames = {"text", "logfmt", "json"};
// In the order of EvictionPolicy.
constexpr std::array<std::string_view, 8> kPolicyNames = {
    "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl",
    "allkeys-lru",  "allkeys-lfu",  "allkeys-random",  "noeviction"};

void add_client_rows(std::vector<ConfigRow>& rows, Config::Client& client) {
  rows.insert(
      rows.end(),
      {{.name = "client.listen",
        .shape = {.kind = ConfigKind::kList},
        .fallback = "127.0.0.1:6379",
        .text = &client.listen,
        .check = check_listen,
        .commit = commit_listen,
        .doc =
            "Addresses that serve clients: host:port, [ipv6]:port, *:port for every interface, "
            "or the path of a unix socket. Port 0 takes a free port; the start line says which."},
       {.name = "client.requirepass",
        .shape = {.kind = ConfigKind::kText},
        .fallback = "",
        .change = ConfigChange::kLive,
        .text = &client.requirepass,
        .sensitive = true,
        .doc = "Password that clients give with AUTH or HELLO. Empty: none is asked for."},
       {.name = "client.protected_mode",
        .shape = flag(),
        .fallback = "yes",
        .change = ConfigChange::kLive,
        .number = bind(client.protected_mode),
        .doc = "Without a password, refuse clients that do not come from this machine."},
       {.name = "client.maxclients",
        .shape = integer(1, kUint32Max),
        .fallback = "10000",
        .change = ConfigChange::kLive,
        .number = bind(client.maxclients),
        .doc = "Most clients connected at once; the next one gets an error and is closed."},
       {.name = "client.timeout",
        .shape = duration(ConfigUnit::kSeconds, 0, kInt32Max),
        .fallback = "0",
        .change = ConfigChange::kLive,
        .number = bind(client.timeout_s),
        .doc = "Close a client that sent nothing for this long. 0: never."},
       {.name = "client.databases",
        .shape = integer(1, kDatabasesMax),
        .fallback = "16",
        .number = bind(client.databases),
        .doc = "How many databases SELECT knows."},
       {.name = "client.tcp_keepalive",
        .shape = duration(ConfigUnit::kSeconds, 0, kInt32Max),
        .fallback = "300",
        .change = ConfigChange::kLive,
        .number = bind(client.tcp_keepalive_s),
        .doc = "Send TCP keep-alive probes to a silent client this often. 0: off."},
       {.name = "client.tcp_backlog",
        .shape = integer(1, kInt32Max),
        .fallback = "511",
        .number = bind(client.tcp_backlog),
        .doc = "Connections that may wait to be accepted; the kernel's somaxconn bounds it too."}});
}

void add_client_buffer_rows(std::vector<ConfigRow>& rows, Config::Client& client, Limits& limits) {
  rows.insert(
      rows.end(),
      {{.name = "client.query_buffer_limit",
        .alias = "client-query-buffer-limit",
        .shape = bytes(kMegabyte),
        .fallback = "1gb",
        .change = ConfigChange::kLive,
        .number = bind(client.query_buffer_bytes_max),
        .doc = "Close a client whose unfinished request is larger than this."},
       {.name = "client.output_buffer_limit",
        .alias = "client-output-buffer-limit",
        .shape = {.kind = ConfigKind::kText},
        .fallback = "normal 0 0 0 slave 256mb 64mb 60 pubsub 32mb 8mb 60",
        .change = ConfigChange::kLive,
        .text = &client.output_buffer_limit,
        .check = check_output_limits,
        .commit = commit_output_limits,
        .doc = "Close a client whose unread replies pass the hard limit, or the soft limit for "
               "that many seconds. Groups of: class, hard, soft, seconds; 0: no limit."},
       {.name = "client.memory_max",
        .alias = "maxmemory-clients",
        .shape = {.kind = ConfigKind::kBytes, .percent = true},
        .fallback = "0",
        .change = ConfigChange::kLive,
        .number = bind(client.memory_max),
        .doc = "Memory of all clients' buffers together; above it the largest are closed. A "
               "percentage is of maxmemory. 0: no limit."},
       {.name = "client.proto_max_bulk_len",
        .shape = bytes(kMegabyte),
        .fallback = "512mb",
        .change = ConfigChange::kLive,
        .number = bind(limits.bulk_bytes_max),
        .doc = "Longest single string that a client may send or a command may make."},
       {.name = "client.enable_debug_command",
        .shape = one_of(kDebugAccessNames),
        .fallback = "no",
        .number = bind(client.enable_debug_command),
        .doc = "Who may call DEBUG: nobody, everybody, or clients from this machine."}});
}

void add_server_rows(std::vector<ConfigRow>& rows, Config::Server& server, Limits& limits) {
  rows.insert(
      rows.end(),
      {{.name = "server.threads",
        .alias = "io-threads",
        .shape = integer(0, kThreadsMax),
        .fallback = "0",
        .number = bind(server.threads),
        .doc = "Network threads; each reads requests and runs them. 0: one per core."},
       {.name = "server.hz",
        .shape = integer(1, 500),
        .fallback = "10",
        .change = ConfigChange::kLive,
        .number = bind(server.hz),
        .doc = "How often per second background work looks for something to do."},
       {.name = "server.active_expire_effort",
        .shape = integer(1, 10),
        .fallback = "1",
        .change = ConfigChange::kLive,
        .number = bind(limits.active_expire_effort),
        .doc = "Share of the time that removing expired keys may take, from low to high."}});
}

void add_memory_rows(std::vector<ConfigRow>& rows, Limits& limits) {
  rows.insert(
      rows.end(),
      {{.name = "memory.maxmemory",
        .shape = bytes(0),
        .fallback = "0",
        .change = ConfigChange::kLive,
        .number = bind(limits.maxmemory_bytes),
        .doc = "Memory for data; above it keys are evicted or writes refused, as "
               "maxmemory_policy says. 0: no limit."},
       {.name = "memory.maxmemory_policy",
        .shape = one_of(kPolicyNames),
        .fallback = "noeviction",
        .change = ConfigChange::kLive,
        .number = bind(limits.maxmemory_policy),
        .doc = "Which keys make room: volatile-* only those with an expiry, allkeys-* all; the "
               "least recently used, the least frequently used, random ones, or those nearest "
               "to their expiry. noeviction refuses writes."},
       {.name = "memory.maxmemory_samples",
        .shape = integer(1, 64),
        .fallback = "5",
        .change = ConfigChange::kLive,
        .number = bind(limits.maxmemory_samples),
        .doc = "Keys compared for each eviction; more is nearer to true LRU, LFU or TTL order."},
       {.name = "memory.lfu_log_factor",
        .shape = integer(0, kInt32Max),
        .fallback = "10",
        .change = ConfigChange::kLive,
        .number = bind(limits.lfu_log_factor),
        .doc = "How slowly the counter of a key's use grows: higher tells busier keys apart."},
       {.name = "memory.lfu_decay_time",
        .shape = integer(0, kInt32Max),
        .fallback = "1",
        .change = ConfigChange::kLive,
        .number = bind(limits.lfu_decay_minutes),
        .doc = "Minutes without use after which that counter falls by one. 0: never."}});
}

ConfigRow threshold(std::string_view name, std::string_view old_alias, ConfigShape shape,
                    std::string_view fallback, Setting& member, std::string_view doc) {
  return {.name = name,
          .old_alias = old_alias,
          .shape = shape,
          .fallback = fallback,
          .change = ConfigChange::kLive,
          .number = bind(member),
          .doc = doc};
}

void add_encoding_rows(std::vector<ConfigRow>& rows, Limits& limits) {
  const ConfigShape count = integer(0, kInt64Max);
  rows.insert(
      rows.end(),
      {threshold("encoding.hash_max_listpack_entries", "hash-max-ziplist-entries", count, "512",
                 limits.hash_packed_entries, "Most fields of a hash in compact form."),
       threshold("encoding.hash_max_listpack_value", "hash-max-ziplist-value", bytes(0), "64",
                 limits.hash_packed_value_bytes, "Longest field or value of a compact hash."),
       threshold("encoding.list_max_listpack_size", "list-max-ziplist-size",
                 integer(std::numeric_limits<int32_t>::min(), kInt32Max), "-2",
                 limits.list_packed_size,
                 "Size of one block of a list: elements when positive; -1 to -5 mean 4, 8, 16, 32 "
                 "or 64 kb."),
       threshold("encoding.set_max_intset_entries", "", count, "512", limits.set_integers_entries,
                 "Most members of a set of integers in compact form."),
       threshold("encoding.set_max_listpack_entries", "", count, "128", limits.set_packed_entries,
                 "Most members of any other compact set."),
       threshold("encoding.set_max_listpack_value", "", bytes(0), "64",
                 limits.set_packed_value_bytes, "Longest member of a compact set."),
       threshold("encoding.zset_max_listpack_entries", "zset-max-ziplist-entries", count, "128",
                 limits.zset_packed_entries, "Most members of a compact sorted set."),
       threshold("encoding.zset_max_listpack_value", "zset-max-ziplist-value", bytes(0), "64",
                 limits.zset_packed_value_bytes, "Longest member of a compact sorted set."),
       threshold("encoding.hll_sparse_max_bytes", "", bytes(0), "3000",
                 limits.hyperloglog_sparse_bytes, "Largest HyperLogLog in sparse form.")});
}

void add_latency_rows(std::vector<ConfigRow>& rows, Config::Latency& latency, Limits& limits) {
  rows.insert(
      rows.end(),
      {{.name = "latency.slowlog_log_slower_than",
        .shape = duration(ConfigUnit::kMicroseconds, -1, kInt64Max),
        .fallback = "10000",
        .change = ConfigChange::kLive,
        .number = bind(limits.slowlog_slower_us),
        .doc = "SLOWLOG keeps commands that ran longer than this. 0: every command; -1: none."},
       {.name = "latency.slowlog_max_len",
        .shape = integer(0, kInt64Max),
        .fallback = "128",
        .change = ConfigChange::kLive,
        .number = bind(limits.slowlog_entries),
        .doc = "Entries that SLOWLOG keeps; older ones are dropped."},
       {.name = "latency.monitor_threshold",
        .alias = "latency-monitor-threshold",
        .shape = duration(ConfigUnit::kMilliseconds, 0, kInt64Max),
        .fallback = "0",
        .change = ConfigChange::kLive,
        .number = bind(limits.latency_threshold_ms),
        .doc = "LATENCY keeps events that took at least this long. 0: none."},
       {.name = "latency.tracking",
        .alias = "latency-tracking",
        .shape = flag(),
        .fallback = "yes",
        .change = ConfigChange::kLive,
        .number = bind(latency.tracking),
        .doc = "Keep a histogram of every command's time for INFO and LATENCY HISTOGRAM."},
       {.name = "latency.tracking_info_percentiles",
        .alias = "latency-tracking-info-percentiles",
        .shape = {.kind = ConfigKind::kList},
        .fallback = "50 99 99.9",
        .change = ConfigChange::kLive,
        .text = &latency.info_percentiles,
        .check = check_percentiles,
        .doc = "Percentiles that INFO latencystats prints."}});
}

void add_log_rows(std::vector<ConfigRow>& rows, Config::Log& log) {
  rows.insert(rows.end(), {{.name = "log.level",
                            .alias = "loglevel",
                            .shape = one_of(kLogLevelNames),
                            .fallback = "notice",
                            .change = ConfigChange::kLive,
                            .number = bind(log.level),
                            .doc = "Least important lines that are written."},
                           {.name = "log.format",
                            .alias = "log-format",
                            .shape = one_of(kLogFormatNames),
                            .fallback = "text",
                            .change = ConfigChange::kLive,
                            .number = bind(log.format),
                            .doc = "How a line is written; all go to standard error."}});
}

void add_fixed_rows(std::vector<ConfigRow>& rows) {
  const auto fixed = [&rows](std::string_view name, ConfigShape shape, std::string_view value,
                             std::string_view doc) {
    rows.push_back({.name = name,
                    .alias = name,
                    .shape = shape,
                    .fallback = value,
                    .change = ConfigChange::kFixed,
                    .doc = doc});
  };
  fixed("save", {.kind = ConfigKind::kText}, "", "there are no RDB snapshots here");
  fixed("appendonly", flag(), "no", "there is no append-only file here");
  for (const std::string_view name :
       {"lazyfree-lazy-eviction", "lazyfree-lazy-expire", "lazyfree-lazy-server-del",
        "lazyfree-lazy-user-del", "lazyfree-lazy-user-flush"}) {
    fixed(name, flag(), "yes", "large values are always freed in the background here");
  }
}

std::string read_port(const Config& config) {
  return std::to_string(config.client.port.load(std::memory_order_relaxed));
}

std::string read_bind(const Config& config) {
  std::string out;
  for (const std::string& item : split_config_list(config.client.listen.get())) {
    const std::optional<ListenAddress> address = parse_listen_address(item);
    if (!address || address->host.empty()) continue;
    if (!out.empty()) out += ' ';
    out += address->host;
  }
  return out;
}

std::string read_unix_socket(const Config& config) {
  for (const std::string& item : split_config_list(config.client.listen.get())) {
    const std::optional<ListenAddress> address = parse_listen_address(item);
    if (address && !address->unix_path.empty()) return address->unix_path;
  }
  return "";
}

}  // namespace

std::string ConfigRow::config_name() const {
  if (!alias.empty()) return std::string(alias);
  std::string out(name.substr(name.find('.') + 1));
  std::replace(out.begin(), out.end(), '_', '-');
  return out;
}

std::string fold_config_name(std::string_view name) {
  std::string out = to_lower(name);
  std::replace(out.begin(), out.end(), '_', '-');
  std::replace(out.begin(), out.end(), '.', '-');
  return out;
}

std::vector<ConfigRow> config_rows(Config& config, Limits& limits) {
  std::vector<ConfigRow> rows;
  add_client_rows(rows, config.client);
  add_client_buffer_rows(rows, config.client, limits);
  add_ring_config_rows(rows, config);
  add_server_rows(rows, config.server, limits);
  add_memory_rows(rows, limits);
  add_encoding_rows(rows, limits);
  add_latency_rows(rows, config.latency, limits);
  add_log_rows(rows, config.log);
  add_fixed_rows(rows);
  return rows;
}

std::vector<ConfigView> config_views() {
  return {{"port", "client.listen", read_port},
          {"bind", "client.listen", read_bind},
          {"unixsocket", "client.listen", read_unix_socket}};
}

std::string_view config_section_doc(std::string_view section) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 10> kDocs = {{
      {"client", "Connections from clients."},
      {"peer", "Connections from the other nodes of the ring."},
      {"admin", "Figures and states for people and monitoring, over HTTP."},
      {"ring", "Which part of which ring this node is."},
      {"storage", "What is kept on disk, and how safely."},
      {"server", "The process."},
      {"memory", "How much is kept, and what goes when it is full."},
      {"encoding", "When small collections change to their large form."},
      {"latency", "What is recorded about slow commands."},
      {"log", "The log."},
  }};
  for (const auto& [name, doc] : kDocs) {
    if (name == section) return doc;
  }
  return "";
}

}  // namespace dyno

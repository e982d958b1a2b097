// SPDX-License-Identifier: Apache-2.0
//
// INFO: the state of the process as text, by section, with the field names that clients, tools and
// dashboards of the Redis world read.
#include "src/info.h"

#include <malloc.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstdio>
#include <ctime>
#include <set>

#include "engine/error_counts.h"
#include "engine/memory.h"
#include "engine/reclaimer.h"
#include "engine/stats.h"
#include "protocol/number.h"
#include "src/info_section.h"
#include "src/process_memory.h"
#include "src/ring_node.h"
#include "src/server.h"
#include "src/slow_log.h"
#include "src/storage.h"

namespace dyno {
namespace {

template <class Read>
int64_t over_threads(Server& server, Read&& read) {
  int64_t sum = 0;
  for (const auto& thread : server.threads())
    sum += read(thread->stats()).load(std::memory_order_relaxed);
  return sum;
}

void add_server(Server& server, std::string* text) {
  utsname system;
  ::uname(&system);
  int64_t now_us = unix_time_us();
  int64_t uptime_s = (now_us / 1000 - server.started_ms()) / 1000;
  char path[4096];
  ssize_t size = ::readlink("/proc/self/exe", path, sizeof(path));
  Section s(text, "Server");
  s.add("redis_version", kRedisVersion);
  s.add("redis_git_sha1", "00000000");
  s.add("redis_git_dirty", int64_t{0});
  s.add("redis_build_id", DYNO_VERSION);
  s.add("redis_mode", "standalone");
  s.add("server_name", "dyno");
  s.add("dyno_version", DYNO_VERSION);
  s.add("os", std::string(system.sysname) + " " + system.release + " " + system.machine);
  s.add("arch_bits", int64_t{64});
  s.add("monotonic_clock", "POSIX clock_gettime");
  s.add("multiplexing_api", "epoll");
  s.add("atomicvar_api", "c11-builtin");
  s.add("gcc_version", __VERSION__);
  s.add("process_id", ::getpid());
  s.add("process_supervised", "no");
  s.add("run_id", server.run_id());
  s.add("tcp_port", server.port());
  s.add("server_time_usec", now_us);
  s.add("uptime_in_seconds", uptime_s);
  s.add("uptime_in_days", uptime_s / 86400);
  s.add("hz", server.config().server.hz.load());
  s.add("configured_hz", server.config().server.hz.load());
  s.add("lru_clock", (now_us / 1000000) & 0xffffff);
  s.add("executable", std::string(path, size > 0 ? static_cast<size_t>(size) : 0));
  s.add("config_file", server.config_table().file_path());
  s.add("io_threads_active", int64_t{server.threads().size() > 1});
  s.add("network_threads", static_cast<int64_t>(server.threads().size()));
}

void add_clients(Server& server, std::string* text) {
  int64_t input_max = 0;
  int64_t output_max = 0;
  server.clients().for_each([&](const ClientFacts& facts, NetworkThread&) {
    input_max = std::max(input_max, facts.input_bytes.load());
    output_max = std::max(output_max, facts.output_bytes.load());
  });
  Section s(text, "Clients");
  s.add("connected_clients", over_threads(
                                 server, [](auto& t) -> auto& { return t.clients; }));
  s.add("cluster_connections", int64_t{0});
  s.add("maxclients", server.config().client.maxclients.load());
  s.add("client_recent_max_input_buffer", input_max);
  s.add("client_recent_max_output_buffer", output_max);
  s.add("blocked_clients", over_threads(
                               server, [](auto& t) -> auto& { return t.blocked_clients; }));
  s.add("tracking_clients", int64_t{0});
  s.add("pubsub_clients", int64_t{0});
  s.add("clients_in_timeout_table",
        over_threads(
            server, [](auto& t) -> auto& { return t.blocked_clients; }));
}

void add_memory(Server& server, std::string* text) {
  ProcessMemory memory = read_process_memory();
  auto& peak = server.stats().used_memory_peak;
  int64_t used = memory.allocated;
  if (used > peak.load()) peak.store(used);
  int64_t clients = over_threads(
      server, [](auto& t) -> auto& { return t.client_memory_bytes; });
  auto ratio = [](int64_t a, int64_t b) {
    return b == 0 ? 1.0 : static_cast<double>(a) / static_cast<double>(b);
  };
  struct sysinfo machine;
  ::sysinfo(&machine);
  Section s(text, "Memory");
  s.add_bytes("used_memory", used);
  s.add_bytes("used_memory_rss", memory.resident);
  s.add_bytes("used_memory_peak", peak.load());
  s.add_number("used_memory_peak_perc", "%.2f%%", 100 * ratio(used, peak.load()));
  s.add("used_memory_overhead", std::max<int64_t>(used - memory::used_bytes(), 0));
  s.add("used_memory_startup", int64_t{0});
  s.add("used_memory_dataset", memory::used_bytes());
  s.add_number("used_memory_dataset_perc", "%.2f%%", 100 * ratio(memory::used_bytes(), used));
  s.add("allocator_allocated", memory.allocated);
  s.add("allocator_active", memory.active);
  s.add("allocator_resident", memory.allocator_resident);
  s.add_bytes("total_system_memory", static_cast<int64_t>(machine.totalram) * machine.mem_unit);
  s.add_bytes("used_memory_lua", 0);
  s.add_bytes("used_memory_scripts", 0);
  s.add("number_of_cached_scripts", int64_t{0});
  s.add("number_of_functions", int64_t{0});
  s.add("number_of_libraries", int64_t{0});
  s.add_bytes("maxmemory", server.limits().maxmemory_bytes);
  s.add("maxmemory_policy", server.policy_name());
  s.add_number("allocator_frag_ratio", "%.2f", ratio(memory.active, memory.allocated));
  s.add("allocator_frag_bytes", memory.active - memory.allocated);
  s.add_number("allocator_rss_ratio", "%.2f", ratio(memory.allocator_resident, memory.active));
  s.add("allocator_rss_bytes", memory.allocator_resident - memory.active);
  s.add_number("rss_overhead_ratio", "%.2f", ratio(memory.resident, memory.allocator_resident));
  s.add("rss_overhead_bytes", memory.resident - memory.allocator_resident);
  s.add_number("mem_fragmentation_ratio", "%.2f", ratio(memory.resident, used));
  s.add("mem_fragmentation_bytes", memory.resident - used);
  s.add("mem_not_counted_for_evict", int64_t{0});
  s.add("mem_clients_slaves", int64_t{0});
  s.add("mem_clients_normal", clients);
  s.add("mem_cluster_links", int64_t{0});
  s.add("mem_aof_buffer", int64_t{0});
  s.add("mem_allocator", memory.allocator);
  s.add("active_defrag_running", int64_t{0});
  s.add("lazyfree_pending_objects", server.keyspace().reclaimer().pending());
  s.add("lazyfreed_objects", server.keyspace().reclaimer().freed());
}

// A turn of a network thread's loop is what a request may have to wait for before it is looked at.
void add_turn_times(Server& server, Section& s) {
  int64_t count = 0;
  int64_t total_us = 0;
  int64_t longest_us = 0;
  for (const auto& thread : server.threads()) {
    const TurnTimes& times = thread->turn_times();
    count += times.count.load(std::memory_order_relaxed);
    total_us += times.total_us.load(std::memory_order_relaxed);
    longest_us = std::max(longest_us, times.longest_us.load(std::memory_order_relaxed));
  }
  s.add("eventloop_cycles", count);
  s.add("eventloop_duration_sum", total_us);
  s.add("eventloop_duration_max", longest_us);
}

void add_stats(Server& server, std::string* text) {
  ServerStats& st = server.stats();
  ServerRates rates = server.rates();
  int64_t errors = 0;
  for (const auto& [_, count] : error_counts()) errors += count;
  Section s(text, "Stats");
  s.add("total_connections_received", st.connections_received.load());
  s.add("total_commands_processed", sum_stats([](ThreadStats& t) { return t.commands.get(); }));
  s.add("instantaneous_ops_per_sec", rates.commands_per_s);
  s.add("total_net_input_bytes", over_threads(
                                     server, [](auto& t) -> auto& { return t.input_bytes; }));
  s.add("total_net_output_bytes", over_threads(
                                      server, [](auto& t) -> auto& { return t.output_bytes; }));
  s.add("total_net_repl_input_bytes", int64_t{0});
  s.add("total_net_repl_output_bytes", int64_t{0});
  s.add_number("instantaneous_input_kbps", "%.2f", rates.input_kib_per_s);
  s.add_number("instantaneous_output_kbps", "%.2f", rates.output_kib_per_s);
  s.add("rejected_connections", st.connections_rejected.load());
  s.add("sync_full", int64_t{0});
  s.add("sync_partial_ok", int64_t{0});
  s.add("sync_partial_err", int64_t{0});
  s.add("expired_keys", sum_stats([](ThreadStats& t) { return t.expired_keys.get(); }));
  s.add("expired_hash_fields", sum_stats([](ThreadStats& t) { return t.expired_fields.get(); }));
  s.add("evicted_keys", sum_stats([](ThreadStats& t) { return t.evicted_keys.get(); }));
  s.add("evicted_clients", st.clients_over_memory_limit.load());
  s.add("keyspace_hits", sum_stats([](ThreadStats& t) { return t.keyspace_hits.get(); }));
  s.add("keyspace_misses", sum_stats([](ThreadStats& t) { return t.keyspace_misses.get(); }));
  s.add("pubsub_channels", int64_t{0});
  s.add("pubsub_patterns", int64_t{0});
  s.add("latest_fork_usec", int64_t{0});
  s.add("total_forks", int64_t{0});
  s.add("migrate_cached_sockets", int64_t{0});
  s.add("tracking_total_keys", int64_t{0});
  s.add("unexpected_error_replies", int64_t{0});
  s.add("total_error_replies", errors);
  s.add("client_query_buffer_limit_disconnections", st.clients_over_query_limit.load());
  s.add("client_output_buffer_limit_disconnections", st.clients_over_output_limit.load());
  s.add("protocol_errors", st.protocol_errors.load());
  s.add("acl_access_denied_auth", st.auth_failures.load());
  add_turn_times(server, s);
}

void add_replication(Server& server, std::string* text) {
  Section s(text, "Replication");
  s.add("role", "master");
  s.add("connected_slaves", int64_t{0});
  s.add("master_failover_state", "no-failover");
  s.add("master_replid", server.run_id());
  s.add("master_replid2", std::string(40, '0'));
  s.add("master_repl_offset", int64_t{0});
  s.add("second_repl_offset", int64_t{-1});
  s.add("repl_backlog_active", int64_t{0});
  s.add("repl_backlog_size", int64_t{0});
  s.add("repl_backlog_histlen", int64_t{0});
}

void add_cpu(std::string* text) {
  Section s(text, "CPU");
  auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  rusage own;
  rusage children;
  ::getrusage(RUSAGE_SELF, &own);
  ::getrusage(RUSAGE_CHILDREN, &children);
  s.add_number("used_cpu_sys", "%.6f", seconds(own.ru_stime));
  s.add_number("used_cpu_user", "%.6f", seconds(own.ru_utime));
  s.add_number("used_cpu_sys_children", "%.6f", seconds(children.ru_stime));
  s.add_number("used_cpu_user_children", "%.6f", seconds(children.ru_utime));
}

void add_commandstats(Server& server, std::string* text) {
  Section s(text, "Commandstats");
  for (const CommandSpec& spec : server.commands().all()) {
    CommandStats::Sum sum = server.command_stats().sum(spec, false);
    if (sum.calls == 0 && sum.rejected == 0) continue;
    char line[160];
    double us = static_cast<double>(sum.ns) / 1000;
    std::snprintf(line, sizeof(line),
                  "calls=%lld,usec=%.0f,usec_per_call=%.2f,rejected_calls=%lld,failed_calls=%lld",
                  static_cast<long long>(sum.calls), us,
                  sum.calls == 0 ? 0 : us / static_cast<double>(sum.calls),
                  static_cast<long long>(sum.rejected), static_cast<long long>(sum.failed));
    s.add("cmdstat_" + to_lower(spec.name), line);
  }
}

void add_errorstats(std::string* text) {
  Section s(text, "Errorstats");
  for (const auto& [word, count] : error_counts()) {
    s.add("errorstat_" + word, "count=" + std::to_string(count));
  }
}

void add_latencystats(Server& server, std::string* text) {
  Section s(text, "Latencystats");
  if (!server.config().latency.tracking.load()) return;
  std::vector<std::string> percentiles;
  std::string word;
  for (char c : server.config().latency.info_percentiles.get() + " ") {
    if (c != ' ') {
      word += c;
    } else if (!word.empty()) {
      percentiles.push_back(std::move(word));
      word.clear();
    }
  }
  for (const CommandSpec& spec : server.commands().all()) {
    CommandStats::Sum sum = server.command_stats().sum(spec, true);
    if (sum.calls == 0) continue;
    std::string line;
    for (const std::string& p : percentiles) {
      char value[64];
      std::snprintf(value, sizeof(value), "p%s=%.3f", p.c_str(),
                    CommandStats::percentile_us(sum.histogram, std::strtod(p.c_str(), nullptr)));
      line.append(line.empty() ? "" : ",").append(value);
    }
    s.add("latency_percentiles_usec_" + to_lower(spec.name), line);
  }
}

void add_keyspace(Server& server, std::string* text) {
  Section s(text, "Keyspace");
  for (int db = 0; db < kDatabaseCount; ++db) {
    int64_t keys = server.keyspace().key_count(db);
    if (keys == 0) continue;
    s.add("db" + std::to_string(db),
          "keys=" + std::to_string(keys) +
              ",expires=" + std::to_string(server.keyspace().deadline_count(db)) + ",avg_ttl=0");
  }
}

// Which sections the arguments ask for.
class Wanted {
 public:
  explicit Wanted(Args names) : default_(names.empty()) {
    for (std::string_view name : names) {
      std::string lower = to_lower(name);
      default_ |= lower == "default";
      all_ |= lower == "all" || lower == "everything";
      names_.insert(std::move(lower));
    }
  }
  [[nodiscard]] bool operator()(const std::string& name, bool by_default = true) const {
    return all_ || (default_ && by_default) || names_.contains(name);
  }

 private:
  bool default_;
  bool all_ = false;
  std::set<std::string> names_;
};

}  // namespace

std::string info_text(Server& server, Args names) {
  Wanted wanted(names);
  std::string text;
  if (wanted("server")) add_server(server, &text);
  if (wanted("clients")) add_clients(server, &text);
  if (wanted("memory")) add_memory(server, &text);
  if (wanted("persistence")) add_persistence(server, &text);
  if (wanted("stats")) add_stats(server, &text);
  if (wanted("replication")) add_replication(server, &text);
  if (wanted("cpu")) add_cpu(&text);
  if (wanted("modules")) Section(&text, "Modules");
  if (wanted("commandstats", false)) add_commandstats(server, &text);
  if (wanted("errorstats")) add_errorstats(&text);
  if (wanted("latencystats", false)) add_latencystats(server, &text);
  if (wanted("ring") && server.ring() != nullptr) add_ring(*server.ring(), &text);
  if (wanted("cluster")) Section(&text, "Cluster").add("cluster_enabled", int64_t{0});
  if (wanted("keyspace")) add_keyspace(server, &text);
  return text;
}

namespace {

void info(Context& c) {
  c.reply.verbatim(info_text(client_of(c).server, c.args.subspan(1)));
}

// clang-format off
const CommandSpec kRows[] = {
    {"INFO", -1, kLoading | kStale | kDangerous, {}, CommandGroup::kServer, "1.0.0", "O(1)",
     "Returns the state of the server as text.", "[section [section ...]]", info},
};
// clang-format on

}  // namespace

const std::span<const CommandSpec> kInfoCommands{kRows};

}  // namespace dyno

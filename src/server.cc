// SPDX-License-Identifier: Apache-2.0
#include "src/server.h"

#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "engine/error_counts.h"
#include "engine/evictor.h"
#include "engine/expirer.h"
#include "engine/memory.h"
#include "engine/replication.h"
#include "engine/stats.h"
#include "protocol/check.h"
#include "src/admin_server.h"
#include "src/latency_events.h"
#include "src/listener.h"
#include "src/loop_drivers.h"
#include "src/monitors.h"
#include "src/page_keeper.h"
#include "src/process_memory.h"
#include "src/ring_node.h"
#include "src/scratch_values.h"
#include "src/slow_log.h"
#include "src/spill.h"
#include "src/storage.h"

namespace dyno {
namespace {

constexpr int kThreadsMax = 64;

std::string random_hex(size_t digits) {
  std::string out;
  while (out.size() < digits) {
    unsigned char byte = 0;
    DYNO_CHECK(::getrandom(&byte, 1, 0) == 1);
    char text[3];
    std::snprintf(text, sizeof(text), "%02x", byte);
    out += text;
  }
  out.resize(digits);
  return out;
}

}  // namespace

CommandTable all_commands() {
  CommandTable table;
  for (auto rows :
       {kStringCommands,      kBitmapCommands,      kHashCommands,        kHashExpiryCommands,
        kListCommands,        kSetCommands,         kZSetCommands,        kZSetRangeCommands,
        kZSetAlgebraCommands, kZSetPopCommands,     kHyperLogLogCommands, kGeoCommands,
        kGenericCommands,     kExpiryCommands,      kScanCommands,        kSortCommands,
        kDumpCommands,        kTransactionCommands, kLcsCommands,         kConnectionCommands,
        kClientCommands,      kServerCommands,      kConfigCommands,      kInfoCommands,
        kCommandCommands,     kSlowLogCommands,     kLatencyCommands,     kMemoryCommands,
        kDebugCommands,       kMigrateCommands,     kRingCommands,        kStorageCommands}) {
    table.add(rows);
  }
  return table;
}

Server::Server(Config& config, ConfigTable& config_table, Limits& limits)
    : config_(config),
      config_table_(config_table),
      limits_(limits),
      log_(config.log),
      commands_(all_commands()),
      keyspace_(static_cast<uint64_t>(config.ring.hash_seed.load())),
      executor_(keyspace_, commands_, limits),
      expirer_(std::make_unique<Expirer>(executor_)),
      evictor_(std::make_unique<Evictor>(executor_)),
      command_stats_(commands_),
      slow_log_(std::make_unique<SlowLog>()),
      latency_events_(std::make_unique<LatencyEvents>()),
      monitors_(std::make_unique<Monitors>(executor_)),
      run_id_(random_hex(40)),
      started_ms_(unix_time_ms()) {
  executor_.set_observer(this);
  executor_.set_make_room([](void* evictor) { return static_cast<Evictor*>(evictor)->make_room(); },
                          evictor_.get());
  evictor_->set_other_bytes(
      [](void* server) { return static_cast<Server*>(server)->other_memory_bytes_.load(); }, this);
}

Server::~Server() {
  // Also when run() has failed at the start.
  admin_.reset();
  stop_disk();
}

// What the disk's threads hand values and news to ends after them.
void Server::stop_disk() {
  if (storage_) storage_->quiesce();
  if (spill_) spill_->stop();
  if (storage_) storage_->stop();
}

Replica* Server::replica() {
  if (ring_ != nullptr) return &ring_->replica();
  return storage_ == nullptr ? nullptr : storage_->replica();
}

int Server::thread_count() const {
  int configured = static_cast<int>(config_.server.threads.load());
  if (configured > 0) return std::min(configured, kThreadsMax);
  int cores = static_cast<int>(std::thread::hardware_concurrency());
  return std::clamp(cores, 1, kThreadsMax);
}

int Server::run() {
  listener_ = std::make_unique<Listener>(*this);
  int count = thread_count();
  for (int i = 0; i < count; ++i)
    threads_.push_back(std::make_unique<NetworkThread>(*this, i, count));
  if (auto error = join_ring(count)) {
    log_.write(LogLevel::kWarning, *error);
    return 1;
  }
  if (auto error = open_storage()) {
    log_.write(LogLevel::kWarning, *error);
    return 1;
  }
  if (auto error = listener_->listen(config_.client.listen.get())) {
    log_.write(LogLevel::kWarning, *error);
    return 1;
  }
  admin_ = std::make_unique<AdminServer>(*this);
  std::string admin = config_.admin.listen.get();
  if (auto error = admin.empty() ? std::nullopt : admin_->start(admin)) {
    log_.write(LogLevel::kWarning, *error);
    if (admin != kAdminListenDefault) return 1;
  }
  if (admin_->port() != 0) {
    log_.write(LogLevel::kNotice, "the admin port is open",
               {{"port", std::to_string(admin_->port())}});
  }
  LoopDrivers drivers(threads_);
  drivers.start();
  PageKeeper page_keeper(threads_);
  log_.write(LogLevel::kNotice, "ready to accept connections",
             {{"listen", listener_->bound()},
              {"threads", std::to_string(count)},
              {"version", DYNO_VERSION},
              {"pid", std::to_string(::getpid())}});
  listener_->run();
  admin_.reset();
  if (ring_) ring_->drain();
  stopping_.store(true);
  for (auto& thread : threads_) thread->stop();
  drivers.join();
  // Replies that wait for the disk are sent.
  stop_disk();
  for (auto& thread : threads_) thread->end();
  log_.write(LogLevel::kNotice, "bye");
  return exit_code_.load();
}

std::optional<std::string> Server::open_storage() {
  if (config_.storage.mode.load() == StorageMode::kOff) return std::nullopt;
  if (config_.storage.mode.load() == StorageMode::kSpill) return open_spill();
  if (!kHasReplication) return std::nullopt;
  storage_ = std::make_unique<Storage>(*this);
  std::string why = storage_->open(ring_ ? &ring_->replica() : nullptr);
  if (!why.empty()) return why;
  start_spill(storage_->values());
  const Storage::Kept& kept = storage_->kept();
  if (ring_ && kept.has_data) ring_->begin(kept.known.complete, kept.known.horizon);
  why = storage_->start();
  if (!why.empty()) return why;
  for (auto& thread : threads_) thread->join_storage(*storage_);
  return std::nullopt;
}

std::optional<std::string> Server::open_spill() {
  Replica* replica = executor().recorder() == nullptr ? nullptr : this->replica();
  scratch_values_ = std::make_unique<ScratchValues>(*this, replica);
  if (std::string why = scratch_values_->open(); !why.empty()) return why;
  start_spill(*scratch_values_);
  return std::nullopt;
}

void Server::start_spill(ValueStore& values) {
  spill_ = std::make_unique<Spill>(*this, values);
  spill_->start();
  for (auto& thread : threads_) thread->join_spill(*spill_);
}

void Server::fail(std::string_view why) {
  log_.write(LogLevel::kWarning, "the node cannot go on", {{"reason", std::string(why)}});
  exit_code_.store(1);
  shut_down();
}

std::optional<std::string> Server::join_ring(int threads) {
  RingMembership membership;
  if (std::string why = read_membership(config_, &membership); !why.empty()) return "ring: " + why;
  if (!kHasReplication || membership.alone) return std::nullopt;
  ring_ = std::make_unique<RingNode>(*this, std::move(membership), threads);
  for (auto& thread : threads_) thread->join_ring(*ring_);
  const Topology::Node& own = ring_->topology().node(ring_->self());
  log_.write(LogLevel::kNotice, "this is a node of a ring",
             {{"dc", own.dc},
              {"rack", own.rack},
              {"nodes", std::to_string(ring_->topology().nodes().size())},
              {"incarnation", std::to_string(ring_->identity().incarnation)}});
  return listener_->listen_to_peers(config_.peer.listen.get());
}

void Server::shut_down() {
  listener_->stop();
}

bool Server::password_matches(std::string_view password) const {
  std::string wanted = config_.client.requirepass.get();
  // The time taken depends on what was sent, not on how much of it is right.
  unsigned difference = wanted.size() == password.size() ? 0 : 1;
  for (size_t i = 0; i < password.size(); ++i) {
    char other = wanted.empty() ? '\0' : wanted[i % wanted.size()];
    difference |= static_cast<unsigned>(static_cast<unsigned char>(password[i] ^ other));
  }
  return difference == 0;
}

void Server::accept(int fd, std::string address, std::string local_address, bool unix_socket,
                    bool from_loopback) {
  int64_t connected = 0;
  NetworkThread* least = threads_.front().get();
  for (auto& thread : threads_) {
    int64_t clients = thread->stats().clients.load(std::memory_order_relaxed);
    connected += clients;
    if (clients < least->stats().clients.load(std::memory_order_relaxed)) least = thread.get();
  }
  std::string_view refusal;
  if (connected >= config_.client.maxclients.load(std::memory_order_relaxed)) {
    refusal = "-ERR max number of clients reached\r\n";
  } else if (!from_loopback && config_.client.protected_mode.load() && !requires_password()) {
    refusal =
        "-DENIED Dyno is running in protected mode because protected mode is enabled and no "
        "password "
        "is set. Connect from this machine, set client.requirepass, or turn off "
        "client.protected_mode.\r\n";
  }
  if (!refusal.empty()) {
    stats_.connections_rejected.fetch_add(1, std::memory_order_relaxed);
    [[maybe_unused]] ssize_t written = ::write(fd, refusal.data(), refusal.size());
    ::close(fd);
    return;
  }
  stats_.connections_received.fetch_add(1, std::memory_order_relaxed);
  least->adopt(fd, std::move(address), std::move(local_address), unix_socket);
}

void Server::pause(int64_t end_ms, bool all) {
  pause_all_.store(all);
  pause_end_ms_.store(end_ms);
  threads_.front()->post([] {});
}

void Server::disk_moved() {
  for (const auto& thread : threads_) thread->disk_moved();
}

void Server::refuse_writes(const std::string& why) {
  executor_.set_write_refusal(
      why.empty() ? why
                  : "MISCONF Errors writing to disk: " + why +
                        ". Commands that write are refused until the disk takes them again.");
}

void Server::unpause() {
  pause_end_ms_.store(0);
  for (auto& thread : threads_) thread->resume_paused();
}

bool Server::pause_is_on() {
  int64_t end_ms = pause_end_ms_.load(std::memory_order_relaxed);
  if (end_ms == 0) [[likely]]
    return false;
  return unix_time_ms() < end_ms;
}

bool Server::holds_back(const Client& client, Args args) {
  if (!pause_is_on()) return false;
  if (pause_all_.load()) return true;
  const CommandSpec* spec = commands_.find(args);
  if (spec == nullptr) return false;
  // What is queued waits with its EXEC.
  bool is_queued = (spec->flags & kWrite) != 0 && client.in_multi;
  return !is_queued && is_writing(client, *spec);
}

bool Server::expire(uint32_t begin_slot, uint32_t end_slot, int64_t now_ms, int64_t budget_us) {
  if (pause_end_ms_.load(std::memory_order_relaxed) != 0) {
    // Nothing changes by itself during a pause; afterwards those held back go on.
    if (pause_is_on()) return false;
    unpause();
  }
  return expirer_->run(begin_slot, end_slot, now_ms, budget_us);
}

void Server::tick(int64_t now_ms) {
  limit_client_memory();
  constexpr size_t kSamples = 16;
  RateSample sample{now_ms, sum_stats([](ThreadStats& s) { return s.commands.get(); }), 0, 0};
  for (auto& thread : threads_) {
    sample.input_bytes += thread->stats().input_bytes.load(std::memory_order_relaxed);
    sample.output_bytes += thread->stats().output_bytes.load(std::memory_order_relaxed);
  }
  int64_t used = read_process_memory().allocated;
  other_memory_bytes_.store(std::max<int64_t>(used - memory::used_bytes(), 0),
                            std::memory_order_relaxed);
  if (used > stats_.used_memory_peak.load()) stats_.used_memory_peak.store(used);
  std::lock_guard lock(rates_mutex_);
  rate_samples_.push_back(sample);
  if (rate_samples_.size() > kSamples) rate_samples_.pop_front();
}

ServerRates Server::rates() const {
  std::lock_guard lock(rates_mutex_);
  if (rate_samples_.size() < 2) return {};
  const RateSample& first = rate_samples_.front();
  const RateSample& last = rate_samples_.back();
  int64_t ms = last.at_ms - first.at_ms;
  if (ms <= 0) return {};
  auto kib_per_s = [&](int64_t bytes) {
    return static_cast<double>(bytes) * 1000 / 1024 / static_cast<double>(ms);
  };
  return {(last.commands - first.commands) * 1000 / ms,
          kib_per_s(last.input_bytes - first.input_bytes),
          kib_per_s(last.output_bytes - first.output_bytes)};
}

int64_t Server::client_memory_bytes() const {
  int64_t sum = 0;
  for (const auto& thread : threads_) {
    sum += thread->stats().client_memory_bytes.load(std::memory_order_relaxed);
  }
  return sum;
}

std::string Server::policy_name() const {
  constexpr std::string_view kName = "maxmemory-policy";
  auto pairs = config_table_.get({&kName, 1});
  return pairs.empty() ? "noeviction" : pairs.front().second;
}

void Server::reset_stats() {
  command_stats_.reset();
  reset_error_counts();
  for (auto& thread : threads_) thread->turn_times().reset();
  for_each_stats(
      [](ThreadStats& s, void*) {
        s.commands.reset();
        s.keyspace_hits.reset();
        s.keyspace_misses.reset();
        s.expired_keys.reset();
        s.expired_fields.reset();
        s.evicted_keys.reset();
        s.errors.reset();
      },
      nullptr);
  for (auto* counter :
       {&stats_.connections_received, &stats_.connections_rejected,
        &stats_.clients_over_output_limit, &stats_.clients_over_query_limit,
        &stats_.clients_over_memory_limit, &stats_.protocol_errors, &stats_.auth_failures}) {
    counter->store(0);
  }
}

void Server::limit_client_memory() {
  int64_t limit = config_.client.memory_max.load(std::memory_order_relaxed);
  if (limit < 0) limit = limits_.maxmemory_bytes * -limit / 100;
  if (limit <= 0) return;
  int64_t total = client_memory_bytes();
  if (total <= limit) return;
  struct Candidate {
    int64_t bytes;
    uint64_t id;
    NetworkThread* thread;
  };
  std::vector<Candidate> candidates;
  clients_.for_each([&](const ClientFacts& facts, NetworkThread& thread) {
    if (facts.no_evict.load()) return;
    candidates.push_back({facts.memory_bytes.load(), facts.id, &thread});
  });
  std::sort(candidates.begin(), candidates.end(),
            [](const Candidate& a, const Candidate& b) { return a.bytes > b.bytes; });
  for (const Candidate& candidate : candidates) {
    if (total <= limit) break;
    total -= candidate.bytes;
    stats_.clients_over_memory_limit.fetch_add(1, std::memory_order_relaxed);
    candidate.thread->close_client(candidate.id, CloseReason::kMemory);
  }
}

void Server::forget(Client& client) {
  clients_.remove(client.id);
  if (client.monitor) monitors_->remove(client.id);
}

void Server::log_protocol_error(const Client& client, std::string_view error) {
  stats_.protocol_errors.fetch_add(1, std::memory_order_relaxed);
  log_.write(LogLevel::kVerbose, "closing a client that breaks the protocol",
             {{"client", client.facts.address}, {"error", std::string(error)}});
}

void Server::log_http(const Client& client) {
  stats_.protocol_errors.fetch_add(1, std::memory_order_relaxed);
  log_.write(LogLevel::kWarning, "possible security attack: a client speaks HTTP to this port",
             {{"client", client.facts.address}});
}

void Server::log_limit(const Client& client, std::string_view what, int64_t bytes_max) {
  auto& counter =
      what == "query buffer" ? stats_.clients_over_query_limit : stats_.clients_over_output_limit;
  counter.fetch_add(1, std::memory_order_relaxed);
  log_.write(LogLevel::kWarning, "closing a client over its limit",
             {{"client", client.facts.address},
              {"limit", std::string(what)},
              {"bytes_max", std::to_string(bytes_max)},
              {"change", what == "query buffer" ? "client.query_buffer_limit"
                                                : "client.output_buffer_limit"}});
}

void Server::on_command(const Session& session, const CommandSpec&, Args args) {
  const auto& client = static_cast<const Client&>(session);
  monitors_->show(
      session.db,
      client.facts.unix_socket ? "unix:" + client.facts.local_address : client.facts.address, args);
}

void Server::on_done(const Session& session, const CommandSpec& spec, Args args, uint64_t cycles,
                     bool failed) {
  bool tracking = config_.latency.tracking.load(std::memory_order_relaxed);
  uint64_t ns = command_stats_.ns(cycles);
  command_stats_.done(spec, cycles, ns, failed, tracking);
  int64_t slower_us = limits_.slowlog_slower_us;
  int64_t threshold_ms = limits_.latency_threshold_ms;
  if (slower_us < 0 && threshold_ms <= 0) return;
  auto us = static_cast<int64_t>(ns / 1000);
  const auto& client = static_cast<const Client&>(session);
  if (slower_us >= 0 && us >= slower_us && !(spec.flags & kNoSlowlog)) [[unlikely]] {
    slow_log_->add(us, args, client.facts.address, client.name, limits_.slowlog_entries);
  }
  if (threshold_ms > 0 && us / 1000 >= threshold_ms) [[unlikely]] {
    latency_events_->add(spec.flags & kFast ? "fast-command" : "command", us / 1000,
                         unix_time_ms() / 1000);
  }
}

void Server::on_rejected(const CommandSpec& spec) {
  command_stats_.rejected(spec);
}

}  // namespace dyno

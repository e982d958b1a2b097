// SPDX-License-Identifier: Apache-2.0
//
// The process: what all threads share, and its life from start to shutdown.
//
// One server exists per process. Members are built in order and torn down in reverse, after all
// network threads have ended. Everything here may be used by any thread unless it says otherwise.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/command.h"
#include "engine/executor.h"
#include "engine/keyspace.h"
#include "engine/limits.h"
#include "src/client.h"
#include "src/client_registry.h"
#include "src/command_stats.h"
#include "src/config.h"
#include "src/log.h"
#include "src/network_thread.h"

namespace dyno {

class AdminServer;
class Evictor;
class Expirer;
class Listener;
class SlowLog;
class LatencyEvents;
class Monitors;
class Replica;
class RingNode;
class ScratchValues;
class Spill;
class Storage;
class ValueStore;

// The version of Redis whose behaviour clients may count on.
inline constexpr std::string_view kRedisVersion = "7.2.4";

// Counters of the process that no thread owns.
struct ServerStats {
  std::atomic<int64_t> connections_received{0};
  std::atomic<int64_t> connections_rejected{0};
  std::atomic<int64_t> clients_over_output_limit{0};
  std::atomic<int64_t> clients_over_query_limit{0};
  std::atomic<int64_t> clients_over_memory_limit{0};
  std::atomic<int64_t> protocol_errors{0};
  std::atomic<int64_t> auth_failures{0};
  std::atomic<int64_t> used_memory_peak{0};
};

// Averages over the last second and a half.
struct ServerRates {
  int64_t commands_per_s = 0;
  double input_kib_per_s = 0;
  double output_kib_per_s = 0;
};

class Server : public CommandObserver {
 public:
  Server(Config& config, ConfigTable& config_table, Limits& limits);
  ~Server() override;

  // Binds, starts the threads and serves until a signal or SHUTDOWN. Returns the exit code; an
  // error at start is logged.
  [[nodiscard]] int run();
  // Any thread: makes run() return. With `abort_ok` false it is a clean end.
  void shut_down();
  // Any thread: makes run() return 1, since the node cannot go on.
  void fail(std::string_view why);
  // Any thread: run() is about to return, so that whoever waits for others gives up.
  [[nodiscard]] const std::atomic<bool>& stopping() const { return stopping_; }

  [[nodiscard]] Config& config() { return config_; }
  [[nodiscard]] ConfigTable& config_table() { return config_table_; }
  [[nodiscard]] Limits& limits() { return limits_; }
  [[nodiscard]] Keyspace& keyspace() { return keyspace_; }
  [[nodiscard]] const CommandTable& commands() const { return commands_; }
  [[nodiscard]] Executor& executor() { return executor_; }
  [[nodiscard]] ClientRegistry& clients() { return clients_; }
  [[nodiscard]] CommandStats& command_stats() { return command_stats_; }
  [[nodiscard]] SlowLog& slow_log() { return *slow_log_; }
  [[nodiscard]] LatencyEvents& latency_events() { return *latency_events_; }
  // Null on a node that is alone.
  [[nodiscard]] RingNode* ring() { return ring_.get(); }
  // Null where data lives in memory alone.
  [[nodiscard]] Storage* storage() { return storage_.get(); }
  // Replicated state, of a ring or of data on disk; null where there is none.
  [[nodiscard]] Replica* replica();
  // Null unless values may be on disk alone.
  [[nodiscard]] Spill* spill() { return spill_.get(); }
  // Null unless such values are void when the process ends.
  [[nodiscard]] ScratchValues* scratch_values() { return scratch_values_.get(); }
  [[nodiscard]] Evictor& evictor() { return *evictor_; }
  // Memory that counts beside the data set's.
  [[nodiscard]] int64_t other_memory_bytes() const { return other_memory_bytes_.load(); }
  [[nodiscard]] Listener& listener() { return *listener_; }
  [[nodiscard]] Monitors& monitors() { return *monitors_; }
  [[nodiscard]] ServerStats& stats() { return stats_; }
  // Sets the counters of INFO to zero.
  void reset_stats();
  [[nodiscard]] ServerRates rates() const;
  [[nodiscard]] int64_t client_memory_bytes() const;
  // maxmemory-policy as the configuration names it.
  [[nodiscard]] std::string policy_name() const;
  [[nodiscard]] const Log& log() const { return log_; }
  [[nodiscard]] const std::vector<std::unique_ptr<NetworkThread>>& threads() const {
    return threads_;
  }
  [[nodiscard]] const std::string& run_id() const { return run_id_; }
  [[nodiscard]] int64_t started_ms() const { return started_ms_; }
  // The TCP port that clients reach; 0 without one.
  [[nodiscard]] int port() const { return static_cast<int>(config_.client.port.load()); }

  // Passwords. Compared in constant time.
  [[nodiscard]] bool requires_password() const { return !config_.client.requirepass.empty(); }
  [[nodiscard]] bool password_matches(std::string_view password) const;

  // A connected socket goes to the thread with the fewest clients, or is refused with the reason.
  void accept(int fd, std::string address, std::string local_address, bool unix_socket,
              bool from_loopback);

  // CLIENT PAUSE: until `end_ms`, all commands or only those that write.
  void pause(int64_t end_ms, bool all);
  void unpause();
  // True while a pause holds this request back.
  [[nodiscard]] bool holds_back(const Client& client, Args args);

  // Any thread: the disk has taken or given what clients may wait for.
  void disk_moved();
  // The disk takes nothing, and why: commands that write are refused. Empty: it does again.
  void refuse_writes(const std::string& why);

  // A network thread's share of the work on expired keys; true when there is more to do now.
  bool expire(uint32_t begin_slot, uint32_t end_slot, int64_t now_ms, int64_t budget_us);
  // Work of every 100 ms that no thread owns; called by the first network thread.
  void tick(int64_t now_ms);
  // A client is about to be freed.
  void forget(Client& client);

  void log_protocol_error(const Client& client, std::string_view error);
  void log_http(const Client& client);
  void log_limit(const Client& client, std::string_view what, int64_t bytes_max);

  void on_command(const Session& session, const CommandSpec& spec, Args args) override;
  void on_done(const Session& session, const CommandSpec& spec, Args args, uint64_t cycles,
               bool failed) override;
  void on_rejected(const CommandSpec& spec) override;

 private:
  // Makes this process a node of the ring that the configuration tells of, if any.
  [[nodiscard]] std::optional<std::string> join_ring(int threads);
  // Opens the data on disk, if the configuration asks for that.
  [[nodiscard]] std::optional<std::string> open_storage();
  [[nodiscard]] std::optional<std::string> open_spill();
  void start_spill(ValueStore& values);
  // After the network threads have ended, or before they begin. Everything is on disk afterwards.
  void stop_disk();
  // Closes the largest clients while all together are over maxmemory-clients.
  void limit_client_memory();
  [[nodiscard]] int thread_count() const;
  [[nodiscard]] bool pause_is_on();

  Config& config_;
  ConfigTable& config_table_;
  Limits& limits_;
  Log log_;
  CommandTable commands_;
  Keyspace keyspace_;
  Executor executor_;
  std::unique_ptr<Expirer> expirer_;
  std::unique_ptr<Evictor> evictor_;
  ClientRegistry clients_;
  CommandStats command_stats_;
  std::unique_ptr<SlowLog> slow_log_;
  std::unique_ptr<LatencyEvents> latency_events_;
  std::unique_ptr<Monitors> monitors_;
  ServerStats stats_;
  std::atomic<bool> stopping_{false};
  std::atomic<int> exit_code_{0};
  std::unique_ptr<RingNode> ring_;
  std::unique_ptr<Storage> storage_;
  std::unique_ptr<ScratchValues> scratch_values_;
  std::unique_ptr<Spill> spill_;
  std::vector<std::unique_ptr<NetworkThread>> threads_;
  std::unique_ptr<Listener> listener_;
  std::unique_ptr<AdminServer> admin_;
  std::string run_id_;
  int64_t started_ms_;

  // For rates(): the counters of the last ticks, newest last.
  struct RateSample {
    int64_t at_ms;
    int64_t commands;
    int64_t input_bytes;
    int64_t output_bytes;
  };
  mutable std::mutex rates_mutex_;
  std::deque<RateSample> rate_samples_;

  // What the process uses beside the data set, clients' buffers included, as of the last tick: the
  // two together are INFO's used_memory, and what maxmemory limits.
  std::atomic<int64_t> other_memory_bytes_{0};
  std::atomic<int64_t> pause_end_ms_{0};
  std::atomic<bool> pause_all_{false};
};

// The connection that runs a command.
[[nodiscard]] inline Client& client_of(Context& context) {
  return static_cast<Client&>(context.session);
}

// The rows of all families.
[[nodiscard]] CommandTable all_commands();

// Families of commands that need the process.
extern const std::span<const CommandSpec> kConnectionCommands;
extern const std::span<const CommandSpec> kClientCommands;
extern const std::span<const CommandSpec> kServerCommands;
extern const std::span<const CommandSpec> kMigrateCommands;
extern const std::span<const CommandSpec> kConfigCommands;
extern const std::span<const CommandSpec> kInfoCommands;
extern const std::span<const CommandSpec> kCommandCommands;
extern const std::span<const CommandSpec> kSlowLogCommands;
extern const std::span<const CommandSpec> kLatencyCommands;
extern const std::span<const CommandSpec> kMemoryCommands;
extern const std::span<const CommandSpec> kDebugCommands;
extern const std::span<const CommandSpec> kRingCommands;
extern const std::span<const CommandSpec> kStorageCommands;

}  // namespace dyno

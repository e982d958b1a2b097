// SPDX-License-Identifier: Apache-2.0
//
// The configuration: one table, and the plain structs that its rows fill: Config for the process,
// engine/limits.h for the engine. A row (config_rows.cc) is the single source of a setting's name,
// default, range, unit, whether it may change at run time and its doc; the TOML file, the flags,
// the environment, CONFIG GET/SET/REWRITE and --print-config all follow from it.
//
// Order: default < file < environment < flags < CONFIG SET.
//
// Threads. Numbers in Config are atomics, read relaxed on hot paths; texts are copied out under a
// small lock. ConfigTable's calls may come from any thread and take the table's own lock; the
// callbacks of on_change run under it and must not call the table.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ring/request.h"
#include "src/config_value.h"

namespace dyno {

// A text that may change while others read it.
class ConfigText {
 public:
  [[nodiscard]] std::string get() const {
    const std::lock_guard lock(mutex_);
    return text_;
  }
  // Without the lock: for "is a password set?" on every new connection.
  [[nodiscard]] bool empty() const { return empty_.load(std::memory_order_relaxed); }
  void set(std::string text) {
    const std::lock_guard lock(mutex_);
    empty_.store(text.empty(), std::memory_order_relaxed);
    text_ = std::move(text);
  }

 private:
  mutable std::mutex mutex_;
  std::string text_;
  std::atomic<bool> empty_{true};
};

// Limits of the replies that wait for one class of clients; 0 means no limit.
struct OutputLimit {
  std::atomic<int64_t> bytes_hard{0};
  std::atomic<int64_t> bytes_soft{0};
  std::atomic<int64_t> soft_seconds{0};
};

enum class ClientClass : uint8_t { kNormal, kReplica, kPubsub };
enum class DebugAccess : uint8_t { kNo, kYes, kLocal };
// Where a request may run whose owner in this rack is away.
enum class RingFailover : uint8_t { kDatacenter, kAll };
// Nodes share a machine in tests and trials: only there is it given up when another has it.
inline constexpr std::string_view kAdminListenDefault = "127.0.0.1:22222";
enum class StorageMode : uint8_t { kOff, kSpill, kDurable };
enum class StorageFsync : uint8_t { kAlways, kEverysec, kNo };
enum class LogLevel : uint8_t { kDebug, kVerbose, kNotice, kWarning, kNothing };
enum class LogFormat : uint8_t { kText, kLogfmt, kJson };

// Values are meaningless until a ConfigTable is built over it.
struct Config {
  struct Client {
    ConfigText listen;  // addresses joined with spaces; see src/listen_address.h
    ConfigText requirepass;
    std::atomic<int64_t> port{0};  // of the first TCP address; the server stores what it was given
    std::atomic<int64_t> maxclients{0};
    std::atomic<int64_t> timeout_s{0};  // 0: never
    std::atomic<int64_t> databases{0};
    std::atomic<int64_t> tcp_keepalive_s{0};  // 0: off
    std::atomic<int64_t> tcp_backlog{0};
    std::atomic<bool> protected_mode{false};
    std::atomic<DebugAccess> enable_debug_command{DebugAccess::kNo};
    std::atomic<int64_t> query_buffer_bytes_max{0};
    std::atomic<int64_t> memory_max{0};  // of all clients; negative: per cent of maxmemory; 0: none
    ConfigText output_buffer_limit;
    std::array<OutputLimit, 3> output_limits;  // by ClientClass
  } client;

  struct Peer {
    ConfigText listen;
  } peer;

  struct Admin {
    ConfigText listen;  // empty: none
  } admin;

  struct Ring {
    ConfigText cluster;
    ConfigText dc;
    ConfigText rack;
    ConfigText tokens;  // joined with spaces
    ConfigText seeds;   // joined with spaces; src/ring_membership.h reads them
    std::atomic<int64_t> hash_seed{0};
    std::atomic<Level> read_consistency{Level::kDcOne};
    std::atomic<Level> write_consistency{Level::kDcOne};
    std::atomic<RingFailover> failover{RingFailover::kDatacenter};
    std::atomic<int64_t> timeout_ms{0};
    std::atomic<int64_t> hint_bytes_max{0};     // of one thread for one peer
    std::atomic<int64_t> pending_bytes_max{0};  // of one thread
    std::atomic<bool> log_conflicts{false};
    std::atomic<bool> wan_compression{true};
    std::atomic<int64_t> wan_rate{0};  // bytes per second; 0: no limit
  } ring;

  struct Storage {
    std::atomic<StorageMode> mode{StorageMode::kOff};
    ConfigText path;
    std::atomic<StorageFsync> fsync{StorageFsync::kEverysec};
    std::atomic<int64_t> queue_bytes_max{0};
    std::atomic<int64_t> cache_bytes{0};
    std::atomic<int64_t> buffer_bytes{0};
    std::atomic<int64_t> readers{0};
  } storage;

  struct Server {
    std::atomic<int64_t> threads{0};  // 0: chosen from the cores
    std::atomic<int64_t> hz{0};
  } server;

  struct Latency {
    std::atomic<bool> tracking{false};
    ConfigText info_percentiles;  // numbers joined with spaces
  } latency;

  struct Log {
    std::atomic<LogLevel> level{LogLevel::kNotice};
    std::atomic<LogFormat> format{LogFormat::kText};
  } log;
};

struct ConfigRow;
struct ConfigView;
struct ConfigSource;
struct Limits;

class ConfigTable {
 public:
  // Fills `config` and `limits` with the defaults. Both must outlive the table.
  ConfigTable(Config& config, Limits& limits);
  ~ConfigTable();
  ConfigTable(const ConfigTable&) = delete;
  ConfigTable& operator=(const ConfigTable&) = delete;

  // What the process should do after the command line was read: serve, or print `out` (to standard
  // output) and `err` (to standard error) and exit with `exit_code`.
  struct LoadResult {
    bool serve = false;
    int exit_code = 0;
    std::string out;
    std::string err;
  };

  // Reads the file named by --config, the environment (DYNO_CLIENT_LISTEN ...) and the flags, and
  // answers --help, --version, --print-config and --check-config. Every error is collected; any
  // leaves the values unspecified and exits with 2. REQUIRES: before any other thread reads.
  [[nodiscard]] LoadResult load(std::span<const char* const> args,
                                std::span<const char* const> env);

  using Pair = std::pair<std::string, std::string>;

  // CONFIG GET: names that match, each once, with their values. A name without glob characters is
  // given back as it was asked for. Dotted names (client.timeout) work too.
  [[nodiscard]] std::vector<Pair> get(std::span<const std::string_view> patterns) const;

  // CONFIG SET: all or nothing. Returns the error as Redis words it, without "ERR ".
  [[nodiscard]] std::optional<std::string> set(std::span<const Pair> pairs);

  // CONFIG REWRITE: edits changed values in place, adds what is missing, leaves all else as it is.
  // Returns the error as Redis words it, without "ERR ".
  [[nodiscard]] std::optional<std::string> rewrite();

  // Calls `apply` after a CONFIG SET changed this row; an answer with text refuses the change,
  // which is then undone. REQUIRES: a name of the table; before other threads start.
  using Apply = std::function<std::optional<std::string>()>;
  void on_change(std::string_view name, Apply apply);

  // The value of a setting must not appear in MONITOR, SLOWLOG or a log.
  [[nodiscard]] bool is_sensitive(std::string_view name) const;

  // The whole table as a TOML file in which every key is a comment with its doc and default.
  [[nodiscard]] std::string print() const;

  // Absolute path of the file given at the start; empty without one.
  [[nodiscard]] const std::string& file_path() const { return file_path_; }

 private:
  [[nodiscard]] const ConfigRow* find(std::string_view name) const;
  [[nodiscard]] const ConfigView* find_view(std::string_view name) const;
  [[nodiscard]] ConfigValue read(const ConfigRow& row) const;
  void write(const ConfigRow& row, const ConfigValue& value);
  // `base` is what a text that names only some of its parts is laid over.
  [[nodiscard]] ParsedConfigValue parse(const ConfigRow& row, std::string_view text,
                                        const std::string& base) const;
  [[nodiscard]] std::optional<std::string> run_callbacks(std::span<const ConfigRow* const> rows,
                                                         std::string_view* culprit);
  [[nodiscard]] std::string_view nearest_key(std::string_view name) const;
  [[nodiscard]] std::string unknown(const ConfigSource& source) const;

  void load_file(const std::string& path, std::string& errors);
  void load_environment(std::span<const char* const> env, std::string& errors);
  void load_setting(const ConfigSource& source, std::string& errors);

  Config& config_;
  std::vector<ConfigRow> rows_;
  std::vector<ConfigView> views_;
  std::vector<std::pair<const ConfigRow*, Apply>> callbacks_;
  std::string file_path_;
  mutable std::mutex mutex_;
};

}  // namespace dyno

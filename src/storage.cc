// SPDX-License-Identifier: Apache-2.0
#include "src/storage.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <system_error>
#include <utility>

#include "src/client.h"
#include "src/event_loop.h"
#include "src/server.h"
#include "src/spill.h"
#include "src/thread_name.h"

namespace dyno {
namespace {

constexpr std::string_view kIdentityName = "identity";
constexpr int kFormatVersion = 1;
// How often traces of what is gone are looked for, and how old they are then.
constexpr auto kTendEvery = std::chrono::milliseconds(1000);
constexpr int64_t kTraceMs = 1000;
// How long a snapshot waits for what was written before it.
constexpr int64_t kDrainMs = 10'000;
// Memory of RocksDB and of the queue of writes, as shares of maxmemory.
constexpr int64_t kCacheShare = 8;
constexpr int64_t kBufferShare = 16;
constexpr int64_t kQueueShare = 16;
constexpr int64_t kShareBytesMin = int64_t{1} << 20;

std::string identity_of(const Config& config) {
  const Config::Ring& ring = config.ring;
  return "format " + std::to_string(kFormatVersion) + ", cluster " + ring.cluster.get() +
         ", data center " + ring.dc.get() + ", rack " + ring.rack.get() + ", hash seed " +
         std::to_string(ring.hash_seed.load());
}

// Names in the folder are on the disk when it returns.
std::error_code sync_folder(const std::filesystem::path& folder) {
  int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return {errno, std::generic_category()};
  std::error_code error;
  if (::fsync(fd) != 0) error.assign(errno, std::generic_category());
  ::close(fd);
  return error;
}

// Puts `fresh` in the place of `wanted`, which is there whole at every instant, old or new. The old
// one is then at `fresh`.
std::error_code put_in_place(const std::filesystem::path& fresh,
                             const std::filesystem::path& wanted) {
  bool replaces = std::filesystem::exists(wanted);
  if (::renameat2(AT_FDCWD, fresh.c_str(), AT_FDCWD, wanted.c_str(),
                  replaces ? RENAME_EXCHANGE : 0) != 0) {
    return {errno, std::generic_category()};
  }
  return sync_folder(wanted.parent_path());
}

bool needs_all_slots(const CommandSpec& spec, Args args) {
  bool has_keys = spec.keys.first != 0 || spec.find_keys != nullptr;
  if (!has_keys && (spec.flags & (kReadonly | kWrite)) != 0) return true;
  return (spec.flags & kLocksAll) != 0 || (spec.locks_all != nullptr && spec.locks_all(args));
}

}  // namespace

size_t share_of_memory(Server& server, int64_t configured, int64_t part) {
  int64_t limit = server.limits().maxmemory_bytes;
  int64_t bytes = limit == 0 ? configured : std::min(configured, limit / part);
  return static_cast<size_t>(std::max(bytes, kShareBytesMin));
}

RocksStore::Options store_options(Server& server, std::string_view folder) {
  const Config::Storage& config = server.config().storage;
  RocksStore::Options options;
  options.path = config.path.get() + "/" + std::string(folder);
  options.cache_bytes = share_of_memory(server, config.cache_bytes.load(), kCacheShare);
  options.buffer_bytes = share_of_memory(server, config.buffer_bytes.load(), kBufferShare);
  return options;
}

// Nobody else counts: its counters may go on where they were, so it is always the same actor.
Storage::Alone::Alone(Server& server)
    : replica(server.executor(), 1, 1,
              static_cast<uint64_t>(server.config().ring.hash_seed.load())),
      origin(replica) {
  replica.clock().start_above(first_stamp_of(unix_time_ms()));
}

Storage::Storage(Server& server) : server_(server) {
  snapshot_state_.saved_ms = server.started_ms();
}

Storage::~Storage() {
  stop();
}

// --- Start and end ------------------------------------------------------------------------------

std::string Storage::open(Replica* replica) {
  if (replica == nullptr) {
    alone_ = std::make_unique<Alone>(server_);
    replica = &alone_->replica;
    server_.executor().set_recorder(&alone_->origin);
  }
  replica_ = replica;
  RocksStore::Options options = store_options(server_, "db");
  std::string why = store_.open(options);
  if (why.empty()) why = check_identity();
  if (why.empty()) why = read_clock_and_flushes();
  if (!why.empty()) return "storage: " + options.path + ": " + why;
  const Config::Storage& config = server_.config().storage;
  size_t queue_max = share_of_memory(server_, config.queue_bytes_max.load(), kQueueShare);
  log_ = std::make_unique<WriteLog>(*replica_, store_, config, queue_max, server_.log());
  values_ = std::make_unique<KeptValues>(*replica_, store_, *log_);
  warm_up_ = std::make_unique<WarmUp>(*replica_, store_, server_.log());
  why = alone_ == nullptr ? read_known() : std::string();
  return why.empty() ? why : "storage: " + options.path + ": " + why;
}

// A node that was alone knew all that it ever wrote. One that fills an empty directory knows
// nothing, also if it ends before it has told what it knows.
std::string Storage::read_known() {
  std::string clock;
  std::string bytes;
  if (std::string why = store_.get(WriteLog::kClockName, &clock); !why.empty()) return why;
  if (std::string why = store_.get(WriteLog::kKnownName, &bytes); !why.empty()) return why;
  kept_.has_data = !clock.empty() || !bytes.empty();
  if (!WriteLog::read_known(bytes, &kept_.known)) kept_.known = {WriteLog::stamp_of(clock), 0};
  log_->begin(kept_.known);
  RocksStore::Batch batch;
  batch.put(WriteLog::kKnownName, WriteLog::bytes_of_known(kept_.known));
  return store_.write(batch, true);
}

std::string Storage::check_identity() {
  std::string found;
  if (std::string why = store_.get(kIdentityName, &found); !why.empty()) return why;
  std::string wanted = identity_of(server_.config());
  if (found == wanted) return {};
  if (!found.empty()) return "it is of another node (" + found + "), this one is " + wanted;
  RocksStore::Batch batch;
  batch.put(kIdentityName, wanted);
  return store_.write(batch, true);
}

std::string Storage::read_clock_and_flushes() {
  std::string bytes;
  if (std::string why = store_.get(WriteLog::kClockName, &bytes); !why.empty()) return why;
  replica_->clock().start_above(WriteLog::stamp_of(bytes));
  Keyspace& keyspace = server_.keyspace();
  for (int db = 0; db < RocksStore::kDatabases; ++db) {
    if (std::string why = store_.get(WriteLog::flush_name(db), &bytes); !why.empty()) return why;
    Stamp flushed = WriteLog::stamp_of(bytes);
    if (flushed == 0) continue;
    (void)store_.set_flushed(db, flushed);
    keyspace.lock_all();
    replica_->flush(db, flushed, unix_time_ms());
    keyspace.unlock_all();
  }
  return {};
}

std::string Storage::start() {
  auto release = [this] { server_.disk_moved(); };
  log_->start(release, [this](const std::string& why) { server_.refuse_writes(why); });
  replica_->set_log(log_.get());
  if (Spill* spill = server_.spill()) {
    warm_up_->set_on_read(
        [spill](SlotIndex slot, int db, std::string_view name) { spill->let_go(slot, db, name); });
  }
  warm_up_->start([this, release] {
    release();
    if (!warm_up_->failure().empty()) server_.fail("the data on disk cannot be read");
  });
  tender_ = std::thread([this] { tend(); });
  return server_.ring() == nullptr ? std::string() : warm_up_->finish();
}

void Storage::quiesce() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (tender_.joinable()) {
    store_.end_compacting();
    tender_.join();
  }
  if (snapshot_thread_.joinable()) snapshot_thread_.join();
  if (warm_up_) warm_up_->stop();
}

void Storage::stop() {
  quiesce();
  if (log_) log_->stop();
  if (replica_ != nullptr) replica_->set_log(nullptr);
  store_.close();
}

// --- Network threads ----------------------------------------------------------------------------

bool Storage::holds_back(const Client& client, Args args) {
  bool is_full = log_->is_full();
  if (warm_up_->is_done() && !is_full) [[likely]]
    return false;
  const CommandSpec* spec = server_.commands().find(args);
  if (spec == nullptr) return false;
  if (is_full && is_writing(client, *spec)) return true;
  if (warm_up_->is_done()) return false;
  if (needs_all_slots(*spec, args)) return true;
  std::vector<int> indexes;
  if (!CommandTable::key_indexes(*spec, args, &indexes)) return false;
  std::vector<SlotIndex> missing;
  for (int index : indexes) {
    SlotIndex slot = server_.keyspace().hash(args[static_cast<size_t>(index)]).slot();
    if (!warm_up_->has(slot)) missing.push_back(slot);
  }
  if (!missing.empty()) warm_up_->want(missing);
  return !missing.empty();
}

// --- Background ---------------------------------------------------------------------------------

void Storage::tend() {
  name_thread("storage");
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, kTendEvery, [this] { return stopping_; })) {
    lock.unlock();
    log_->look();
    if (alone_ != nullptr && warm_up_->is_done() && !log_->is_failing()) forget_traces();
    shorten_log_if_idle();
    // What was flushed leaves the files at once, not when compaction happens to pass.
    if (log_->take_flushed()) compact_soon_.store(true);
    if (warm_up_->is_done() && compact_soon_.exchange(false)) {
      std::string why = store_.compact();
      if (!why.empty() && !ends()) {
        server_.log().write(LogLevel::kWarning, "compacting the data on disk failed",
                            {{"error", why}});
      }
    }
    lock.lock();
  }
}

// When nothing is written the disk has time to make a restart short.
void Storage::shorten_log_if_idle() {
  bool is_idle = std::exchange(appended_before_, log_->appended()) == log_->appended();
  if (!is_idle || !warm_up_->is_done() || log_->is_failing()) return;
  std::string why = store_.shorten_log();
  if (why.empty() || ends()) return;
  server_.log().write(LogLevel::kWarning, "writing the log's data to files failed",
                      {{"error", why}});
}

bool Storage::ends() const {
  std::lock_guard lock(mutex_);
  return stopping_;
}

void Storage::forget_traces() {
  int64_t now_ms = unix_time_ms();
  Stamp horizon = first_stamp_of(now_ms - kTraceMs);
  for (uint32_t slot = 0; slot < kSlotCount; ++slot) {
    replica_->collect(static_cast<SlotIndex>(slot), horizon, now_ms);
  }
  store_.set_horizon(horizon);
}

bool Storage::sync(int64_t timeout_ms) {
  constexpr int64_t kLookMs = 100;
  int64_t end_us = timeout_ms == 0 ? INT64_MAX : monotonic_us() + timeout_ms * 1000;
  while (!server_.stopping().load()) {
    int64_t left_ms = (end_us - monotonic_us() + 999) / 1000;
    if (log_->drain(std::clamp<int64_t>(left_ms, 0, kLookMs))) return store_.sync().empty();
    if (left_ms <= kLookMs) return false;
  }
  return false;
}

// --- Snapshots ----------------------------------------------------------------------------------

std::string Storage::snapshot(std::string_view name) {
  {
    std::lock_guard lock(mutex_);
    if (std::exchange(snapshot_state_.is_running, true)) return "a snapshot is under way";
  }
  return make_snapshot(name);
}

// By whoever has set that one is running.
std::string Storage::make_snapshot(std::string_view name) {
  namespace fs = std::filesystem;
  int64_t began_us = monotonic_us();
  fs::path folder = fs::path(server_.config().storage.path.get()) / "snapshots";
  fs::path wanted = folder / name;
  fs::path fresh = folder / ("." + std::string(name) + ".new");
  std::error_code error;
  std::string why;
  if (!log_->drain(kDrainMs)) why = "the disk does not take what was written";
  if (why.empty()) {
    fs::remove_all(fresh, error);
    if (!error) fs::create_directories(fresh, error);
    if (error) why = error.message();
  }
  if (why.empty()) why = store_.snapshot((fresh / "db").string());
  if (why.empty()) {
    if ((error = put_in_place(fresh, wanted))) why = error.message();
  }
  fs::remove_all(fresh, error);
  std::lock_guard lock(mutex_);
  snapshot_state_.is_running = false;
  snapshot_state_.failure = why;
  if (!why.empty()) return why;
  snapshot_state_.saved_ms = unix_time_ms();
  snapshot_state_.took_ms = (monotonic_us() - began_us) / 1000;
  ++snapshot_state_.count;
  return {};
}

bool Storage::begin_snapshot(std::string_view name) {
  std::lock_guard lock(mutex_);
  if (std::exchange(snapshot_state_.is_running, true)) return false;
  // The last one's thread takes the lock no more.
  if (snapshot_thread_.joinable()) snapshot_thread_.join();
  snapshot_thread_ = std::thread([this, wanted = std::string(name)] {
    name_thread("snapshot");
    if (std::string why = make_snapshot(wanted); !why.empty()) {
      server_.log().write(LogLevel::kWarning, "a snapshot failed", {{"error", why}});
    }
  });
  return true;
}

Storage::SnapshotState Storage::snapshot_state() const {
  std::lock_guard lock(mutex_);
  return snapshot_state_;
}

}  // namespace dyno

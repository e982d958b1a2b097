// SPDX-License-Identifier: Apache-2.0
//
// The data on disk as the rest of the process sees it: opened before the node serves, written by
// whatever changes the data, read back after a restart.
//
// Exists only where storage.mode is durable. A node that is alone then keeps stamps as a node of a
// ring does, since the log on disk is made of the same deltas; it knows everybody's writes, so that
// traces of what is gone are dropped soon.
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "engine/disk/rocks_store.h"
#include "engine/replica/origin.h"
#include "engine/replica/replica.h"
#include "src/kept_values.h"
#include "src/warm_up.h"
#include "src/write_log.h"

namespace dyno {

class Client;
class Server;

// What a setting gives something beside the data, of memory.maxmemory no more than a share.
[[nodiscard]] size_t share_of_memory(Server& server, int64_t configured, int64_t part);
// How the files in that folder of storage.path are to be opened.
[[nodiscard]] RocksStore::Options store_options(Server& server, std::string_view folder);

class Storage {
 public:
  explicit Storage(Server& server);
  ~Storage();

  // Opens the directory. Returns why it cannot be used: by another process, of another cluster or
  // rack, from a newer version, damaged. `replica`: of the ring's node, null for one that is alone.
  [[nodiscard]] std::string open(Replica* replica);
  // Values that memory has no room for are there already. Only of a node that is alone.
  [[nodiscard]] ValueStore& values() { return *values_; }
  // Begins to write and to read back. A node of a ring waits until all is there, since others will
  // ask it for digests; returns why that failed.
  [[nodiscard]] std::string start();
  // After the network threads have ended: nothing but what others ask for is read, tended or copied
  // any more. What is read is handed to spill.h, which therefore ends between the two.
  void quiesce();
  // Everything is on disk when it returns.
  void stop();

  // --- Network threads, for each request ---

  // True when the request has to wait: for its slot to be read, or for the disk to keep up. The
  // threads' resume_paused() is called when it may be tried again.
  [[nodiscard]] bool holds_back(const Client& client, std::span<const std::string_view> args);
  // Whether replies to writes wait for the disk, and how far it has got.
  [[nodiscard]] bool replies_wait() const { return log_->replies_wait(); }
  [[nodiscard]] uint64_t safe() const { return log_->safe(); }
  // The ring's, or its own.
  [[nodiscard]] Replica* replica() { return replica_; }
  [[nodiscard]] WriteLog& log() { return *log_; }

  // --- Commands ---

  // Everything that was written before is on the disk; false when it is not after `timeout_ms`
  // (0: however long it takes), or when the process ends.
  [[nodiscard]] bool sync(int64_t timeout_ms);
  // A copy in `storage.path`/snapshots/`name`, replacing one of that name. Returns why it failed.
  [[nodiscard]] std::string snapshot(std::string_view name);
  // The same by a thread of its own; false when one is under way.
  [[nodiscard]] bool begin_snapshot(std::string_view name);
  struct SnapshotState {
    bool is_running = false;
    int64_t saved_ms = 0;  // Unix time of the last one that was made, or of the start.
    int64_t took_ms = -1;
    std::string failure;  // Of the last one.
    uint64_t count = 0;
  };
  [[nodiscard]] SnapshotState snapshot_state() const;

  [[nodiscard]] const WarmUp& warm_up() const { return *warm_up_; }
  [[nodiscard]] WriteLog::Figures log_figures() const { return log_->figures(); }
  [[nodiscard]] RocksStore::Figures store_figures() const { return store_.figures(); }
  [[nodiscard]] uint64_t refused_records() const { return store_.refused_records(); }

  // Of a ring's node that begins with data, and what it was told to be known of that.
  struct Kept {
    bool has_data = false;
    WriteLog::Known known;
  };
  [[nodiscard]] const Kept& kept() const { return kept_; }
  // The ring's horizon: traces up to here leave the disk, once it has been told of the horizon.
  void set_horizon(Stamp horizon) { store_.set_horizon(std::min(horizon, log_->safe_horizon())); }
  // Files shall lose what is gone, which they otherwise do in time.
  void compact_soon() { compact_soon_.store(true); }

 private:
  struct Alone {
    explicit Alone(Server& server);
    Replica replica;
    Origin origin;
  };

  [[nodiscard]] std::string check_identity();
  [[nodiscard]] std::string read_clock_and_flushes();
  [[nodiscard]] std::string read_known();
  void tend();
  void shorten_log_if_idle();
  [[nodiscard]] bool ends() const;
  [[nodiscard]] std::string make_snapshot(std::string_view name);
  void forget_traces();

  Server& server_;
  RocksStore store_;
  std::unique_ptr<Alone> alone_;
  Replica* replica_ = nullptr;
  std::unique_ptr<WriteLog> log_;
  std::unique_ptr<KeptValues> values_;
  std::unique_ptr<WarmUp> warm_up_;
  Kept kept_;
  std::atomic<bool> compact_soon_{false};
  uint64_t appended_before_ = 0;  // When tend() looked last.
  std::thread tender_;
  std::thread snapshot_thread_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;  // Guarded by mutex_, as is what follows.
  SnapshotState snapshot_state_;
};

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// The data set on disk: one record for each key, in RocksDB. What is written of a key is a frame
// (delta.h), told to RocksDB as an operand to be folded with what is there (delta_fold.h), so that
// a write reads nothing, whatever it changes.
//
//   record of a key := slot:u16 (big-endian) db:u8 name  ->  frame, of this key alone
//   other records   := 0xffff name                       ->  bytes           no slot has that
//   number
//
// A scratch store is for values of cold keys (cold_value.h), which nobody needs once the process
// has ended: it is empty when it is opened, keeps no log, and its records are values, not frames.
//
// Records of a slot lie side by side, in any order of arrival. The write-ahead log is RocksDB's
// own. A torn end of it is what a crash leaves and is cut off; damage anywhere else is told, and
// nothing is opened.
//
// All functions return why they failed, empty when they did not. Thread-safe, but for open(). This
// and its .cc are the only ones that know RocksDB.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/replica/stamp.h"
#include "protocol/token.h"

namespace rocksdb {
class FileSystem;
}

namespace dyno {

class RocksStore {
 public:
  static constexpr int kDatabases = 16;

  struct Options {
    std::string path;
    size_t cache_bytes = size_t{64} << 20;   // Blocks read, and what is not yet in files.
    size_t buffer_bytes = size_t{16} << 20;  // What is gathered before it becomes a file.
    bool is_scratch = false;
    // Null: the machine's. For tests of failing disks.
    std::shared_ptr<rocksdb::FileSystem> files;
  };

  // Records that become durable together.
  class Batch {
   public:
    Batch();
    ~Batch();
    Batch(const Batch&) = delete;
    Batch& operator=(const Batch&) = delete;

    // `frame` concerns this key alone.
    void merge(SlotIndex slot, int db, std::string_view name, std::string_view frame);
    void put(std::string_view name, std::string_view bytes);
    // Of a scratch store.
    void put_value(SlotIndex slot, int db, std::string_view name, std::string_view bytes);
    void erase(SlotIndex slot, int db, std::string_view name);
    [[nodiscard]] size_t byte_count() const;
    void clear();

   private:
    friend class RocksStore;
    struct Rep;
    std::unique_ptr<Rep> rep_;
  };

  struct Figures {
    uint64_t disk_bytes = 0;
    uint64_t memory_bytes = 0;  // Buffers, cache and what readers keep of the files.
    uint64_t keys_estimate = 0;
    uint64_t compaction_debt_bytes = 0;
    bool is_delayed = false;  // Writes are slowed down or stopped, for compaction to keep up.
    uint64_t cache_hits = 0;
    uint64_t cache_misses = 0;
  };

  RocksStore();
  ~RocksStore();
  RocksStore(const RocksStore&) = delete;
  RocksStore& operator=(const RocksStore&) = delete;

  // Opens the directory, and makes it when it is not there.
  [[nodiscard]] std::string open(const Options& options);
  void close();

  // Returns when all of the batch is in the log: handed to the system, which survives the end of
  // this process, or with `sync` on the disk, which survives the loss of power.
  [[nodiscard]] std::string write(Batch& batch, bool sync);
  // Makes a scratch store empty, whose values nobody needs any more, and gives its files back. When
  // that fails it takes nothing until it has succeeded.
  [[nodiscard]] std::string erase_all();
  // Everything written before is on the disk when it returns.
  [[nodiscard]] std::string sync();
  // What is in the log alone becomes files, so that a restart has less to read, if there is so much
  // of it that this is worth a file.
  [[nodiscard]] std::string shorten_log();
  // After a failure: tries to go on. What was written but not known to be on disk is written anew,
  // or, where `forgets` is set, may be lost: the files are then opened as after a crash. A scratch
  // store is never opened again, since it would be empty.
  [[nodiscard]] std::string resume(bool* forgets);
  // Whether the directory is still there: files that are open live on without it.
  [[nodiscard]] std::string look() const;

  // Reads the bytes of another record; `bytes` is empty when there is none.
  [[nodiscard]] std::string get(std::string_view name, std::string* bytes);
  // Reads the records of several keys at once, each with why it could not be read; one that is not
  // there is empty.
  struct KeyRead {
    SlotIndex slot = 0;
    int db = 0;
    std::string_view name;
    std::string bytes;
    std::string failure;
  };
  void read_keys(std::span<KeyRead> keys);
  // visit(db, name, frame) for each key of the slot.
  using Visit = std::function<void(int db, std::string_view name, std::string_view frame)>;
  [[nodiscard]] std::string read_slot(SlotIndex slot, const Visit& visit);

  // Adds that all keys of the slot go that are there now.
  [[nodiscard]] std::string erase_slot(SlotIndex slot, Batch* batch);

  // A copy of everything that was written before, as links where the file system can.
  [[nodiscard]] std::string snapshot(const std::string& path);
  // Rewrites all files, so that what is gone leaves them.
  [[nodiscard]] std::string compact();
  // compact() returns soon, and does nothing any more. Any thread.
  void end_compacting();

  // What folding may forget: see FoldBounds. May be raised at any time.
  void set_horizon(Stamp horizon) { bounds_->horizon.store(horizon); }
  // Of several flushes the latest counts, which is returned.
  Stamp set_flushed(int db, Stamp stamp);

  // All are 0 while the files are opened anew, which nobody waits for here.
  [[nodiscard]] Figures figures() const;

  struct Bounds {
    std::atomic<Stamp> horizon{0};
    std::array<std::atomic<Stamp>, kDatabases> flushed{};
    std::atomic<uint64_t> refused{0};  // Records that could not be folded.
  };
  [[nodiscard]] uint64_t refused_records() const { return bounds_->refused.load(); }

 private:
  struct Rep;
  [[nodiscard]] std::string open_files();

  Options options_;
  std::unique_ptr<Bounds> bounds_;
  std::unique_ptr<Rep> rep_;
};

}  // namespace dyno

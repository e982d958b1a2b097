// SPDX-License-Identifier: Apache-2.0
//
// The data set on disk: what is merged is read back, what is forgotten leaves the files, and what
// the loss of power and failing disks may do to it.
#include "engine/disk/rocks_store.h"

#include <doctest/doctest.h>
#include <rocksdb/file_system.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "engine/replica/delta.h"

namespace dyno {
namespace {

using rocksdb::IOStatus;

// A disk that remembers how much of each file was synced, can lose the rest, and can fail.
class FaultyDisk final : public rocksdb::FileSystemWrapper {
 public:
  FaultyDisk() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}
  const char* Name() const override { return "FaultyDisk"; }

  // The next so many of these fail; the file's name ends so.
  std::atomic<int> failing_appends{0};
  std::atomic<int> failing_syncs{0};
  std::string ending = ".log";
  IOStatus failure = IOStatus::IOError("the disk failed");

  // Nothing changes any more, and then what was not synced is lost.
  void cut_power() { is_off_.store(true); }
  void lose_unsynced() {
    std::lock_guard lock(mutex_);
    for (const auto& [path, size] : synced_) {
      std::error_code error;
      if (std::filesystem::exists(path)) std::filesystem::resize_file(path, size, error);
      CHECK_FALSE(error);
    }
    synced_.clear();
    is_off_.store(false);
  }

  IOStatus NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                           std::unique_ptr<rocksdb::FSWritableFile>* made,
                           rocksdb::IODebugContext* context) override {
    if (is_off_) return off();
    IOStatus status = target()->NewWritableFile(path, options, made, context);
    if (!status.ok()) return status;
    {
      std::lock_guard lock(mutex_);
      synced_[path] = 0;
    }
    *made = std::make_unique<File>(*this, path, std::move(*made));
    return status;
  }
  IOStatus RenameFile(const std::string& from, const std::string& to,
                      const rocksdb::IOOptions& options,
                      rocksdb::IODebugContext* context) override {
    if (is_off_) return off();
    std::lock_guard lock(mutex_);
    if (auto found = synced_.find(from); found != synced_.end()) {
      synced_[to] = found->second;
      synced_.erase(from);
    }
    return target()->RenameFile(from, to, options, context);
  }
  IOStatus DeleteFile(const std::string& path, const rocksdb::IOOptions& options,
                      rocksdb::IODebugContext* context) override {
    return is_off_ ? off() : target()->DeleteFile(path, options, context);
  }

 private:
  class File final : public rocksdb::FSWritableFileOwnerWrapper {
   public:
    File(FaultyDisk& disk, std::string path, std::unique_ptr<rocksdb::FSWritableFile>&& file)
        : FSWritableFileOwnerWrapper(std::move(file)), disk_(disk), path_(std::move(path)) {}

    IOStatus Append(const rocksdb::Slice& bytes, const rocksdb::IOOptions& options,
                    rocksdb::IODebugContext* context) override {
      if (disk_.is_off_) return off();
      if (disk_.fails(&disk_.failing_appends, path_)) return disk_.failure;
      size_ += bytes.size();
      return FSWritableFileOwnerWrapper::Append(bytes, options, context);
    }
    IOStatus Append(const rocksdb::Slice& bytes, const rocksdb::IOOptions& options,
                    const rocksdb::DataVerificationInfo&,
                    rocksdb::IODebugContext* context) override {
      return Append(bytes, options, context);
    }
    IOStatus Sync(const rocksdb::IOOptions& options, rocksdb::IODebugContext* context) override {
      return synced(FSWritableFileOwnerWrapper::Sync(options, context));
    }
    IOStatus Fsync(const rocksdb::IOOptions& options, rocksdb::IODebugContext* context) override {
      return synced(FSWritableFileOwnerWrapper::Fsync(options, context));
    }

   private:
    IOStatus synced(IOStatus status) {
      if (disk_.is_off_) return off();
      if (disk_.fails(&disk_.failing_syncs, path_)) return disk_.failure;
      std::lock_guard lock(disk_.mutex_);
      if (status.ok()) disk_.synced_[path_] = size_;
      return status;
    }

    FaultyDisk& disk_;
    std::string path_;
    size_t size_ = 0;
  };

  static IOStatus off() { return IOStatus::IOError("the power is off"); }
  bool fails(std::atomic<int>* left, const std::string& path) const {
    return path.ends_with(ending) && left->load() > 0 && left->fetch_sub(1) > 0;
  }

  std::atomic<bool> is_off_{false};
  std::mutex mutex_;
  std::map<std::string, size_t> synced_;  // Guarded by mutex_.
};

constexpr SlotIndex kSlot = 77;

struct Disk {
  Disk() {
    options.path = folder + "/db";
    options.files = faults;
    REQUIRE(store.open(options) == "");
  }
  ~Disk() {
    store.close();
    std::filesystem::remove_all(folder);
  }

  std::string set(const std::string& name, Stamp stamp, const std::string& value, bool sync) {
    return put(name, {.kind = FactKind::kValue, .stamp = stamp, .value = value}, sync);
  }
  std::string put(const std::string& name, const Fact& fact, bool sync = false, int db = 0) {
    FrameWriter writer;
    writer.add(db, name, fact);
    RocksStore::Batch batch;
    batch.merge(kSlot, db, name, writer.finish());
    return store.write(batch, sync);
  }
  // Name -> value, of strings; what else is known of a key counts as empty.
  std::map<std::string, std::string> read() {
    std::map<std::string, std::string> found;
    CHECK(store.read_slot(kSlot, [&](int, std::string_view name, std::string_view frame) {
      std::vector<Delta> deltas;
      CHECK(read_frame(frame, &deltas) == "");
      std::string& value = found[std::string(name)];
      for (const Delta& delta : deltas) {
        for (const Fact& fact : delta.facts) {
          if (fact.kind == FactKind::kValue) value = fact.value;
        }
      }
    }) == "");
    return found;
  }
  void reopen() {
    store.close();
    REQUIRE(store.open(options) == "");
  }
  void lose_power() {
    faults->cut_power();
    store.close();
    faults->lose_unsynced();
    REQUIRE(store.open(options) == "");
  }
  // As its owner does after a failure.
  void resume_until_it_works() {
    bool forgets = false;
    std::string why;
    for (int i = 0; i < 10; ++i) {
      why = store.resume(&forgets);
      if (why.empty() && set("probe", 1, "x", true).empty()) return;
    }
    FAIL("it does not go on: " << why);
  }

  std::string folder =
      std::filesystem::temp_directory_path() / ("dyno-rocks-store-" + std::to_string(::getpid()));
  std::shared_ptr<FaultyDisk> faults = std::make_shared<FaultyDisk>();
  RocksStore::Options options;
  RocksStore store;
};

TEST_CASE("what is merged is read back, the later write wins in any order") {
  Disk disk;
  CHECK(disk.set("a", 20, "later", false) == "");
  CHECK(disk.set("a", 10, "earlier", false) == "");
  CHECK(disk.set("b", 10, "other", false) == "");
  std::map<std::string, std::string> wanted = {{"a", "later"}, {"b", "other"}};
  CHECK(disk.read() == wanted);
  disk.reopen();
  CHECK(disk.read() == wanted);
  CHECK(disk.store.compact() == "");
  CHECK(disk.read() == wanted);
  size_t others = 0;
  auto count = [&](int, std::string_view, std::string_view) { ++others; };
  CHECK(disk.store.read_slot(kSlot - 1, count) == "");
  CHECK(disk.store.read_slot(kSlot + 1, count) == "");
  CHECK(others == 0);
}

TEST_CASE("a slot is erased with all its keys, and what comes with that stays") {
  Disk disk;
  CHECK(disk.set("a", 10, "old", false) == "");
  CHECK(disk.set("b", 10, "old", false) == "");
  FrameWriter writer;
  writer.add(0, "a", {.kind = FactKind::kValue, .stamp = 5, .value = "older, and alone now"});
  RocksStore::Batch batch;
  CHECK(disk.store.erase_slot(kSlot, &batch) == "");
  batch.merge(kSlot, 0, "a", writer.finish());
  CHECK(disk.store.write(batch, false) == "");
  std::map<std::string, std::string> wanted = {{"a", "older, and alone now"}};
  CHECK(disk.read() == wanted);
  disk.reopen();
  CHECK(disk.store.compact() == "");
  CHECK(disk.read() == wanted);
}

TEST_CASE("a scratch store is emptied, and takes values again") {
  Disk disk;
  disk.store.close();
  disk.options.is_scratch = true;
  disk.options.files = nullptr;
  REQUIRE(disk.store.open(disk.options) == "");
  for (int round = 0; round < 3; ++round) {
    std::string value = "value" + std::to_string(round);
    RocksStore::Batch batch;
    batch.put_value(kSlot, 0, "a", value);
    REQUIRE(disk.store.write(batch, false) == "");
    std::vector<RocksStore::KeyRead> reads(1);
    reads[0].slot = kSlot;
    reads[0].name = "a";
    disk.store.read_keys(reads);
    CHECK(reads[0].bytes == value);
    REQUIRE(disk.store.erase_all() == "");
    disk.store.read_keys(reads);
    CHECK(reads[0].failure.empty());
    CHECK(reads[0].bytes.empty());
  }
}

TEST_CASE("other records are kept apart") {
  Disk disk;
  RocksStore::Batch batch;
  batch.put("name", "bytes");
  CHECK(disk.store.write(batch, true) == "");
  disk.reopen();
  std::string bytes;
  CHECK(disk.store.get("name", &bytes) == "");
  CHECK(bytes == "bytes");
  CHECK(disk.store.get("another", &bytes) == "");
  CHECK(bytes.empty());
  CHECK(disk.read().empty());
}

TEST_CASE("what is forgotten leaves the files, and not before") {
  Disk disk;
  for (int i = 0; i < 1000; ++i) {
    std::string name = "k" + std::to_string(i);
    REQUIRE(disk.set(name, 10, std::string(200, 'x'), false) == "");
    if (i != 7) REQUIRE(disk.put(name, {.kind = FactKind::kClear, .stamp = 20}) == "");
  }
  CHECK(disk.store.compact() == "");
  CHECK(disk.read().size() == 1000);  // As traces.
  disk.store.set_horizon(15);
  CHECK(disk.store.compact() == "");
  CHECK(disk.read().size() == 1000);
  uint64_t before = disk.store.figures().disk_bytes;
  disk.store.set_horizon(20);
  CHECK(disk.store.compact() == "");
  CHECK(disk.read() == std::map<std::string, std::string>{{"k7", std::string(200, 'x')}});
  CHECK(disk.store.figures().disk_bytes < before);
  CHECK(disk.store.figures().keys_estimate <= 2);
}

TEST_CASE("a flush reaches what is older in its database alone") {
  Disk disk;
  Fact old{.kind = FactKind::kValue, .stamp = 10, .value = "old"};
  Fact fresh{.kind = FactKind::kValue, .stamp = 30, .value = "fresh"};
  CHECK(disk.put("old", old) == "");
  CHECK(disk.put("other database", old, false, 1) == "");
  CHECK(disk.put("fresh", fresh) == "");
  CHECK(disk.store.set_flushed(0, 20) == 20);
  CHECK(disk.store.set_flushed(0, 15) == 20);
  disk.store.set_horizon(40);
  CHECK(disk.store.compact() == "");
  std::map<std::string, std::string> wanted = {{"other database", "old"}, {"fresh", "fresh"}};
  CHECK(disk.read() == wanted);
}

TEST_CASE("the loss of power takes only what was not synced") {
  Disk disk;
  for (int turn = 0; turn < 5; ++turn) {
    std::map<std::string, std::string> wanted = disk.read();
    for (int i = 0; i < 50; ++i) {
      std::string name = "s" + std::to_string(turn) + ":" + std::to_string(i);
      REQUIRE(disk.set(name, 10, "value", true) == "");
      wanted[name] = "value";
    }
    std::string last = "unsynced" + std::to_string(turn);
    REQUIRE(disk.set(last, 10, "value", false) == "");
    disk.lose_power();
    CHECK(disk.read() == wanted);
  }
}

TEST_CASE("sync() makes all that was written before survive") {
  Disk disk;
  for (int i = 0; i < 100; ++i) REQUIRE(disk.set("k" + std::to_string(i), 10, "v", false) == "");
  CHECK(disk.store.sync() == "");
  disk.lose_power();
  CHECK(disk.read().size() == 100);
}

TEST_CASE("the loss of power between files and while they are merged") {
  Disk disk;
  disk.options.buffer_bytes = size_t{64} << 10;
  disk.reopen();
  std::map<std::string, std::string> wanted;
  for (int turn = 0; turn < 3; ++turn) {
    for (int i = 0; i < 400; ++i) {
      std::string value(1000, static_cast<char>('a' + (i + turn) % 26));
      std::string name = "k" + std::to_string(i % 150);
      REQUIRE(disk.set(name, static_cast<Stamp>(1000 * turn + i + 1) << 8 | 1, value,
                       i % 10 == 9) == "");
      wanted[name] = value;  // The last one is synced, and so are those before it.
    }
    if (turn == 1) CHECK(disk.store.compact() == "");
    disk.lose_power();
    CHECK(disk.read() == wanted);
  }
}

TEST_CASE("a failure is told, and gone when the disk works again") {
  for (bool is_full : {false, true}) {
    for (bool is_sync : {false, true}) {
      CAPTURE(is_full);
      CAPTURE(is_sync);
      Disk disk;
      REQUIRE(disk.set("before", 10, "v", true) == "");
      disk.faults->failure =
          is_full ? IOStatus::NoSpace("no space is left") : IOStatus::IOError("the disk failed");
      (is_sync ? disk.faults->failing_syncs : disk.faults->failing_appends) = 1;
      std::string why = disk.set("during", 10, "v", true);
      CHECK(why.find(is_full ? "no space" : "failed") != std::string::npos);
      disk.resume_until_it_works();
      // Its owner writes anew what was not taken.
      CHECK(disk.set("during", 10, "v", true) == "");
      CHECK(disk.set("after", 10, "v", true) == "");
      std::map<std::string, std::string> wanted = {
          {"before", "v"}, {"during", "v"}, {"after", "v"}, {"probe", "x"}};
      CHECK(disk.read() == wanted);
      disk.lose_power();
      CHECK(disk.read() == wanted);
    }
  }
}

TEST_CASE("a directory that another has open is refused with the reason") {
  Disk disk;
  RocksStore second;
  CHECK(second.open(disk.options).find("another process") != std::string::npos);
}

TEST_CASE("a snapshot is as the data was") {
  Disk disk;
  CHECK(disk.set("a", 10, "then", false) == "");
  CHECK(disk.store.snapshot(disk.folder + "/copy") == "");
  CHECK(disk.set("a", 20, "now", false) == "");
  disk.options.path = disk.folder + "/copy";
  disk.reopen();
  CHECK(disk.read() == std::map<std::string, std::string>{{"a", "then"}});
}

TEST_CASE("a directory that goes is noticed") {
  Disk disk;
  CHECK(disk.store.look() == "");
  std::filesystem::remove_all(disk.options.path);
  CHECK(disk.store.look() != "");
}

}  // namespace
}  // namespace dyno

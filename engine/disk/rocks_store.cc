// SPDX-License-Identifier: Apache-2.0
#include "engine/disk/rocks_store.h"

#include <rocksdb/cache.h>
#include <rocksdb/compaction_filter.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/merge_operator.h>
#include <rocksdb/slice_transform.h>
#include <rocksdb/statistics.h>
#include <rocksdb/table.h>
#include <rocksdb/utilities/checkpoint.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <cstdarg>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <shared_mutex>
#include <system_error>
#include <utility>

#include "engine/disk/log_damage.h"
#include "engine/replica/delta_fold.h"

namespace dyno {
namespace {

constexpr size_t kKeyHeadBytes = 3;
constexpr double kFilterBitsPerKey = 10;
constexpr double kGatheredFilterShare = 0.02;
// What is read, checked and unpacked for one value. Those of a scratch store are read one by one.
constexpr size_t kBlockBytes = size_t{16} << 10;
constexpr size_t kScratchBlockBytes = size_t{4} << 10;
// Gathered writes become so many files before these are sorted into the others.
constexpr int kFilesToCompact = 8;
constexpr std::string_view kOtherPrefix = "\xff\xff";
static_assert(kSlotCount <= 0xffff, "no slot shares a prefix with other records");

std::string_view view(const rocksdb::Slice& slice) {
  return {slice.data(), slice.size()};
}
rocksdb::Slice slice(std::string_view bytes) {
  return {bytes.data(), bytes.size()};
}

void append_slot(SlotIndex slot, std::string* key) {
  key->push_back(static_cast<char>(slot >> 8));
  key->push_back(static_cast<char>(slot & 0xff));
}

std::string key_of(SlotIndex slot, int db, std::string_view name) {
  std::string key;
  key.reserve(kKeyHeadBytes + name.size());
  append_slot(slot, &key);
  key.push_back(static_cast<char>(db));
  return key.append(name);
}
std::string other_key(std::string_view name) {
  return std::string(kOtherPrefix).append(name);
}

bool is_other(std::string_view key) {
  return key.starts_with(kOtherPrefix) || key.size() < kKeyHeadBytes;
}

FoldBounds bounds_of(const RocksStore::Bounds& bounds, std::string_view key) {
  FoldBounds fold;
  fold.horizon = bounds.horizon.load(std::memory_order_relaxed);
  auto db = static_cast<size_t>(key[2]) % RocksStore::kDatabases;
  fold.flushed = bounds.flushed[db].load(std::memory_order_relaxed);
  return fold;
}

class FoldOperator final : public rocksdb::MergeOperator {
 public:
  explicit FoldOperator(RocksStore::Bounds& bounds) : bounds_(bounds) {}

  bool FullMergeV2(const MergeOperationInput& in, MergeOperationOutput* out) const override {
    std::vector<std::string_view> frames;
    if (in.existing_value != nullptr && !in.existing_value->empty()) {
      frames.push_back(view(*in.existing_value));
    }
    for (const rocksdb::Slice& operand : in.operand_list) {
      if (!operand.empty()) frames.push_back(view(operand));
    }
    return fold_all(view(in.key), frames, true, &out->new_value);
  }
  bool PartialMergeMulti(const rocksdb::Slice& key, const std::deque<rocksdb::Slice>& operands,
                         std::string* out, rocksdb::Logger*) const override {
    std::vector<std::string_view> frames;
    for (const rocksdb::Slice& operand : operands) {
      if (!operand.empty()) frames.push_back(view(operand));
    }
    return fold_all(view(key), frames, false, out);
  }
  const char* Name() const override { return "dyno.fold.1"; }

 private:
  bool fold_all(std::string_view key, const std::vector<std::string_view>& frames, bool is_all,
                std::string* out) const {
    out->clear();
    if (is_other(key)) return false;
    FoldBounds bounds = bounds_of(bounds_, key);
    bounds.is_all = is_all;
    if (fold(frames, bounds, out).empty()) return true;
    bounds_.refused.fetch_add(1, std::memory_order_relaxed);
    return false;
  }

  RocksStore::Bounds& bounds_;
};

// RocksDB's own log lies on the same disk, and some builds of it end the process when that is full.
class NoLog final : public rocksdb::Logger {
 public:
  using rocksdb::Logger::Logv;
  void Logv(const char*, va_list) override {}
};

// Records of which nothing needs to be remembered leave the files. RocksDB folds operands before it
// asks, but asks for values that nothing was added to as well: their time may have come since.
class ForgottenFilter final : public rocksdb::CompactionFilter {
 public:
  explicit ForgottenFilter(const RocksStore::Bounds& bounds) : bounds_(bounds) {}

  Decision FilterV2(int, const rocksdb::Slice& key, ValueType type, const rocksdb::Slice& value,
                    std::string* changed, std::string*) const override {
    if (type != ValueType::kValue || is_other(view(key))) return Decision::kKeep;
    if (value.empty()) return Decision::kRemove;
    FoldBounds bounds = bounds_of(bounds_, view(key));
    bounds.is_all = true;
    std::string_view frame = view(value);
    if (!fold({&frame, 1}, bounds, changed).empty()) return Decision::kKeep;
    if (changed->empty()) return Decision::kRemove;
    return *changed == frame ? Decision::kKeep : Decision::kChangeValue;
  }
  const char* Name() const override { return "dyno.forgotten.1"; }

 private:
  const RocksStore::Bounds& bounds_;
};

// Left by the first process that had the directory open; a snapshot has none, and no log either.
constexpr char kOpenedName[] = "opened";
constexpr std::string_view kIsShut = "the files are not open";

// What a look at the directory tells and RocksDB does not: it would begin anew where the list of
// files is gone, and passes over logs that are missing or damaged near their end.
std::string find_damage(const std::string& path, LogPart part) {
  bool has_data = false;
  bool has_list = false;
  bool was_opened = false;
  std::vector<std::string> logs;
  std::error_code error;
  for (const auto& each : std::filesystem::directory_iterator(path, error)) {
    std::string name = each.path().filename().string();
    has_data |= name.starts_with("MANIFEST") || name.ends_with(".sst");
    has_list |= name == "CURRENT";
    was_opened |= name == kOpenedName;
    if (name.ends_with(".log")) logs.push_back(each.path().string());
  }
  if (error) return error.message();
  if ((has_data || was_opened) && !has_list) return path + "/CURRENT is missing";
  if (was_opened && logs.empty()) return "the log is missing";
  std::sort(logs.begin(), logs.end());
  for (const std::string& log : logs) {
    auto damage = find_log_damage(log, part);
    if (!damage) continue;
    std::string place = log + " at byte " + std::to_string(damage->offset);
    return "Corruption: " + place + (damage->reason.empty() ? "" : ", " + damage->reason);
  }
  return {};
}

std::string text(const rocksdb::Status& status) {
  return status.ok() ? std::string() : status.ToString();
}

// Why a directory cannot be used.
std::string refusal(const rocksdb::Status& status) {
  bool is_taken = status.IsIOError() && status.ToString().find("lock") != std::string::npos;
  return is_taken ? "another process has it (" + status.ToString() + ")" : text(status);
}

}  // namespace

struct RocksStore::Batch::Rep {
  rocksdb::WriteBatch batch;
};

RocksStore::Batch::Batch() : rep_(std::make_unique<Rep>()) {}
RocksStore::Batch::~Batch() = default;

void RocksStore::Batch::merge(SlotIndex slot, int db, std::string_view name,
                              std::string_view frame) {
  // A batch in memory refuses nothing.
  rep_->batch.Merge(key_of(slot, db, name), slice(frame)).PermitUncheckedError();
}
void RocksStore::Batch::put(std::string_view name, std::string_view bytes) {
  rep_->batch.Put(other_key(name), slice(bytes)).PermitUncheckedError();
}
void RocksStore::Batch::put_value(SlotIndex slot, int db, std::string_view name,
                                  std::string_view bytes) {
  rep_->batch.Put(key_of(slot, db, name), slice(bytes)).PermitUncheckedError();
}
void RocksStore::Batch::erase(SlotIndex slot, int db, std::string_view name) {
  rep_->batch.Delete(key_of(slot, db, name)).PermitUncheckedError();
}
size_t RocksStore::Batch::byte_count() const {
  return rep_->batch.GetDataSize();
}
void RocksStore::Batch::clear() {
  rep_->batch.Clear();
}

struct RocksStore::Rep {
  explicit Rep(Bounds& bounds) : filter(bounds) {}

  // Held alone while `db` changes, which is null when it could not be opened again.
  mutable std::shared_mutex mutex;
  ForgottenFilter filter;
  std::unique_ptr<rocksdb::Env> env;
  std::shared_ptr<rocksdb::Cache> cache;
  std::shared_ptr<rocksdb::Statistics> statistics;
  std::unique_ptr<rocksdb::DB> db;
};

RocksStore::RocksStore()
    : bounds_(std::make_unique<Bounds>()), rep_(std::make_unique<Rep>(*bounds_)) {}
RocksStore::~RocksStore() {
  close();
}

std::string RocksStore::open(const Options& options) {
  options_ = options;
  std::error_code error;
  std::filesystem::create_directories(options.path, error);
  if (error) return "it cannot be made: " + error.message();
  if (options.is_scratch) {
    std::string why = refusal(rocksdb::DestroyDB(options.path, rocksdb::Options()));
    return why.empty() ? open_files() : why;
  }
  std::string why = find_damage(options.path, LogPart::kLastBlock);
  if (why.empty()) why = open_files();
  if (!why.empty()) return why;
  std::ofstream(options.path + "/" + kOpenedName) << "The log is here, too.\n";
  return {};
}

std::string RocksStore::open_files() {
  const Options& options = options_;
  rocksdb::Options db;
  db.create_if_missing = true;
  if (options.is_scratch) {
    db.avoid_flush_during_shutdown = true;
    // What is looked for left memory long ago, mostly, and is not among what was gathered lately.
    db.memtable_whole_key_filtering = true;
    db.memtable_prefix_bloom_size_ratio = kGatheredFilterShare;
  } else {
    db.merge_operator = std::make_shared<FoldOperator>(*bounds_);
    db.compaction_filter = &rep_->filter;
  }
  // The default would silently end at the first damaged record, wherever it lies.
  db.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  db.track_and_verify_wals_in_manifest = true;
  db.paranoid_checks = true;
  db.write_buffer_size = options.buffer_bytes;
  db.max_write_buffer_number = 3;
  // A start after a crash reads the log again before anything is served: it is kept short, and what
  // was read stays in memory instead of becoming a file first.
  db.max_total_wal_size = 2 * options.buffer_bytes;
  db.avoid_flush_during_recovery = true;
  db.level0_file_num_compaction_trigger = kFilesToCompact;
  db.max_background_jobs = 2;
  // One thread writes, sorted: the place of a slot's last record is where to look for the next.
  db.allow_concurrent_memtable_write = false;
  db.memtable_insert_with_hint_prefix_extractor.reset(
      rocksdb::NewFixedPrefixTransform(sizeof(SlotIndex)));
  db.bytes_per_sync = size_t{1} << 20;
  db.compression = rocksdb::kLZ4Compression;
  db.level_compaction_dynamic_level_bytes = true;
  db.info_log = std::make_shared<NoLog>();
  db.statistics = rep_->statistics = rocksdb::CreateDBStatistics();
  rep_->statistics->set_stats_level(rocksdb::StatsLevel::kExceptDetailedTimers);
  rep_->cache = rocksdb::NewLRUCache(options.cache_bytes);
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rep_->cache;
  table.block_size = options.is_scratch ? kScratchBlockBytes : kBlockBytes;
  table.format_version = 5;
  // A key is looked for in the files that have it, and not in those above them.
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(kFilterBitsPerKey));
  db.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  if (options.files != nullptr) {
    rep_->env = rocksdb::NewCompositeEnv(options.files);
    db.env = rep_->env.get();
  }
  // What it tidies gives way to what clients wait for.
  db.env->LowerThreadPoolCPUPriority(rocksdb::Env::LOW);
  rocksdb::DB* opened = nullptr;
  rocksdb::Status status = rocksdb::DB::Open(db, options.path, &opened);
  rep_->db.reset(opened);
  std::string damage;
  if (status.IsCorruption()) damage = find_damage(options.path, LogPart::kAll);
  return damage.empty() ? refusal(status) : damage;
}

void RocksStore::close() {
  std::unique_lock lock(rep_->mutex);
  if (rep_->db == nullptr) return;
  rep_->db->Close().PermitUncheckedError();
  rep_->db.reset();
}

std::string RocksStore::write(Batch& batch, bool sync) {
  std::shared_lock lock(rep_->mutex);
  if (rep_->db == nullptr) return std::string(kIsShut);
  rocksdb::WriteOptions options;
  options.sync = sync;
  options.disableWAL = options_.is_scratch;
  return text(rep_->db->Write(options, &batch.rep_->batch));
}

// By new files, not by a deletion of all records, which the old files would go on to hold.
std::string RocksStore::erase_all() {
  std::unique_lock lock(rep_->mutex);
  if (rep_->db != nullptr) rep_->db->Close().PermitUncheckedError();
  rep_->db.reset();
  std::string why = text(rocksdb::DestroyDB(options_.path, rocksdb::Options()));
  return why.empty() ? open_files() : why;
}

std::string RocksStore::sync() {
  std::shared_lock lock(rep_->mutex);
  if (rep_->db == nullptr) return std::string(kIsShut);
  return text(rep_->db->SyncWAL());
}

std::string RocksStore::shorten_log() {
  constexpr uint64_t kWorthBytes = 256 << 10;
  std::shared_lock lock(rep_->mutex);
  if (rep_->db == nullptr) return std::string(kIsShut);
  uint64_t bytes = 0;
  rep_->db->GetIntProperty(rocksdb::DB::Properties::kCurSizeActiveMemTable, &bytes);
  if (bytes < kWorthBytes) return {};
  return text(rep_->db->Flush(rocksdb::FlushOptions()));
}

std::string RocksStore::resume(bool* forgets) {
  *forgets = false;
  {
    std::shared_lock lock(rep_->mutex);
    rocksdb::Status status;
    if (rep_->db != nullptr) status = rep_->db->Resume();
    if (rep_->db != nullptr && status.ok()) return {};
    if (options_.is_scratch) return text(status);
  }
  // Some failures RocksDB only gets over by being opened again.
  *forgets = true;
  std::unique_lock lock(rep_->mutex);
  if (rep_->db != nullptr) rep_->db->Close().PermitUncheckedError();
  rep_->db.reset();
  return open_files();
}

std::string RocksStore::look() const {
  std::error_code error;
  if (std::filesystem::exists(options_.path + "/CURRENT", error)) return {};
  return options_.path + " is gone";
}

std::string RocksStore::get(std::string_view name, std::string* bytes) {
  std::shared_lock lock(rep_->mutex);
  if (rep_->db == nullptr) return std::string(kIsShut);
  bytes->clear();
  rocksdb::Status status = rep_->db->Get({}, other_key(name), bytes);
  return status.IsNotFound() ? std::string() : text(status);
}

void RocksStore::read_keys(std::span<KeyRead> keys) {
  std::shared_lock lock(rep_->mutex);
  std::vector<std::string> names;
  std::vector<rocksdb::Slice> slices;
  names.reserve(keys.size());
  for (const KeyRead& key : keys) {
    names.push_back(key_of(key.slot, key.db, key.name));
    slices.emplace_back(names.back());
  }
  if (rep_->db == nullptr) {
    for (KeyRead& key : keys) key.failure = kIsShut;
    return;
  }
  std::vector<std::string> values;
  std::vector<rocksdb::Status> statuses = rep_->db->MultiGet({}, slices, &values);
  for (size_t i = 0; i < keys.size(); ++i) {
    if (!statuses[i].IsNotFound()) keys[i].failure = text(statuses[i]);
    keys[i].bytes = std::move(values[i]);
  }
}

std::string RocksStore::read_slot(SlotIndex slot, const Visit& visit) {
  std::shared_lock lock(rep_->mutex);
  if (rep_->db == nullptr) return std::string(kIsShut);
  std::string begin;
  append_slot(slot, &begin);
  std::string end;
  append_slot(static_cast<SlotIndex>(slot + 1), &end);
  rocksdb::Slice upper(end);
  rocksdb::ReadOptions options;
  options.iterate_upper_bound = &upper;
  options.fill_cache = false;
  std::unique_ptr<rocksdb::Iterator> each(rep_->db->NewIterator(options));
  for (each->Seek(begin); each->Valid(); each->Next()) {
    std::string_view key = view(each->key());
    if (each->value().empty()) continue;
    visit(static_cast<unsigned char>(key[2]), key.substr(kKeyHeadBytes), view(each->value()));
  }
  return text(each->status());
}

std::string RocksStore::erase_slot(SlotIndex slot, Batch* batch) {
  return read_slot(
      slot, [&](int db, std::string_view name, std::string_view) { batch->erase(slot, db, name); });
}

std::string RocksStore::snapshot(const std::string& path) {
  std::shared_lock lock(rep_->mutex);
  if (rep_->db == nullptr) return std::string(kIsShut);
  rocksdb::Checkpoint* made = nullptr;
  rocksdb::Status status = rocksdb::Checkpoint::Create(rep_->db.get(), &made);
  std::unique_ptr<rocksdb::Checkpoint> checkpoint(made);
  return text(status.ok() ? checkpoint->CreateCheckpoint(path) : status);
}

std::string RocksStore::compact() {
  std::shared_lock lock(rep_->mutex);
  if (rep_->db == nullptr) return std::string(kIsShut);
  rocksdb::CompactRangeOptions options;
  options.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForceOptimized;
  // The first pass folds records to nothing, the second one drops them.
  rocksdb::Status status = rep_->db->CompactRange(options, nullptr, nullptr);
  options.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForce;
  return text(status.ok() ? rep_->db->CompactRange(options, nullptr, nullptr) : status);
}

void RocksStore::end_compacting() {
  std::shared_lock lock(rep_->mutex);
  if (rep_->db == nullptr) return;
  rep_->db->DisableManualCompaction();
}

Stamp RocksStore::set_flushed(int db, Stamp stamp) {
  std::atomic<Stamp>& flushed = bounds_->flushed[static_cast<size_t>(db)];
  Stamp before = flushed.load();
  while (before < stamp && !flushed.compare_exchange_weak(before, stamp)) {
  }
  return std::max(before, stamp);
}

RocksStore::Figures RocksStore::figures() const {
  std::shared_lock lock(rep_->mutex, std::try_to_lock);
  if (!lock || rep_->db == nullptr) return {};
  auto number = [this](const rocksdb::Slice& name) {
    uint64_t value = 0;
    return rep_->db->GetIntProperty(name, &value) ? value : 0;
  };
  Figures figures;
  figures.disk_bytes = number(rocksdb::DB::Properties::kTotalSstFilesSize);
  figures.memory_bytes = number(rocksdb::DB::Properties::kCurSizeAllMemTables) +
                         number(rocksdb::DB::Properties::kEstimateTableReadersMem) +
                         rep_->cache->GetUsage();
  figures.keys_estimate = number(rocksdb::DB::Properties::kEstimateNumKeys);
  figures.compaction_debt_bytes = number(rocksdb::DB::Properties::kEstimatePendingCompactionBytes);
  figures.is_delayed = number(rocksdb::DB::Properties::kActualDelayedWriteRate) != 0 ||
                       number(rocksdb::DB::Properties::kIsWriteStopped) != 0;
  figures.cache_hits = rep_->statistics->getTickerCount(rocksdb::BLOCK_CACHE_HIT);
  figures.cache_misses = rep_->statistics->getTickerCount(rocksdb::BLOCK_CACHE_MISS);
  return figures;
}

}  // namespace dyno

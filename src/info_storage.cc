// SPDX-License-Identifier: Apache-2.0
//
// INFO persistence: the data on disk, under Redis' names for what they know and ours for the rest.
#include "engine/keyspace.h"
#include "engine/stats.h"
#include "src/info_section.h"
#include "src/scratch_values.h"
#include "src/server.h"
#include "src/spill.h"
#include "src/storage.h"

namespace dyno {
namespace {

void add_store(const RocksStore::Figures& store, Section& s) {
  s.add("storage_disk_bytes", store.disk_bytes);
  s.add("storage_memory_bytes", store.memory_bytes);
  s.add("storage_compaction_debt_bytes", store.compaction_debt_bytes);
  s.add("storage_writes_delayed", store.is_delayed ? 1 : 0);
  s.add("storage_cache_hits", store.cache_hits);
  s.add("storage_cache_misses", store.cache_misses);
}

void add_storage(Storage& storage, const WriteLog::Figures& log, Section& s) {
  s.add("storage_queue_bytes", log.queue_bytes);
  s.add("storage_appended_bytes", log.appended_bytes);
  s.add("storage_batches", log.batches);
  s.add("storage_syncs", log.syncs);
  s.add("storage_failures", log.failures);
  s.add("storage_dirty_slots", log.dirty_slots);
  s.add("storage_failing_since", log.failing_since_ms / 1000);
  s.add("storage_last_error", log.reason);
  s.add("storage_slots_read", storage.warm_up().slots_done());
  s.add("storage_keys_read", storage.warm_up().keys_read());
  s.add("storage_refused_records", storage.refused_records());
  add_store(storage.store_figures(), s);
}

void add_spill(Spill& spill, Section& s) {
  Spill::Figures figures = spill.figures();
  s.add("storage_cold_keys", Keyspace::cold_count());
  s.add("storage_values_moved", figures.moved);
  s.add("storage_moves_in_vain", figures.kept);
  s.add("storage_values_read", figures.read);
  s.add("storage_read_usec", figures.read_us);
  s.add("storage_read_usec_max", figures.read_us_max);
  s.add("storage_values_wanted", figures.wanted);
  s.add("storage_values_not_read", figures.read_failures);
  s.add("storage_is_stuck", figures.is_stuck ? 1 : 0);
}

void add_scratch_values(const ScratchValues& values, Section& s) {
  ScratchValues::Figures figures = values.figures();
  s.add("storage_values_written", figures.written);
  s.add("storage_written_bytes", figures.written_bytes);
  s.add("storage_failures", figures.failures);
  s.add("storage_records_not_erased", figures.forgotten_lost);
  s.add("storage_last_error", figures.write_failure);
  add_store(figures.store, s);
}

}  // namespace

void add_persistence(Server& server, std::string* text) {
  Storage* storage = server.storage();
  Storage::SnapshotState saved;
  WriteLog::Figures log;
  saved.saved_ms = server.started_ms();
  if (storage != nullptr) {
    saved = storage->snapshot_state();
    log = storage->log_figures();
  }
  Section s(text, "Persistence");
  s.add("loading", int64_t{0});
  s.add("async_loading", storage != nullptr && !storage->warm_up().is_done() ? 1 : 0);
  s.add("current_cow_peak", int64_t{0});
  s.add("current_cow_size", int64_t{0});
  s.add("rdb_changes_since_last_save", sum_stats([](ThreadStats& t) { return t.changes.get(); }));
  s.add("rdb_bgsave_in_progress", saved.is_running ? 1 : 0);
  s.add("rdb_last_save_time", saved.saved_ms / 1000);
  s.add("rdb_last_bgsave_status", saved.failure.empty() ? "ok" : "err");
  s.add("rdb_last_bgsave_time_sec", saved.took_ms < 0 ? -1 : saved.took_ms / 1000);
  s.add("rdb_current_bgsave_time_sec", int64_t{-1});
  s.add("rdb_saves", saved.count);
  s.add("aof_enabled", storage != nullptr ? 1 : 0);
  s.add("aof_rewrite_in_progress", int64_t{0});
  s.add("aof_rewrite_scheduled", int64_t{0});
  s.add("aof_last_bgrewrite_status", "ok");
  s.add("aof_last_write_status", log.failing_since_ms != 0 ? "err" : "ok");
  if (storage != nullptr) add_storage(*storage, log, s);
  if (server.spill() != nullptr) add_spill(*server.spill(), s);
  if (server.scratch_values() != nullptr) add_scratch_values(*server.scratch_values(), s);
}

}  // namespace dyno

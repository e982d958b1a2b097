// SPDX-License-Identifier: Apache-2.0
#include "src/scratch_values.h"

#include <algorithm>
#include <utility>

#include "engine/disk/cold_value.h"
#include "engine/disk/state_loader.h"
#include "src/server.h"
#include "src/storage.h"

namespace dyno {
namespace {

// Records to be erased that are remembered.
constexpr size_t kForgottenMax = size_t{1} << 20;

}  // namespace

std::string ScratchValues::open() {
  RocksStore::Options options = store_options(server_, "spill");
  options.is_scratch = true;
  std::string why = store_.open(options);
  if (!why.empty()) return "storage: " + options.path + ": " + why;
  return {};
}

// Of a value with a copy nothing is written, and no other value has this mark.
bool ScratchValues::mark(Key& key, std::string* mark) {
  if (replica_ != nullptr && !may_go(*replica_, key)) return false;
  return key.entry()->has_copy() ? is_worth_disk(key.entry()) : save_cold_value(key, mark);
}

bool ScratchValues::restore(Key& key, std::string_view bytes) {
  return restore_cold_value(key, bytes);
}

std::string ScratchValues::write(const std::vector<Leaving>& values) {
  std::vector<ColdName> forgotten;
  bool forgets_all = false;
  bool is_failing = false;
  {
    std::lock_guard lock(mutex_);
    forgotten.swap(forgotten_);
    forgets_all = std::exchange(forgets_all_, false);
    is_failing = !figures_.write_failure.empty();
  }
  bool has_new = std::any_of(values.begin(), values.end(),
                             [](const Leaving& each) { return !each.mark.empty(); });
  if (!has_new && forgotten.empty() && !forgets_all && !is_failing) return {};
  bool forgets_data = false;
  if (is_failing) (void)store_.resume(&forgets_data);
  // What is written comes last: a key of the batch may have been cold, and used since.
  RocksStore::Batch records;
  for (const ColdName& name : forgotten) records.erase(name.slot, name.db, name.text);
  uint64_t bytes = 0;
  uint64_t written = 0;
  for (const Leaving& each : values) {
    if (each.mark.empty()) continue;
    ++written;
    records.put_value(each.name.slot, each.name.db, each.name.text, each.mark);
    bytes += each.mark.size();
  }
  std::string failure;
  if (forgets_all) failure = store_.erase_all();
  if (failure.empty()) failure = store_.write(records, false);
  {
    std::lock_guard lock(mutex_);
    if (failure.empty()) {
      figures_.written_bytes += bytes;
      figures_.written += written;
    } else {
      forgets_all_ |= forgets_all;
      forgotten_.insert(forgotten_.end(), forgotten.begin(), forgotten.end());
    }
  }
  note_write(failure);
  return failure;
}

void ScratchValues::note_write(const std::string& failure) {
  {
    std::lock_guard lock(mutex_);
    if (!failure.empty()) ++figures_.failures;
    if (std::exchange(figures_.write_failure, failure).empty() == failure.empty()) return;
  }
  server_.refuse_writes(failure);
  server_.log().write(
      failure.empty() ? LogLevel::kNotice : LogLevel::kWarning,
      failure.empty() ? "the disk takes values again" : "values cannot be moved to disk",
      {{"error", failure}});
}

void ScratchValues::forget(const ColdName& name) {
  std::lock_guard lock(mutex_);
  if (forgotten_.size() >= kForgottenMax) {
    ++figures_.forgotten_lost;
    return;
  }
  forgotten_.push_back(name);
}

void ScratchValues::forget_all() {
  std::lock_guard lock(mutex_);
  forgotten_.clear();
  forgets_all_ = true;
}

ScratchValues::Figures ScratchValues::figures() const {
  Figures figures;
  {
    std::lock_guard lock(mutex_);
    figures = figures_;
  }
  figures.store = store_.figures();
  return figures;
}

}  // namespace dyno

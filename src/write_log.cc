// SPDX-License-Identifier: Apache-2.0
#include "src/write_log.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <deque>
#include <mutex>
#include <tuple>
#include <utility>
#include <vector>

#include "engine/disk/cold_value.h"
#include "engine/replica/delta.h"
#include "engine/replica/key_export.h"
#include "engine/replica/merge.h"
#include "protocol/check.h"
#include "src/event_loop.h"
#include "src/thread_name.h"

namespace dyno {
namespace {

constexpr int64_t kSyncEveryMs = 1000;
// How long what is known goes on until a disk that is written nothing else is told of it.
constexpr int64_t kTellEveryMs = 5000;
constexpr auto kAttempt = std::chrono::milliseconds(500);
// Where nobody waits for the disk, frames gather for so long: a write costs no wake-up, and a batch
// that is large enough to be sorted costs RocksDB half.
constexpr auto kGather = std::chrono::milliseconds(100);
// But no more than this.
constexpr size_t kGatherBytes = size_t{8} << 20;
// States that are written anew go out in batches of about this.
constexpr size_t kBatchBytes = size_t{4} << 20;

thread_local uint64_t thread_position = 0;

std::string bytes_of(Stamp stamp) {
  std::string bytes(sizeof(stamp), '\0');
  std::memcpy(bytes.data(), &stamp, sizeof(stamp));
  return bytes;
}

// Calls visit(delta, frame, whether it is the frame's only one) for frames of this process that lie
// one behind the other.
template <class Visit>
void for_each_delta(std::string_view frames, Visit&& visit) {
  std::vector<Delta> deltas;
  while (!frames.empty()) {
    size_t size = frame_bytes(frames.substr(0, kFrameHeadBytesMax));
    DYNO_CHECK(size != 0 && size <= frames.size());
    std::string_view frame = frames.substr(0, size);
    frames.remove_prefix(size);
    deltas.clear();
    std::string refused = read_frame(frame, &deltas);
    DYNO_CHECK(refused.empty());
    for (const Delta& delta : deltas) visit(delta, frame, deltas.size() == 1);
  }
}

}  // namespace

std::string WriteLog::flush_name(int db) {
  return "flush:" + std::to_string(db);
}

Stamp WriteLog::stamp_of(std::string_view bytes) {
  Stamp stamp = 0;
  if (bytes.size() == sizeof(stamp)) std::memcpy(&stamp, bytes.data(), sizeof(stamp));
  return stamp;
}

std::string WriteLog::bytes_of_known(const Known& known) {
  return bytes_of(known.complete) + bytes_of(known.horizon);
}

bool WriteLog::read_known(std::string_view bytes, Known* known) {
  if (bytes.size() != 2 * sizeof(Stamp)) return false;
  known->complete = stamp_of(bytes.substr(0, sizeof(Stamp)));
  known->horizon = stamp_of(bytes.substr(sizeof(Stamp)));
  return true;
}

WriteLog::WriteLog(Replica& replica, RocksStore& store, const Config::Storage& config,
                   size_t queue_bytes_max, const Log& log)
    : replica_(replica),
      store_(store),
      config_(config),
      queue_bytes_max_(queue_bytes_max),
      gather_bytes_(std::min(kGatherBytes, queue_bytes_max / 2)),
      log_(log) {}

WriteLog::~WriteLog() {
  stop();
}

void WriteLog::start(std::function<void()> on_progress, std::function<void(std::string)> on_state) {
  on_progress_ = std::move(on_progress);
  on_state_ = std::move(on_state);
  thread_ = std::thread([this] { run(); });
}

void WriteLog::stop() {
  if (!thread_.joinable()) return;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

bool WriteLog::replies_wait() const {
  return config_.fsync.load(std::memory_order_relaxed) != StorageFsync::kEverysec;
}

void WriteLog::append(std::span<const std::string_view> frames) {
  bool wake = false;
  {
    std::lock_guard lock(mutex_);
    for (std::string_view frame : frames) {
      appended_ += frame.size();
      if (failing_.load(std::memory_order_relaxed)) {
        mark_dirty(frame);
      } else {
        queue_.append(frame);
      }
    }
    thread_position = appended_;
    queued_.store(queue_.size(), std::memory_order_relaxed);
    if (is_waiting_ || (is_gathering_ && queue_.size() >= gather_bytes_)) {
      wake = true;
      is_waiting_ = is_gathering_ = false;
    }
  }
  if (wake) wake_.notify_one();
}

void WriteLog::replace_slot(SlotIndex slot, std::string_view frames) {
  {
    std::lock_guard lock(mutex_);
    if (failing_.load(std::memory_order_relaxed)) {
      mark_replaced(std::array{Replacement{0, slot}});
    } else {
      replacements_.push_back({queue_.size(), slot});
    }
  }
  append({&frames, 1});
}

Stamp WriteLog::keep_known(Stamp known, Stamp horizon) {
  std::lock_guard lock(mutex_);
  known_.complete = std::max(known_.complete, known);
  known_.horizon = std::max(known_.horizon, horizon);
  return std::min(known, safe_known_.load());
}

void WriteLog::begin(const Known& known) {
  known_ = written_known_ = known;
  safe_known_.store(known.complete);
  safe_horizon_.store(known.horizon);
}

void WriteLog::look() {
  {
    std::lock_guard lock(mutex_);
    looks_ = true;
  }
  wake_.notify_one();
}

uint64_t WriteLog::position_of_thread() {
  return thread_position;
}

uint64_t WriteLog::appended() const {
  std::lock_guard lock(mutex_);
  return appended_;
}

bool WriteLog::drain(int64_t timeout_ms, uint64_t position) {
  std::unique_lock lock(mutex_);
  position = std::min(position, appended_);
  auto is_written = [&] { return safe() >= position && !failing_.load() && !is_restoring_; };
  if (is_written()) return true;
  hurries_ = true;
  wake_.notify_one();
  return written_.wait_for(lock, std::chrono::milliseconds(timeout_ms), is_written);
}

WriteLog::Figures WriteLog::figures() const {
  std::lock_guard lock(mutex_);
  return {.queue_bytes = queue_.size(),
          .appended_bytes = appended_,
          .batches = batches_.load(),
          .syncs = syncs_.load(),
          .failures = failures_.load(),
          .dirty_slots = dirty_.count(),
          .failing_since_ms = failing_since_ms_,
          .reason = reason_};
}

// --- The thread ---------------------------------------------------------------------------------

bool WriteLog::wait(std::unique_lock<std::mutex>& lock) {
  bool failing = failing_.load();
  bool is_asked_for = replies_wait() && !failing;
  bool is_idle = queue_.empty() && !is_unsynced_ && !failing;
  bool gathers = queue_.empty() || !(is_asked_for || hurries_);
  if (!stopping_ && queue_.size() < gather_bytes_ && gathers) {
    bool wakes = is_idle || is_asked_for;
    is_waiting_ = wakes;
    is_gathering_ = true;
    auto is_woken = [&] {
      bool is_hurried = hurries_ && !queue_.empty();
      return stopping_ || looks_ || is_hurried || !is_gathering_ || (wakes && !is_waiting_);
    };
    is_idle ? wake_.wait(lock, is_woken)
            : static_cast<void>(wake_.wait_for(lock, failing ? kAttempt : kGather, is_woken));
    is_waiting_ = is_gathering_ = false;
  }
  return !stopping_ || !queue_.empty();
}

void WriteLog::run() {
  name_thread("write_log");
  while (true) {
    uint64_t upto = 0;
    bool looks = false;
    bool had_no_room = false;
    Known known;
    {
      std::unique_lock lock(mutex_);
      if (!wait(lock)) break;
      looks = std::exchange(looks_, false);
      writing_.clear();
      writing_.swap(queue_);
      replacing_ = std::exchange(replacements_, {});
      known = known_;
      hurries_ = false;
      upto = appended_;
      had_no_room = is_full();
      queued_.store(0, std::memory_order_relaxed);
    }
    // Who waits for room does not wait for all of this to be written.
    if (had_no_room) on_progress_();
    std::string gone;
    if (looks && !failing_.load()) gone = store_.look();
    if (failing_.load()) {
      recover();
    } else if (!gone.empty()) {
      fail(gone, writing_, replacing_);
    } else {
      int64_t untold_ms = stamp_ms(known.complete) - stamp_ms(written_known_.complete);
      bool tells = looks && untold_ms >= kTellEveryMs;
      if (!writing_.empty() || !replacing_.empty() || tells) write(upto, known);
    }
    sync_if_due();
    // The two buffers change places; neither keeps what it once grew to.
    if (writing_.capacity() > queue_bytes_max_) std::string().swap(writing_);
  }
  if (failing_.load()) recover();
  if (is_unsynced_ && !failing_.load()) {
    if (std::string why = store_.sync(); !why.empty()) fail(why, {});
  }
}

void WriteLog::write(uint64_t upto, const Known& known) {
  RocksStore::Batch batch;
  std::string_view frames = writing_;
  size_t added = 0;
  for (const Replacement& replacement : replacing_) {
    // What goes with the slot is to be there before it is looked for.
    add(frames.substr(added, replacement.offset - added), &batch);
    std::string why = store_.write(batch, false);
    batch.clear();
    if (why.empty()) why = store_.erase_slot(replacement.slot, &batch);
    if (!why.empty()) return fail(why, writing_, replacing_);
    added = replacement.offset;
  }
  add(frames.substr(added), &batch);
  add_clock(&batch);
  if (known.complete > written_known_.complete) batch.put(kKnownName, bytes_of_known(known));
  bool sync = config_.fsync.load(std::memory_order_relaxed) == StorageFsync::kAlways;
  std::string why = store_.write(batch, sync);
  if (!why.empty()) return fail(why, writing_, replacing_);
  batches_.fetch_add(1, std::memory_order_relaxed);
  if (sync) syncs_.fetch_add(1, std::memory_order_relaxed);
  is_unsynced_ = !sync;
  written_known_ = known;
  if (replies_wait()) tell_known();
  advance(upto);
}

// What was written of it is as safe as it is to be.
void WriteLog::tell_known() {
  safe_known_.store(written_known_.complete);
  safe_horizon_.store(written_known_.horizon);
}

void WriteLog::advance(uint64_t position) {
  {
    // Whoever drains looks under the lock.
    std::lock_guard lock(mutex_);
    safe_.store(position, std::memory_order_release);
  }
  written_.notify_all();
  on_progress_();
}

void WriteLog::sync_if_due() {
  if (!is_unsynced_ || failing_.load()) return;
  if (config_.fsync.load(std::memory_order_relaxed) == StorageFsync::kNo) {
    is_unsynced_ = false;
    return;
  }
  int64_t now_ms = monotonic_us() / 1000;
  if (now_ms - last_sync_ms_ < kSyncEveryMs) return;
  last_sync_ms_ = now_ms;
  if (std::string why = store_.sync(); !why.empty()) return fail(why, {});
  syncs_.fetch_add(1, std::memory_order_relaxed);
  is_unsynced_ = false;
  tell_known();
}

// --- Records ------------------------------------------------------------------------------------

void WriteLog::add(std::string_view frames, RocksStore::Batch* batch) {
  struct Record {
    SlotIndex slot;
    uint8_t db;
    std::string_view name;
    std::string_view frame;
  };
  std::vector<Record> records;
  std::deque<std::string> parts;  // Of frames of several keys.
  FrameWriter alone;
  for_each_delta(frames, [&](const Delta& delta, std::string_view frame, bool is_only) {
    if (is_flush(delta)) return add_flush(delta.db, delta.facts[0].stamp, batch);
    if (!is_only) {
      alone.clear();
      for (const Fact& fact : delta.facts) alone.add(delta.db, delta.key, fact);
      frame = parts.emplace_back(alone.finish());
    }
    SlotIndex slot = replica_.keyspace().hash(delta.key).slot();
    records.push_back({slot, static_cast<uint8_t>(delta.db), delta.key, frame});
  });
  // RocksDB finds the place of a record quickly from that of its neighbour.
  std::stable_sort(records.begin(), records.end(), [](const Record& a, const Record& b) {
    return std::tie(a.slot, a.db, a.name) < std::tie(b.slot, b.db, b.name);
  });
  for (const Record& each : records) batch->merge(each.slot, each.db, each.name, each.frame);
}

void WriteLog::add_flush(int db, Stamp stamp, RocksStore::Batch* batch) {
  batch->put(flush_name(db), bytes_of(store_.set_flushed(db, stamp)));
  flushed_.store(true);
}

void WriteLog::add_clock(RocksStore::Batch* batch) {
  batch->put(kClockName, bytes_of(replica_.clock().last()));
}

// --- Failure ------------------------------------------------------------------------------------

// mutex_ is held.
void WriteLog::mark_replaced(std::span<const Replacement> replacements) {
  for (const Replacement& replacement : replacements) {
    dirty_.set(replacement.slot);
    replaced_.set(replacement.slot);
  }
}

// mutex_ is held.
void WriteLog::mark_dirty(std::string_view frames) {
  for_each_delta(frames, [this](const Delta& delta, std::string_view, bool) {
    // Flushes are all written anew whatever was missed.
    if (!is_flush(delta)) dirty_.set(replica_.keyspace().hash(delta.key).slot());
  });
}

void WriteLog::fail(const std::string& reason, std::string_view unwritten,
                    std::span<const Replacement> replacements) {
  failures_.fetch_add(1, std::memory_order_relaxed);
  bool is_new = false;
  {
    std::lock_guard lock(mutex_);
    is_new = failing_since_ms_ == 0;
    if (is_new) failing_since_ms_ = unix_time_ms();
    failing_.store(true);
    reason_ = reason;
    mark_dirty(unwritten);
    mark_replaced(replacements);
    mark_dirty(queue_);
    mark_replaced(std::exchange(replacements_, {}));
    queue_.clear();
    queued_.store(0, std::memory_order_relaxed);
  }
  on_state_(reason);
  // Whoever waits for room in the queue is refused now.
  on_progress_();
  if (!is_new) return;
  log_.write(LogLevel::kWarning, "the disk fails: writes are refused, reads go on",
             {{"error", reason}});
}

void WriteLog::recover() {
  if (std::string why = store_.look(); !why.empty()) return fail(why, {});
  bool forgets = false;
  if (std::string why = store_.resume(&forgets); !why.empty()) return fail(why, {});
  std::bitset<kSlotCount> slots;
  std::bitset<kSlotCount> replaced;
  uint64_t upto = 0;
  {
    // From here on frames are queued again: each is in the queue, or in the state of a slot.
    std::lock_guard lock(mutex_);
    failing_.store(false);
    is_restoring_ = true;
    if (forgets) dirty_.set();
    slots = std::exchange(dirty_, {});
    replaced = std::exchange(replaced_, {});
    upto = appended_;
  }
  if (std::string why = write_dirty(slots, replaced); !why.empty()) {
    {
      std::lock_guard lock(mutex_);
      dirty_ |= slots;
      replaced_ |= replaced;
      is_restoring_ = false;
      failing_.store(true);
    }
    return fail(why, {});
  }
  // Whoever hears that it works again may write.
  on_state_({});
  int64_t since_ms = 0;
  {
    std::lock_guard lock(mutex_);
    is_restoring_ = false;
    since_ms = std::exchange(failing_since_ms_, 0);
    reason_.clear();
  }
  is_unsynced_ = false;
  log_.write(LogLevel::kNotice, "the disk takes writes again",
             {{"after_ms", std::to_string(unix_time_ms() - since_ms)},
              {"slots_written_anew", std::to_string(slots.count())}});
  advance(upto);
}

std::string WriteLog::write_dirty(const std::bitset<kSlotCount>& slots,
                                  const std::bitset<kSlotCount>& replaced) {
  RocksStore::Batch batch;
  for (size_t i = 0; i < slots.size(); ++i) {
    if (!slots[i]) continue;
    auto index = static_cast<SlotIndex>(i);
    if (replaced[i]) {
      if (std::string why = store_.erase_slot(index, &batch); !why.empty()) return why;
    }
    {
      std::lock_guard lock(replica_.keyspace().slot(index).lock);
      for (const NamedKey& key : replicated_keys(replica_, index, -1)) {
        // What is known of a cold key was on the disk before it became one.
        const Keyspace& keyspace = replica_.keyspace();
        if (keyspace.is_cold(keyspace.hash(key.name), key.db, key.name)) continue;
        FrameWriter state;
        export_key(replica_, key.db, key.name, unix_time_ms(), &state);
        if (!state.empty()) batch.merge(index, key.db, key.name, state.finish());
      }
    }
    if (batch.byte_count() < kBatchBytes) continue;
    if (std::string why = store_.write(batch, false); !why.empty()) return why;
    batch.clear();
  }
  for (int db = 0; db < ReplicaSlot::kDatabases; ++db) {
    std::lock_guard lock(replica_.keyspace().slot(0).lock);
    Stamp flushed = replica_.slot(0).flushed(db);
    if (flushed != 0) add_flush(db, flushed, &batch);
  }
  add_clock(&batch);
  return store_.write(batch, true);
}

}  // namespace dyno

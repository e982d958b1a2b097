// SPDX-License-Identifier: Apache-2.0
//
// The way of writes to the disk: threads append the frames of what they wrote, one thread writes
// them in batches, however many there are by then, and says how far the disk has got.
//
//   position   bytes of frames appended so far; what a reply waits for
//   safe       position up to which storage.fsync's promise holds: at `always` on the disk, at `no`
//              in the hands of the system. At `everysec` nobody waits.
//
// When the disk fails, commands that write are refused with the reason, and reads go on. What had
// not reached the disk, and what the ring or expiry still changes, is kept as a set of slots, which
// are written anew, from memory, when the disk takes writes again; it is tried twice a second. A
// failed sync is never repeated as if nothing had happened: RocksDB begins a new log.
#pragma once

#include <atomic>
#include <bitset>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "engine/disk/rocks_store.h"
#include "engine/replica/replica.h"
#include "src/config.h"
#include "src/log.h"

namespace dyno {

class WriteLog final : public FrameLog {
 public:
  // Names of records beside the keys': the largest stamp given out, what keep_known() was told, and
  // when databases were flushed.
  static constexpr std::string_view kClockName = "clock";
  static constexpr std::string_view kKnownName = "known";
  [[nodiscard]] static std::string flush_name(int db);
  // What such a record holds; 0: there is none.
  [[nodiscard]] static Stamp stamp_of(std::string_view bytes);

  // Of all of the data: see ring/completeness.h.
  struct Known {
    Stamp complete = 0;
    Stamp horizon = 0;
  };
  [[nodiscard]] static std::string bytes_of_known(const Known& known);
  // False when the bytes are none.
  [[nodiscard]] static bool read_known(std::string_view bytes, Known* known);

  struct Figures {
    uint64_t queue_bytes = 0;
    uint64_t appended_bytes = 0;
    uint64_t batches = 0;
    uint64_t syncs = 0;
    uint64_t failures = 0;
    uint64_t dirty_slots = 0;
    int64_t failing_since_ms = 0;  // Unix time, 0: it is not.
    std::string reason;
  };

  WriteLog(Replica& replica, RocksStore& store, const Config::Storage& config,
           size_t queue_bytes_max, const Log& log);
  ~WriteLog() override;

  // By the writing thread: `on_progress` whenever safe() has grown or the queue has room again,
  // `on_state` with the reason when the disk fails, and with nothing when it no longer does.
  void start(std::function<void()> on_progress, std::function<void(std::string)> on_state);
  // Writes all that was appended, syncs, and ends the thread.
  void stop();

  // Any thread. What is appended at once becomes durable at once.
  void append(std::span<const std::string_view> frames) override;
  void replace_slot(SlotIndex slot, std::string_view frames) override;
  // What is known is written with the next frames, or by itself once that is some seconds ago.
  [[nodiscard]] Stamp keep_known(Stamp known, Stamp horizon) override;
  // What the directory has of that. Before start().
  void begin(const Known& known);
  // What a restart would find to be the horizon.
  [[nodiscard]] Stamp safe_horizon() const { return safe_horizon_.load(); }

  // Whether replies to writes wait until safe() has reached them.
  [[nodiscard]] bool replies_wait() const;
  // Behind the calling thread's last append().
  [[nodiscard]] static uint64_t position_of_thread();
  [[nodiscard]] uint64_t appended() const;
  [[nodiscard]] uint64_t safe() const { return safe_.load(std::memory_order_acquire); }
  // Writers should wait for on_progress: the disk is too far behind.
  [[nodiscard]] bool has_room() override { return !is_full(); }
  [[nodiscard]] bool is_full() const {
    return queued_.load(std::memory_order_relaxed) >= queue_bytes_max_;
  }
  [[nodiscard]] bool is_failing() const { return failing_.load(std::memory_order_relaxed); }
  // Waits until what was appended before, up to `position`, is with the system, or for
  // `timeout_ms`. The thread gathers no more meanwhile.
  [[nodiscard]] bool drain(int64_t timeout_ms, uint64_t position = UINT64_MAX);
  // The thread looks whether the directory is still there.
  void look();
  // Whether a database was flushed since this was last asked.
  [[nodiscard]] bool take_flushed() { return flushed_.exchange(false); }
  [[nodiscard]] Figures figures() const;

 private:
  void run();
  // Waits until there may be something to do; false when all is done and the end is asked for.
  [[nodiscard]] bool wait(std::unique_lock<std::mutex>& lock);
  struct Replacement {
    size_t offset = 0;  // In the queue: what comes before goes with the slot.
    SlotIndex slot = 0;
  };

  void write(uint64_t upto, const Known& known);
  void tell_known();
  void sync_if_due();
  // Turns frames into records.
  void add(std::string_view frames, RocksStore::Batch* batch);
  void add_flush(int db, Stamp stamp, RocksStore::Batch* batch);
  void add_clock(RocksStore::Batch* batch);
  void fail(const std::string& reason, std::string_view unwritten,
            std::span<const Replacement> replacements = {});
  void mark_replaced(std::span<const Replacement> replacements);
  void mark_dirty(std::string_view frames);
  void recover();
  [[nodiscard]] std::string write_dirty(const std::bitset<kSlotCount>& slots,
                                        const std::bitset<kSlotCount>& replaced);
  void advance(uint64_t position);

  Replica& replica_;
  RocksStore& store_;
  const Config::Storage& config_;
  const size_t queue_bytes_max_;
  const size_t gather_bytes_;  // What is worth writing without waiting for more.
  const Log& log_;
  std::function<void()> on_progress_;
  std::function<void(std::string)> on_state_;
  std::thread thread_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable written_;
  std::string queue_;          // Guarded by mutex_, as is what follows.
  bool is_waiting_ = false;    // The thread waits for frames.
  bool is_gathering_ = false;  // It sleeps until there is enough to write.
  bool stopping_ = false;
  bool looks_ = false;
  bool hurries_ = false;       // Somebody waits for what is in the queue.
  bool is_restoring_ = false;  // Slots are written anew.
  uint64_t appended_ = 0;
  std::vector<Replacement> replacements_;
  std::bitset<kSlotCount> dirty_;
  std::bitset<kSlotCount> replaced_;  // Of them: what the disk has of them is to go.
  Known known_;
  std::string reason_;
  int64_t failing_since_ms_ = 0;

  std::atomic<uint64_t> queued_{0};
  std::atomic<uint64_t> safe_{0};
  std::atomic<bool> failing_{false};
  std::atomic<bool> flushed_{false};
  std::atomic<uint64_t> batches_{0};
  std::atomic<uint64_t> syncs_{0};
  std::atomic<uint64_t> failures_{0};
  std::atomic<Stamp> safe_known_{0};
  std::atomic<Stamp> safe_horizon_{0};
  // The thread's own.
  std::string writing_;
  std::vector<Replacement> replacing_;
  Known written_known_;
  bool is_unsynced_ = false;
  int64_t last_sync_ms_ = 0;
};

}  // namespace dyno

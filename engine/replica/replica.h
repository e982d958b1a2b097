// SPDX-License-Identifier: Apache-2.0
//
// One node's part in keeping copies equal: the replicated state of its 16384 slots, its clock and
// its identity. A node without replicas has none of it.
//
//   write here:   a command's effects -> Origin (origin.h) -> deltas -> FrameSink
//   write there:  a frame of deltas -> merge() (merge.h)
//   repair:       export_key() (key_export.h) there -> merge() here
//
// Slots are guarded by the locks of the keyspace's slots. Counts are atomic.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>

#include "engine/executor.h"
#include "engine/keyspace.h"
#include "engine/replica/replica_slot.h"
#include "engine/replica/slot_digest.h"
#include "engine/replica/stamp.h"

namespace dyno {

// Takes what this node wrote, to be sent to the replicas. Called by the thread that wrote, while
// the slots are locked; frames of one thread come in the order of their stamps.
class FrameSink {
 public:
  virtual ~FrameSink() = default;
  // All keys of the frame have the token. The frame is valid during the call.
  virtual void emit(Token token, Stamp stamp, std::string_view frame) = 0;
  // For every node: a database was flushed.
  virtual void emit_everywhere(Stamp stamp, std::string_view frame) = 0;
};

// Takes everything that changes the replicated state, to be kept: what this node wrote, and what it
// was told. Any thread, at times under slots' locks; it does not wait.
class FrameLog {
 public:
  virtual ~FrameLog() = default;
  // Frames of one command: all of them are kept, or none. Valid during the call.
  virtual void append(std::span<const std::string_view> frames) = 0;
  // All that was kept of the slot's keys goes, and these frames come in its place. The slot is
  // locked.
  virtual void replace_slot(SlotIndex slot, std::string_view frames) = 0;
  // Everything written up to `known` was appended, and what was gone up to `horizon` may have been
  // forgotten. Returns up to where a restart would find that everything is known.
  virtual Stamp keep_known(Stamp known, Stamp horizon) = 0;
  // False while so much waits to be written that what others tell is to wait.
  [[nodiscard]] virtual bool has_room() { return true; }
};

// What faults a test can plant, to see that it would find them. All off in the process.
struct PlantedFaults {
  bool whole_key_wins = false;        // The later write of a key replaces all of its elements.
  bool no_generations = false;        // Counters go on with an observed total.
  bool observed_by_winner = false;    // Only the winning base's observed totals count.
  bool no_stamp_raise = false;        // The clock does not learn from peers.
  bool eviction_deletes_now = false;  // Eviction is a deletion of this moment.
  bool digest_without_deadlines = false;
};

class Replica {
 public:
  struct Counts {
    std::array<std::atomic<int64_t>, kTypeCount> conflicts{};  // By the type of the lost write.
    std::atomic<int64_t> type_conflicts{0};
    std::atomic<int64_t> tombstones{0};
    std::atomic<int64_t> records{0};
    std::atomic<int64_t> applied_facts{0};
    std::atomic<int64_t> late_facts{0};  // Facts that changed nothing.
  };
  // A write lost to a concurrent one; for a log. Called under the slot's lock.
  using ConflictLog = std::function<void(std::string_view key, Type type, Stamp lost)>;

  Replica(Executor& executor, uint8_t rack, uint32_t incarnation, uint64_t digest_secret);

  [[nodiscard]] Executor& executor() { return executor_; }
  [[nodiscard]] Keyspace& keyspace() { return executor_.keyspace(); }
  [[nodiscard]] HybridClock& clock() { return clock_; }
  [[nodiscard]] Actor actor() const { return actor_; }
  [[nodiscard]] const DigestHash& hash() const { return hash_; }
  [[nodiscard]] ReplicaSlot& slot(SlotIndex index) { return slots_[index]; }
  [[nodiscard]] Counts& counts() { return counts_; }

  void set_sink(FrameSink* sink) { sink_ = sink; }
  [[nodiscard]] FrameSink* sink() { return sink_; }
  void set_log(FrameLog* log) { log_ = log; }
  // Null where nothing is kept.
  [[nodiscard]] FrameLog* log() { return log_; }
  void set_conflict_log(ConflictLog log) { conflict_log_ = std::move(log); }
  void conflict(std::string_view key, Type type, Stamp lost) {
    if (type == kSketchType) type = Type::kString;
    counts_.conflicts[static_cast<size_t>(type)].fetch_add(1, std::memory_order_relaxed);
    if (conflict_log_) conflict_log_(key, type, lost);
  }

  // A node that was alone gets replicas while it serves. All that it holds is to have one stamp,
  // which this draws; until a slot is adopted its writes tell nobody and leave no stamps. Called
  // before the executor has the recorder, and before anything is merged.
  void begin_adoption(int64_t unix_ms);
  // Gives the slot's keys and elements that stamp, unless it was done, and from now on its writes
  // are recorded. Every command that began without the recorder has ended. Locks the slot.
  void adopt(SlotIndex index);
  void adopt_locked(SlotIndex index);

  // A database, or with -1 all of them, was flushed at `stamp`: what is older goes, with its
  // traces. All slots are locked. With the keys of the data set, or, when this node flushes,
  // without: the command empties it.
  void flush(int db, Stamp stamp, int64_t now_ms);
  void forget_flushed(int db, Stamp stamp);
  // Drops all that is kept of the slot's keys, but for when databases were flushed; the keys
  // themselves are gone already. The slot is locked.
  void forget_slot(SlotIndex index);
  // The same for one key, which is still there and goes with its state, as if it had never been.
  void forget_key(SlotIndex index, int db, std::string_view name);
  // Whether the database was flushed at `stamp` or later. Locks a slot.
  [[nodiscard]] bool has_flushed(int db, Stamp stamp);

  // Drops the traces of what was gone by `horizon`, up to which every replica has every write.
  // Locks the slot.
  void collect(SlotIndex index, Stamp horizon, int64_t unix_ms);

  // The digest as kept with every write. Locks the slot.
  [[nodiscard]] Digest digest(SlotIndex index);
  // The same computed from what the slot holds. Locks the slot.
  [[nodiscard]] Digest recomputed_digest(SlotIndex index);

  PlantedFaults faults;

 private:
  void forget_all(SlotIndex index, Stamp stamp);
  void release(uint64_t word);
  void flush_keys(SlotIndex index, int db, Stamp stamp, int64_t now_ms);
  void forget_keys(SlotIndex index, int db, Stamp stamp);

  Executor& executor_;
  HybridClock clock_;
  Stamp adoption_stamp_ = 0;
  Actor actor_;
  DigestHash hash_;
  std::unique_ptr<ReplicaSlot[]> slots_;
  Counts counts_;
  FrameSink* sink_ = nullptr;
  FrameLog* log_ = nullptr;
  ConflictLog conflict_log_;
};

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// The disk of a simulated process: the log that src/write_log.h keeps, as the system and the medium
// have it at one time.
//
//   appended   what changed the data, in order
//   handed     of it, what the system has: it survives the end of the process
//   synced     of it, what the medium has: it survives the loss of power. Of what was handed and
//   not
//              synced, as much from its beginning survives as chance will have it
//
// What is read back is each key's frames, folded as RocksDB folds them (delta_fold.h).
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/replica/replica.h"

namespace dyno::simulator {

class Disk final : public FrameLog {
 public:
  // `syncs_known`: what is known counts once it survives the loss of power.
  void use(bool syncs_known) { syncs_known_ = syncs_known; }
  void append(std::span<const std::string_view> frames) override;
  void replace_slot(SlotIndex slot, std::string_view frames) override;
  Stamp keep_known(Stamp known, Stamp horizon) override;

  // The thread of the log wakes up: `clock` is the largest stamp that the node has given out.
  void hand_over(Stamp clock);
  void sync() { synced_ = handed_; }

  // The process ends; the machine does, and `kept` of the records that might be lost are there.
  void end_process() { cut(handed_); }
  [[nodiscard]] size_t unsynced() const { return handed_ - synced_; }
  void lose_power(size_t kept) { cut(synced_ + kept); }
  void erase() { cut(0); }

  [[nodiscard]] bool is_empty() const { return records_.empty(); }
  [[nodiscard]] Stamp clock() const;
  [[nodiscard]] Stamp known() const { return known_at(records_.size()); }
  [[nodiscard]] Stamp horizon() const { return records_.empty() ? 0 : records_.back().horizon; }
  // visit(frame) with the folded state of each key.
  void read(uint64_t hash_seed, const std::function<void(std::string_view frame)>& visit) const;

 private:
  struct Change {
    std::string frames;
    int replaced_slot = -1;  // What was kept of it goes before.
  };
  // What is handed over together is there or not as a whole.
  struct Record {
    std::vector<Change> changes;
    Stamp clock = 0;
    Stamp known = 0;
    Stamp horizon = 0;
  };
  // As of the first `count` records.
  [[nodiscard]] Stamp known_at(size_t count) const {
    return count == 0 ? 0 : records_[count - 1].known;
  }
  void cut(size_t count);

  std::vector<Change> appended_;
  std::vector<Record> records_;
  size_t handed_ = 0;
  size_t synced_ = 0;
  Stamp known_ = 0;
  Stamp horizon_ = 0;
  bool syncs_known_ = false;
};

}  // namespace dyno::simulator

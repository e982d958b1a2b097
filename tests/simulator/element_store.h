// SPDX-License-Identifier: Apache-2.0
//
// The data of a simulated node: keys that hold elements, each with the stamp of the write that set
// or removed it last; the later stamp wins. Removed elements are kept until collect(). It is small
// enough to be obviously right, so that what the checks find is the ring's.
//
//   command := kind:u8 key 0 element 0 value 0 op
//   frames  := (size:u32 cell*)*       cell := key 0 element 0 stamp:u64 alive:u8 value 0
//   reply   := "+" stamp " " alive " " value
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "ring/store.h"
#include "tests/simulator/ledger.h"

namespace dyno::simulator {

class ElementStore : public Store {
 public:
  struct Cell {
    Stamp stamp = 0;
    bool alive = false;
    std::string value;
  };
  using Elements = std::map<std::string, Cell>;

  ElementStore(const Topology& topology, NodeIndex self, uint32_t incarnation, Ledger* ledger)
      : topology_(topology),
        self_(self),
        incarnation_(incarnation),
        ledger_(ledger),
        clock_(topology.node(self).rack_number) {}

  void set_time(int64_t unix_ms) { unix_ms_ = unix_ms; }
  [[nodiscard]] static std::string command_of(const Op& op);
  // Runs a command: the reply, and the frames that it wrote.
  std::string run(const std::string& command, std::vector<Frame>* frames);
  // Forgets what was removed up to this stamp.
  void collect(Stamp horizon);

  [[nodiscard]] const Cell* find(const std::string& key, const std::string& element) const;
  [[nodiscard]] const std::map<std::string, Elements>& keys() const { return keys_; }
  [[nodiscard]] size_t removed_count() const;

  Applied apply(std::string_view frames) override;
  Version version(const RequestKey& key) override;
  void export_key(const RequestKey& key, std::string* frames) override;
  SlotDigest digest(SlotIndex slot, TokenRange range) override;
  void list(SlotIndex slot, TokenRange range, std::vector<KeyDigest>* keys) override;
  size_t export_hashes(SlotIndex slot, TokenRange range, std::span<const uint64_t> hashes,
                       size_t bytes_max, std::string* frames) override;
  std::optional<Frame> restamp(const Frame& frame, Stamp stamp) override;
  Stamp watermark() override { return clock(); }
  bool observe(Stamp stamp) override { return clock_.observe(stamp, unix_ms_); }
  Stamp clock() override {
    clock_.start_above(first_stamp_of(unix_ms_));
    return clock_.last();
  }

 private:
  struct NamedCell {
    std::string key;
    std::string element;
    Cell cell;
  };
  static void write_frame(const std::vector<NamedCell>& cells, std::string* out);
  static bool read_frames(std::string_view frames, std::vector<NamedCell>* cells);
  void merge(const NamedCell& cell, Stamp* dominated);
  void set(const Op& op, const std::string& element, bool alive, Stamp stamp,
           std::vector<NamedCell>* cells);
  [[nodiscard]] std::vector<std::string> keys_in(SlotIndex slot, TokenRange range) const;

  const Topology& topology_;
  const NodeIndex self_;
  const uint32_t incarnation_;
  Ledger* const ledger_;
  HybridClock clock_;
  int64_t unix_ms_ = 0;
  std::map<std::string, Elements> keys_;
  std::map<SlotIndex, std::vector<std::string>> slots_;  // Keys by slot.
};

}  // namespace dyno::simulator

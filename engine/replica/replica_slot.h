// SPDX-License-Identifier: Apache-2.0
//
// The replicated state of one slot: the records of its keys, its digest, and when its databases
// were flushed. Guarded by the slot's lock.
//
//   word of a key := stamp, or stamp | kTimedMark           its low byte, the rack, is not 0
//                  | address of a KeyRecord << 8            addresses are even
//                  | (address of a BriefRecord | 1) << 8
//
// A plain stamp S stands for a string that was set at S, which is also when everything older was
// cleared. With the mark it has a deadline, which was set at S, too; the time is that of its entry.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "engine/replica/brief_record.h"
#include "engine/replica/key_record.h"
#include "engine/replica/slot_digest.h"
#include "engine/replica/stamp_map.h"

namespace dyno {

class ReplicaSlot {
 public:
  static constexpr int kDatabases = 16;
  static constexpr uint64_t kBriefMark = 1U << 8;
  // No stamp has it: it says a time after 2093.
  static constexpr uint64_t kTimedMark = uint64_t{1} << 63;

  ReplicaSlot() = default;
  ~ReplicaSlot() { clear(); }
  ReplicaSlot(const ReplicaSlot&) = delete;
  ReplicaSlot& operator=(const ReplicaSlot&) = delete;

  [[nodiscard]] static bool is_stamp(uint64_t word) { return (word & 0xff) != 0; }
  [[nodiscard]] static Stamp stamp(uint64_t word) { return word & ~kTimedMark; }
  [[nodiscard]] static bool is_timed(uint64_t word) {
    return is_stamp(word) && (word & kTimedMark) != 0;
  }
  [[nodiscard]] static bool is_brief(uint64_t word) { return (word & 0x1ff) == kBriefMark; }
  [[nodiscard]] static bool is_record(uint64_t word) { return word != 0 && (word & 0x1ff) == 0; }
  [[nodiscard]] static KeyRecord* record(uint64_t word) {
    return reinterpret_cast<KeyRecord*>(word >> 8);
  }
  [[nodiscard]] static BriefRecord* brief(uint64_t word) {
    return reinterpret_cast<BriefRecord*>((word ^ kBriefMark) >> 8);
  }
  [[nodiscard]] static uint64_t word(const KeyRecord* record) {
    return static_cast<uint64_t>(reinterpret_cast<uintptr_t>(record)) << 8;
  }
  [[nodiscard]] static uint64_t word(const BriefRecord* brief) {
    return static_cast<uint64_t>(reinterpret_cast<uintptr_t>(brief)) << 8 | kBriefMark;
  }

  // Of all that the word tells.
  [[nodiscard]] static Stamp latest(uint64_t word) {
    if (is_stamp(word)) return stamp(word);
    return is_brief(word) ? brief(word)->latest() : record(word)->latest;
  }
  [[nodiscard]] static bool has_counters(uint64_t word) {
    if (is_brief(word)) return brief(word)->has_counters();
    return is_record(word) && record(word)->counters != nullptr;
  }

  [[nodiscard]] uint64_t find(uint64_t key_hash) const { return keys_.find(key_hash); }
  void set(uint64_t key_hash, uint64_t word) { keys_.set(key_hash, word); }
  void erase(uint64_t key_hash) { keys_.erase(key_hash); }
  [[nodiscard]] const StampMap& keys() const { return keys_; }
  [[nodiscard]] bool has_counters() const {
    bool has = false;
    keys_.for_each([&](uint64_t, uint64_t word) { has |= has_counters(word); });
    return has;
  }
  [[nodiscard]] bool is_all_before(Stamp stamp) const {
    bool is_before = true;
    keys_.for_each([&](uint64_t, uint64_t word) { is_before &= latest(word) < stamp; });
    return is_before;
  }
  // Takes all words out.
  [[nodiscard]] StampMap take_keys() { return std::exchange(keys_, StampMap()); }

  // Moves what some of its keys have here, of all of them a part numbered from 0, out of thin spans
  // (memory.h); false when there are no more parts.
  bool leave_thin_spans(uint32_t part) {
    return keys_.leave_thin_spans(part * kPartBlocks, kPartBlocks, [](uint64_t word) {
      if (!is_brief(word)) return word;
      return ReplicaSlot::word(BriefRecord::leave_thin_spans(brief(word)));
    });
  }

  [[nodiscard]] Stamp flushed(int db) const {
    return flushed_ == nullptr ? 0 : (*flushed_)[static_cast<size_t>(db)];
  }
  void set_flushed(int db, Stamp stamp) {
    if (flushed_ == nullptr) flushed_ = std::make_unique<std::array<Stamp, kDatabases>>();
    (*flushed_)[static_cast<size_t>(db)] = stamp;
  }

  // Forgets everything.
  void clear() {
    keys_.for_each([](uint64_t, uint64_t word) {
      if (is_record(word)) delete record(word);
      if (is_brief(word)) BriefRecord::release(brief(word));
    });
    keys_ = StampMap();
    digest = {};
    awaiting.clear();
    flushed_.reset();
  }

  Digest digest;
  // What the slot holds has stamps: false until a node that was alone has given it some.
  bool is_adopted = true;
  // Hashes of keys whose records hold traces of what is gone.
  std::vector<uint64_t> awaiting;

 private:
  static constexpr uint32_t kPartBlocks = 3;  // Some 60 keys.

  StampMap keys_;
  std::unique_ptr<std::array<Stamp, kDatabases>> flushed_;
};

}  // namespace dyno

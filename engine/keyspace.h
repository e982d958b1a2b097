// SPDX-License-Identifier: Apache-2.0
//
// The data set: 16384 slots, each with its lock, its table of entries and, rarely, a side structure
// for clients that watch or wait. All 16 databases of a slot share its table; the entry says which
// one it belongs to, and the database takes part in its position.
//
// Locks: whatever touches a slot's table or entries holds the slot's lock. Several slots are locked
// in ascending order. The executor locks what a command's keys need before its body runs.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>

#include "engine/entry.h"
#include "engine/limits.h"
#include "engine/slot_lock.h"
#include "engine/table.h"
#include "protocol/token.h"

namespace dyno {

class ColdKeys;
class Reclaimer;
class SlotSide;
struct SlotSideDelete {
  void operator()(SlotSide* side) const;
};

// Makes equal keys of different databases lie apart.
[[nodiscard]] inline uint32_t position_in_slot(uint32_t inner, int db) {
  return inner ^ (static_cast<uint32_t>(db) * 0x9e3779b9u);
}

struct EntryTraits {
  using Node = Entry;
  struct Key {
    std::string_view name;
    int db;
  };
  [[nodiscard]] static bool equal(const Entry* entry, const Key& key) {
    return entry->key() == key.name && entry->db() == key.db;
  }
  [[nodiscard]] static uint32_t position(const Entry* entry);
};

using EntryTable = Table<EntryTraits>;

// Flags of an entry's word, so that sweeps need not touch the entry.
inline constexpr uint64_t kWordHasDeadline = 1;  // The key, or some field of its hash, will expire.
inline constexpr uint64_t kWordCold = 2;         // Its value is on disk.

struct Slot {
  SlotLock lock;
  // Words with kWordHasDeadline.
  uint32_t deadline_count = 0;
  EntryTable table;
  std::unique_ptr<SlotSide, SlotSideDelete> side;
};
static_assert(sizeof(Slot) == 32);

class Keyspace {
 public:
  explicit Keyspace(uint64_t hash_seed);
  ~Keyspace();
  Keyspace(const Keyspace&) = delete;
  Keyspace& operator=(const Keyspace&) = delete;

  [[nodiscard]] Slot& slot(SlotIndex index) { return slots_[index]; }
  [[nodiscard]] uint64_t hash_seed() const { return hash_seed_; }
  [[nodiscard]] KeyHash hash(std::string_view key) const { return hash_key(key, hash_seed_); }

  // Databases: clients' numbers map to physical ones, so that SWAPDB is O(1). Changes only while
  // all slots are locked.
  [[nodiscard]] int physical_db(int db) const {
    return db_map_[static_cast<size_t>(db)].load(std::memory_order_relaxed);
  }
  void swap_dbs(int a, int b);

  // Keys of a client's database; those past their deadline but not yet removed included.
  [[nodiscard]] int64_t key_count(int db) const;
  [[nodiscard]] int64_t deadline_count(int db) const;

  void lock_all();
  void unlock_all();

  // Empties the client's database `db`, or all with -1. All slots are locked by the caller. With
  // `lazy` the memory is given back in slices afterwards, else before it returns.
  void flush(int db, bool lazy);
  // No other database than the client's `db` has keys, which makes flush() cost the same for any
  // size.
  [[nodiscard]] bool is_alone(int db) const;
  // Removes the keys of one physical database from one locked slot.
  void flush_slot(Slot& slot, int physical_db);

  // Puts an entry under a key that is not there; returns its word. The slot is locked.
  uint64_t* insert(Slot& slot, uint32_t position, Entry* entry);
  // Takes the entry at `word` out of its table and gives it to the reclaimer, which frees large
  // values in slices.
  void remove(Slot& slot, uint32_t position, uint64_t* word);
  // The same, but the caller gets the entry.
  [[nodiscard]] Entry* take(Slot& slot, uint32_t position, uint64_t* word);
  // Puts `fresh` in place of the entry at `word`, whose value is freed; same key, same database.
  void replace(Slot& slot, uint64_t* word, Entry* fresh);
  // Frees the value of the entry at `word`, which is on disk. The key stays, and is cold until
  // replace() gives it a value again, or warm().
  void chill(Slot& slot, uint64_t* word);
  // The cold key at `word` counts as one with a value, which is about to be given to it, and its
  // copy on disk stays of use: whoever calls this marks the entry that gets the value.
  void warm(uint64_t* word);
  // The value at `word` has changed: if there is a copy of it, that is of no use. With none at
  // `word` nothing happens.
  void end_copy(const Slot& slot, uint64_t* word);
  [[nodiscard]] bool has_cold_keys() const { return cold_ != nullptr; }
  // Some key is cold, or was.
  [[nodiscard]] bool has_chilled() const { return has_chilled_.load(std::memory_order_relaxed); }
  // Null where all values stay in memory.
  [[nodiscard]] ColdKeys* cold_keys() const { return cold_; }
  // Whether the key is there and its value is on disk. Its slot is locked.
  [[nodiscard]] bool is_cold(KeyHash hash, int physical_db, std::string_view name) const;
  // Who is told when cold keys are no longer that. Before the first one is made.
  void set_cold_keys(ColdKeys* cold) { cold_ = cold; }
  [[nodiscard]] static int64_t cold_count();

  // Sets or clears a word's kWordHasDeadline and keeps the count.
  void set_deadline_flag(Slot& slot, uint64_t* word, bool has_deadline);
  // Something in this slot expires at `at_ms`: it is swept soon after.
  void note_deadline(const Slot& slot, int64_t at_ms) {
    std::atomic<int64_t>& next = next_deadline_[index_of(slot)];
    if (at_ms < next.load(std::memory_order_relaxed)) next.store(at_ms, std::memory_order_relaxed);
  }
  // No deadline of the slot is earlier than this, in ms of Unix time. Read without the lock by
  // sweeps.
  [[nodiscard]] int64_t next_deadline(SlotIndex index) const {
    return next_deadline_[index].load(std::memory_order_relaxed);
  }
  void set_next_deadline(SlotIndex index, int64_t at_ms) {
    next_deadline_[index].store(at_ms, std::memory_order_relaxed);
  }

  [[nodiscard]] Reclaimer& reclaimer() { return *reclaimer_; }

 private:
  void note_field_deadline(Slot& slot, uint64_t* word);
  // The cold entry at `word` goes, or gets a value.
  void end_cold(const Slot& slot, uint64_t* word);
  [[nodiscard]] SlotIndex index_of(const Slot& slot) const {
    return static_cast<SlotIndex>(&slot - slots_.get());
  }

  uint64_t hash_seed_;
  std::unique_ptr<Slot[]> slots_;
  std::unique_ptr<std::atomic<int64_t>[]> next_deadline_;
  std::array<std::atomic<int>, 16> db_map_;
  std::unique_ptr<Reclaimer> reclaimer_;
  ColdKeys* cold_ = nullptr;
  std::atomic<bool> has_chilled_{false};
};

// The process has one seed for positions of collections' elements, drawn at start, so that nobody
// can choose elements that collide.
[[nodiscard]] uint64_t element_seed();
[[nodiscard]] uint32_t element_position(std::string_view element);

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
#include "engine/keyspace.h"

#include <sys/random.h>

#include <optional>

#include "engine/blocking.h"
#include "engine/cold_keys.h"
#include "engine/fixed_draws.h"
#include "engine/reclaimer.h"
#include "engine/stats.h"
#include "engine/types/hash.h"
#include "engine/value.h"
#include "protocol/check.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace dyno {
namespace {

// The hash seed of this process' keyspace, which EntryTraits needs when a table splits. A process
// serves one ring, so it has one.
uint64_t process_hash_seed = 0;

// A table given away with what is in it: counters of all its keys go to zero.
void forget_counts() {
  for (int db = 0; db < kDatabaseCount; ++db) {
    auto index = static_cast<size_t>(db);
    int64_t keys = sum_stats([&](ThreadStats& s) { return s.keys[index].get(); });
    int64_t deadlines = sum_stats([&](ThreadStats& s) { return s.deadlines[index].get(); });
    stats().keys[index].add(-keys);
    stats().deadlines[index].add(-deadlines);
  }
  stats().cold_keys.add(-Keyspace::cold_count());
}

// Set by tests, before anything reads it.
std::optional<uint64_t> fixed_element_seed;

}  // namespace

uint32_t EntryTraits::position(const Entry* entry) {
  return position_in_slot(hash_key(entry->key(), process_hash_seed).inner, entry->db());
}

void SlotSideDelete::operator()(SlotSide* side) const {
  delete side;
}

void fix_element_seed(uint64_t seed) {
  fixed_element_seed = seed;
}

uint64_t element_seed() {
  static const uint64_t seed = [] {
    if (fixed_element_seed) return *fixed_element_seed;
    uint64_t drawn = 0;
    DYNO_CHECK(::getrandom(&drawn, sizeof(drawn), 0) == sizeof(drawn));
    return drawn;
  }();
  return seed;
}

uint32_t element_position(std::string_view element) {
  static const uint64_t seed = element_seed();
  return static_cast<uint32_t>(XXH3_64bits_withSeed(element.data(), element.size(), seed) >> 32);
}

Keyspace::Keyspace(uint64_t hash_seed)
    : hash_seed_(hash_seed),
      slots_(std::make_unique<Slot[]>(kSlotCount)),
      next_deadline_(std::make_unique<std::atomic<int64_t>[]>(kSlotCount)),
      reclaimer_(std::make_unique<Reclaimer>()) {
  process_hash_seed = hash_seed;
  for (uint32_t i = 0; i < kSlotCount; ++i) next_deadline_[i].store(INT64_MAX);
  for (int db = 0; db < kDatabaseCount; ++db) db_map_[static_cast<size_t>(db)].store(db);
}

Keyspace::~Keyspace() {
  lock_all();
  flush(-1, /*lazy=*/false);
  unlock_all();
}

void Keyspace::swap_dbs(int a, int b) {
  int physical_a = physical_db(a);
  db_map_[static_cast<size_t>(a)].store(physical_db(b), std::memory_order_relaxed);
  db_map_[static_cast<size_t>(b)].store(physical_a, std::memory_order_relaxed);
}

int64_t Keyspace::key_count(int db) const {
  auto index = static_cast<size_t>(physical_db(db));
  return sum_stats([&](ThreadStats& s) { return s.keys[index].get(); });
}

int64_t Keyspace::deadline_count(int db) const {
  auto index = static_cast<size_t>(physical_db(db));
  return sum_stats([&](ThreadStats& s) { return s.deadlines[index].get(); });
}

void Keyspace::lock_all() {
  for (uint32_t i = 0; i < kSlotCount; ++i) slots_[i].lock.lock();
}

void Keyspace::unlock_all() {
  for (uint32_t i = 0; i < kSlotCount; ++i) slots_[i].lock.unlock();
}

bool Keyspace::is_alone(int db) const {
  for (int other = 0; other < kDatabaseCount; ++other) {
    if (other != db && key_count(other) != 0) return false;
  }
  return true;
}

void Keyspace::flush(int db, bool lazy) {
  if (db >= 0 && !is_alone(db)) {
    int physical = physical_db(db);
    for (uint32_t i = 0; i < kSlotCount; ++i) flush_slot(slots_[i], physical);
  } else {
    int64_t entries = 0;
    auto tables = std::make_unique<EntryTable[]>(kSlotCount);
    for (uint32_t i = 0; i < kSlotCount; ++i) {
      Slot& slot = slots_[i];
      if (slot.side != nullptr) {
        slot.side->touch_if([&](int watched_db, std::string_view key) {
          uint32_t position = position_in_slot(hash(key).inner, watched_db);
          return slot.table.find(position, {key, watched_db}) != nullptr;
        });
      }
      entries += slot.table.size();
      tables[i].steal(slot.table);
      slot.deadline_count = 0;
      set_next_deadline(static_cast<SlotIndex>(i), INT64_MAX);
    }
    if (cold_ != nullptr) cold_->forget_all();
    forget_counts();
    reclaimer_->give(std::move(tables), entries);
  }
  if (!lazy) reclaimer_->finish();
}

void Keyspace::flush_slot(Slot& slot, int physical_db) {
  DYNO_CHECK(slot.lock.is_locked());
  std::vector<Entry*> going;
  slot.table.for_each([&](uint64_t* word) {
    Entry* entry = EntryTable::node(*word);
    if (entry->db() == physical_db) going.push_back(entry);
    return true;
  });
  for (Entry* entry : going) {
    if (slot.side != nullptr) slot.side->touch(physical_db, entry->key());
    uint32_t position = EntryTraits::position(entry);
    remove(slot, position, slot.table.find(position, {entry->key(), physical_db}));
  }
}

uint64_t* Keyspace::insert(Slot& slot, uint32_t position, Entry* entry) {
  DYNO_CHECK(slot.lock.is_locked());
  bool has_deadline = entry->has_deadline();
  uint64_t* word = slot.table.insert(position, entry, has_deadline ? kWordHasDeadline : 0);
  auto db = static_cast<size_t>(entry->db());
  stats().keys[db].add();
  if (has_deadline) {
    ++slot.deadline_count;
    stats().deadlines[db].add();
    note_deadline(slot, entry->deadline());
  }
  note_field_deadline(slot, word);
  return word;
}

// A hash that comes with deadlines of fields, as by a copy, is swept for them.
void Keyspace::note_field_deadline(Slot& slot, uint64_t* word) {
  int64_t soonest_ms = next_field_deadline(EntryTable::node(*word));
  if (soonest_ms == kNoDeadline) return;
  set_deadline_flag(slot, word, true);
  note_deadline(slot, soonest_ms);
}

void Keyspace::remove(Slot& slot, uint32_t position, uint64_t* word) {
  reclaimer_->give(take(slot, position, word));
}

Entry* Keyspace::take(Slot& slot, uint32_t position, uint64_t* word) {
  DYNO_CHECK(slot.lock.is_locked());
  if (EntryTable::flags(*word) & kWordCold) [[unlikely]]
    end_cold(slot, word);
  Entry* entry = EntryTable::node(*word);
  if (entry->has_copy()) [[unlikely]]
    end_copy(slot, word);
  auto db = static_cast<size_t>(entry->db());
  if (EntryTable::flags(*word) & kWordHasDeadline) --slot.deadline_count;
  if (entry->has_deadline()) stats().deadlines[db].add(-1);
  stats().keys[db].add(-1);
  slot.table.erase(position, word);
  return entry;
}

void Keyspace::chill(Slot& slot, uint64_t* word) {
  DYNO_CHECK(slot.lock.is_locked());
  Entry* old = EntryTable::node(*word);
  DYNO_CHECK(cold_ != nullptr && old->encoding() != Encoding::kCold);
  if (!has_chilled()) has_chilled_.store(true, std::memory_order_relaxed);
  // A hash may still be marked for fields that no longer expire, and sweeps look at what is marked.
  set_deadline_flag(slot, word, old->has_deadline());
  Entry* cold = Entry::make_like(old, old->type(), Encoding::kCold, 0);
  cold->set_has_copy(false);
  EntryTable::set_node(word, cold);
  EntryTable::set_flags(word, EntryTable::flags(*word) | kWordCold);
  stats().cold_keys.add();
  reclaimer_->give(old);
}

void Keyspace::warm(uint64_t* word) {
  EntryTable::set_flags(word, EntryTable::flags(*word) & ~kWordCold);
  stats().cold_keys.add(-1);
}

void Keyspace::end_cold(const Slot& slot, uint64_t* word) {
  const Entry* entry = EntryTable::node(*word);
  warm(word);
  cold_->forget(index_of(slot), entry->db(), entry->key());
}

void Keyspace::end_copy(const Slot& slot, uint64_t* word) {
  if (word == nullptr || cold_ == nullptr) return;
  Entry* entry = EntryTable::node(*word);
  if (!entry->has_copy()) return;
  entry->set_has_copy(false);
  cold_->forget(index_of(slot), entry->db(), entry->key());
}

bool Keyspace::is_cold(KeyHash hash, int physical_db, std::string_view name) const {
  const Slot& slot = slots_[hash.slot()];
  const uint64_t* word =
      slot.table.find(position_in_slot(hash.inner, physical_db), {name, physical_db});
  return word != nullptr && (EntryTable::flags(*word) & kWordCold) != 0;
}

int64_t Keyspace::cold_count() {
  return sum_stats([](ThreadStats& s) { return s.cold_keys.get(); });
}

void Keyspace::replace(Slot& slot, uint64_t* word, Entry* fresh) {
  if (EntryTable::flags(*word) & kWordCold) [[unlikely]]
    end_cold(slot, word);
  Entry* old = EntryTable::node(*word);
  if (old->has_copy()) [[unlikely]] {
    end_copy(slot, word);
    fresh->set_has_copy(false);
  }
  auto db = static_cast<size_t>(old->db());
  if (old->has_deadline() != fresh->has_deadline()) {
    stats().deadlines[db].add(fresh->has_deadline() ? 1 : -1);
  }
  EntryTable::set_node(word, fresh);
  set_deadline_flag(slot, word, fresh->has_deadline());
  if (fresh->has_deadline()) note_deadline(slot, fresh->deadline());
  note_field_deadline(slot, word);
  reclaimer_->give(old);
}

void Keyspace::set_deadline_flag(Slot& slot, uint64_t* word, bool has_deadline) {
  uint64_t flags = EntryTable::flags(*word);
  if (((flags & kWordHasDeadline) != 0) == has_deadline) return;
  EntryTable::set_flags(word, flags ^ kWordHasDeadline);
  slot.deadline_count += has_deadline ? 1 : -1;
}

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// The slots that a command locks, which is the executor's own business: only its files include
// this.
//
// Slots are locked in ascending order, which seal() sees to, so that no two commands wait for each
// other. Each thread keeps the memory of the set that it used last.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "engine/context.h"
#include "engine/executor.h"
#include "engine/keyspace.h"

namespace dyno {

// The slots that a command locks: a few in place, all of them as a mark.
struct Executor::LockSet {
  std::vector<SlotIndex> slots;  // Ascending, without duplicates, once sealed.
  bool all = false;
  std::vector<KeyHash> hashes;     // Of the keys, as the command names them.
  const Context* asker = nullptr;  // Who may know the hash of a key already.

  // An empty set with the memory of the set that this thread gave back last.
  static LockSet take() { return std::move(kept()); }
  void give_back() {
    if (hashes.capacity() > kKeptMax || slots.capacity() > kKeptMax) return;
    slots.clear();
    hashes.clear();
    all = false;
    asker = nullptr;
    kept() = std::move(*this);
  }
  void add(SlotIndex slot) { slots.push_back(slot); }
  void seal() {
    if (slots.size() < 2) return;
    if (slots.size() == 2) {
      if (slots[1] < slots[0]) std::swap(slots[0], slots[1]);
      if (slots[0] == slots[1]) slots.pop_back();
      return;
    }
    std::sort(slots.begin(), slots.end());
    slots.erase(std::unique(slots.begin(), slots.end()), slots.end());
  }
  void lock(Keyspace& keyspace) const {
    if (all) return keyspace.lock_all();
    for (SlotIndex slot : slots) keyspace.slot(slot).lock.lock();
  }
  void unlock(Keyspace& keyspace) const {
    if (all) return keyspace.unlock_all();
    for (SlotIndex slot : slots) keyspace.slot(slot).lock.unlock();
  }

 private:
  // More is not kept: a thread that once ran a huge MGET would hold it forever.
  static constexpr size_t kKeptMax = 1024;
  static LockSet& kept() {
    static thread_local LockSet set;
    return set;
  }
};

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// The executor's part for clients that stand in the side structure of a slot: those that wait for a
// key, served in the order of their arrival before the locks of the command that made it ready are
// released, and those that watch one.
#include <algorithm>

#include "engine/blocking.h"
#include "engine/executor.h"
#include "engine/lock_set.h"

namespace dyno {

// Serving a waiter may need slots that the command itself does not: those where BLMOVE and its kin
// put what they take, and so on from there.
void Executor::add_destinations(LockSet* locks) const {
  for (size_t i = 0; i < locks->slots.size(); ++i) {
    const Slot& slot = keyspace_.slot(locks->slots[i]);
    if (!slot.lock.is_locked() || slot.side == nullptr) continue;
    std::vector<std::string> names;
    slot.side->add_destinations(&names);
    for (const std::string& name : names) {
      SlotIndex index = keyspace_.hash(name).slot();
      if (std::find(locks->slots.begin(), locks->slots.end(), index) == locks->slots.end()) {
        locks->add(index);
      }
    }
  }
}

std::vector<SlotIndex> Executor::slots_to_serve(const LockSet& locks) const {
  if (!locks.all) return locks.slots;
  std::vector<SlotIndex> slots;
  for (uint32_t i = 0; i < kSlotCount; ++i) {
    auto index = static_cast<SlotIndex>(i);
    if (keyspace_.slot(index).side != nullptr) slots.push_back(index);
  }
  return slots;
}

void Executor::finish(Context& context, const LockSet& locks) {
  Served served;
  if (locks.all) {
    serve_waiters(context, slots_to_serve(locks), &served);
  } else {
    serve_waiters(context, locks.slots, &served);
  }
  if (context.records()) context.effects->commit();
  // Nobody hears of what is not committed.
  for (const std::shared_ptr<Waiter>& waiter : served) {
    waiter->state.store(Waiter::kServed);
    waiter->wake(waiter);
  }
  locks.unlock(keyspace_);
}

void Executor::serve_waiters(Context& context, const std::vector<SlotIndex>& slots,
                             Served* served) {
  struct Ready {
    Slot* slot;
    SlotSide::Changed key;
  };
  std::vector<Ready> ready;
  // A served BLMOVE may make another key ready, so go round until nothing changes.
  do {
    ready.clear();
    for (SlotIndex index : slots) {
      Slot& slot = keyspace_.slot(index);
      if (slot.side == nullptr) continue;
      for (SlotSide::Changed& key : slot.side->take_changed())
        ready.push_back({&slot, std::move(key)});
    }
    std::sort(ready.begin(), ready.end(),
              [](const Ready& a, const Ready& b) { return a.key.order < b.key.order; });
    for (const Ready& each : ready) {
      serve_key(context, slots, each.key.db, each.key.key, served);
    }
  } while (!ready.empty());
  for (SlotIndex index : slots) {
    Slot& slot = keyspace_.slot(index);
    if (slot.side != nullptr && slot.side->empty()) slot.side.reset();
  }
}

// The first of a waiter's keys, in the order in which it named them, that is ready and in a locked
// slot: a transaction may have made several ready, and the waiter runs as if it had come after it.
std::string_view Executor::first_ready_key(Context& serving, const Waiter& waiter,
                                           const std::vector<SlotIndex>& slots) const {
  for (const std::string& name : waiter.keys) {
    bool locked = std::binary_search(slots.begin(), slots.end(), keyspace_.hash(name).slot());
    if (locked && Key(serving, name, Key::Use::kPeek).is(waiter.type)) return name;
  }
  return {};
}

void Executor::serve_key(Context& context, const std::vector<SlotIndex>& slots, int db,
                         const std::string& key, Served* served) {
  Slot& slot = keyspace_.slot(keyspace_.hash(key).slot());
  auto* queue = slot.side->waiters(db, key);
  if (queue == nullptr) return;
  for (auto at = queue->begin(); at != queue->end();) {
    std::shared_ptr<Waiter> waiter = *at;
    if (waiter->state.load() != Waiter::kWaiting) {
      at = queue->erase(at);
      continue;
    }
    Session session;
    session.protocol = waiter->protocol;
    Reply reply(&waiter->reply, waiter->protocol);
    Context serving{*this, keyspace_, limits_, session, reply};
    serving.spec = waiter->spec;
    serving.args = waiter->args;
    serving.now_ms = context.now_ms;
    serving.db = db;
    serving.effects = context.effects;
    if (!Key(serving, key, Key::Use::kPeek).is(waiter->type)) {
      ++at;
      continue;
    }
    if (!waiter->claim()) continue;
    at = queue->erase(at);
    if (serving.records()) serving.effects->begin_command(serving.now_ms);
    waiter->serve(serving, first_ready_key(serving, *waiter, slots));
    served->push_back(std::move(waiter));
  }
  slot.side->tidy(db, key);
}

bool Executor::watched_key_expired(Context& exec) {
  for (const WatchedKey& watched : exec.session.watched) {
    Slot& slot = keyspace_.slot(keyspace_.hash(watched.key).slot());
    uint32_t position = position_in_slot(keyspace_.hash(watched.key).inner, watched.db);
    uint64_t* word = slot.table.find(position, {watched.key, watched.db});
    if (word == nullptr) continue;
    Entry* entry = EntryTable::node(*word);
    if (entry->has_deadline() && entry->deadline() <= exec.now_ms) return true;
  }
  return false;
}

void Executor::watch(Context& context, std::string_view name) {
  Session& session = context.session;
  if (session.watch == nullptr) session.watch = std::make_shared<WatchState>();
  for (const WatchedKey& watched : session.watched) {
    if (watched.db == context.db && watched.key == name) return;
  }
  Slot& slot = keyspace_.slot(context.hash(name).slot());
  if (slot.side == nullptr) slot.side.reset(new SlotSide);
  slot.side->watch(context.db, name, session.watch);
  session.watched.push_back({context.db, std::string(name)});
}

void Executor::unwatch(Session& session) {
  for (const WatchedKey& watched : session.watched) {
    Slot& slot = keyspace_.slot(keyspace_.hash(watched.key).slot());
    slot.lock.lock();
    if (slot.side != nullptr) {
      slot.side->unwatch(watched.db, watched.key, session.watch.get());
      if (slot.side->empty()) slot.side.reset();
    }
    slot.lock.unlock();
  }
  session.watched.clear();
  session.watch.reset();
}

void Executor::leave_queues(const Waiter& waiter) {
  for (const std::string& key : waiter.keys) {
    Slot& slot = keyspace_.slot(keyspace_.hash(key).slot());
    slot.lock.lock();
    if (slot.side != nullptr) {
      slot.side->leave(&waiter, key);
      if (slot.side->empty()) slot.side.reset();
    }
    slot.lock.unlock();
  }
}

}  // namespace dyno

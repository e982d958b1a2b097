// SPDX-License-Identifier: Apache-2.0
#include "engine/executor.h"

#include <algorithm>

#include "engine/blocking.h"
#include "engine/element_prefetch.h"
#include "engine/error_counts.h"
#include "engine/stats.h"
#include "protocol/byte_buffer.h"
#include "protocol/check.h"
#include "protocol/number.h"
#include "protocol/words.h"
#if defined(__x86_64__)
#include <x86intrin.h>
#else
#include <chrono>
#endif

namespace dyno {
namespace {

uint64_t cycles() {
#if defined(__x86_64__)
  return __rdtsc();
#else
  return static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
#endif
}

std::string unknown_command(Args args) {
  std::string text =
      "ERR unknown command '" + std::string(echo(args[0])) + "', with args beginning with: ";
  size_t start = text.size();
  for (size_t i = 1; i < args.size() && text.size() - start < kEchoBytesMax; ++i) {
    size_t left = kEchoBytesMax - (text.size() - start);
    text += "'" + std::string(echo(args[i].substr(0, left))) + "' ";
  }
  return text;
}

// Exactly one key, the first argument: the usual case, locked without any bookkeeping.
bool has_one_key(const CommandSpec& spec, Args args) {
  if (spec.find_keys != nullptr || spec.keys.first != 1) return false;
  if (spec.flags & (kLocksAll | kLocksItself)) return false;
  if (spec.keys.last == 1) return spec.locks_all == nullptr || !spec.locks_all(args);
  return spec.keys.last == -1 && static_cast<int>(args.size()) == 1 + spec.keys.step;
}

}  // namespace

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

Executor::Executor(Keyspace& keyspace, const CommandTable& commands, const Limits& limits)
    : keyspace_(keyspace), commands_(commands), limits_(limits) {}

bool Executor::make_room() {
  return make_room_ == nullptr || make_room_(make_room_argument_);
}

bool Executor::refuse(Session& session, const CommandSpec* spec, Args args, Reply& reply) {
  std::string text;
  if (spec == nullptr) {
    text = unknown_command(args);
  } else if (spec->is_container() && args.size() >= 2) {
    // DEBUG's words are its own.
    std::string_view words = spec->name == "DEBUG"
                                 ? "ERR unknown subcommand or wrong number of arguments for '"
                                 : "ERR unknown subcommand '";
    text = std::string(words) + std::string(echo(args[1])) + "'. Try " + std::string(spec->name) +
           " HELP.";
  } else if ((spec->arity > 0 && static_cast<int>(args.size()) != spec->arity) ||
             static_cast<int>(args.size()) < -spec->arity) {
    text = "ERR wrong number of arguments for '" + to_lower(spec->name) + "' command";
  } else if (!session.authenticated && !(spec->flags & kNoAuth)) {
    text = "NOAUTH Authentication required.";
  } else if (session.in_multi && (spec->flags & kNoMulti)) {
    text = "ERR Command not allowed inside a transaction";
  } else if (refuses_writes_.load(std::memory_order_relaxed) && is_writing(session, *spec)) {
    std::lock_guard lock(refusal_mutex_);
    text = write_refusal_;
  } else if (limits_.maxmemory_bytes > 0 && lacks_memory(session, *spec)) {
    text = errors::kOutOfMemory;
  } else {
    return false;
  }
  if (spec != nullptr && spec->name == "EXEC") {
    constexpr std::string_view kGeneric = "ERR ";
    std::string_view reason = text;
    if (reason.starts_with(kGeneric)) reason.remove_prefix(kGeneric.size());
    text = "EXECABORT Transaction discarded because of: " + std::string(reason);
  }
  count_error(text);
  reply.error(text);
  if (spec != nullptr && observer_ != nullptr) observer_->on_rejected(*spec);
  return true;
}

// "CONFIG HELP" and its like, told from the rows of the subcommands.
void Executor::help(const CommandSpec& container, Reply& reply) const {
  std::string prefix = std::string(container.name) + "|";
  std::vector<std::string> lines = {std::string(container.name) +
                                    " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"};
  for (const CommandSpec& spec : commands_.all()) {
    if (!spec.name.starts_with(prefix)) continue;
    std::string usage(spec.name.substr(prefix.size()));
    if (!spec.syntax.empty()) usage.append(" ").append(spec.syntax);
    lines.push_back(std::move(usage));
    lines.push_back("    " + std::string(spec.summary));
  }
  lines.emplace_back("HELP");
  lines.emplace_back("    Print this help.");
  reply.array(lines.size());
  for (const std::string& line : lines) reply.simple(line);
}

// Eviction runs before every command; what it could not make room for is refused where it would
// need memory, which queuing in MULTI does too.
bool is_writing(const Session& session, const CommandSpec& spec) {
  if (spec.name != "EXEC") return (spec.flags & kWrite) != 0;
  return std::any_of(session.queue.begin(), session.queue.end(), [](const QueuedCommand& queued) {
    return (queued.spec->flags & kWrite) != 0;
  });
}

void Executor::set_write_refusal(std::string text) {
  std::lock_guard lock(refusal_mutex_);
  write_refusal_ = std::move(text);
  refuses_writes_.store(!write_refusal_.empty());
}

bool Executor::lacks_memory(const Session& session, const CommandSpec& spec) {
  if (make_room()) return false;
  if (spec.name == "EXEC") return session.multi_needs_memory;
  return (spec.flags & kDenyOom) || (session.in_multi && !(spec.flags & kControlsMulti));
}

void Executor::run(Session& session, Args args, Reply& reply, int64_t now_ms,
                   const Prefetch* prefetch) {
  const CommandSpec* spec = commands_.find(args);
  stats().commands.add();
  session.last_command = spec;
  if (spec != nullptr && spec->is_container() && args.size() == 2 && is_word(args[1], "HELP") &&
      session.authenticated && !session.in_multi) [[unlikely]] {
    return help(*spec, reply);
  }
  if (refuse(session, spec, args, reply)) [[unlikely]] {
    stats().errors.add();
    if (session.in_multi) session.multi_failed = true;
    if (spec != nullptr && spec->name == "EXEC") end_multi(session);
    return;
  }
  if (session.in_multi && !(spec->flags & kControlsMulti)) [[unlikely]] {
    queue(session, *spec, args, reply);
    return;
  }
  Context context{*this, keyspace_, limits_, session, reply};
  context.spec = spec;
  context.args = args;
  context.now_ms = now_ms;
  if (recorder_ != nullptr) [[unlikely]] {
    context.effects = recorder_;
    context.now_ms = recorder_->now_ms(now_ms);
  }
  context.no_touch = session.no_touch;
  if (prefetch != nullptr) {
    context.hashed_key = args[1];
    context.hashed = prefetch->hash;
  }
  call(context);
}

void Executor::queue(Session& session, const CommandSpec& spec, Args args, Reply& reply) {
  QueuedCommand queued;
  queued.spec = &spec;
  queued.storage.assign(args.begin(), args.end());
  queued.args.assign(queued.storage.begin(), queued.storage.end());
  queued.bytes = sizeof(QueuedCommand);
  for (const std::string& arg : queued.storage) queued.bytes += sizeof(std::string) + arg.size();
  session.queue_bytes += queued.bytes;
  session.multi_needs_memory |= (spec.flags & kDenyOom) != 0;
  session.queue.push_back(std::move(queued));
  reply.simple("QUEUED");
}

void Executor::end_multi(Session& session) {
  session.in_multi = false;
  session.multi_failed = false;
  session.multi_needs_memory = false;
  session.queue.clear();
  session.queue.shrink_to_fit();
  session.queue_bytes = 0;
  unwatch(session);
}

void Executor::call(Context& context) {
  const CommandSpec& spec = *context.spec;
  if (monitored_.load(std::memory_order_relaxed) && observer_ != nullptr &&
      !(spec.flags & (kNoMonitor | kAdmin))) {
    observer_->on_command(context.session, spec, context.args);
  }
  uint64_t started = cycles();
  context.db = keyspace_.physical_db(context.session.db);
  if (has_one_key(spec, context.args)) [[likely]] {
    context.hashed = context.hash(context.args[1]);
    context.hashed_key = context.args[1];
    Slot& slot = keyspace_.slot(context.hashed.slot());
    slot.lock.lock();
    if (slot.side == nullptr && context.db == keyspace_.physical_db(context.session.db))
        [[likely]] {
      if (context.effects == nullptr) [[likely]] {
        spec.body(context);
      } else {
        run_body(context);
        context.effects->commit();
      }
      slot.lock.unlock();
    } else {
      slot.lock.unlock();
      run_locked(context);
    }
  } else if (spec.keys.first == 0 && spec.find_keys == nullptr && !(spec.flags & kLocksAll)) {
    spec.body(context);
  } else {
    run_locked(context);
  }
  if (context.failed) stats().errors.add();
  if (observer_ != nullptr) {
    observer_->on_done(context.session, spec, context.args, cycles() - started, context.failed);
  }
}

void Executor::run_body(Context& context) {
  if (context.effects != nullptr) context.effects->begin_command(context.now_ms);
  context.spec->body(context);
}

void Executor::gather_slots(const CommandSpec& spec, Args args, LockSet* locks) const {
  if ((spec.flags & kLocksAll) || (spec.locks_all != nullptr && spec.locks_all(args))) {
    locks->all = true;
  }
  if (locks->all || (spec.flags & kLocksItself)) return;
  static thread_local std::vector<int> indexes;
  indexes.clear();
  // Arguments that do not tell their keys get an error from the body; until then nothing is safe to
  // touch but under all locks.
  if (!CommandTable::key_indexes(spec, args, &indexes)) locks->all = true;
  for (int index : indexes) {
    std::string_view name = args[static_cast<size_t>(index)];
    KeyHash hash = locks->asker != nullptr ? locks->asker->hash(name) : keyspace_.hash(name);
    __builtin_prefetch(&keyspace_.slot(hash.slot()));
    locks->add(hash.slot());
    locks->hashes.push_back(hash);
  }
}

// What the keys' lookups will read, all at once instead of one after the other. The slots are
// locked.
void Executor::prefetch_keys(int db, const LockSet& locks) const {
  if (locks.hashes.size() < 2) return;
  for (KeyHash hash : locks.hashes) {
    keyspace_.slot(hash.slot()).table.prefetch_group(position_in_slot(hash.inner, db));
  }
  for (KeyHash hash : locks.hashes) {
    keyspace_.slot(hash.slot()).table.prefetch_node(position_in_slot(hash.inner, db));
  }
}

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

void Executor::run_locked(Context& context) {
  LockSet locks = LockSet::take();
  locks.asker = &context;
  gather_slots(*context.spec, context.args, &locks);
  locks.seal();
  lock_for(context, &locks);
  prefetch_keys(context.db, locks);
  run_body(context);
  finish(context, locks);
  locks.give_back();
}

void Executor::run_under_locks(std::vector<SlotIndex> slots, bool all, int64_t now_ms,
                               const std::function<void()>& body) {
  Session session;
  ByteBuffer unread;
  Reply reply(&unread);
  Context context{*this, keyspace_, limits_, session, reply};
  context.now_ms = now_ms;
  context.effects = recorder_;
  LockSet locks;
  locks.all = all;
  if (!all) locks.slots = std::move(slots);
  locks.seal();
  lock_for(context, &locks);
  body();
  finish(context, locks);
}

void Executor::lock_for(Context& context, LockSet* locks) {
  for (;;) {
    locks->lock(keyspace_);
    int db = keyspace_.physical_db(context.session.db);
    size_t wanted = locks->slots.size();
    if (!locks->all) add_destinations(locks);
    if (locks->slots.size() == wanted) {
      context.db = db;
      context.holds_all = locks->all;
      return;
    }
    // More slots are needed: unlock, and take all of them in order.
    LockSet held;
    held.slots.assign(locks->slots.begin(), locks->slots.begin() + static_cast<long>(wanted));
    held.unlock(keyspace_);
    locks->seal();
  }
}

void Executor::finish(Context& context, const LockSet& locks) {
  Served served;
  if (locks.all) {
    std::vector<SlotIndex> changed;
    for (uint32_t i = 0; i < kSlotCount; ++i) {
      if (keyspace_.slot(static_cast<SlotIndex>(i)).side != nullptr) {
        changed.push_back(static_cast<SlotIndex>(i));
      }
    }
    serve_waiters(context, changed, &served);
  } else {
    serve_waiters(context, locks.slots, &served);
  }
  if (context.effects != nullptr) context.effects->commit();
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
    if (serving.effects != nullptr) serving.effects->begin_command(serving.now_ms);
    waiter->serve(serving, first_ready_key(serving, *waiter, slots));
    served->push_back(std::move(waiter));
  }
  slot.side->tidy(db, key);
}

void Executor::run_queue(Context& exec) {
  Session& session = exec.session;
  LockSet locks;
  for (const QueuedCommand& queued : session.queue) {
    gather_slots(*queued.spec, queued.args, &locks);
    if (queued.spec->flags & kLocksItself) locks.all = true;
  }
  for (const WatchedKey& watched : session.watched) locks.add(keyspace_.hash(watched.key).slot());
  locks.seal();
  lock_for(exec, &locks);
  bool aborted = session.watch != nullptr && session.watch->touched.load();
  aborted |= watched_key_expired(exec);
  if (aborted) {
    exec.reply.null_array();
  } else {
    exec.reply.array(session.queue.size());
    for (const QueuedCommand& queued : session.queue) {
      Context context{*this, keyspace_, limits_, session, exec.reply};
      context.spec = queued.spec;
      context.args = queued.args;
      context.now_ms = exec.now_ms;
      context.db = keyspace_.physical_db(session.db);
      context.effects = exec.effects;
      context.in_exec = true;
      context.holds_all = locks.all;
      context.no_touch = session.no_touch;
      exec.reply.set_version(session.protocol);
      uint64_t started = cycles();
      run_body(context);
      if (context.failed) stats().errors.add();
      if (observer_ != nullptr) {
        if (monitored_.load(std::memory_order_relaxed) &&
            !(queued.spec->flags & (kNoMonitor | kAdmin))) {
          observer_->on_command(session, *queued.spec, queued.args);
        }
        observer_->on_done(session, *queued.spec, queued.args, cycles() - started, context.failed);
      }
    }
  }
  finish(exec, locks);
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

void Executor::end(Session& session) {
  end_multi(session);
}

bool Executor::prefetch_slot(const Session& session, Args args, Prefetch* prefetch) const {
  if (args.size() < 2) return false;
  prefetch->hash = keyspace_.hash(args[1]);
  prefetch->slot = &keyspace_.slot(prefetch->hash.slot());
  prefetch->position = position_in_slot(prefetch->hash.inner, keyspace_.physical_db(session.db));
  __builtin_prefetch(prefetch->slot);
  return true;
}

void Executor::prefetch_elements(const Session& session, const Prefetch& prefetch,
                                 std::string_view name,
                                 std::span<const std::string_view> elements) const {
  Slot& slot = *prefetch.slot;
  if (!slot.lock.try_lock()) return;
  const uint64_t* word =
      slot.table.find(prefetch.position, {name, keyspace_.physical_db(session.db)});
  if (word != nullptr) dyno::prefetch_elements(EntryTable::node(*word), elements);
  slot.lock.unlock();
}

}  // namespace dyno

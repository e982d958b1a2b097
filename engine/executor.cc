// SPDX-License-Identifier: Apache-2.0
#include "engine/executor.h"

#include <algorithm>

#include "engine/blocking.h"
#include "engine/error_counts.h"
#include "engine/lock_set.h"
#include "engine/stats.h"
#include "engine/types/element_prefetch.h"
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
  session.awaits_disk = false;
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
  if (recorder() != nullptr) [[unlikely]] {
    context.effects = recorder();
    context.now_ms = recorder()->now_ms(now_ms);
  }
  context.no_touch = session.no_touch;
  if (prefetch != nullptr) {
    context.hashed_key = args[1];
    context.hashed = prefetch->hash;
  }
  call(context);
  if (!session.awaits_disk) [[likely]] {
    session.disk_asks = 0;
  } else {
    stats().commands.add(-1);
  }
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
  uint64_t started = cycles();
  context.db = keyspace_.physical_db(context.session.db);
  if (has_one_key(spec, context.args)) [[likely]] {
    context.hashed = context.hash(context.args[1]);
    context.hashed_key = context.args[1];
    Slot& slot = keyspace_.slot(context.hashed.slot());
    slot.lock.lock();
    if (slot.side == nullptr && context.db == keyspace_.physical_db(context.session.db))
        [[likely]] {
      if (cold_gate_ != nullptr && cold_gate_->holds_command(context, context.db)) [[unlikely]] {
        slot.lock.unlock();
      } else {
        announce(context);
        if (!context.records()) [[likely]] {
          spec.body(context);
        } else {
          run_body(context);
          context.effects->commit();
        }
        slot.lock.unlock();
      }
    } else {
      slot.lock.unlock();
      run_locked(context);
    }
  } else if (spec.keys.first == 0 && spec.find_keys == nullptr && !(spec.flags & kLocksAll)) {
    announce(context);
    spec.body(context);
  } else {
    run_locked(context);
  }
  if (context.session.awaits_disk) [[unlikely]]
    return;
  if (context.failed) stats().errors.add();
  if (observer_ != nullptr) {
    observer_->on_done(context.session, spec, context.args, cycles() - started, context.failed);
  }
}

void Executor::announce(const Context& context) const {
  if (monitored_.load(std::memory_order_relaxed) && observer_ != nullptr &&
      !(context.spec->flags & (kNoMonitor | kAdmin))) {
    observer_->on_command(context.session, *context.spec, context.args);
  }
}

void Executor::ask_ahead(const Session& session, Args args) const {
  const CommandSpec* spec = commands_.find(args);
  if (spec == nullptr) return;
  cold_gate_->ask_ahead(*spec, args, keyspace_.physical_db(session.db));
}

bool Executor::lacks_values(Context& context, const LockSet& locks) {
  if (cold_gate_ == nullptr) [[likely]]
    return false;
  bool lacks = cold_gate_->holds_command(context, context.db);
  return cold_gate_->holds_waiters(context, slots_to_serve(locks)) || lacks;
}

void Executor::run_body(Context& context) {
  if (context.records()) context.effects->begin_command(context.now_ms);
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

void Executor::run_locked(Context& context) {
  LockSet locks = LockSet::take();
  locks.asker = &context;
  gather_slots(*context.spec, context.args, &locks);
  locks.seal();
  lock_for(context, &locks);
  prefetch_keys(context.db, locks);
  if (lacks_values(context, locks)) [[unlikely]] {
    locks.unlock(keyspace_);
  } else {
    announce(context);
    run_body(context);
    finish(context, locks);
  }
  locks.give_back();
}

void Executor::run_under_locks(std::vector<SlotIndex> slots, bool all, int64_t now_ms,
                               const std::function<void()>& body) {
  (void)try_under_locks(std::move(slots), all, now_ms, {}, body);
}

bool Executor::try_under_locks(std::vector<SlotIndex> slots, bool all, int64_t now_ms,
                               const MayRun& may_run, const std::function<void()>& body) {
  Session session;
  ByteBuffer unread;
  Reply reply(&unread);
  Context context{*this, keyspace_, limits_, session, reply};
  context.now_ms = now_ms;
  context.effects = recorder();
  LockSet locks;
  locks.all = all;
  if (!all) locks.slots = std::move(slots);
  locks.seal();
  lock_for(context, &locks);
  if (may_run && !may_run(slots_to_serve(locks))) {
    locks.unlock(keyspace_);
    return false;
  }
  body();
  finish(context, locks);
  return true;
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

bool Executor::queue_lacks_values(Context& exec, const LockSet& locks) {
  if (cold_gate_ == nullptr) [[likely]]
    return false;
  bool lacks = cold_gate_->holds_waiters(exec, slots_to_serve(locks));
  for (const QueuedCommand& queued : exec.session.queue) {
    Context context{*this, keyspace_, limits_, exec.session, exec.reply};
    context.spec = queued.spec;
    context.args = queued.args;
    context.failed = exec.failed;
    lacks |= cold_gate_->holds_command(context, exec.db);
    exec.failed = context.failed;
  }
  return lacks;
}

bool Executor::run_queue(Context& exec) {
  Session& session = exec.session;
  LockSet locks;
  for (const QueuedCommand& queued : session.queue) {
    gather_slots(*queued.spec, queued.args, &locks);
    if (queued.spec->flags & kLocksItself) locks.all = true;
  }
  for (const WatchedKey& watched : session.watched) locks.add(keyspace_.hash(watched.key).slot());
  locks.seal();
  lock_for(exec, &locks);
  if (queue_lacks_values(exec, locks)) [[unlikely]] {
    locks.unlock(keyspace_);
    return exec.failed;
  }
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
  return true;
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

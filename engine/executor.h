// SPDX-License-Identifier: Apache-2.0
//
// Runs commands: finds the row, refuses what may not run, locks the slots of the keys in ascending
// order, runs the body, serves clients that waited for what it wrote, unlocks.
//
// Thread-safe: any number of threads run commands at once; a session is used by one at a time.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/command.h"
#include "engine/context.h"
#include "engine/disk/cold_gate.h"
#include "engine/keyspace.h"
#include "engine/limits.h"
#include "engine/replication.h"
#include "engine/session.h"
#include "protocol/resp_reply.h"

namespace dyno {

// What the process wants to know of commands as they run.
class CommandObserver {
 public:
  virtual ~CommandObserver() = default;
  // Before a command runs, when watching() says so; for MONITOR.
  virtual void on_command(const Session& session, const CommandSpec& spec, Args args) = 0;
  // After a command has run. `cycles` of the processor's clock.
  virtual void on_done(const Session& session, const CommandSpec& spec, Args args, uint64_t cycles,
                       bool failed) = 0;
  // A command was refused before it ran.
  virtual void on_rejected(const CommandSpec& spec) = 0;
};

class Executor {
 public:
  Executor(Keyspace& keyspace, const CommandTable& commands, const Limits& limits);

  // Asks for the lines that a request will read, ahead of run(): first the slot, then the group of
  // its table, then the entry. Harmless when the guess is wrong.
  struct Prefetch {
    Slot* slot = nullptr;
    uint32_t position = 0;
    KeyHash hash{};  // Of args[1], to be given to run().
  };

  // Runs one request of a client; the reply is appended. Inside MULTI it is queued instead. When
  // the session awaits_disk afterwards it has not run and is to be tried again.
  // `prefetch` is what prefetch_slot() filled for the same arguments, or null.
  void run(Session& session, Args args, Reply& reply, int64_t now_ms,
           const Prefetch* prefetch = nullptr);

  [[nodiscard]] bool prefetch_slot(const Session& session, Args args, Prefetch* prefetch) const;
  [[gnu::always_inline]] static void prefetch_group(const Prefetch& prefetch) {
    Slot& slot = *prefetch.slot;
    if (slot.table.prefetch_group_unlocked(prefetch.position)) [[likely]]
      return;
    if (!slot.lock.try_lock()) return;
    slot.table.prefetch_group(prefetch.position);
    slot.lock.unlock();
  }
  [[gnu::always_inline]] static void prefetch_entry(const Prefetch& prefetch) {
    Slot& slot = *prefetch.slot;
    if (!slot.lock.try_lock()) return;
    slot.table.prefetch_node(prefetch.position);
    slot.lock.unlock();
  }

  // Asks for elements of the key `name`, which several requests are about to use.
  void prefetch_elements(const Session& session, const Prefetch& prefetch, std::string_view name,
                         std::span<const std::string_view> elements) const;

  // A request that stands behind one that awaits the disk: asks for its values, too.
  void ask_ahead(const Session& session, Args args) const;

  // Runs what is no command, but changes keys as commands do: locks the slots, or all of them, then
  // serves whoever waited for the changes.
  void run_under_locks(std::vector<SlotIndex> slots, bool all, int64_t now_ms,
                       const std::function<void()>& body);
  // The same, if `may_run` says so under the locks, of whose slots it gets those with clients who
  // may be served, or all. Returns whether it did.
  using MayRun = std::function<bool(const std::vector<SlotIndex>& held)>;
  [[nodiscard]] bool try_under_locks(std::vector<SlotIndex> slots, bool all, int64_t now_ms,
                                     const MayRun& may_run, const std::function<void()>& body);

  // Runs the queue of a transaction; called by EXEC's body. False when it has to wait for the disk.
  [[nodiscard]] bool run_queue(Context& exec);
  // Watches a key for the session; the key's slot is locked.
  void watch(Context& context, std::string_view name);
  // Leaves MULTI: the queue is dropped and watched keys are forgotten.
  void end_multi(Session& session);
  // Forgets watched keys, and takes a session's waiter out of its queues.
  void unwatch(Session& session);
  void leave_queues(const Waiter& waiter);
  // Ends a session: the transaction is dropped, watched keys are forgotten.
  void end(Session& session);

  void set_observer(CommandObserver* observer) { observer_ = observer; }
  void set_recorder(EffectRecorder* recorder) { recorder_ = recorder; }
  // Values may be on disk. Before the first command runs.
  void set_cold_gate(ColdGate* gate) { cold_gate_ = gate; }
  // Null where all values are in memory.
  [[nodiscard]] ColdGate* cold_gate() const { return cold_gate_; }
  // MONITOR has listeners.
  void set_monitored(bool monitored) { monitored_.store(monitored, std::memory_order_relaxed); }
  // Commands that write are refused with this text from now on; with none, no longer. Any thread.
  void set_write_refusal(std::string text);
  // Over maxmemory: asked before commands that may need memory; false when nothing can be evicted.
  void set_make_room(bool (*evict)(void*), void* argument) {
    make_room_ = evict;
    make_room_argument_ = argument;
  }

  [[nodiscard]] const CommandTable& commands() const { return commands_; }
  [[nodiscard]] Keyspace& keyspace() { return keyspace_; }
  // Null on a node without replicas.
  [[nodiscard]] EffectRecorder* recorder() const { return kHasReplication ? recorder_ : nullptr; }
  [[nodiscard]] const Limits& limits() const { return limits_; }

 private:
  struct LockSet;
  using Served = std::vector<std::shared_ptr<Waiter>>;

  // Answers the error that keeps a command from running; false when there is none.
  [[nodiscard]] bool refuse(Session& session, const CommandSpec* spec, Args args, Reply& reply);
  void help(const CommandSpec& container, Reply& reply) const;
  void queue(Session& session, const CommandSpec& spec, Args args, Reply& reply);
  void call(Context& context);
  // Tells MONITOR's listeners that the command runs.
  void announce(const Context& context) const;
  // Under the locks: true when values are missing that the command, or a waiter, would look at.
  [[nodiscard]] bool lacks_values(Context& context, const LockSet& locks);
  // The same for the commands of a transaction.
  [[nodiscard]] bool queue_lacks_values(Context& exec, const LockSet& locks);
  // What the body records is one command's.
  static void run_body(Context& context);
  void run_locked(Context& context);
  void gather_slots(const CommandSpec& spec, Args args, LockSet* locks) const;
  void prefetch_keys(int db, const LockSet& locks) const;
  void add_destinations(LockSet* locks) const;
  // Locks the set, widened by what waiters may need.
  void lock_for(Context& context, LockSet* locks);
  // Locked slots in which somebody may wait.
  [[nodiscard]] std::vector<SlotIndex> slots_to_serve(const LockSet& locks) const;
  // Serves whoever waited for what was written, commits all of it, and unlocks.
  void finish(Context& context, const LockSet& locks);
  // Adds to `served` whom to wake.
  void serve_waiters(Context& context, const std::vector<SlotIndex>& slots, Served* served);
  void serve_key(Context& context, const std::vector<SlotIndex>& slots, int db,
                 const std::string& key, Served* served);
  [[nodiscard]] std::string_view first_ready_key(Context& serving, const Waiter& waiter,
                                                 const std::vector<SlotIndex>& slots) const;
  [[nodiscard]] bool watched_key_expired(Context& exec);
  [[nodiscard]] bool make_room();
  [[nodiscard]] bool lacks_memory(const Session& session, const CommandSpec& spec);

  Keyspace& keyspace_;
  const CommandTable& commands_;
  const Limits& limits_;
  CommandObserver* observer_ = nullptr;
  EffectRecorder* recorder_ = nullptr;
  ColdGate* cold_gate_ = nullptr;
  std::atomic<bool> monitored_{false};
  std::atomic<bool> refuses_writes_{false};
  std::mutex refusal_mutex_;
  std::string write_refusal_;  // Guarded by refusal_mutex_.
  bool (*make_room_)(void*) = nullptr;
  void* make_room_argument_ = nullptr;
};

// Whether a command may write; EXEC is judged by what the session has queued.
[[nodiscard]] bool is_writing(const Session& session, const CommandSpec& spec);

}  // namespace dyno

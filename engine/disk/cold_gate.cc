// SPDX-License-Identifier: Apache-2.0
#include "engine/disk/cold_gate.h"

#include <mutex>
#include <string>

#include "engine/blocking.h"
#include "engine/command.h"
#include "engine/disk/cold_value.h"
#include "engine/stats.h"

namespace dyno {
namespace {

// How often one command asks for values that it lacks. What it asked for first goes to disk again
// meanwhile if there is no room for all of it.
constexpr uint32_t kAsksMax = 64;

// Calls visit(name) for each key of a command that looks at values.
template <class Visit>
void for_each_key(const CommandSpec& spec, Args args, Visit&& visit) {
  if (spec.keeps_cold(args)) return;
  static thread_local std::vector<int> indexes;
  indexes.clear();
  if (!CommandTable::key_indexes(spec, args, &indexes)) return;
  for (int index : indexes) visit(args[static_cast<size_t>(index)]);
}

}  // namespace

void ColdGate::ask(Context& context, SlotIndex slot, std::string_view name, int db) {
  Session& session = context.session;
  if (context.failed) return;
  std::string error = cold_.take_failure(slot, db, name);
  if (!error.empty()) {
    error.insert(0, "MISCONF Errors reading from disk: ");
  } else if (!session.awaits_disk && session.disk_asks >= kAsksMax) {
    error = "OOM the values of this command's keys do not fit into memory together";
  }
  if (!error.empty()) {
    session.awaits_disk = false;
    return context.error(error);
  }
  bool is_new = cold_.want(slot, db, name);
  if (is_new && !session.awaits_disk) ++session.disk_asks;
  session.awaits_disk = true;
}

void ColdGate::ask_ahead(const CommandSpec& spec, Args args, int db) {
  for_each_key(spec, args, [&](std::string_view name) {
    KeyHash hash = keyspace_.hash(name);
    std::lock_guard lock(keyspace_.slot(hash.slot()).lock);
    if (keyspace_.is_cold(hash, db, name)) cold_.want(hash.slot(), db, name);
  });
}

bool ColdGate::holds_key(Context& context, std::string_view name, int db) {
  KeyHash hash = context.hash(name);
  if (!keyspace_.is_cold(hash, db, name)) return false;
  ask(context, hash.slot(), name, db);
  return true;
}

bool ColdGate::holds_command(Context& context, int db) {
  bool holds = false;
  for_each_key(*context.spec, context.args,
               [&](std::string_view name) { holds |= holds_key(context, name, db); });
  return holds;
}

bool ColdGate::holds_waiters(Context& context, const std::vector<SlotIndex>& slots) {
  bool holds = false;
  for (SlotIndex index : slots) {
    const Slot& slot = keyspace_.slot(index);
    if (slot.side == nullptr) continue;
    std::vector<std::string> names;
    slot.side->add_destinations(&names);
    for (const std::string& name : names) {
      // Whichever database they wait in.
      for (int db = 0; db < kDatabaseCount; ++db) holds |= holds_key(context, name, db);
    }
  }
  return holds;
}

}  // namespace dyno

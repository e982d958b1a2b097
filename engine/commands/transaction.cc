// SPDX-License-Identifier: Apache-2.0
//
// Transactions: MULTI queues what follows, EXEC runs the queue under the locks of all its keys at
// once, and WATCH makes EXEC depend on keys that nobody else changed. The executor keeps the queue,
// takes the locks and marks watchers; these are the commands.
#include "engine/command.h"
#include "engine/context.h"
#include "engine/executor.h"

namespace dyno {
namespace {

void multi(Context& c) {
  if (c.session.in_multi) return c.error("ERR MULTI calls can not be nested");
  c.session.in_multi = true;
  c.reply.ok();
}

void exec(Context& c) {
  Session& session = c.session;
  if (!session.in_multi) return c.error("ERR EXEC without MULTI");
  if (session.multi_failed) {
    c.error("EXECABORT Transaction discarded because of previous errors.");
  } else {
    // What runs is no longer being queued: a command of the queue may look at that.
    session.in_multi = false;
    if (!c.executor.run_queue(c)) {
      session.in_multi = true;
      return;
    }
  }
  c.executor.end_multi(session);
}

void discard(Context& c) {
  if (!c.session.in_multi) return c.error("ERR DISCARD without MULTI");
  c.executor.end_multi(c.session);
  c.reply.ok();
}

void watch(Context& c) {
  if (c.session.in_multi) return c.error("ERR WATCH inside MULTI is not allowed");
  for (std::string_view name : c.args.subspan(1)) {
    // A key past its deadline is removed now, so that its removal later is no change.
    static_cast<void>(Key(c, name, Key::Use::kWrite));
    c.executor.watch(c, name);
  }
  c.reply.ok();
}

void unwatch(Context& c) {
  // EXEC has judged the watched keys before its first command, and forgets them at its end.
  if (!c.in_exec) c.executor.unwatch(c.session);
  c.reply.ok();
}

constexpr KeyRange kAllKeys{1, -1, 1};
constexpr auto kGroup = CommandGroup::kTransactions;
constexpr uint32_t kAlways = kNoScript | kLoading | kStale;

// clang-format off
const CommandSpec kRows[] = {
    {"MULTI", 1, kAlways | kFast | kControlsMulti, {}, kGroup, "1.2.0", "O(1)",
     "Begins a transaction: the commands that follow are queued.", "", multi},
    {"EXEC", 1, kAlways | kNoSlowlog | kControlsMulti, {}, kGroup, "1.2.0",
     "That of the queued commands",
     "Runs the queued commands, all at once, unless a watched key was changed.", "", exec},
    {"DISCARD", 1, kAlways | kFast | kControlsMulti, {}, kGroup, "2.0.0",
     "O(N) with N the number of queued commands", "Leaves a transaction without running it.", "",
     discard},
    {"WATCH", -2, kAlways | kFast | kControlsMulti, kAllKeys, kGroup, "2.2.0", "O(1) for every key",
     "Makes the next EXEC run only if the keys have not been changed until then.", "key [key ...]",
     watch},
    {"UNWATCH", 1, kAlways | kFast, {}, kGroup, "2.2.0", "O(1)", "Forgets all watched keys.", "",
     unwatch},
};
// clang-format on

}  // namespace

const std::span<const CommandSpec> kTransactionCommands{kRows};

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// Clients that wait for a key to hold something (BLPOP and its kin), and clients that watch keys
// (WATCH). Both are rare, so a slot has a SlotSide only while somebody waits or watches.
//
// A waiter is served by the writer that makes its key ready: after its own command and before any
// other command can run on the key, under the same locks, in the order in which waiters came. A
// waiter for several keys stands in the queues of all their slots; whoever claims it first serves
// it. Its reply is handed to its connection's thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/entry.h"
#include "engine/session.h"
#include "protocol/byte_buffer.h"
#include "protocol/token.h"

namespace dyno {

struct Context;

// One blocked command. Immutable once it is queued, but for `db` when databases are swapped, under
// the locks of all slots, and `state` and the reply, which belongs to whoever has claimed it.
struct Waiter {
  enum State : int { kWaiting, kClaimed, kServed };

  // Arguments of the blocked command, copied.
  std::vector<std::string> storage;
  std::vector<std::string_view> args;
  const CommandSpec* spec = nullptr;
  std::vector<std::string> keys;  // In the order of the command.
  Type type = Type::kList;        // What a key must hold to be ready.
  int db = 0;                     // Physical.
  int protocol = 2;
  int64_t deadline_ms = 0;  // 0: none.
  // A second key whose slot must be locked too when the waiter is served (BLMOVE's destination).
  std::string destination;
  bool has_destination = false;
  // Answers the command with what `key` now holds; the key exists and is of `type`. The context is
  // made for the waiter: its args, its session's protocol, its reply.
  void (*serve)(Context& context, std::string_view key) = nullptr;

  std::atomic<int> state{kWaiting};
  ByteBuffer reply;
  // Called once, by the thread that served it, after the reply is complete. Must only pass the news
  // on.
  std::function<void(const std::shared_ptr<Waiter>&)> wake;

  [[nodiscard]] bool claim() {
    int expected = kWaiting;
    return state.compare_exchange_strong(expected, kClaimed);
  }
};

// Guarded by the slot's lock.
class SlotSide {
 public:
  [[nodiscard]] bool empty() const { return watchers_.empty() && queues_.empty(); }

  void watch(int db, std::string_view key, std::shared_ptr<WatchState> watcher);
  void unwatch(int db, std::string_view key, const WatchState* watcher);
  // Marks the watchers of a key.
  void touch(int db, std::string_view key);
  // Marks the watchers of the keys for which exists(db, key) says true.
  void touch_if(const std::function<bool(int db, std::string_view key)>& exists);
  // Two physical databases change places: marks all that watch in one of them, moves the queues,
  // adds those who wait in them to `waiters`, and notes their keys as changed. All slots are
  // locked; the caller changes each waiter's own `db`.
  void swap_dbs(int a, int b, std::vector<Waiter*>* waiters);

  void wait(const std::shared_ptr<Waiter>& waiter, std::string_view key);
  void leave(const Waiter* waiter, std::string_view key);
  // Notes that a key changed and may be ready; the executor serves it at the end of the command.
  void changed(int db, std::string_view key);
  // Waiters of a key in order of arrival; null when there are none.
  [[nodiscard]] std::list<std::shared_ptr<Waiter>>* waiters(int db, std::string_view key);
  // Drops the queue of a key when it is empty.
  void tidy(int db, std::string_view key);
  // Keys reported by changed() since the last call. Those of all slots that one command holds are
  // served in their common `order`.
  struct Changed {
    uint64_t order;
    int db;
    std::string key;
  };
  [[nodiscard]] std::vector<Changed> take_changed() { return std::exchange(changed_, {}); }
  [[nodiscard]] bool has_waiters() const { return !queues_.empty(); }
  // Destinations of all waiters of this slot.
  void add_destinations(std::vector<std::string>* names) const;

 private:
  [[nodiscard]] static std::string name(int db, std::string_view key);

  std::unordered_map<std::string, std::vector<std::shared_ptr<WatchState>>> watchers_;
  std::unordered_map<std::string, std::list<std::shared_ptr<Waiter>>> queues_;
  std::vector<Changed> changed_;
};

// For bodies of blocking commands: when none of `keys` could answer, queues the client. Inside EXEC
// it answers with a null array instead (RESP2 "*-1"), or with null when `null_is_bulk`.
struct BlockRequest {
  std::span<const std::string_view> keys;
  Type type;
  double timeout_s;  // 0: for ever.
  std::string_view destination;
  bool has_destination = false;
  bool null_is_bulk = false;  // What it answers inside EXEC.
  void (*serve)(Context& context, std::string_view key);
};
void block(Context& context, const BlockRequest& request);

// Reads a blocking command's timeout in seconds; answers the error and returns false when it is
// none.
[[nodiscard]] bool read_timeout(Context& context, std::string_view text, double* timeout_s);

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
#include "src/remote_runs.h"

#include <algorithm>
#include <array>
#include <utility>

#include "engine/blocking.h"
#include "src/event_loop.h"
#include "src/network_thread.h"
#include "src/ring_node.h"
#include "src/server.h"
#include "src/spill.h"
#include "src/storage.h"
#include "src/written_frames.h"

namespace dyno {
namespace {

// What the parser keeps between requests.
constexpr size_t kParserBytesMax = size_t{16} << 10;

}  // namespace

RemoteRuns::RemoteRuns(RingNode& node, NetworkThread& thread, EventLoop& loop, Lane& lane,
                       RingStore& store)
    : node_(node), thread_(thread), loop_(loop), lane_(lane), store_(store) {}

RemoteRuns::~RemoteRuns() = default;

std::unique_ptr<Client> RemoteRuns::make_session() {
  return std::make_unique<Client>(node_.server(), thread_, -1, "ring", "ring", false);
}

void RemoteRuns::run(Outbox::Run& run) {
  if (!parked_.empty() || is_full()) {
    Parked parked = look_at(run);
    if (has_to_wait(parked)) {
      parked.run = std::move(run);
      return park(std::move(parked));
    }
  }
  uint32_t disk_asks = 0;
  if (try_run(run, &disk_asks)) return;
  Parked parked = look_at(run);
  parked.run = std::move(run);
  parked.disk_asks = disk_asks;
  parked.awaited = Spill::wanted_by_thread();
  park(std::move(parked));
}

RemoteRuns::Parked RemoteRuns::look_at(const Outbox::Run& run) {
  Server& server = node_.server();
  Parked parked;
  parked.is_write = run.write;
  RequestLimits limits;
  limits.bulk_bytes_max = node_.server().limits().bulk_bytes_max;
  RequestParser parser;
  std::vector<int> indexes;
  std::string_view requests = run.command;
  while (!requests.empty()) {
    if (parser.parse(requests, limits) != RequestParser::Status::kRequest) break;
    const CommandSpec* spec = server.commands().find(parser.args());
    if (spec != nullptr) {
      parked.needs_memory |= (spec->flags & kDenyOom) != 0;
      indexes.clear();
      if (!CommandTable::key_indexes(*spec, parser.args(), &indexes)) indexes.clear();
      for (int index : indexes) {
        std::string_view name = parser.args()[static_cast<size_t>(index)];
        parked.slots.push_back(server.keyspace().hash(name).slot());
      }
    }
    requests.remove_prefix(parser.size());
    parser.next();
  }
  return parked;
}

bool RemoteRuns::is_full() const {
  const Spill* spill = node_.server().spill();
  Storage* storage = node_.server().storage();
  return (spill != nullptr && spill->is_over()) || (storage != nullptr && storage->log().is_full());
}

bool RemoteRuns::has_to_wait(const Parked& parked) const {
  const Spill* spill = node_.server().spill();
  if (parked.needs_memory && spill != nullptr && spill->is_over()) return true;
  Storage* storage = node_.server().storage();
  if (parked.is_write && storage != nullptr && storage->log().is_full()) return true;
  return std::any_of(parked.slots.begin(), parked.slots.end(),
                     [this](SlotIndex slot) { return parked_slots_.contains(slot); });
}

void RemoteRuns::park(Parked parked) {
  for (SlotIndex slot : parked.slots) ++parked_slots_[slot];
  parked_.push_back(std::move(parked));
  // What it waits for may have come before anybody knew that it does.
  thread_.await_disk();
  const Spill* spill = node_.server().spill();
  const ColdName& awaited = parked_.back().awaited;
  bool is_coming =
      awaited.text.empty() ? is_full() || parked_.size() > 1 : spill->is_reading(awaited);
  if (!is_coming) thread_.disk_moved();
}

void RemoteRuns::disk_moved() {
  release_held();
  try_parked();
}

void RemoteRuns::try_parked() {
  if (parked_.empty()) return;
  const Spill* spill = node_.server().spill();
  std::deque<Parked> waiting;
  waiting.swap(parked_);
  parked_slots_.clear();
  thread_.await_disk();
  for (Parked& each : waiting) {
    bool waits =
        has_to_wait(each) || (!each.awaited.text.empty() && spill->is_reading(each.awaited));
    if (!waits) {
      if (try_run(each.run, &each.disk_asks)) continue;
      each.awaited = Spill::wanted_by_thread();
    }
    park(std::move(each));
  }
}

bool RemoteRuns::try_run(const Outbox::Run& run, uint32_t* disk_asks) {
  if (!session_) session_ = make_session();
  Stamp before = store_.clock();
  uint64_t position = WriteLog::position_of_thread();
  Client& session = *session_;
  session.out.clear();
  session.disk_asks = *disk_asks;
  Ran ran = Ran::kDone;
  auto facts = decode_session_facts(run.context);
  if (!facts) {
    session.reply.error("ERR the forwarded request cannot be read");
  } else if (facts->only_node != kNoNode && facts->only_node != node_.self()) {
    session.reply.error("TRYAGAIN the request is meant for another node");
  } else {
    ran = run_requests(session, *facts, run);
  }
  if (ran == Ran::kBlocked) {
    blocked_[run.run] = std::move(session_);
    return true;
  }
  if (ran == Ran::kAwaitsDisk) {
    *disk_asks = session.disk_asks;
    return false;
  }
  std::string reply(session.out.view());
  session.out.clear();
  session.shrink_buffers();
  bool wrote = position != WriteLog::position_of_thread();
  position = wrote ? WriteLog::position_of_thread() : 0;
  tell({run.run, std::move(reply), WrittenFrames::take(), position, before});
  return true;
}

void RemoteRuns::tell(Held done) {
  Storage* storage = node_.server().storage();
  bool waits = storage != nullptr && storage->replies_wait() && done.position > storage->safe();
  if (!waits) {
    return lane_.ran(ring_now(), done.run, std::move(done.reply), std::move(done.frames));
  }
  held_.push_back(std::move(done));
  store_.limit_watermark(held_.front().before);
  release_held();
}

void RemoteRuns::release_held() {
  if (held_.empty()) return;
  // Before looking: what the disk takes afterwards is told again.
  thread_.await_disk();
  uint64_t safe = node_.server().storage()->safe();
  while (!held_.empty() && held_.front().position <= safe) {
    Held held = std::move(held_.front());
    held_.pop_front();
    lane_.ran(ring_now(), held.run, std::move(held.reply), std::move(held.frames));
  }
  store_.limit_watermark(held_.empty() ? 0 : held_.front().before);
}

RemoteRuns::Ran RemoteRuns::run_requests(Client& session, const SessionFacts& facts,
                                         const Outbox::Run& run) {
  Executor& executor = node_.server().executor();
  session.db = facts.db;
  session.protocol = facts.protocol;
  session.no_touch = facts.no_touch;
  session.authenticated = true;
  session.reply.set_version(facts.protocol);
  session.wake = [this, id = run.run](const std::shared_ptr<Waiter>& waiter) {
    loop_.post([this, id, waiter] { served(id, waiter); });
  };
  if (!facts.watched.empty() && !watches_hold(session, facts)) {
    executor.end(session);
    session.out.clear();
    session.reply.null_array();
    return Ran::kDone;
  }
  RequestLimits limits;
  limits.bulk_bytes_max = node_.server().limits().bulk_bytes_max;
  std::string_view requests = run.command;
  while (!requests.empty()) {
    if (parser_.parse(requests, limits) != RequestParser::Status::kRequest) {
      session.reply.error("ERR the forwarded request cannot be read");
      parser_ = {};
      break;
    }
    if (facts.is_transaction) session.out.clear();
    if (!parser_.args().empty()) {
      executor.run(session, parser_.args(), session.reply, unix_time_ms());
    }
    requests.remove_prefix(parser_.size());
    parser_.next();
    if (parser_.memory_bytes() > kParserBytesMax) parser_ = {};
    if (session.waiter != nullptr) return Ran::kBlocked;
    if (session.awaits_disk) {
      // Of a transaction nothing has run before its end; it is queued anew.
      executor.end(session);
      session.out.clear();
      return Ran::kAwaitsDisk;
    }
  }
  if (facts.is_transaction) executor.end(session);
  return Ran::kDone;
}

// Watches the keys, then looks whether they are still as they were: whatever happens in between is
// seen by the one or the other.
bool RemoteRuns::watches_hold(Client& session, const SessionFacts& facts) {
  Executor& executor = node_.server().executor();
  const Keyspace& keyspace = node_.server().keyspace();
  for (const WatchedVersion& watched : facts.watched) {
    session.db = watched.db;
    std::array<std::string_view, 2> args = {"WATCH", watched.key};
    executor.run(session, args, session.reply, unix_time_ms());
    RequestKey key{watched.db, watched.key, keyspace.hash(watched.key).token};
    if (store_.version(key, false) != watched.version) return false;
  }
  session.db = facts.db;
  session.out.clear();
  return true;
}

void RemoteRuns::served(uint64_t run, const std::shared_ptr<Waiter>& waiter) {
  auto found = blocked_.find(run);
  if (found == blocked_.end() || found->second->waiter != waiter) return;
  if (waiter->keys.size() > 1) node_.server().executor().leave_queues(*waiter);
  std::string reply(waiter->reply.view());
  blocked_.erase(found);
  // What it was given, another's write took.
  Storage* storage = node_.server().storage();
  uint64_t position = storage == nullptr ? 0 : storage->log().appended();
  tell({run, std::move(reply), {}, position, store_.clock()});
}

void RemoteRuns::time_out(int64_t now_ms) {
  for (auto at = blocked_.begin(); at != blocked_.end();) {
    std::shared_ptr<Waiter> waiter = at->second->waiter;
    bool is_due = waiter->deadline_ms != 0 && waiter->deadline_ms <= now_ms && waiter->claim();
    if (!is_due) {
      ++at;
      continue;
    }
    node_.server().executor().leave_queues(*waiter);
    Reply reply(&waiter->reply, waiter->protocol);
    reply.null_array();
    uint64_t run = at->first;
    std::string bytes(waiter->reply.view());
    at = blocked_.erase(at);
    lane_.ran(ring_now(), run, std::move(bytes), {});
  }
}

}  // namespace dyno

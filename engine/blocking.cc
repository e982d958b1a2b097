// SPDX-License-Identifier: Apache-2.0
#include "engine/blocking.h"

#include <algorithm>
#include <cmath>

#include "engine/context.h"
#include "engine/executor.h"
#include "protocol/number.h"

namespace dyno {
namespace {

// Whoever reports changes serves them too, so each thread counts for itself.
uint64_t next_order() {
  static thread_local uint64_t order = 0;
  return ++order;
}

}  // namespace

std::string SlotSide::name(int db, std::string_view key) {
  std::string full(1, static_cast<char>(db));
  full.append(key);
  return full;
}

void SlotSide::watch(int db, std::string_view key, std::shared_ptr<WatchState> watcher) {
  watchers_[name(db, key)].push_back(std::move(watcher));
}

void SlotSide::unwatch(int db, std::string_view key, const WatchState* watcher) {
  auto found = watchers_.find(name(db, key));
  if (found == watchers_.end()) return;
  std::erase_if(found->second, [&](const auto& each) { return each.get() == watcher; });
  if (found->second.empty()) watchers_.erase(found);
}

void SlotSide::touch(int db, std::string_view key) {
  if (watchers_.empty()) return;
  auto found = watchers_.find(name(db, key));
  if (found == watchers_.end()) return;
  for (auto& watcher : found->second) watcher->touched.store(true);
}

void SlotSide::touch_if(const std::function<bool(int, std::string_view)>& exists) {
  for (auto& [full, watchers] : watchers_) {
    if (!exists(full[0], std::string_view(full).substr(1))) continue;
    for (auto& watcher : watchers) watcher->touched.store(true);
  }
}

void SlotSide::swap_dbs(int a, int b, std::vector<Waiter*>* waiters) {
  touch_if([&](int db, std::string_view) { return db == a || db == b; });
  decltype(queues_) swapped;
  for (auto& [full, queue] : queues_) {
    int db = full[0];
    std::string_view key = std::string_view(full).substr(1);
    if (db == a || db == b) {
      db = db == a ? b : a;
      for (const auto& waiter : queue) waiters->push_back(waiter.get());
      changed_.push_back({next_order(), db, std::string(key)});
    }
    swapped[name(db, key)] = std::move(queue);
  }
  queues_ = std::move(swapped);
}

void SlotSide::wait(const std::shared_ptr<Waiter>& waiter, std::string_view key) {
  queues_[name(waiter->db, key)].push_back(waiter);
}

void SlotSide::leave(const Waiter* waiter, std::string_view key) {
  auto found = queues_.find(name(waiter->db, key));
  if (found == queues_.end()) return;
  std::erase_if(found->second, [&](const auto& each) { return each.get() == waiter; });
  if (found->second.empty()) queues_.erase(found);
}

void SlotSide::changed(int db, std::string_view key) {
  if (queues_.empty() || !queues_.contains(name(db, key))) return;
  changed_.push_back({next_order(), db, std::string(key)});
}

std::list<std::shared_ptr<Waiter>>* SlotSide::waiters(int db, std::string_view key) {
  auto found = queues_.find(name(db, key));
  return found == queues_.end() ? nullptr : &found->second;
}

void SlotSide::tidy(int db, std::string_view key) {
  auto found = queues_.find(name(db, key));
  if (found != queues_.end() && found->second.empty()) queues_.erase(found);
}

void SlotSide::add_destinations(std::vector<std::string>* names) const {
  for (const auto& [_, queue] : queues_) {
    for (const auto& waiter : queue) {
      if (waiter->has_destination) names->push_back(waiter->destination);
    }
  }
}

bool read_timeout(Context& context, std::string_view text, double* timeout_s) {
  auto seconds = parse_double(text);
  // Later than any clock that fits 64 bits of milliseconds.
  constexpr double kSecondsMax = 9.2e15;
  if (!seconds) {
    context.error(errors::kTimeoutNotFloat);
    return false;
  }
  if (*seconds > kSecondsMax) {
    context.error("ERR timeout is out of range");
    return false;
  }
  if (*seconds < 0) {
    context.error(errors::kTimeoutNegative);
    return false;
  }
  *timeout_s = *seconds;
  return true;
}

void block(Context& context, const BlockRequest& request) {
  if (context.in_exec) {
    request.null_is_bulk ? context.reply.null() : context.reply.null_array();
    return;
  }
  auto waiter = std::make_shared<Waiter>();
  waiter->storage.assign(context.args.begin(), context.args.end());
  waiter->args.assign(waiter->storage.begin(), waiter->storage.end());
  waiter->spec = context.spec;
  waiter->type = request.type;
  waiter->db = context.db;
  waiter->protocol = context.session.protocol;
  waiter->has_destination = request.has_destination;
  waiter->destination = request.destination;
  waiter->serve = request.serve;
  waiter->wake = context.session.wake;
  if (request.timeout_s > 0) {
    // Rounded up: a timeout is never shorter than asked for.
    waiter->deadline_ms =
        context.now_ms + static_cast<int64_t>(std::ceil(request.timeout_s * 1000));
  }
  for (std::string_view key : request.keys) {
    if (std::find(waiter->keys.begin(), waiter->keys.end(), key) != waiter->keys.end()) continue;
    waiter->keys.emplace_back(key);
    Slot& slot = context.keyspace.slot(context.hash(key).slot());
    if (slot.side == nullptr) slot.side.reset(new SlotSide);
    slot.side->wait(waiter, key);
  }
  context.session.waiter = std::move(waiter);
}

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// The network thread's part for clients that wait: in a blocking command until they are served,
// give up or are unblocked, or held back until they may go on.
#include "src/network_thread.h"

#include "engine/blocking.h"
#include "src/client.h"
#include "src/server.h"

namespace dyno {

void NetworkThread::unblock(uint64_t id, bool error) {
  loop_.post([this, id, error] {
    with_client(id, [this, error](Client& client) { unblock_now(client, error); });
  });
}

void NetworkThread::unblock_now(Client& client, bool error) {
  if (client.waiter == nullptr) return;
  std::shared_ptr<Waiter> waiter = client.waiter;
  if (!waiter->claim()) return;
  server_.executor().leave_queues(*waiter);
  Reply reply(&waiter->reply, waiter->protocol);
  if (error) {
    reply.error("UNBLOCKED client unblocked via CLIENT UNBLOCK");
  } else {
    reply.null_array();
  }
  finish_waiter(client, waiter);
}

void NetworkThread::resume_paused() {
  loop_.post([this] { resume_all(); });
}

void NetworkThread::resume_all() {
  for (Client* client : paused_) resume(*client);
  paused_.clear();
}

void NetworkThread::pause(Client& client) {
  client.paused = true;
  paused_.push_back(&client);
}

void NetworkThread::resume(Client& client) {
  client.paused = false;
  schedule(client);
}

void NetworkThread::served(uint64_t id, const std::shared_ptr<Waiter>& waiter) {
  with_client(id, [this, waiter](Client& client) {
    if (client.waiter != waiter) return;
    // A waiter for several keys still stands in the queues of the others.
    if (waiter->keys.size() > 1) server_.executor().leave_queues(*waiter);
    finish_waiter(client, waiter);
  });
}

void NetworkThread::finish_waiter(Client& client, const std::shared_ptr<Waiter>& waiter) {
  if (client.reply_mode == ReplyMode::kOn) client.out.append(waiter->reply.view());
  hold_for_others(client);  // What it was given, another's write took.
  forget_waiter(client);
  schedule(client);
}

void NetworkThread::forget_waiter(Client& client) {
  timeouts_.erase({client.waiter->deadline_ms, client.id});
  client.waiter.reset();
  stats_.blocked_clients.fetch_sub(1, std::memory_order_relaxed);
}

void NetworkThread::time_out_waiters(int64_t now_ms) {
  while (!timeouts_.empty() && timeouts_.begin()->first <= now_ms) {
    auto [deadline_ms, id] = *timeouts_.begin();
    timeouts_.erase(timeouts_.begin());
    auto found = clients_.find(id);
    if (found == clients_.end() || found->second->detached) continue;
    std::shared_ptr<Waiter> waiter = found->second->waiter;
    if (waiter == nullptr || waiter->deadline_ms != deadline_ms || !waiter->claim()) continue;
    server_.executor().leave_queues(*waiter);
    Reply reply(&waiter->reply, waiter->protocol);
    reply.null_array();
    finish_waiter(*found->second, waiter);
  }
}

}  // namespace dyno

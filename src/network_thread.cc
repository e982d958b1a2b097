// SPDX-License-Identifier: Apache-2.0
#include "src/network_thread.h"

#include <sys/socket.h>

#include <algorithm>

#include "engine/blocking.h"
#include "engine/memory.h"
#include "engine/reclaimer.h"
#include "engine/types/element_prefetch.h"
#include "protocol/words.h"
#include "src/lane_driver.h"
#include "src/ring_node.h"
#include "src/server.h"
#include "src/spill.h"
#include "src/storage.h"
#include "src/written_frames.h"

namespace dyno {
namespace {

// Replies of one client are written in between when they pass this, rather than piled up.
constexpr size_t kFlushBytes = 256 * 1024;
// Of one client, until the others have had their turn.
constexpr size_t kSentBytesMax = 512 * 1024;
// What a tick may spend on freeing and on expired keys before it looks at the sockets again.
constexpr int64_t kReclaimBudgetUs = 500;
constexpr int64_t kExpireBudgetUs = 500;
constexpr int64_t kVisitPeriodMs = 100;
constexpr int64_t kQuietMs = 500;  // A client's buffers are given back after this.
constexpr int64_t kCompactionPeriodMs = 10;
constexpr int64_t kChoicePeriodMs = 100;  // Of the spans that compaction empties.

uint32_t share_begin(int index, int count) {
  return kSlotCount * static_cast<uint32_t>(index) / static_cast<uint32_t>(count);
}

// A browser that was tricked into posting to this port; nothing of what follows may run.
bool is_http(std::string_view word) {
  return word.size() >= 4 && (word[0] | 32) >= 'h' &&
         (is_word(word, "POST") || is_word(word, "Host:"));
}

}  // namespace

NetworkThread::NetworkThread(Server& server, int index, int count)
    : server_(server),
      index_(index),
      begin_slot_(share_begin(index, count)),
      end_slot_(share_begin(index + 1, count)),
      compactor_(server.keyspace(), begin_slot_, end_slot_) {
  batch_.reserve(kBatchMax);
}

NetworkThread::~NetworkThread() = default;

void NetworkThread::join_ring(RingNode& node) {
  lane_ = node.make_lane(*this, loop_);
}

void NetworkThread::drive(uint64_t taken_turn) {
  if (taken_turn != 0 && !take_over(taken_turn)) return;
  try {
    loop_.run([this](std::span<const EventLoop::Ready> ready) { on_ready(ready); },
              [this](int64_t now_ms) { return on_tick(now_ms); });
  } catch (const TakenOver&) {
    // Another thread drives; this one has handed back the only thing that it still owned.
  }
}

void NetworkThread::end() {
  // Clients get what is already written for them, then the connection ends. What the disk did not
  // take in the end is not told.
  while (!clients_.empty()) {
    Client& client = *clients_.begin()->second;
    if (storage_ == nullptr || client.held_until <= storage_->safe()) {
      [[maybe_unused]] bool open = client.send(SIZE_MAX);
    }
    close(client, CloseReason::kAsked);
  }
  closed_.clear();
}

void NetworkThread::adopt(int fd, std::string address, std::string local_address,
                          bool unix_socket) {
  auto client = std::make_shared<std::unique_ptr<Client>>(std::make_unique<Client>(
      server_, *this, fd, std::move(address), std::move(local_address), unix_socket));
  // Counted at once: a burst of connections would pass maxclients while the thread is busy.
  stats_.clients.fetch_add(1, std::memory_order_relaxed);
  loop_.post([this, client] {
    Client& added = **client;
    added.id = server_.clients().add(added.facts, *this);
    added.authenticated = !server_.requires_password();
    added.wake = [this, id = added.id](const std::shared_ptr<Waiter>& waiter) {
      loop_.post([this, id, waiter] { served(id, waiter); });
    };
    loop_.add(added.facts.fd, EPOLLIN, &added);
    clients_.emplace(added.id, std::move(*client));
  });
}

void NetworkThread::close_client(uint64_t id, CloseReason reason) {
  loop_.post([this, id, reason] {
    with_client(id, [this, reason](Client& client) { close(client, reason); });
  });
}

void NetworkThread::push(uint64_t id, std::string bytes) {
  loop_.post([this, id, bytes = std::move(bytes)] {
    with_client(id, [this, bytes](Client& client) {
      client.out.append(bytes);
      after_requests(client);
    });
  });
}

Client* NetworkThread::find_client(uint64_t id) {
  auto found = clients_.find(id);
  return found == clients_.end() ? nullptr : found->second.get();
}

void NetworkThread::hand_over_pending(uint64_t id) {
  with_client(id, [this](Client& client) {
    while (!client.pending.empty() && client.pending.front()->done) {
      const PendingReply& place = *client.pending.front();
      if (!place.silent) client.out.append(place.bytes());
      client.pending.pop_front();
    }
    if (client.parked && client.pending.size() <= client.parked_until) {
      client.parked = false;
      schedule(client);
    }
    after_requests(client);
  });
}

void NetworkThread::schedule(Client& client) {
  if (client.scheduled) return;
  client.scheduled = true;
  scheduled_.push_back(&client);
}

void NetworkThread::on_ready(std::span<const EventLoop::Ready> ready) {
  for (const EventLoop::Ready& each : ready) {
    if (kHasReplication && !each.member->is_client) [[unlikely]] {
      lane_->on_ready(static_cast<PeerLink&>(*each.member), each.events);
      continue;
    }
    Client& client = static_cast<Client&>(*each.member);
    if (client.closing != CloseReason::kNone) continue;
    if (each.events & EPOLLOUT) flush(client);
    if (client.closing != CloseReason::kNone) continue;
    // One with requests left over from the last turn is read when those have run.
    if (!client.scheduled && (each.events & (EPOLLIN | EPOLLHUP | EPOLLERR))) {
      if (!client.receive()) {
        close(client, CloseReason::kPeerClosed);
      } else if (over_query_limit(client)) {
        close(client, CloseReason::kQueryLimit);
      } else {
        schedule(client);
      }
    }
  }
}

int NetworkThread::on_tick(int64_t now_ms) {
  now_ms_ = now_ms;
  time_out_waiters(now_ms);
  if (!scheduled_.empty()) {
    serving_.swap(scheduled_);
    serve();
    serving_.clear();
  }
  closed_.clear();
  if (now_ms >= next_visit_ms_) {
    visit_clients(now_ms);
    memory::return_idle();
    next_visit_ms_ = now_ms + kVisitPeriodMs;
  }
  if (now_ms >= next_compaction_ms_) {
    if (index_ == 0 && now_ms >= next_choice_ms_) {
      Compactor::choose();
      next_choice_ms_ = now_ms + kChoicePeriodMs;
    }
    compactor_.run(server_.replica());
    next_compaction_ms_ = now_ms + kCompactionPeriodMs;
  }
  bool busy = server_.keyspace().reclaimer().run(kReclaimBudgetUs);
  if (now_ms >= next_expiry_ms_) {
    bool more = server_.expire(begin_slot_, end_slot_, now_ms, kExpireBudgetUs);
    next_expiry_ms_ = now_ms + (more ? 1 : 10);
    busy |= more;
  }
  if (is_of_ring()) lane_->turn();
  if (!scheduled_.empty() || busy) return scheduled_.empty() ? 1 : 0;
  int64_t sleep_ms = std::min(next_visit_ms_ - now_ms, int64_t{10});
  if (!timeouts_.empty()) sleep_ms = std::min(sleep_ms, timeouts_.begin()->first - now_ms);
  if (is_of_ring()) sleep_ms = std::min(sleep_ms, lane_->sleep_ms());
  return static_cast<int>(std::max<int64_t>(sleep_ms, 0));
}

bool NetworkThread::may_run(const Client& client) const {
  return client.waiter == nullptr && !client.paused && !client.parked && !client.close_after_reply;
}

// Takes the request by value: when the loop is taken over meanwhile, the batch is gone.
void NetworkThread::run_request(Request request) {
  Client& client = *request.client;
  Args args(batch_args_.data() + request.first_arg, request.arg_count);
  if (!args.empty() && is_http(args[0])) [[unlikely]] {
    server_.log_http(client);
    return close(client, CloseReason::kProtocol);
  }
  if (!args.empty() && server_.holds_back(client, args)) [[unlikely]]
    return pause(client);
  bool uses_disk = is_durable() || spill_ != nullptr;
  if (uses_disk && !args.empty() && disk_holds_back(client, args)) [[unlikely]]
    return pause(client);
  if (is_of_ring() && !args.empty() && ring_takes(request, args)) [[unlikely]]
    return;
  if (args.empty()) {
    client.in.consume(request.size);
    client.parsed -= request.size;
    return;
  }
  execute(request, args);
  if (!client.awaits_disk) [[likely]]
    client.parsed -= request.size;
  end_request(client, request.size);
}

bool NetworkThread::ring_takes(const Request& request, Args args) {
  Client& client = *request.client;
  std::string_view bytes = client.in.view().substr(0, request.size);
  switch (lane_->gate().take(client, args, bytes, now_ms_)) {
    case RingGate::Take::kHere:
      return false;
    case RingGate::Take::kParked:
      return true;
    case RingGate::Take::kTaken:
      break;
  }
  client.in.consume(request.size);
  client.parsed -= request.size;
  return true;
}

void NetworkThread::execute(const Request& request, Args args) {
  Client& client = *request.client;
  client.reply_begun = client.out.size();
  const Executor::Prefetch* prefetch = request.prefetched ? &request.prefetch : nullptr;
  // Nothing with so short a name and so few arguments is ever long (GET, SET, DEL, TTL), but LCS:
  // spare it the exchange.
  if (args.size() <= 3 && args[0].size() == 3 && (args[0][0] | 32) != 'l') {
    server_.executor().run(client, args, client.reply, now_ms_, prefetch);
    return;
  }
  running_ = &client;
  int64_t now_ms = now_ms_;
  uint64_t turn = turn_.load(std::memory_order_relaxed) + 1;
  // From here to the exchange below the loop's fields may belong to another thread.
  turn_.store(turn, std::memory_order_release);
  server_.executor().run(client, args, client.reply, now_ms, prefetch);
  if (turn_.compare_exchange_strong(turn, turn + 1, std::memory_order_acq_rel)) [[likely]]
    return;
  loop_.post(
      [this, id = client.id, size = request.size, written = WrittenFrames::take()]() mutable {
        take_back(*clients_.at(id), size, std::move(written));
      });
  throw TakenOver{};
}

void NetworkThread::after_command(Client& client) {
  if (client.reply_mode != ReplyMode::kOn) [[unlikely]] {
    client.out.truncate(client.reply_begun);
    if (client.reply_mode == ReplyMode::kSkipThis) client.reply_mode = ReplyMode::kOn;
    if (client.reply_mode == ReplyMode::kSkipNext) client.reply_mode = ReplyMode::kSkipThis;
  }
  if (is_durable()) note_written(client);
  if (client.waiter != nullptr) [[unlikely]] {
    stats_.blocked_clients.fetch_add(1, std::memory_order_relaxed);
    if (client.waiter->deadline_ms != 0) timeouts_.insert({client.waiter->deadline_ms, client.id});
  }
  if (kHasReplication && !client.pending.empty()) [[unlikely]] {
    // It stands behind replies that are not there yet.
    std::shared_ptr<PendingReply> place = lane_->gate().make_place();
    place->settle(std::string(client.out.view().substr(client.reply_begun)));
    client.out.truncate(client.reply_begun);
    client.pending.push_back(std::move(place));
  }
  if (client.out.size() > kFlushBytes) flush(client);
}

void NetworkThread::fail_protocol(Client& client, const std::string& error) {
  client.reply.error("ERR " + error);
  server_.log_protocol_error(client, error);
  client.close_after_reply = true;
  client.protocol_failed = false;
}

void NetworkThread::after_requests(Client& client) {
  if (client.protocol_failed && may_run(client) && client.pending.empty()) {
    fail_protocol(client, client.parser.error());
  }
  flush(client);
  if (client.closing != CloseReason::kNone) return;
  if (client.close_after_reply && client.out.empty()) return close(client, CloseReason::kAsked);
  if (over_limits(client, now_ms_)) return;
  client.publish();
}

bool NetworkThread::over_query_limit(const Client& client) {
  auto query_max = server_.config().client.query_buffer_bytes_max.load(std::memory_order_relaxed);
  if (static_cast<int64_t>(client.in.size() + client.queue_bytes) <= query_max) return false;
  server_.log_limit(client, "query buffer", query_max);
  return true;
}

bool NetworkThread::over_limits(Client& client, int64_t now_ms) {
  if (over_query_limit(client)) {
    close(client, CloseReason::kQueryLimit);
    return true;
  }
  auto kind = client.monitor ? ClientClass::kReplica : ClientClass::kNormal;
  const OutputLimit& limit = server_.config().client.output_limits[static_cast<size_t>(kind)];
  auto size = static_cast<int64_t>(client.out.size());
  int64_t hard = limit.bytes_hard.load(std::memory_order_relaxed);
  int64_t soft = limit.bytes_soft.load(std::memory_order_relaxed);
  bool over = hard != 0 && size > hard;
  if (soft != 0 && size > soft) {
    if (client.soft_limit_since_ms == 0) client.soft_limit_since_ms = now_ms;
    over |= now_ms - client.soft_limit_since_ms >
            1000 * limit.soft_seconds.load(std::memory_order_relaxed);
  } else {
    client.soft_limit_since_ms = 0;
  }
  if (!over) return false;
  server_.log_limit(client, "output buffer", hard);
  close(client, CloseReason::kOutputLimit);
  return true;
}

void NetworkThread::flush(Client& client) {
  if (is_durable() && disk_holds_reply(client)) return;
  int64_t in_before = client.net_in;
  int64_t out_before = client.net_out;
  bool open = client.send(kSentBytesMax);
  stats_.input_bytes.store(stats_.input_bytes.load(std::memory_order_relaxed) + in_before,
                           std::memory_order_relaxed);
  stats_.output_bytes.store(
      stats_.output_bytes.load(std::memory_order_relaxed) + client.net_out - out_before,
      std::memory_order_relaxed);
  client.net_in = 0;
  if (!open) return close(client, CloseReason::kPeerClosed);
  bool wants = !client.out.empty();
  if (wants != client.waits_for_write) {
    client.waits_for_write = wants;
    loop_.modify(client.facts.fd, wants ? EPOLLIN | EPOLLOUT : EPOLLIN, &client);
  }
  if (client.close_after_reply && client.out.empty() && client.parsed == 0) {
    close(client, CloseReason::kAsked);
  }
}

void NetworkThread::close(Client& client, CloseReason reason) {
  if (client.closing != CloseReason::kNone) return;
  client.closing = reason;
  if (client.waiter != nullptr) {
    // Whoever has claimed it already keeps the element for a client that is gone, as in Redis.
    [[maybe_unused]] bool claimed = client.waiter->claim();
    server_.executor().leave_queues(*client.waiter);
    forget_waiter(client);
  }
  server_.executor().end(client);
  server_.forget(client);
  loop_.remove(client.facts.fd);
  std::erase(scheduled_, &client);
  std::erase(paused_, &client);
  std::erase(held_, &client);
  auto found = clients_.find(client.id);
  closed_.push_back(std::move(found->second));
  clients_.erase(found);
  stats_.clients.fetch_sub(1, std::memory_order_relaxed);
}

void NetworkThread::visit_clients(int64_t now_ms) {
  int64_t memory = 0;
  int64_t timeout_ms = 1000 * server_.config().client.timeout_s.load(std::memory_order_relaxed);
  std::vector<Client*> idle;
  for (auto& [_, client] : clients_) {
    if (client->detached) continue;
    if (now_ms - client->last_input_ms > kQuietMs) client->shrink_buffers();
    memory += client->memory_bytes();
    bool may_time_out = client->waiter == nullptr && !client->monitor && client->pending.empty();
    if (timeout_ms > 0 && may_time_out && now_ms - client->last_input_ms > timeout_ms) {
      idle.push_back(client.get());
    } else if (client->soft_limit_since_ms != 0 && over_limits(*client, now_ms)) {
      break;  // The list of clients changed; the rest is visited next time.
    }
  }
  for (Client* client : idle) close(*client, CloseReason::kIdle);
  closed_.clear();
  stats_.client_memory_bytes.store(memory, std::memory_order_relaxed);
  if (index_ == 0) server_.tick(now_ms);
}

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
// The loop of a load thread: deciding what to send, and the hot path from event to event.
#include "bench/worker.h"

#include <sys/epoll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "bench/clock.h"
#include "bench/verify.h"

namespace dyno::bench {

namespace {

constexpr size_t kBufferBytes = 128 * 1024;
constexpr int kEventsMax = 256;
constexpr uint64_t kCheck_ns = 50'000'000;

uint64_t share(uint64_t total, unsigned lane, unsigned lanes) {
  return total / lanes + (lane < total % lanes ? 1 : 0);
}

}  // namespace

Worker::Worker(const Plan& plan, Shared& shared, Mailbox& mailbox, unsigned lane)
    : plan_(plan),
      shared_(shared),
      mailbox_(mailbox),
      lane_(lane),
      operations_(plan.loading ? plan.workload->load : plan.workload->operations),
      verify_(plan.verify.empty() ? nullptr : plan.verify[lane]),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      random_(plan.seed * 1000003 + lane),
      keys_(plan.keys, plan.keyspace, lane, plan.threads),
      schedule_(plan.arrivals, plan.open_loop() ? plan.rate : 1, plan.start_ns, lane, plan.threads,
                plan.seed * 7919 + lane),
      clients_(share(plan.clients, lane, plan.threads)),
      buffer_(kBufferBytes),
      tally_(plan.access.endpoints.size(), operations_.size()),
      load_next_(lane) {
  uint32_t index = lane;
  for (Connection& client : clients_) {
    client.index = index;
    client.endpoint = static_cast<uint16_t>(index % plan.access.endpoints.size());
    client.pending.reserve(plan.pipeline + 1);
    if (verify_ != nullptr) client.parser.capture(VerifyLane::kValueMax);
    index += plan.threads;
  }
  if (plan.loading) {
    budget_ = share(plan.workload->load_items, lane, plan.threads) * operations_.size();
  } else if (plan.requests > 0) {
    budget_ = share(plan.requests, lane, plan.threads);
  }
  dirty_.reserve(clients_.size());
}

Worker::~Worker() {
  clients_.clear();
  if (epoll_ >= 0) ::close(epoll_);
}

void Worker::run() {
  // The kernel may otherwise delay a timed wait by 50 us, which would show as latency in an open
  // loop.
  if (plan_.open_loop()) prctl(PR_SET_TIMERSLACK, 1UL);
  uint64_t now = now_ns();
  tick_ = (now - plan_.tick_origin_ns) / kTick_ns;
  for (Connection& client : clients_) connect(client, now);
  while (true) {
    now = now_ns();
    if (now >= next_check_ns_) housekeeping(now);
    if (finished(now)) break;
    if (plan_.open_loop()) dispatch(now);
    wait_and_handle();
  }
  settle(now_ns());
  post();
  shared_.running.fetch_sub(1);
}

void Worker::wait_and_handle() {
  epoll_event events[kEventsMax];
  const uint64_t limit = wait_limit(now_ns());
  const timespec timeout{static_cast<time_t>(limit / kSecond_ns),
                         static_cast<long>(limit % kSecond_ns)};
  int ready = epoll_pwait2(epoll_, events, kEventsMax, &timeout, nullptr);
  if (ready < 0 && errno == ENOSYS) {
    ready = epoll_wait(epoll_, events, kEventsMax, static_cast<int>(limit / kMillisecond_ns));
  }
  if (ready <= 0) return;
  const uint64_t now = now_ns();
  for (int i = 0; i < ready; ++i) {
    on_event(clients_[events[i].data.u32], events[i].events, now);
  }
}

uint64_t Worker::wait_limit(uint64_t now) const {
  uint64_t until = std::min(next_check_ns_, plan_.stop_at_ns);
  // While no client is free the next reply or connection, not the clock, makes a request possible.
  if (plan_.open_loop() && !ending_ && budget_ > 0 && !starved_) {
    until = std::min(until, schedule_.next_ns());
  }
  if (until > now) return until - now;
  // A stop time that is past ends the loop at the next turn, so only a due request may spin here.
  return ending_ ? kMillisecond_ns : 0;
}

void Worker::on_event(Connection& client, uint32_t events, uint64_t now) {
  if (client.state == Connection::State::kConnecting) {
    if (!client.finish_connect()) {
      fail(client, "connect", client.error(), now);
      return;
    }
    greet(client, now);
    return;
  }
  if (client.state == Connection::State::kIdle) return;
  if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) on_readable(client);
  if ((events & EPOLLOUT) && client.state != Connection::State::kIdle) flush(client, now);
}

void Worker::on_readable(Connection& client) {
  do {
    size_t got = 0;
    const Connection::Io outcome = client.receive(buffer_.data(), buffer_.size(), got);
    const uint64_t now = now_ns();
    if (outcome == Connection::Io::kAgain) break;
    if (outcome != Connection::Io::kDone) {
      const bool closed = outcome == Connection::Io::kClosed;
      fail(client, closed ? "closed" : "connection",
           closed ? "closed by the server" : client.error(), now);
      return;
    }
    if (now >= plan_.measure_from_ns) tally_.bytes_in += got;
    const char* at = buffer_.data();
    const char* const end = at + got;
    Reply reply;
    while (at < end) {
      const char* const begin = at;
      const ReplyParser::Status status = client.parser.next(at, end, reply);
      if (status == ReplyParser::Status::kMore) break;
      bool good = status == ReplyParser::Status::kReply;
      if (!good) {
        flush_streak(now);
        const auto shown = static_cast<size_t>(std::min<ptrdiff_t>(end - begin, 60));
        fail(client, "garbage", std::string("not RESP: ") + std::string(begin, shown), now);
        return;
      }
      good = client.state == Connection::State::kReady ? on_reply(client, reply, now)
                                                       : on_greeting_reply(client, reply, now);
      if (!good) return;
    }
    flush_streak(now);
    if (client.state == Connection::State::kReady && client.pending.empty() && !plan_.open_loop()) {
      fill(client, now_ns());
    }
    if (client.dirty) flush(client, now);
  } while (client.has_buffered() && client.state != Connection::State::kIdle);
  if (client.state == Connection::State::kIdle) return;
  // What a TLS handshake held back goes out once the server's part of it has come.
  if (!client.out.empty() && !client.wants_write()) {
    flush(client, now_ns());
  } else if (client.wants_write()) {
    watch(client);
  }
}

bool Worker::on_reply(Connection& client, const Reply& reply, uint64_t now) {
  if (reply.kind == ReplyKind::kPush) return true;
  if (client.pending.empty()) {
    fail(client, "garbage", "a reply that nothing asked for", now);
    return false;
  }
  Pending& front = client.pending.front();
  const Operation& operation = operations_[front.operation];
  if (verify_ != nullptr) {
    verify_->on_reply(front.operation, front.key, front.tag, reply, client.endpoint, now);
  }
  if (reply.kind == ReplyKind::kError) {
    on_error_reply(reply, client, now);
    front.failed = true;
  } else {
    if (operation.expect != kExpectAny && !fits(operation.expect, reply)) {
      tally_.errors.count("wrong type",
                          operation.name + " was answered with another type: " +
                              std::string(reply.text.substr(0, 60)),
                          plan_.access.endpoints[client.endpoint].where(), now);
      if (plan_.on_error == OnError::kStop) shared_.stop = true;
    }
    if (reply.nested_error) {
      tally_.errors.count("nested error", operation.name,
                          plan_.access.endpoints[client.endpoint].where(), now);
    }
    if (reply.kind == ReplyKind::kNull && measured(front)) {
      ++tally_.cell(client.endpoint, front.operation).misses;
    }
  }
  if (--front.replies_left > 0) return true;
  const Pending done = front;
  client.pending.pop();
  --open_requests_;
  if (done.failed) {
    if (measured(done)) {
      ++tally_.failed;
      ++tally_.endpoints[client.endpoint].failed;
    }
    return true;
  }
  if (operation.next_step >= 0) {
    Pending next = done;
    next.operation = static_cast<uint16_t>(operation.next_step);
    render(client, next);
    return true;
  }
  complete(client, done, now);
  return true;
}

void Worker::complete(Connection& client, const Pending& done, uint64_t now) {
  if (!measured(done)) return;
  client.failures = 0;
  ++tally_.answered;
  ++tally_.endpoints[client.endpoint].requests;
  Cell* const cell = &tally_.cell(client.endpoint, done.reported);
  if (streak_.cell == cell && streak_.sent_ns == done.sent_ns &&
      streak_.intended_ns == done.intended_ns) {
    ++streak_.times;
    return;
  }
  flush_streak(now);
  streak_ = {cell, done.sent_ns, done.intended_ns, 1};
}

void Worker::flush_streak(uint64_t now) {
  if (streak_.cell == nullptr) return;
  streak_.cell->service.record(now - streak_.sent_ns, streak_.times);
  if (plan_.open_loop()) streak_.cell->intended.record(now - streak_.intended_ns, streak_.times);
  streak_.cell = nullptr;
}

bool Worker::may_issue(uint64_t now) {
  return !ending_ && budget_ > 0 && now < plan_.stop_at_ns;
}

void Worker::fill(Connection& client, uint64_t now) {
  for (unsigned i = 0; i < plan_.pipeline && may_issue(now); ++i) issue(client, now, now);
}

void Worker::issue(Connection& client, uint64_t intended_ns, uint64_t now) {
  --budget_;
  Pending pending{intended_ns, now, 0, 0, 0, 1, false, 0};
  if (plan_.loading) {
    pending.operation = static_cast<uint16_t>(load_operation_);
    pending.key = load_next_;
    if (++load_operation_ == operations_.size()) {
      load_operation_ = 0;
      load_next_ += plan_.threads;
    }
  } else if (verify_ == nullptr) {
    pending.operation = static_cast<uint16_t>(plan_.workload->pick(random_));
    const Operation& operation = operations_[pending.operation];
    if (operation.inserts) {
      pending.key = shared_.population.fetch_add(1, std::memory_order_relaxed);
    } else if (operation.command.uses_key()) {
      const uint64_t population =
          keys_.follows_population() ? shared_.population.load(std::memory_order_relaxed) : 0;
      pending.key = keys_.draw(random_, population);
    }
  }
  pending.reported = pending.operation;
  render(client, pending);
}

void Worker::render(Connection& client, Pending& pending) {
  if (verify_ != nullptr) {
    const VerifyLane::Issued issued =
        verify_->issue(client.index, keys_.draw(random_), random_, client.out);
    pending.operation = pending.reported = static_cast<uint16_t>(issued.operation);
    pending.key = issued.cell;
    pending.tag = issued.tag;
  } else {
    const Operation& operation = operations_[pending.operation];
    RenderSource source{random_, keys_, 0};
    pending.replies_left = operation.repeat_low;
    if (operation.repeat_high > operation.repeat_low) {
      pending.replies_left +=
          static_cast<uint32_t>(random_.below(operation.repeat_high - operation.repeat_low + 1));
    }
    for (uint32_t i = 0; i < pending.replies_left; ++i) {
      operation.command.render(client.out, (pending.key + i), source);
    }
  }
  client.pending.push(pending);
  ++open_requests_;
  client.dirty = true;
}

// Open loop: everything that is due is rendered, then every client that got something sends once.
void Worker::dispatch(uint64_t now) {
  dirty_.clear();
  starved_ = false;
  while (may_issue(now) && schedule_.next_ns() <= now && schedule_.next_ns() < plan_.stop_at_ns) {
    Connection* const client = free_client();
    if (client == nullptr) {
      starved_ = true;
      break;
    }
    if (!client->dirty) dirty_.push_back(client);
    issue(*client, schedule_.next_ns(), now);
    schedule_.advance();
  }
  for (Connection* const client : dirty_) flush(*client, now);
}

Connection* Worker::free_client() {
  if (open_requests_ >= clients_.size() * plan_.pipeline) return nullptr;
  for (size_t tried = 0; tried < clients_.size(); ++tried) {
    Connection& client = clients_[turn_];
    turn_ = turn_ + 1 == clients_.size() ? 0 : turn_ + 1;
    if (client.state == Connection::State::kReady && client.pending.size() < plan_.pipeline) {
      return &client;
    }
  }
  return nullptr;
}

bool Worker::finished(uint64_t now) {
  if (!ending_) {
    const bool time_over = now >= plan_.stop_at_ns;
    if (!time_over && budget_ > 0 && !shared_.stop.load(std::memory_order_relaxed)) return false;
    ending_ = true;
    end_ns_ = now;
  }
  return open_requests_ == 0 || now >= end_ns_ + plan_.drain_ns ||
         (shared_.stop.load(std::memory_order_relaxed) && now >= end_ns_ + kCheck_ns);
}

// What never was answered has waited at least until now: leaving it out would flatter the server.
void Worker::settle(uint64_t now) {
  for (Connection& client : clients_) {
    while (!client.pending.empty()) {
      const Pending& open = client.pending.front();
      if (verify_ != nullptr) verify_->on_lost(open.operation, open.key, open.tag);
      if (measured(open)) {
        ++tally_.unanswered;
        Cell& cell = tally_.cell(client.endpoint, open.reported);
        cell.service.record(now - open.sent_ns);
        if (plan_.open_loop()) cell.intended.record(now - open.intended_ns);
      }
      client.pending.pop();
    }
    client.close();
  }
  if (!plan_.open_loop() || budget_ == 0) return;
  while (schedule_.next_ns() < std::min(plan_.stop_at_ns, end_ns_)) {
    if (schedule_.next_ns() >= plan_.measure_from_ns) {
      ++tally_.not_sent;
      tally_.cells[0].intended.record(now - schedule_.next_ns());
    }
    schedule_.advance();
  }
}

void Worker::post() {
  mailbox_.post(tick_, std::move(tally_));
  tally_ = Tally(plan_.access.endpoints.size(), operations_.size());
}

}  // namespace dyno::bench

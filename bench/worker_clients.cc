// SPDX-License-Identifier: Apache-2.0
// The cold half of a worker: connecting, greeting, failing over, timing out, posting what was
// counted.
#include <sys/epoll.h>

#include <algorithm>

#include "bench/clock.h"
#include "bench/verify.h"
#include "bench/worker.h"

namespace dyno::bench {

namespace {

constexpr uint64_t kCheck_ns = 50'000'000;
constexpr uint64_t kBackoff_ns = 50'000'000;

}  // namespace

std::vector<std::vector<std::string>> ServerAccess::greeting() const {
  std::vector<std::vector<std::string>> commands;
  if (protocol == 3) {
    std::vector<std::string> hello{"HELLO", "3"};
    if (!password.empty()) {
      hello.insert(hello.end(), {"AUTH", user.empty() ? "default" : user, password});
    }
    commands.push_back(std::move(hello));
  } else if (!password.empty()) {
    if (user.empty()) {
      commands.push_back({"AUTH", password});
    } else {
      commands.push_back({"AUTH", user, password});
    }
  }
  if (database != 0) commands.push_back({"SELECT", std::to_string(database)});
  if (!read_level.empty()) commands.push_back({"CLIENT", "CONSISTENCY", "READ", read_level});
  if (!write_level.empty()) commands.push_back({"CLIENT", "CONSISTENCY", "WRITE", write_level});
  return commands;
}

void Worker::connect(Connection& client, uint64_t now) {
  const Endpoint& endpoint = plan_.access.endpoints[client.endpoint];
  if (!client.open(endpoint, plan_.access.tls.get())) {
    fail(client, "connect", client.error(), now);
    return;
  }
  client.since_ns = now;
  epoll_event event{};
  event.events = client.events = EPOLLIN | EPOLLOUT;
  event.data.u32 = static_cast<uint32_t>(&client - clients_.data());
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, client.fd(), &event) != 0) {
    fail(client, "connect", "cannot watch the socket", now);
  }
}

void Worker::greet(Connection& client, uint64_t now) {
  const auto commands = plan_.access.greeting();
  client.state = Connection::State::kGreeting;
  client.since_ns = now;
  client.greetings_left = static_cast<uint32_t>(commands.size());
  ++tally_.endpoints[client.endpoint].connects;
  std::string why;
  RenderSource source{random_, keys_, 0};
  for (const auto& words : commands) {
    CommandTemplate::compile(words, TemplateSettings{}, why)->render(client.out, 0, source);
  }
  if (commands.empty()) {
    client.state = Connection::State::kReady;
    if (!plan_.open_loop()) fill(client, now_ns());
  }
  flush(client, now);
}

bool Worker::on_greeting_reply(Connection& client, const Reply& reply, uint64_t now) {
  if (reply.kind == ReplyKind::kPush) return true;
  if (reply.kind == ReplyKind::kError) {
    fail(client, "greeting", reply.text, now);
    return false;
  }
  if (client.greetings_left == 0 || --client.greetings_left > 0) return true;
  client.state = Connection::State::kReady;
  return true;
}

void Worker::count_error(std::string_view kind, std::string_view text, const Connection& client,
                         uint64_t now) {
  tally_.errors.count(kind, text, plan_.access.endpoints[client.endpoint].where(), now);
  if (plan_.on_error == OnError::kStop) shared_.stop = true;
}

// An error's first word is its kind, as Redis has it; what begins otherwise is counted as "ERR".
void Worker::on_error_reply(const Reply& reply, const Connection& client, uint64_t now) {
  ++tally_.error_replies;
  size_t word = 0;
  while (word < reply.text.size() && word < 30 &&
         ((reply.text[word] >= 'A' && reply.text[word] <= 'Z') || reply.text[word] == '_')) {
    ++word;
  }
  count_error(word == 0 ? "ERR" : reply.text.substr(0, word), reply.text, client, now);
}

void Worker::fail(Connection& client, std::string_view kind, std::string_view text, uint64_t now) {
  flush_streak(now);
  // Closing idle connections is a server's right at the end; it is news only while something is
  // asked.
  if (!ending_ || !client.pending.empty()) count_error(kind, text, client, now);
  if (client.state == Connection::State::kReady) ++tally_.endpoints[client.endpoint].disconnects;
  open_requests_ -= client.pending.size();
  while (!client.pending.empty()) {
    const Pending& lost = client.pending.front();
    if (verify_ != nullptr) verify_->on_lost(lost.operation, lost.key, lost.tag);
    if (measured(lost)) {
      ++tally_.failed;
      ++tally_.endpoints[client.endpoint].failed;
    }
    client.pending.pop();
  }
  client.abort();
  ++client.failures;
  const auto endpoints = static_cast<uint32_t>(plan_.access.endpoints.size());
  if (plan_.failover && endpoints > 1) {
    client.endpoint = static_cast<uint16_t>((client.endpoint + 1) % endpoints);
    ++tally_.failovers;
  }
  const uint32_t free_tries = plan_.failover ? endpoints : 1;
  const uint32_t late = client.failures < free_tries ? 0 : client.failures - free_tries + 1;
  client.since_ns = now + (late == 0 ? 0 : kBackoff_ns << std::min(late - 1, 4u));
  if (late == 0) next_check_ns_ = now;
}

void Worker::flush(Connection& client, uint64_t now) {
  uint64_t sent = 0;
  const Connection::Io outcome = client.flush(sent);
  if (now >= plan_.measure_from_ns) tally_.bytes_out += sent;
  if (outcome == Connection::Io::kFailed || outcome == Connection::Io::kClosed) {
    fail(client, "connection", client.error(), now);
    return;
  }
  watch(client);
}

// The set of watched events changes only when a socket's buffer is full, so this is rarely a call.
void Worker::watch(Connection& client) {
  const uint32_t wanted = EPOLLIN | (client.wants_write() ? EPOLLOUT : 0u);
  if (client.events == wanted || client.fd() < 0) return;
  epoll_event event{};
  event.events = client.events = wanted;
  event.data.u32 = static_cast<uint32_t>(&client - clients_.data());
  epoll_ctl(epoll_, EPOLL_CTL_MOD, client.fd(), &event);
}

void Worker::housekeeping(uint64_t now) {
  const uint64_t tick = (now - plan_.tick_origin_ns) / kTick_ns;
  // A tally ends with its tick, so that a second of the report holds what happened in it.
  next_check_ns_ = std::min(now + kCheck_ns, plan_.tick_origin_ns + (tick + 1) * kTick_ns);
  for (Connection& client : clients_) {
    if (client.state == Connection::State::kIdle) {
      if (client.since_ns <= now && !ending_) connect(client, now);
    } else if (client.state != Connection::State::kReady) {
      if (now - client.since_ns > plan_.timeout_ns) {
        fail(client, "connect", "no connection within the timeout", now);
      }
    } else if (!client.pending.empty() && now > client.pending.front().sent_ns &&
               now - client.pending.front().sent_ns > plan_.timeout_ns) {
      fail(client, "timeout", "no answer within the timeout", now);
    }
  }
  if (tally_.answered != answered_seen_ || tally_.error_replies > 0) {
    shared_.last_progress_ns.store(now, std::memory_order_relaxed);
  }
  answered_seen_ = tally_.answered;
  if (tick != tick_) {
    post();
    tick_ = tick;
    answered_seen_ = 0;
  }
}

}  // namespace dyno::bench

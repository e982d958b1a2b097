// SPDX-License-Identifier: Apache-2.0
//
// The network thread's part that serves the clients of a turn: their requests in batches, each
// parsed, its memory asked for ahead, and run.
#include "src/network_thread.h"

#include "engine/types/element_prefetch.h"
#include "src/client.h"
#include "src/server.h"

namespace dyno {
namespace {

// Of a turn, before the sockets are looked at again.
constexpr int64_t kServeBudgetUs = 500;

}  // namespace

void NetworkThread::serve() {
  for (Client* client : serving_) {
    client->scheduled = false;
    client->last_input_ms = now_ms_;
  }
  // Round after round, until nobody has a complete request left; each round takes at most a batch
  // from one client, so that a long pipeline does not make others wait for its end. Those who came
  // meanwhile wait no longer than the budget: what is left is served in the next turn, first.
  int64_t end_us = monotonic_us() + kServeBudgetUs;
  bool is_late = false;
  std::vector<Client*> left = serving_;
  while (!left.empty()) {
    std::vector<Client*> more;
    size_t next = 0;
    while (next < left.size() && !is_late) {
      Client& client = *left[next++];
      if (client.closing != CloseReason::kNone) continue;
      parse(client);
      if (batch_.size() >= kBatchMax) {
        run_batch();
        is_late = monotonic_us() >= end_us;
      }
      bool ended = client.closing != CloseReason::kNone || client.protocol_failed;
      if (!ended && client.parsed_last_full && may_run(client)) more.push_back(&client);
    }
    run_batch();
    if (is_late) {
      left.erase(left.begin(), left.begin() + static_cast<ptrdiff_t>(next));
      left.insert(left.end(), more.begin(), more.end());
      for (Client* client : left) {
        if (client->closing == CloseReason::kNone) schedule(*client);
      }
      break;
    }
    left.swap(more);
  }
  for (Client* client : serving_) {
    if (client->closing == CloseReason::kNone) after_requests(*client);
  }
}

void NetworkThread::parse(Client& client) {
  client.parsed_last_full = false;
  if (!may_run(client) || client.protocol_failed) return;
  RequestLimits limits;
  limits.bulk_bytes_max = server_.limits().bulk_bytes_max;
  limits.authenticated = client.authenticated;
  for (size_t taken = 0; taken < kBatchMax; ++taken) {
    std::string_view unread = client.in.view().substr(client.parsed);
    if (unread.empty()) return;
    switch (client.parser.parse(unread, limits)) {
      case RequestParser::Status::kIncomplete:
        return;
      case RequestParser::Status::kError:
        client.protocol_failed = true;
        return;
      case RequestParser::Status::kRequest:
        break;
    }
    Args args = client.parser.args();
    bool alone = client.parser.is_inline() || !client.authenticated;
    batch_.push_back({&client,
                      static_cast<uint32_t>(batch_args_.size()),
                      static_cast<uint32_t>(args.size()),
                      client.parser.size(),
                      {},
                      false});
    batch_args_.insert(batch_args_.end(), args.begin(), args.end());
    client.parsed += client.parser.size();
    client.parser.next();
    if (alone) break;
  }
  client.parsed_last_full = true;
}

void NetworkThread::run_batch() {
  if (batch_.size() > 1) prefetch_batch();
  for (const Request& r : batch_) {
    if (r.client->closing != CloseReason::kNone) continue;
    if (may_run(*r.client)) {
      run_request(r);
    } else if (r.client->awaits_disk && r.client->paused && r.arg_count != 0) {
      ask_ahead(*r.client, {batch_args_.data() + r.first_arg, r.arg_count});
    }
  }
  for (const Request& r : batch_) {
    Client& client = *r.client;
    if (client.parsed != 0 && (client.closing != CloseReason::kNone || !may_run(client))) {
      // What was parsed ahead is parsed again when the client may go on.
      client.parsed = 0;
      client.parser.next();
      client.protocol_failed = false;
    }
  }
  batch_.clear();
  batch_args_.clear();
}

void NetworkThread::prefetch_batch() {
  Executor& executor = server_.executor();
  for (Request& r : batch_) {
    Args args(batch_args_.data() + r.first_arg, r.arg_count);
    r.prefetched = executor.prefetch_slot(*r.client, args, &r.prefetch);
  }
  // Once for neighbours with the same key, whose slot's lock is busy enough.
  const Executor::Prefetch* last = nullptr;
  bool has_repeated = false;
  auto is_new = [&](const Request& r) {
    bool repeats =
        last != nullptr && last->slot == r.prefetch.slot && last->position == r.prefetch.position;
    has_repeated |= repeats;
    last = &r.prefetch;
    return r.prefetched && !repeats;
  };
  for (Request& r : batch_) {
    if (is_new(r)) Executor::prefetch_group(r.prefetch);
  }
  last = nullptr;
  for (Request& r : batch_) {
    if (is_new(r)) Executor::prefetch_entry(r.prefetch);
  }
  if (has_repeated) prefetch_elements();
}

// Of each stretch of requests with the same key.
void NetworkThread::prefetch_elements() {
  std::string_view elements[kElementPrefetchMax];
  for (size_t begin = 0, end = 0; begin < batch_.size(); begin = end) {
    const Request& first = batch_[begin];
    size_t count = 0;
    for (end = begin; end < batch_.size(); ++end) {
      const Request& r = batch_[end];
      bool repeats = r.prefetched && r.prefetch.slot == first.prefetch.slot &&
                     r.prefetch.position == first.prefetch.position;
      if (!repeats && end > begin) break;
      if (r.arg_count < 3 || count == kElementPrefetchMax) continue;
      // A score stands before its member.
      std::string_view name = batch_args_[r.first_arg];
      bool is_scored = r.arg_count == 4 && !name.empty() && (name.front() | 32) == 'z';
      elements[count++] = batch_args_[r.first_arg + (is_scored ? 3 : 2)];
    }
    if (count < 2) continue;
    server_.executor().prefetch_elements(*first.client, first.prefetch,
                                         batch_args_[first.first_arg + 1], {elements, count});
  }
}

}  // namespace dyno

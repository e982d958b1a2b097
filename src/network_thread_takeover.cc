// SPDX-License-Identifier: Apache-2.0
//
// The network thread's part for commands that take long: another thread takes the loop over, and
// the client comes back when its command is done (loop_drivers.h).
#include "src/network_thread.h"

#include "src/client.h"
#include "src/lane_driver.h"
#include "src/written_frames.h"

namespace dyno {

bool NetworkThread::take_over(uint64_t taken_turn) {
  if (!turn_.compare_exchange_strong(taken_turn, taken_turn + 1, std::memory_order_acq_rel)) {
    return false;
  }
  Client& left_behind = *running_;
  left_behind.detached = true;
  left_behind.held_args = std::move(batch_args_);
  loop_.remove(left_behind.facts.fd);
  batch_.clear();
  batch_args_.clear();
  // Their round was cut short anywhere between reading and what follows the last reply.
  for (Client* client : serving_) {
    if (client == &left_behind || client->closing != CloseReason::kNone) continue;
    if (client->parsed != 0) {
      client->parsed = 0;
      client->parser.next();
      client->protocol_failed = false;
    }
    schedule(*client);
  }
  serving_.clear();
  if (lane_) lane_->store().hold_watermark();
  return true;
}

void NetworkThread::take_back(Client& client, size_t size, std::vector<Frame> written) {
  if (lane_) {
    lane_->publish(std::move(written));
    lane_->store().release_watermark();
  }
  client.detached = false;
  client.held_args.clear();
  client.held_args.shrink_to_fit();
  client.parsed = 0;
  client.parser.next();
  client.protocol_failed = false;
  client.waits_for_write = false;
  hold_for_others(client);  // Its last write was another thread's.
  loop_.add(client.facts.fd, EPOLLIN, &client);
  end_request(client, size);
  std::vector<std::function<void(Client&)>> deferred;
  deferred.swap(client.deferred);
  schedule(client);
  for (auto& act : deferred) {
    if (client.closing == CloseReason::kNone) act(client);
  }
}

void NetworkThread::with_client(uint64_t id, std::function<void(Client&)> act) {
  auto found = clients_.find(id);
  if (found == clients_.end()) return;
  if (found->second->detached) {
    found->second->deferred.push_back(std::move(act));
  } else {
    act(*found->second);
  }
}

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// The network thread's part for the disk: requests that wait for it, and replies.
#include "src/network_thread.h"

#include "src/client.h"
#include "src/lane_driver.h"
#include "src/server.h"
#include "src/spill.h"
#include "src/storage.h"

namespace dyno {

void NetworkThread::disk_moved() {
  if (!awaits_disk_.exchange(false)) return;
  loop_.post([this] {
    resume_ready();
    release_held();
    if (lane_) lane_->disk_moved();
  });
}

// Most who wait for values wait for others than those that have come: to run them would be in vain.
void NetworkThread::resume_ready() {
  std::vector<Client*> paused;
  paused.swap(paused_);
  // Before looking: what comes afterwards is told again.
  if (!paused.empty()) awaits_disk_.store(true);
  for (Client* client : paused) {
    bool waits = client->awaits_disk && spill_ != nullptr && spill_->is_reading(client->awaited);
    if (waits) {
      paused_.push_back(client);
    } else {
      resume(*client);
    }
  }
}

void NetworkThread::ask_ahead(Client& client, Args args) {
  server_.executor().ask_ahead(client, args);
  // Values come in the order in which they were asked for, about.
  client.awaited = Spill::wanted_by_thread();
}

bool NetworkThread::disk_holds_back(Client& client, Args args) {
  if (!has_to_wait(client, args)) return false;
  // Asked again, since the disk may have moved before it could know that somebody waits.
  awaits_disk_.store(true);
  return has_to_wait(client, args);
}

bool NetworkThread::has_to_wait(const Client& client, Args args) {
  if (spill_ != nullptr && spill_->holds_back(client, args)) return true;
  return is_durable() && storage_->holds_back(client, args);
}

void NetworkThread::end_request(Client& client, size_t size) {
  if (client.awaits_disk) [[unlikely]] {
    // Values may have come before anybody knew that it waits for them.
    awaits_disk_.store(true);
    client.awaited = Spill::wanted_by_thread();
    pause(client);
    if (!spill_->is_reading(client.awaited)) disk_moved();
    return;
  }
  client.in.consume(size);
  after_command(client);
}

void NetworkThread::note_written(Client& client) {
  uint64_t position = WriteLog::position_of_thread();
  if (position == written_position_) return;
  written_position_ = position;
  // A thread that has taken the loop over may know an earlier one.
  if (storage_->replies_wait()) client.held_until = std::max(client.held_until, position);
}

void NetworkThread::hold_for_others(Client& client) {
  if (storage_ == nullptr || !storage_->replies_wait()) return;
  client.held_until = storage_->log().appended();
}

bool NetworkThread::disk_holds_reply(Client& client) {
  if (client.held_until <= storage_->safe()) return false;
  awaits_disk_.store(true);
  if (client.held_until <= storage_->safe()) return false;
  if (!std::exchange(client.held, true)) held_.push_back(&client);
  return true;
}

void NetworkThread::release_held() {
  std::vector<Client*> held;
  held.swap(held_);
  for (Client* client : held) {
    client->held = false;
    // One whose command runs elsewhere is not this thread's; it is looked at when it comes back.
    if (client->closing == CloseReason::kNone && !client->detached) after_requests(*client);
  }
}

}  // namespace dyno

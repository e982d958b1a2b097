// SPDX-License-Identifier: Apache-2.0
//
// Messages that cannot be handled yet, since what the first of them needs is on disk (store.h).
// Those of one link are handled in their order, so that the others stand behind it; but some pass,
// which say nothing of what may stand there and which somebody waits for: heartbeats, by which
// clocks are compared and nodes are known to be alive, and what reads and writes at quorum levels
// wait for. They would be as true on another lane's link.
//
// What was asked for comes soon, or the disk is in trouble and others had better do without this
// node; so no other link is passed in favour of one that waits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>

#include "protocol/peer_message.h"

namespace dyno {

// What became of a message. kNotYet: it is to be handled again when the disk has moved; what was
// done of it is not done twice.
enum class Handled : uint8_t { kDone, kBroken, kNotYet };

// Of one link.
class HeldMessages {
 public:
  // Beyond, nothing more is taken from the link. Peers send no more than this unasked.
  static constexpr size_t kBytesMax = size_t{16} << 20;

  // In the same order among each other.
  [[nodiscard]] static bool passes(MessageKind kind) {
    switch (kind) {
      case MessageKind::kHeartbeat:
      case MessageKind::kHeartbeatAnswer:
      case MessageKind::kLease:
      case MessageKind::kAck:
      case MessageKind::kClean:
      case MessageKind::kReply:
      case MessageKind::kCompare:
      case MessageKind::kHold:
      case MessageKind::kHeld:
        return true;
      default:
        return false;
    }
  }

  [[nodiscard]] bool empty() const { return messages_.empty(); }
  [[nodiscard]] bool is_full() const { return bytes_ >= kBytesMax; }
  [[nodiscard]] size_t bytes() const { return bytes_; }
  // `tried`: it has been handled, in part perhaps.
  void push(const PeerMessage& message, bool tried) {
    messages_.push_back(
        {message.kind, message.flags, message.id, std::string(message.body), tried});
    bytes_ += message.body.size();
  }
  // The first one, and whether it was tried before; from now on it was.
  [[nodiscard]] PeerMessage try_first(bool* tried) {
    Message& first = messages_.front();
    *tried = first.tried;
    first.tried = true;
    return {first.kind, first.flags, first.id, first.body};
  }
  void pop() {
    bytes_ -= messages_.front().body.size();
    messages_.pop_front();
  }
  void clear() {
    messages_.clear();
    bytes_ = 0;
  }

 private:
  struct Message {
    MessageKind kind;
    uint8_t flags;
    uint64_t id;
    std::string body;
    bool tried;
  };
  std::deque<Message> messages_;
  size_t bytes_ = 0;
};

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// One connection to another node: its socket, what was read and is not yet a whole message, what is
// to be written. Belongs to one network thread. It is over when the system at its other end has
// acknowledged nothing for ten seconds. What it carries is the lane's business (ring/lane.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "protocol/byte_buffer.h"
#include "ring/outbox.h"
#include "src/event_loop.h"

namespace dyno {

class PeerLink : public LoopMember {
 public:
  // Queued and not yet taken by the kernel; when there is more to say to a peer that is as far
  // behind as this, it loses its link. One message may be larger.
  static constexpr size_t kOutBytesMax = size_t{256} << 20;

  enum class Role : uint8_t { kOwn, kAccepted, kGreeting };

  // Takes the socket, which is non-blocking.
  PeerLink(EventLoop& loop, int fd, Role role);
  ~PeerLink();
  PeerLink(const PeerLink&) = delete;
  PeerLink& operator=(const PeerLink&) = delete;

  // Reads what has arrived. False when the connection is over.
  [[nodiscard]] bool receive();
  // Queues bytes, and sends what can be sent. False when the connection is over or too slow.
  [[nodiscard]] bool send(std::string_view bytes);
  // What has arrived cannot be taken yet; while there is much of it no more is read.
  void hold(bool held);
  // The connection attempt has ended: 0, or the error of the system.
  [[nodiscard]] int finish_connecting();
  // Gives the socket away; the link is then only to be destroyed.
  [[nodiscard]] int release();

  Role role;
  bool connecting = false;
  bool closed = false;  // Is to be freed; its socket is out of the loop.
  NodeIndex node = kNoNode;
  LinkId id = 0;
  int64_t since_us = 0;
  ByteBuffer in;

  // Takes the socket out of the loop for good.
  void leave_loop();

 private:
  void watch(uint32_t events);

  EventLoop& loop_;
  int fd_;
  bool in_loop_ = true;
  bool held_ = false;
  uint32_t events_ = 0;
  ByteBuffer out_;
};

}  // namespace dyno

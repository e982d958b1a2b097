// SPDX-License-Identifier: Apache-2.0
#include "src/peer_link.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace dyno {
namespace {

constexpr size_t kReadBytes = size_t{64} << 10;
// Of buffers that have become empty. They grow with what repair has to tell, or who does not
// listen.
constexpr size_t kKeptBytes = size_t{1} << 20;
// What one wake-up takes from one link before others have their turn.
constexpr size_t kTurnBytes = size_t{1} << 20;
// What may have arrived on a link that is held before it is left to the system's buffers.
constexpr size_t kHeldBytesMax = size_t{4} << 20;
// A connection on which the other system acknowledges nothing for so long is over, and dialed anew.
// Left alone, it would be tried ever more rarely, and come back minutes after the network.
constexpr unsigned kUnacknowledgedMs = 10'000;
// After so long without a word, ask whether the other end is still there.
constexpr int kKeepAliveS = 5;

void limit_silence(int fd) {
  int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &kKeepAliveS, sizeof kKeepAliveS);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &kKeepAliveS, sizeof kKeepAliveS);
  ::setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &kUnacknowledgedMs, sizeof kUnacknowledgedMs);
}

}  // namespace

PeerLink::PeerLink(EventLoop& loop, int fd, Role given_role)
    : LoopMember{false}, role(given_role), loop_(loop), fd_(fd), events_(EPOLLIN) {
  limit_silence(fd_);
  loop_.add(fd_, events_, this);
}

PeerLink::~PeerLink() {
  leave_loop();
  if (fd_ >= 0) ::close(fd_);
}

void PeerLink::leave_loop() {
  if (std::exchange(in_loop_, false)) loop_.remove(fd_);
}

int PeerLink::release() {
  leave_loop();
  return std::exchange(fd_, -1);
}

void PeerLink::watch(uint32_t events) {
  if (held_ && in.size() >= kHeldBytesMax) events &= ~static_cast<uint32_t>(EPOLLIN);
  if (!in_loop_ || events_ == events) return;
  events_ = events;
  loop_.modify(fd_, events, this);
}

void PeerLink::hold(bool held) {
  if (!held && !held_) [[likely]]
    return;
  held_ = held;
  watch(out_.empty() ? EPOLLIN : EPOLLIN | EPOLLOUT);
}

bool PeerLink::receive() {
  in.shrink(kKeptBytes);
  for (size_t total = 0; total < kTurnBytes;) {
    char* at = in.reserve(kReadBytes);
    size_t room = in.room();
    ssize_t got = ::recv(fd_, at, room, MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno == EAGAIN;
    if (got == 0) return false;
    in.commit(static_cast<size_t>(got));
    total += static_cast<size_t>(got);
    if (static_cast<size_t>(got) < room) return true;
  }
  return true;
}

bool PeerLink::send(std::string_view bytes) {
  if (!bytes.empty() && out_.size() > kOutBytesMax) return false;
  if (connecting) {
    out_.append(bytes);
    watch(EPOLLIN | EPOLLOUT);
    return true;
  }
  while (out_.empty() && !bytes.empty()) {
    ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno != EAGAIN) return false;
    if (sent < 0) break;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  out_.append(bytes);
  while (!out_.empty()) {
    ssize_t sent = ::send(fd_, out_.data(), out_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno != EAGAIN) return false;
    if (sent < 0) break;
    out_.consume(static_cast<size_t>(sent));
  }
  out_.shrink(kKeptBytes);
  watch(out_.empty() ? EPOLLIN : EPOLLIN | EPOLLOUT);
  return true;
}

int PeerLink::finish_connecting() {
  int error = 0;
  socklen_t size = sizeof error;
  if (::getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  connecting = false;
  if (error == 0) watch(out_.empty() ? EPOLLIN : EPOLLIN | EPOLLOUT);
  return error;
}

}  // namespace dyno

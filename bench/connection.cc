// SPDX-License-Identifier: Apache-2.0
// The socket calls of one client. Nothing here blocks; every failure leaves its reason in error().
#include "bench/connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace dyno::bench {

bool Connection::open(const Endpoint& target, const TlsContext* tls) {
  close();
  const int family = target.address.ss_family;
  fd_ = ::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd_ < 0) {
    error_ = std::strerror(errno);
    return false;
  }
  const int on = 1;
  if (family != AF_UNIX) setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  const auto* address = reinterpret_cast<const sockaddr*>(&target.address);
  // A unix socket whose backlog is full says EAGAIN, and is to be tried again later like any
  // failure.
  if (::connect(fd_, address, target.address_bytes) != 0 && errno != EINPROGRESS) {
    error_ = std::strerror(errno);
    close();
    return false;
  }
  if (tls != nullptr) tls_ = std::make_unique<TlsStream>(*tls, fd_, target.host);
  state = State::kConnecting;
  return true;
}

bool Connection::finish_connect() {
  int code = 0;
  socklen_t bytes = sizeof code;
  getsockopt(fd_, SOL_SOCKET, SO_ERROR, &code, &bytes);
  if (code == 0) return true;
  error_ = std::strerror(code);
  return false;
}

void Connection::close() {
  tls_.reset();
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
  state = State::kIdle;
  dirty = wants_write_ = false;
  events = 0;
  out.clear();
  parser.reset();
}

void Connection::abort() {
  const linger at_once{1, 0};
  if (fd_ >= 0) setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  close();
}

Connection::Io Connection::flush(uint64_t& sent_bytes) {
  dirty = false;
  wants_write_ = false;
  while (!out.empty()) {
    long moved = 0;
    if (tls_) {
      moved = tls_->send(out.data(), out.size());
      if (moved == TlsStream::kAgain) {
        wants_write_ = tls_->wants_write();
        return Io::kAgain;
      }
      if (moved <= 0) {
        error_ = tls_->error();
        return Io::kFailed;
      }
    } else {
      moved = ::send(fd_, out.data(), out.size(), MSG_NOSIGNAL);
      if (moved < 0) {
        if (errno == EINTR) continue;
        if (errno == EAGAIN || errno == EWOULDBLOCK) {
          wants_write_ = true;
          return Io::kAgain;
        }
        error_ = std::strerror(errno);
        return Io::kFailed;
      }
    }
    sent_bytes += static_cast<uint64_t>(moved);
    out.consume(static_cast<size_t>(moved));
  }
  return Io::kDone;
}

Connection::Io Connection::receive(char* buffer, size_t capacity, size_t& got) {
  while (true) {
    const long moved = tls_ ? tls_->receive(buffer, capacity) : ::recv(fd_, buffer, capacity, 0);
    if (moved > 0) {
      got = static_cast<size_t>(moved);
      return Io::kDone;
    }
    if (moved == 0) return Io::kClosed;
    if (tls_) {
      if (moved == TlsStream::kAgain) {
        wants_write_ = wants_write_ || tls_->wants_write();
        return Io::kAgain;
      }
      error_ = tls_->error();
      return Io::kFailed;
    }
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return Io::kAgain;
    error_ = std::strerror(errno);
    return Io::kFailed;
  }
}

}  // namespace dyno::bench

// SPDX-License-Identifier: Apache-2.0
// Blocking calls, each bounded by the socket timeouts that connect() sets.
#include "bench/control.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace dyno::bench {

namespace {

constexpr size_t kBufferBytes = 64 * 1024;
constexpr size_t kCaptureMax = 8u << 20;

template <typename Words>
void append_words(OutBuffer& out, const Words& words) {
  out.append("*" + std::to_string(words.size()) + "\r\n");
  for (const std::string_view word : words) {
    out.append("$" + std::to_string(word.size()) + "\r\n");
    out.append(word);
    out.append("\r\n");
  }
}

bool connect_within(int fd, const Endpoint& endpoint, unsigned timeout_ms, std::string& error) {
  const auto* address = reinterpret_cast<const sockaddr*>(&endpoint.address);
  if (::connect(fd, address, endpoint.address_bytes) == 0) return true;
  int code = errno;
  if (code == EINPROGRESS) {
    pollfd wait{fd, POLLOUT, 0};
    socklen_t bytes = sizeof code;
    if (::poll(&wait, 1, static_cast<int>(timeout_ms)) != 1) {
      code = ETIMEDOUT;
    } else {
      getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &bytes);
    }
  }
  if (code != 0) error = std::strerror(code);
  return code == 0;
}

}  // namespace

void append_command(OutBuffer& out, std::initializer_list<std::string_view> words) {
  append_words(out, words);
}
void append_command(OutBuffer& out, const std::vector<std::string>& words) {
  append_words(out, words);
}

Control::~Control() {
  tls_.reset();
  if (fd_ >= 0) ::close(fd_);
}

bool Control::connect(const ServerAccess& access, size_t endpoint, unsigned timeout_ms) {
  const Endpoint& target = access.endpoints[endpoint];
  tls_.reset();
  if (fd_ >= 0) ::close(fd_);
  begin_ = end_ = 0;
  parser_.reset();
  parser_.capture(kCaptureMax);
  buffer_.resize(kBufferBytes);
  fd_ = ::socket(target.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd_ < 0) {
    error_ = std::strerror(errno);
    return false;
  }
  if (!connect_within(fd_, target, timeout_ms, error_)) return false;
  fcntl(fd_, F_SETFL, fcntl(fd_, F_GETFL) & ~O_NONBLOCK);
  const timeval limit{static_cast<time_t>(timeout_ms / 1000),
                      static_cast<suseconds_t>(timeout_ms % 1000 * 1000)};
  setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  const int on = 1;
  if (!target.is_unix()) setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (access.tls) tls_ = std::make_unique<TlsStream>(*access.tls, fd_, target.host);
  for (const auto& words : access.greeting()) {
    Reply reply;
    if (!call(words, reply)) return false;
    if (reply.kind == ReplyKind::kError) {
      error_ = words[0] + ": " + std::string(reply.text);
      return false;
    }
  }
  return true;
}

bool Control::send_bytes(const char* from, size_t bytes) {
  while (bytes > 0) {
    const long moved = tls_ ? tls_->send(from, bytes) : ::send(fd_, from, bytes, MSG_NOSIGNAL);
    if (moved <= 0) {
      if (!tls_ && errno == EINTR) continue;
      error_ = tls_ ? tls_->error() : std::strerror(errno);
      if (error_.empty()) error_ = "timed out";
      return false;
    }
    from += moved;
    bytes -= static_cast<size_t>(moved);
  }
  return true;
}

bool Control::send(const OutBuffer& out) {
  return send_bytes(out.data(), out.size());
}

bool Control::receive(Reply& reply, std::vector<std::string>* leaves) {
  parser_.collect(leaves);
  while (true) {
    const char* at = buffer_.data() + begin_;
    const auto status = parser_.next(at, buffer_.data() + end_, reply);
    begin_ = static_cast<size_t>(at - buffer_.data());
    if (status == ReplyParser::Status::kGarbage) {
      error_ = "the server does not speak RESP";
      return false;
    }
    if (status == ReplyParser::Status::kReply) {
      if (reply.kind == ReplyKind::kPush) continue;
      return true;
    }
    const long got = tls_ ? tls_->receive(buffer_.data(), buffer_.size())
                          : ::recv(fd_, buffer_.data(), buffer_.size(), 0);
    if (got <= 0) {
      if (got < 0 && !tls_ && errno == EINTR) continue;
      const bool timed_out = tls_ ? got == TlsStream::kAgain : errno == EAGAIN;
      error_ = got == 0    ? "closed by the server"
               : timed_out ? "no answer within the timeout"
               : tls_      ? tls_->error()
                           : std::strerror(errno);
      return false;
    }
    begin_ = 0;
    end_ = static_cast<size_t>(got);
  }
}

bool Control::call(const std::vector<std::string>& words, Reply& reply) {
  OutBuffer out;
  append_command(out, words);
  return send(out) && receive(reply);
}

}  // namespace dyno::bench

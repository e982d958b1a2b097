// SPDX-License-Identifier: Apache-2.0
#include "src/migration_target.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "protocol/number.h"

namespace dyno {
namespace {

constexpr size_t kChunkBytes = 64 * 1024;
// Redis' own status and error replies are far shorter.
constexpr size_t kLineBytesMax = 4096;
constexpr std::chrono::milliseconds kStopCheckPeriod{100};
constexpr int64_t kPortMax = 65535;

// True when the attempt to connect has failed rather than succeeded.
bool refused(int fd) {
  int error = 0;
  socklen_t size = sizeof(error);
  return ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0;
}

}  // namespace

MigrationTarget::MigrationTarget(std::chrono::milliseconds timeout,
                                 const std::atomic<bool>& stopping)
    : timeout_(timeout), stopping_(stopping) {}

MigrationTarget::~MigrationTarget() {
  disconnect();
}

void MigrationTarget::disconnect() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

bool MigrationTarget::wait_for(short events, Clock::time_point deadline) const {
  while (!stopping_.load(std::memory_order_relaxed)) {
    auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    if (left.count() <= 0) return false;
    pollfd waited{fd_, events, 0};
    int ready = ::poll(&waited, 1, static_cast<int>(std::min(left, kStopCheckPeriod).count()));
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return false;
  }
  return false;
}

bool MigrationTarget::connect(std::string_view host, std::string_view port) {
  auto number = parse_int64(port);
  if (!number || *number <= 0 || *number > kPortMax) return false;
  addrinfo wanted{};
  wanted.ai_socktype = SOCK_STREAM;
  wanted.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (::getaddrinfo(std::string(host).c_str(), std::to_string(*number).c_str(), &wanted, &found)) {
    return false;
  }
  std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> addresses(found, &::freeaddrinfo);
  auto deadline = Clock::now() + timeout_;
  bool answered = false;
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    disconnect();
    fd_ = ::socket(each->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd_ < 0) continue;
    int on = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (::connect(fd_, each->ai_addr, each->ai_addrlen) != 0) {
      if (errno == ECONNREFUSED) answered = true;
      if (errno != EINPROGRESS) continue;
      if (!wait_for(POLLOUT, deadline)) return false;
      answered = true;
      if (refused(fd_)) continue;
    }
    return true;
  }
  return answered;
}

bool MigrationTarget::write(std::string_view bytes) {
  while (!bytes.empty()) {
    auto deadline = Clock::now() + timeout_;
    std::string_view chunk = bytes.substr(0, kChunkBytes);
    bytes.remove_prefix(chunk.size());
    while (!chunk.empty()) {
      ssize_t written = ::send(fd_, chunk.data(), chunk.size(), MSG_NOSIGNAL);
      if (written > 0) {
        chunk.remove_prefix(static_cast<size_t>(written));
      } else if (errno != EAGAIN && errno != EINTR) {
        return false;
      } else if (!wait_for(POLLOUT, deadline)) {
        return false;
      }
    }
  }
  return true;
}

std::optional<std::string> MigrationTarget::read_status() {
  auto deadline = Clock::now() + timeout_;
  for (;;) {
    size_t end = unread_.find("\r\n");
    if (end != std::string::npos) {
      std::string line = unread_.substr(0, end);
      unread_.erase(0, end + 2);
      if (line.empty() || (line[0] != '+' && line[0] != '-')) return std::nullopt;
      return line;
    }
    if (unread_.size() > kLineBytesMax || !wait_for(POLLIN, deadline)) return std::nullopt;
    char bytes[kLineBytesMax];
    ssize_t got = ::recv(fd_, bytes, sizeof(bytes), 0);
    if (got > 0) {
      unread_.append(bytes, static_cast<size_t>(got));
    } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
      return std::nullopt;
    }
  }
}

}  // namespace dyno

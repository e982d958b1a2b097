// SPDX-License-Identifier: Apache-2.0
#include "src/admin_server.h"

#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "protocol/words.h"
#include "src/admin_pages.h"
#include "src/event_loop.h"
#include "src/listen_address.h"
#include "src/thread_name.h"

namespace dyno {
namespace {

constexpr int kPollMs = 500;

std::string_view status_text(int status) {
  switch (status) {
    case 200:
      return "200 OK";
    case 400:
      return "400 Bad Request";
    case 403:
      return "403 Forbidden";
    case 404:
      return "404 Not Found";
    case 405:
      return "405 Method Not Allowed";
    default:
      return "503 Service Unavailable";
  }
}

// Browsers name the origin of requests that a page of another one makes.
bool names_an_origin(std::string_view head) {
  std::string lower = to_lower(head);
  return lower.find("\r\norigin:") != std::string::npos ||
         lower.find("\r\nsec-fetch-site: cross-site") != std::string::npos;
}

int port_of(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return 0;
  if (address.ss_family == AF_INET6) {
    return ntohs(reinterpret_cast<const sockaddr_in6*>(&address)->sin6_port);
  }
  return ntohs(reinterpret_cast<const sockaddr_in*>(&address)->sin_port);
}

}  // namespace

AdminServer::~AdminServer() {
  stopping_.store(true);
  if (thread_.joinable()) {
    uint64_t one = 1;
    [[maybe_unused]] ssize_t written = ::write(wake_fd_, &one, sizeof one);
    thread_.join();
  }
  for (Connection& each : connections_) ::close(each.fd);
  if (listen_fd_ >= 0) ::close(listen_fd_);
  if (wake_fd_ >= 0) ::close(wake_fd_);
}

std::optional<std::string> AdminServer::start(const std::string& text) {
  auto address = parse_listen_address(text);
  if (!address || !address->unix_path.empty()) return "admin.listen: expected host:port";
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  std::string host = address->host == "*" ? "0.0.0.0" : address->host;
  int failed = ::getaddrinfo(host.c_str(), std::to_string(address->port).c_str(), &hints, &found);
  if (failed != 0) return "cannot resolve " + address->host + ": " + ::gai_strerror(failed);
  listen_fd_ = ::socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  int on = 1;
  ::setsockopt(listen_fd_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  bool listens = listen_fd_ >= 0 && ::bind(listen_fd_, found->ai_addr, found->ai_addrlen) == 0 &&
                 ::listen(listen_fd_, static_cast<int>(kConnectionsMax)) == 0;
  std::string why = std::strerror(errno);
  ::freeaddrinfo(found);
  if (!listens) return "cannot listen on " + text + ": " + why;
  port_ = port_of(listen_fd_);
  wake_fd_ = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  thread_ = std::thread([this] { run(); });
  return std::nullopt;
}

void AdminServer::run() {
  name_thread("admin");
  std::vector<pollfd> polled;
  while (!stopping_.load()) {
    polled.clear();
    polled.push_back({wake_fd_, POLLIN, 0});
    bool has_room = connections_.size() < kConnectionsMax;
    polled.push_back({listen_fd_, static_cast<short>(has_room ? POLLIN : 0), 0});
    for (const Connection& each : connections_) {
      polled.push_back({each.fd, static_cast<short>(each.answered ? POLLOUT : POLLIN), 0});
    }
    ::poll(polled.data(), polled.size(), connections_.empty() ? -1 : kPollMs);
    int64_t now_ms = monotonic_us() / 1000;
    std::vector<Connection> kept;
    for (size_t i = 0; i < connections_.size(); ++i) {
      Connection& each = connections_[i];
      bool goes_on = now_ms < each.until_ms;
      if (goes_on && polled[i + 2].revents != 0) {
        goes_on = each.answered ? write_some(each) : read_some(each);
      }
      if (goes_on) {
        kept.push_back(std::move(each));
      } else {
        ::close(each.fd);
      }
    }
    connections_.swap(kept);
    if (polled[1].revents != 0) accept_one();
  }
}

void AdminServer::accept_one() {
  int fd = ::accept4(listen_fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd >= 0) connections_.push_back({fd, monotonic_us() / 1000 + kDeadlineMs, {}, {}, false});
}

bool AdminServer::read_some(Connection& connection) {
  char bytes[2048];
  ssize_t got = ::recv(connection.fd, bytes, sizeof bytes, 0);
  if (got < 0) return errno == EAGAIN || errno == EINTR;
  if (got == 0) return false;
  connection.in.append(bytes, static_cast<size_t>(got));
  if (connection.in.find("\r\n\r\n") == std::string::npos) {
    return connection.in.size() <= kRequestBytesMax;
  }
  answer(connection);
  return write_some(connection);
}

void AdminServer::answer(Connection& connection) {
  std::string_view head = connection.in;
  std::string_view line = head.substr(0, head.find("\r\n"));
  size_t first = line.find(' ');
  size_t second = first == std::string_view::npos ? first : line.find(' ', first + 1);
  AdminPage page;
  if (second == std::string_view::npos || !line.substr(second + 1).starts_with("HTTP/1.")) {
    page = {.status = 400, .body = "expected an HTTP/1 request\n"};
  } else if (line.substr(0, first) != "GET" && line.substr(0, first) != "POST") {
    page = {.status = 405, .body = "expected GET or POST\n"};
  } else {
    page = admin_page(server_, line.substr(first + 1, second - first - 1), names_an_origin(head));
  }
  connection.out = "HTTP/1.1 " + std::string(status_text(page.status)) +
                   "\r\nContent-Type: " + std::string(page.type) +
                   "\r\nContent-Length: " + std::to_string(page.body.size()) +
                   "\r\nConnection: close\r\nCache-Control: no-store\r\n\r\n" + page.body;
  connection.answered = true;
}

bool AdminServer::write_some(Connection& connection) {
  while (!connection.out.empty()) {
    ssize_t sent =
        ::send(connection.fd, connection.out.data(), connection.out.size(), MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN || errno == EINTR;
    connection.out.erase(0, static_cast<size_t>(sent));
  }
  // The other side reads to the end, then closes; what it still sends is not read.
  ::shutdown(connection.fd, SHUT_WR);
  return false;
}

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
#include "src/listener.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio.hpp>
#include <csignal>
#include <cstring>
#include <sstream>
#include <vector>

#include "src/listen_address.h"
#include "src/ring_node.h"
#include "src/server.h"

namespace dyno {

namespace asio = boost::asio;

namespace {

// After a failed accept: long enough to cost nothing, short enough not to be noticed.
constexpr auto kAcceptPause = std::chrono::milliseconds(50);

std::string text_of(const asio::ip::tcp::endpoint& endpoint) {
  std::ostringstream text;
  text << endpoint;
  return text.str();
}

// Accepts on one address of protocol `Protocol`, for ever.
template <class Protocol>
class Acceptor {
 public:
  using Endpoint = typename Protocol::endpoint;

  Acceptor(asio::io_context& io, Server& server, typename Protocol::acceptor acceptor,
           bool for_peers)
      : server_(server), acceptor_(std::move(acceptor)), timer_(io), for_peers_(for_peers) {
    accept();
  }

 private:
  void accept() {
    acceptor_.async_accept(
        [this](const boost::system::error_code& error, typename Protocol::socket socket) {
          if (error == asio::error::operation_aborted) return;
          if (!error) {
            hand_over(std::move(socket));
            return accept();
          }
          server_.log().write(LogLevel::kWarning, "accepting a client failed",
                              {{"error", error.message()}});
          timer_.expires_after(kAcceptPause);
          timer_.async_wait([this](const boost::system::error_code& stopped) {
            if (!stopped) accept();
          });
        });
  }

  void hand_over(typename Protocol::socket socket) {
    boost::system::error_code error;
    std::string remote;
    std::string local;
    bool from_loopback = true;
    constexpr bool kIsUnix = std::is_same_v<Protocol, asio::local::stream_protocol>;
    if constexpr (kIsUnix) {
      local = acceptor_.local_endpoint(error).path();
      remote = local + ":0";
    } else {
      auto peer = socket.remote_endpoint(error);
      if (error) return;  // Gone already.
      remote = text_of(peer);
      local = text_of(socket.local_endpoint(error));
      from_loopback = peer.address().is_loopback();
      socket.set_option(asio::ip::tcp::no_delay(true), error);
      auto keepalive_s = static_cast<int>(server_.config().client.tcp_keepalive_s.load());
      if (keepalive_s > 0) {
        int probe_s = std::max(keepalive_s / 3, 1);
        int probes = 3;
        socket.set_option(asio::socket_base::keep_alive(true), error);
        int fd = socket.native_handle();
        ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &keepalive_s, sizeof(keepalive_s));
        ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &probe_s, sizeof(probe_s));
        ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
      }
    }
    socket.native_non_blocking(true, error);
    int fd = socket.release(error);
    if (error) return;
    if (for_peers_) return server_.ring()->accept(fd);
    server_.accept(fd, std::move(remote), std::move(local), kIsUnix, from_loopback);
  }

  Server& server_;
  typename Protocol::acceptor acceptor_;
  asio::steady_timer timer_;
  const bool for_peers_;
};

}  // namespace

struct Listener::Loop {
  explicit Loop(Server& owner) : server(owner), signals(io, SIGINT, SIGTERM) {}

  std::optional<std::string> listen_tcp(const ListenAddress& address, bool for_peers);
  std::optional<std::string> listen_unix(const ListenAddress& address);

  Server& server;
  asio::io_context io{1};
  asio::signal_set signals;
  std::vector<std::unique_ptr<Acceptor<asio::ip::tcp>>> tcp;
  std::vector<std::unique_ptr<Acceptor<asio::local::stream_protocol>>> local;
  std::vector<std::string> socket_files;
  std::string bound;
};

std::optional<std::string> Listener::Loop::listen_tcp(const ListenAddress& address,
                                                      bool for_peers) {
  boost::system::error_code error;
  asio::ip::tcp::resolver resolver(io);
  std::string host = address.host == "*" ? "0.0.0.0" : address.host;
  auto found =
      resolver.resolve(host, std::to_string(address.port), asio::ip::tcp::resolver::passive, error);
  if (error) return "cannot resolve " + address.host + ": " + error.message();
  asio::ip::tcp::endpoint endpoint = *found.begin();
  asio::ip::tcp::acceptor acceptor(io);
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(asio::socket_base::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(static_cast<int>(server.config().client.tcp_backlog.load()), error);
  if (error) return "cannot listen on " + text_of(endpoint) + ": " + error.message();
  endpoint = acceptor.local_endpoint(error);
  if (for_peers) {
    tcp.push_back(std::make_unique<Acceptor<asio::ip::tcp>>(io, server, std::move(acceptor), true));
    return std::nullopt;
  }
  if (server.config().client.port.load() == 0 || bound.empty()) {
    server.config().client.port.store(endpoint.port());
  }
  bound += (bound.empty() ? "" : " ") + text_of(endpoint);
  tcp.push_back(std::make_unique<Acceptor<asio::ip::tcp>>(io, server, std::move(acceptor), false));
  return std::nullopt;
}

std::optional<std::string> Listener::Loop::listen_unix(const ListenAddress& address) {
  boost::system::error_code error;
  asio::local::stream_protocol::endpoint endpoint(address.unix_path);
  asio::local::stream_protocol::acceptor acceptor(io);
  struct stat existing;
  if (::stat(address.unix_path.c_str(), &existing) == 0 && S_ISSOCK(existing.st_mode)) {
    // Left behind by a process that was killed, unless somebody answers on it.
    asio::local::stream_protocol::socket probe(io);
    probe.connect(endpoint, error);
    if (!error) return "cannot listen on " + address.unix_path + ": another process listens there";
    ::unlink(address.unix_path.c_str());
    error.clear();
  }
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(static_cast<int>(server.config().client.tcp_backlog.load()), error);
  if (error) return "cannot listen on " + address.unix_path + ": " + error.message();
  ::chmod(address.unix_path.c_str(), 0770);
  socket_files.push_back(address.unix_path);
  bound += (bound.empty() ? "" : " ") + address.unix_path;
  local.push_back(std::make_unique<Acceptor<asio::local::stream_protocol>>(
      io, server, std::move(acceptor), false));
  return std::nullopt;
}

Listener::Listener(Server& server) : loop_(std::make_unique<Loop>(server)) {}

Listener::~Listener() {
  for (const std::string& path : loop_->socket_files) ::unlink(path.c_str());
}

std::optional<std::string> Listener::listen(const std::string& addresses) {
  std::istringstream words(addresses);
  std::string word;
  while (words >> word) {
    auto address = parse_listen_address(word);
    if (!address) return "not an address to listen on: " + word;
    auto error = address->unix_path.empty() ? loop_->listen_tcp(*address, false)
                                            : loop_->listen_unix(*address);
    if (error) return error;
  }
  return std::nullopt;
}

std::optional<std::string> Listener::listen_to_peers(const std::string& text) {
  auto address = parse_listen_address(text);
  if (!address || !address->unix_path.empty()) return "not an address to listen on: " + text;
  if (!is_loopback_host(address->host)) {
    loop_->server.log().write(LogLevel::kWarning,
                              "links between nodes are neither encrypted nor authenticated: keep "
                              "the peer port inside a network that you trust",
                              {{"listen", text}});
  }
  return loop_->listen_tcp(*address, true);
}

void Listener::resolve(const std::string& host, uint16_t port,
                       std::function<void(std::string, std::vector<sockaddr_storage>)> done) {
  asio::post(loop_->io, [this, host, port, done = std::move(done)] {
    auto resolver = std::make_shared<asio::ip::tcp::resolver>(loop_->io);
    resolver->async_resolve(
        host, std::to_string(port),
        [resolver, done](const boost::system::error_code& error, const auto& found) {
          std::vector<sockaddr_storage> addresses;
          for (const auto& each : found) {
            sockaddr_storage address{};
            std::memcpy(&address, each.endpoint().data(), each.endpoint().size());
            addresses.push_back(address);
          }
          done(error ? error.message() : "no address", std::move(addresses));
        });
  });
}

void Listener::run() {
  loop_->signals.async_wait([this](const boost::system::error_code& error, int signal) {
    if (error) return;
    loop_->server.log().write(LogLevel::kNotice, "signal received, shutting down",
                              {{"signal", signal == SIGTERM ? "SIGTERM" : "SIGINT"}});
    loop_->io.stop();
  });
  loop_->io.run();
}

void Listener::stop() {
  loop_->io.stop();
}

const std::string& Listener::bound() const {
  return loop_->bound;
}

}  // namespace dyno

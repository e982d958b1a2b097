// SPDX-License-Identifier: Apache-2.0
//
// The admin port: HTTP/1.1 on a thread of its own, so that whoever asks for figures takes no time
// from clients. One request per connection, then it is closed.
//
// Bounds: kConnectionsMax connections, kRequestBytesMax of a request, kDeadlineMs from connecting
// to the last byte of the answer. What breaks one is closed.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace dyno {

class Server;

class AdminServer {
 public:
  static constexpr size_t kConnectionsMax = 64;
  static constexpr size_t kRequestBytesMax = 8192;
  static constexpr int64_t kDeadlineMs = 5000;

  explicit AdminServer(Server& server) : server_(server) {}
  ~AdminServer();
  AdminServer(const AdminServer&) = delete;
  AdminServer& operator=(const AdminServer&) = delete;

  // Binds host:port, numeric or a name, and starts to serve; the error says why not.
  [[nodiscard]] std::optional<std::string> start(const std::string& address);
  // The port that was taken.
  [[nodiscard]] int port() const { return port_; }

 private:
  struct Connection {
    int fd = -1;
    int64_t until_ms = 0;
    std::string in;
    std::string out;
    bool answered = false;
  };

  void run();
  void accept_one();
  // False when the connection is to be closed.
  [[nodiscard]] bool read_some(Connection& connection);
  [[nodiscard]] bool write_some(Connection& connection);
  void answer(Connection& connection);

  Server& server_;
  int listen_fd_ = -1;
  int wake_fd_ = -1;
  int port_ = 0;
  std::vector<Connection> connections_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// Accepts clients on every configured address, and turns SIGTERM and SIGINT into a clean end. Runs
// in the main thread; a failing accept (no descriptors left) waits and goes on.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace dyno {

class Server;

class Listener {
 public:
  explicit Listener(Server& server);
  ~Listener();

  // Binds all addresses; the error says which one and why. `port` of the first TCP address is
  // stored in the configuration.
  [[nodiscard]] std::optional<std::string> listen(const std::string& addresses);
  // The same for the address where other nodes connect.
  [[nodiscard]] std::optional<std::string> listen_to_peers(const std::string& address);
  // Any thread: resolves a host name and calls `done` in the main thread, with the reason when
  // there is no address.
  void resolve(const std::string& host, uint16_t port,
               std::function<void(std::string, std::vector<sockaddr_storage>)> done);
  // Serves until stop() or a signal.
  void run();
  // Any thread.
  void stop();
  // The addresses bound, for the start line.
  [[nodiscard]] const std::string& bound() const;

 private:
  struct Loop;
  std::unique_ptr<Loop> loop_;
};

}  // namespace dyno

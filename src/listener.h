// SPDX-License-Identifier: Apache-2.0
//
// Accepts clients on every configured address, and turns SIGTERM and SIGINT into a clean end. Runs
// in the main thread; a failing accept (no descriptors left) waits and goes on.
#pragma once

#include <memory>
#include <optional>
#include <string>

namespace dyno {

class Server;

class Listener {
 public:
  explicit Listener(Server& server);
  ~Listener();

  // Binds all addresses; the error says which one and why. `port` of the first TCP address is
  // stored in the configuration.
  [[nodiscard]] std::optional<std::string> listen(const std::string& addresses);
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

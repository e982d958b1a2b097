// SPDX-License-Identifier: Apache-2.0
// An address that clients connect to, with the labels it is reported under.
//
// Syntax: HOST:PORT or unix:PATH, then optionally ,dc=NAME ,rack=NAME. IPv6 hosts stand in
// brackets.
#pragma once

#include <sys/socket.h>

#include <optional>
#include <string>
#include <string_view>

namespace dyno::bench {

struct Endpoint {
  std::string host;  // or the path of a unix socket
  std::string port;  // empty: unix socket
  std::string dc;
  std::string rack;
  sockaddr_storage address{};
  socklen_t address_bytes = 0;

  bool is_unix() const { return port.empty(); }
  /// "127.0.0.1:7000" or "unix:/path".
  std::string where() const;
  /// With the labels in front: "dc1/rack2 127.0.0.1:7000".
  std::string label() const;

  static std::optional<Endpoint> parse(std::string_view text, std::string& why);
  /// Fills `address`; looks names up. False with one line in `why`.
  bool resolve(std::string& why);
};

}  // namespace dyno::bench

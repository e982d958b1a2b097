// SPDX-License-Identifier: Apache-2.0
//
// An address to listen on, as an operator writes it: "127.0.0.1:6379", "[::1]:6379", "*:6379"
// (every interface), "localhost:0" (port 0: a free one), "/run/dyno.sock" or "unix:/run/dyno.sock".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace dyno {

struct ListenAddress {
  std::string host;       // without brackets; "*" for every interface; empty for a unix socket
  uint16_t port = 0;      // 0: a free one
  std::string unix_path;  // empty for TCP
};

// No value when the text is not an address of one of these forms. Names are not resolved here.
[[nodiscard]] std::optional<ListenAddress> parse_listen_address(std::string_view text);

// True when `host` can only be reached from this machine.
[[nodiscard]] bool is_loopback_host(std::string_view host);

}  // namespace dyno

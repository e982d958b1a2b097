// SPDX-License-Identifier: Apache-2.0
//
// Splits listen addresses; the forms are in the header.
#include "src/listen_address.h"

#include <sys/un.h>

#include <algorithm>

#include "protocol/number.h"

namespace dyno {
namespace {

// What the kernel takes, without the closing zero.
constexpr size_t kUnixPathMax = sizeof(sockaddr_un::sun_path) - 1;
// The longest DNS name.
constexpr size_t kHostMax = 253;

bool is_host_byte(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
         c == '-' || c == '_';
}

bool is_ipv6_byte(char c) {
  return is_host_byte(c) || c == ':' || c == '%';
}

}  // namespace

std::optional<ListenAddress> parse_listen_address(std::string_view text) {
  if (text.starts_with("unix:")) text.remove_prefix(5);
  if (text.starts_with('/')) {
    if (text.size() < 2 || text.size() > kUnixPathMax) return std::nullopt;
    return ListenAddress{{}, 0, std::string(text)};
  }
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const std::optional<uint64_t> port = parse_uint64(text.substr(colon + 1));
  if (!port || *port > UINT16_MAX) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  if (host.starts_with('[')) {
    if (!host.ends_with(']')) return std::nullopt;
    host = host.substr(1, host.size() - 2);
    if (host.find(':') == std::string_view::npos) return std::nullopt;
    if (!std::all_of(host.begin(), host.end(), is_ipv6_byte)) return std::nullopt;
  } else if (host != "*" && !std::all_of(host.begin(), host.end(), is_host_byte)) {
    return std::nullopt;
  }
  if (host.empty() || host.size() > kHostMax) return std::nullopt;
  return ListenAddress{std::string(host), static_cast<uint16_t>(*port), {}};
}

bool is_loopback_host(std::string_view host) {
  return host.starts_with("127.") || host == "::1" || host == "localhost";
}

}  // namespace dyno

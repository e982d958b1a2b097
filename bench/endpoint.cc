// SPDX-License-Identifier: Apache-2.0
// Parsing an endpoint touches no network; resolve() alone may look a name up.
#include "bench/endpoint.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <cstring>

namespace dyno::bench {

std::string Endpoint::where() const {
  if (is_unix()) return "unix:" + host;
  return (host.find(':') == std::string::npos ? host : "[" + host + "]") + ":" + port;
}

std::string Endpoint::label() const {
  std::string text = dc;
  if (!rack.empty()) text += (text.empty() ? "" : "/") + rack;
  return text.empty() ? where() : text + " " + where();
}

std::optional<Endpoint> Endpoint::parse(std::string_view text, std::string& why) {
  Endpoint endpoint;
  std::string_view rest = text;
  const size_t comma = std::min(rest.find(','), rest.size());
  const std::string_view address = rest.substr(0, comma);
  rest = rest.substr(std::min(comma + 1, rest.size()));
  while (!rest.empty()) {
    const size_t end = std::min(rest.find(','), rest.size());
    const std::string_view label = rest.substr(0, end);
    rest = rest.substr(std::min(end + 1, rest.size()));
    if (label.starts_with("dc=")) {
      endpoint.dc = label.substr(3);
    } else if (label.starts_with("rack=")) {
      endpoint.rack = label.substr(5);
    } else {
      why = "endpoint '" + std::string(text) + "': labels are dc=NAME and rack=NAME";
      return std::nullopt;
    }
  }
  if (address.starts_with("unix:") || address.starts_with("/")) {
    endpoint.host = address.substr(address.starts_with("unix:") ? 5 : 0);
    if (endpoint.host.empty() || endpoint.host.size() >= sizeof(sockaddr_un::sun_path)) {
      why = "endpoint '" + std::string(text) + "': the socket's path is empty or too long";
      return std::nullopt;
    }
    return endpoint;
  }
  const size_t colon = address.rfind(':');
  if (colon == std::string_view::npos || colon == 0) {
    why = "endpoint '" + std::string(text) + "': expected HOST:PORT or unix:PATH";
    return std::nullopt;
  }
  endpoint.host = address.substr(0, colon);
  if (endpoint.host.front() == '[' && endpoint.host.back() == ']') {
    endpoint.host = endpoint.host.substr(1, endpoint.host.size() - 2);
  }
  endpoint.port = address.substr(colon + 1);
  const bool digits = !endpoint.port.empty() && endpoint.port.size() <= 5 &&
                      std::all_of(endpoint.port.begin(), endpoint.port.end(),
                                  [](char c) { return c >= '0' && c <= '9'; });
  if (!digits || std::stoi(endpoint.port) < 1 || std::stoi(endpoint.port) > 65535) {
    why = "endpoint '" + std::string(text) + "': the port must be 1 to 65535";
    return std::nullopt;
  }
  return endpoint;
}

bool Endpoint::resolve(std::string& why) {
  if (is_unix()) {
    sockaddr_un path{};
    path.sun_family = AF_UNIX;
    std::memcpy(path.sun_path, host.c_str(), host.size() + 1);
    std::memcpy(&address, &path, sizeof path);
    address_bytes = sizeof path;
    return true;
  }
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int code = getaddrinfo(host.c_str(), port.c_str(), &hints, &found);
  if (code != 0 || found == nullptr) {
    why = "cannot resolve " + host + ": " + gai_strerror(code);
    return false;
  }
  std::memcpy(&address, found->ai_addr, found->ai_addrlen);
  address_bytes = found->ai_addrlen;
  freeaddrinfo(found);
  return true;
}

}  // namespace dyno::bench

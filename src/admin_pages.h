// SPDX-License-Identifier: Apache-2.0
//
// What the admin port answers: Dynomite's paths, and those that monitoring and orchestration ask
// for. A page is made from a request's first line; nothing here knows sockets.
//
//   /ping                  OK
//   /healthz               200 while the process serves at all
//   /readyz                200 while clients should be sent here, else 503
//   /info                  INFO's fields as one JSON object
//   /metrics               its numbers, in the text format of Prometheus
//   /cluster_describe      the ring's nodes as JSON
//   /ring                  RING STATUS
//   /get_consistency       the levels
//   /set_consistency/<read|write>/<level>
//   /state/get_state       what this node is: NORMAL, LOADING ...
//   /state/<standby|writes_only|resuming|normal>      what an operator wants it to be
//   /help                  these paths
#pragma once

#include <string>
#include <string_view>

namespace dyno {

class Server;

struct AdminPage {
  int status = 200;
  std::string_view type = "text/plain; charset=utf-8";
  std::string body;
};

// `from_browser`: a web page of another origin may have made the request; it changes nothing.
[[nodiscard]] AdminPage admin_page(Server& server, std::string_view path, bool from_browser);

}  // namespace dyno

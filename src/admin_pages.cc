// SPDX-License-Identifier: Apache-2.0
#include "src/admin_pages.h"

#include <array>
#include <functional>
#include <utility>

#include "protocol/number.h"
#include "src/info.h"
#include "src/ring_node.h"
#include "src/server.h"

namespace dyno {
namespace {

// Calls visit(name, value) for each field of INFO.
void for_each_field(Server& server,
                    const std::function<void(std::string_view, std::string_view)>& visit) {
  std::string text = info_text(server, {});
  std::string_view rest = text;
  while (!rest.empty()) {
    size_t end = rest.find("\r\n");
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 2);
    size_t colon = line.find(':');
    if (line.empty() || line.front() == '#' || colon == std::string_view::npos) continue;
    visit(line.substr(0, colon), line.substr(colon + 1));
  }
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') {
      out.append({'\\', c});
    } else {
      out += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
    }
  }
  return out + "\"";
}

AdminPage info_page(Server& server) {
  std::string body;
  for_each_field(server, [&](std::string_view name, std::string_view value) {
    body += (body.empty() ? "{" : ",\n") + quoted(name) + ":";
    body += parse_int64(value) ? std::string(value) : quoted(value);
  });
  return {.type = "application/json", .body = body + "}\n"};
}

AdminPage metrics_page(Server& server) {
  std::string body;
  for_each_field(server, [&](std::string_view name, std::string_view value) {
    if (!parse_int64(value) && !parse_double(value)) return;
    body += "dyno_";
    for (char c : name) {
      bool allowed = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
      body += allowed ? c : '_';
    }
    body += " " + std::string(value) + "\n";
  });
  return {.type = "text/plain; version=0.0.4; charset=utf-8", .body = std::move(body)};
}

AdminPage ready_page(Server& server) {
  RingNode* ring = server.ring();
  if (ring == nullptr) return {.body = "ready\n"};
  const View::NodeView& own = ring->view()->nodes[ring->self()];
  std::string state(node_state_name(own.state));
  return {.status = own.may_read() ? 200 : 503, .body = state + "\n"};
}

AdminPage levels_page(Server& server) {
  const Config::Ring& ring = server.config().ring;
  return {.body = "Read Consistency: " + std::string(level_name(ring.read_consistency.load())) +
                  "\r\nWrite Consistency: " +
                  std::string(level_name(ring.write_consistency.load())) + "\r\n"};
}

// "<read|write>/<level>"
AdminPage set_level(Server& server, std::string_view what) {
  size_t slash = what.find('/');
  std::string_view side = what.substr(0, slash);
  std::string_view level = slash == std::string_view::npos ? "" : what.substr(slash + 1);
  if ((side != "read" && side != "write") || !parse_level(level)) {
    return {.status = 400,
            .body =
                "expected /set_consistency/<read|write>/<dc_one|dc_quorum|dc_safe_quorum|"
                "dc_each_safe_quorum>\n"};
  }
  std::array<ConfigTable::Pair, 1> pairs = {
      ConfigTable::Pair{std::string(side) + "-consistency", std::string(level)}};
  if (auto why = server.config_table().set(pairs)) return {.status = 400, .body = *why + "\n"};
  return {.body = "OK\n"};
}

AdminPage alone_page() {
  return {.status = 404, .body = "this node is alone: ring.seeds is empty\n"};
}

AdminPage browser_page() {
  return {.status = 403, .body = "not from a web page\n"};
}

AdminPage help_page() {
  return {.body =
              "/ping\n/healthz\n/readyz\n/info\n/metrics\n/cluster_describe\n/ring\n"
              "/get_consistency\n"
              "/set_consistency/<read|write>/<dc_one|dc_quorum|dc_safe_quorum|"
              "dc_each_safe_quorum>\n"
              "/state/<get_state|standby|writes_only|resuming|normal>\n"};
}

struct StateName {
  std::string_view name;
  NodeState state;
};
// Dynomite's words. There, a node that resumes answers no reads until it is told to be normal.
constexpr StateName kStates[] = {{"standby", NodeState::kStandby},
                                 {"writes_only", NodeState::kWritesOnly},
                                 {"resuming", NodeState::kWritesOnly},
                                 {"normal", NodeState::kNormal}};

AdminPage state_page(Server& server, std::string_view what, bool from_browser) {
  RingNode* ring = server.ring();
  if (what == "get_state") {
    NodeState state =
        ring == nullptr ? NodeState::kNormal : ring->view()->nodes[ring->self()].state;
    return {.body = "State: " + std::string(node_state_name(state)) + "\n"};
  }
  if (from_browser) return browser_page();
  for (const StateName& each : kStates) {
    if (each.name != what) continue;
    if (ring == nullptr) return alone_page();
    ring->wish(each.state);
    return {.body = "OK\n"};
  }
  return {.status = 400,
          .body = "expected /state/<get_state|standby|writes_only|resuming|normal>\n"};
}

}  // namespace

AdminPage admin_page(Server& server, std::string_view path, bool from_browser) {
  constexpr std::string_view kSetConsistency = "/set_consistency/";
  constexpr std::string_view kState = "/state/";
  path = path.substr(0, path.find('?'));
  if (path == "/ping") return {.body = "OK\n"};
  if (path == "/help") return help_page();
  if (path == "/healthz") return {.body = "ok\n"};
  if (path == "/readyz") return ready_page(server);
  if (path == "/info" || path == "/") return info_page(server);
  if (path == "/metrics") return metrics_page(server);
  if (path == "/get_consistency") return levels_page(server);
  if (path == "/cluster_describe") {
    if (server.ring() == nullptr) return alone_page();
    return {.type = "application/json", .body = server.ring()->topology().describe_json() + "\n"};
  }
  if (path == "/ring") {
    if (server.ring() == nullptr) return alone_page();
    return {.body = server.ring()->topology().describe_status(server.ring()->statuses())};
  }
  if (path.starts_with(kSetConsistency)) {
    if (from_browser) return browser_page();
    return set_level(server, path.substr(kSetConsistency.size()));
  }
  if (path.starts_with(kState)) return state_page(server, path.substr(kState.size()), from_browser);
  return {.status = 404, .body = "no such path; /help has them\n"};
}

}  // namespace dyno

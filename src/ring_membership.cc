// SPDX-License-Identifier: Apache-2.0
#include "src/ring_membership.h"

#include <algorithm>
#include <utility>

#include "src/listen_address.h"

namespace dyno {
namespace {

// This node as its own settings describe it.
std::string read_self(const Config& config, NodeSpec* self) {
  std::string listen = config.peer.listen.get();
  auto address = parse_listen_address(listen);
  if (!address || !address->unix_path.empty() || address->port == 0) {
    return "peer.listen: expected host:port with a port from 1 to 65535, since other nodes must "
           "know it; got '" +
           listen + "'";
  }
  for (const std::string& client : split_config_list(config.client.listen.get())) {
    auto other = parse_listen_address(client);
    if (other && other->unix_path.empty() && other->port == address->port &&
        (other->host == address->host || other->host == "*" || address->host == "*")) {
      return "peer.listen: expected another port than client.listen has; got '" + listen + "'";
    }
  }
  self->host = address->host;
  self->port = address->port;
  self->dc = config.ring.dc.get();
  self->rack = config.ring.rack.get();
  for (const std::string& text : split_config_list(config.ring.tokens.get())) {
    auto token = parse_token(text);
    if (!token) return "ring.tokens: expected numbers from 0 to 4294967295; got '" + text + "'";
    self->tokens.push_back(*token);
  }
  if (self->tokens.empty()) return "ring.tokens: expected at least one";
  std::sort(self->tokens.begin(), self->tokens.end());
  return "";
}

bool is_of_rack(const NodeSpec& spec, const NodeSpec& self) {
  return spec.dc == self.dc && spec.rack == self.rack;
}

}  // namespace

std::string read_membership(const Config& config, RingMembership* membership) {
  constexpr size_t kClusterBytesMax = 128;
  std::string cluster = config.ring.cluster.get();
  if (cluster.empty() || cluster.size() > kClusterBytesMax) {
    return "ring.cluster: expected 1 to 128 bytes";
  }
  std::vector<std::string> seeds = split_config_list(config.ring.seeds.get());
  if (seeds.empty()) return "";
  NodeSpec self;
  if (std::string why = read_self(config, &self); !why.empty()) return why;

  // Entries of this rack with one of this node's tokens are this node's own.
  std::vector<NodeSpec> specs;
  std::vector<Token> own;
  for (const std::string& text : seeds) {
    NodeSpec spec;
    if (std::string why = parse_node(text, &spec); !why.empty()) return "ring.seeds: " + why;
    bool is_own = is_of_rack(spec, self) && std::find(self.tokens.begin(), self.tokens.end(),
                                                      spec.tokens.front()) != self.tokens.end();
    if (!is_own) {
      specs.push_back(std::move(spec));
      continue;
    }
    if (own.empty()) {
      // Peers reach this node at the address in the list.
      self.host = spec.host;
      self.port = spec.port;
    }
    own.push_back(spec.tokens.front());
  }
  std::sort(own.begin(), own.end());
  if (!own.empty() && own != self.tokens) {
    return "ring.seeds: expected every token of this node once, or none, as ring.tokens has them";
  }
  specs.push_back(self);
  if (std::string why = Topology::make(specs, &membership->topology); !why.empty()) {
    return "ring.seeds: " + why;
  }
  membership->self = membership->topology.find(self.dc, self.rack, self.tokens);
  if (membership->self == kNoNode) {
    return "ring.tokens: expected all tokens of the node at " + self.host + ":" +
           std::to_string(self.port);
  }
  membership->alone = false;
  return "";
}

}  // namespace dyno

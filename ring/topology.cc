// SPDX-License-Identifier: Apache-2.0
#include "ring/topology.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "protocol/check.h"

namespace dyno {
namespace {

uint64_t mix(uint64_t seed, uint64_t value) {
  return XXH3_64bits_withSeed(&value, sizeof value, seed);
}
uint64_t mix(uint64_t seed, std::string_view text) {
  return XXH3_64bits_withSeed(text.data(), text.size(), seed);
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

std::string quoted(std::string_view text) {
  return "'" + std::string(text) + "'";
}

// Why a name cannot stand in the list, empty when it can. Names are parts of "host:port:rack:dc".
std::string bad_name(std::string_view what, std::string_view name) {
  std::string start = std::string(what) + " " + quoted(name) + ": expected ";
  if (name.empty() || name.size() > kNameBytesMax) {
    return start + "1 to " + std::to_string(kNameBytesMax) + " bytes";
  }
  for (char c : name) {
    if (c == ':' || c == ',' || static_cast<unsigned char>(c) <= ' ' || c == '"' || c == '\\' ||
        c == 0x7f) {
      return start + "no colon, comma, quote, backslash, blank or control character";
    }
  }
  return "";
}

std::string bad_spec(const NodeSpec& spec) {
  if (std::string why = bad_name("data center", spec.dc); !why.empty()) return why;
  if (std::string why = bad_name("rack", spec.rack); !why.empty()) return why;
  std::string where = "node of rack " + quoted(spec.rack) + " of " + quoted(spec.dc);
  if (spec.host.empty() || spec.host.size() > 255) return where + ": expected a host";
  for (char c : spec.host) {
    if (static_cast<unsigned char>(c) <= ' ' || c == '"' || c == '\\' || c == 0x7f) {
      return where + ": expected a host without blanks, quotes and control characters";
    }
  }
  if (spec.port == 0) return where + ": expected a port from 1 to 65535";
  if (spec.tokens.empty() || spec.tokens.size() > kTokensMax) {
    return where + ": expected 1 to " + std::to_string(kTokensMax) + " tokens";
  }
  return "";
}

// Two spellings of one name are a mistake that would make two racks of one.
std::string case_clash(const std::vector<NodeSpec>& specs) {
  std::map<std::string, std::string> dcs;
  std::map<std::string, std::string> racks;
  for (const NodeSpec& spec : specs) {
    auto [dc, new_dc] = dcs.try_emplace(lower(spec.dc), spec.dc);
    if (dc->second != spec.dc) {
      return "data centers " + quoted(dc->second) + " and " + quoted(spec.dc) +
             ": expected one spelling";
    }
    auto [rack, new_rack] = racks.try_emplace(lower(spec.dc) + ":" + lower(spec.rack), spec.rack);
    if (rack->second != spec.rack) {
      return "racks " + quoted(rack->second) + " and " + quoted(spec.rack) + " of " +
             quoted(spec.dc) + ": expected one spelling";
    }
  }
  return "";
}

}  // namespace

std::optional<Token> parse_token(std::string_view text) {
  if (text.empty() || text.size() > 10) return std::nullopt;
  uint64_t value = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + static_cast<uint64_t>(c - '0');
  }
  if (value > 0xffffffffu) return std::nullopt;
  return static_cast<Token>(value);
}

std::string parse_node(std::string_view text, NodeSpec* spec) {
  std::string start = quoted(text) + ": expected ";
  std::vector<std::string_view> parts;
  std::string_view rest = text;
  if (rest.starts_with('[')) {
    size_t close = rest.find("]:");
    if (close == std::string_view::npos) return start + "']:' after an address in brackets";
    parts.push_back(rest.substr(1, close - 1));
    rest.remove_prefix(close + 2);
  }
  while (true) {
    size_t colon = rest.find(':');
    parts.push_back(rest.substr(0, colon));
    if (colon == std::string_view::npos) break;
    rest.remove_prefix(colon + 1);
  }
  if (parts.size() != 5) return start + "host:port:rack:dc:token";
  std::optional<Token> port = parse_token(parts[1]);
  if (!port || *port == 0 || *port > 65535) return start + "a port from 1 to 65535";
  std::optional<Token> token = parse_token(parts[4]);
  if (!token) return start + "a token from 0 to 4294967295";
  NodeSpec parsed;
  parsed.host = parts[0];
  parsed.port = static_cast<uint16_t>(*port);
  parsed.rack = parts[2];
  parsed.dc = parts[3];
  parsed.tokens = {*token};
  if (std::string why = bad_spec(parsed); !why.empty()) return quoted(text) + ": " + why;
  *spec = std::move(parsed);
  return "";
}

std::string Topology::make(const std::vector<NodeSpec>& specs, Topology* topology) {
  if (specs.empty()) return "no nodes: expected at least one";
  for (const NodeSpec& spec : specs) {
    if (std::string why = bad_spec(spec); !why.empty()) return why;
  }
  if (std::string why = case_clash(specs); !why.empty()) return why;
  std::map<std::tuple<std::string, std::string, std::string, uint16_t>, std::vector<Token>> merged;
  for (const NodeSpec& spec : specs) {
    std::vector<Token>& tokens = merged[{spec.dc, spec.rack, spec.host, spec.port}];
    tokens.insert(tokens.end(), spec.tokens.begin(), spec.tokens.end());
  }
  if (merged.size() > kNodesMax) {
    return std::to_string(merged.size()) + " nodes: expected at most " + std::to_string(kNodesMax);
  }
  Topology built;
  std::map<std::tuple<std::string, std::string, Token>, int> taken;
  std::map<std::pair<std::string, uint16_t>, int> places;
  for (auto& [key, tokens] : merged) {
    auto& [dc, rack, host, port] = key;
    for (Token token : tokens) {
      if (++taken[{dc, rack, token}] > 1) {
        return "token " + std::to_string(token) + " twice in rack " + quoted(rack) + " of " +
               quoted(dc) + ": expected each once";
      }
    }
    if (++places[{host, port}] > 1) {
      return "two nodes at " + host + ":" + std::to_string(port) + ": expected one";
    }
    std::sort(tokens.begin(), tokens.end());
    built.nodes_.push_back({dc, rack, tokens, host, port, 0, 0, {}, {}});
  }
  built.number_nodes();
  if (built.racks_.size() > kRacksMax) {
    return std::to_string(built.racks_.size()) + " racks: expected at most " +
           std::to_string(kRacksMax);
  }
  for (const Rack& rack : built.racks_) built.build_ring(rack);
  built.find_sharers();
  built.fingerprint_ = built.hash_all();
  *topology = std::move(built);
  return "";
}

void Topology::number_nodes() {
  std::sort(nodes_.begin(), nodes_.end(), [](const Node& a, const Node& b) {
    return std::tie(a.dc, a.rack, a.tokens.front()) < std::tie(b.dc, b.rack, b.tokens.front());
  });
  for (NodeIndex index = 0; index < nodes_.size(); ++index) {
    Node& node = nodes_[index];
    bool new_dc = dcs_.empty() || dcs_.back().name != node.dc;
    if (new_dc) dcs_.push_back({node.dc, {}});
    if (new_dc || racks_.back().name != node.rack) {
      auto number = static_cast<RackNumber>(racks_.size() + 1);
      racks_.push_back({node.rack, number, static_cast<uint16_t>(dcs_.size() - 1), {}});
      dcs_.back().racks.push_back(number);
    }
    node.rack_number = racks_.back().number;
    node.dc_index = racks_.back().dc_index;
    racks_.back().nodes.push_back(index);
  }
}

void Topology::build_ring(const Rack& rack) {
  Ring ring;
  for (NodeIndex index : rack.nodes) {
    for (Token token : nodes_[index].tokens) ring.points.push_back({token, index});
  }
  std::sort(ring.points.begin(), ring.points.end(),
            [](const Ring::Point& a, const Ring::Point& b) { return a.token < b.token; });
  ring.by_slot.resize(kSlotCount);
  for (uint32_t slot = 0; slot < kSlotCount; ++slot) {
    Token first = slot << (32 - kSlotBits);
    Token last = first + ((1u << (32 - kSlotBits)) - 1);
    NodeIndex owner = owner_in_split_slot(ring, first);
    auto point =
        std::upper_bound(ring.points.begin(), ring.points.end(), first,
                         [](Token token, const Ring::Point& p) { return token < p.token; });
    bool split = false;
    for (; point != ring.points.end() && point->token <= last; ++point) {
      split = split || point->node != owner;
    }
    ring.by_slot[slot] = split ? kSplitSlot : owner;
  }
  const std::vector<Ring::Point>& points = ring.points;
  // What lies before the first token belongs to the last one, around the ring.
  if (points.front().token > 0) {
    nodes_[points.back().node].ranges.push_back({0, points.front().token - 1});
  }
  for (size_t i = 0; i < points.size(); ++i) {
    Token last = i + 1 < points.size() ? points[i + 1].token - 1 : 0xffffffffu;
    std::vector<TokenRange>& ranges = nodes_[points[i].node].ranges;
    if (!ranges.empty() && ranges.back().last + 1 == points[i].token) {
      ranges.back().last = last;
    } else {
      ranges.push_back({points[i].token, last});
    }
  }
  rings_.push_back(std::move(ring));
}

void Topology::find_sharers() {
  for (NodeIndex a = 0; a < nodes_.size(); ++a) {
    for (NodeIndex b = 0; b < nodes_.size(); ++b) {
      if (nodes_[a].rack_number != nodes_[b].rack_number && !shared_ranges(a, b).empty()) {
        nodes_[a].sharers.push_back(b);
      }
    }
  }
}

uint64_t Topology::hash_all() const {
  uint64_t hash = 0;
  for (const Node& node : nodes_) {
    hash = mix(mix(hash, node.dc), node.rack);
    hash = mix(hash, node.tokens.size());
    for (Token token : node.tokens) hash = mix(hash, token);
  }
  return hash;
}

NodeIndex Topology::owner_in_split_slot(const Ring& ring, Token token) {
  auto point = std::upper_bound(ring.points.begin(), ring.points.end(), token,
                                [](Token t, const Ring::Point& p) { return t < p.token; });
  return point == ring.points.begin() ? ring.points.back().node : std::prev(point)->node;
}

NodeIndex Topology::find(std::string_view dc, std::string_view rack,
                         std::span<const Token> tokens) const {
  std::vector<Token> sorted(tokens.begin(), tokens.end());
  std::sort(sorted.begin(), sorted.end());
  for (NodeIndex index = 0; index < nodes_.size(); ++index) {
    const Node& node = nodes_[index];
    if (node.dc == dc && node.rack == rack && node.tokens == sorted) return index;
  }
  return kNoNode;
}

std::vector<TokenRange> Topology::shared_ranges(NodeIndex a, NodeIndex b) const {
  std::vector<TokenRange> shared;
  const std::vector<TokenRange>& left = nodes_[a].ranges;
  const std::vector<TokenRange>& right = nodes_[b].ranges;
  for (size_t i = 0, j = 0; i < left.size() && j < right.size();) {
    Token first = std::max(left[i].first, right[j].first);
    Token last = std::min(left[i].last, right[j].last);
    if (first <= last) shared.push_back({first, last});
    left[i].last < right[j].last ? ++i : ++j;
  }
  return shared;
}

RackNumber Topology::preferred_rack(uint16_t dc_index, SlotIndex slot,
                                    const RackSet& healthy) const {
  RackNumber best = 0;
  uint64_t best_weight = 0;
  for (RackNumber rack : dcs_[dc_index].racks) {
    if (!healthy.contains(rack)) continue;
    uint64_t weight = mix(rack, uint64_t{slot} + 1);
    if (best == 0 || weight > best_weight) {
      best = rack;
      best_weight = weight;
    }
  }
  return best;
}

std::string Topology::describe() const {
  std::string text;
  for (const Rack& rack : racks_) {
    text += "rack " + rack.name + " of " + dcs_[rack.dc_index].name + ", number " +
            std::to_string(rack.number) + "\n";
    const std::vector<Ring::Point>& points = rings_[rack.number - 1].points;
    for (size_t i = 0; i < points.size(); ++i) {
      Token last = points[(i + 1) % points.size()].token - 1;
      const Node& node = nodes_[points[i].node];
      text += "  " + std::to_string(points[i].token) + " to " + std::to_string(last) + ": " +
              node.host + ":" + std::to_string(node.port) + "\n";
    }
  }
  return text;
}

std::string Topology::describe_owners(Token token) const {
  std::string text = "token " + std::to_string(token) + ", slot " + std::to_string(slot_of(token));
  text += "\n";
  for (const Rack& rack : racks_) {
    const Node& node = nodes_[owner(rack.number, token)];
    text += "  " + node.dc + " " + node.rack + " " + node.host + ":" + std::to_string(node.port);
    text += "\n";
  }
  return text;
}

std::string Topology::describe_status(std::span<const NodeStatus> statuses) const {
  DYNO_CHECK(statuses.size() == nodes_.size());
  std::string text;
  for (size_t i = 0; i < nodes_.size(); ++i) {
    const Node& node = nodes_[i];
    uint64_t owned = 0;
    for (const TokenRange& range : node.ranges) owned += uint64_t{range.last} - range.first + 1;
    text += std::string(statuses[i].state) + " " + node.dc + " " + node.rack + " " + node.host +
            ":" + std::to_string(node.port) + " token " + std::to_string(node.tokens.front());
    if (node.tokens.size() > 1) text += " +" + std::to_string(node.tokens.size() - 1);
    text += " owns " + std::to_string(owned * 1000 / (uint64_t{1} << 32) / 10) + "." +
            std::to_string(owned * 1000 / (uint64_t{1} << 32) % 10) + "%";
    if (!statuses[i].note.empty()) text += " " + statuses[i].note;
    text += "\n";
  }
  return text;
}

std::string Topology::describe_json() const {
  // Names and hosts hold nothing that JSON would want escaped; bad_name() sees to it.
  std::string text = "{\"dcs\":[";
  for (const DataCenter& dc : dcs_) {
    text +=
        (&dc == dcs_.data() ? "" : ",") + std::string("{\"name\":\"") + dc.name + "\",\"racks\":[";
    for (RackNumber number : dc.racks) {
      const Rack& of = rack(number);
      text += (number == dc.racks.front() ? "" : ",") + std::string("{\"name\":\"") + of.name +
              "\",\"servers\":[";
      bool first = true;
      for (NodeIndex index : of.nodes) {
        const Node& node = nodes_[index];
        for (Token token : node.tokens) {
          text += std::string(first ? "" : ",") + "{\"name\":\"" + node.host + "\",\"host\":\"" +
                  node.host + "\",\"port\":" + std::to_string(node.port) +
                  ",\"token\":" + std::to_string(token) + "}";
          first = false;
        }
      }
      text += "]}";
    }
    text += "]}";
  }
  return text + "]}";
}

}  // namespace dyno

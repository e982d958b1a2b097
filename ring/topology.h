// SPDX-License-Identifier: Apache-2.0
//
// Who owns what: the static list of nodes, and every question about it. A rack is a whole ring of
// its own: within it, a node owns from each of its tokens up to, not including, the next token of
// the rack, around the ring. A data center holds as many copies of a key as it has racks.
//
// All nodes of a ring compute the same from the same list, in whatever order it was written: nodes
// are numbered by (data center, rack, smallest token), racks from 1 by (data center, rack). The
// fingerprint covers all of it but hosts and ports, and two nodes talk only when theirs are equal.
//
// Constant once made; shared by all threads.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/token.h"

namespace dyno {

using NodeIndex = uint16_t;
inline constexpr NodeIndex kNoNode = 0xffff;
// 1 to 255, the rack's number in stamps.
using RackNumber = uint8_t;
inline constexpr size_t kRacksMax = 255;
inline constexpr size_t kNodesMax = 1024;
inline constexpr size_t kTokensMax = 1024;  // Of one node.
inline constexpr size_t kNameBytesMax = 64;

// One node as the operator writes it.
struct NodeSpec {
  std::string dc;
  std::string rack;
  std::vector<Token> tokens;
  std::string host;
  uint16_t port = 0;
};

// 0 to 4294967295 in decimal, nothing else.
[[nodiscard]] std::optional<Token> parse_token(std::string_view text);
// Dynomite's "host:port:rack:dc:token"; an IPv6 address stands in brackets. Returns why not, empty
// when it is one.
[[nodiscard]] std::string parse_node(std::string_view text, NodeSpec* spec);

// Tokens from first to last, both included; first <= last.
struct TokenRange {
  Token first = 0;
  Token last = 0;

  friend bool operator==(const TokenRange&, const TokenRange&) = default;
};

// A set of racks, by their numbers.
class RackSet {
 public:
  void insert(RackNumber rack) { words_[rack / 64] |= uint64_t{1} << rack % 64; }
  void erase(RackNumber rack) { words_[rack / 64] &= ~(uint64_t{1} << rack % 64); }
  [[nodiscard]] bool contains(RackNumber rack) const {
    return (words_[rack / 64] >> rack % 64 & 1) != 0;
  }

 private:
  std::array<uint64_t, 4> words_{};
};

// What RING STATUS shows of a node, beside what the topology knows.
struct NodeStatus {
  std::string_view state = "UNKNOWN";
  std::string note;
};

class Topology {
 public:
  struct Node {
    std::string dc;
    std::string rack;
    std::vector<Token> tokens;  // Ascending.
    std::string host;
    uint16_t port = 0;
    RackNumber rack_number = 0;
    uint16_t dc_index = 0;
    std::vector<TokenRange> ranges;  // Ascending; what it owns.
    std::vector<NodeIndex> sharers;  // Ascending; nodes of other racks that own some of the same.
  };
  struct Rack {
    std::string name;
    RackNumber number = 0;
    uint16_t dc_index = 0;
    std::vector<NodeIndex> nodes;
  };
  struct DataCenter {
    std::string name;
    std::vector<RackNumber> racks;
    // Racks of a majority.
    [[nodiscard]] size_t quorum() const { return racks.size() / 2 + 1; }
  };

  // Checks the list and builds the topology. Specs of one host, port, data center and rack are one
  // node with several tokens. Returns why it was refused, saying what was expected; empty when it
  // was not.
  [[nodiscard]] static std::string make(const std::vector<NodeSpec>& specs, Topology* topology);

  [[nodiscard]] const std::vector<Node>& nodes() const { return nodes_; }
  [[nodiscard]] const Node& node(NodeIndex index) const { return nodes_[index]; }
  [[nodiscard]] const std::vector<Rack>& racks() const { return racks_; }  // rack n is at n - 1
  [[nodiscard]] const Rack& rack(RackNumber number) const { return racks_[number - 1]; }
  [[nodiscard]] const std::vector<DataCenter>& dcs() const { return dcs_; }
  // The node with these, or kNoNode.
  [[nodiscard]] NodeIndex find(std::string_view dc, std::string_view rack,
                               std::span<const Token> tokens) const;
  [[nodiscard]] uint64_t fingerprint() const { return fingerprint_; }
  // One rack: nothing is replicated.
  [[nodiscard]] bool is_single_replica() const { return racks_.size() == 1; }

  // The node of a rack that owns a token: one table look-up, unless the token's slot is split.
  [[nodiscard]] NodeIndex owner(RackNumber rack, Token token) const {
    const Ring& ring = rings_[rack - 1];
    NodeIndex index = ring.by_slot[slot_of(token)];
    return index != kSplitSlot ? index : owner_in_split_slot(ring, token);
  }
  [[nodiscard]] bool owns(NodeIndex index, Token token) const {
    return owner(nodes_[index].rack_number, token) == index;
  }
  // True when all tokens of a slot have one owner in the rack.
  [[nodiscard]] bool is_whole(RackNumber rack, SlotIndex slot) const {
    return rings_[rack - 1].by_slot[slot] != kSplitSlot;
  }
  // What two nodes both own, ascending.
  [[nodiscard]] std::vector<TokenRange> shared_ranges(NodeIndex a, NodeIndex b) const;

  // The rack of a data center that originates the writes to a slot at quorum levels: the one with
  // the largest hash of slot and rack among those considered healthy (rendezvous hashing, Thaler
  // and Ravishankar 1998); 0 when none is. Nodes that agree on what is healthy agree on the rack,
  // and a rack that leaves moves no slot but its own.
  [[nodiscard]] RackNumber preferred_rack(uint16_t dc_index, SlotIndex slot,
                                          const RackSet& healthy) const;

  // Replies of RING, lines ended by \n: every range with its owner in each rack; the owners of a
  // token; a line per node, `statuses` by node.
  [[nodiscard]] std::string describe() const;
  [[nodiscard]] std::string describe_owners(Token token) const;
  [[nodiscard]] std::string describe_status(std::span<const NodeStatus> statuses) const;
  // Dynomite's /cluster_describe.
  [[nodiscard]] std::string describe_json() const;

 private:
  static constexpr NodeIndex kSplitSlot = 0xfffe;
  struct Ring {
    struct Point {
      Token token;
      NodeIndex node;
    };
    std::vector<Point> points;       // Ascending by token.
    std::vector<NodeIndex> by_slot;  // Owner of all its tokens, or kSplitSlot.
  };
  [[nodiscard]] static NodeIndex owner_in_split_slot(const Ring& ring, Token token);
  void number_nodes();
  void build_ring(const Rack& rack);
  void find_sharers();
  [[nodiscard]] uint64_t hash_all() const;

  std::vector<Node> nodes_;
  std::vector<Rack> racks_;
  std::vector<DataCenter> dcs_;
  std::vector<Ring> rings_;
  uint64_t fingerprint_ = 0;
};

}  // namespace dyno

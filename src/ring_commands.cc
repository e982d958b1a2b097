// SPDX-License-Identifier: Apache-2.0
//
// RING: what a node knows of its ring, and what an operator may ask of it.
#include "engine/replica/key_export.h"
#include "src/ring_node.h"
#include "src/server.h"

namespace dyno {
namespace {

// The node of a ring, or null after an error reply.
RingNode* ring_of(Context& c) {
  RingNode* node = client_of(c).server.ring();
  if (node == nullptr) c.error("ERR this node is alone: ring.seeds is empty");
  return node;
}

void describe(Context& c) {
  if (RingNode* node = ring_of(c)) c.reply.verbatim(node->topology().describe());
}

void owners(Context& c) {
  RingNode* node = ring_of(c);
  if (node == nullptr) return;
  c.reply.verbatim(node->topology().describe_owners(c.keyspace.hash(c.args[2]).token));
}

void status(Context& c) {
  RingNode* node = ring_of(c);
  if (node == nullptr) return;
  c.reply.verbatim(node->topology().describe_status(node->statuses()));
}

void hints(Context& c) {
  RingNode* node = ring_of(c);
  if (node == nullptr) return;
  LaneFigures figures = node->figures();
  std::string text;
  for (NodeIndex index : node->topology().node(node->self()).sharers) {
    const Topology::Node& peer = node->topology().node(index);
    const LaneFigures::Peer& hint = figures.peers[index];
    text += peer.dc + " " + peer.rack + " " + peer.host + ":" + std::to_string(peer.port) +
            " writes " + std::to_string(hint.unacked_frames) + " bytes " +
            std::to_string(hint.unacked_bytes) + " slots " + std::to_string(hint.dirty_slots) +
            (hint.linked ? " linked\n" : " away\n");
  }
  c.reply.verbatim(text);
}

void repair(Context& c) {
  RingNode* node = ring_of(c);
  if (node == nullptr) return;
  node->repair();
  c.reply.simple("repair begun; RING TASKS tells when it is done");
}

void tasks(Context& c) {
  if (RingNode* node = ring_of(c)) c.reply.verbatim(node->describe_steward());
}

void drain(Context& c) {
  RingNode* node = ring_of(c);
  if (node == nullptr) return;
  node->wish(NodeState::kLeaving);
  c.reply.simple("drain begun; RING HINTS tells what others have not acknowledged yet");
}

// For WATCH on another node: "low high" of the key's version.
void version(Context& c) {
  RingNode* node = ring_of(c);
  if (node == nullptr) return;
  Digest digest = key_version(node->replica(), c.db, c.args[2]);
  c.reply.bulk(std::to_string(digest.low) + " " + std::to_string(digest.high));
}

constexpr auto kGroup = CommandGroup::kServer;
constexpr uint32_t kAny = kNoScript | kLoading | kStale;

// clang-format off
const CommandSpec kRows[] = {
    {"RING", -2, 0, {}, kGroup, "7.2.0", "Depends on the subcommand",
     "A container for commands about the ring that this node belongs to.", "", nullptr},
    {"RING|DESCRIBE", 2, kAny, {}, kGroup, "7.2.0", "O(N) with N the number of nodes",
     "Shows every range of tokens with its owner in each rack.", "", describe},
    {"RING|OWNERS", 3, kAny, {}, kGroup, "7.2.0", "O(N) with N the number of racks",
     "Shows the nodes that own a key.", "key", owners},
    {"RING|STATUS", 2, kAny, {}, kGroup, "7.2.0", "O(N) with N the number of nodes",
     "Shows every node: its state, what it owns and how far behind it is.", "", status},
    {"RING|HINTS", 2, kAny | kAdmin, {}, kGroup, "7.2.0", "O(N) with N the number of nodes",
     "Shows what is kept for every other replica until it has acknowledged it.", "", hints},
    {"RING|REPAIR", 2, kAny | kAdmin, {}, kGroup, "7.2.0", "O(1)",
     "Begins to compare with all other replicas, and to pull what differs.", "", repair},
    {"RING|DRAIN", 2, kAny | kAdmin, {}, kGroup, "7.2.0", "O(1)",
     "Begins nothing here any more: other nodes run what clients ask. Then the process may end.",
     "", drain},
    {"RING|TASKS", 2, kAny | kAdmin, {}, kGroup, "7.2.0", "O(N) with N the number of nodes",
     "Shows what the node does for the ring: failure detection, repair, filling.", "", tasks},
    {"RING|VERSION", 3, kReadonly | kAdmin, {2, 2, 1}, kGroup, "7.2.0", "O(1)",
     "Returns the version of a key, the same on replicas that agree.", "key", version},
};
// clang-format on

}  // namespace

const std::span<const CommandSpec> kRingCommands{kRows};

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// Up to which stamp what was removed may be forgotten. The steward's.
//
//   watermark   of a lane of a peer: everything it originated up to this stamp has arrived here.
//               Of a peer: the smallest of its lanes
//   published   what a node says of itself: it knows all writes to its keys up to this stamp. The
//               smallest of the watermarks of all peers that share keys with it
//   horizon     the smallest published stamp of this node and of its peers, as it was
//   StateAge::kept_us ago
//
// A tombstone may be dropped when the horizon has reached its stamp: then every replica has known
// it for longer than any state that was read before can still be on its way. So no one can bring
// back what it removed. That rests on these rules:
//
// 1. State moves by pull only, and an answer older than 5 s by the asker's clock is dropped.
// 2. Marks travel in the streams, behind the frames that they speak of.
// 3. A node that lost its memory is a new incarnation, of which nothing is known: its watermark and
//    its published stamp count as 0 until it says otherwise.
// 4. Whenever a new incarnation of a peer is heard of, something that its predecessor originated
//    may be known to some nodes and not to others. What it had reached stays in the minimum until
//    this node has pulled from every other peer that shares keys, after they too had heard of the
//    new incarnation, and after this node knew everything that was written before it did.
// 5. A stream whose frames were dropped sends no marks until their slots were pulled.
// 6. A peer that is away stays in the minimum with what it had reached. forget() takes it out; it
//    must come back with an empty memory, as a new incarnation.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/replica/stamp.h"
#include "protocol/peer_message.h"
#include "ring/machine.h"
#include "ring/topology.h"

namespace dyno {

class Frontier {
 public:
  static constexpr int64_t kSampleUs = 100 * kMicrosPerMs;

  Frontier(const Topology& topology, NodeIndex self, StateAge age = {});

  // The node begins with data for which this was the horizon.
  void begin(Stamp horizon) { horizon_ = horizon; }
  // A peer was heard of, in this incarnation, with this many lanes; `clock` is this node's.
  void peer_seen(NodeIndex node, uint32_t incarnation, uint16_t lanes, Stamp clock);
  void mark(NodeIndex node, uint32_t incarnation, uint16_t lane, Stamp watermark, Stamp published);
  // Everything that the peer knew when asked was pulled. `watermark` was watermark() when it began,
  // `known` is what the peer said of incarnations.
  void pulled(NodeIndex node, Stamp watermark, const std::vector<KnownNode>& known);
  // The peer no longer counts until a new incarnation of it is heard of.
  void forget(NodeIndex node);

  [[nodiscard]] uint32_t incarnation_of(NodeIndex node) const;
  // Smallest watermark of all peers; of a node without peers, `clock`.
  [[nodiscard]] Stamp watermark(Stamp clock) const;
  [[nodiscard]] Stamp published(Stamp clock) const;
  // What published() would be if there were no other data centers.
  [[nodiscard]] Stamp known_near(Stamp clock) const;
  [[nodiscard]] Stamp horizon() const { return horizon_; }
  // Peers that a pull from would now bring rule 4 further, each with the watermark that this node
  // is to have when the pull begins, and has.
  [[nodiscard]] std::map<NodeIndex, Stamp> wanted(Stamp clock) const;

  // Takes a sample of the minimum; ages what was taken before. `own` is what this node publishes.
  void handle_timeout(Now now, Stamp clock, Stamp own);
  [[nodiscard]] int64_t next_timeout() const { return next_sample_us_; }
  [[nodiscard]] std::string describe() const;

 private:
  struct Lane {
    Stamp watermark = 0;
    Stamp published = 0;
  };
  // What rule 4 waits for.
  struct Predecessor {
    Stamp reached = 0;
    Stamp since = 0;  // Everything up to this stamp is to be known before a pull counts.
    std::set<NodeIndex> unpulled;
  };
  struct Peer {
    uint32_t incarnation = 0;
    bool is_near = false;  // Of this data center.
    bool forgotten = false;
    std::vector<Lane> lanes;
    std::optional<Predecessor> predecessor;

    [[nodiscard]] Stamp watermark() const;
    [[nodiscard]] Stamp published() const;
    // Everything that was originated in its place up to this stamp has arrived here.
    [[nodiscard]] Stamp known() const;
  };

  const StateAge age_;
  std::map<NodeIndex, Peer> peers_;  // Those that share keys.
  std::deque<std::pair<int64_t, Stamp>> samples_;
  Stamp horizon_ = 0;
  int64_t next_sample_us_ = 0;
};

}  // namespace dyno

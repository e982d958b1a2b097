// SPDX-License-Identifier: Apache-2.0
//
// One network thread's part in the ring: its links to all peers, the streams that it sends and
// receives, and its requests. A request begins and ends on one lane.
//
// What belongs to whom. A node has as many lanes as network threads, and one steward, which is
// driven by the thread of lane 0:
//
//   a lane, on its thread      links, streams, coordinator
//   the steward, with lane 0   who is alive, clocks, frontier, anti-entropy, filling an empty node
//   shared and constant        topology, views: the steward makes one, every lane gets it as a note
//   shared, locked by slot     the store
//   shared, atomic             the leases
//
// Lanes and steward know each other by notes alone, which the driver carries between threads.
//
// Links. The lane dials one link to every peer it needs and says on it all that it has to say. The
// peer answers on the same. A link that others dialed is served by the lane that its hello names,
// modulo the number of lanes here, so that a stream stays with one thread: hello_lane() tells the
// driver, which hands the socket to that thread and all bytes read so far to accepted().
//
// A message that needs what is on disk holds up its link until that is in memory (held_message.h):
// the driver calls received() or accepted() again when the disk has moved, be there bytes or not.
//
// How to drive it: hand in events as they happen, then drain() once per wake-up of the loop and do
// what the outbox says; batches and acknowledgements are made there, one for all that happened.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/compression.h"
#include "protocol/peer_message.h"
#include "ring/coordinator.h"
#include "ring/gateways.h"
#include "ring/held_message.h"
#include "ring/machine.h"
#include "ring/outbox.h"
#include "ring/store.h"
#include "ring/stream_receiver.h"
#include "ring/streams.h"
#include "ring/topology.h"
#include "ring/view.h"
#include "ring/wan_budget.h"

namespace dyno {

class Steward;

// Who this node is, and what must be the same on both sides of a link.
struct Identity {
  std::string cluster;
  uint64_t hash_seed = 0;
  NodeIndex self = kNoNode;
  // Larger in every process of this node that began with an empty memory; at least 1.
  uint32_t incarnation = 0;
  uint16_t lanes = 1;
};

struct LaneOptions {
  StreamLimits stream;
  CoordinatorOptions coordinator;
  int64_t dial_again_first_us = 100 * kMicrosPerMs;
  int64_t dial_again_last_us = 2000 * kMicrosPerMs;
  int64_t handshake_us = 2000 * kMicrosPerMs;  // A dialed link without a welcome is given up.
  int64_t mark_us = 100 * kMicrosPerMs;        // Between two marks of a stream.
  // What links of data centers carry is compressed, where the other side can read it.
  bool compresses_wan = true;
  // What this lane sends to each other data center; 0: no limit. Streams wait for their turn.
  int64_t wan_bytes_per_second = 0;
};

// What a lane sent to other data centers.
struct WanCounts {
  uint64_t bytes = 0;
  uint64_t bytes_whole = 0;  // Before they were compressed.
  uint64_t waits = 0;        // Turns in which the rate held writes back.
};

// The lane that a link belongs to, from its first bytes: nothing while more are needed. Bytes that
// are no hello belong to lane 0, which refuses them.
[[nodiscard]] std::optional<uint16_t> hello_lane(std::string_view bytes);

class Lane {
 public:
  // `steward` is null but for lane 0. All references outlive the lane.
  Lane(const Topology& topology, const Identity& identity, uint16_t number,
       const LaneOptions& options, Store& store, Leases& leases, Steward* steward);
  ~Lane();

  // The own link to a node. Bytes are consumed as far as they are whole messages: the driver keeps
  // the rest and hands it in again with what follows. Returns how many were consumed.
  void dialed(Now now, NodeIndex node);
  void dial_failed(Now now, NodeIndex node);
  size_t received(Now now, NodeIndex node, std::string_view bytes);
  void link_closed(Now now, NodeIndex node);
  // Links that others dialed.
  size_t accepted(Now now, LinkId link, std::string_view bytes);
  void accepted_closed(LinkId link);

  // Requests: see coordinator.h.
  [[nodiscard]] Plan plan(std::span<const Token> tokens, bool write, bool may_split,
                          Level level) const {
    return coordinator_.plan(tokens, write, may_split, level);
  }
  void begin(Now now, Request request) { coordinator_.begin(now, std::move(request)); }
  void ran(Now now, uint64_t run, std::string reply, std::vector<Frame> frames);
  // What this thread wrote otherwise: under a local plan, by expiry, by eviction. The order is that
  // in which it was written.
  void publish(std::vector<Frame> frames);

  void handle_note(Now now, const Note& note);
  void handle_timeout(Now now);
  [[nodiscard]] int64_t next_timeout() const;

  // Completes the outbox. The caller takes what is in it and clears it.
  [[nodiscard]] Outbox& drain();

  [[nodiscard]] uint16_t number() const { return number_; }
  [[nodiscard]] const Coordinator& coordinator() const { return coordinator_; }
  // The own link to the node is up.
  [[nodiscard]] bool is_linked(NodeIndex node) const {
    auto found = own_links_.find(node);
    return found != own_links_.end() && found->second.state == LinkState::kUp;
  }
  // The link waits for the disk: its bytes are to be handed in again when that has moved.
  [[nodiscard]] bool is_held(NodeIndex node) const;
  [[nodiscard]] bool is_held_accepted(LinkId link) const;
  [[nodiscard]] uint64_t held_messages() const { return held_messages_; }
  [[nodiscard]] size_t held_bytes() const;  // Of those that wait now, on all links.
  [[nodiscard]] const GatewayCounts& gateway_counts() const { return gateways_.counts(); }
  [[nodiscard]] const WanCounts& wan_counts() const { return wan_counts_; }
  [[nodiscard]] Streams& streams() { return streams_; }
  [[nodiscard]] size_t hint_bytes();  // Of all streams: what peers have not acknowledged.
  // Links of others that were closed for what they said.
  [[nodiscard]] uint64_t closed_links() const { return closed_links_; }
  [[nodiscard]] std::string describe();

 private:
  // As docs/PROTOCOL.md words it: whoever is refused so knows that it is not that node any more.
  static constexpr std::string_view kHasSuccessor =
      "an incarnation of the node that has a successor";

  enum class LinkState : uint8_t { kIdle, kDialing, kGreeting, kUp };
  struct OwnLink {
    LinkState state = LinkState::kIdle;
    int64_t again_us = 0;      // When to dial, or to give up the handshake.
    int64_t pause_us = 0;      // Before the next attempt.
    uint32_t incarnation = 0;  // Of the peer.
    bool compresses = false;   // The peer is far, and can read it.
    std::unique_ptr<PeerDecoder> decoder;
    HeldMessages held;
  };
  struct AcceptedLink {
    NodeIndex node = kNoNode;  // Before its hello: none.
    uint32_t incarnation = 0;
    uint16_t lane = 0;
    bool can_restore = false;  // The peer is far, and can read what is compressed,
    bool compresses = false;   // which begins when it has seen the welcome.
    std::unique_ptr<PeerDecoder> decoder;
    HeldMessages held;
  };
  // Streams are kept when their link is gone, the latest incarnation of each.
  struct Inbound {
    uint32_t incarnation = 0;
    StreamReceiver stream;
    LinkId link = 0;           // 0: none.
    uint64_t asked_ahead = 0;  // The last frame whose values were asked for ahead of its turn.
  };

  [[nodiscard]] Hello own_hello(uint16_t lane, uint64_t next) const;
  [[nodiscard]] std::string check_hello(const Hello& hello, NodeIndex* node) const;
  Handled handle_own(Now now, NodeIndex node, OwnLink& link, const PeerMessage& message);
  bool handle_welcome(Now now, NodeIndex node, OwnLink& link, const PeerMessage& message);
  std::string handle_accepted(Now now, LinkId id, AcceptedLink& link, const PeerMessage& message);
  std::string handle_hello(LinkId id, AcceptedLink& link, const PeerMessage& message);
  std::string handle_batch(Now now, AcceptedLink& link, std::string_view body);
  std::string handle_relay(Now now, LinkId id, AcceptedLink& link, std::string_view body);
  std::string handle_relayed(Now now, const AcceptedLink& link, std::string_view body);
  void expect(std::span<const StreamReceiver::NumberedFrame> frames);
  void ask_ahead(Inbound& inbound, std::span<const StreamReceiver::NumberedFrame> frames);
  std::string apply_batch(Now now, NodeIndex origin, uint16_t lane, const Batch& batch);
  std::string handle_reset(AcceptedLink& link, std::string_view body);
  void hang_up(Now now, NodeIndex node, std::string reason);
  void close(LinkId link, std::string reason);
  void take_from(Outbox& other);
  [[nodiscard]] bool is_far(NodeIndex node) const {
    return topology_.node(node).dc_index != topology_.node(identity_.self).dc_index;
  }
  void fill_streams();
  void fill_far();
  void send_far();
  void pack(NodeIndex node, bool compresses, std::string* bytes);
  [[nodiscard]] Inbound* inbound_of(const AcceptedLink& link);

  const Topology& topology_;
  const Identity identity_;
  const uint16_t number_;
  const LaneOptions options_;
  Store& store_;
  Steward* const steward_;
  Outbox outbox_;
  Streams streams_;
  Coordinator coordinator_;
  Gateways gateways_;
  SharedView view_;
  // Of what goes to one other data center in a turn.
  struct Parcel {
    size_t streams = 0;  // Of them, before they are compressed.
    size_t whole = 0;    // Of everything, before and after.
    size_t packed = 0;
  };
  std::vector<WanBudget> budgets_;  // By data center, as are the others.
  std::vector<Parcel> parcels_;
  std::vector<int64_t> rooms_;  // Scratch of fill_far().
  size_t far_turn_ = 0;         // So that streams of one budget begin by turns.
  Compression compression_;
  WanCounts wan_counts_;
  std::map<NodeIndex, OwnLink> own_links_;
  std::map<LinkId, AcceptedLink> accepted_;
  std::map<std::pair<NodeIndex, uint16_t>, Inbound> inbound_;
  int64_t next_mark_us_ = 0;
  bool not_yet_ = false;  // The message at hand is to be handled again,
  bool again_ = false;    // or is.
  uint64_t held_messages_ = 0;
  uint64_t closed_links_ = 0;
};

}  // namespace dyno

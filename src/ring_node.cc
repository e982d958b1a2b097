// SPDX-License-Identifier: Apache-2.0
#include "src/ring_node.h"

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>
#include <variant>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "protocol/check.h"
#include "src/listener.h"
#include "src/server.h"

namespace dyno {
namespace {

constexpr int64_t kIncarnationMs = 100;

// Tenths of a second since 2024. Waits for the end of the present one, so that a process which is
// started right after another was killed never gets the same.
uint32_t new_incarnation() {
  int64_t now_ms = unix_time_ms();
  int64_t tenths = (now_ms - kStampEpochMs) / kIncarnationMs;
  std::this_thread::sleep_for(std::chrono::milliseconds(kIncarnationMs - now_ms % kIncarnationMs));
  return tenths < 1 ? 1 : static_cast<uint32_t>(tenths);
}

// The digests of all nodes of a cluster agree, those of another's do not.
uint64_t digest_secret(const Identity& identity) {
  return XXH3_64bits_withSeed(identity.cluster.data(), identity.cluster.size(),
                              identity.hash_seed ^ 0x6479'6e6f'7365'6372);
}

Identity make_identity(const Config& config, const RingMembership& membership, int lanes) {
  Identity identity;
  identity.cluster = config.ring.cluster.get();
  identity.hash_seed = static_cast<uint64_t>(config.ring.hash_seed.load());
  identity.self = membership.self;
  identity.incarnation = new_incarnation();
  identity.lanes = static_cast<uint16_t>(lanes);
  return identity;
}

std::string name_of(const Topology::Node& node) {
  return node.dc + ":" + node.rack + ":" + node.host + ":" + std::to_string(node.port);
}

}  // namespace

RingNode::RingNode(Server& server, RingMembership membership, int lanes)
    : server_(server),
      membership_(std::move(membership)),
      identity_(make_identity(server.config(), membership_, lanes)),
      conflict_log_(server.log(), server.config().ring.log_conflicts),
      leases_(topology(), self(), monotonic_us()),
      replica_(server.executor(), topology().node(self()).rack_number, identity_.incarnation,
               digest_secret(identity_)),
      origin_(replica_) {
  replica_.clock().start_above(first_stamp_of(unix_time_ms()));
  replica_.set_sink(&sink_);
  replica_.set_conflict_log([this](std::string_view key, Type type, Stamp lost) {
    conflict_log_.write(key, type, lost, unix_time_ms());
  });
  // With one rack nothing is replicated: nothing is stamped or recorded, but for a disk.
  bool is_durable = server.config().storage.mode.load() == StorageMode::kDurable;
  if (!topology().is_single_replica() || is_durable) server.executor().set_recorder(&origin_);
  store_ = std::make_unique<RingStore>(replica_, topology(), self(), unix_time_ms);
  StewardOptions steward;
  steward.lanes = identity_.lanes;
  steward.anti_entropy.wan_bytes_per_second = server.config().ring.wan_rate.load();
  steward_ = std::make_unique<Steward>(topology(), self(), identity_.incarnation, steward, *store_,
                                       leases_);
  view_ = steward_->view();
  const Keyspace& keyspace = server.keyspace();
  probes_.resize(topology().nodes().size());
  for (NodeIndex node = 0; node < probes_.size(); ++node) {
    for (uint64_t i = 0; probes_[node].empty(); ++i) {
      std::string name = "probe" + std::to_string(i);
      if (topology().owns(node, keyspace.hash(name).token)) probes_[node] = std::move(name);
    }
  }
}

RingNode::~RingNode() = default;

LaneOptions RingNode::lane_options() const {
  const Config::Ring& ring = server_.config().ring;
  LaneOptions options;
  options.stream.log_bytes_max = static_cast<size_t>(ring.hint_bytes_max.load());
  options.coordinator.hash_seed = identity_.hash_seed;
  options.coordinator.request_bytes_max = static_cast<size_t>(ring.pending_bytes_max.load());
  options.coordinator.may_leave_dc = ring.failover.load() == RingFailover::kAll;
  options.compresses_wan = ring.wan_compression.load();
  int64_t rate = ring.wan_rate.load();
  // Each lane has its share.
  if (rate != 0) options.wan_bytes_per_second = std::max<int64_t>(rate / identity_.lanes, 1);
  return options;
}

void RingNode::begin(Stamp known, Stamp horizon) {
  steward_->begin(known, horizon);
}

std::unique_ptr<LaneDriver> RingNode::make_lane(NetworkThread& thread, EventLoop& loop) {
  auto number = static_cast<uint16_t>(lanes_.size());
  auto lane = std::make_unique<LaneDriver>(*this, thread, loop, number,
                                           number == 0 ? steward_.get() : nullptr);
  lanes_.push_back(lane.get());
  return lane;
}

void RingNode::deliver(const Note& note) {
  if (const auto* changed = std::get_if<ViewChanged>(&note)) {
    note_changes(*changed->view);
    for (LaneDriver* lane : lanes_) lane->tell(note);
  } else if (const auto* clean = std::get_if<SlotsClean>(&note)) {
    lane_of(clean->lane).tell(note);
  } else {
    if (const auto* superseded = std::get_if<Superseded>(&note)) note_superseded(*superseded);
    lanes_.front()->run_here([this, note] { steward_->handle_note(note); });
  }
}

// Lane 0's thread alone makes views.
void RingNode::note_changes(const View& now) {
  SharedView before = view();
  for (NodeIndex node = 0; node < now.nodes.size(); ++node) {
    NodeState old_state = before->nodes[node].state;
    NodeState state = now.nodes[node].state;
    if (state == old_state) continue;
    server_.log().write(LogLevel::kNotice, "a node has changed its state",
                        {{"node", name_of(topology().node(node))},
                         {"from", std::string(node_state_name(old_state))},
                         {"to", std::string(node_state_name(state))}});
  }
  std::lock_guard lock(mutex_);
  view_ = steward_->view();
}

void RingNode::note_superseded(const Superseded& note) {
  if (superseded_.exchange(true)) return;
  server_.log().write(LogLevel::kWarning,
                      "another process has taken the place of this node; this one serves no more",
                      {{"refused_by", name_of(topology().node(note.by))}});
}

SharedView RingNode::view() const {
  std::lock_guard lock(mutex_);
  return view_;
}

void RingNode::resolve(const std::string& host, uint16_t port, Resolved done) {
  server_.listener().resolve(host, port, std::move(done));
}

void RingNode::repair() {
  repaired_.store(false);
  lanes_.front()->run_here([this] { steward_->repair(); });
}

void RingNode::wish(NodeState state) {
  lanes_.front()->run_here([this, state] { steward_->wish(state); });
}

void RingNode::drain() {
  constexpr int kLooks = 20;
  // Longer than figures are old.
  constexpr auto kLook = std::chrono::milliseconds(150);
  if (topology().is_single_replica()) return;
  wish(NodeState::kLeaving);
  for (int i = 0; i < kLooks; ++i) {
    std::this_thread::sleep_for(kLook);
    LaneFigures sum = figures();
    bool is_done = std::all_of(sum.peers.begin(), sum.peers.end(), [](const auto& peer) {
      return !peer.linked || peer.unacked_frames == 0;
    });
    if (is_done) return;
  }
  server_.log().write(LogLevel::kWarning, "some writes were not acknowledged by other nodes");
}

void RingNode::publish_steward() {
  repaired_.store(steward_->is_repaired());
  if (uint64_t drops = steward_->drops(); drops_.exchange(drops) != drops) {
    server_.log().write(LogLevel::kWarning,
                        "the data of this node was older than what the others have forgotten: "
                        "it is filled anew");
  }
  std::string text = steward_->describe();
  std::lock_guard lock(mutex_);
  steward_text_ = std::move(text);
}

std::string RingNode::describe_steward() const {
  std::lock_guard lock(mutex_);
  return steward_text_;
}

LaneFigures RingNode::figures() const {
  SharedView seen = view();
  LaneFigures sum;
  sum.peers.resize(topology().nodes().size());
  for (const LaneDriver* lane : lanes_) {
    LaneFigures each = lane->figures();
    sum.counts.forwarded += each.counts.forwarded;
    sum.counts.failed_over += each.counts.failed_over;
    sum.counts.compared += each.counts.compared;
    sum.counts.writes_compared += each.counts.writes_compared;
    sum.counts.stood_in += each.counts.stood_in;
    sum.counts.states_merged += each.counts.states_merged;
    sum.counts.racks_behind += each.counts.racks_behind;
    sum.counts.restamped += each.counts.restamped;
    sum.counts.refused += each.counts.refused;
    sum.counts.unknown += each.counts.unknown;
    sum.gateways.frames += each.gateways.frames;
    sum.gateways.copies += each.gateways.copies;
    sum.gateways.left += each.gateways.left;
    sum.wan.bytes += each.wan.bytes;
    sum.wan.bytes_whole += each.wan.bytes_whole;
    sum.wan.waits += each.wan.waits;
    sum.unanswered += each.unanswered;
    sum.pending_bytes += each.pending_bytes;
    sum.closed_links += each.closed_links;
    sum.blocked_runs += each.blocked_runs;
    sum.parked_runs += each.parked_runs;
    sum.held_messages += each.held_messages;
    sum.held_bytes += each.held_bytes;
    for (size_t i = 0; i < each.peers.size(); ++i) {
      sum.peers[i].unacked_frames += each.peers[i].unacked_frames;
      sum.peers[i].unacked_bytes += each.peers[i].unacked_bytes;
      sum.peers[i].dirty_slots += each.peers[i].dirty_slots;
      bool is_there = i != self() && seen->nodes[i].state != NodeState::kDown;
      if (is_there && !each.peers[i].linked) ++sum.missing_links;
      sum.peers[i].linked = sum.peers[i].linked || each.peers[i].linked;
    }
  }
  return sum;
}

std::vector<NodeStatus> RingNode::statuses() const {
  SharedView seen = view();
  LaneFigures sum = figures();
  std::vector<NodeStatus> statuses;
  for (NodeIndex node = 0; node < seen->nodes.size(); ++node) {
    NodeStatus status{node_state_name(seen->nodes[node].state), ""};
    const LaneFigures::Peer& peer = sum.peers[node];
    if (node == self()) {
      status.note = "this node";
    } else if (peer.dirty_slots > 0) {
      status.note = "behind by " + std::to_string(peer.dirty_slots) + " slots";
    } else {
      status.note = "behind by " + std::to_string(peer.unacked_frames) + " writes, " +
                    std::to_string(peer.unacked_bytes) + " bytes";
    }
    int64_t off_ms = seen->nodes[node].clock_offset_ms;
    if (off_ms > FailureDetector::kOffsetWarnMs || off_ms < -FailureDetector::kOffsetWarnMs) {
      status.note += ", clock off by " + std::to_string(off_ms) + " ms";
    }
    statuses.push_back(std::move(status));
  }
  return statuses;
}

}  // namespace dyno

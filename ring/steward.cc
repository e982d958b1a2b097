// SPDX-License-Identifier: Apache-2.0
#include "ring/steward.h"

#include <algorithm>
#include <variant>

#include "protocol/check.h"

namespace dyno {

Steward::Steward(const Topology& topology, NodeIndex self, uint32_t incarnation,
                 const StewardOptions& options, Store& store, Leases& leases)
    : topology_(topology),
      self_(self),
      store_(store),
      leases_(leases),
      detector_(topology, self),
      frontier_(topology, self, options.anti_entropy.age),
      anti_entropy_(topology, self, options.anti_entropy, store, outbox_),
      bootstrap_(topology, self),
      completeness_(topology, self),
      incarnations_(topology.nodes().size()),
      watermarks_(options.lanes) {
  incarnations_[self] = incarnation;
  make_view();
}

void Steward::begin(Stamp known, Stamp horizon) {
  completeness_.begin(known);
  frontier_.begin(horizon);
  completeness_.set_horizon(horizon);
}

void Steward::link_up(Now now, NodeIndex node, uint64_t features) {
  detector_.link_up(now, node);
  anti_entropy_.allow(node, may_pull_from(node));
  anti_entropy_.link_up(now, node, (features & kSumsRanges) != 0);
}

void Steward::link_down(Now now, NodeIndex node) {
  detector_.link_down(now, node);
  anti_entropy_.link_down(node);
}

void Steward::dial_failed(NodeIndex node) {
  bootstrap_.unreachable(node);
}

bool Steward::is_answer(MessageKind kind) {
  return kind == MessageKind::kHeartbeatAnswer || kind == MessageKind::kRangesAnswer ||
         kind == MessageKind::kDigestsAnswer || kind == MessageKind::kListAnswer ||
         kind == MessageKind::kPullAnswer || kind == MessageKind::kLease;
}

Handled Steward::handle_answer(Now now, NodeIndex from, const PeerMessage& message) {
  detector_.heard(now, from);
  switch (message.kind) {
    case MessageKind::kHeartbeatAnswer: {
      Heartbeat answer;
      if (!read_body(message.body, &answer)) return Handled::kBroken;
      detector_.handle_answer(now, from, answer);
      bool serves = detector_.state_of(from) > NodeState::kLoading;
      completeness_.heard(from, {serves, answer.complete, answer.sound, answer.horizon});
      anti_entropy_.allow(from, may_pull_from(from));
      bootstrap_.heard(from, state_of(from), completeness_.can_fill(from));
      // A clock too far ahead is not followed; the detector sees how far.
      (void)store_.observe(answer.stamp);
      return Handled::kDone;
    }
    case MessageKind::kLease: {
      if (!message.body.empty()) return Handled::kBroken;
      auto sent_us = static_cast<int64_t>(message.id);
      if (View::may_write(own_state())) leases_.hold(now, from, sent_us, store_.clock());
      return Handled::kDone;
    }
    case MessageKind::kRangesAnswer:
    case MessageKind::kDigestsAnswer: {
      DigestsAnswer answer;
      if (!read_body(message.body, &answer)) return Handled::kBroken;
      if (message.kind == MessageKind::kRangesAnswer) {
        anti_entropy_.handle_ranges(now, from, message.id, answer);
      } else {
        anti_entropy_.handle_digests(now, from, message.id, answer);
      }
      return Handled::kDone;
    }
    case MessageKind::kListAnswer: {
      ListAnswer answer;
      if (!read_body(message.body, &answer)) return Handled::kBroken;
      anti_entropy_.handle_list(now, from, message.id, answer);
      return Handled::kDone;
    }
    case MessageKind::kPullAnswer: {
      PullAnswer answer;
      if (!read_body(message.body, &answer)) return Handled::kBroken;
      return anti_entropy_.handle_pull(now, from, message.id, answer);
    }
    default:
      return Handled::kBroken;
  }
}

bool Steward::is_question(MessageKind kind) {
  return kind == MessageKind::kHeartbeat || kind == MessageKind::kRanges ||
         kind == MessageKind::kDigests || kind == MessageKind::kList || kind == MessageKind::kPull;
}

void Steward::answer_heartbeat(Now now, NodeIndex from, uint64_t id, Heartbeat heartbeat,
                               std::string* out) {
  (void)store_.observe(heartbeat.stamp);
  bool runs_writes = View::may_write(static_cast<NodeState>(heartbeat.state));
  heartbeat.unix_ms = now.unix_ms;
  tell_own(&heartbeat);
  write_message(MessageKind::kHeartbeatAnswer, id, heartbeat, out);
  if (!leases_.is_near(from)) return;
  if (!runs_writes) return leases_.release(from);
  // Who is not seen to run writes is passed over soon.
  if (View::may_write(state_of(from)) && leases_.grant(now, from)) {
    write_message_bytes(MessageKind::kLease, kSkip, static_cast<uint64_t>(heartbeat.sent_us), {},
                        out);
  }
}

Handled Steward::handle_question(Now now, LinkId link, NodeIndex from, const PeerMessage& message) {
  constexpr size_t kDigestsSlotsMax = 1024;
  std::string* out = &outbox_.to_links[link];
  switch (message.kind) {
    case MessageKind::kHeartbeat: {
      Heartbeat heartbeat;
      if (!read_body(message.body, &heartbeat)) return Handled::kBroken;
      answer_heartbeat(now, from, message.id, heartbeat, out);
      return Handled::kDone;
    }
    case MessageKind::kRanges: {
      Ranges ranges;
      if (!read_body(message.body, &ranges) || !AntiEntropy::may_be_asked(ranges))
        return Handled::kBroken;
      DigestsAnswer answer = AntiEntropy::answer(store_, ranges, known());
      write_message(MessageKind::kRangesAnswer, message.id, answer, out);
      return Handled::kDone;
    }
    case MessageKind::kDigests: {
      Digests digests;
      if (!read_body(message.body, &digests) || digests.slots.size() > kDigestsSlotsMax) {
        return Handled::kBroken;
      }
      for (const SlotSums& sums : digests.slots) {
        if (sums.slot >= kSlotCount) return Handled::kBroken;
      }
      DigestsAnswer answer = AntiEntropy::answer(store_, digests, known());
      write_message(MessageKind::kDigestsAnswer, message.id, answer, out);
      return Handled::kDone;
    }
    case MessageKind::kList: {
      ListKeys list;
      if (!read_body(message.body, &list) || list.slot >= kSlotCount) return Handled::kBroken;
      ListAnswer answer = AntiEntropy::answer(store_, list);
      write_message(MessageKind::kListAnswer, message.id, answer, out);
      return Handled::kDone;
    }
    case MessageKind::kPull: {
      Pull pull;
      if (!read_body(message.body, &pull) || pull.slot >= kSlotCount) return Handled::kBroken;
      std::string states;
      std::optional<PullAnswer> answer = AntiEntropy::answer(store_, pull, &states);
      if (!answer) return Handled::kNotYet;
      write_message(MessageKind::kPullAnswer, message.id, *answer, out);
      return Handled::kDone;
    }
    default:
      return Handled::kBroken;
  }
}

void Steward::handle_note(const Note& note) {
  if (const auto* seen = std::get_if<PeerSeen>(&note)) {
    if (seen->incarnation <= incarnations_[seen->node]) return;
    incarnations_[seen->node] = seen->incarnation;
    frontier_.peer_seen(seen->node, seen->incarnation, seen->lanes, store_.clock());
    completeness_.peer_seen(seen->node);
    anti_entropy_.allow(seen->node, may_pull_from(seen->node));
    anti_entropy_.peer_seen(seen->node, seen->incarnation);
    make_view();
  } else if (const auto* mark = std::get_if<MarkSeen>(&note)) {
    if (mark->node == self_) {
      watermarks_[mark->lane] = mark->watermark;
    } else {
      frontier_.mark(mark->node, mark->incarnation, mark->lane, mark->watermark, mark->published);
    }
  } else if (const auto* dirty = std::get_if<SlotsDirty>(&note)) {
    anti_entropy_.demand_dirty(*dirty);
  } else if (std::holds_alternative<Superseded>(note)) {
    is_superseded_ = true;
    make_view();
  }
}

void Steward::handle_timeout(Now now) {
  if (now.mono_us >= detector_.next_timeout()) {
    detector_.handle_timeout(now);
    // Watermarks go on with time, also when nothing is written.
    (void)store_.observe(first_stamp_of(now.unix_ms));
    look_at_peers(now);
    if (drop_if_stale(now)) bootstrap_.handle_timeout(now);
    publish();
    frontier_.handle_timeout(now, store_.clock(), published_);
    completeness_.set_horizon(frontier_.horizon());
    demand_pulls(now);
    make_view();
  }
  anti_entropy_.handle_timeout(now);
}

void Steward::look_at_peers(Now now) {
  if (!View::may_write(own_state())) leases_.drop(now);
  for (NodeIndex node = 0; node < topology_.nodes().size(); ++node) {
    if (node == self_) continue;
    bootstrap_.heard(node, state_of(node), completeness_.can_fill(node));
    if (!detector_.is_due(now, node)) continue;
    Heartbeat heartbeat = detector_.heartbeat(now, node);
    tell_own(&heartbeat);
    write_message(MessageKind::kHeartbeat, 0, heartbeat, &outbox_.to_nodes[node]);
  }
}

void Steward::tell_own(Heartbeat* heartbeat) const {
  heartbeat->stamp = store_.clock();
  heartbeat->state = static_cast<uint8_t>(own_state());
  heartbeat->complete = completeness_.complete();
  heartbeat->sound = completeness_.sound();
  heartbeat->horizon = frontier_.horizon();
}

// One that may hold what is forgotten here is not asked for anything.
NodeState Steward::state_of(NodeIndex node) const {
  NodeState state = detector_.state_of(node);
  return state == NodeState::kDown || completeness_.trusts(node) ? state : NodeState::kLoading;
}

bool Steward::may_pull_from(NodeIndex node) const {
  return dropping_until_ == 0 && completeness_.trusts(node);
}

bool Steward::drop_if_stale(Now now) {
  Stamp limit = dropping_until_ != 0 ? dropping_until_ : completeness_.stale_until();
  if (limit == 0) return true;
  if (dropping_until_ == 0) bootstrap_.begin_anew(now);
  dropping_until_ = limit;
  for (NodeIndex node : topology_.node(self_).sharers) anti_entropy_.allow(node, false);
  if (!store_.drop_until(limit)) return false;
  dropping_until_ = 0;
  ++drops_;
  completeness_.dropped(limit);
  // What was pulled before is dropped, too.
  (void)anti_entropy_.take_pulled();
  for (NodeIndex node : topology_.node(self_).sharers) {
    anti_entropy_.allow(node, may_pull_from(node));
  }
  return true;
}

void Steward::publish() {
  published_ = known_ = 0;
  if (!bootstrap_.is_filled()) return;
  // Up to where a lane's watermark is, its writes are in what the store keeps.
  Stamp own = *std::min_element(watermarks_.begin(), watermarks_.end());
  known_ = frontier_.known_near(own);
  published_ = store_.keep_known(frontier_.published(own), frontier_.horizon());
  completeness_.published(published_);
}

void Steward::demand_pulls(Now) {
  for (const AntiEntropy::Pulled& pulled : anti_entropy_.take_pulled()) {
    frontier_.pulled(pulled.node, pulled.watermark, pulled.known);
    if (!bootstrap_.is_filled()) completeness_.filled_from(pulled.node);
    bootstrap_.pulled(pulled.node);
  }
  anti_entropy_.set_watermark(frontier_.watermark(store_.clock()));
  // What is under way need not be done again.
  for (NodeIndex node : bootstrap_.wanted()) anti_entropy_.demand_since(node, 0);
  for (auto [node, since] : frontier_.wanted(store_.clock())) {
    anti_entropy_.demand_since(node, since);
  }
}

void Steward::repair() {
  for (NodeIndex node : topology_.node(self_).sharers) anti_entropy_.demand(node);
}

int64_t Steward::next_timeout() const {
  return std::min(detector_.next_timeout(), anti_entropy_.next_timeout());
}

void Steward::wish(NodeState state) {
  DYNO_CHECK(state != NodeState::kDown && state != NodeState::kLoading &&
             state != NodeState::kFenced);
  wished_ = state;
  make_view();
}

NodeState Steward::own_state() const {
  bool may_begin = wished_ == NodeState::kNormal || wished_ == NodeState::kWritesOnly;
  // What a node wrote that has a successor would reach nobody.
  if (is_superseded_ || wished_ == NodeState::kLeaving) return NodeState::kLeaving;
  if (!bootstrap_.is_filled()) return NodeState::kLoading;
  if (!may_begin || !detector_.is_fenced()) return wished_;
  // What takes writes only, and may not write, does nothing.
  return wished_ == NodeState::kNormal ? NodeState::kFenced : NodeState::kStandby;
}

std::vector<KnownNode> Steward::known() const {
  std::vector<KnownNode> nodes;
  for (NodeIndex node = 0; node < incarnations_.size(); ++node) {
    if (incarnations_[node] != 0) nodes.push_back({node, incarnations_[node]});
  }
  return nodes;
}

void Steward::make_view() {
  auto view = std::make_shared<View>();
  for (NodeIndex node = 0; node < incarnations_.size(); ++node) {
    View::NodeView seen;
    seen.state = node == self_ ? own_state() : state_of(node);
    seen.incarnation = incarnations_[node];
    if (node != self_) seen.clock_offset_ms = detector_.clock_offset_ms(node);
    view->nodes.push_back(seen);
  }
  view->published = published_;
  view->horizon = frontier_.horizon();
  view->known = known_;
  view_ = std::move(view);
  outbox_.notes.push_back(ViewChanged{view_});
}

std::vector<NodeStatus> Steward::statuses() const {
  std::vector<NodeStatus> statuses;
  for (const View::NodeView& seen : view_->nodes) {
    NodeStatus status{node_state_name(seen.state), ""};
    if (std::abs(seen.clock_offset_ms) > FailureDetector::kOffsetWarnMs) {
      status.note = "clock off by " + std::to_string(seen.clock_offset_ms) + " ms";
    }
    statuses.push_back(std::move(status));
  }
  return statuses;
}

std::string Steward::describe() const {
  return "state " + std::string(node_state_name(own_state())) +
         (is_superseded_ ? ", another process has taken its place\n" : "\n") +
         detector_.describe() + frontier_.describe() + anti_entropy_.describe() +
         bootstrap_.describe();
}

}  // namespace dyno

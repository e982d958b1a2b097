// SPDX-License-Identifier: Apache-2.0
#include "ring/lane.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "protocol/check.h"
#include "ring/steward.h"

namespace dyno {
namespace {

constexpr uint16_t kLanesMax = 1024;
// Less is not worth compressing.
constexpr size_t kCompressedFrom = 200;

// Reads the body of an own-link message and hands it on.
template <class Body, class Take>
Handled take(const PeerMessage& message, Take hand_on) {
  Body body;
  if (!read_body(message.body, &body)) return Handled::kBroken;
  hand_on(body);
  return Handled::kDone;
}

}  // namespace

std::optional<uint16_t> hello_lane(std::string_view bytes) {
  PeerDecoder decoder;
  PeerMessage message;
  PeerDecoder::Result result = decoder.next(&bytes, &message);
  if (result == PeerDecoder::Result::kNeedMore) return std::nullopt;
  Hello hello;
  bool good = result == PeerDecoder::Result::kMessage && message.kind == MessageKind::kHello &&
              read_body(message.body, &hello);
  return good ? hello.lane : uint16_t{0};
}

Lane::Lane(const Topology& topology, const Identity& identity, uint16_t number,
           const LaneOptions& options, Store& store, Leases& leases, Steward* steward)
    : topology_(topology),
      identity_(identity),
      number_(number),
      options_(options),
      store_(store),
      steward_(steward),
      streams_(topology, identity.self, options.stream),
      coordinator_(topology, identity.self, options.coordinator, store, leases, streams_, outbox_),
      gateways_(topology, identity.self, number, identity.lanes, options.stream, streams_),
      budgets_(topology.dcs().size(), WanBudget(options.wan_bytes_per_second)),
      parcels_(topology.dcs().size()) {
  DYNO_CHECK((steward != nullptr) == (number == 0) && identity.incarnation > 0);
  for (NodeIndex node = 0; node < topology.nodes().size(); ++node) {
    if (node != identity.self) own_links_[node].pause_us = options.dial_again_first_us;
  }
  auto view = std::make_shared<View>();
  view->nodes.resize(topology.nodes().size());
  view_ = std::move(view);
}

Lane::~Lane() = default;

Hello Lane::own_hello(uint16_t lane, uint64_t next) const {
  const Topology::Node& own = topology_.node(identity_.self);
  Hello hello;
  hello.cluster = identity_.cluster;
  hello.hash_seed = identity_.hash_seed;
  hello.dc = own.dc;
  hello.rack = own.rack;
  hello.tokens = own.tokens;
  hello.incarnation = identity_.incarnation;
  hello.lane = lane;
  hello.lanes = identity_.lanes;
  hello.topology = topology_.fingerprint();
  hello.features = kRelays | kSumsRanges | kRestores;
  hello.next = next;
  return hello;
}

// Why not to talk to whoever says this; empty, and which node it is, when there is no reason.
std::string Lane::check_hello(const Hello& hello, NodeIndex* node) const {
  if (hello.magic != kPeerMagic) return "not a Dyno node";
  if (hello.version + 1 < kPeerVersion || hello.version > kPeerVersion + 1) {
    return "protocol version " + std::to_string(hello.version) + ": expected one next to " +
           std::to_string(kPeerVersion);
  }
  if (hello.cluster != identity_.cluster) {
    return "cluster '" + std::string(hello.cluster) + "': expected '" + identity_.cluster + "'";
  }
  if (hello.hash_kind != 0 || hello.hash_seed != identity_.hash_seed) {
    return "another hash or hash_seed";
  }
  if (hello.topology != topology_.fingerprint()) {
    return "another topology: the list of nodes must be the same everywhere";
  }
  *node = topology_.find(hello.dc, hello.rack, hello.tokens);
  if (*node == kNoNode) return "a node that is not in the topology";
  if (*node == identity_.self) return "a node that says to be this one";
  if (hello.lanes == 0 || hello.lanes > kLanesMax) return "a number of lanes that cannot be";
  if (hello.incarnation == 0 || hello.incarnation < view_->nodes[*node].incarnation) {
    return std::string(kHasSuccessor);
  }
  return "";
}

void Lane::dialed(Now now, NodeIndex node) {
  OwnLink& link = own_links_.at(node);
  link.state = LinkState::kGreeting;
  link.again_us = now.mono_us + options_.handshake_us;
  link.decoder = std::make_unique<PeerDecoder>();
  Hello hello = own_hello(number_, 0);
  outbox_.to_nodes[node].clear();
  write_message(MessageKind::kHello, 0, hello, &outbox_.to_nodes[node]);
}

void Lane::dial_failed(Now now, NodeIndex node) {
  if (steward_ != nullptr) steward_->dial_failed(node);
  link_closed(now, node);
}

void Lane::link_closed(Now now, NodeIndex node) {
  OwnLink& link = own_links_.at(node);
  bool was_up = link.state == LinkState::kUp;
  link.state = LinkState::kIdle;
  link.again_us = now.mono_us + link.pause_us;
  link.pause_us = std::min(link.pause_us * 2, options_.dial_again_last_us);
  link.compresses = false;
  link.held.clear();
  if (!was_up) return;
  gateways_.link_down(node);
  if (StreamSender* sender = streams_.to(node)) sender->link_down();
  if (steward_ != nullptr) steward_->link_down(now, node);
  coordinator_.link_down(now, node);
}

void Lane::hang_up(Now now, NodeIndex node, std::string reason) {
  outbox_.hangups.push_back({node, std::move(reason)});
  link_closed(now, node);
}

size_t Lane::received(Now now, NodeIndex node, std::string_view bytes) {
  OwnLink& link = own_links_.at(node);
  std::string_view rest = bytes;
  PeerMessage message;
  bool waits = false;  // The first held message was tried in vain.
  while (link.state == LinkState::kGreeting || link.state == LinkState::kUp) {
    bool is_held = !link.held.empty() && !waits;
    again_ = false;
    if (is_held) {
      message = link.held.try_first(&again_);
    } else {
      if (link.held.is_full()) return bytes.size() - rest.size();
      PeerDecoder::Result result = link.decoder->next(&rest, &message);
      if (result == PeerDecoder::Result::kNeedMore) return bytes.size() - rest.size();
      if (result == PeerDecoder::Result::kBroken) {
        hang_up(now, node, link.decoder->error());
        continue;
      }
      if (waits && !HeldMessages::passes(message.kind)) {
        link.held.push(message, /*tried=*/false);
        continue;
      }
    }
    Handled handled = handle_own(now, node, link, message);
    if (link.state == LinkState::kIdle) break;
    if (handled == Handled::kBroken) {
      hang_up(now, node, "an unexpected " + std::string(kind_name(message.kind)));
    } else if (handled == Handled::kNotYet) {
      if (!is_held) link.held.push(message, /*tried=*/true);
      if (!again_) ++held_messages_;
      waits = true;
    } else if (is_held) {
      link.held.pop();
    }
  }
  return bytes.size();
}

bool Lane::is_held(NodeIndex node) const {
  auto found = own_links_.find(node);
  return found != own_links_.end() && !found->second.held.empty();
}

bool Lane::is_held_accepted(LinkId link) const {
  auto found = accepted_.find(link);
  return found != accepted_.end() && !found->second.held.empty();
}

size_t Lane::held_bytes() const {
  size_t bytes = 0;
  for (const auto& [node, link] : own_links_) bytes += link.held.bytes();
  for (const auto& [id, link] : accepted_) bytes += link.held.bytes();
  return bytes;
}

Handled Lane::handle_own(Now now, NodeIndex node, OwnLink& link, const PeerMessage& message) {
  if (link.state == LinkState::kGreeting) {
    return handle_welcome(now, node, link, message) ? Handled::kDone : Handled::kBroken;
  }
  if (steward_ != nullptr && Steward::is_answer(message.kind)) {
    return steward_->handle_answer(now, node, message);
  }
  switch (message.kind) {
    case MessageKind::kAck: {
      Ack ack;
      StreamSender* sender = streams_.to(node);
      if (sender == nullptr || !read_body(message.body, &ack)) return Handled::kBroken;
      StreamSender::Acknowledged acks = sender->acknowledge(ack);
      if (!acks.valid) return Handled::kBroken;
      coordinator_.handle_acknowledged(node, acks);
      return Handled::kDone;
    }
    case MessageKind::kClean:
      if (streams_.to(node) == nullptr) return Handled::kBroken;
      return take<Clean>(message,
                         [&](const Clean& clean) { streams_.to(node)->clean(clean.epoch); });
    case MessageKind::kReply: {
      ForwardReply reply;
      if (!read_body(message.body, &reply)) return Handled::kBroken;
      if (reply.outcome > static_cast<uint8_t>(Outcome::kElsewhere)) return Handled::kBroken;
      coordinator_.handle_reply(now, node, message.id, reply);
      return Handled::kDone;
    }
    case MessageKind::kCompareAnswer: {
      CompareAnswer answer;
      if (!read_body(message.body, &answer)) return Handled::kBroken;
      return coordinator_.handle_compare_answer(now, node, message.id, answer);
    }
    case MessageKind::kUnrelayed:
      return take<Unrelayed>(message, [&](const Unrelayed& unrelayed) {
        gateways_.refused(now, node, unrelayed.node);
      });
    case MessageKind::kHeld:
      return take<Held>(
          message, [&](const Held& held) { coordinator_.handle_held(node, message.id, held); });
    default:
      return (message.flags & kSkip) != 0 ? Handled::kDone : Handled::kBroken;
  }
}

bool Lane::handle_welcome(Now now, NodeIndex node, OwnLink& link, const PeerMessage& message) {
  if (message.kind == MessageKind::kRefusal) {
    Refusal refusal;
    bool good = read_body(message.body, &refusal);
    if (good && refusal.reason == kHasSuccessor) outbox_.notes.push_back(Superseded{node});
    hang_up(now, node, good ? "refused: " + std::string(refusal.reason) : "refused");
    return true;
  }
  Hello hello;
  if (message.kind != MessageKind::kWelcome || !read_body(message.body, &hello)) return false;
  NodeIndex who = kNoNode;
  std::string why = check_hello(hello, &who);
  if (why.empty() && who != node) why = "another node than the one dialed";
  StreamSender* sender = streams_.to(node);
  if (why.empty() && sender != nullptr && !sender->link_up(hello.next)) {
    why = "a stream position that was never reached";
  }
  if (!why.empty()) {
    hang_up(now, node, std::move(why));
    return true;
  }
  link.state = LinkState::kUp;
  link.pause_us = options_.dial_again_first_us;
  link.incarnation = hello.incarnation;
  outbox_.notes.push_back(PeerSeen{node, hello.incarnation, hello.lanes});
  coordinator_.link_up(node);
  gateways_.link_up(node, hello);
  link.compresses = options_.compresses_wan && is_far(node) && (hello.features & kRestores) != 0;
  link.decoder->allow_compressed();
  if (steward_ != nullptr) steward_->link_up(now, node, hello.features);
  return true;
}

void Lane::ran(Now now, uint64_t run, std::string reply, std::vector<Frame> frames) {
  coordinator_.ran(now, run, std::move(reply), std::move(frames));
}

void Lane::publish(std::vector<Frame> frames) {
  for (Frame& frame : frames) {
    streams_.publish(std::make_shared<const Frame>(std::move(frame)), nullptr);
  }
}

void Lane::handle_note(Now now, const Note& note) {
  if (const auto* changed = std::get_if<ViewChanged>(&note)) {
    view_ = changed->view;
    coordinator_.set_view(view_);
    gateways_.set_view(view_);
    // What an incarnation with a successor still has to say is not listened to.
    std::vector<LinkId> outdated;
    for (const auto& [id, link] : accepted_) {
      if (link.node != kNoNode && link.incarnation < view_->nodes[link.node].incarnation) {
        outdated.push_back(id);
      }
    }
    for (LinkId id : outdated) close(id, std::string(kHasSuccessor));
    for (auto& [node, link] : own_links_) {
      // Another lane has reached it: no need to wait for as long as it was away.
      if (link.state == LinkState::kIdle && view_->nodes[node].state != NodeState::kDown) {
        link.again_us = std::min(link.again_us, now.mono_us + options_.dial_again_first_us);
      }
      if (link.state == LinkState::kUp && link.incarnation < view_->nodes[node].incarnation) {
        hang_up(now, node, std::string(kHasSuccessor));
      }
    }
  } else if (const auto* clean = std::get_if<SlotsClean>(&note)) {
    auto found = inbound_.find({clean->node, clean->lane});
    if (found == inbound_.end() || found->second.incarnation != clean->incarnation ||
        !found->second.stream.cleaned(clean->epoch) || found->second.link == 0) {
      return;
    }
    Clean body{clean->epoch};
    write_message(MessageKind::kClean, 0, body, &outbox_.to_links[found->second.link]);
  }
}

void Lane::handle_timeout(Now now) {
  for (auto& [node, link] : own_links_) {
    if (link.state == LinkState::kIdle && now.mono_us >= link.again_us) {
      link.state = LinkState::kDialing;
      outbox_.dials.push_back(node);
    } else if (link.state == LinkState::kGreeting && now.mono_us >= link.again_us) {
      hang_up(now, node, "no welcome in time");
    }
  }
  if (now.mono_us >= next_mark_us_) {
    next_mark_us_ = now.mono_us + options_.mark_us;
    Stamp watermark = store_.watermark();
    outbox_.notes.push_back(MarkSeen{identity_.self, identity_.incarnation, number_, watermark, 0});
    for (auto& [node, sender] : streams_.all()) sender.set_mark(watermark, view_->published);
  }
  for (WanBudget& budget : budgets_) budget.refill(now);
  coordinator_.handle_timeout(now);
  gateways_.handle_timeout(now);
  if (steward_ != nullptr) steward_->handle_timeout(now);
}

int64_t Lane::next_timeout() const {
  int64_t next = std::min(coordinator_.next_timeout(), next_mark_us_);
  for (const auto& [node, link] : own_links_) {
    if (link.state == LinkState::kIdle || link.state == LinkState::kGreeting) {
      next = std::min(next, link.again_us);
    }
  }
  for (const WanBudget& budget : budgets_) next = std::min(next, budget.next_us());
  return steward_ != nullptr ? std::min(next, steward_->next_timeout()) : next;
}

// What streams have to say.
void Lane::fill_streams() {
  if (topology_.dcs().size() > 1) fill_far();
  for (auto& [node, sender] : streams_.all()) {
    if (!is_far(node) && sender.has_work()) sender.fill(&outbox_.to_nodes[node]);
  }
}

// Streams to a data center share what there is room for; the first of them is another one each
// time, so that none waits for ever.
void Lane::fill_far() {
  rooms_.clear();
  for (const WanBudget& budget : budgets_) rooms_.push_back(budget.room());
  std::vector<int64_t> before = rooms_;
  gateways_.fill(&outbox_.to_nodes, rooms_);
  std::vector<NodeIndex> nodes;
  for (auto& [node, sender] : streams_.all()) {
    if (is_far(node) && sender.has_work()) nodes.push_back(node);
  }
  size_t first = nodes.empty() ? 0 : far_turn_++ % nodes.size();
  for (size_t i = 0; i < nodes.size(); ++i) {
    NodeIndex node = nodes[(first + i) % nodes.size()];
    int64_t& room = rooms_[topology_.node(node).dc_index];
    if (room <= 0) ++wan_counts_.waits;
    if (room <= 0 || gateways_.carries(node)) continue;
    std::string& out = outbox_.to_nodes[node];
    size_t start = out.size();
    streams_.to(node)->fill(&out, static_cast<size_t>(room));
    room -= static_cast<int64_t>(out.size() - start);
  }
  for (size_t dc = 0; dc < rooms_.size(); ++dc) {
    parcels_[dc].streams += static_cast<size_t>(before[dc] - rooms_[dc]);
  }
}

// Makes what goes to other data centers smaller, and counts it.
void Lane::send_far() {
  for (auto& [node, bytes] : outbox_.to_nodes) pack(node, own_links_.at(node).compresses, &bytes);
  for (auto& [id, bytes] : outbox_.to_links) {
    auto link = accepted_.find(id);
    if (link == accepted_.end() || link->second.node == kNoNode) continue;
    pack(link->second.node, link->second.compresses, &bytes);
  }
  for (size_t dc = 0; dc < parcels_.size(); ++dc) {
    Parcel parcel = std::exchange(parcels_[dc], {});
    if (parcel.whole == 0) continue;
    wan_counts_.bytes_whole += parcel.whole;
    wan_counts_.bytes += parcel.packed;
    // Streams are not told from the rest once they are compressed: each has its share.
    double share = static_cast<double>(std::min(parcel.streams, parcel.whole)) /
                   static_cast<double>(parcel.whole);
    auto streams = static_cast<size_t>(static_cast<double>(parcel.packed) * share);
    budgets_[dc].spend(streams);
    budgets_[dc].take(parcel.packed - streams);
  }
}

void Lane::pack(NodeIndex node, bool compresses, std::string* bytes) {
  if (bytes->empty() || !is_far(node)) return;
  Parcel& parcel = parcels_[topology_.node(node).dc_index];
  parcel.whole += bytes->size();
  if (compresses && bytes->size() >= kCompressedFrom) compress_messages(&compression_, bytes);
  parcel.packed += bytes->size();
}

Outbox& Lane::drain() {
  fill_streams();
  for (auto& [key, inbound] : inbound_) {
    if (inbound.link == 0) continue;
    if (auto ack = inbound.stream.take_ack()) {
      write_message(MessageKind::kAck, 0, *ack, &outbox_.to_links[inbound.link]);
    }
  }
  if (steward_ != nullptr) take_from(steward_->outbox());
  std::erase_if(outbox_.to_nodes, [this](const auto& entry) {
    LinkState state = own_links_.at(entry.first).state;
    return state == LinkState::kIdle || state == LinkState::kDialing;
  });
  std::erase_if(outbox_.to_links, [this](const auto& entry) {
    bool closing =
        std::any_of(outbox_.closes.begin(), outbox_.closes.end(),
                    [&](const Outbox::Close& close) { return close.link == entry.first; });
    return !closing && !accepted_.contains(entry.first);
  });
  if (topology_.dcs().size() > 1) send_far();
  return outbox_;
}

void Lane::take_from(Outbox& other) {
  for (auto& [node, bytes] : other.to_nodes) outbox_.to_nodes[node] += bytes;
  for (auto& [link, bytes] : other.to_links) outbox_.to_links[link] += bytes;
  std::move(other.notes.begin(), other.notes.end(), std::back_inserter(outbox_.notes));
  other.clear();
}

size_t Lane::hint_bytes() {
  size_t bytes = 0;
  for (auto& [node, sender] : streams_.all()) bytes += sender.log_bytes();
  return bytes;
}

std::string Lane::describe() {
  std::string text;
  for (auto& [node, sender] : streams_.all()) {
    text += "to " + std::to_string(node) + " " + sender.describe() + "\n";
  }
  for (const auto& [key, inbound] : inbound_) {
    text += "from " + std::to_string(key.first) + " lane " + std::to_string(key.second) + " " +
            inbound.stream.describe() + "\n";
  }
  return text + coordinator_.describe();
}

}  // namespace dyno

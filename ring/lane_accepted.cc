// SPDX-License-Identifier: Apache-2.0
//
// A lane's links that other nodes have opened: who they are, the streams that come by them, and
// what is passed on for others. See lane.h.
#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "ring/lane.h"
#include "ring/planted_fault.h"
#include "ring/steward.h"

namespace dyno {
namespace {

// Frames that the store is told of before they are applied.
constexpr size_t kExpected = 16;
// Frames behind one that waits for the disk whose values are asked for with its own.
constexpr size_t kAskedAhead = 256;

}  // namespace

size_t Lane::accepted(Now now, LinkId id, std::string_view bytes) {
  AcceptedLink& link = accepted_[id];
  if (!link.decoder) link.decoder = std::make_unique<PeerDecoder>();
  std::string_view rest = bytes;
  PeerMessage message;
  bool waits = false;  // The first held message was tried in vain.
  while (true) {
    bool is_held = !link.held.empty() && !waits;
    again_ = false;
    if (is_held) {
      message = link.held.try_first(&again_);
    } else {
      if (link.held.is_full()) return bytes.size() - rest.size();
      PeerDecoder::Result result = link.decoder->next(&rest, &message);
      if (result == PeerDecoder::Result::kNeedMore) return bytes.size() - rest.size();
      if (result == PeerDecoder::Result::kBroken) {
        close(id, link.decoder->error());
        return bytes.size();
      }
      if (waits && !HeldMessages::passes(message.kind)) {
        link.held.push(message, /*tried=*/false);
        continue;
      }
    }
    not_yet_ = false;
    std::string why = handle_accepted(now, id, link, message);
    if (!why.empty()) {
      close(id, std::move(why));
      return bytes.size();
    }
    if (not_yet_) {
      if (!is_held) link.held.push(message, /*tried=*/true);
      if (!again_) ++held_messages_;
      waits = true;
    } else if (is_held) {
      link.held.pop();
    }
  }
}

void Lane::accepted_closed(LinkId id) {
  auto found = accepted_.find(id);
  if (found == accepted_.end()) return;
  Inbound* inbound = inbound_of(found->second);
  if (inbound != nullptr && inbound->link == id) inbound->link = 0;
  accepted_.erase(found);
}

void Lane::close(LinkId id, std::string reason) {
  accepted_closed(id);
  ++closed_links_;
  outbox_.closes.push_back({id, std::move(reason)});
}

Lane::Inbound* Lane::inbound_of(const AcceptedLink& link) {
  auto found = inbound_.find({link.node, link.lane});
  return found == inbound_.end() ? nullptr : &found->second;
}

// Why the link is to be closed, empty when it is not.
std::string Lane::handle_accepted(Now now, LinkId id, AcceptedLink& link,
                                  const PeerMessage& message) {
  if (link.node == kNoNode) return handle_hello(id, link, message);
  link.compresses = link.can_restore;
  std::string bad = "a broken " + std::string(kind_name(message.kind));
  auto result = [&](Handled handled) {
    not_yet_ = handled == Handled::kNotYet;
    return handled == Handled::kBroken ? bad : std::string();
  };
  if (steward_ != nullptr && Steward::is_question(message.kind)) {
    return result(steward_->handle_question(now, id, link.node, message));
  }
  bool good = false;
  switch (message.kind) {
    case MessageKind::kBatch:
      return handle_batch(now, link, message.body);
    case MessageKind::kRelay:
      return handle_relay(now, id, link, message.body);
    case MessageKind::kRelayed:
      return handle_relayed(now, link, message.body);
    case MessageKind::kReset:
      return handle_reset(link, message.body);
    case MessageKind::kForward: {
      Forward forward;
      good = read_body(message.body, &forward) &&
             forward.level <= static_cast<uint8_t>(Level::kDcEachSafeQuorum);
      if (good) coordinator_.handle_forward(now, id, message.id, forward);
      return good ? "" : bad;
    }
    case MessageKind::kCompare: {
      Compare compare;
      good = read_body(message.body, &compare);
      return result(good ? coordinator_.handle_compare(id, message.id, compare) : Handled::kBroken);
    }
    case MessageKind::kHold: {
      Hold hold;
      good = read_body(message.body, &hold);
      if (good) coordinator_.handle_hold(now, id, link.node, message.id, hold);
      return good ? "" : bad;
    }
    default:
      if ((message.flags & kSkip) != 0) return "";
      return "an unexpected " + std::string(kind_name(message.kind));
  }
}

std::string Lane::handle_hello(LinkId id, AcceptedLink& link, const PeerMessage& message) {
  Hello hello;
  if (message.kind != MessageKind::kHello || !read_body(message.body, &hello)) return "no hello";
  NodeIndex node = kNoNode;
  std::string why = check_hello(hello, &node);
  if (why.empty() && hello.lane >= hello.lanes) why = "a lane that it does not have";
  if (why.empty()) {
    auto known = inbound_.find({node, hello.lane});
    if (known != inbound_.end() && hello.incarnation < known->second.incarnation) {
      why = kHasSuccessor;
    }
  }
  if (!why.empty()) {
    Refusal refusal{why};
    write_message(MessageKind::kRefusal, message.id, refusal, &outbox_.to_links[id]);
    return "refused: " + why;
  }
  Inbound& inbound = inbound_[{node, hello.lane}];
  if (inbound.link != 0) close(inbound.link, "replaced by a newer link");
  if (inbound.incarnation != hello.incarnation) inbound = {hello.incarnation, {}, 0};
  inbound.link = id;
  link.node = node;
  link.incarnation = hello.incarnation;
  link.lane = hello.lane;
  link.can_restore = options_.compresses_wan && is_far(node) && (hello.features & kRestores) != 0;
  link.decoder->allow_compressed();
  Hello welcome = own_hello(hello.lane, inbound.stream.next());
  write_message(MessageKind::kWelcome, message.id, welcome, &outbox_.to_links[id]);
  outbox_.notes.push_back(PeerSeen{node, hello.incarnation, hello.lanes});
  return "";
}

std::string Lane::handle_batch(Now now, AcceptedLink& link, std::string_view body) {
  Batch batch;
  if (!read_body(body, &batch)) return "a broken batch";
  return apply_batch(now, link.node, link.lane, batch);
}

// The next few frames.
void Lane::expect(std::span<const StreamReceiver::NumberedFrame> frames) {
  std::array<std::string_view, kExpected> bytes;
  size_t count = std::min(frames.size(), bytes.size());
  for (size_t i = 0; i < count; ++i) bytes[i] = frames[i].frame.bytes;
  store_.expect(std::span(bytes).first(count));
}

// Once for each frame.
void Lane::ask_ahead(Inbound& inbound, std::span<const StreamReceiver::NumberedFrame> frames) {
  for (const auto& [number, frame] : frames.first(std::min(frames.size(), kAskedAhead))) {
    if (number > inbound.asked_ahead) store_.ask_ahead(frame.bytes);
    inbound.asked_ahead = std::max(inbound.asked_ahead, number);
  }
}

// Of a stream whose link is up: empty, or why that link is to be closed.
std::string Lane::apply_batch(Now now, NodeIndex origin, uint16_t lane, const Batch& batch) {
  Inbound& inbound = inbound_.at({origin, lane});
  StreamReceiver& stream = inbound.stream;
  std::vector<StreamReceiver::NumberedFrame> fresh = stream.receive(batch);
  for (size_t i = 0; i < fresh.size(); ++i) {
    if (i % kExpected == 0) expect(std::span(fresh).subspan(i));
    const auto& [number, frame] = fresh[i];
    Store::Applied applied = store_.apply(frame.bytes);
    if (applied.refusal == Store::Refusal::kTooEarly) return "a stamp of the far future";
    for (auto& [db, name] : applied.to_pull) {
      Token token = token_of(name, identity_.hash_seed);
      coordinator_.pull(now, origin, {{db, std::move(name), token}}, 0, 0);
    }
    if (applied.refusal == Store::Refusal::kNotYet && !is_planted(PlantedFault::kSkipsAway)) {
      ask_ahead(inbound, std::span(fresh).subspan(i + 1));
      not_yet_ = true;
      return "";
    }
    if (applied.refusal == Store::Refusal::kBroken) return "a frame that nobody may have written";
    stream.applied(number);
    if (applied.dominated != 0) stream.note_dominated(number, applied.dominated);
  }
  if (auto mark = stream.take_mark()) {
    outbox_.notes.push_back(
        MarkSeen{origin, inbound.incarnation, lane, mark->watermark, mark->published});
  }
  return "";
}

// Takes this node's part, and passes the others on, once.
std::string Lane::handle_relay(Now now, LinkId id, AcceptedLink& link, std::string_view body) {
  Relay relay;
  if (!read_body(body, &relay) || relay.targets.size() > Gateways::kTargetsMax) {
    return "a broken relay";
  }
  for (size_t i = 0; i < relay.targets.size(); ++i) {
    const RelayTarget& target = relay.targets[i];
    bool is_near = target.node < topology_.nodes().size() && target.node != link.node &&
                   topology_.node(target.node).dc_index == topology_.node(identity_.self).dc_index;
    if (!is_near) return "a relay to a node that is not of this data center";
    Batch batch{target.first, {}, target.has_mark, target.watermark, target.published};
    for (const RelayFrame& frame : relay.frames) {
      if ((frame.targets >> i & 1) != 0) batch.frames.push_back({frame.stamp, frame.bytes});
    }
    if (batch.frames.empty() && !batch.has_mark) continue;
    if (target.node == identity_.self) {
      std::string why = apply_batch(now, link.node, link.lane, batch);
      if (!why.empty()) return why;
    } else if (again_) {
      continue;
    } else if (is_linked(target.node)) {
      Relayed relayed{link.node, link.incarnation, link.lane, std::move(batch)};
      write_message(MessageKind::kRelayed, 0, relayed, &outbox_.to_nodes[target.node]);
    } else {
      Unrelayed unrelayed{target.node};
      write_message(MessageKind::kUnrelayed, 0, unrelayed, &outbox_.to_links[id]);
    }
  }
  return "";
}

// What does not belong to a stream that is here now is dropped: its sender finds out.
std::string Lane::handle_relayed(Now now, const AcceptedLink& link, std::string_view body) {
  Relayed relayed;
  if (!read_body(body, &relayed) || relayed.origin == link.node) return "a broken relayed";
  auto found = inbound_.find({relayed.origin, relayed.lane});
  if (found == inbound_.end() || found->second.incarnation != relayed.incarnation ||
      found->second.link == 0) {
    return "";
  }
  std::string why = apply_batch(now, relayed.origin, relayed.lane, relayed.batch);
  if (!why.empty()) close(found->second.link, std::move(why));
  return "";
}

std::string Lane::handle_reset(AcceptedLink& link, std::string_view body) {
  Reset reset;
  StreamReceiver& stream = inbound_of(link)->stream;
  if (!read_body(body, &reset) || !stream.reset(reset)) return "a reset that makes no sense";
  outbox_.notes.push_back(
      SlotsDirty{link.node, link.incarnation, link.lane, stream.epoch(), stream.dirty()});
  return "";
}

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
#include "src/lane_driver.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "src/ring_node.h"
#include "src/server.h"
#include "src/storage.h"
#include "src/written_frames.h"

namespace dyno {
namespace {

constexpr int64_t kConnectUs = 1000 * kMicrosPerMs;
constexpr int64_t kGreetingUs = 2000 * kMicrosPerMs;
constexpr int64_t kLookUs = 100 * kMicrosPerMs;
// A hello of a node with as many tokens as can be has far less.
constexpr size_t kHelloBytesMax = size_t{64} << 10;
constexpr size_t kGreetingsMax = 128;
// All slots are looked through for traces to forget in this many looks.
constexpr uint32_t kCollectLooks = 64;

}  // namespace

Now ring_now() {
  return {monotonic_us(), unix_time_ms()};
}

LaneDriver::LaneDriver(RingNode& node, NetworkThread& thread, EventLoop& loop, uint16_t number,
                       Steward* steward)
    : node_(node),
      thread_(thread),
      loop_(loop),
      number_(number),
      store_(node.replica(), node.topology(), node.self(), unix_time_ms),
      lane_(std::make_unique<Lane>(node.topology(), node.identity(), number, node.lane_options(),
                                   store_, node.leases(), steward)),
      gate_(node, thread, *lane_),
      runs_(node, thread, loop, *lane_, store_),
      dials_(node.topology().nodes().size()) {
  figures_.peers.resize(node.topology().nodes().size());
}

LaneDriver::~LaneDriver() = default;

void LaneDriver::greet(int fd) {
  loop_.post([this, fd] {
    auto link = std::make_unique<PeerLink>(loop_, fd, PeerLink::Role::kGreeting);
    link->since_us = monotonic_us();
    if (greeting_.size() >= kGreetingsMax) {
      ++closed_greetings_;
      return;
    }
    greeting_.push_back(std::move(link));
  });
}

void LaneDriver::adopt(int fd, std::string bytes) {
  loop_.post([this, fd, bytes = std::move(bytes)] {
    LinkId id = next_link_++;
    auto link = std::make_unique<PeerLink>(loop_, fd, PeerLink::Role::kAccepted);
    link->id = id;
    link->in.append(bytes);
    PeerLink& added = *link;
    accepted_[id] = std::move(link);
    take_accepted(added);
  });
}

void LaneDriver::tell(const Note& note) {
  loop_.post([this, note] {
    if (const auto* changed = std::get_if<ViewChanged>(&note)) view_ = changed->view;
    lane_->handle_note(ring_now(), note);
  });
}

LaneFigures LaneDriver::figures() const {
  std::lock_guard lock(mutex_);
  return figures_;
}

int64_t LaneDriver::sleep_ms() const {
  int64_t next_us = std::min(lane_->next_timeout(), next_look_us_);
  int64_t left_us = next_us - monotonic_us();
  return std::max<int64_t>((left_us + kMicrosPerMs - 1) / kMicrosPerMs, 0);
}

// --- Links --------------------------------------------------------------------------------------

void LaneDriver::on_ready(PeerLink& link, uint32_t events) {
  if (link.closed) return;
  if (link.connecting) return connected(link);
  if ((events & EPOLLOUT) != 0) send(link, {});
  if (link.closed || (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0) return;
  bool open = link.receive();
  read(link);
  if (!open && !link.closed) lost(link);
}

void LaneDriver::read(PeerLink& link) {
  switch (link.role) {
    case PeerLink::Role::kOwn:
      return take_own(link);
    case PeerLink::Role::kAccepted:
      return take_accepted(link);
    case PeerLink::Role::kGreeting:
      return read_greeting(link);
  }
}

void LaneDriver::take_own(PeerLink& link) {
  auto take = [&] {
    link.in.consume(lane_->received(ring_now(), link.node, link.in.view()));
    return !lane_->is_held(link.node);
  };
  if (!take()) {
    // The disk may have moved before it could know that somebody waits.
    thread_.await_disk();
    (void)take();
  }
  link.hold(lane_->is_held(link.node));
}

void LaneDriver::take_accepted(PeerLink& link) {
  auto take = [&] {
    link.in.consume(lane_->accepted(ring_now(), link.id, link.in.view()));
    return !lane_->is_held_accepted(link.id);
  };
  if (!take()) {
    thread_.await_disk();
    (void)take();
  }
  link.hold(lane_->is_held_accepted(link.id));
}

void LaneDriver::disk_moved() {
  runs_.disk_moved();
  for (auto& [node, link] : own_links_) {
    if (lane_->is_held(node)) take_own(*link);
  }
  for (auto& [id, link] : accepted_) {
    if (lane_->is_held_accepted(id)) take_accepted(*link);
  }
}

void LaneDriver::read_greeting(PeerLink& link) {
  auto lane = hello_lane(link.in.view());
  if (!lane) {
    if (link.in.size() > kHelloBytesMax) lost(link);
    return;
  }
  std::string bytes(link.in.view());
  int fd = link.release();
  drop(link);
  node_.lane_of(*lane).adopt(fd, std::move(bytes));
}

// The connection is over.
void LaneDriver::lost(PeerLink& link) {
  switch (link.role) {
    case PeerLink::Role::kOwn:
      note_trouble(link.node, "the link is lost");
      lane_->link_closed(ring_now(), link.node);
      break;
    case PeerLink::Role::kAccepted:
      lane_->accepted_closed(link.id);
      break;
    case PeerLink::Role::kGreeting:
      ++closed_greetings_;
      break;
  }
  drop(link);
}

// The lane knows, or need not know. The link is freed when nothing of this wake-up can refer to it.
void LaneDriver::drop(PeerLink& link) {
  if (link.closed) return;
  link.closed = true;
  link.leave_loop();
  auto take = [this](std::unique_ptr<PeerLink>& from) { closed_.push_back(std::move(from)); };
  switch (link.role) {
    case PeerLink::Role::kOwn: {
      auto found = own_links_.find(link.node);
      take(found->second);
      own_links_.erase(found);
      break;
    }
    case PeerLink::Role::kAccepted: {
      auto found = accepted_.find(link.id);
      take(found->second);
      accepted_.erase(found);
      break;
    }
    case PeerLink::Role::kGreeting: {
      auto found = std::find_if(greeting_.begin(), greeting_.end(),
                                [&](const auto& each) { return each.get() == &link; });
      take(*found);
      greeting_.erase(found);
      break;
    }
  }
}

void LaneDriver::send(PeerLink& link, std::string_view bytes) {
  if (!link.send(bytes)) lost(link);
}

void LaneDriver::note_trouble(NodeIndex node, const std::string& why) {
  std::string& last = troubles_[node];
  if (last == why) return;
  last = why;
  const Topology::Node& peer = node_.topology().node(node);
  node_.server().log().write(LogLevel::kVerbose, "no link to a node",
                             {{"node", peer.host + ":" + std::to_string(peer.port)},
                              {"thread", std::to_string(number_)},
                              {"reason", why}});
}

void LaneDriver::dial(NodeIndex node) {
  const Topology::Node& peer = node_.topology().node(node);
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (::getaddrinfo(peer.host.c_str(), std::to_string(peer.port).c_str(), &hints, &found) == 0) {
    connect(node, found->ai_addr, found->ai_addrlen);
    ::freeaddrinfo(found);
    return;
  }
  node_.resolve(
      peer.host, peer.port,
      [this, node](std::string error, std::vector<sockaddr_storage> addresses) {
        loop_.post([this, node, error = std::move(error), addresses = std::move(addresses)] {
          if (addresses.empty()) return dial_failed(node, error);
          // Another one each time: some of them may not answer.
          const sockaddr_storage& each = addresses[dials_[node] % addresses.size()];
          connect(node, reinterpret_cast<const sockaddr*>(&each), sizeof each);
        });
      });
}

void LaneDriver::connect(NodeIndex node, const sockaddr* address, socklen_t size) {
  ++dials_[node];
  if (address->sa_family == AF_INET) size = sizeof(sockaddr_in);
  if (address->sa_family == AF_INET6) size = sizeof(sockaddr_in6);
  int fd = ::socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return dial_failed(node, std::strerror(errno));
  int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (::connect(fd, address, size) != 0 && errno != EINPROGRESS) {
    std::string why = std::strerror(errno);
    ::close(fd);
    return dial_failed(node, why);
  }
  auto link = std::make_unique<PeerLink>(loop_, fd, PeerLink::Role::kOwn);
  link->node = node;
  link->connecting = true;
  link->since_us = monotonic_us();
  PeerLink& added = *link;
  own_links_[node] = std::move(link);
  send(added, {});  // Watches for the end of the attempt.
}

void LaneDriver::dial_failed(NodeIndex node, const std::string& why) {
  note_trouble(node, why);
  lane_->dial_failed(ring_now(), node);
}

void LaneDriver::connected(PeerLink& link) {
  int error = link.finish_connecting();
  if (error == 0) return lane_->dialed(ring_now(), link.node);
  NodeIndex node = link.node;
  drop(link);
  dial_failed(node, std::strerror(error));
}

void LaneDriver::hang_up(NodeIndex node, const std::string& reason) {
  note_trouble(node, reason);
  auto found = own_links_.find(node);
  if (found != own_links_.end()) drop(*found->second);
}

void LaneDriver::close_link(LinkId id, const std::string& reason) {
  node_.server().log().write(LogLevel::kVerbose, "closing a link of another node",
                             {{"reason", reason}});
  auto found = accepted_.find(id);
  if (found != accepted_.end()) drop(*found->second);
}

// --- The lane's wishes --------------------------------------------------------------------------

void LaneDriver::publish_written() {
  if (!WrittenFrames::empty()) lane_->publish(WrittenFrames::take());
}

void LaneDriver::publish(std::vector<Frame> frames) {
  lane_->publish(std::move(frames));
}

void LaneDriver::turn() {
  while (true) {
    publish_written();
    Now now = ring_now();
    if (now.mono_us >= lane_->next_timeout()) lane_->handle_timeout(now);
    std::swap(box_, lane_->drain());
    if (box_.empty()) break;
    act(box_);
    box_.clear();
  }
  gate_.flush_answered();
  int64_t now_us = monotonic_us();
  runs_.time_out(unix_time_ms());
  if (now_us >= next_look_us_) look_around(now_us);
  closed_.clear();
}

void LaneDriver::act(Outbox& box) {
  for (auto& [node, reason] : box.hangups) hang_up(node, reason);
  for (auto& [node, bytes] : box.to_nodes) {
    if (bytes.empty()) continue;
    auto found = own_links_.find(node);
    if (found != own_links_.end()) send(*found->second, bytes);
  }
  for (auto& [id, bytes] : box.to_links) {
    if (bytes.empty()) continue;
    auto found = accepted_.find(id);
    if (found != accepted_.end()) send(*found->second, bytes);
  }
  for (const Outbox::Close& close : box.closes) close_link(close.link, close.reason);
  for (NodeIndex node : box.dials) dial(node);
  for (Outbox::Run& run : box.runs) {
    publish_written();
    runs_.run(run);
  }
  for (Outbox::Answer& answer : box.answers) gate_.answer(answer);
  for (const Note& note : box.notes) node_.deliver(note);
}

void LaneDriver::look_around(int64_t now_us) {
  next_look_us_ = now_us + kLookUs;
  std::vector<PeerLink*> late;
  for (auto& [node, link] : own_links_) {
    if (link->connecting && now_us - link->since_us > kConnectUs) late.push_back(link.get());
  }
  for (auto& link : greeting_) {
    if (now_us - link->since_us > kGreetingUs) late.push_back(link.get());
  }
  for (PeerLink* link : late) {
    bool dialing = link->role == PeerLink::Role::kOwn;
    NodeIndex node = link->node;
    if (dialing) {
      drop(*link);
      dial_failed(node, "no connection in time");
    } else {
      lost(*link);
    }
  }
  if (number_ == 0) node_.publish_steward();
  collect_some();
  publish_written();
  LaneFigures figures;
  figures.counts = lane_->coordinator().counts();
  figures.gateways = lane_->gateway_counts();
  figures.wan = lane_->wan_counts();
  figures.unanswered = lane_->coordinator().unanswered();
  figures.pending_bytes = static_cast<uint64_t>(gate_.pending_bytes());
  figures.closed_links = lane_->closed_links() + closed_greetings_;
  figures.blocked_runs = runs_.blocked();
  figures.parked_runs = runs_.parked();
  figures.held_messages = lane_->held_messages();
  figures.held_bytes = lane_->held_bytes();
  figures.peers.resize(node_.topology().nodes().size());
  for (auto& [node, sender] : lane_->streams().all()) {
    figures.peers[node] = {sender.last() - sender.acked(), sender.log_bytes(),
                           sender.dirty().size(), false};
  }
  for (NodeIndex node = 0; node < figures.peers.size(); ++node) {
    figures.peers[node].linked = lane_->is_linked(node);
  }
  std::lock_guard lock(mutex_);
  figures_ = std::move(figures);
}

// Forgets the traces of what every replica knows to be gone, in this thread's share of the slots.
void LaneDriver::collect_some() {
  if (!view_ || view_->horizon == 0) return;
  if (Storage* storage = node_.server().storage()) {
    // What the disk has missed is written anew from memory, traces too.
    if (storage->log().is_failing()) return;
    storage->set_horizon(view_->horizon);
  }
  uint32_t lanes = node_.identity().lanes;
  uint32_t count = kSlotCount / lanes / kCollectLooks + 1;
  for (uint32_t i = 0; i < count; ++i) {
    uint32_t slot = next_collected_ * lanes + number_;
    if (slot >= kSlotCount) {
      next_collected_ = 0;
      return;
    }
    ++next_collected_;
    node_.replica().collect(static_cast<SlotIndex>(slot), view_->horizon, unix_time_ms());
  }
}

}  // namespace dyno

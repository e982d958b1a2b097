// SPDX-License-Identifier: Apache-2.0
//
// Links as TCP has them: bytes of a connection arrive in order or not at all; a partition holds
// them back until it heals, unless the connection breaks; the ends of a broken connection hear of
// it at different times, so that an old one may still deliver when a newer one does.
#include <algorithm>

#include "tests/simulator/world.h"

namespace dyno::simulator {

int64_t World::delay_between(NodeIndex a, NodeIndex b) {
  int64_t delay_us = conditions_.delay_us_min;
  // Most messages are quick, a few are not.
  if (network_random_.percent(30)) {
    delay_us += network_random_.below(conditions_.delay_us_spread + 1);
  }
  bool far = topology_.node(a).dc_index != topology_.node(b).dc_index;
  return far ? delay_us + conditions_.wan_delay_us : delay_us;
}

void World::dial(NodeIndex node, uint16_t lane, NodeIndex peer) {
  int64_t delay_us = 2 * delay_between(node, peer);
  bool cut = is_blocked(node, peer) || is_blocked(peer, node);
  on(node, cut ? kSecond : delay_us, [this, node, lane, peer] {
    bool reached = processes_[peer].up && !is_blocked(node, peer) && !is_blocked(peer, node);
    Lane& dialer = *processes_[node].lanes[lane];
    if (!reached) {
      dialer.dial_failed(now_of(node), peer);
    } else {
      uint64_t id = next_connection_++;
      Connection connection;
      connection.from = node;
      connection.to = peer;
      connection.lane = lane;
      connection.from_life = processes_[node].life;
      connection.to_life = processes_[peer].life;
      connections_[id] = std::move(connection);
      processes_[node].links[lane][peer] = id;
      upset();
      dialer.dialed(now_of(node), peer);
    }
    settle(node, lane);
  });
}

void World::send(uint64_t id, bool there, std::string bytes) {
  auto found = connections_.find(id);
  if (found == connections_.end() || bytes.empty()) return;
  Connection& connection = found->second;
  trace(6 + id, bytes.size());
  if (!calm_ && network_random_.below(1'000'000) < conditions_.reset_per_million) {
    probe("fault: connection broken");
    carry(id, there, std::move(bytes));
    return break_link(id);
  }
  Pipe& pipe = there ? connection.there : connection.back;
  NodeIndex from = there ? connection.from : connection.to;
  NodeIndex to = there ? connection.to : connection.from;
  if (pipe.clogged || is_blocked(from, to) || !pipe.held.empty()) {
    pipe.held += bytes;
    return;
  }
  carry(id, there, std::move(bytes));
}

void World::carry(uint64_t id, bool there, std::string bytes) {
  Connection& connection = connections_.at(id);
  Pipe& pipe = there ? connection.there : connection.back;
  NodeIndex to = there ? connection.to : connection.from;
  int64_t arrival_us = now_us_ + delay_between(connection.from, connection.to);
  if (bytes.size() > 1 && network_random_.percent(10)) {
    // What is sent at once need not arrive at once.
    auto cut = static_cast<size_t>(network_random_.between(1, static_cast<int64_t>(bytes.size())));
    pipe.last_us = std::max(pipe.last_us, arrival_us);
    on(to, pipe.last_us - now_us_,
       [this, id, there, part = bytes.substr(0, cut)] { deliver(id, there, part); });
    bytes.erase(0, cut);
    arrival_us += network_random_.below(2 * kMs);
  }
  pipe.last_us = std::max(pipe.last_us, arrival_us);
  on(to, pipe.last_us - now_us_,
     [this, id, there, bytes = std::move(bytes)] { deliver(id, there, bytes); });
}

void World::deliver(uint64_t id, bool there, const std::string& bytes) {
  auto found = connections_.find(id);
  if (found == connections_.end()) return;
  Connection& connection = found->second;
  Pipe& pipe = there ? connection.there : connection.back;
  NodeIndex to = there ? connection.to : connection.from;
  Process& process = processes_[to];
  if (!pipe.open || process.life != (there ? connection.to_life : connection.from_life)) return;
  process.engine->set_time(now_of(to).unix_ms);
  pipe.arrived += bytes;
  if (!there) {
    size_t used = process.lanes[connection.lane]->received(
        now_of(to), connection.from == to ? connection.to : connection.from, pipe.arrived);
    pipe.arrived.erase(0, used);
    return settle(to, connection.lane);
  }
  if (connection.to_lane < 0) {
    auto lane = hello_lane(pipe.arrived);
    if (!lane) return;
    connection.to_lane = static_cast<int>(*lane % process.lanes.size());
  }
  auto lane = static_cast<uint16_t>(connection.to_lane);
  size_t used = process.lanes[lane]->accepted(now_of(to), id, pipe.arrived);
  pipe.arrived.erase(0, used);
  settle(to, lane);
}

// Both ends hear of it, each in its own time; what is on its way still arrives.
void World::break_link(uint64_t id) {
  auto found = connections_.find(id);
  if (found == connections_.end()) return;
  Connection& connection = found->second;
  connection.there.held.clear();
  connection.back.held.clear();
  hear_close(id, false);
  hear_close(id, true);
}

// One end closes; the other hears of it.
void World::close_end(uint64_t id, bool at_acceptor) {
  auto found = connections_.find(id);
  if (found == connections_.end()) return;
  (at_acceptor ? found->second.there : found->second.back).open = false;
  hear_close(id, !at_acceptor);
}

void World::hear_close(uint64_t id, bool at_acceptor) {
  upset();
  Connection& connection = connections_.at(id);
  note("", "link " + std::to_string(id) + " from " + std::to_string(connection.from) + " to " +
               std::to_string(connection.to) + " closes");
  NodeIndex node = at_acceptor ? connection.to : connection.from;
  Pipe& pipe = at_acceptor ? connection.there : connection.back;
  pipe.last_us = std::max(pipe.last_us, now_us_ + delay_between(connection.from, connection.to));
  on(node, pipe.last_us - now_us_, [this, id, at_acceptor, node] {
    Connection& closed = connections_.at(id);
    Pipe& heard = at_acceptor ? closed.there : closed.back;
    Process& process = processes_[node];
    bool mine = process.life == (at_acceptor ? closed.to_life : closed.from_life);
    if (!heard.open || !mine) return;
    heard.open = false;
    if (at_acceptor) {
      if (closed.to_lane < 0) return;
      auto lane = static_cast<uint16_t>(closed.to_lane);
      process.lanes[lane]->accepted_closed(id);
      return settle(node, lane);
    }
    auto link = process.links[closed.lane].find(closed.to);
    if (link == process.links[closed.lane].end() || link->second != id) return;
    process.links[closed.lane].erase(link);
    // From now on it sends elsewhere.
    upset();
    process.lanes[closed.lane]->link_closed(now_of(node), closed.to);
    settle(node, closed.lane);
  });
}

// What is sent one way over a connection waits for a while, and nothing else does.
void World::clog(uint64_t id, bool there, int64_t for_us) {
  Connection& connection = connections_.at(id);
  (there ? connection.there : connection.back).clogged = true;
  at(for_us, [this, id, there] { unclog(id, there); });
}

void World::unclog(uint64_t id, bool there) {
  Connection& connection = connections_.at(id);
  Pipe& pipe = there ? connection.there : connection.back;
  pipe.clogged = false;
  NodeIndex from = there ? connection.from : connection.to;
  NodeIndex to = there ? connection.to : connection.from;
  if (!is_blocked(from, to) && !pipe.held.empty()) carry(id, there, std::exchange(pipe.held, {}));
}

void World::set_blocked(NodeIndex a, NodeIndex b, bool blocked) {
  upset();
  if (blocked) {
    blocked_.insert({a, b});
    return;
  }
  if (blocked_.erase({a, b}) == 0) return;
  note("", "joined: " + std::to_string(a) + ">" + std::to_string(b));
  std::vector<uint64_t> ids;
  for (const auto& [id, connection] : connections_) {
    auto waits = [](const Pipe& pipe) { return !pipe.clogged && !pipe.held.empty(); };
    bool there = connection.from == a && connection.to == b && waits(connection.there);
    bool back = connection.from == b && connection.to == a && waits(connection.back);
    if (there || back) ids.push_back(id);
  }
  for (uint64_t id : ids) {
    if (network_random_.percent(30)) {
      probe("fault: connection broken when a partition healed");
      break_link(id);
      continue;
    }
    Connection& connection = connections_.at(id);
    bool there = connection.from == a;
    Pipe& pipe = there ? connection.there : connection.back;
    carry(id, there, std::exchange(pipe.held, {}));
  }
}

}  // namespace dyno::simulator

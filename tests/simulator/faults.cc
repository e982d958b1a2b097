// SPDX-License-Identifier: Apache-2.0
//
// What breaks, and when. A quorum survives one fault at a time in a data center: a crash loses a
// whole memory, so that until the node is filled again nothing else may break. Seeds with unsafe
// crashes ignore that, and are not held to what quorums promised before.
#include <algorithm>

#include "tests/simulator/world.h"

namespace dyno::simulator {

bool World::is_whole() const {
  if (!blocked_.empty()) return false;
  for (const Process& process : processes_) {
    if (!process.up || process.paused) return false;
    for (const View::NodeView& seen : process.steward->view()->nodes) {
      if (seen.state != NodeState::kNormal) return false;
    }
  }
  return true;
}

void World::upset() {
  ++upsets_;
  upset_us_ = now_us_;
}

bool World::sees_all_well(NodeIndex node) const {
  const Process& process = processes_[node];
  if (!process.steward->view()->nodes[node].may_write()) return false;
  for (NodeIndex peer : topology_.node(node).sharers) {
    if (topology_.node(peer).dc_index != topology_.node(node).dc_index) continue;
    if (!process.steward->view()->nodes[peer].may_write()) return false;
    for (const auto& lane : process.lanes) {
      if (!lane->is_linked(peer)) return false;
    }
  }
  return true;
}

uint64_t World::health() {
  // For views to be told to all lanes.
  constexpr int64_t kTellUs = 10 * kMs;
  if (healthy_ == upsets_) return healthy_;
  if (now_us_ - upset_us_ < kTellUs || !is_whole()) return 0;
  for (NodeIndex node = 0; node < processes_.size(); ++node) {
    for (const auto& lane : processes_[node].lanes) {
      for (NodeIndex peer = 0; peer < processes_.size(); ++peer) {
        if (peer != node && !lane->is_linked(peer)) return 0;
      }
    }
  }
  return healthy_ = upsets_;
}

void World::next_fault() {
  if (calm_) return;
  at(fault_random_.between(conditions_.fault_every_us / 4, conditions_.fault_every_us * 2),
     [this] { next_fault(); });
  bool recovering = std::any_of(processes_.begin(), processes_.end(), [](const Process& process) {
    return !process.up || process.steward->own_state() == NodeState::kLoading;
  });
  if (recovering) {
    if (!conditions_.unsafe_crashes) return;
    void_before_us_ = now_us_;
  }
  const Conditions& c = conditions_;
  int64_t sum =
      c.partition_percent + c.pause_percent + c.crash_percent + c.clock_percent + c.clog_percent;
  int64_t dice = fault_random_.below(std::max<int64_t>(sum, 100));
  if ((dice -= conditions_.partition_percent) < 0) return make_partition();
  if ((dice -= conditions_.pause_percent) < 0) return make_pause();
  if ((dice -= conditions_.crash_percent) < 0) return make_crash();
  if ((dice -= conditions_.clock_percent) < 0) return make_clock_fault();
  if ((dice -= conditions_.clog_percent) < 0) return make_clog();
}

void World::make_partition() {
  auto count = static_cast<int64_t>(processes_.size());
  if (count < 2) return;
  std::set<std::pair<NodeIndex, NodeIndex>> cut;
  auto apart = [&](auto is_inside) {
    for (NodeIndex a = 0; a < count; ++a) {
      for (NodeIndex b = 0; b < count; ++b) {
        if (is_inside(a) && !is_inside(b)) cut.insert({a, b});
      }
    }
  };
  auto chosen = static_cast<NodeIndex>(fault_random_.below(count));
  const Topology::Node& like = topology_.node(chosen);
  uint64_t sides = fault_random_.next();
  switch (fault_random_.below(5)) {
    case 0:
      probe("fault: node cut off");
      apart([&](NodeIndex node) { return node == chosen; });
      break;
    case 1:
      probe("fault: ring split");
      apart([&](NodeIndex node) { return (sides >> node % 64 & 1) != 0; });
      break;
    case 2:
      probe("fault: rack cut off");
      apart([&](NodeIndex node) { return topology_.node(node).rack_number == like.rack_number; });
      break;
    case 3:
      probe("fault: data center cut off");
      apart([&](NodeIndex node) { return topology_.node(node).dc_index == like.dc_index; });
      break;
    default: {
      auto other = static_cast<NodeIndex>(fault_random_.below(count));
      if (other != chosen) cut.insert({chosen, other});
      probe("fault: one link cut");
    }
  }
  bool one_way = fault_random_.percent(30);
  if (one_way) probe("fault: one way only");
  std::vector<std::pair<NodeIndex, NodeIndex>> pairs;
  for (auto [a, b] : cut) {
    pairs.push_back({a, b});
    if (!one_way) pairs.push_back({b, a});
  }
  for (auto [a, b] : pairs) set_blocked(a, b, true);
  std::string text = "cut:";
  for (auto [a, b] : pairs) text += " " + std::to_string(a) + ">" + std::to_string(b);
  note("", text);
  trace(7, pairs.size());
  int64_t for_us = fault_random_.percent(80) ? fault_random_.between(100, 4000) * kMs
                                             : fault_random_.between(4, 20) * kSecond;
  at(for_us, [this, pairs] {
    for (auto [a, b] : pairs) set_blocked(a, b, false);
  });
}

void World::make_pause() {
  auto node = static_cast<NodeIndex>(fault_random_.below(static_cast<int64_t>(processes_.size())));
  if (!processes_[node].up || processes_[node].paused) return;
  probe("fault: process stopped for a while");
  pause(node, fault_random_.percent(70) ? fault_random_.between(10, 2000) * kMs
                                        : fault_random_.between(2, 12) * kSecond);
}

void World::make_crash() {
  crash_one(static_cast<NodeIndex>(fault_random_.below(std::ssize(processes_))));
}

void World::crash_one(NodeIndex node) {
  if (!processes_[node].up) return;
  bool has_twin = topology_.dcs()[topology_.node(node).dc_index].racks.size() > 1;
  if (!is_whole() || !has_twin) {
    if (!conditions_.unsafe_crashes) return;
    void_before_us_ = now_us_;
  }
  probe("fault: process lost its memory");
  crash(node);
  if (conditions_.has_disks) damage_disk(node);
  last_disturbed_us_ = now_us_;
  at(fault_random_.between(10, fault_random_.percent(70) ? 500 : 10'000) * kMs, [this, node] {
    if (processes_[node].up) return;
    start(node);
    if (fault_random_.percent(conditions_.clog_percent)) slow_refill(node);
  });
}

void World::damage_disk(NodeIndex node) {
  Process& process = processes_[node];
  int64_t dice = disk_random_.below(100);
  if (dice < 40) {
    note("", "the process ended, its disk is there");
    process.disk.end_process();
  } else if (dice < 70) {
    probe("fault: power lost");
    note("", "its machine lost power");
    auto unsynced = static_cast<int64_t>(process.disk.unsynced());
    process.disk.lose_power(static_cast<size_t>(disk_random_.below(unsynced + 1)));
  } else if (dice < 85) {
    probe("fault: disk replaced by an older copy");
    note("", "it starts on an older copy of its disk");
    process.disk = process.copy;
  } else {
    probe("fault: disk lost");
    note("", "its disk is lost too");
    process.disk.erase();
  }
}

// One of the peers that fill its memory is slower than the others.
void World::slow_refill(NodeIndex node) {
  auto peer = static_cast<NodeIndex>(fault_random_.below(std::ssize(processes_)));
  if (peer == node) return;
  int64_t for_us = fault_random_.between(100, 500) * kMs;
  at(fault_random_.between(5, 150) * kMs, [this, node, peer, for_us] {
    for (const auto& [id, connection] : connections_) {
      bool is_open = connection.there.open && connection.back.open;
      if (!is_open || connection.from != node || connection.to != peer) continue;
      if (!connection.back.clogged) clog(id, false, for_us);
    }
  });
}

// Some of the connections of a node are slow one way. Then, sometimes, it dies with what they hold.
void World::make_clog() {
  auto node = static_cast<NodeIndex>(fault_random_.below(std::ssize(processes_)));
  std::vector<std::pair<uint64_t, bool>> chosen;
  bool outward = fault_random_.percent(50);
  for (const auto& [id, connection] : connections_) {
    bool is_open = connection.there.open && connection.back.open;
    bool there = (connection.from == node) == outward;
    const Pipe& pipe = there ? connection.there : connection.back;
    if (!is_open || pipe.clogged || (connection.from != node && connection.to != node)) continue;
    if (fault_random_.percent(40)) chosen.emplace_back(id, there);
  }
  if (chosen.empty()) return;
  probe("fault: connections slow one way");
  trace(13, chosen.size());
  note("", "slow one way: connections of node " + std::to_string(node));
  // Some as long as an answer may take, and more.
  int64_t longest_us = fault_random_.percent(50) ? kSecond : 8 * kSecond / conditions_.hurry;
  for (auto [id, there] : chosen) {
    clog(id, there, fault_random_.between(20 * kMs, std::max(longest_us, 2 * kSecond)));
  }
  if (!fault_random_.percent(conditions_.crash_percent)) return;
  at(fault_random_.between(20, 400) * kMs, [this, node] {
    if (!calm_ && !processes_[node].paused) crash_one(node);
  });
}

void World::make_clock_fault() {
  auto node = static_cast<NodeIndex>(fault_random_.below(static_cast<int64_t>(processes_.size())));
  probe("fault: clock set");
  trace(8, node);
  note("", "the clock of node " + std::to_string(node) + " is set");
  processes_[node].wall_offset_ms = fault_random_.between(-2000, 2000);
  upset();
  at(fault_random_.between(200, 8000) * kMs,
     [this, node] { processes_[node].wall_offset_ms = fault_random_.between(-40, 40); });
}

void World::heal() {
  calm_ = true;
  trace(9, 0);
  std::vector<std::pair<NodeIndex, NodeIndex>> pairs(blocked_.begin(), blocked_.end());
  for (auto [a, b] : pairs) set_blocked(a, b, false);
  for (NodeIndex node = 0; node < processes_.size(); ++node) {
    processes_[node].wall_offset_ms = fault_random_.between(-40, 40);
    if (!processes_[node].up) start(node);
  }
}

}  // namespace dyno::simulator

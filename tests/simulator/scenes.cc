// SPDX-License-Identifier: Apache-2.0
//
// Scenes: conditions under which few things go wrong, but those that chance alone brings together
// too rarely, again and again while clients are at work.
#include <algorithm>

#include "tests/simulator/world.h"

namespace dyno::simulator {

void World::set_scene() {
  Conditions& c = conditions_;
  churn_ = true;
  c.fault_every_us = c.reset_per_million = c.clog_percent = 0;
  c.crash_percent = 0;
  c.unsafe_crashes = false;
  c.delay_us_spread = 500;
  c.log_bytes_max = size_t{1} << 20;
  c.op_every_us = random_.between(2, 3) * kMs;
  c.load_us = random_.between(12, 20) * kSecond;
  c.keys = static_cast<int>(random_.between(2, 4));
  if (scene_ == Scene::kLostWithMemory) {
    c.lanes = 1;
    c.burst_us = 0;
    c.hurry = 10;
    // So many that what was lost is neither written nor read again at once.
    c.keys = static_cast<int>(random_.between(40, 120));
  } else if (scene_ == Scene::kSlowRemovals) {
    c.lanes = 3;
    c.burst_us = 0;
    c.hurry = 10;
    c.op_every_us = 20 * kMs;
  } else if (scene_ == Scene::kOldDisk) {
    c.lanes = 1;
    c.hurry = 10;
    c.keys = static_cast<int>(random_.between(10, 40));
    c.has_disks = true;
    c.syncs_known = true;
    c.sync_every_us = 100 * kMs;
  } else {
    c.lanes = 3;
    c.burst_us = 3 * kSecond;
    c.hurry = random_.percent(80) ? 10 : 1;
    c.patience_us = 1800 * kMs;
  }
}

void World::play_scene() {
  if (calm_ || scene_ == Scene::kNone) return;
  at(scene_ == Scene::kSlowRemovals ? kSecond : 3 * kSecond, [this] { play_scene(); });
  auto first = static_cast<NodeIndex>(fault_random_.below(std::ssize(processes_)));
  auto step = static_cast<NodeIndex>(1 + fault_random_.below(std::ssize(processes_) - 1));
  auto second = static_cast<NodeIndex>((first + step) % processes_.size());
  if (scene_ == Scene::kLostWithMemory) return lose_with_memory(first, second);
  if (scene_ == Scene::kOldDisk) return start_on_old_disk(first);
  if (scene_ == Scene::kSlowRemovals) return slow_removals(first, second);
  late_answers(first, second);
  // What was asked for while clients were at work comes when they rest.
  at(fault_random_.between(200, 900) * kMs, [this, first, second] {
    probe("scene: answers come late");
    slow_way(second, first, fault_random_.between(700, 1800) * kMs, false);
  });
}

// What a node wrote last reaches one of its peers, not the other, and the one that it reached is
// slow to tell when the node comes back.
void World::lose_with_memory(NodeIndex node, NodeIndex unaware) {
  slow_way(node, unaware, 600 * kMs, true);
  at(fault_random_.between(40, 150) * kMs, [this, node, unaware] {
    if (calm_ || !is_whole()) return;
    probe("scene: writes lost with their memory");
    crash(node);
    last_disturbed_us_ = now_us_;
    int64_t back_us = fault_random_.between(10, 50) * kMs;
    at(back_us, [this, node, unaware] {
      start(node);
      slow_aware(node, unaware);
    });
  });
}

// What `writer` adds by one lane comes late to a third node, and what `remover` removes by one of
// its lanes comes late to both of them. Their other lanes, by which is read, are as quick as ever.
void World::slow_removals(NodeIndex remover, NodeIndex writer) {
  probe("scene: removals come late");
  auto adds = static_cast<uint16_t>(fault_random_.below(conditions_.lanes));
  auto removes = static_cast<uint16_t>(fault_random_.below(conditions_.lanes));
  for (const auto& [id, connection] : connections_) {
    if (!connection.there.open || !connection.back.open || connection.there.clogged) continue;
    bool tells = connection.from == writer && connection.to != remover && connection.lane == adds;
    bool untells = connection.from == remover && connection.lane == removes;
    if (tells || untells) clog(id, true, 900 * kMs);
  }
  auto third = static_cast<NodeIndex>(processes_.size() - remover - writer);
  int reads = (removes + 1) % conditions_.lanes;
  say(20 * kMs, writer, adds, "SADD");
  say(60 * kMs, remover, removes, "SREM");
  for (int64_t i = 0; i < 4; ++i) {
    say((100 + 10 * i) * kMs, remover, reads, nullptr);
    say((200 + 10 * i) * kMs, third, -1, nullptr);
  }
}

// What `writer` adds reaches `asker` by an answer to a read alone, and that answer comes when all
// have removed and forgotten it. Heartbeats have a connection of their own.
void World::late_answers(NodeIndex asker, NodeIndex writer) {
  auto adds = static_cast<uint16_t>(1 + fault_random_.below(conditions_.lanes - 1));
  auto asks = static_cast<uint16_t>(1 + fault_random_.below(conditions_.lanes - 1));
  int64_t late_us = fault_random_.between(1200, 1700) * kMs;
  for (const auto& [id, connection] : connections_) {
    if (!connection.there.open || !connection.back.open) continue;
    bool tells = connection.from == writer && connection.to == asker && connection.lane == adds;
    if (tells && !connection.there.clogged) clog(id, true, 150 * kMs);
    bool is_asked = connection.from == asker && connection.lane == asks;
    if (is_asked && !connection.back.clogged) clog(id, false, late_us);
  }
  say(20 * kMs, writer, adds, "SADD");
  say(80 * kMs, asker, asks, nullptr);
  say(250 * kMs, static_cast<NodeIndex>(processes_.size() - asker - writer), -1, "SREM");
}

// A node is started on a copy of its disk, after others have forgotten what was removed since.
void World::start_on_old_disk(NodeIndex node) {
  Process& process = processes_[node];
  process.copy = process.disk;
  process.copy.end_process();
  at(fault_random_.between(1000, 2200) * kMs, [this, node] {
    if (calm_ || !is_whole()) return;
    probe("scene: started on an old copy of its disk");
    crash(node);
    last_disturbed_us_ = now_us_;
    processes_[node].disk = processes_[node].copy;
    start(node);
  });
}

// Once the node that came back has heard of those that it is to pull from, or it would not begin to
// serve without them, all but one are slow to tell.
void World::slow_aware(NodeIndex node, NodeIndex unaware) {
  const Process& process = processes_[node];
  if (calm_ || !process.up || process.steward->own_state() != NodeState::kLoading) return;
  const View& view = *process.steward->view();
  bool has_heard = std::all_of(view.nodes.begin(), view.nodes.end(),
                               [](const auto& seen) { return seen.state != NodeState::kDown; });
  if (!has_heard) {
    at(kMs, [this, node, unaware] { slow_aware(node, unaware); });
    return;
  }
  for (NodeIndex peer = 0; peer < processes_.size(); ++peer) {
    if (peer != node && peer != unaware) slow_way(peer, node, 600 * kMs, true);
  }
}

// Connections that one node dialed to the other, and with `both` those the other way, carry nothing
// from `from` to `to` for a while; without, heartbeats have a connection of their own.
void World::slow_way(NodeIndex from, NodeIndex to, int64_t for_us, bool both) {
  for (const auto& [id, connection] : connections_) {
    if (!connection.there.open || !connection.back.open) continue;
    bool answers = connection.from == to && connection.to == from;
    bool asks = connection.from == from && connection.to == to;
    if (!(both ? answers || asks : answers && connection.lane != 0)) continue;
    const Pipe& pipe = asks ? connection.there : connection.back;
    if (!pipe.clogged) clog(id, asks, for_us);
  }
}

}  // namespace dyno::simulator

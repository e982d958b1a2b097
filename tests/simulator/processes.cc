// SPDX-License-Identifier: Apache-2.0
//
// The processes of a world: how they start and end, what their machines ask to be done, and what
// they do beside the ring.
#include <algorithm>
#include <utility>
#include <variant>

#include "protocol/check.h"
#include "ring/planted_fault.h"
#include "tests/simulator/world.h"

namespace dyno::simulator {

void World::start(NodeIndex node) {
  Process& process = processes_[node];
  process.up = true;
  process.paused = false;
  ++process.life;
  if (process.incarnation == 0 || !is_planted(PlantedFault::kSameIncarnation)) {
    ++process.incarnation;
  }
  trace(1, node);
  note("", "node " + std::to_string(node) + " starts");
  process.states.clear();
  upset();
  make_engine(node);
  make_machines(node);
  for (int lane = 0; lane < conditions_.lanes; ++lane) {
    process.lanes[static_cast<size_t>(lane)]->handle_timeout(now_of(node));
    settle(node, static_cast<uint16_t>(lane));
  }
}

// The process' data, as far as its disk has it.
void World::make_engine(NodeIndex node) {
  Process& process = processes_[node];
  process.engine = std::make_unique<NodeEngine>(topology_, node, process.incarnation,
                                                now_of(node).unix_ms, used_);
  if (engine_fault != nullptr) process.engine->faults().*engine_fault = true;
  if (conditions_.has_disks) {
    process.disk.use(conditions_.syncs_known);
    process.engine->use(process.disk);
    write_disk(node);
  }
  if (conditions_.cold_percent > 0) {
    process.engine->spill();
    cool(node);
  }
  NodeEngine::Listener listener;
  listener.restamped = [this, node](const Frame& old, const Frame& anew) {
    note_restamped(node, old, anew);
  };
  listener.dropped = [this, node](Stamp limit) {
    probe("old data dropped");
    note("",
         "node " + std::to_string(node) + " drops what is not later than " + std::to_string(limit));
  };
  if (verbose_) {
    listener.applied = [this, node](std::string_view frames, bool is_state) {
      note_frame(node, is_state ? "pulled" : "was told", frames);
    };
  }
  for (int i = 0; i <= conditions_.lanes; ++i) {
    process.stores.push_back(process.engine->make_store(listener));
  }
}

void World::make_machines(NodeIndex node) {
  Process& process = processes_[node];
  StateAge age;
  age.answer_max_us /= conditions_.hurry;
  age.kept_us /= conditions_.hurry;
  StewardOptions steward;
  steward.lanes = static_cast<uint16_t>(conditions_.lanes);
  steward.anti_entropy.age = age;
  steward.anti_entropy.wan_bytes_per_second = conditions_.wan_rate;
  // Each looks at all slots, which is most of what a seed costs.
  if (conditions_.hurry > 1) steward.anti_entropy.background_us = 3 * kSecond;
  process.leases = std::make_unique<Leases>(topology_, node, now_of(node).mono_us);
  process.steward = std::make_unique<Steward>(topology_, node, process.incarnation, steward,
                                              *process.stores.front(), *process.leases);
  if (!process.disk.is_empty()) {
    probe("process came back with its disk");
    process.steward->begin(process.disk.known(), process.disk.horizon());
  }
  LaneOptions options;
  options.coordinator.age = age;
  options.coordinator.hash_seed = NodeEngine::kHashSeed;
  options.stream.log_bytes_max = conditions_.log_bytes_max;
  options.stream.window_bytes_max = 4096;
  options.stream.batch_bytes_max = 1024;
  options.compresses_wan = conditions_.compresses;
  options.wan_bytes_per_second = conditions_.wan_rate;
  Identity identity{"simulated", NodeEngine::kHashSeed, node, process.incarnation,
                    static_cast<uint16_t>(conditions_.lanes)};
  for (int lane = 0; lane < conditions_.lanes; ++lane) {
    process.lanes.push_back(
        std::make_unique<Lane>(topology_, identity, static_cast<uint16_t>(lane), options,
                               *process.stores[static_cast<size_t>(lane) + 1], *process.leases,
                               lane == 0 ? process.steward.get() : nullptr));
  }
  process.links.assign(static_cast<size_t>(conditions_.lanes), {});
  process.timer_us.assign(static_cast<size_t>(conditions_.lanes), -1);
}

void World::crash(NodeIndex node) {
  Process& process = processes_[node];
  trace(2, node);
  note("", "node " + std::to_string(node) + " loses its memory");
  upset();
  lost_memory_ = true;
  collect_probes(process);
  for (auto& [id, op] : ledger_.ops) {
    if (op.node == node && op.ended_us < 0) op.ended_us = now_us_;
  }
  std::vector<uint64_t> cut;
  for (const auto& [id, connection] : connections_) {
    if (!connection.there.open && !connection.back.open) continue;
    if (connection.from == node || connection.to == node) cut.push_back(id);
  }
  ++process.life;
  process.up = false;
  process.paused = false;
  process.backlog.clear();
  process.parked.clear();
  process.lanes.clear();
  process.steward.reset();
  process.stores.clear();
  graveyard_.push_back(std::move(process.engine));
  for (uint64_t id : cut) break_link(id);
}

void World::pause(NodeIndex node, int64_t for_us) {
  Process& process = processes_[node];
  process.paused = true;
  upset();
  trace(3, node);
  note("", "node " + std::to_string(node) + " stops for " + std::to_string(for_us / kMs) + " ms");
  uint64_t life = process.life;
  at(for_us, [this, node, life] {
    Process& resumed = processes_[node];
    if (resumed.life != life) return;
    resumed.paused = false;
    upset();
    for (auto& act : std::exchange(resumed.backlog, {})) {
      if (resumed.life != life) return;
      act();
    }
  });
}

// What src/write_log.h does: it gathers for a moment, writes, and syncs when that is due.
void World::write_disk(NodeIndex node) {
  constexpr int64_t kGatherUs = 5 * kMs;
  Process& process = processes_[node];
  process.disk.hand_over(process.engine->clock());
  int64_t every_us = conditions_.sync_every_us;
  if (now_us_ / kGatherUs % std::max<int64_t>(every_us / kGatherUs, 1) == 0) process.disk.sync();
  on(node, kGatherUs, [this, node] { write_disk(node); });
}

void World::copy_disk() {
  auto node = static_cast<NodeIndex>(disk_random_.below(std::ssize(processes_)));
  processes_[node].copy = processes_[node].disk;
  processes_[node].copy.end_process();
  at(disk_random_.between(500, 4000) * kMs, [this] { copy_disk(); });
}

// Does what a lane wants done, until it wants nothing more.
void World::settle(NodeIndex node, uint16_t lane) {
  Process& process = processes_[node];
  uint64_t life = process.life;
  while (process.life == life) {
    process.engine->set_time(now_of(node).unix_ms);
    Outbox box = std::exchange(process.lanes[lane]->drain(), {});
    if (box.empty()) break;
    for (auto& [peer, reason] : box.hangups) {
      trace(4, peer);
      probe("hangup: " + reason.substr(0, reason.find(':')));
      auto found = process.links[lane].find(peer);
      if (found == process.links[lane].end()) continue;
      close_end(found->second, false);
      process.links[lane].erase(peer);
    }
    for (NodeIndex peer : box.dials) dial(node, lane, peer);
    for (auto& [peer, bytes] : box.to_nodes) {
      if (bytes.empty()) continue;
      auto found = process.links[lane].find(peer);
      if (found != process.links[lane].end()) send(found->second, true, std::move(bytes));
    }
    for (auto& [link, bytes] : box.to_links) {
      if (!bytes.empty()) send(link, false, std::move(bytes));
    }
    for (const Outbox::Close& close : box.closes) {
      probe("closed: " + close.reason.substr(0, close.reason.find(':')));
      close_end(close.link, true);
    }
    for (const Note& note : box.notes) route(node, note);
    for (const Outbox::Answer& answer : box.answers) {
      answered(answer.request, answer.outcome, answer.bytes);
    }
    for (const Outbox::Run& run : box.runs) {
      if (network_random_.percent(80)) {
        run_command(node, lane, run);
      } else {
        on(node, network_random_.below(3 * kMs), [this, node, lane, run] {
          run_command(node, lane, run);
          settle(node, lane);
        });
      }
    }
  }
  if (process.life != life) return;
  fetch(node);
  arm(node, lane);
}

// Some values leave memory; now and then that is full.
void World::cool(NodeIndex node) {
  Process& process = processes_[node];
  ColdValues& cold = *process.engine->cold();
  for (const auto& [family, key] : keys_) {
    if (!cold_random_.percent(conditions_.cold_percent) || !cold.chill(key)) continue;
    probe("value left memory");
    note(key, "node " + std::to_string(node) + " has its value on disk");
  }
  if (cold_random_.percent(5)) {
    probe("memory was full");
    cold.set_full(true);
    on(node, cold_random_.below(100 * kMs), [this, node] {
      processes_[node].engine->cold()->set_full(false);
      disk_moved(node);
    });
  }
  on(node, cold_random_.between(5, 300) * kMs, [this, node] { cool(node); });
}

// What the machines and commands of a process have asked for comes, sooner or later.
void World::fetch(NodeIndex node) {
  ColdValues* cold = processes_[node].engine->cold();
  if (cold == nullptr) return;
  for (ColdValues::Name& name : cold->take_wanted()) {
    int64_t delay_us =
        cold_random_.percent(95) ? cold_random_.between(50, 3000) : cold_random_.below(800 * kMs);
    on(node, delay_us, [this, node, name = std::move(name)] {
      processes_[node].engine->cold()->bring_back(name);
      disk_moved(node);
    });
  }
}

void World::disk_moved(NodeIndex node) {
  Process& process = processes_[node];
  uint64_t life = process.life;
  for (auto& run : std::exchange(process.parked, {})) {
    if (process.life == life) run();
  }
  std::vector<std::pair<uint64_t, bool>> held;
  for (const auto& [id, connection] : connections_) {
    bool mine = connection.to == node && connection.to_life == life && connection.to_lane >= 0;
    if (mine && process.lanes[static_cast<size_t>(connection.to_lane)]->is_held_accepted(id)) {
      held.emplace_back(id, true);
    }
    mine = connection.from == node && connection.from_life == life;
    if (mine && process.lanes[connection.lane]->is_held(connection.to))
      held.emplace_back(id, false);
  }
  for (const auto& [id, there] : held) {
    if (process.life == life) deliver(id, there, {});
  }
}

void World::run_command(NodeIndex node, uint16_t lane, const Outbox::Run& run) {
  std::vector<Frame> frames;
  Process& process = processes_[node];
  auto reply = run_op(node, std::stoull(run.context), run.command, &frames);
  if (reply) {
    process.lanes[lane]->ran(now_of(node), run.run, std::move(*reply), std::move(frames));
  } else {
    process.parked.push_back([this, node, lane, run] {
      run_command(node, lane, run);
      settle(node, lane);
    });
  }
}

std::optional<std::string> World::run_op(NodeIndex node, uint64_t id, const std::string& command,
                                         std::vector<Frame>* frames) {
  Process& process = processes_[node];
  process.engine->set_time(now_of(node).unix_ms);
  Op& op = ledger_.ops.at(id);
  if (!op.write || !op.must_see.empty()) op.unseen[node] = unseen(node, op);
  op.saw_amiss |= op.write && op.level != Level::kDcOne && !sees_all_well(node);
  std::optional<std::string> reply = process.engine->run(command);
  *frames = process.engine->take_written();
  if (!reply) {
    DYNO_CHECK(frames->empty());
    probe("command waited for values");
    fetch(node);
    return reply;
  }
  note(op.keys.front(),
       "node " + std::to_string(node) + " runs request " + std::to_string(id) + ": " + *reply);
  for (const Frame& frame : *frames) {
    note_frame(node, "wrote", frame.bytes);
    ledger_.add({id, node, process.incarnation, frame.bytes, op.amount});
  }
  if (!op.write && is_safe(op.level)) {
    for (const std::string& key : op.keys) op.shown[key] = process.engine->held(key);
  }
  return reply;
}

void World::note_restamped(NodeIndex node, const Frame& old, const Frame& anew) {
  for (size_t i = ledger_.frames.size(); i-- > 0;) {
    WrittenFrame& frame = ledger_.frames[i];
    if (frame.bytes != old.bytes) continue;
    frame.replaced = true;
    note_frame(node, "stamped anew", anew.bytes);
    uint64_t op = frame.op;
    return ledger_.add({op, node, processes_[node].incarnation, anew.bytes});
  }
  DYNO_CHECK(false);
}

void World::arm(NodeIndex node, uint16_t lane) {
  Process& process = processes_[node];
  int64_t wanted_us = process.lanes[lane]->next_timeout();
  int64_t& timer_us = process.timer_us[lane];
  // A timer that fires too early is harmless; one that fires late is not.
  if (wanted_us == kNever || (timer_us >= 0 && timer_us <= wanted_us)) return;
  timer_us = wanted_us;
  int64_t delay_us = std::max<int64_t>(wanted_us - now_of(node).mono_us, 10);
  on(node, delay_us, [this, node, lane] {
    Process& fired = processes_[node];
    fired.timer_us[lane] = -1;
    fired.engine->set_time(now_of(node).unix_ms);
    trace(5, node);
    fired.lanes[lane]->handle_timeout(now_of(node));
    settle(node, lane);
  });
}

void World::route(NodeIndex node, const Note& note) {
  constexpr int64_t kNoteDelayUs = 40;
  Process& process = processes_[node];
  if (std::holds_alternative<ViewChanged>(note)) {
    tend(node, *std::get<ViewChanged>(note).view);
    for (uint16_t lane = 0; lane < process.lanes.size(); ++lane) {
      on(node, kNoteDelayUs, [this, node, lane, note] {
        processes_[node].lanes[lane]->handle_note(now_of(node), note);
        settle(node, lane);
      });
    }
  } else if (const auto* clean = std::get_if<SlotsClean>(&note)) {
    auto lane = static_cast<uint16_t>(clean->lane % process.lanes.size());
    probe("slots pulled that a stream had skipped");
    this->note("", "node " + std::to_string(node) + " pulled what stream " +
                       std::to_string(clean->lane) + " of node " + std::to_string(clean->node) +
                       " had skipped");
    on(node, kNoteDelayUs, [this, node, lane, note] {
      processes_[node].lanes[lane]->handle_note(now_of(node), note);
      settle(node, lane);
    });
  } else {
    if (const auto* dirty = std::get_if<SlotsDirty>(&note)) {
      this->note("", "node " + std::to_string(node) + " hears that stream " +
                         std::to_string(dirty->lane) + " of node " + std::to_string(dirty->node) +
                         " skipped " + std::to_string(dirty->slots.size()) + " slots");
    }
    on(node, kNoteDelayUs, [this, node, note] {
      processes_[node].steward->handle_note(note);
      settle(node, 0);
    });
  }
}

// What the process does beside the ring: it forgets and expires, a part of its slots at a time.
void World::tend(NodeIndex node, const View& view) {
  Process& process = processes_[node];
  horizon_ = std::max(horizon_, view.horizon);
  for (SlotIndex slot : slots_) {
    if (network_random_.percent(50)) process.engine->collect(slot, view.horizon);
  }
  process.lanes.front()->publish(process.engine->take_written());
  bool has_timed = std::any_of(keys_.begin(), keys_.end(),
                               [](const auto& key) { return key.first == Family::kTimed; });
  if (has_timed && network_random_.percent(20)) {
    process.engine->expire(slots_);
    process.lanes.front()->publish(process.engine->take_written());
  }
  std::vector<NodeState> states;
  for (const View::NodeView& seen : view.nodes) states.push_back(seen.state);
  if (states != process.states) upset();
  process.states = std::move(states);
}

void World::collect_probes(const Process& process) {
  for (const auto& lane : process.lanes) {
    const CoordinatorCounts& counts = lane->coordinator().counts();
    probe("request forwarded", counts.forwarded);
    probe("request failed over", counts.failed_over);
    probe("read compared", counts.compared);
    probe("write compared first", counts.writes_compared);
    probe("write for another origin", counts.stood_in);
    probe("read merged a state", counts.states_merged);
    probe("read was overtaken", counts.asked_whole);
    probe("read found a rack behind", counts.racks_behind);
    probe("write stamped anew", counts.restamped);
    probe("request refused", counts.refused);
    probe("request of unknown outcome", counts.unknown);
    probe("message waited for values", lane->held_messages());
    const GatewayCounts& gateways = lane->gateway_counts();
    probe("frame sent to a gateway", gateways.frames);
    probe("copies that it stood for", gateways.copies);
    probe("gateway left", gateways.left);
  }
  if (!process.steward) return;
  const AntiEntropyCounts& counts = process.steward->anti_entropy().counts();
  probe("pull ended", counts.pulls);
  probe("pull given up", counts.aborted);
  probe("slot differed", counts.slots_differed);
  probe("key pulled", counts.keys_pulled);
  probe("late answer dropped", counts.late_answers);
}

}  // namespace dyno::simulator

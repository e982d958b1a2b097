// SPDX-License-Identifier: Apache-2.0
//
// INFO ring: what this node knows of the others, what waits for them, and what replicas disagreed
// on.
#include "src/info_section.h"
#include "src/ring_node.h"

namespace dyno {
namespace {

// Writes that lost, by the type of their key.
void add_conflicts(Replica& replica, Section* s) {
  Replica::Counts& counts = replica.counts();
  int64_t conflicts = counts.type_conflicts.load();
  for (const auto& count : counts.conflicts) conflicts += count.load();
  s->add("ring_conflicts", conflicts);
  for (size_t type = 0; type < counts.conflicts.size(); ++type) {
    std::string name("ring_conflicts_");
    s->add(name.append(type_name(static_cast<Type>(type))), counts.conflicts[type].load());
  }
  s->add("ring_conflicts_type", counts.type_conflicts.load());
}

}  // namespace

void add_ring(RingNode& ring, std::string* text) {
  Section s(text, "Ring");
  const Topology& topology = ring.topology();
  const Topology::Node& own = topology.node(ring.self());
  SharedView view = ring.view();
  LaneFigures figures = ring.figures();
  int64_t nodes_up = 0;
  int64_t nodes_normal = 0;
  for (const View::NodeView& node : view->nodes) {
    nodes_up += node.state != NodeState::kDown;
    nodes_normal += node.state == NodeState::kNormal;
  }
  uint64_t frames = 0;
  uint64_t bytes = 0;
  uint64_t slots = 0;
  for (const LaneFigures::Peer& peer : figures.peers) {
    frames += peer.unacked_frames;
    bytes += peer.unacked_bytes;
    slots += peer.dirty_slots;
  }
  auto add = [&s](std::string_view name, uint64_t value) {
    s.add(name, static_cast<int64_t>(value));
  };
  s.add("ring_state", node_state_name(view->nodes[ring.self()].state));
  s.add("ring_cluster", ring.identity().cluster);
  s.add("ring_dc", own.dc);
  s.add("ring_rack", own.rack);
  add("ring_incarnation", ring.identity().incarnation);
  add("ring_nodes", topology.nodes().size());
  s.add("ring_nodes_up", nodes_up);
  s.add("ring_nodes_normal", nodes_normal);
  add("ring_racks", topology.racks().size());
  add("ring_data_centers", topology.dcs().size());
  add("ring_hint_writes", frames);
  add("ring_hint_bytes", bytes);
  add("ring_hint_slots", slots);
  add("ring_requests_waiting", figures.unanswered);
  add("ring_pending_bytes", figures.pending_bytes);
  add("ring_requests_forwarded", figures.counts.forwarded);
  add("ring_requests_failed_over", figures.counts.failed_over);
  add("ring_requests_refused", figures.counts.refused);
  add("ring_requests_unknown", figures.counts.unknown);
  add("ring_reads_compared", figures.counts.compared);
  add("ring_writes_compared", figures.counts.writes_compared);
  add("ring_writes_stood_in", figures.counts.stood_in);
  add("ring_read_repairs", figures.counts.states_merged + figures.counts.racks_behind);
  add("ring_writes_restamped", figures.counts.restamped);
  add("ring_gateway_writes", figures.gateways.frames);
  add("ring_gateway_copies", figures.gateways.copies);
  add("ring_gateways_left", figures.gateways.left);
  add("ring_wan_bytes", figures.wan.bytes);
  add("ring_wan_bytes_uncompressed", figures.wan.bytes_whole);
  add("ring_wan_waits", figures.wan.waits);
  add("ring_links_missing", figures.missing_links);
  add("ring_links_closed", figures.closed_links);
  add("ring_blocked_here_for_others", figures.blocked_runs);
  add("ring_requests_await_disk", figures.parked_runs);
  add("ring_messages_awaited_disk", figures.held_messages);
  add("ring_messages_held_bytes", figures.held_bytes);
  add_conflicts(ring.replica(), &s);
  add("ring_old_data_dropped", ring.drops());
  Replica::Counts& counts = ring.replica().counts();
  s.add("ring_tombstones", counts.tombstones.load());
  s.add("ring_facts_applied", counts.applied_facts.load());
}

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
#include "tests/simulator/world.h"

#include <algorithm>

#include "protocol/check.h"

namespace dyno::simulator {
namespace {

// 2026-01-01, so that clocks may be set back.
constexpr int64_t kStartUnixMs = 1767225600000;

}  // namespace

std::string Conditions::describe() const {
  auto number = [](int64_t value) { return std::to_string(value); };
  return "delay " + number(delay_us_min) + "+" + number(delay_us_spread) + " us, wan " +
         number(wan_delay_us) + " us, resets " + number(reset_per_million) + "/M, partitions " +
         number(partition_percent) + " pauses " + number(pause_percent) + " crashes " +
         number(crash_percent) + (unsafe_crashes ? " (any time)" : "") + " clocks " +
         number(clock_percent) + " slow " + number(clog_percent) + ", a fault every " +
         number(fault_every_us / kMs) + " ms, a request every " + number(op_every_us) + " us for " +
         number(load_us / kSecond) + " s, " + number(lanes) + " lanes, " + number(keys) +
         " keys, hurry " + number(hurry) + ", log " + number(static_cast<int64_t>(log_bytes_max)) +
         " bytes, wan rate " + number(wan_rate) + (compresses ? " compressed" : "") +
         (has_disks ? ", disks synced every " + number(sync_every_us / kMs) + " ms" : "") +
         (syncs_known ? ", what is known too" : "") +
         (cold_percent > 0 ? ", values on disk " + number(cold_percent) + " %" : "");
}

World::World(uint64_t seed, bool verbose)
    : seed_(seed),
      verbose_(verbose),
      random_(seed),
      network_random_(random_.fork()),
      fault_random_(random_.fork()),
      op_random_(random_.fork()),
      disk_random_(~seed),
      cold_random_(seed ^ 0xc01d) {
  draw_conditions();
  build_topology();
  draw_keys();
}

World::~World() = default;

void World::draw_conditions() {
  Conditions& c = conditions_;
  // Each class is off in about a third of the seeds, so that others show by themselves.
  auto sometimes = [this](int64_t value) { return random_.percent(70) ? value : 0; };
  c.delay_us_min = random_.between(50, 2000);
  c.delay_us_spread = random_.percent(50) ? random_.between(100, 50 * kMs) : 500;
  c.wan_delay_us = random_.between(1, 100) * kMs;
  c.reset_per_million = sometimes(random_.between(100, 5000));
  c.partition_percent = sometimes(40);
  c.pause_percent = sometimes(20);
  c.crash_percent = sometimes(30);
  c.clock_percent = sometimes(10);
  c.clog_percent = sometimes(20);
  c.unsafe_crashes = random_.percent(30);
  c.fault_every_us = sometimes(random_.between(300, 4000) * kMs);
  c.op_every_us = random_.between(2 * kMs, 40 * kMs);
  c.load_us = random_.between(10, 30) * kSecond;
  c.lanes = static_cast<int>(random_.between(1, 3));
  c.keys = static_cast<int>(random_.between(2, 40));
  c.hurry = random_.percent(85) ? 10 : 1;
  c.log_bytes_max =
      random_.percent(30) ? static_cast<size_t>(random_.between(500, 5000)) : size_t{1} << 20;
  c.wan_rate = random_.percent(40) ? random_.between(3000, 40'000) : 0;
  c.compresses = random_.percent(70);
  if (random_.percent(10)) {
    scene_ = random_.percent(50) ? Scene::kLostWithMemory : Scene::kLateAnswers;
  }
  if (scene_ == Scene::kNone && disk_random_.percent(10)) {
    scene_ = disk_random_.percent(50) ? Scene::kOldDisk : Scene::kSlowRemovals;
  }
  if (staged != Scene::kNone) scene_ = staged;
  if (scene_ != Scene::kNone) return set_scene();
  c.cold_percent = cold_random_.percent(40) ? cold_random_.between(10, 100) : 0;
  c.has_disks = disk_random_.percent(40);
  c.sync_every_us = disk_random_.percent(40) ? 0 : disk_random_.between(100, 5000) * kMs;
  c.syncs_known = disk_random_.percent(60);
  churn_ = random_.percent(50);
  if (!churn_) return;
  c.keys = static_cast<int>(random_.between(1, 4));
  c.hurry = 10;
  c.op_every_us = random_.between(2, 10) * kMs;
  c.fault_every_us = random_.between(200, 1500) * kMs;
  c.partition_percent = random_.between(20, 50);
  c.pause_percent = random_.between(0, 30);
  c.crash_percent = random_.between(0, 40);
  c.clog_percent = random_.between(0, 60);
  c.load_us = random_.between(10, 25) * kSecond;
  if (random_.percent(50)) c.burst_us = random_.between(1000, 4000) * kMs;
}

void World::build_topology() {
  std::vector<NodeSpec> specs;
  int64_t dcs = churn_ || random_.percent(40) ? 1 : random_.percent(75) ? 2 : random_.between(3, 4);
  for (int64_t dc = 0; dc < dcs; ++dc) {
    // A ring of one rack has no replicas and nothing to agree about.
    int64_t racks = (random_.percent(70) && dcs < 3) || scene_ != Scene::kNone
                        ? 3
                        : random_.between(dcs == 1 ? 2 : 1, 3);
    for (int64_t rack = 0; rack < racks; ++rack) {
      int64_t nodes = churn_ || random_.percent(50) ? 1 : random_.between(1, dcs > 1 ? 2 : 4);
      for (int64_t node = 0; node < nodes; ++node) {
        auto port = static_cast<uint16_t>(1000 + specs.size());
        specs.push_back({"dc" + std::to_string(dc),
                         "r" + std::to_string(rack),
                         {static_cast<Token>(random_.next())},
                         "host",
                         port});
      }
    }
  }
  DYNO_CHECK(Topology::make(specs, &topology_).empty());
  processes_.resize(topology_.nodes().size());
  // Large rings are many links already.
  if (processes_.size() > 6) conditions_.lanes = 1;
  for (Process& process : processes_) {
    process.drift_ppm = random_.between(-200, 200);
    process.wall_offset_ms = random_.between(-40, 40);
  }
}

void World::at(int64_t delay_us, std::function<void()> act) {
  events_.push_back({now_us_ + std::max<int64_t>(delay_us, 0), next_event_++, std::move(act)});
  std::push_heap(events_.begin(), events_.end(), Later());
}

// As at(), but for one life of a process: later when it is paused, never when it died.
void World::on(NodeIndex node, int64_t delay_us, std::function<void()> act) {
  uint64_t life = processes_[node].life;
  at(delay_us, [this, node, life, act = std::move(act)]() mutable {
    Process& process = processes_[node];
    if (process.life != life) return;
    if (process.paused) {
      process.backlog.push_back(std::move(act));
    } else {
      act();
    }
  });
}

void World::step() {
  std::pop_heap(events_.begin(), events_.end(), Later());
  Event event = std::move(events_.back());
  events_.pop_back();
  now_us_ = event.at_us;
  event.act();
}

void World::run_until(int64_t until_us) {
  while (!events_.empty() && events_.front().at_us <= until_us && failures_.empty()) step();
  now_us_ = std::max(now_us_, until_us);
}

Now World::now_of(NodeIndex node) const {
  const Process& process = processes_[node];
  int64_t local_us = now_us_ + now_us_ * process.drift_ppm / 1'000'000 + kSecond;
  return {local_us, kStartUnixMs + local_us / kMs + process.wall_offset_ms};
}

void World::trace(uint64_t a, uint64_t b) {
  uint64_t words[4] = {trace_hash_, static_cast<uint64_t>(now_us_), a, b};
  for (uint64_t word : words) {
    trace_hash_ = (trace_hash_ ^ word) * 0x9e3779b97f4a7c15;
    trace_hash_ ^= trace_hash_ >> 29;
  }
}

void World::fail(std::string what, const std::string& key) {
  if (failures_.empty()) failed_key_ = key;
  failures_.push_back("at " + std::to_string(now_us_ / kMs) + " ms: " + std::move(what));
}

void World::note(const std::string& key, const std::string& what) {
  if (!verbose_ || !failures_.empty()) return;
  std::string text = std::to_string(now_us_ / kMs) + "." + std::to_string(now_us_ % kMs / 100);
  history_.emplace_back(key, text + " " + what);
}

void World::note_frame(NodeIndex node, const char* verb, std::string_view frames) {
  while (verbose_ && !frames.empty()) {
    size_t size = frame_bytes(frames.substr(0, kFrameHeadBytesMax));
    std::vector<Delta> deltas;
    if (size == 0 || !read_frame(frames.substr(0, size), &deltas).empty()) return;
    frames.remove_prefix(size);
    for (const Delta& delta : deltas) {
      std::string text = dyno::describe(delta);
      note(std::string(delta.key), "node " + std::to_string(node) + " " + verb + ": " + text);
    }
  }
}

std::string World::history() const {
  constexpr size_t kLinesMax = 400;
  std::vector<const std::string*> lines;
  for (const auto& [key, what] : history_) {
    if (key.empty() || key == failed_key_) lines.push_back(&what);
  }
  std::string text;
  for (size_t i = lines.size() > kLinesMax ? lines.size() - kLinesMax : 0; i < lines.size(); ++i) {
    text += *lines[i] + "\n";
  }
  return text;
}

bool World::run() {
  for (NodeIndex node = 0; node < processes_.size(); ++node) {
    at(random_.percent(70) ? random_.below(50 * kMs) : random_.below(6 * kSecond),
       [this, node] { start(node); });
  }
  at(random_.below(3 * kSecond), [this] {
    loading_ = true;
    next_op();
  });
  look();
  // Time for all to start; bursts begin at whole multiples.
  at(6 * kSecond, [this] { play_scene(); });
  if (conditions_.has_disks) copy_disk();
  if (conditions_.fault_every_us > 0) at(3 * kSecond, [this] { next_fault(); });
  run_until(conditions_.load_us);
  loading_ = false;
  heal();
  // Everything in the world comes to rest, and stays so.
  std::string why = "nothing was looked at";
  // What waits for a line that carries next to nothing takes its time.
  bool is_starved = conditions_.wan_rate > 0 && conditions_.wan_rate < 10'000;
  int64_t rest_s = is_starved ? 400 : 90;
  int64_t limit_us = now_us_ + rest_s * kSecond;
  while (failures_.empty() && now_us_ < limit_us && !is_settled(&why)) {
    run_until(now_us_ + 500 * kMs);
  }
  if (failures_.empty() && !is_settled(&why)) {
    fail("not at rest " + std::to_string(rest_s) + " s after the faults: " + why);
  }
  if (failures_.empty()) check_end();
  for (const Process& process : processes_) collect_probes(process);
  return failures_.empty();
}

std::string World::describe() const {
  std::string text =
      "seed " + std::to_string(seed_) + ": " + conditions_.describe() + "\n" + topology_.describe();
  for (const std::string& failure : failures_) text += failure + "\n";
  for (NodeIndex node = 0; node < processes_.size() && verbose_; ++node) {
    const Process& process = processes_[node];
    text += "node " + std::to_string(node) + "\n";
    if (process.steward) text += process.steward->describe();
    for (const auto& lane : process.lanes) text += lane->describe();
  }
  return text;
}

}  // namespace dyno::simulator

// SPDX-License-Identifier: Apache-2.0
//
// Three racks of one node each, joined without delay, for tests that look at single messages; the
// simulator is for everything else. Commands are "key=value" and "key?", run at once.
#pragma once

#include <doctest/doctest.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "ring/lane.h"
#include "ring/leases.h"
#include "ring/steward.h"

namespace dyno {

// Registers: the later stamp wins.
class RegisterStore : public Store {
 public:
  struct Register {
    Stamp stamp = 0;
    std::string value;
  };

  explicit RegisterStore(uint8_t rack) : rack_(rack) {}

  static std::string frame_of(const std::string& key, const Register& reg) {
    return key + "=" + reg.value + "@" + std::to_string(reg.stamp) + ";";
  }
  std::string run(const std::string& command, std::vector<Frame>* frames) {
    if (command.ends_with('?')) return registers[command.substr(0, command.size() - 1)].value;
    size_t equals = command.find('=');
    std::string key = command.substr(0, equals);
    registers[key] = {next_stamp(), command.substr(equals + 1)};
    frames->push_back({registers[key].stamp, {token_of(key, 0)}, frame_of(key, registers[key])});
    return "OK";
  }
  Applied apply(std::string_view frames) override {
    Applied applied;
    std::string text(frames);
    for (size_t at = 0; at < text.size();) {
      size_t equals = text.find('=', at);
      size_t sign = text.find('@', at);
      size_t end = text.find(';', at);
      if (end == std::string::npos || sign > end || equals > sign) return {Refusal::kBroken, 0, {}};
      Register reg{std::stoull(text.substr(sign + 1, end - sign - 1)),
                   text.substr(equals + 1, sign - equals - 1)};
      if (reg.stamp > latest) return {Refusal::kTooEarly, 0, {}};
      std::string key = text.substr(at, equals - at);
      if (away.contains(key)) {
        applied.refusal = Refusal::kNotYet;
        applied.taken = at;
        return applied;
      }
      Register& own = registers[key];
      if (own.stamp > reg.stamp) applied.dominated = own.stamp;
      if (reg.stamp > own.stamp) own = reg;
      last_ = std::max(last_, reg.stamp);
      at = end + 1;
    }
    return applied;
  }
  // A register without a value is the trace of one.
  Version version(const RequestKey& key, bool traces) override {
    const Register& own = registers[key.name];
    return {own.value.empty() && !traces ? 0 : own.stamp, 0};
  }
  bool export_key(const RequestKey& key, std::string* frames) override {
    if (away.contains(key.name)) return false;
    *frames += frame_of(key.name, registers[key.name]);
    return true;
  }
  SlotDigest digest(SlotIndex slot, TokenRange, bool) override {
    SlotDigest digest;
    for (const auto& [key, reg] : registers) {
      if (slot_of(token_of(key, 0)) == slot) digest.live.low += reg.stamp;
    }
    return digest;
  }
  void list(SlotIndex slot, TokenRange, std::vector<KeyDigest>* keys) override {
    for (const auto& [key, reg] : registers) {
      Token token = token_of(key, 0);
      if (slot_of(token) == slot) keys->push_back({token, {reg.stamp, 0}});
    }
  }
  size_t export_hashes(SlotIndex, TokenRange, std::span<const uint64_t> hashes, size_t,
                       std::string* frames) override {
    for (const auto& [key, reg] : registers) {
      for (uint64_t hash : hashes) {
        if (token_of(key, 0) != hash) continue;
        if (away.contains(key)) return 0;
        *frames += frame_of(key, reg);
      }
    }
    return hashes.size();
  }
  std::optional<Frame> restamp(const Frame& frame, Stamp stamp) override {
    std::string key = frame.bytes.substr(0, frame.bytes.find('='));
    size_t sign = frame.bytes.find('@');
    last_ = std::max(last_, stamp);
    Register anew{next_stamp(), frame.bytes.substr(key.size() + 1, sign - key.size() - 1)};
    registers[key] = anew;
    return Frame{anew.stamp, frame.tokens, frame_of(key, anew)};
  }
  Stamp watermark() override { return last_; }
  bool observe(Stamp stamp) override {
    last_ = std::max(last_, stamp);
    return true;
  }
  bool drop_until(Stamp) override { return true; }
  Stamp clock() override { return last_; }
  Stamp next_stamp() { return last_ = (last_ / 256 + 1) * 256 + rack_; }

  std::map<std::string, Register> registers;
  Stamp latest = ~Stamp{0};    // What is later is of the far future.
  std::set<std::string> away;  // Keys whose values are on disk.

 private:
  const uint8_t rack_;
  Stamp last_ = 0;
};

class SmallRing {
 public:
  SmallRing() {
    std::vector<NodeSpec> specs;
    for (uint16_t i = 0; i < kNodes; ++i) {
      specs.push_back({"dc", "r" + std::to_string(i), {0}, "h", static_cast<uint16_t>(i + 1)});
    }
    REQUIRE(Topology::make(specs, &topology).empty());
    for (NodeIndex node = 0; node < kNodes; ++node) {
      stores.push_back(std::make_unique<RegisterStore>(static_cast<uint8_t>(node + 1)));
      leases.push_back(std::make_unique<Leases>(topology, node, now.mono_us));
      stewards.push_back(std::make_unique<Steward>(topology, node, 1, StewardOptions{},
                                                   *stores.back(), *leases.back()));
      lanes.push_back(std::make_unique<Lane>(topology, Identity{"ring", 0, node, 1, 1}, uint16_t{0},
                                             LaneOptions{}, *stores.back(), *leases.back(),
                                             stewards.back().get()));
    }
    pass(1000);
    for (const auto& steward : stewards) REQUIRE(steward->own_state() == NodeState::kNormal);
  }

  void pass(int64_t ms) {
    for (int64_t spent = 0; spent < ms; spent += 10) {
      now.mono_us += 10 * kMicrosPerMs;
      now.unix_ms += 10;
      for (const auto& lane : lanes) lane->handle_timeout(now);
      settle();
    }
  }
  // Delivers everything, as far as links are not held.
  void settle() {
    for (bool busy = true; busy;) {
      busy = false;
      for (NodeIndex node = 0; node < kNodes; ++node) busy = settle(node) || busy;
    }
  }
  // From one node to another: what is sent waits until release().
  void hold(NodeIndex from, NodeIndex to) { held_links_.insert({from, to}); }
  void release() {
    held_links_.clear();
    for (auto& [link, bytes] : std::exchange(held_, {})) carry(link.first, link.second, bytes);
    settle();
  }
  // Time passes in which no node does anything.
  void skip(int64_t us) {
    now.mono_us += us;
    now.unix_ms += us / kMicrosPerMs;
  }
  // All values of the node are in memory.
  void bring_back(NodeIndex node) {
    stores[node]->away.clear();
    for (const auto& [link, bytes] : std::map(unread_)) {
      bool is_own = link.second >= 100 && (link.second - 100) / 10 == node;
      if (is_own || link.second == node) carry(link.first, link.second, {});
    }
    settle();
  }
  void cut(NodeIndex a, NodeIndex b) {
    lanes[a]->link_closed(now, b);
    lanes[b]->link_closed(now, a);
    lanes[a]->accepted_closed(link_of(b, a));
    lanes[b]->accepted_closed(link_of(a, b));
    cut_.insert({a, b});
    cut_.insert({b, a});
  }
  void join(NodeIndex a, NodeIndex b) {
    cut_.erase({a, b});
    cut_.erase({b, a});
  }

  // The answer of a request, once there is one: its outcome's digit and its bytes.
  void begin(NodeIndex node, const std::string& command, Level level, bool repeatable = false) {
    answers.clear();
    Request request;
    request.id = 1;
    request.write = !command.ends_with('?');
    request.repeatable = repeatable;
    request.level = level;
    request.deadline_us = now.mono_us + 500 * kMicrosPerMs;
    std::string key = command.substr(0, command.find_first_of("=?"));
    request.keys.push_back({0, key, token_of(key, 0)});
    request.command = command;
    lanes[node]->begin(now, std::move(request));
    settle();
  }
  std::string ask(NodeIndex node, const std::string& command, Level level) {
    begin(node, command, level);
    return answers.empty() ? "nothing" : answers.front();
  }

  static constexpr NodeIndex kNodes = 3;
  Topology topology;
  Now now{1'000'000, 1'800'000'000'000};
  std::vector<std::unique_ptr<RegisterStore>> stores;
  std::vector<std::unique_ptr<Leases>> leases;
  std::vector<std::unique_ptr<Steward>> stewards;
  std::vector<std::unique_ptr<Lane>> lanes;
  std::vector<std::string> answers;

 private:
  // The number of the link that `from` dialed to `to`.
  static LinkId link_of(NodeIndex from, NodeIndex to) { return 100 + from * 10u + to; }

  void carry(NodeIndex from, LinkId link, const std::string& bytes) {
    std::string& unread = unread_[{from, link}];
    unread += bytes;
    bool is_held = false;
    if (link >= 100) {
      Lane& lane = *lanes[(link - 100) / 10];
      unread.erase(0, lane.received(now, from, unread));
      is_held = lane.is_held(from);
    } else {
      LinkId id = link_of(from, static_cast<NodeIndex>(link));
      unread.erase(0, lanes[link]->accepted(now, id, unread));
      is_held = lanes[link]->is_held_accepted(id);
    }
    REQUIRE((unread.empty() || is_held));
  }
  // `link`: the node, on the own link to it, or the number of an accepted link.
  void send(NodeIndex from, LinkId link, const std::string& bytes) {
    if (bytes.empty()) return;
    auto to = static_cast<NodeIndex>(link >= 100 ? (link - 100) / 10 : link);
    if (held_links_.contains({from, to})) {
      held_[{from, link}] += bytes;
    } else {
      carry(from, link, bytes);
    }
  }
  bool settle(NodeIndex node) {
    Outbox box = std::exchange(lanes[node]->drain(), {});
    for (NodeIndex peer : box.dials) {
      bool away = cut_.contains({node, peer});
      away ? lanes[node]->dial_failed(now, peer) : lanes[node]->dialed(now, peer);
    }
    for (auto& [peer, bytes] : box.to_nodes) send(node, peer, bytes);
    for (auto& [link, bytes] : box.to_links) send(node, link, bytes);
    for (const Outbox::Run& run : box.runs) {
      std::vector<Frame> frames;
      std::string reply = stores[node]->run(run.command, &frames);
      lanes[node]->ran(now, run.run, reply, std::move(frames));
    }
    for (const Outbox::Answer& answer : box.answers) {
      answers.push_back(std::to_string(static_cast<int>(answer.outcome)) + " " + answer.bytes);
    }
    for (const Note& note : box.notes) {
      lanes[node]->handle_note(now, note);
      stewards[node]->handle_note(note);
    }
    return !box.empty();
  }

  std::set<std::pair<NodeIndex, NodeIndex>> held_links_;
  std::map<std::pair<NodeIndex, LinkId>, std::string> held_;
  std::set<std::pair<NodeIndex, NodeIndex>> cut_;
  std::map<std::pair<NodeIndex, LinkId>, std::string> unread_;
};

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
#include "tests/simulator/node_engine.h"

#include <algorithm>
#include <utility>

#include "protocol/check.h"
#include "protocol/resp_request.h"

namespace dyno::simulator {
namespace {

// The process' store, which tells of what it is told to do.
class ToldStore final : public RingStore {
 public:
  ToldStore(Replica& replica, const Topology& topology, NodeIndex self, WallClock unix_ms,
            NodeEngine::Listener listener, const SlotSet& used)
      : RingStore(replica, topology, self, std::move(unix_ms)),
        listener_(std::move(listener)),
        used_(used) {}

  Applied apply(std::string_view frames) override {
    if (listener_.applied) listener_.applied(frames, false);
    return RingStore::apply(frames);
  }
  Applied apply_state(std::string_view frames) override {
    if (listener_.applied) listener_.applied(frames, true);
    return RingStore::apply_state(frames);
  }

  SlotDigest digest(SlotIndex slot, TokenRange range, bool live_only) override {
    return used_.contains(slot) ? RingStore::digest(slot, range, live_only) : SlotDigest{};
  }

  bool drop_until(Stamp limit) override {
    if (!RingStore::drop_until(limit)) return false;
    listener_.dropped(limit);
    return true;
  }

  std::optional<Frame> restamp(const Frame& frame, Stamp stamp) override {
    std::optional<Frame> anew = RingStore::restamp(frame, stamp);
    if (anew) listener_.restamped(frame, *anew);
    return anew;
  }

 private:
  NodeEngine::Listener listener_;
  const SlotSet& used_;
};

RequestKey key_of(const std::string& name) {
  return {0, name, token_of(name, NodeEngine::kHashSeed)};
}

}  // namespace

NodeEngine::NodeEngine(const Topology& topology, NodeIndex self, uint32_t incarnation,
                       int64_t unix_ms, const SlotSet& used)
    : topology_(topology),
      self_(self),
      used_(used),
      node_(topology.node(self).rack_number, incarnation),
      store_(node_.replica, topology, self, [this] { return node_.client.now_ms; }),
      expirer_(node_.client.executor()) {
  set_time(unix_ms);
  node_.replica.clock().start_above(first_stamp_of(unix_ms));
  if (topology.is_single_replica()) node_.client.executor().set_recorder(nullptr);
}

void NodeEngine::use(Disk& disk) {
  node_.replica.clock().start_above(disk.clock());
  // Writes of this node may be ahead of its clock, if that was set back since.
  int64_t now_ms = std::max(node_.client.now_ms, stamp_ms(node_.replica.clock().last()));
  disk.read(kHashSeed, [&](std::string_view frame) {
    DYNO_CHECK(merge(node_.replica, frame, FrameOrigin::kState, now_ms).refused.empty());
  });
  node_.replica.set_log(&disk);
}

std::unique_ptr<Store> NodeEngine::make_store(Listener listener) {
  return std::make_unique<ToldStore>(
      node_.replica, topology_, self_, [this] { return node_.client.now_ms; }, std::move(listener),
      used_);
}

std::optional<std::string> NodeEngine::run(std::string_view requests) {
  RequestParser parser;
  std::string reply;
  while (!requests.empty()) {
    DYNO_CHECK(parser.parse(requests, {}) == RequestParser::Status::kRequest);
    reply = node_.run({parser.args().begin(), parser.args().end()});
    if (node_.client.session().awaits_disk) {
      node_.client.executor().end(node_.client.session());
      return std::nullopt;
    }
    requests.remove_prefix(parser.size());
    parser.next();
  }
  return reply;
}

std::vector<Frame> NodeEngine::take_written() {
  std::vector<Frame> frames;
  for (ReplicaNode::Written& written : node_.written) {
    frames.push_back({written.stamp, std::move(written.tokens), std::move(written.frame)});
  }
  node_.written.clear();
  return frames;
}

void NodeEngine::expire(std::span<const SlotIndex> slots) {
  // So long that it never ends by the real time that it takes.
  constexpr int64_t kBudgetUs = 60'000'000;
  for (uint32_t slot : slots) {
    (void)expirer_.run(slot, slot + 1, node_.client.now_ms, kBudgetUs);
  }
}

std::string NodeEngine::state_of(const std::string& key) {
  std::string state;
  if (cold_) cold_->warm(key);
  DYNO_CHECK(store_.export_key(key_of(key), &state));
  return state;
}

Version NodeEngine::version_of(const std::string& key) {
  return store_.version(key_of(key), false);
}

}  // namespace dyno::simulator

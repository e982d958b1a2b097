// SPDX-License-Identifier: Apache-2.0
//
// The data of this node as the machines of the ring see it: ring/store.h over the engine's
// replicated state. One for each lane, since a watermark is a lane's; they share the replica. The
// time of the node is handed in, so that the simulator can have its own.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/replica/merge.h"
#include "engine/replica/merge_prefetch.h"
#include "engine/replica/replica.h"
#include "ring/store.h"
#include "ring/topology.h"

namespace dyno {

class RingStore : public Store {
 public:
  // What the node's wall clock shows, in ms of Unix time.
  using WallClock = std::function<int64_t()>;

  RingStore(Replica& replica, const Topology& topology, NodeIndex self, WallClock unix_ms)
      : replica_(replica),
        topology_(topology),
        self_(self),
        owns_all_(topology.rack(topology.node(self).rack_number).nodes.size() == 1),
        unix_ms_(std::move(unix_ms)) {}

  void expect(std::span<const std::string_view> frames) override {
    prefetch_merges(replica_, frames);
  }
  void ask_ahead(std::string_view frame) override;
  [[nodiscard]] Applied apply(std::string_view frames) override {
    return has_room() ? merge_all(frames, FrameOrigin::kWrite) : kLater;
  }
  [[nodiscard]] Applied apply_state(std::string_view frames) override {
    return has_room() ? merge_all(frames, FrameOrigin::kState) : kLater;
  }
  [[nodiscard]] Version version(const RequestKey& key, bool traces) override;
  [[nodiscard]] bool export_key(const RequestKey& key, std::string* frames) override;
  [[nodiscard]] SlotDigest digest(SlotIndex slot, TokenRange range, bool live_only) override;
  void list(SlotIndex slot, TokenRange range, std::vector<KeyDigest>* keys) override;
  [[nodiscard]] size_t export_hashes(SlotIndex slot, TokenRange range,
                                     std::span<const uint64_t> hashes, size_t bytes_max,
                                     std::string* frames) override;
  [[nodiscard]] std::optional<Frame> restamp(const Frame& frame, Stamp stamp) override;
  [[nodiscard]] Stamp watermark() override;
  [[nodiscard]] bool observe(Stamp stamp) override;
  Stamp keep_known(Stamp known, Stamp horizon) override;
  bool drop_until(Stamp limit) override;
  [[nodiscard]] Stamp clock() override { return replica_.clock().last(); }

  // While a long command of this lane runs on a thread that left the loop, its writes are not
  // handed to the ring: the watermark stays where it was.
  void hold_watermark() { ++holds_; }
  void release_watermark() { --holds_; }
  // What was written above the stamp is not with the ring yet; 0: all is.
  void limit_watermark(Stamp stamp) { watermark_limit_ = stamp; }

 private:
  static inline const Applied kLater{.refusal = Refusal::kNotYet};

  [[nodiscard]] bool has_room();
  template <class Visit>
  void each_key(SlotIndex slot, TokenRange range, Visit visit);
  void ask_ahead_of(std::string_view frames);
  [[nodiscard]] bool is_of_another_dc(Stamp stamp) const;
  void ask_for_slots(uint32_t first, Stamp limit);
  [[nodiscard]] Applied merge_all(std::string_view frames, FrameOrigin origin);
  [[nodiscard]] Applied merge_all(std::string_view frames, FrameOrigin origin, int64_t unix_ms);

  Replica& replica_;
  const Topology& topology_;
  const NodeIndex self_;
  const bool owns_all_;  // It is its rack's only node.
  const WallClock unix_ms_;
  std::vector<Delta> deltas_;  // Scratch of merge_all().
  int holds_ = 0;
  Stamp watermark_ = 0;
  Stamp watermark_limit_ = 0;
  Stamp dropping_until_ = 0;  // 0: nothing is dropped now.
  uint32_t next_dropped_ = 0;
};

}  // namespace dyno

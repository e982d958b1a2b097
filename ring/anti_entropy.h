// SPDX-License-Identifier: Apache-2.0
//
// Makes this node's data the same as that of the other replicas, by pulling what it lacks. The
// steward's.
//
// A pull of a peer goes through the slots that both own, range by range: sums tell which ranges
// differ, digests which slots of those, lists of (key, version) which keys, and their states are
// pulled and merged. So equal data cost a few KiB and one exchange or two, however far the peer is,
// and a pull that begins anew soon passes what it has pulled before. Questions of one step are on
// their way to a peer at a time; it answers them in their order. State is only ever asked for; an
// answer that is older than 5 s is dropped and the pull begins anew.
//
// Pulls are made in the background, one peer after the other, gently: a slot counts as different
// only when it differs twice, a second apart, since writes on their way make most differ once.
// Others are demanded, and look once: of slots that a stream skipped (SlotsDirty), of everything
// when a node fills its memory, when a peer began anew, or when an operator asks.
//
// What is bounded: one pull per peer, the slots of each step, kPullBytes per answer, the rate, and
// how much is asked for at once, which grows while answers are small.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "protocol/peer_message.h"
#include "ring/held_message.h"
#include "ring/machine.h"
#include "ring/note.h"
#include "ring/outbox.h"
#include "ring/slot_set.h"
#include "ring/store.h"
#include "ring/topology.h"

namespace dyno {

struct AntiEntropyOptions {
  StateAge age;
  int64_t background_us = 10'000 * kMicrosPerMs;  // Between background pulls.
  int64_t bytes_per_second = int64_t{64} << 20;   // Of states pulled from one peer.
  int64_t wan_bytes_per_second = 0;  // The same of another data center, if less; 0: the same.
};

struct AntiEntropyCounts {
  uint64_t pulls = 0;  // That went to their end.
  uint64_t aborted = 0;
  uint64_t slots_differed = 0;
  uint64_t keys_pulled = 0;
  uint64_t bytes_pulled = 0;
  uint64_t late_answers = 0;
};

class AntiEntropy {
 public:
  static constexpr uint32_t kChunkSlots = 256;
  static constexpr size_t kRanges = 16;  // Of one question; each is of a chunk.
  static constexpr size_t kDigestsAtOnce = 8;
  static constexpr size_t kListsAtOnce = 32;
  static constexpr size_t kPullsAtOnce = 16;
  static constexpr size_t kPullBytes = size_t{1} << 20;
  static constexpr size_t kPullKeys = 4096;
  static constexpr int64_t kSecondLookUs = 1000 * kMicrosPerMs;

  // A demanded pull of all shared slots has ended.
  struct Pulled {
    NodeIndex node = kNoNode;
    Stamp watermark = 0;  // What set_watermark() had said when it began.
    std::vector<KnownNode> known;
  };

  AntiEntropy(const Topology& topology, NodeIndex self, const AntiEntropyOptions& options,
              Store& store, Outbox& outbox);

  // `sums_ranges`: the peer has Feature::kSumsRanges.
  void link_up(Now now, NodeIndex node, bool sums_ranges);
  void link_down(NodeIndex node);
  // Whether anything may be pulled from the peer; at first it may.
  void allow(NodeIndex node, bool allowed);
  // Pull everything, or these slots, when the peer is there.
  void demand(NodeIndex node);
  // The same, unless such a pull is under way that began when set_watermark() had said `since`.
  void demand_since(NodeIndex node, Stamp since);
  void demand_dirty(const SlotsDirty& dirty);
  // A new incarnation of the peer: what was demanded of the old one can no longer be had from it.
  void peer_seen(NodeIndex node, uint32_t incarnation);
  void set_watermark(Stamp watermark) { watermark_ = watermark; }

  void handle_ranges(Now now, NodeIndex from, uint64_t id, const DigestsAnswer& answer);
  void handle_digests(Now now, NodeIndex from, uint64_t id, const DigestsAnswer& answer);
  void handle_list(Now now, NodeIndex from, uint64_t id, const ListAnswer& answer);
  // Done or not yet.
  [[nodiscard]] Handled handle_pull(Now now, NodeIndex from, uint64_t id, const PullAnswer& answer);
  void handle_timeout(Now now);
  [[nodiscard]] int64_t next_timeout() const;

  // Ended since the last call.
  [[nodiscard]] std::vector<Pulled> take_pulled();
  // Demands that wait or run.
  [[nodiscard]] bool is_quiet() const;
  [[nodiscard]] const AntiEntropyCounts& counts() const { return counts_; }
  [[nodiscard]] std::string describe() const;

  // The answering side: without state, so that any node can be asked at any time.
  [[nodiscard]] static bool may_be_asked(const Ranges& ranges);
  static DigestsAnswer answer(Store& store, const Ranges& ranges, std::vector<KnownNode> known);
  static DigestsAnswer answer(Store& store, const Digests& digests, std::vector<KnownNode> known);
  static ListAnswer answer(Store& store, const ListKeys& list);
  // None: not yet.
  static std::optional<PullAnswer> answer(Store& store, const Pull& pull, std::string* states);

 private:
  enum class Step : uint8_t { kRanges, kDigests, kList, kPull, kPause };
  // Slots of one range of tokens that both nodes own.
  struct Piece {
    TokenRange range;
    std::vector<SlotIndex> slots;
  };
  // A slot that differs.
  struct Place {
    TokenRange range;
    SlotIndex slot = 0;
    std::vector<uint64_t> hashes;  // Once it is listed: of the keys to pull.
    size_t pulled = 0;             // Of them.
  };
  // A pull on its way.
  struct Round {
    bool background = false;
    bool full = false;
    bool second_look = false;
    Stamp watermark = 0;
    std::deque<Piece> ranges;       // Whose sums are to be compared.
    std::deque<Piece> pieces;       // Whose digests are to be compared.
    std::deque<Place> differ;       // To be listed.
    std::deque<Place> listed;       // To be pulled from.
    std::vector<Piece> look_again;  // In the background: what differed once.
    std::vector<SlotsDirty> dirty;  // Whose streams are to be told.
    std::vector<KnownNode> known;
    bool has_known = false;
    Step step = Step::kPause;
    std::deque<uint64_t> questions;  // That are not answered.
    size_t pulls_at_once = 1;
    size_t answered_bytes = 0;  // Of the pulls that were asked at once.
    size_t merged_bytes = 0;    // Of the states in the next answer, which is not yet.
    int64_t asked_us = 0;
    int64_t resume_us = 0;
  };
  struct Peer {
    bool linked = false;
    bool allowed = true;
    bool sums_ranges = false;
    uint32_t incarnation = 0;
    std::optional<Round> round;
    // What the next pull is to cover.
    bool wants_all = false;
    std::map<uint16_t, SlotsDirty> wants_dirty;  // By lane, the latest.
    int64_t not_before_us = 0;

    [[nodiscard]] bool can_be_asked() const { return linked && allowed; }
    [[nodiscard]] bool wants() const { return wants_all || !wants_dirty.empty(); }
  };

  // Over the slots that have some of the range.
  [[nodiscard]] static SlotDigest digest_of(Store& store, TokenRange range, bool live_only);
  void start(Now now, NodeIndex node, Peer& peer, bool background);
  [[nodiscard]] std::deque<Piece> pieces_of(NodeIndex node, const SlotSet* slots) const;
  void ask_next(Now now, NodeIndex node, Peer& peer);
  void ask_pulls(Now now, NodeIndex node, Round& round);
  void ask_lists(Now now, NodeIndex node, Round& round);
  void ask_digests(Now now, NodeIndex node, Round& round);
  void ask_ranges(Now now, NodeIndex node, Round& round);
  template <class Body>
  void ask(Now now, NodeIndex node, Round& round, Step step, MessageKind kind, Body& body);
  // The pull whose next unanswered question this answers, in time; awaited() takes it off.
  [[nodiscard]] Round* find_awaited(Now now, NodeIndex from, uint64_t id, Step step);
  [[nodiscard]] Round* awaited(Now now, NodeIndex from, uint64_t id, Step step);
  void pulled(Now now, NodeIndex from, Round& round, const PullAnswer& answer, bool is_good);
  void pause(Round& round, int64_t until_us);
  void abort(Now now, Peer& peer);
  void end(Now now, NodeIndex node, Peer& peer);
  [[nodiscard]] bool background_is_due(Now now) const;

  const Topology& topology_;
  const NodeIndex self_;
  const AntiEntropyOptions options_;
  Store& store_;
  Outbox& outbox_;
  std::map<NodeIndex, Peer> peers_;  // Those that share keys.
  Stamp watermark_ = 0;
  uint64_t next_question_ = 1;
  NodeIndex background_next_ = 0;
  int64_t background_us_ = 0;
  std::vector<Pulled> pulled_;
  AntiEntropyCounts counts_;
};

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// The sending end of a stream: what one lane of this node originated for one peer, in order.
//
// Frames have dense numbers from 1. They stay in the log until the peer acknowledged them, so that
// the log is at once the queue of a slow peer and the hint for one that is away. When the log grows
// past its bound it collapses: the slots of its frames become dirty, the frames are dropped, and
// the stream goes on behind them. The peer is told, pulls the dirty slots, and says so.
//
//   numbers   1 .. acked | first .. sent | .. last
//   always    first <= sent + 1 <= last + 1; the log holds first to last
//
// Frames are sent by fill(), or taken one by one to go another way (gateways.h); the peer cannot
// tell, and what was lost there is sent again after rewind().
//
// A peer that knows nothing of the stream (it lost its memory, or is new) gets it from 1 if that is
// still there; else all slots are dirty to it.
//
// A mark (Batch::watermark) is sent behind every frame that it speaks of, and never while slots are
// dirty: the peer is not complete until it pulled them.
#pragma once

#include <cstdint>
#include <deque>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/replica/stamp.h"
#include "protocol/peer_message.h"
#include "ring/slot_set.h"

namespace dyno {

struct StreamLimits {
  size_t log_bytes_max = size_t{64} << 20;     // Beyond: the log collapses.
  size_t window_bytes_max = size_t{4} << 20;   // Sent and not acknowledged.
  size_t batch_bytes_max = size_t{256} << 10;  // Of one message, unless one frame has more.
};

// What one command or transaction made true, as it travels. Shared by the streams to all peers.
struct Frame {
  Stamp stamp = 0;            // The smallest in it.
  std::vector<Token> tokens;  // Of its keys; none: it concerns every node.
  std::string bytes;
};
using SharedFrame = std::shared_ptr<const Frame>;

class StreamSender {
 public:
  static constexpr size_t kNoLimit = std::numeric_limits<size_t>::max();

  // Frames first to through are applied by the peer now, and were not before.
  struct Acknowledged {
    bool valid = false;  // Else the peer acknowledged what was never sent.
    uint64_t first = 1;
    uint64_t through = 0;
    std::vector<DominatedFrame> dominated;
  };

  explicit StreamSender(const StreamLimits& limits) : limits_(limits) {}

  // Queues a frame and returns its number. `order` numbers the frames of the lane, whatever their
  // streams: where it is the same, so is the frame.
  uint64_t append(SharedFrame frame, uint64_t order = 0);
  // Everything that this lane originated up to `watermark` was appended, and this node is complete
  // up to `published` (frontier.h). Later calls replace earlier ones.
  void set_mark(Stamp watermark, Stamp published);

  // The link is up and the peer expects `next` (Hello::next). False when it cannot: it speaks of
  // frames that were never sent.
  [[nodiscard]] bool link_up(uint64_t next);
  void link_down();
  [[nodiscard]] Acknowledged acknowledge(const Ack& ack);
  // The peer pulled the dirty slots of that epoch.
  void clean(uint64_t epoch);

  // True when fill() would send something.
  [[nodiscard]] bool has_work() const {
    return link_is_up_ &&
           (reset_due_ || (sent_ < last() && window_bytes_ < limits_.window_bytes_max) ||
            (mark_due_ && may_mark() && sent_ == last()));
  }
  // Appends the messages that may be sent now, of about `bytes_max` and at least one; false when
  // there were none.
  bool fill(std::string* out, size_t bytes_max = kNoLimit);

  struct Unsent {
    uint64_t order = 0;
    SharedFrame frame;
  };
  struct Mark {
    Stamp watermark = 0;
    Stamp published = 0;
  };
  // Whether nothing but frames and marks is to be sent.
  [[nodiscard]] bool is_plain() const { return link_is_up_ && !reset_due_ && dirty_.empty(); }
  // What may be sent next; null: nothing now. take_next() counts it as sent.
  [[nodiscard]] const Unsent* next_unsent() const;
  void take_next();
  // The mark, when it is due and all frames are sent.
  [[nodiscard]] std::optional<Mark> take_mark();
  // What was sent and not acknowledged is sent again.
  void rewind();

  [[nodiscard]] uint64_t sent() const { return sent_; }
  [[nodiscard]] uint64_t last() const { return first_ + log_.size() - 1; }
  [[nodiscard]] uint64_t acked() const { return first_ - 1; }
  [[nodiscard]] size_t log_bytes() const { return log_bytes_; }
  [[nodiscard]] const SlotSet& dirty() const { return dirty_; }
  [[nodiscard]] uint64_t collapses() const { return collapses_; }
  [[nodiscard]] std::string describe() const;

 private:
  // What a frame costs beside its bytes.
  static constexpr size_t kFrameOverhead = 64;
  [[nodiscard]] static size_t cost_of(const Frame& frame) {
    return frame.bytes.size() + kFrameOverhead;
  }
  [[nodiscard]] bool may_mark() const;
  void drop_front();
  void collapse();
  void start_over();
  void write_batch(std::string* out, size_t bytes_max);

  const StreamLimits limits_;
  std::deque<Unsent> log_;
  uint64_t first_ = 1;    // Number of the log's front.
  uint64_t sent_ = 0;     // Number of the last frame sent, or to be taken for sent.
  uint64_t reached_ = 0;  // The largest that sent_ ever was.
  size_t log_bytes_ = 0;
  size_t window_bytes_ = 0;  // Of frames first to sent.
  bool link_is_up_ = false;
  bool reset_due_ = false;  // The peer is to be told where the stream goes on.
  SlotSet dirty_;
  uint64_t epoch_ = 0;  // Of dirty_.
  Stamp watermark_ = 0;
  Stamp published_ = 0;
  bool mark_due_ = false;
  uint64_t collapses_ = 0;
};

}  // namespace dyno

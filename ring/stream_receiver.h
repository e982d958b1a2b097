// SPDX-License-Identifier: Apache-2.0
//
// The receiving end of a stream: what one lane of one incarnation of a peer originated for this
// node (stream_sender.h). Every frame is handed out once, in order: those that came before are
// dropped by their number, those after a gap are asked for. What the receiver knows outlives the
// link, so that a new link goes on where the old one broke.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/replica/stamp.h"
#include "protocol/peer_message.h"
#include "ring/slot_set.h"

namespace dyno {

class StreamReceiver {
 public:
  struct Mark {
    Stamp watermark = 0;
    Stamp published = 0;
  };
  struct NumberedFrame {
    uint64_t number = 0;
    StreamFrame frame;
  };

  // For a welcome: the number expected next, 0 before the first frame or reset.
  [[nodiscard]] uint64_t next() const { return is_known_ ? next_ : 0; }

  // Takes a batch: the frames that are now to be applied, in order, each followed by applied(),
  // before anything else of this stream is handed in. What is not applied will come again.
  [[nodiscard]] std::vector<NumberedFrame> receive(const Batch& batch);
  void applied(uint64_t number);
  // A later write than the one in frame `number` was known.
  void note_dominated(uint64_t number, Stamp stamp) { dominated_.push_back({number, stamp}); }

  // False when the reset makes no sense: the link is to be closed.
  [[nodiscard]] bool reset(const Reset& reset);
  // The slots to be pulled from the peer before the stream is complete again. Pulling is done for
  // an epoch, and cleaned() tells whether that was the latest; then the peer is to be told.
  [[nodiscard]] const SlotSet& dirty() const { return dirty_; }
  [[nodiscard]] uint64_t epoch() const { return epoch_; }
  [[nodiscard]] bool cleaned(uint64_t epoch);

  // The latest mark, whose frames all were applied; once.
  [[nodiscard]] std::optional<Mark> take_mark();
  // What is to be acknowledged since the last call.
  [[nodiscard]] std::optional<Ack> take_ack();
  [[nodiscard]] std::string describe() const;

 private:
  bool is_known_ = false;
  uint64_t next_ = 1;
  SlotSet dirty_;
  uint64_t epoch_ = 0;
  bool ack_due_ = false;
  bool gap_ = false;
  std::vector<DominatedFrame> dominated_;
  std::optional<Mark> mark_;
  uint64_t mark_end_ = 0;  // Frames before this number are those that it speaks of.
};

}  // namespace dyno

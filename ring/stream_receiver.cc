// SPDX-License-Identifier: Apache-2.0
#include "ring/stream_receiver.h"

#include <limits>
#include <utility>

#include "protocol/check.h"
#include "ring/planted_fault.h"

namespace dyno {

std::vector<StreamReceiver::NumberedFrame> StreamReceiver::receive(const Batch& batch) {
  std::vector<NumberedFrame> fresh;
  uint64_t room = std::numeric_limits<uint64_t>::max() - batch.frames.size();
  if (batch.first == 0 || batch.first > next_ || batch.first > room) {
    gap_ = ack_due_ = true;
    return fresh;
  }
  uint64_t end = batch.first + batch.frames.size();
  for (uint64_t number = next_; number < end; ++number) {
    fresh.push_back({number, batch.frames[number - batch.first]});
  }
  if (!batch.frames.empty()) ack_due_ = is_known_ = true;
  if (batch.has_mark && (dirty_.empty() || is_planted(PlantedFault::kMarksWhileDirty))) {
    is_known_ = true;
    // A mark of an older batch speaks of fewer frames, and is true still.
    if (!mark_ || batch.watermark >= mark_->watermark) {
      mark_ = {batch.watermark, batch.published};
      mark_end_ = end;
    }
  }
  return fresh;
}

void StreamReceiver::applied(uint64_t number) {
  DYNO_CHECK(number == next_);
  ++next_;
}

bool StreamReceiver::reset(const Reset& reset) {
  SlotSet dirty;
  if (reset.next == 0 || (is_known_ && reset.next < next_) || reset.epoch < epoch_ ||
      !dirty.from_bytes(reset.dirty)) {
    return false;
  }
  is_known_ = true;
  next_ = reset.next;
  epoch_ = reset.epoch;
  dirty_ = dirty;
  mark_.reset();
  gap_ = false;
  return true;
}

bool StreamReceiver::cleaned(uint64_t epoch) {
  if (epoch != epoch_ || dirty_.empty()) return false;
  dirty_.clear();
  return true;
}

std::optional<StreamReceiver::Mark> StreamReceiver::take_mark() {
  if (next_ < mark_end_) mark_.reset();
  return std::exchange(mark_, std::nullopt);
}

std::optional<Ack> StreamReceiver::take_ack() {
  if (!ack_due_) return std::nullopt;
  ack_due_ = false;
  return Ack{next_ - 1, std::exchange(gap_, false), std::exchange(dominated_, {})};
}

std::string StreamReceiver::describe() const {
  std::string text = "next " + std::to_string(next());
  if (!dirty_.empty()) {
    text += " dirty " + std::to_string(dirty_.size()) + " epoch " + std::to_string(epoch_);
  }
  return text;
}

}  // namespace dyno

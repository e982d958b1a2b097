// SPDX-License-Identifier: Apache-2.0
#include "ring/stream_sender.h"

#include <algorithm>
#include <utility>

#include "protocol/check.h"
#include "ring/planted_fault.h"

namespace dyno {

uint64_t StreamSender::append(SharedFrame frame, uint64_t order) {
  log_bytes_ += cost_of(*frame);
  log_.push_back({order, std::move(frame)});
  uint64_t number = last();
  if (log_bytes_ > limits_.log_bytes_max) collapse();
  return number;
}

void StreamSender::set_mark(Stamp watermark, Stamp published) {
  if (watermark == watermark_ && published == published_) return;
  watermark_ = watermark;
  published_ = published;
  mark_due_ = true;
}

bool StreamSender::link_up(uint64_t next) {
  link_is_up_ = true;
  window_bytes_ = 0;
  reset_due_ = false;
  mark_due_ = watermark_ != 0;
  sent_ = first_ - 1;
  if (next == 0 && first_ == 1) {
    // Nothing was ever acknowledged or dropped: the stream begins with its first frame.
    return true;
  }
  if (next == 0) {
    start_over();
    return true;
  }
  if (next > last() + 1) {
    link_is_up_ = false;
    return false;
  }
  if (next < first_) {
    // What it misses is dirty already, unless it forgot what it had acknowledged.
    if (dirty_.empty()) start_over();
    reset_due_ = true;
    return true;
  }
  while (first_ < next) drop_front();
  sent_ = first_ - 1;
  // The peer may have said that the slots are clean when the link broke: it is told again.
  reset_due_ = !dirty_.empty();
  return true;
}

void StreamSender::link_down() {
  link_is_up_ = false;
  sent_ = first_ - 1;
  window_bytes_ = 0;
}

StreamSender::Acknowledged StreamSender::acknowledge(const Ack& ack) {
  Acknowledged result;
  if (!link_is_up_ || ack.through > reached_) return result;
  result.valid = true;
  result.first = first_;
  result.through = ack.through;
  for (const DominatedFrame& frame : ack.dominated) {
    if (frame.number >= first_ && frame.number <= ack.through) result.dominated.push_back(frame);
  }
  while (first_ <= ack.through) {
    // Behind `sent` are frames that arrived although they were to be sent again.
    if (first_ <= sent_) window_bytes_ -= cost_of(*log_.front().frame);
    drop_front();
  }
  sent_ = std::max(sent_, first_ - 1);
  if (ack.gap) rewind();
  return result;
}

void StreamSender::clean(uint64_t epoch) {
  if (epoch != epoch_ || reset_due_) return;
  dirty_.clear();
  mark_due_ = watermark_ != 0;
}

const StreamSender::Unsent* StreamSender::next_unsent() const {
  if (sent_ == last() || window_bytes_ >= limits_.window_bytes_max) return nullptr;
  return &log_[sent_ + 1 - first_];
}

void StreamSender::take_next() {
  window_bytes_ += cost_of(*log_[sent_ + 1 - first_].frame);
  reached_ = std::max(reached_, ++sent_);
}

std::optional<StreamSender::Mark> StreamSender::take_mark() {
  if (!mark_due_ || !may_mark() || sent_ != last()) return std::nullopt;
  mark_due_ = false;
  return Mark{watermark_, published_};
}

void StreamSender::rewind() {
  sent_ = first_ - 1;
  window_bytes_ = 0;
  mark_due_ = watermark_ != 0;
}

bool StreamSender::fill(std::string* out, size_t bytes_max) {
  if (!link_is_up_) return false;
  size_t before = out->size();
  if (reset_due_) {
    std::string dirty = dirty_.to_bytes();
    Reset reset{sent_ + 1, epoch_, dirty};
    write_message(MessageKind::kReset, 0, reset, out);
    reset_due_ = false;
  }
  auto left = [&] { return bytes_max - std::min(bytes_max, out->size() - before); };
  while (sent_ < last() && window_bytes_ < limits_.window_bytes_max && left() > 0) {
    write_batch(out, left());
  }
  if (mark_due_ && may_mark() && sent_ == last()) write_batch(out, 0);
  return out->size() != before;
}

void StreamSender::write_batch(std::string* out, size_t bytes_max) {
  Batch batch;
  batch.first = sent_ + 1;
  size_t bytes = 0;
  bytes_max = std::min(bytes_max, limits_.batch_bytes_max);
  while (sent_ < last() && (bytes == 0 || bytes < bytes_max)) {
    const Frame& frame = *log_[sent_ + 1 - first_].frame;
    if (bytes != 0 && bytes + cost_of(frame) > bytes_max) break;
    batch.frames.push_back({frame.stamp, frame.bytes});
    bytes += cost_of(frame);
    take_next();
  }
  if (auto mark = take_mark()) {
    batch.has_mark = true;
    batch.watermark = mark->watermark;
    batch.published = mark->published;
  }
  write_message(MessageKind::kBatch, 0, batch, out);
}

bool StreamSender::may_mark() const {
  return dirty_.empty() || is_planted(PlantedFault::kMarksWhileDirty);
}

void StreamSender::drop_front() {
  log_bytes_ -= cost_of(*log_.front().frame);
  log_.pop_front();
  ++first_;
}

void StreamSender::collapse() {
  for (const auto& [order, frame] : log_) {
    if (frame->tokens.empty()) dirty_.insert_all();
    for (Token token : frame->tokens) dirty_.insert(slot_of(token));
  }
  first_ = last() + 1;
  log_.clear();
  log_bytes_ = 0;
  window_bytes_ = 0;
  sent_ = first_ - 1;
  reached_ = std::max(reached_, sent_);
  ++epoch_;
  ++collapses_;
  reset_due_ = true;
}

void StreamSender::start_over() {
  collapse();
  dirty_.insert_all();
}

std::string StreamSender::describe() const {
  std::string text = "acked " + std::to_string(acked()) + " sent " + std::to_string(sent_) +
                     " last " + std::to_string(last()) + " bytes " + std::to_string(log_bytes_);
  if (!dirty_.empty()) {
    text += " dirty " + std::to_string(dirty_.size()) + " epoch " + std::to_string(epoch_);
  }
  if (!link_is_up_) text += " away";
  return text;
}

}  // namespace dyno

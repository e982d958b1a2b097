// SPDX-License-Identifier: Apache-2.0
#include "tests/simulator/disk.h"

#include <algorithm>
#include <map>
#include <utility>

#include "engine/replica/delta.h"
#include "engine/replica/delta_fold.h"
#include "protocol/check.h"

namespace dyno::simulator {
namespace {

// visit(delta, the frame of this key alone)
template <class Visit>
void for_each_key(std::string_view frames, Visit visit) {
  std::vector<Delta> deltas;
  FrameWriter writer;
  while (!frames.empty()) {
    size_t size = frame_bytes(frames.substr(0, kFrameHeadBytesMax));
    DYNO_CHECK(size != 0 && size <= frames.size());
    DYNO_CHECK(read_frame(frames.substr(0, size), &deltas).empty());
    frames.remove_prefix(size);
    for (const Delta& delta : deltas) {
      writer.clear();
      for (const Fact& fact : delta.facts) writer.add(delta.db, delta.key, fact);
      visit(delta, writer.finish());
    }
  }
}

}  // namespace

void Disk::append(std::span<const std::string_view> frames) {
  for (std::string_view frame : frames) appended_.push_back({std::string(frame)});
}

void Disk::replace_slot(SlotIndex slot, std::string_view frames) {
  appended_.push_back({std::string(frames), slot});
}

void Disk::hand_over(Stamp clock) {
  constexpr int64_t kOftenMs = 50;
  if (appended_.empty() && stamp_ms(known_) - stamp_ms(known()) < kOftenMs) return;
  records_.push_back({std::exchange(appended_, {}), clock, known_, horizon_});
  handed_ = records_.size();
}

void Disk::cut(size_t count) {
  appended_.clear();
  records_.resize(count);
  handed_ = synced_ = count;
  known_ = known();
  horizon_ = horizon();
}

Stamp Disk::keep_known(Stamp known, Stamp horizon) {
  known_ = std::max(known_, known);
  horizon_ = std::max(horizon_, horizon);
  return std::min(known, known_at(syncs_known_ ? synced_ : handed_));
}

Stamp Disk::clock() const {
  return records_.empty() ? 0 : records_.back().clock;
}

void Disk::read(uint64_t hash_seed,
                const std::function<void(std::string_view frame)>& visit) const {
  std::map<std::pair<int, std::string>, std::vector<std::string>> keys;
  for (const Record& record : records_) {
    for (const Change& change : record.changes) {
      std::erase_if(keys, [&](const auto& key) {
        return slot_of(token_of(key.first.second, hash_seed)) == change.replaced_slot;
      });
      for_each_key(change.frames, [&](const Delta& delta, std::string_view frame) {
        keys[{delta.db, std::string(delta.key)}].emplace_back(frame);
      });
    }
  }
  for (const auto& [key, frames] : keys) {
    std::vector<std::string_view> views(frames.begin(), frames.end());
    std::string state;
    DYNO_CHECK(fold(views, {.is_all = true}, &state).empty());
    if (!state.empty()) visit(state);
  }
}

}  // namespace dyno::simulator

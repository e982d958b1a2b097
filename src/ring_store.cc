// SPDX-License-Identifier: Apache-2.0
#include "src/ring_store.h"

#include <xxhash.h>

#include <algorithm>
#include <mutex>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "engine/cold_keys.h"
#include "engine/replica/delta.h"
#include "engine/replica/key_export.h"
#include "engine/replica/missing_values.h"
#include "engine/replica/slot_drop.h"
#include "protocol/check.h"

namespace dyno {
namespace {

// How much of what is old is dropped at a time: some milliseconds.
constexpr uint32_t kSlotsDropped = 4096;
constexpr size_t kKeysDropped = 16384;
// States behind one whose value is on disk whose values are asked for with it, to merge or to send.
constexpr size_t kAskedAhead = 64;
// Slots of what is to be dropped that are asked for in advance.
constexpr uint32_t kSlotsAskedAhead = 256;
// Room for deltas that stays between frames.
constexpr size_t kDeltasKept = 64;

Version version_of(Digest digest) {
  return {digest.low, digest.high};
}

void add(Version* sum, Version term) {
  sum->low += term.low;
  sum->high += term.high;
}

bool is_within(Token token, TokenRange range) {
  return token >= range.first && token <= range.last;
}

bool covers(TokenRange range, SlotIndex slot) {
  constexpr int kShift = 32 - kSlotBits;
  Token first = Token{slot} << kShift;
  return range.first <= first && range.last >= (first | ((Token{1} << kShift) - 1));
}

// Facts whose stamp is also an identity or a condition mean something else under another one.
bool may_be_restamped(FactKind kind) {
  return kind != FactKind::kTotal && kind != FactKind::kObserved && kind != FactKind::kPatch &&
         kind != FactKind::kRegisters && kind != FactKind::kFlush && kind != FactKind::kType &&
         kind != FactKind::kOtherType && kind != FactKind::kItem;
}

// Stands for a flush of the database among the hashes of keys: repair compares and pulls it as one
// of them.
uint64_t flush_hash(const Replica& replica, int db) {
  return replica.hash().item(/*head=*/true, static_cast<Stamp>(db) + 1, 0);
}

// What is told of a key whose traces of what is gone are kept: the sum over its facts, whose order
// says nothing.
Version facts_version(Replica& replica, int db, std::string_view name, int64_t unix_ms) {
  FrameWriter whole;
  export_key(replica, db, name, unix_ms, &whole);
  Version sum;
  std::vector<Delta> deltas;
  if (whole.empty() || !read_frame(whole.finish(), &deltas).empty()) return sum;
  for (const Delta& delta : deltas) {
    for (const Fact& fact : delta.facts) {
      FrameWriter one;
      one.add(db, delta.key, fact);
      std::string_view bytes = one.finish();
      XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
      sum.low += hash.low64;
      sum.high += hash.high64;
    }
  }
  return sum;
}

}  // namespace

// What comes from others waits as commands do, when memory is full or what is to be written is.
bool RingStore::has_room() {
  if (replica_.log() != nullptr && !replica_.log()->has_room()) return false;
  ColdKeys* cold = replica_.keyspace().cold_keys();
  return cold == nullptr || cold->has_room();
}

void RingStore::ask_ahead(std::string_view frame) {
  if (replica_.keyspace().has_chilled()) ask_for_values(replica_, frame, unix_ms_());
}

Store::Applied RingStore::merge_all(std::string_view frames, FrameOrigin origin) {
  return merge_all(frames, origin, unix_ms_());
}

Store::Applied RingStore::merge_all(std::string_view frames, FrameOrigin origin, int64_t unix_ms) {
  Applied applied;
  const size_t size_of_all = frames.size();
  std::vector<Delta>& deltas = deltas_;
  while (!frames.empty()) {
    size_t size = frame_bytes(frames.substr(0, kFrameHeadBytesMax));
    deltas.clear();
    if (size == 0 || size > frames.size() || !read_frame(frames.substr(0, size), &deltas).empty()) {
      return {.refusal = Refusal::kBroken};
    }
    std::string_view frame = frames.substr(0, size);
    if (!owns_all_) {
      std::erase_if(deltas, [this](const Delta& delta) {
        Token token = replica_.keyspace().hash(delta.key).token;
        return !is_flush(delta) && !topology_.owns(self_, token);
      });
    }
    MergeOutcome outcome = merge(replica_, deltas, origin, unix_ms);
    // Of a frame that could be read, only its time is refused.
    if (!outcome.refused.empty()) return {.refusal = Refusal::kTooEarly};
    for (auto& [db, name] : outcome.to_pull) {
      applied.to_pull.emplace_back(static_cast<uint8_t>(db), std::move(name));
    }
    if (outcome.lacks_values) {
      ask_ahead_of(frames.substr(size));
      applied.refusal = Refusal::kNotYet;
      applied.taken = size_of_all - frames.size();
      return applied;
    }
    frames.remove_prefix(size);
    // Keys of others that the frame may tell of are passed over when it is read back.
    if (replica_.log() != nullptr && !deltas.empty()) replica_.log()->append({&frame, 1});
    applied.dominated = std::max(applied.dominated, outcome.dominated);
  }
  if (deltas.capacity() > kDeltasKept) deltas = {};
  return applied;
}

void RingStore::ask_ahead_of(std::string_view frames) {
  for (size_t i = 0; i < kAskedAhead && !frames.empty(); ++i) {
    size_t size = frame_bytes(frames.substr(0, kFrameHeadBytesMax));
    if (size == 0 || size > frames.size()) return;
    ask_ahead(frames.substr(0, size));
    frames.remove_prefix(size);
  }
}

Version RingStore::version(const RequestKey& key, bool traces) {
  std::lock_guard lock(replica_.keyspace().slot(slot_of(key.token)).lock);
  return version_of(traces ? key_version_with_traces(replica_, key.db, key.name)
                           : key_version(replica_, key.db, key.name));
}

bool RingStore::export_key(const RequestKey& key, std::string* frames) {
  FrameWriter frame;
  std::lock_guard lock(replica_.keyspace().slot(slot_of(key.token)).lock);
  if (lacks_value(replica_, key.db, key.name)) return false;
  dyno::export_key(replica_, key.db, key.name, unix_ms_(), &frame);
  if (!frame.empty()) frames->append(frame.finish());
  return true;
}

// visit(db, name, whether traces of what is gone are kept); the slot is locked.
template <class Visit>
void RingStore::each_key(SlotIndex slot, TokenRange range, Visit visit) {
  const std::vector<uint64_t>& awaiting = replica_.slot(slot).awaiting;
  std::unordered_set<uint64_t> traced(awaiting.begin(), awaiting.end());
  for_each_replicated_key(replica_, slot, [&](int db, std::string_view name) {
    if (!is_within(replica_.keyspace().hash(name).token, range)) return;
    bool has_traces = traced.contains(replica_.hash().key(db, name));
    // Nothing is kept of a cold key but what is alive.
    if (has_traces && replica_.keyspace().has_chilled()) {
      has_traces = !replica_.keyspace().is_cold(replica_.keyspace().hash(name), db, name);
    }
    visit(db, name, has_traces);
  });
}

SlotDigest RingStore::digest(SlotIndex slot, TokenRange range, bool live_only) {
  SlotDigest sum;
  bool whole = covers(range, slot);
  std::lock_guard lock(replica_.keyspace().slot(slot).lock);
  if (whole) sum.live = version_of(replica_.slot(slot).digest);
  if (whole && (live_only || replica_.slot(slot).awaiting.empty())) return sum;
  each_key(slot, range, [&](int db, std::string_view name, bool has_traces) {
    if (!whole) add(&sum.live, version_of(key_version(replica_, db, name)));
    if (has_traces && !live_only) add(&sum.dead, facts_version(replica_, db, name, unix_ms_()));
  });
  return sum;
}

void RingStore::list(SlotIndex slot, TokenRange range, std::vector<KeyDigest>* keys) {
  std::lock_guard lock(replica_.keyspace().slot(slot).lock);
  each_key(slot, range, [&](int db, std::string_view name, bool has_traces) {
    Version version = version_of(key_version(replica_, db, name));
    if (has_traces) add(&version, facts_version(replica_, db, name, unix_ms_()));
    keys->push_back({replica_.hash().key(db, name), version});
  });
  for (int db = 0; db < ReplicaSlot::kDatabases; ++db) {
    Stamp flushed = replica_.slot(slot).flushed(db);
    if (flushed != 0) keys->push_back({flush_hash(replica_, db), {flushed, 0}});
  }
}

size_t RingStore::export_hashes(SlotIndex slot, TokenRange range, std::span<const uint64_t> hashes,
                                size_t bytes_max, std::string* frames) {
  std::lock_guard lock(replica_.keyspace().slot(slot).lock);
  std::unordered_map<uint64_t, std::pair<int, std::string>> names;
  for_each_replicated_key(replica_, slot, [&](int db, std::string_view name) {
    if (!is_within(replica_.keyspace().hash(name).token, range)) return;
    names.try_emplace(replica_.hash().key(db, name), db, name);
  });
  std::unordered_map<uint64_t, int> flushes;
  for (int db = 0; db < ReplicaSlot::kDatabases; ++db) flushes[flush_hash(replica_, db)] = db;
  FrameWriter frame;
  size_t answered = 0;
  for (uint64_t hash : hashes) {
    if (answered > 0 && frames->size() >= bytes_max) break;
    auto found = names.find(hash);
    if (found != names.end() && lacks_value(replica_, found->second.first, found->second.second)) {
      for (uint64_t next :
           hashes.subspan(answered, std::min(hashes.size() - answered, kAskedAhead))) {
        auto at = names.find(next);
        if (at != names.end()) (void)lacks_value(replica_, at->second.first, at->second.second);
      }
      break;
    }
    ++answered;
    if (found != names.end()) {
      const auto& [db, name] = found->second;
      dyno::export_key(replica_, db, name, unix_ms_(), &frame);
    } else if (auto flush = flushes.find(hash); flush != flushes.end()) {
      export_flush(replica_, slot, flush->second, &frame);
    }
    if (!frame.empty()) frames->append(frame.finish());
    frame.clear();
  }
  return answered;
}

bool RingStore::is_of_another_dc(Stamp stamp) const {
  RackNumber rack = stamp_rack(stamp);
  return rack != 0 && rack <= topology_.racks().size() &&
         topology_.rack(rack).dc_index != topology_.node(self_).dc_index;
}

std::optional<Frame> RingStore::restamp(const Frame& frame, Stamp stamp) {
  std::vector<Delta> deltas;
  if (!read_frame(frame.bytes, &deltas).empty()) return std::nullopt;
  std::vector<Stamp> old_stamps;
  for (const Delta& delta : deltas) {
    for (const Fact& fact : delta.facts) {
      if (!may_be_restamped(fact.kind)) return std::nullopt;
      old_stamps.push_back(fact.stamp);
    }
  }
  MergeOutcome here = merge(replica_, deltas, FrameOrigin::kState, unix_ms_());
  bool is_here = here.refused.empty() && !here.lacks_values && !here.is_followed;
  if (!is_here || !is_of_another_dc(stamp)) return std::nullopt;
  if (here.dominated != 0 && !is_of_another_dc(here.dominated)) return std::nullopt;
  std::sort(old_stamps.begin(), old_stamps.end());
  old_stamps.erase(std::unique(old_stamps.begin(), old_stamps.end()), old_stamps.end());
  int64_t now_ms = unix_ms_();
  // A stamp of the far future is not followed, whoever has taken it for a time.
  if (!replica_.clock().observe(stamp, now_ms)) return std::nullopt;
  std::vector<Stamp> new_stamps;
  for (size_t i = 0; i < old_stamps.size(); ++i) {
    new_stamps.push_back(replica_.clock().draw(now_ms));
  }
  FrameWriter writer;
  for (Delta& delta : deltas) {
    for (Fact& fact : delta.facts) {
      auto at = std::lower_bound(old_stamps.begin(), old_stamps.end(), fact.stamp);
      fact.stamp = new_stamps[static_cast<size_t>(at - old_stamps.begin())];
      fact.prev = 0;
      writer.add(delta.db, delta.key, fact);
    }
  }
  if (writer.empty()) return std::nullopt;
  Frame anew{new_stamps.front(), frame.tokens, std::string(writer.finish())};
  if (merge_all(anew.bytes, FrameOrigin::kWrite).refusal != Refusal::kNone) return std::nullopt;
  return anew;
}

Stamp RingStore::keep_known(Stamp known, Stamp horizon) {
  FrameLog* log = replica_.log();
  return log == nullptr ? known : log->keep_known(known, horizon);
}

// Some of the slots at a time, so that others get on.
bool RingStore::drop_until(Stamp limit) {
  if (dropping_until_ != limit) next_dropped_ = 0;
  dropping_until_ = limit;
  size_t keys = 0;
  std::string later;
  for (uint32_t end = next_dropped_ + kSlotsDropped;
       next_dropped_ < std::min<uint32_t>(end, kSlotCount) && keys < kKeysDropped;
       ++next_dropped_) {
    auto index = static_cast<SlotIndex>(next_dropped_);
    later.clear();
    {
      std::lock_guard lock(replica_.keyspace().slot(index).lock);
      if (wants_later(replica_, index, limit)) break;
      keys += drop_slot(replica_, index, limit, unix_ms_(), &later);
      if (replica_.log() != nullptr) replica_.log()->replace_slot(index, later);
    }
    // What was here may be ahead of this node's clock, if that was set back since.
    int64_t now_ms = replica_.clock().now_ms(unix_ms_());
    DYNO_CHECK(merge_all(later, FrameOrigin::kState, now_ms).refusal == Refusal::kNone);
  }
  if (next_dropped_ < kSlotCount) {
    ask_for_slots(next_dropped_, limit);
    return false;
  }
  dropping_until_ = 0;
  return true;
}

void RingStore::ask_for_slots(uint32_t first, Stamp limit) {
  if (!replica_.keyspace().has_chilled()) return;
  for (uint32_t i = first; i < std::min<uint32_t>(first + kSlotsAskedAhead, kSlotCount); ++i) {
    auto index = static_cast<SlotIndex>(i);
    std::lock_guard lock(replica_.keyspace().slot(index).lock);
    (void)wants_later(replica_, index, limit);
  }
}

Stamp RingStore::watermark() {
  if (holds_ == 0) {
    Stamp last = replica_.clock().last();
    watermark_ = watermark_limit_ == 0 ? last : std::min(last, watermark_limit_);
  }
  return watermark_;
}

bool RingStore::observe(Stamp stamp) {
  return stamp == 0 || replica_.clock().observe(stamp, unix_ms_());
}

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
#include "engine/expirer.h"

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>

#include "engine/blocking.h"
#include "engine/stats.h"
#include "engine/types/hash.h"

namespace dyno {
namespace {

// Keys looked at under one hold of a slot's lock.
constexpr uint32_t kPieceKeys = 256;
// What hashes with many due fields may take of one hold.
constexpr int64_t kHashesUs = 500;
// At an effort of 1: keys that are due, per one that expires, from which a sweep is worth it; how
// long one that is due may wait otherwise, and how long a slot rests for each key that it was
// walked for.
constexpr uint32_t kWorthwhileShare = 20;
constexpr int64_t kWaitMs = 5000;
constexpr int64_t kWaitMsPerKey = 10;
constexpr int64_t kRestMsMax = 60'000;

int64_t now_us() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// When the keys of a slot fall due, as far as it decides the next sweep.
class DueTimes {
 public:
  void start(int64_t now_ms) { *this = DueTimes(), now_ms_ = now_ms; }

  void add(int64_t deadline_ms) {
    ++count_;
    first_ms_ = std::min(first_ms_, deadline_ms);
    auto wait = static_cast<uint64_t>(std::max<int64_t>(deadline_ms - now_ms_, 0));
    size_t bucket = std::bit_width(wait);
    if (bucket < buckets_.size()) ++buckets_[bucket];
  }
  [[nodiscard]] uint32_t count() const { return count_; }

  // When the next sweep is worth it.
  [[nodiscard]] int64_t next_ms(int64_t effort) const {
    uint32_t worthwhile = count_ / static_cast<uint32_t>(kWorthwhileShare * effort);
    if (worthwhile <= 1) return first_ms_;
    int64_t latest = std::max<int64_t>(kWaitMs, count_ * kWaitMsPerKey) / effort;
    if (first_ms_ > INT64_MAX - latest) return first_ms_;
    latest += std::max(first_ms_, now_ms_);
    uint32_t due = 0;
    for (size_t i = 0; i < buckets_.size(); ++i) {
      due += buckets_[i];
      if (due >= worthwhile) return std::min(latest, now_ms_ + (int64_t{1} << i));
    }
    return latest;
  }

 private:
  int64_t now_ms_ = 0;
  int64_t first_ms_ = INT64_MAX;
  uint32_t count_ = 0;
  // By the bits of the time left: up to half a minute.
  std::array<uint32_t, 16> buckets_{};
};

}  // namespace

// A walk through one slot.
struct Expirer::Sweep {
  bool running = false;
  uint64_t position = 0;
  uint32_t visited = 0;
  uint32_t removed = 0;
  DueTimes due;
  std::vector<Entry*> batch;  // The keys of one piece that expire.
};

// Where a thread is in its range of slots.
struct Expirer::Share {
  uint32_t begin;
  uint32_t next;
  Sweep sweep;
};

Expirer::Expirer(Executor& executor)
    : executor_(executor), rest_until_ms_(std::make_unique<int64_t[]>(kSlotCount)) {}

Expirer::~Expirer() = default;

Expirer::Share& Expirer::share(uint32_t begin) {
  std::lock_guard lock(mutex_);
  for (auto& each : shares_) {
    if (each->begin == begin) return *each;
  }
  shares_.push_back(std::make_unique<Share>());
  shares_.back()->begin = shares_.back()->next = begin;
  return *shares_.back();
}

bool Expirer::run(uint32_t begin, uint32_t end, int64_t now_ms, int64_t budget_us) {
  if (begin >= end) return false;
  if (executor_.recorder() != nullptr) now_ms = executor_.recorder()->now_ms(now_ms);
  Share& mine = share(begin);
  int64_t end_us = now_us() + budget_us;
  for (uint32_t walked = 0; walked < end - begin; ++walked) {
    auto index = static_cast<SlotIndex>(mine.next);
    // A rest that seems too long was begun before the clock was set back.
    int64_t rest_ms = rest_until_ms_[index] - now_ms;
    bool is_due = executor_.keyspace().next_deadline(index) <= now_ms &&
                  (rest_ms <= 0 || rest_ms > kRestMsMax);
    if (mine.sweep.running || is_due) {
      if (!sweep(mine, index, now_ms, end_us)) return true;
    }
    mine.next = mine.next + 1 == end ? begin : mine.next + 1;
    if (is_due && now_us() >= end_us) return true;
  }
  return false;
}

bool Expirer::sweep(Share& share, SlotIndex index, int64_t now_ms, int64_t end_us) {
  Keyspace& keyspace = executor_.keyspace();
  Slot& slot = keyspace.slot(index);
  Sweep& sweep = share.sweep;
  for (;;) {
    slot.lock.lock();
    if (!sweep.running) {
      sweep.running = true;
      sweep.position = 0;
      sweep.visited = sweep.removed = 0;
      sweep.due.start(now_ms);
      // From here on it tells what deadlines were set during the sweep, behind its back.
      keyspace.set_next_deadline(index, INT64_MAX);
    }
    sweep_piece(sweep, slot, now_ms);
    bool done = sweep.position > UINT32_MAX;
    if (done) finish(sweep, index, now_ms);
    if (executor_.recorder() != nullptr) executor_.recorder()->commit();
    slot.lock.unlock();
    if (done) return true;
    if (now_us() >= end_us) return false;
  }
}

void Expirer::sweep_piece(Sweep& sweep, Slot& slot, int64_t now_ms) {
  if (slot.deadline_count == 0) {
    sweep.position = uint64_t{1} << 32;
    return;
  }
  sweep.batch.clear();
  auto from = static_cast<uint32_t>(sweep.position);
  sweep.position = slot.table.scan(from, kPieceKeys, [&](const uint64_t* word) {
    if (!(EntryTable::flags(*word) & kWordHasDeadline)) return;
    Entry* entry = EntryTable::node(*word);
    __builtin_prefetch(entry);
    sweep.batch.push_back(entry);
  });
  sweep.visited += static_cast<uint32_t>(sweep.batch.size());
  int64_t hashes_end_us = 0;
  for (Entry* entry : sweep.batch) {
    if (entry->has_deadline() && entry->deadline() <= now_ms) {
      remove(slot, entry, now_ms);
      ++sweep.removed;
      continue;
    }
    if (entry->has_deadline()) sweep.due.add(entry->deadline());
    if (entry->type() != Type::kHash) continue;
    int64_t next = next_field_deadline(entry);
    if (next == kNoDeadline || next > now_ms) {
      // Without any deadline left, the hash is no longer one to look at.
      if (next == kNoDeadline && !entry->has_deadline()) next = expire_hash(entry, now_ms);
    } else if (int64_t at_us = now_us(); hashes_end_us == 0 || at_us < hashes_end_us) {
      if (hashes_end_us == 0) hashes_end_us = at_us + kHashesUs;
      next = expire_hash(entry, now_ms);
      ++sweep.removed;
    }
    if (next != kNoDeadline) sweep.due.add(next);
  }
}

void Expirer::finish(Sweep& sweep, SlotIndex index, int64_t now_ms) {
  Keyspace& keyspace = executor_.keyspace();
  int64_t effort = std::clamp<int64_t>(executor_.limits().active_expire_effort, 1, 10);
  int64_t next_ms = sweep.due.next_ms(effort);
  keyspace.set_next_deadline(index, std::min(next_ms, keyspace.next_deadline(index)));
  bool was_worth_it = sweep.removed * kWorthwhileShare * effort >= sweep.visited;
  int64_t rest_ms = was_worth_it ? 0 : sweep.visited * kWaitMsPerKey / effort;
  rest_until_ms_[index] = now_ms + std::min(rest_ms, kRestMsMax);
  sweep.running = false;
}

void Expirer::remove(Slot& slot, Entry* entry, int64_t now_ms) {
  if (EffectRecorder* recorder = executor_.recorder(); recorder != nullptr) {
    recorder->begin_command(now_ms);
    recorder->record({.kind = EffectKind::kExpired, .db = entry->db(), .key = entry->key()});
  }
  if (slot.side != nullptr) slot.side->touch(entry->db(), entry->key());
  uint32_t position = EntryTraits::position(entry);
  uint64_t* word = slot.table.find(position, {entry->key(), entry->db()});
  executor_.keyspace().remove(slot, position, word);
  stats().expired_keys.add();
}

int64_t Expirer::expire_hash(Entry* entry, int64_t now_ms) {
  Session session;
  ByteBuffer unread;
  Reply reply(&unread);
  Context context{executor_, executor_.keyspace(), executor_.limits(), session, reply};
  context.now_ms = now_ms;
  context.db = entry->db();
  context.effects = executor_.recorder();
  if (context.records()) context.effects->begin_command(now_ms);
  std::string name(entry->key());
  Key key(context, name, Key::Use::kPeek);
  return key.exists() ? expire_fields(key, now_ms) : kNoDeadline;
}

}  // namespace dyno

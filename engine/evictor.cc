// SPDX-License-Identifier: Apache-2.0
#include "engine/evictor.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <mutex>
#include <string>

#include "engine/access_clock.h"
#include "engine/blocking.h"
#include "engine/memory.h"
#include "engine/reclaimer.h"
#include "engine/stats.h"

namespace dyno {
namespace {

// What one call may take.
constexpr int64_t kBudgetUs = 500;
constexpr int64_t kReclaimUs = 100;
// Commands of a thread between two looks at what other threads did.
constexpr uint32_t kCallsPerSum = 16;
// Words of a slot that are looked at for one that the policy may take.
constexpr uint32_t kWordsMax = 8192;
// From one slot that is looked at to the next, through all of them: neighbours may have been read
// from disk together, and be alike in having nothing to take.
constexpr uint32_t kSlotStride = 6151;

int64_t now_us() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

int64_t unix_time_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

uint64_t draw() {
  static thread_local uint64_t state = element_seed() ^ reinterpret_cast<uintptr_t>(&state);
  uint64_t z = (state += 0x9e3779b97f4a7c15ull);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

}  // namespace

// The worst keys seen lately, best to evict last.
class Evictor::Pool {
 public:
  static constexpr size_t kSize = 16;

  void add(int64_t score, const Entry* entry) {
    if (candidates_.size() == kSize && score <= candidates_.front().score) return;
    for (const Candidate& each : candidates_) {
      if (each.db == entry->db() && each.key == entry->key()) return;
    }
    if (candidates_.size() == kSize) candidates_.erase(candidates_.begin());
    auto at = std::upper_bound(candidates_.begin(), candidates_.end(), score,
                               [](int64_t s, const Candidate& each) { return s < each.score; });
    candidates_.insert(at, {score, entry->db(), std::string(entry->key())});
  }
  [[nodiscard]] bool empty() const { return candidates_.empty(); }
  [[nodiscard]] size_t size() const { return candidates_.size(); }
  [[nodiscard]] Candidate take_worst() {
    Candidate worst = std::move(candidates_.back());
    candidates_.pop_back();
    return worst;
  }
  // Scores of different policies do not compare.
  void adapt(EvictionPolicy policy, const void* owner) {
    if (policy == policy_ && owner == owner_) return;
    candidates_.clear();
    policy_ = policy;
    owner_ = owner;
  }

 private:
  std::vector<Candidate> candidates_;
  EvictionPolicy policy_ = EvictionPolicy::kNoEviction;
  const void* owner_ = nullptr;
};

Evictor::Pool& Evictor::pool() {
  static thread_local Pool own;
  return own;
}

Evictor::Evictor(Executor& executor, bool moves) : executor_(executor), moves_(moves) {}

int64_t Evictor::used_bytes() const {
  return memory::used_bytes() + (other_bytes_ != nullptr ? other_bytes_(other_argument_) : 0);
}

int64_t Evictor::estimated_bytes() const {
  struct View {
    const Evictor* owner = nullptr;
    uint32_t calls = 0;
    int64_t sum = 0;  // Of everything but this thread's own objects.
  };
  static thread_local View view;
  int64_t own = memory::thread_used_bytes();
  if (view.owner != this || ++view.calls >= kCallsPerSum) {
    view.owner = this;
    view.calls = 0;
    view.sum = used_bytes() - own;
  }
  return view.sum + own;
}

bool Evictor::make_room() {
  int64_t limit = executor_.limits().maxmemory_bytes;
  if (limit <= 0 || estimated_bytes() <= limit) return true;
  return evict_until(limit, now_us() + kBudgetUs);
}

bool Evictor::evict_until(int64_t limit, int64_t end_us) {
  Reclaimer& reclaimer = executor_.keyspace().reclaimer();
  int64_t now_ms = unix_time_ms();
  if (executor_.recorder() != nullptr) now_ms = executor_.recorder()->now_ms(now_ms);
  bool can_evict = executor_.limits().policy() != EvictionPolicy::kNoEviction;
  bool progress = false;
  while (used_bytes() > limit) {
    // Time may have passed without us: only what was tried can have failed.
    if (progress && now_us() >= end_us) return true;
    if (reclaimer.pending() > 0) {
      static_cast<void>(reclaimer.run(kReclaimUs));
      progress = true;
      continue;
    }
    // Several at a time, since the sum over all threads costs more than a small key.
    for (int i = 0; i < 8; ++i) {
      if (!can_evict || !evict_one(now_ms)) return false;
      progress = true;
      // A large value is freed in slices: its memory counts until then.
      if (estimated_bytes() <= limit || reclaimer.pending() > 0) break;
    }
  }
  return true;
}

EvictionPolicy Evictor::policy() const {
  EvictionPolicy policy = executor_.limits().policy();
  if (!moves_) return policy;
  switch (policy) {
    case EvictionPolicy::kVolatileLfu:
    case EvictionPolicy::kAllKeysLfu:
      return EvictionPolicy::kAllKeysLfu;
    case EvictionPolicy::kVolatileRandom:
    case EvictionPolicy::kAllKeysRandom:
      return EvictionPolicy::kAllKeysRandom;
    default:
      return EvictionPolicy::kAllKeysLru;
  }
}

bool Evictor::only_volatile() const {
  switch (policy()) {
    case EvictionPolicy::kVolatileLru:
    case EvictionPolicy::kVolatileLfu:
    case EvictionPolicy::kVolatileRandom:
    case EvictionPolicy::kVolatileTtl:
      return true;
    default:
      return false;
  }
}

int64_t Evictor::score(const Entry* entry, int64_t now_ms) const {
  if (only_volatile() && !entry->has_deadline()) return -1;
  switch (policy()) {
    case EvictionPolicy::kVolatileLru:
    case EvictionPolicy::kAllKeysLru:
      return idle_seconds(entry, now_ms);
    case EvictionPolicy::kVolatileLfu:
    case EvictionPolicy::kAllKeysLfu:
      return 255 - lfu_counter(entry, executor_.limits(), now_ms);
    case EvictionPolicy::kVolatileTtl:
      return INT64_MAX - entry->deadline();
    case EvictionPolicy::kVolatileRandom:
    case EvictionPolicy::kAllKeysRandom:
      return 0;
    case EvictionPolicy::kNoEviction:
      return -1;
  }
  return -1;
}

size_t Evictor::gather(const Slot& slot, uint32_t position, size_t wanted, Batch* batch) const {
  // Neighbours in a table are as random as any other keys, and cost less.
  bool volatile_only = only_volatile();
  auto step = static_cast<uint32_t>(volatile_only ? batch->size() : wanted);
  size_t count = 0;
  uint64_t at = position;
  // Of a small table no more than all.
  auto words_max =
      static_cast<uint32_t>(std::min<size_t>(kWordsMax, 2 * slot.table.size() + batch->size()));
  for (uint32_t words = 0; count == 0 && words < words_max; words += step) {
    at = slot.table.scan(static_cast<uint32_t>(at), step, [&](const uint64_t* word) {
      if (volatile_only && !(EntryTable::flags(*word) & kWordHasDeadline)) return;
      if (count == wanted || (EntryTable::flags(*word) & kWordCold)) return;
      (*batch)[count] = EntryTable::node(*word);
      __builtin_prefetch((*batch)[count++]);
    });
    if (at > UINT32_MAX) at = 0;
  }
  return count;
}

bool Evictor::sample(Pool* pool, int wanted, int64_t now_ms) {
  uint64_t bits = draw();
  auto start = static_cast<uint32_t>(bits % kSlotCount);
  auto position = static_cast<uint32_t>(bits >> 32);
  bool volatile_only = only_volatile();
  Batch batch;
  int found = 0;
  for (uint32_t i = 0; i < kSlotCount && found < wanted; ++i) {
    uint32_t index = (start + i * kSlotStride) % kSlotCount;
    Slot& slot = executor_.keyspace().slot(static_cast<SlotIndex>(index));
    slot.lock.lock();
    bool has_any = volatile_only ? slot.deadline_count != 0 : !slot.table.empty();
    size_t count =
        has_any ? gather(slot, position, static_cast<size_t>(wanted - found), &batch) : 0;
    for (size_t j = 0; j < count; ++j) {
      int64_t s = score(batch[j], now_ms);
      if (s < 0) continue;
      pool->add(s, batch[j]);
      ++found;
    }
    slot.lock.unlock();
  }
  return found != 0;
}

std::optional<Evictor::Candidate> Evictor::find_worst(int64_t now_ms) {
  Pool& candidates = pool();
  EvictionPolicy now = policy();
  candidates.adapt(now, this);
  bool random = now == EvictionPolicy::kAllKeysRandom || now == EvictionPolicy::kVolatileRandom;
  auto samples = static_cast<int>(
      random ? 1 : std::clamp<int64_t>(executor_.limits().maxmemory_samples, 1, kSamplesMax));
  bool has_enough = random && !candidates.empty();
  if (moves_) {
    // Many are taken in a row, and where most keys are cold a walk to those that are not is long.
    constexpr int kTaken = Pool::kSize / 2;
    samples = std::clamp(samples * kTaken, 2 * kTaken, kSamplesMax);
    has_enough = candidates.size() > kTaken;
  }
  if (!has_enough) {
    if (!sample(&candidates, samples, now_ms) && candidates.empty()) return std::nullopt;
  }
  return candidates.take_worst();
}

std::optional<Evictor::Candidate> Evictor::find_worst_near(SlotIndex index, uint32_t position,
                                                           int64_t now_ms) const {
  std::optional<Candidate> worst;
  Slot& slot = executor_.keyspace().slot(index);
  const std::lock_guard lock(slot.lock);
  slot.table.scan(position, 1, [&](const uint64_t* word) {
    if (EntryTable::flags(*word) & kWordCold) return;
    const Entry* entry = EntryTable::node(*word);
    int64_t s = score(entry, now_ms);
    if (s < 0 || (worst && s <= worst->score)) return;
    worst = Candidate{s, entry->db(), std::string(entry->key())};
  });
  return worst;
}

bool Evictor::evict_one(int64_t now_ms) {
  // A candidate may have been used or removed since it was seen, hence the limit.
  constexpr int kTries = 64;
  for (int i = 0; i < kTries; ++i) {
    std::optional<Candidate> worst = find_worst(now_ms);
    if (!worst) return false;
    if (evict(*worst, now_ms)) return true;
  }
  return true;
}

bool Evictor::evict(const Candidate& candidate, int64_t now_ms) {
  Keyspace& keyspace = executor_.keyspace();
  EffectRecorder* recorder = executor_.recorder();
  KeyHash hash = keyspace.hash(candidate.key);
  Slot& slot = keyspace.slot(hash.slot());
  uint32_t position = position_in_slot(hash.inner, candidate.db);
  slot.lock.lock();
  uint64_t* word = slot.table.find(position, {candidate.key, candidate.db});
  bool evicted = word != nullptr && score(EntryTable::node(*word), now_ms) >= candidate.score;
  if (evicted) {
    if (recorder != nullptr) {
      recorder->begin_command(now_ms);
      recorder->record({.kind = EffectKind::kEvicted, .db = candidate.db, .key = candidate.key});
    }
    if (slot.side != nullptr) slot.side->touch(candidate.db, candidate.key);
    keyspace.remove(slot, position, word);
    stats().evicted_keys.add();
    if (recorder != nullptr) recorder->commit();
  }
  slot.lock.unlock();
  return evicted;
}

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
#include "src/spill.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "engine/access_clock.h"
#include "engine/live_key.h"
#include "engine/memory.h"
#include "src/client.h"
#include "src/event_loop.h"
#include "src/server.h"
#include "src/thread_name.h"

namespace dyno {
namespace {

// Values move from here on, as a share of maxmemory, until memory is down to there.
constexpr double kHighShare = 0.95;
constexpr double kLowShare = 0.92;
constexpr size_t kBatchKeysMax = 1024;
constexpr size_t kBatchBytesMax = size_t{1} << 20;
// How long keys are looked at for a batch: most may have to stay, or be cold already.
constexpr int64_t kGatherUs = 20'000;
constexpr size_t kReadKeysMax = 32;
// What is left to one reader, however many others have nothing to do: to wake one costs as much as
// to read a value that the system has in memory.
constexpr size_t kReadKeysMin = 4;
// Failures to be told that are remembered.
constexpr size_t kFailuresMax = 1024;
constexpr auto kLookEvery = std::chrono::milliseconds(100);
// How long memory may be full with nothing to move before commands are refused: what is on its way
// to disk takes memory, too.
constexpr int64_t kPatienceUs = 1'000'000;
constexpr auto kRetryAfter = std::chrono::milliseconds(500);
// How long values stay that came back, and how many are known as such.
constexpr int64_t kStayUs = 100'000;
constexpr size_t kArrivedMax = 4096;
// How many are known, longer, as what is likely to go again, and how many of these are looked at
// between two searches.
constexpr size_t kReturnedMax = size_t{1} << 17;
constexpr int kLooksPerSearch = 16;
// How long a read waits for room; then memory passes its limit by what it reads.
constexpr int kRoomWaitMs = 50;

thread_local ColdName thread_wanted;

}  // namespace

Spill::Spill(Server& server, ValueStore& values)
    : server_(server),
      values_(values),
      coldest_(server.executor(), /*moves=*/true),
      gate_(server.keyspace(), *this) {}

Spill::~Spill() {
  stop();
}

// --- Start and end ------------------------------------------------------------------------------

void Spill::start() {
  coldest_.set_other_bytes(
      [](void* server) { return static_cast<Server*>(server)->other_memory_bytes(); }, &server_);
  server_.keyspace().set_cold_keys(this);
  server_.executor().set_cold_gate(&gate_);
  server_.executor().set_make_room(
      [](void* spill) { return static_cast<Spill*>(spill)->make_room(); }, this);
  mover_ = std::thread([this] { move(); });
  int64_t count = server_.config().storage.readers.load();
  for (int64_t i = 0; i < count; ++i) readers_.emplace_back([this] { read(); });
}

void Spill::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_mover_.notify_all();
  wake_readers_.notify_all();
  if (mover_.joinable()) mover_.join();
  for (std::thread& reader : readers_) reader.join();
  readers_.clear();
  server_.keyspace().set_cold_keys(nullptr);
}

bool Spill::evicts() const {
  return server_.storage() != nullptr && server_.limits().policy() != EvictionPolicy::kNoEviction;
}

int64_t Spill::limit() const {
  return evicts() ? 0 : int64_t{server_.limits().maxmemory_bytes};
}

int64_t Spill::share_of_limit(double share) const {
  return static_cast<int64_t>(static_cast<double>(limit()) * share);
}

bool Spill::is_beyond(double share) const {
  return limit() > 0 && coldest_.used_bytes() > share_of_limit(share);
}

// --- Network threads ----------------------------------------------------------------------------

bool Spill::make_room() {
  if (evicts()) return server_.evictor().make_room();
  int64_t used = coldest_.estimated_bytes();
  if (used <= share_of_limit(kHighShare)) return true;
  if (used > limit() && !is_stuck_.load(std::memory_order_relaxed)) is_over_.store(true);
  call_mover();
  return used <= limit() || !is_stuck_.load(std::memory_order_relaxed);
}

bool Spill::has_room() {
  if (limit() == 0) return true;
  (void)make_room();
  return !is_over();
}

void Spill::call_mover() {
  if (is_due_.exchange(true)) return;
  std::lock_guard lock(mutex_);
  wake_mover_.notify_one();
}

bool Spill::holds_back(const Client& client, Args args) const {
  if (!is_over_.load()) [[likely]]
    return false;
  const CommandSpec* spec = server_.commands().find(args);
  if (spec == nullptr) return false;
  if (spec->name == "EXEC") return client.multi_needs_memory;
  return (spec->flags & kDenyOom) != 0;
}

bool Spill::is_reading(const ColdName& name) const {
  std::lock_guard lock(mutex_);
  return wanted_.contains(name);
}

const ColdName& Spill::wanted_by_thread() {
  return thread_wanted;
}

bool Spill::want(SlotIndex slot, int db, std::string_view name) {
  thread_wanted = {slot, db, std::string(name)};
  std::lock_guard lock(mutex_);
  if (!wanted_.emplace(thread_wanted, true).second) return false;
  queue_.push_back(thread_wanted);
  // A reader that leaves some to others wakes them.
  if (queue_.size() == 1) wake_readers_.notify_one();
  return true;
}

std::string Spill::take_failure(SlotIndex slot, int db, std::string_view name) {
  std::lock_guard lock(mutex_);
  if (read_failures_.empty()) return {};
  auto found = read_failures_.find(ColdName{slot, db, std::string(name)});
  if (found == read_failures_.end()) return {};
  std::string failure = std::move(found->second);
  read_failures_.erase(found);
  return failure;
}

void Spill::forget(SlotIndex slot, int db, std::string_view name) {
  ColdName gone{slot, db, std::string(name)};
  {
    std::lock_guard lock(mutex_);
    if (auto found = wanted_.find(gone); found != wanted_.end()) found->second = false;
  }
  values_.forget(gone);
}

void Spill::forget_all() {
  {
    std::lock_guard lock(mutex_);
    for (auto& [_, is_current] : wanted_) is_current = false;
    read_failures_.clear();
  }
  values_.forget_all();
}

// --- The mover ----------------------------------------------------------------------------------

bool Spill::wait_to_move(std::unique_lock<std::mutex>& lock) {
  wake_mover_.wait_for(lock, kLookEvery, [this] { return stopping_ || is_due_.load(); });
  return !stopping_;
}

bool Spill::is_stopping() const {
  std::lock_guard lock(mutex_);
  return stopping_;
}

void Spill::move() {
  name_thread("mover");
  std::unique_lock lock(mutex_);
  int64_t full_since_us = monotonic_us();
  while (wait_to_move(lock)) {
    is_due_.store(false);
    lock.unlock();
    memory::return_idle();
    bool may_move = true;
    bool is_due = is_beyond(kHighShare);
    // What is to be erased is, even when nothing has to move.
    do {
      may_move = move_batch(is_due);
      // Who waits for room need not wait until there is plenty.
      if (is_over() && !is_beyond(1)) let_in();
    } while (may_move && is_due && is_beyond(kLowShare) && !is_stopping());
    bool is_full = !may_move && is_due && is_beyond(1);
    if (!is_full) full_since_us = monotonic_us();
    is_stuck_.store(is_full && monotonic_us() - full_since_us > kPatienceUs);
    let_in();
    lock.lock();
    // Looking for what may go, again and again, would only keep others from their slots.
    if (!may_move && is_due) wake_mover_.wait_for(lock, kLookEvery, [this] { return stopping_; });
  }
}

void Spill::let_in() {
  if (is_over_.exchange(false)) server_.disk_moved();
}

bool Spill::move_batch(bool moves) {
  Batch batch;
  if (moves) batch = gather();
  // What comes now is to wait until these have gone, however long that takes.
  if (!batch.empty()) is_stuck_.store(false);
  if (!values_.write(batch).empty()) {
    std::unique_lock lock(mutex_);
    wake_mover_.wait_for(lock, kRetryAfter, [this] { return stopping_; });
    return false;
  }
  chill(batch);
  return !batch.empty();
}

Spill::Batch Spill::gather() {
  Batch batch;
  Names seen = names_to_stay();
  size_t bytes = 0;
  int64_t now_ms = unix_time_ms();
  int64_t end_us = monotonic_us() + kGatherUs;
  while (batch.size() < kBatchKeysMax && bytes < kBatchBytesMax && monotonic_us() < end_us) {
    std::optional<Evictor::Candidate> worst = next_candidate(now_ms);
    if (!worst) break;
    SlotIndex index = server_.keyspace().hash(worst->key).slot();
    if (!seen.insert({index, worst->db, worst->key}).second) continue;
    std::lock_guard lock(server_.keyspace().slot(index).lock);
    LiveKey live(server_.executor(), worst->db, worst->key, INT64_MIN);
    if (!live.key().exists() || live.key().is_cold()) continue;
    if (coldest_.score(live.key().entry(), now_ms) < worst->score) continue;
    ValueStore::Leaving leaving;
    if (!values_.mark(live.key(), &leaving.mark)) continue;
    leaving.name = {index, worst->db, std::move(worst->key)};
    bytes += leaving.mark.size();
    batch.push_back(std::move(leaving));
  }
  return batch;
}

std::optional<Evictor::Candidate> Spill::next_candidate(int64_t now_ms) {
  while (looks_ > 0 && !returned_.empty()) {
    --looks_;
    Place place = returned_.front();
    returned_.pop_front();
    auto worst = coldest_.find_worst_near(place.slot, place.position, now_ms);
    if (worst && worst->score >= bar_) return worst;
  }
  auto worst = coldest_.find_worst(now_ms);
  // Clocks tick in seconds: what a search finds is hardly better than what is one of them younger.
  if (worst) bar_ = worst->score - 1;
  looks_ = kLooksPerSearch;
  return worst;
}

Spill::Names Spill::names_to_stay() {
  Names names;
  int64_t since_us = monotonic_us() - kStayUs;
  std::lock_guard lock(mutex_);
  while (!arrived_.empty() && arrived_.front().first < since_us) {
    const ColdName& name = arrived_.front().second;
    if (returned_.size() >= kReturnedMax) returned_.pop_front();
    uint64_t inner = server_.keyspace().hash(name.text).inner;
    returned_.push_back({name.slot, position_in_slot(inner, name.db)});
    arrived_.pop_front();
  }
  for (const auto& [_, name] : arrived_) names.insert(name);
  return names;
}

void Spill::chill(const Batch& batch) {
  uint64_t moved = 0;
  std::string mark;
  for (const ValueStore::Leaving& each : batch) {
    Slot& slot = server_.keyspace().slot(each.name.slot);
    std::lock_guard lock(slot.lock);
    LiveKey live(server_.executor(), each.name.db, each.name.text, INT64_MIN);
    Key& key = live.key();
    mark.clear();
    if (key.exists() && !key.is_cold() && values_.mark(key, &mark) && mark == each.mark) {
      server_.keyspace().chill(slot, key.word());
      ++moved;
    } else {
      values_.forget(each.name);
    }
  }
  std::lock_guard lock(mutex_);
  figures_.moved += moved;
  figures_.kept += batch.size() - moved;
}

void Spill::let_go(SlotIndex slot, int db, std::string_view name) {
  int64_t room = limit();
  if (room == 0 || coldest_.estimated_bytes() <= share_of_limit(kLowShare)) return;
  std::lock_guard lock(server_.keyspace().slot(slot).lock);
  LiveKey live(server_.executor(), db, name, INT64_MIN);
  Key& key = live.key();
  std::string mark;
  if (!key.exists() || key.is_cold() || !values_.mark(key, &mark)) return;
  server_.keyspace().chill(key.slot(), key.word());
}

// --- The readers --------------------------------------------------------------------------------

void Spill::read() {
  name_thread("reader");
  std::vector<ColdName> names;
  std::vector<RocksStore::KeyRead> reads;
  std::unique_lock lock(mutex_);
  for (;;) {
    ++idle_readers_;
    wake_readers_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    --idle_readers_;
    if (stopping_) return;
    names.clear();
    size_t share = queue_.size() / (idle_readers_ + 1);
    share = std::clamp(share, kReadKeysMin, kReadKeysMax);
    while (!queue_.empty() && names.size() < share) {
      names.push_back(std::move(queue_.front()));
      queue_.pop_front();
    }
    bool leaves_some = !queue_.empty();
    lock.unlock();
    if (leaves_some) wake_readers_.notify_one();
    wait_for_room();
    int64_t began_us = monotonic_us();
    reads.clear();
    for (const ColdName& name : names) reads.push_back({name.slot, name.db, name.text, {}, {}});
    values_.read(reads);
    for (const RocksStore::KeyRead& each : reads) bring_back(each);
    auto took_us = static_cast<uint64_t>(monotonic_us() - began_us);
    server_.disk_moved();
    memory::return_idle();
    // Commands that only read ask for no room, and would run into the limit.
    if (is_beyond(kHighShare)) call_mover();
    lock.lock();
    figures_.read += reads.size();
    figures_.read_us += took_us * reads.size();
    figures_.read_us_max = std::max(figures_.read_us_max, took_us);
  }
}

void Spill::wait_for_room() {
  for (int i = 0; i < kRoomWaitMs; ++i) {
    if (!is_beyond(1) || is_stuck_.load()) return;
    (void)make_room();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

std::string Spill::restore(Key& key, std::string_view bytes) {
  if (bytes.empty()) return "the value is missing";
  if (!values_.restore(key, bytes)) return "the value is damaged";
  Context& context = key.context();
  uint64_t random = context.limits.policy_is_lfu() ? context.random() : 0;
  set_returned_clock(key.entry(), context.limits, unix_time_ms(), random);
  return {};
}

void Spill::bring_back(const RocksStore::KeyRead& read) {
  std::lock_guard slot_lock(server_.keyspace().slot(read.slot).lock);
  ColdName name{read.slot, read.db, std::string(read.name)};
  bool is_current = false;
  {
    std::lock_guard lock(mutex_);
    is_current = wanted_.at(name);
  }
  std::string failure = read.failure;
  if (is_current) {
    // One that has expired meanwhile is for the command to find.
    LiveKey live(server_.executor(), read.db, read.name, INT64_MIN);
    Key& key = live.key();
    bool is_cold = key.exists() && key.is_cold();
    if (is_cold && failure.empty()) failure = restore(key, read.bytes);
    if (!is_cold) failure.clear();
  }
  std::lock_guard lock(mutex_);
  wanted_.erase(name);
  if (!is_current) return;
  if (failure.empty()) {
    if (arrived_.size() >= kArrivedMax) arrived_.pop_front();
    arrived_.emplace_back(monotonic_us(), std::move(name));
    return;
  }
  ++figures_.read_failures;
  if (read_failures_.size() >= kFailuresMax) read_failures_.clear();
  read_failures_[std::move(name)] = std::move(failure);
}

Spill::Figures Spill::figures() const {
  std::lock_guard lock(mutex_);
  Figures figures = figures_;
  figures.wanted = wanted_.size();
  figures.is_stuck = is_stuck_.load();
  return figures;
}

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
#include "engine/key_state.h"

#include <algorithm>
#include <utility>

#include "protocol/check.h"

namespace dyno {
namespace {

// Stand for a part of a key that is no element, among the hashes of elements.
constexpr uint64_t kDeadlinePart = 0x646561646c696e65;
constexpr uint64_t kSketchPart = 0x736b657463686573;

}  // namespace

KeyState::KeyState(Replica& replica, SlotIndex slot, int db, std::string_view name)
    : replica_(replica),
      slot_(replica.slot(slot)),
      hash_(replica.hash().key(db, name)),
      name_(name),
      record_(&scratch_),
      word_(slot_.find(hash_)) {
  if (word_ == 0 || ReplicaSlot::is_stamp(word_)) {
    scratch_.db = db;
    if (word_ == 0) return;
    scratch_.is_live = true;
    scratch_.clear = scratch_.type_stamp = scratch_.base = scratch_.latest = word_;
    scratch_.digest = element_term(element_hash({}), word_);
  } else {
    record_ = ReplicaSlot::record(word_);
    was_awaiting_ = record_->awaits_collection;
  }
}

KeyState::~KeyState() {
  bool is_kept = record_ != &scratch_;
  uint64_t word = 0;
  if (record_->is_plain()) {
    word = record_->base;
  } else if (is_worth_keeping()) {
    if (!is_kept) {
      auto* kept = new KeyRecord(std::move(scratch_));
      kept->name = name_;
      replica_.counts().records.fetch_add(1, std::memory_order_relaxed);
      word = ReplicaSlot::word(kept);
      record_ = kept;
    } else {
      word = word_;
    }
    if (record_->awaits_collection && !was_awaiting_) slot_.awaiting.push_back(hash_);
  }
  if (word == 0 || ReplicaSlot::is_stamp(word)) forget_traces();
  if (is_kept && word != word_) {
    replica_.counts().records.fetch_sub(1, std::memory_order_relaxed);
    delete record_;
  }
  if (word == word_) return;
  word == 0 ? slot_.erase(hash_) : slot_.set(hash_, word);
}

// A flush is never forgotten, and nothing older than it needs a trace.
bool KeyState::is_worth_keeping() const {
  if (record_->latest == 0) return false;
  return record_->is_live || record_->counters != nullptr ||
         record_->latest >= slot_.flushed(record_->db);
}

// The traces go with the record.
void KeyState::forget_traces() {
  int64_t count = record_->trace_count();
  if (count == 0) return;
  replica_.counts().tombstones.fetch_sub(count, std::memory_order_relaxed);
}

void KeyState::add(Digest term) {
  record_->digest += term;
  slot_.digest += term;
}

void KeyState::subtract(Digest term) {
  record_->digest -= term;
  slot_.digest -= term;
}

Stamp KeyState::floor() const {
  Stamp other = record_->other_stamp == 0 ? 0 : record_->other_stamp + 1;
  return std::max({record_->clear, other, slot_.flushed(record_->db)});
}

Stamp KeyState::expiry_floor(int64_t now_ms) const {
  bool is_past = record_->deadline_ms >= 0 && record_->deadline_ms <= now_ms;
  return is_past ? first_stamp_of(record_->deadline_ms) : 0;
}

Stamp KeyState::floor(int64_t now_ms) const {
  return std::max(floor(), expiry_floor(now_ms));
}

// --- Elements -----------------------------------------------------------------------------------

Stamp KeyState::element_stamp(uint64_t element_hash) const {
  Stamp own = record_->stamps.find(element_hash);
  return own != 0 ? own : record_->base;
}

void KeyState::put_element(uint64_t element_hash, Stamp old, Stamp stamp) {
  if (old != 0) subtract(element_term(element_hash, old));
  add(element_term(element_hash, stamp));
  if (record_->base == 0 || record_->type == Type::kString) record_->base = stamp;
  if (stamp == record_->base) {
    if (old != 0 && old != stamp) record_->stamps.erase(element_hash);
  } else {
    record_->stamps.set(element_hash, stamp);
  }
  note(stamp);
}

void KeyState::drop_element(uint64_t element_hash, Stamp old) {
  subtract(element_term(element_hash, old));
  if (record_->type == Type::kString) {
    record_->base = 0;
  } else if (old != record_->base) {
    record_->stamps.erase(element_hash);
  }
}

void KeyState::bury(Type type, std::string_view element, Stamp stamp) {
  if (record_->gone == nullptr) {
    record_->gone = std::make_unique<std::map<std::string, Stamp, std::less<>>>();
  }
  auto [at, is_new] = record_->gone->try_emplace(KeyRecord::element_name(type, element), stamp);
  if (is_new) replica_.counts().tombstones.fetch_add(1, std::memory_order_relaxed);
  at->second = std::max(at->second, stamp);
  note(stamp);
  await_collection();
}

void KeyState::unbury(Type type, std::string_view element) {
  if (record_->gone == nullptr) return;
  auto at = record_->gone->find(KeyRecord::element_name(type, element));
  if (at == record_->gone->end()) return;
  record_->gone->erase(at);
  replica_.counts().tombstones.fetch_sub(1, std::memory_order_relaxed);
  if (record_->gone->empty()) record_->gone.reset();
}

void KeyState::set_field_deadline(uint64_t element_hash, Stamp stamp) {
  Stamp old = field_deadline_stamp(element_hash);
  if (old == stamp) return;
  if (old != 0) subtract(field_deadline_term(element_hash, old));
  if (stamp == 0) {
    record_->field_deadlines->erase(element_hash);
    if (record_->field_deadlines->empty()) record_->field_deadlines.reset();
    return;
  }
  add(field_deadline_term(element_hash, stamp));
  if (record_->field_deadlines == nullptr) {
    record_->field_deadlines = std::make_unique<StampMap>();
  }
  record_->field_deadlines->set(element_hash, stamp);
  note(stamp);
}

Digest KeyState::field_deadline_term(uint64_t element_hash, Stamp stamp) const {
  return replica_.faults.digest_without_deadlines
             ? Digest{}
             : element_term(element_hash ^ kDeadlinePart, stamp);
}

// --- Counters -----------------------------------------------------------------------------------

Digest KeyState::counter_terms(std::string_view element, const SharedCounter& counter) const {
  Digest sum;
  uint64_t element_hash = this->element_hash(element);
  const SharedCounter::Cut cut = this->cut();
  if (counter.has_base(cut)) sum += element_term(element_hash, counter.base().stamp);
  for (const Total& total : counter.totals()) {
    if (!counter.counts(total, cut)) continue;
    const Total* seen = counter.observed_of(total.actor);
    bool same = seen != nullptr && seen->generation == total.generation;
    uint64_t actor = total.actor;
    sum += replica_.hash().term(hash_, element_hash ^ (actor << 32 | actor), total.stamp,
                                total.generation ^ (same ? seen->stamp * 3 : 0));
  }
  return sum;
}

void KeyState::add_counter_terms(std::string_view element, const SharedCounter& counter, int sign) {
  if (counter.type() != record_->type) return;
  Digest terms = counter_terms(element, counter);
  sign > 0 ? add(terms) : subtract(terms);
}

void KeyState::add_all_counter_terms(int sign) {
  if (record_->counters == nullptr) return;
  for (auto& [name, counter] : *record_->counters) {
    add_counter_terms(KeyRecord::bare_element(name), counter, sign);
  }
}

SharedCounter& KeyState::make_counter(Type type, std::string_view element, bool was_there,
                                      SharedCounter::Base base) {
  KeyRecord& record = *record_;
  if (SharedCounter* counter = record.counter(type, element)) return *counter;
  if (was_there) {
    uint64_t element_hash = this->element_hash(element);
    base.stamp = element_stamp(element_hash);
    base.exists = true;
    drop_element(element_hash, base.stamp);
  } else {
    // What was removed stays so: the trace becomes the base.
    base = {};
    base.stamp = record.gone_stamp(type, element);
    unbury(type, element);
  }
  if (record.counters == nullptr) {
    record.counters = std::make_unique<std::map<std::string, SharedCounter, std::less<>>>();
  }
  std::string name = KeyRecord::element_name(type, element);
  SharedCounter& counter = record.counters->try_emplace(std::move(name), type).first->second;
  change_counter(element, counter, [&] { (void)counter.set_base(std::move(base)); });
  return counter;
}

void KeyState::replace_base(std::string_view element, SharedCounter& counter,
                            SharedCounter::Base base) {
  note(base.stamp);
  change_counter(element, counter, [&] {
    counter.observe_all();
    (void)counter.set_base(std::move(base));
  });
  await_collection();
}

// --- Lists --------------------------------------------------------------------------------------

Digest KeyState::item_term(const ItemId& id, Stamp stamp) const {
  return element_term(replica_.hash().item(id.head, id.stamp, id.index), stamp);
}

Stamp KeyState::item_stamp(const ItemId& id) const {
  Stamp changed = record_->list->changed.find(replica_.hash().item(id.head, id.stamp, id.index));
  return changed != 0 ? changed : id.stamp;
}

void KeyState::put_item(const ItemId& id, Stamp changed) {
  add(item_term(id, changed));
  if (changed != id.stamp) {
    record_->list->changed.set(replica_.hash().item(id.head, id.stamp, id.index), changed);
  }
  note(id.stamp);
  note(changed);
}

void KeyState::change_item(const ItemId& id, Stamp stamp) {
  subtract(item_term(id, item_stamp(id)));
  put_item(id, stamp);
}

void KeyState::drop_items(size_t position, size_t count, Stamp stamp) {
  ListRecord& list = *record_->list;
  list.ids.for_each_run(position, count, [&](const ItemId& first, uint32_t run) {
    for (uint32_t i = 0; i < run; ++i) {
      ItemId id = first;
      id.index = first.head ? first.index - i : first.index + i;
      subtract(item_term(id, item_stamp(id)));
      if (!list.changed.empty()) {
        list.changed.erase(replica_.hash().item(id.head, id.stamp, id.index));
      }
      if (stamp != 0) bury_item(id, stamp);
    }
  });
  list.ids.erase(position, count);
}

bool KeyState::is_dead(const ItemId& id) const {
  const ListRecord* list = record_->list.get();
  return list != nullptr && (list->dead.find(id) || list->dying.find(id));
}

void KeyState::bury_item(const ItemId& id, Stamp stamp) {
  ListRecord& list = record_->make_list();
  note(stamp);
  if (list.dead_stamp < stamp) list.dead_stamp = stamp;
  if (is_dead(id)) return;
  (void)list.dead.insert(id);
  replica_.counts().tombstones.fetch_add(1, std::memory_order_relaxed);
  await_collection();
}

// --- The key ------------------------------------------------------------------------------------

bool KeyState::claim_type(Type type, Stamp stamp) {
  KeyRecord& record = *record_;
  note(stamp);
  if (record.type_stamp == 0 || record.type == type) {
    if (record.type != type) DYNO_CHECK(!record.is_live);
    record.type = type;
    record.type_stamp = std::max(record.type_stamp, stamp);
    return true;
  }
  if (!outranks(type, stamp)) {
    set_other_stamp(stamp < record.type_stamp ? stamp : stamp - 1);
    return false;
  }
  drop_all();
  add_all_counter_terms(-1);
  record.other_stamp = stamp > record.type_stamp ? record.type_stamp : stamp - 1;
  record.type = type;
  record.type_stamp = stamp;
  add_all_counter_terms(1);
  end_old_deadline();
  await_collection();
  return true;
}

void KeyState::set_other_stamp(Stamp stamp) {
  note(stamp);
  if (stamp <= record_->other_stamp) return;
  add_all_counter_terms(-1);
  record_->other_stamp = stamp;
  add_all_counter_terms(1);
  end_old_deadline();
  await_collection();
}

void KeyState::end_old_deadline() {
  if (record_->deadline_stamp != 0 && record_->deadline_stamp < floor()) set_deadline(0, -1);
}

Digest KeyState::deadline_term() const {
  bool counts = record_->is_live && record_->deadline_ms >= 0 && !record_->lapsed &&
                !replica_.faults.digest_without_deadlines;
  return counts ? element_term(kDeadlinePart, record_->deadline_stamp) : Digest{};
}

Digest KeyState::sketch_term(uint64_t registers_hash) const {
  return replica_.hash().term(hash_, kSketchPart, registers_hash);
}

void KeyState::set_sketch_term(uint64_t registers_hash) {
  SketchRecord& sketch = *record_->sketch;
  if (sketch.registers_hash != 0) subtract(sketch_term(sketch.registers_hash));
  sketch.registers_hash = registers_hash;
  if (registers_hash != 0) add(sketch_term(registers_hash));
}

void KeyState::set_live(bool live) {
  subtract(deadline_term());
  record_->is_live = live;
  add(deadline_term());
  if (live) return;
  record_->base = 0;
  record_->stamps = StampMap();
}

void KeyState::drop_all() {
  KeyRecord& record = *record_;
  slot_.digest -= record.digest;
  record.digest = {};
  record.is_live = false;
  record.base = 0;
  record.stamps = StampMap();
  record.field_deadlines.reset();
  record.sketch.reset();
  if (record.list != nullptr) {
    record.list->ids.clear();
    record.list->changed = StampMap();
  }
  // What was added to counters outlives the rest, until a write has observed it.
  add_all_counter_terms(1);
}

void KeyState::set_clear(Stamp stamp) {
  KeyRecord& record = *record_;
  note(stamp);
  if (stamp <= record.clear) return;
  // The digest of a counter depends on the floor that its base is judged by.
  add_all_counter_terms(-1);
  record.clear = stamp;
  add_all_counter_terms(1);
  end_old_deadline();
  if (record.gone != nullptr) {
    auto erased = static_cast<int64_t>(
        std::erase_if(*record.gone, [&](const auto& each) { return each.second < stamp; }));
    replica_.counts().tombstones.fetch_sub(erased, std::memory_order_relaxed);
    if (record.gone->empty()) record.gone.reset();
  }
  await_collection();
}

void KeyState::set_deadline(Stamp stamp, int64_t deadline_ms) {
  subtract(deadline_term());
  // What the former deadline hid of counters shows again.
  if (record_->lapsed) add_all_counter_terms(-1);
  bool was_lapsed = std::exchange(record_->lapsed, false);
  record_->deadline_stamp = stamp;
  record_->deadline_ms = deadline_ms;
  if (was_lapsed) add_all_counter_terms(1);
  add(deadline_term());
  note(stamp);
}

void KeyState::lapse() {
  drop_all();
  mark_lapsed();
}

void KeyState::mark_lapsed() {
  subtract(deadline_term());
  add_all_counter_terms(-1);
  record_->lapsed = true;
  add_all_counter_terms(1);
  await_collection();
}

void KeyState::set_early_deadline(std::string_view field, Stamp stamp, int64_t at_ms) {
  if (record_->early_deadlines == nullptr) {
    record_->early_deadlines =
        std::make_unique<std::map<std::string, KeyRecord::EarlyDeadline, std::less<>>>();
  }
  KeyRecord::EarlyDeadline& early = (*record_->early_deadlines)[std::string(field)];
  if (early.stamp < stamp) early = {stamp, at_ms};
  note(stamp);
  await_collection();
}

KeyRecord::EarlyDeadline KeyState::take_early_deadline(std::string_view field) {
  if (record_->early_deadlines == nullptr) return {0, -1};
  auto at = record_->early_deadlines->find(field);
  if (at == record_->early_deadlines->end()) return {0, -1};
  KeyRecord::EarlyDeadline early = at->second;
  record_->early_deadlines->erase(at);
  if (record_->early_deadlines->empty()) record_->early_deadlines.reset();
  return early;
}

// The slot learns of it when the record is put back, if it is: a plain stamp leaves no trace.
void KeyState::await_collection() {
  record_->awaits_collection = true;
}

// --- Collection ---------------------------------------------------------------------------------

void KeyState::collect_list(Stamp horizon) {
  ListRecord& list = *record_->list;
  auto drop = [&](ItemIds& ids) {
    replica_.counts().tombstones.fetch_sub(static_cast<int64_t>(ids.size()),
                                           std::memory_order_relaxed);
    ids.clear();
  };
  if (!list.dying.empty() && list.dying_stamp <= horizon) drop(list.dying);
  if (list.dying.empty() && !list.dead.empty()) {
    std::swap(list.dying, list.dead);
    list.dying_stamp = list.dead_stamp;
    if (list.dying_stamp <= horizon) drop(list.dying);
  }
  if (!record_->is_live && list.dead.empty() && list.dying.empty()) record_->list.reset();
}

void KeyState::collect_counters(Stamp horizon, Stamp now) {
  KeyRecord& record = *record_;
  for (auto at = record.counters->begin(); at != record.counters->end();) {
    SharedCounter& counter = at->second;
    if (!counter.collect(cut(), horizon, now)) {
      ++at;
      continue;
    }
    // Only the base is left: an element like any other, or nothing.
    if (counter.type() == record.type && counter.has_base(cut())) {
      std::string_view element = KeyRecord::bare_element(at->first);
      subtract(counter_terms(element, counter));
      put_element(element_hash(element), 0, counter.base().stamp);
    }
    at = record.counters->erase(at);
  }
  if (record.counters->empty()) record.counters.reset();
}

bool KeyState::collect(Stamp horizon, Stamp now) {
  KeyRecord& record = *record_;
  if (record.gone != nullptr) {
    auto erased = static_cast<int64_t>(
        std::erase_if(*record.gone, [&](const auto& each) { return each.second <= horizon; }));
    replica_.counts().tombstones.fetch_sub(erased, std::memory_order_relaxed);
    if (record.gone->empty()) record.gone.reset();
  }
  if (record.counters != nullptr) collect_counters(horizon, now);
  if (record.list != nullptr) collect_list(horizon);
  if (record.lapsed && first_stamp_of(record.deadline_ms) <= horizon &&
      record.deadline_stamp <= horizon) {
    if (record.counters != nullptr) {
      for (auto& each : *record.counters) {
        each.second.forget_older(first_stamp_of(record.deadline_ms));
      }
    }
    set_deadline(0, -1);
  }
  // A counter's base may lie below it.
  if (record.other_stamp <= horizon && record.counters == nullptr) record.other_stamp = 0;
  if (record.sketch != nullptr) {
    std::erase_if(record.sketch->recent, [&](const SketchRecord::Raised& raised) {
      if (raised.stamp > horizon) return false;
      record.sketch->folded = std::max(record.sketch->folded, raised.stamp);
      return true;
    });
  }
  if (record.early_deadlines != nullptr) {
    std::erase_if(*record.early_deadlines,
                  [&](const auto& each) { return each.second.stamp <= horizon; });
    if (record.early_deadlines->empty()) record.early_deadlines.reset();
  }
  bool waits =
      record.gone != nullptr || record.early_deadlines != nullptr || record.other_stamp != 0 ||
      record.lapsed ||
      (record.list != nullptr && !(record.list->dead.empty() && record.list->dying.empty())) ||
      (record.sketch != nullptr && !record.sketch->recent.empty());
  if (record.counters != nullptr) {
    for (const auto& [name, counter] : *record.counters) waits |= !counter.has_unobserved(cut());
  }
  if (record.clear > horizon) waits = true;
  if (!record.is_live && record.counters == nullptr) {
    // A deadline of no key, a clear, the last type: nothing older than them is on its way.
    if (record.latest > horizon) waits = true;
    if (!waits) record.latest = 0;
  } else if (!waits && record.type == Type::kString && record.base != 0 &&
             record.latest <= horizon && record.deadline_ms < 0 && record.sketch == nullptr &&
             record.counters == nullptr) {
    // The string is as good as set as a whole: no older write is on its way to tell them apart.
    record.clear = record.type_stamp = record.latest = record.base;
  }
  record.awaits_collection = waits;
  return waits;
}

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
#include "engine/replica/key_state.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

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
  if (ReplicaSlot::is_record(word_)) {
    record_ = ReplicaSlot::record(word_);
    was_awaiting_ = record_->awaits_collection;
    return;
  }
  scratch_.db = db;
  if (word_ == 0) return;
  if (ReplicaSlot::is_brief(word_)) {
    brief_ = ReplicaSlot::brief(word_);
    brief_->read(&scratch_);
  } else {
    const Stamp stamp = ReplicaSlot::stamp(word_);
    scratch_.is_live = true;
    scratch_.clear = scratch_.type_stamp = scratch_.base = scratch_.latest = stamp;
    if (ReplicaSlot::is_timed(word_)) {
      scratch_.deadline_stamp = stamp;
      scratch_.deadline_ms = deadline_of_entry(slot);
    }
  }
  if (scratch_.type == Type::kString) scratch_.digest = string_digest();
}

// Effects tell of a string with a deadline after it was written, so the former time may be gone;
// then the write needs to know only that there was one. What is there is taken away after that.
int64_t KeyState::deadline_of_entry(SlotIndex slot) const {
  Keyspace& keyspace = replica_.keyspace();
  const uint32_t position = position_in_slot(keyspace.hash(name_).inner, scratch_.db);
  const uint64_t* word = keyspace.slot(slot).table.find(position, {name_, scratch_.db});
  const Entry* entry = word == nullptr ? nullptr : EntryTable::node(*word);
  return entry != nullptr && entry->has_deadline() ? entry->deadline() : INT64_MAX;
}

Digest KeyState::string_digest() const {
  const SharedCounter* counter = record_->counter(Type::kString, {});
  Digest digest = deadline_term();
  digest += counter != nullptr ? counter_terms({}, *counter)
                               : element_term(element_hash({}), record_->base);
  return digest;
}

uint64_t KeyState::stamp_word() const {
  const Stamp stamp = record_->base;
  if (!record_->is_whole() || ReplicaSlot::stamp(stamp) != stamp) return 0;
  if (record_->is_plain()) return stamp;
  return record_->deadline_stamp == stamp ? stamp | ReplicaSlot::kTimedMark : 0;
}

// While the floor changes, the digest of a counter differs from what its stamps tell.
bool KeyState::is_brief() const {
  return BriefRecord::can_tell(*record_) &&
         (record_->type != Type::kString || record_->counters == nullptr ||
          record_->digest == string_digest());
}

KeyState::~KeyState() {
  bool is_kept = record_ != &scratch_;
  uint64_t word = stamp_word();
  if (record_->is_whole()) record_->awaits_collection = false;
  if (word != 0) {
    // Nothing else is kept.
  } else if (is_worth_keeping() && is_brief()) {
    word = ReplicaSlot::word(BriefRecord::write(*record_, std::exchange(brief_, nullptr)));
  } else if (is_worth_keeping()) {
    if (record_->counters != nullptr) record_->counters->pack();
    if (!is_kept) {
      auto* kept = new KeyRecord(std::move(scratch_));
      kept->name = name_;
      word = ReplicaSlot::word(kept);
      record_ = kept;
    } else {
      word = word_;
    }
    if (record_->awaits_collection && !was_awaiting_) slot_.awaiting.push_back(hash_);
  }
  if (word == 0 || ReplicaSlot::is_stamp(word)) forget_traces();
  BriefRecord::release(brief_);
  if (word == word_) return;
  if (is_kept) delete record_;
  auto is_counted = [](uint64_t each) { return each != 0 && !ReplicaSlot::is_stamp(each) ? 1 : 0; };
  replica_.counts().records.fetch_add(is_counted(word) - is_counted(word_),
                                      std::memory_order_relaxed);
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
  if (count != 0) count_traces(-count);
}

void KeyState::count_traces(int64_t change) {
  replica_.counts().tombstones.fetch_add(change, std::memory_order_relaxed);
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

// --- The key ------------------------------------------------------------------------------------

namespace {

// The latest stamp before this one that a writer may have drawn; 0 when there is none.
Stamp stamp_before(Stamp stamp) {
  Stamp before = stamp - 1;
  return before != 0 && stamp_rack(before) == 0 ? before - 1 : before;
}

}  // namespace

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
    set_other_stamp(stamp < record.type_stamp ? stamp : stamp_before(stamp));
    return false;
  }
  drop_all();
  add_all_counter_terms(-1);
  Stamp former = stamp > record.type_stamp ? record.type_stamp : stamp_before(stamp);
  record.other_stamp = std::max(record.other_stamp, former);
  record.type = type;
  record.type_stamp = stamp;
  add_all_counter_terms(1);
  end_old_deadlines();
  await_collection();
  return true;
}

void KeyState::set_other_stamp(Stamp stamp) {
  note(stamp);
  if (stamp <= record_->other_stamp) return;
  add_all_counter_terms(-1);
  record_->other_stamp = stamp;
  add_all_counter_terms(1);
  end_old_deadlines();
  await_collection();
}

void KeyState::end_old_deadlines() {
  const Stamp floor = this->floor();
  if (record_->deadline_stamp != 0 && record_->deadline_stamp < floor) set_deadline(0, -1);
  drop_shelved_deadlines([&](std::string_view, const KeyRecord::FieldDeadline& deadline) {
    return deadline.stamp < floor;
  });
}

void KeyState::drop_shelved_deadlines(const IsGone& is_gone) {
  if (record_->shelved_deadlines == nullptr) return;
  std::vector<std::string> fields;
  for (const auto& [field, deadline] : *record_->shelved_deadlines) {
    if (is_gone(field, deadline)) fields.push_back(field);
  }
  for (const std::string& field : fields) drop_shelved_deadline(field);
}

Digest KeyState::deadline_term() const {
  bool counts = record_->is_live && record_->deadline_ms >= 0 && !record_->lapsed &&
                !replica_.faults.digest_without_deadlines;
  return counts ? element_term(kDeadlinePart, record_->deadline_stamp) : Digest{};
}

Digest KeyState::field_deadline_term(uint64_t element_hash, Stamp stamp) const {
  return replica_.faults.digest_without_deadlines
             ? Digest{}
             : element_term(element_hash ^ kDeadlinePart, stamp);
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
  end_old_deadlines();
  forget_gone(stamp - 1);
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

// The slot learns of it when the record is put back, if it is: a plain stamp leaves no trace.
void KeyState::await_collection() {
  record_->awaits_collection = true;
}

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
#include "engine/origin.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "engine/hash.h"
#include "engine/list.h"
#include "engine/live_key.h"
#include "engine/replica_sketch.h"
#include "engine/string.h"
#include "engine/zset.h"
#include "protocol/check.h"
#include "protocol/number.h"

namespace dyno {
namespace {

// What a thread's running command has written so far.
struct Pending {
  struct TokenFrame {
    Token token = 0;
    Stamp stamp = 0;
    FrameWriter frame;
  };

  int64_t now_ms = 0;
  Stamp stamp = 0;
  uint32_t next_item = 0;
  std::vector<TokenFrame> frames;  // The first `frame_count` are in use.
  size_t frame_count = 0;
  std::vector<std::string_view> finished;  // While they are handed on.

  FrameWriter& frame(Token token) {
    for (size_t i = frame_count; i-- > 0;) {
      if (frames[i].token == token) return frames[i].frame;
    }
    if (frame_count == frames.size()) frames.emplace_back();
    TokenFrame& fresh = frames[frame_count++];
    fresh.token = token;
    fresh.stamp = stamp;
    return fresh.frame;
  }
};

Pending& pending() {
  static thread_local Pending pending;
  return pending;
}

}  // namespace

// One effect on its way to facts.
class Origin::Write {
 public:
  Write(Replica& replica, const Effect& effect)
      : replica_(replica),
        effect_(effect),
        hash_(replica.keyspace().hash(effect.key)),
        state_(replica, hash_.slot(), effect.db, effect.key) {}

  void run();
  // The key's counters are observed by a write at `stamp`.
  void observe_counters(Stamp stamp);

 private:
  // The command's stamp, or a later one if that is not later than `after`.
  Stamp stamp_after(Stamp after);
  void emit(const Fact& fact) { pending().frame(hash_.token).add(effect_.db, effect_.key, fact); }
  void emit_observed(std::string_view element, const SharedCounter& counter, Stamp stamp);
  void emit_total(std::string_view element, Type type, const Total& total);
  [[nodiscard]] uint64_t element_hash() const { return state_.element_hash(effect_.element); }
  [[nodiscard]] std::string live_string();

  void claim(Type type, Stamp stamp);
  void clear(Stamp stamp);
  void set_string();
  void patch_string();
  void raise_registers();
  void put_value(std::string_view bytes, Stamp stamp, Stamp prev);
  void put_element(Type type, FactKind kind);
  void erase_element(Type type, FactKind kind);
  void expire_field();
  void set_field_deadline();
  void drop_field_deadline();
  void end_field_deadline(Stamp stamp);
  void revive_field();
  // The latest stamp of a deadline of the field.
  [[nodiscard]] Stamp field_deadline_stamp() const;
  void increment(Type type, std::string_view element);
  void write_back(Type type, std::string_view element, const SharedCounter& counter);
  void insert_item();
  void insert_in_middle(size_t position);
  void put_item(bool head, std::string_view value, Stamp stamp);
  void emit_gone_items(size_t position, size_t count, Stamp stamp);
  void set_item();
  void end_deadline();
  void come_alive();
  void revive();
  [[nodiscard]] bool ends_key() const;
  void set_deadline();
  void evict();

  Replica& replica_;
  const Effect& effect_;
  KeyHash hash_;
  KeyState state_;
};

Stamp Origin::Write::stamp_after(Stamp after) {
  Pending& p = pending();
  if (p.stamp == 0 || p.stamp <= after) {
    p.stamp = replica_.clock().draw(p.now_ms);
    p.next_item = 0;
    // A key may hold stamps that run ahead of the clock by no more than a peer's may.
    while (p.stamp <= after) {
      replica_.clock().start_above(after);
      p.stamp = replica_.clock().draw(p.now_ms);
    }
  }
  return p.stamp;
}

void Origin::Write::emit_observed(std::string_view element, const SharedCounter& counter,
                                  Stamp stamp) {
  for (const Total& total : counter.totals()) {
    Fact fact{.kind = FactKind::kObserved, .type = counter.type(), .stamp = total.stamp};
    fact.element = element;
    fact.total = total;
    emit(fact);
  }
  state_.note(stamp);
}

void Origin::Write::emit_total(std::string_view element, Type type, const Total& total) {
  Fact fact{.kind = FactKind::kTotal, .type = type, .stamp = total.stamp};
  fact.element = element;
  fact.total = total;
  emit(fact);
}

// --- Whole keys ---------------------------------------------------------------------------------

// A write makes the key this type. What another type hid of counters of this one is not there for
// the command, so it is observed, lest it shows beside what the command writes.
void Origin::Write::claim(Type type, Stamp stamp) {
  if (state_->type != type && state_->counters != nullptr) {
    for (auto& each : *state_->counters) {
      SharedCounter& counter = each.second;
      if (counter.type() != type) continue;
      std::string_view element = KeyRecord::bare_element(each.first);
      emit_observed(element, counter, stamp);
      state_.change_counter(element, counter, [&] { counter.observe_all(); });
    }
  }
  (void)state_.claim_type(type, stamp);
}

void Origin::Write::clear(Stamp stamp) {
  emit({.kind = FactKind::kClear, .stamp = stamp});
  observe_counters(stamp);
  state_.drop_all();
  state_.set_clear(stamp);
}

void Origin::Write::observe_counters(Stamp stamp) {
  if (state_->counters == nullptr) return;
  for (auto& each : *state_->counters) {
    SharedCounter& counter = each.second;
    std::string_view element = KeyRecord::bare_element(each.first);
    emit_observed(element, counter, stamp);
    state_.change_counter(element, counter, [&] { counter.observe_all(); });
  }
}

void Origin::Write::evict() {
  // Only what was here when room was needed: a newer write that is on its way survives.
  Stamp stamp = stamp_after(0);
  Stamp upto = state_->latest + 1;
  if (stamp_rack(upto) == 0) ++upto;
  if (replica_.faults.eviction_deletes_now) upto = stamp_after(state_->latest);
  clear(upto);
  // The clear is older than this moment, but its trace must stay until everyone knows of it. So the
  // frame also says, of this moment, that an element is gone which never was.
  Fact never{.kind = FactKind::kItemGone, .stamp = stamp};
  never.item.stamp = stamp;
  emit(never);
  state_.bury_item(never.item, stamp);
}

// The first write after the deadline of a key makes the expiry final: no extension that is still on
// its way brings back what this node has taken for gone.
void Origin::Write::revive() {
  Stamp stamp = stamp_after(state_->deadline_stamp);
  state_.settle_expiry(pending().frame(hash_.token));
  state_.note(stamp);
  if (!state_->lapsed) return;
  state_.set_deadline(stamp, -1);
  emit({.kind = FactKind::kDeadline, .stamp = stamp, .number = -1});
}

// A key that comes into being has no deadline, whatever an earlier one of its name had. That is
// said even if none is known here: one that was set by a node which did not know that the earlier
// key had ended may still be on its way.
void Origin::Write::end_deadline() {
  const Stamp now = pending().stamp;
  const bool has_none = state_->deadline_ms < 0 && state_->deadline_stamp >= now;
  if (has_none || state_->clear >= now) return;
  Stamp stamp = stamp_after(state_->deadline_stamp);
  state_.set_deadline(stamp, -1);
  emit({.kind = FactKind::kDeadline, .stamp = stamp, .number = -1});
}

void Origin::Write::come_alive() {
  if (state_->is_live) return;
  end_deadline();
  state_.set_live(true);
}

void Origin::Write::set_deadline() {
  bool just_set = pending().stamp != 0 && state_->clear == pending().stamp;
  if (effect_.position < 0 && state_->deadline_ms < 0 && just_set) return;
  Stamp stamp = stamp_after(state_->deadline_stamp);
  state_.set_deadline(stamp, effect_.position);
  emit({.kind = FactKind::kDeadline, .stamp = stamp, .number = effect_.position});
}

// --- Strings ------------------------------------------------------------------------------------

std::string Origin::Write::live_string() {
  LiveKey live(replica_.executor(), effect_.db, effect_.key, INT64_MIN);
  String::Buffer buffer;
  return std::string(String(live.key()).view(&buffer));
}

void Origin::Write::put_value(std::string_view bytes, Stamp stamp, Stamp prev) {
  claim(Type::kString, stamp);
  if (SharedCounter* counter = state_->counter(Type::kString, {})) {
    emit_observed({}, *counter, stamp);
    state_.replace_base({}, *counter, {stamp, true, std::string(bytes), 0});
  } else {
    state_.put_element(state_.element_hash({}), state_->base, stamp);
  }
  come_alive();
  emit({.kind = FactKind::kValue, .stamp = stamp, .prev = prev, .value = bytes});
}

void Origin::Write::set_string() {
  Stamp stamp = stamp_after(state_->latest);
  SharedCounter* counter = state_->counter(Type::kString, {});
  Stamp prev = counter != nullptr ? counter->base().stamp : state_->base;
  if (!state_->is_live || state_->type != Type::kString) prev = 0;
  int64_t deadline_ms = state_->deadline_ms;
  clear(stamp);
  put_value(effect_.element, stamp, prev);
  if (!effect_.keeps_deadline || deadline_ms < 0) return;
  state_.set_deadline(stamp, deadline_ms);
  emit({.kind = FactKind::kDeadline, .stamp = stamp, .number = deadline_ms});
}

void Origin::Write::patch_string() {
  std::string value = live_string();
  if (!state_->is_live) {
    Stamp stamp = stamp_after(state_->latest);
    clear(stamp);
    return put_value(value, stamp, 0);
  }
  SharedCounter* counter = state_->counter(Type::kString, {});
  Stamp prev = counter != nullptr ? counter->latest() : state_->base;
  Stamp stamp = stamp_after(prev);
  if (counter != nullptr || value.size() <= kWholeStringBytes) {
    return put_value(value, stamp, prev);
  }
  claim(Type::kString, stamp);
  state_.put_element(state_.element_hash({}), prev, stamp);
  Fact fact{.kind = FactKind::kPatch, .stamp = stamp, .prev = prev, .value = effect_.element};
  fact.number = effect_.position;
  emit(fact);
}

void Origin::Write::raise_registers() {
  bool was_live = state_->is_live;
  bool was_string = was_live && state_->type != kSketchType;
  Stamp stamp = stamp_after(was_string ? state_->latest : 0);
  std::string live = live_string();
  // What was set as a string becomes registers as a whole.
  std::string raised = was_string ? raised_of(live) : std::string(effect_.element);
  claim(kSketchType, stamp);
  was_live ? state_.set_live(true) : come_alive();
  note_raised(state_, raised, stamp);
  state_.set_sketch_term(hash_of_registers(live));
  emit({.kind = FactKind::kRegisters, .stamp = stamp, .value = raised});
}

// --- Fields, members and scores -----------------------------------------------------------------

void Origin::Write::put_element(Type type, FactKind kind) {
  uint64_t hash = element_hash();
  SharedCounter* counter = state_->counter(type, effect_.element);
  Stamp old = effect_.is_new || counter != nullptr ? 0 : state_.element_stamp(hash);
  Stamp prev = counter != nullptr ? counter->latest() : old;
  Stamp gone = state_->gone_stamp(type, effect_.element);
  if (type == Type::kHash) gone = std::max(gone, field_deadline_stamp());
  Stamp stamp = stamp_after(std::max(prev, gone));
  claim(type, stamp);
  if (type == Type::kHash) drop_field_deadline();
  if (counter != nullptr) {
    emit_observed(effect_.element, *counter, stamp);
    state_.replace_base(effect_.element, *counter,
                        {stamp, true, std::string(effect_.value), effect_.score});
  } else {
    state_.unbury(type, effect_.element);
    state_.put_element(hash, old, stamp);
  }
  come_alive();
  Fact fact{.kind = kind, .stamp = stamp, .prev = kind == FactKind::kMember ? 0 : prev};
  fact.element = effect_.element;
  fact.value = effect_.value;
  fact.score = effect_.score;
  emit(fact);
}

void Origin::Write::erase_element(Type type, FactKind kind) {
  uint64_t hash = element_hash();
  const Stamp deadline = type == Type::kHash ? field_deadline_stamp() : 0;
  Stamp stamp;
  if (SharedCounter* counter = state_->counter(type, effect_.element)) {
    stamp = stamp_after(std::max(counter->latest(), deadline));
    emit_observed(effect_.element, *counter, stamp);
    state_.replace_base(effect_.element, *counter, {.stamp = stamp});
  } else {
    Stamp old = state_.element_stamp(hash);
    stamp = stamp_after(std::max(old, deadline));
    state_.drop_element(hash, old);
    state_.bury(type, effect_.element, stamp);
  }
  if (kind == FactKind::kFieldGone) drop_field_deadline();
  emit({.kind = kind, .stamp = stamp, .element = effect_.element});
}

// Each replica hides the field when its time has come.
void Origin::Write::expire_field() {
  LiveKey live(replica_.executor(), effect_.db, effect_.key, INT64_MIN);
  FieldPlace place = Hash(live.key()).find(effect_.element);
  uint64_t hash = element_hash();
  Stamp stamp = state_.field_deadline_stamp(hash);
  state_.set_field_deadline(hash, 0);
  if (state_->counter(Type::kHash, effect_.element) == nullptr) {
    state_.drop_element(hash, state_.element_stamp(hash));
  }
  state_.shelve_deadline(effect_.element, {stamp, place.deadline_ms, true});
}

Stamp Origin::Write::field_deadline_stamp() const {
  const KeyRecord::FieldDeadline* shelved = state_.shelved_deadline(effect_.element);
  Stamp stamp = state_.field_deadline_stamp(element_hash());
  return shelved == nullptr ? stamp : std::max(stamp, shelved->stamp);
}

// A write of the field makes its deadline void.
void Origin::Write::drop_field_deadline() {
  state_.set_field_deadline(element_hash(), 0);
  state_.drop_shelved_deadline(effect_.element);
}

// As end_deadline(), of a field that an increment brings into being.
void Origin::Write::end_field_deadline(Stamp stamp) {
  drop_field_deadline();
  state_.shelve_deadline(effect_.element, {stamp, kNoDeadline, false});
  Fact fact{.kind = FactKind::kFieldDeadline, .stamp = stamp, .number = kNoDeadline};
  fact.element = effect_.element;
  emit(fact);
}

// As revive(), of a field: what its deadline hid is gone, and observed as far as it was counted.
void Origin::Write::revive_field() {
  const KeyRecord::FieldDeadline* shelved = state_.shelved_deadline(effect_.element);
  if (shelved == nullptr || !shelved->lapsed) return;
  // Not before the end of what it may hide.
  state_.note(stamp_after(shelved->stamp + 2));
  state_.settle_field_expiry(effect_.element, pending().frame(hash_.token));
  state_.drop_shelved_deadline(effect_.element);
}

void Origin::Write::set_field_deadline() {
  revive_field();
  SharedCounter* counter = state_->counter(Type::kHash, effect_.element);
  Stamp old = counter != nullptr ? counter->latest() : state_.element_stamp(element_hash());
  Stamp stamp = stamp_after(std::max(std::max(old, Stamp{1}) - 1, field_deadline_stamp()));
  drop_field_deadline();
  if (effect_.position < 0) return end_field_deadline(stamp);
  state_.set_field_deadline(element_hash(), stamp);
  Fact fact{.kind = FactKind::kFieldDeadline, .stamp = stamp};
  fact.element = effect_.element;
  fact.number = effect_.position;
  emit(fact);
}

// --- Counters -----------------------------------------------------------------------------------

void Origin::Write::increment(Type type, std::string_view element) {
  if (type == Type::kHash) revive_field();
  Stamp latest = state_->gone_stamp(type, element);
  if (type == Type::kHash) latest = std::max(latest, field_deadline_stamp());
  if (const SharedCounter* counter = state_->counter(type, element)) {
    latest = std::max(latest, counter->latest());
  } else if (!effect_.is_new) {
    latest = std::max(latest, state_.element_stamp(state_.element_hash(element)));
  }
  Stamp stamp = stamp_after(latest);
  claim(type, stamp);
  SharedCounter::Base base{0, true, std::string(effect_.before), effect_.score_before};
  if (effect_.before.empty() && type != Type::kZSet && !effect_.is_new) {
    // Whole numbers only come from whole numbers.
    std::string_view sum = type == Type::kHash ? effect_.value : effect_.element;
    base.text = std::to_string(*parse_int64(sum) - static_cast<int64_t>(effect_.amount.whole));
  }
  SharedCounter& counter = state_.make_counter(type, element, !effect_.is_new, std::move(base));
  Total total;
  bool has_generations = !replica_.faults.no_generations;
  state_.change_counter(element, counter, [&] {
    total = counter.add(replica_.actor(), stamp, effect_.amount, has_generations);
  });
  come_alive();
  if (type == Type::kHash && effect_.is_new) end_field_deadline(stamp);
  emit_total(element, type, total);
  write_back(type, element, counter);
}

// The sum may differ in its last digit from what the command stored, or hold increments that a
// removal had not seen: every replica shows the sum.
void Origin::Write::write_back(Type type, std::string_view element, const SharedCounter& counter) {
  const SharedCounter::Cut cut = state_.cut(element, counter);
  if (type == Type::kZSet) {
    double score = counter.score(cut);
    if (score == effect_.score) return;
    LiveKey live(replica_.executor(), effect_.db, effect_.key, INT64_MIN);
    ZSet zset(live.key());
    zset.put(zset.find(element), element, score);
    return;
  }
  std::string text = counter.text(cut);
  if (text == (type == Type::kHash ? effect_.value : effect_.element)) return;
  LiveKey live(replica_.executor(), effect_.db, effect_.key, INT64_MIN);
  if (type == Type::kHash) {
    Hash(live.key()).add(element, text, int64_t{0});
  } else {
    String(live.key()).assign(text, {DeadlineChange::Kind::kKeep});
  }
}

// --- Lists --------------------------------------------------------------------------------------

void Origin::Write::put_item(bool head, std::string_view value, Stamp stamp) {
  ItemId id{head, pending().next_item++, stamp};
  (void)state_->make_list().ids.insert(id);
  state_.put_item(id, stamp);
  Fact fact{.kind = FactKind::kItem, .stamp = stamp, .value = value};
  fact.item = id;
  emit(fact);
}

void Origin::Write::emit_gone_items(size_t position, size_t count, Stamp stamp) {
  state_->list->ids.for_each_run(position, count, [&](const ItemId& first, uint32_t run) {
    Fact fact{.kind = FactKind::kItemGone, .stamp = stamp};
    fact.item = first;
    if (first.head) fact.item.index = first.index - (run - 1);
    fact.count = run;
    emit(fact);
  });
  state_.drop_items(position, count, stamp);
}

void Origin::Write::insert_item() {
  Stamp stamp = stamp_after(state_->is_live ? 0 : state_->clear);
  claim(Type::kList, stamp);
  // First, as the element would be taken for one that a past deadline covers.
  come_alive();
  stamp = pending().stamp;
  size_t size = state_->make_list().ids.size();
  auto position = static_cast<size_t>(effect_.position);
  if (position != 0 && position != size) {
    insert_in_middle(position);
  } else {
    put_item(size == 0 ? effect_.at_head : position == 0, effect_.element, stamp);
  }
}

void Origin::Write::insert_in_middle(size_t position) {
  Stamp stamp = pending().stamp;
  size_t size = state_->list->ids.size();
  LiveKey live(replica_.executor(), effect_.db, effect_.key, INT64_MIN);
  List list(live.key());
  bool head = position <= size - position;
  size_t first = head ? 0 : position;
  size_t moved = head ? position : size - position;
  emit_gone_items(first, moved, stamp);
  auto put = [&](size_t, const packed::Item& item) {
    packed::Item::Buffer buffer;
    put_item(head, item.view(&buffer), stamp);
    return true;
  };
  // At the head the innermost is pushed first.
  for (size_t i = moved + 1; head && i-- > 0;) put(i, list.at(i));
  if (!head) list.for_each(position, moved + 1, put);
}

void Origin::Write::set_item() {
  ItemId id = state_->list->ids.at(static_cast<size_t>(effect_.position));
  Stamp stamp = stamp_after(state_.item_stamp(id));
  claim(Type::kList, stamp);
  state_.change_item(id, stamp);
  Fact fact{.kind = FactKind::kItem, .stamp = stamp, .value = effect_.element};
  fact.item = id;
  emit(fact);
}

// --- Effects ------------------------------------------------------------------------------------

bool Origin::Write::ends_key() const {
  return effect_.kind <= EffectKind::kEvicted || effect_.kind == EffectKind::kString;
}

void Origin::Write::run() {
  if (state_->lapsed && !ends_key()) revive();
  switch (effect_.kind) {
    case EffectKind::kErase:
      return clear(stamp_after(state_->latest));
    case EffectKind::kEmptied:
      return state_.set_live(false);
    case EffectKind::kExpired:
      return state_.lapse();
    case EffectKind::kEvicted:
      return evict();
    case EffectKind::kDeadline:
      return set_deadline();
    case EffectKind::kString:
      return set_string();
    case EffectKind::kIncrement:
      return increment(Type::kString, {});
    case EffectKind::kPatch:
      return patch_string();
    case EffectKind::kRegisters:
      return raise_registers();
    case EffectKind::kField:
      return put_element(Type::kHash, FactKind::kField);
    case EffectKind::kFieldIncrement:
      return increment(Type::kHash, effect_.element);
    case EffectKind::kFieldErase:
      return erase_element(Type::kHash, FactKind::kFieldGone);
    case EffectKind::kFieldExpired:
      return expire_field();
    case EffectKind::kFieldDeadline:
      return set_field_deadline();
    case EffectKind::kMember:
      return put_element(Type::kSet, FactKind::kMember);
    case EffectKind::kMemberErase:
      return erase_element(Type::kSet, FactKind::kMemberGone);
    case EffectKind::kScore:
      return put_element(Type::kZSet, FactKind::kScore);
    case EffectKind::kScoreIncrement:
      return increment(Type::kZSet, effect_.element);
    case EffectKind::kScoreErase:
      return erase_element(Type::kZSet, FactKind::kScoreGone);
    case EffectKind::kListInsert:
      return insert_item();
    case EffectKind::kListSet:
      return set_item();
    case EffectKind::kListErase: {
      return emit_gone_items(static_cast<size_t>(effect_.position),
                             static_cast<size_t>(effect_.count), stamp_after(0));
    }
    case EffectKind::kFlush:
      break;
  }
  DYNO_CHECK(false);
}

void Origin::record(const Effect& effect) {
  if (effect.kind == EffectKind::kFlush) return flush(effect);
  Write(replica_, effect).run();
}

void Origin::begin_command(int64_t now_ms) {
  pending().now_ms = now_ms;
  pending().stamp = 0;
  pending().next_item = 0;
}

void Origin::commit() {
  Pending& p = pending();
  if (p.frame_count == 0) return;
  p.finished.clear();
  for (size_t i = 0; i < p.frame_count; ++i) {
    Pending::TokenFrame& each = p.frames[i];
    p.finished.push_back(each.frame.finish());
    if (replica_.sink() != nullptr) {
      replica_.sink()->emit(each.token, each.stamp, p.finished.back());
    }
  }
  if (replica_.log() != nullptr) replica_.log()->append(p.finished);
  for (size_t i = 0; i < p.frame_count; ++i) p.frames[i].frame.clear();
  p.frame_count = 0;
}

// --- Flushing -----------------------------------------------------------------------------------

void Origin::observe_flushed(SlotIndex index, int db, Stamp stamp) {
  ReplicaSlot& slot = replica_.slot(index);
  // Increments outlive a flush that has not seen them, so it says which ones it has.
  std::vector<std::pair<int, std::string>> counting;
  slot.keys().for_each([&](uint64_t, uint64_t word) {
    if (ReplicaSlot::is_stamp(word)) return;
    const KeyRecord& record = *ReplicaSlot::record(word);
    if ((db < 0 || record.db == db) && record.counters != nullptr) {
      counting.emplace_back(record.db, record.name);
    }
  });
  for (const auto& [key_db, name] : counting) {
    Write(replica_, {.kind = EffectKind::kErase, .db = key_db, .key = name})
        .observe_counters(stamp);
  }
}

void Origin::flush(const Effect& effect) {
  Pending& p = pending();
  p.stamp = replica_.clock().draw(p.now_ms);
  FrameWriter frame;
  for (int db = 0; db < ReplicaSlot::kDatabases; ++db) {
    if (effect.db < 0 || db == effect.db) {
      frame.add(db, {}, {.kind = FactKind::kFlush, .stamp = p.stamp});
    }
  }
  for (uint32_t i = 0; i < kSlotCount; ++i) {
    observe_flushed(static_cast<SlotIndex>(i), effect.db, p.stamp);
  }
  replica_.forget_flushed(effect.db, p.stamp);
  std::string_view bytes = frame.finish();
  if (replica_.sink() != nullptr) replica_.sink()->emit_everywhere(p.stamp, bytes);
  if (replica_.log() != nullptr) replica_.log()->append({&bytes, 1});
}

}  // namespace dyno

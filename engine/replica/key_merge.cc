// SPDX-License-Identifier: Apache-2.0
#include "engine/replica/key_merge.h"

#include <algorithm>
#include <bit>

#include "engine/replica/replica_sketch.h"
#include "engine/types/hash.h"
#include "engine/types/list.h"
#include "engine/types/set.h"
#include "engine/types/sketch.h"
#include "engine/types/string.h"
#include "engine/types/zset.h"
#include "protocol/check.h"

namespace dyno {

KeyMerge::KeyMerge(Replica& replica, int db, std::string_view name, FrameOrigin origin,
                   int64_t now_ms, MergeOutcome* outcome)
    : replica_(replica),
      origin_(origin),
      now_ms_(now_ms),
      outcome_(outcome),
      state_(replica, replica.keyspace().hash(name).slot(), db, name),
      live_(replica.executor(), db, name, INT64_MIN) {
  live_.context().now_ms = now_ms;
  if (state_->is_live) lapse_if_due();
  if (state_->lapsed) lapsed_at_ = first_stamp_of(state_->deadline_ms);
}

void KeyMerge::lapse_if_due() {
  if (state_->lapsed || state_.expiry_floor(now_ms_) == 0) return;
  state_.mark_lapsed();
  rise();
}

bool KeyMerge::is_older(const Fact& fact) {
  if (fact.stamp >= floor()) return false;
  // Hidden, but not gone.
  if (fact.stamp >= state_.floor()) lapsed_at_ = std::max(lapsed_at_, floor());
  lose(fact, floor());
  return true;
}

// Whatever is too old to show has made the key its type all the same, or what shows would depend on
// what came first.
bool KeyMerge::admits(const Fact& fact, Type type) {
  return claim(type, fact) && !is_older(fact);
}

// What its origin wrote later came after it, and what time has ended was there until then.
void KeyMerge::lose(const Fact& fact, Stamp winner) {
  bool is_rival = stamp_rack(winner) != 0 && stamp_rack(winner) != stamp_rack(fact.stamp);
  if (is_rival) {
    outcome_->dominated = std::max(outcome_->dominated, winner);
  } else {
    outcome_->is_followed = true;
  }
  replica_.counts().late_facts.fetch_add(1, std::memory_order_relaxed);
}

void KeyMerge::count_conflict(const Fact& fact, Stamp old) {
  if (origin_ == FrameOrigin::kWrite && old > fact.prev) {
    replica_.conflict(state_.name(), state_->type, old);
  }
}

void KeyMerge::pull() {
  outcome_->to_pull.emplace_back(state_->db, state_.name());
}

bool KeyMerge::claim(Type type, const Fact& fact) {
  bool is_other = state_->type_stamp != 0 && state_->type != type;
  if (is_other && state_->is_live) {
    replica_.counts().type_conflicts.fetch_add(1, std::memory_order_relaxed);
  }
  if (is_other && state_.outranks(type, fact.stamp)) {
    shelve_field_deadlines();
    drop_value();
  }
  bool is_mine = state_.claim_type(type, fact.stamp);
  if (is_other) is_mine ? refresh_counters() : rise();
  if (!is_mine) lose(fact, state_->type_stamp);
  return is_mine;
}

void KeyMerge::drop_value() {
  if (!key().exists()) return;
  key().drop();
  changed_ = true;
}

void KeyMerge::clear(Stamp stamp) {
  if (stamp <= state_->clear) return;
  bool is_text = state_->is_live && state_->type == Type::kString;
  if (is_text && state_->base < stamp) cleared_ = std::max(cleared_, state_->base);
  state_.set_clear(stamp);
  rise();
}

void KeyMerge::set_deadline(const Fact& fact) {
  // Expiry does not make an older deadline void: it may be the one that an extension replaces.
  Stamp here = std::max(state_.floor(), state_->deadline_stamp);
  if (fact.stamp < here) return lose(fact, here);
  if (fact.stamp == state_->deadline_stamp && fact.number <= state_->deadline_ms) return;
  state_.set_deadline(fact.stamp, fact.number);
  changed_ = true;
}

// --- Strings ------------------------------------------------------------------------------------

void KeyMerge::store_string(std::string_view bytes) {
  bool timed = state_->deadline_ms >= 0 && !state_->lapsed;
  DeadlineChange deadline{timed ? DeadlineChange::Kind::kAt : DeadlineChange::Kind::kNone,
                          state_->deadline_ms};
  String(key()).assign(bytes, deadline);
  changed_ = true;
}

void KeyMerge::set_value(const Fact& fact) {
  if (!admits(fact, Type::kString)) return;
  if (replaced_base(fact, Type::kString, true)) return;
  String::Buffer buffer;
  Stamp old = state_->base;
  bool larger = old == fact.stamp && fact.value > String(key()).view(&buffer);
  if (!wins(fact, old, 0, larger)) return;
  // SET clears what it replaces first.
  if (old == 0 && cleared_ != 0) count_conflict(fact, cleared_);
  store_string(fact.value);
  state_.put_element(state_.element_hash({}), old, fact.stamp);
}

void KeyMerge::patch_value(const Fact& fact) {
  if (!admits(fact, Type::kString)) return;
  SharedCounter* counter = state_->counter(Type::kString, {});
  Stamp old = counter != nullptr ? counter->latest() : state_->base;
  if (fact.stamp <= old) return fact.stamp < old ? lose(fact, old) : void();
  if (counter != nullptr || old != fact.prev || !key().is(Type::kString)) return pull();
  String(key()).patch(static_cast<size_t>(fact.number), fact.value);
  state_.put_element(state_.element_hash({}), old, fact.stamp);
  changed_ = true;
}

void KeyMerge::raise_registers(const Fact& fact) {
  if (!admits(fact, kSketchType)) return;
  String::Buffer buffer;
  std::string bytes = key().exists() ? std::string(String(key()).view(&buffer)) : sketch::empty();
  auto sparse_max =
      static_cast<size_t>(std::max<int64_t>(live_.context().limits.hyperloglog_sparse_bytes, 0));
  DYNO_CHECK(raise_all(&bytes, fact.value, sparse_max));
  sketch::set_stale(reinterpret_cast<uint8_t*>(bytes.data()));
  store_string(bytes);
  note_raised(state_, fact.value, fact.stamp);
  state_.set_sketch_term(hash_of_registers(bytes));
}

// --- Members and scores -----------------------------------------------------------------

bool KeyMerge::wins(const Fact& fact, Stamp old, Stamp gone, bool larger_bytes) {
  Stamp here = std::max(old, gone);
  if (fact.stamp < here) {
    lose(fact, here);
    return false;
  }
  if (fact.stamp == old && !larger_bytes) return false;
  if (old != 0 && fact.stamp > old) count_conflict(fact, old);
  return true;
}

bool KeyMerge::replaced_base(const Fact& fact, Type type, bool exists) {
  SharedCounter* counter = state_->counter(type, fact.element);
  if (counter == nullptr) return false;
  state_.note(fact.stamp);
  state_.change_counter(fact.element, *counter, [&] {
    (void)counter->set_base({fact.stamp, exists, std::string(fact.value), fact.score});
  });
  state_.await_collection();
  if (type == Type::kHash) end_field_deadline(fact.element, counter->base().stamp);
  refresh(type, fact.element, *counter);
  return true;
}

void KeyMerge::put_member(const Fact& fact) {
  if (!admits(fact, Type::kSet)) return;
  Set set(key());
  uint64_t element_hash = state_.element_hash(fact.element);
  Stamp old = set.contains(fact.element) ? state_.element_stamp(element_hash) : 0;
  Stamp here = std::max(old, state_->gone_stamp(Type::kSet, fact.element));
  if (fact.stamp < here) return lose(fact, here);
  if (fact.stamp == old) return;
  changed_ |= set.add(fact.element);
  state_.unbury(Type::kSet, fact.element);
  state_.put_element(element_hash, old, fact.stamp);
}

void KeyMerge::put_score(const Fact& fact) {
  if (!admits(fact, Type::kZSet)) return;
  if (replaced_base(fact, Type::kZSet, true)) return;
  ZSet zset(key());
  uint64_t element_hash = state_.element_hash(fact.element);
  ZSetView::Place place = zset.find(fact.element);
  Stamp old = place.found ? state_.element_stamp(element_hash) : 0;
  bool larger = old == fact.stamp &&
                std::bit_cast<uint64_t>(fact.score) > std::bit_cast<uint64_t>(place.score);
  if (!wins(fact, old, state_->gone_stamp(Type::kZSet, fact.element), larger)) return;
  if (!place.found) {
    zset.expect(1, fact.element.size());
    place = zset.find(fact.element);
  }
  zset.put(place, fact.element, fact.score);
  state_.unbury(Type::kZSet, fact.element);
  state_.put_element(element_hash, old, fact.stamp);
  changed_ = true;
}

bool KeyMerge::has_live(Type type, std::string_view element, SharedCounter::Base* base) {
  if (!key().is(type)) return false;
  packed::Item::Buffer item_buffer;
  String::Buffer string_buffer;
  switch (type) {
    case Type::kString:
      base->text = String(key()).view(&string_buffer);
      return true;
    case Type::kHash: {
      FieldPlace place = Hash(key()).fields().find(element, HashFields::kBeforeAll);
      if (place) base->text = place.value().view(&item_buffer);
      return static_cast<bool>(place);
    }
    case Type::kZSet: {
      ZSetView::Place place = ZSet(key()).find(element);
      base->score = place.score;
      return place.found;
    }
    case Type::kSet:
      return Set(key()).contains(element);
    case Type::kList:
      break;
  }
  return false;
}

void KeyMerge::remove_live(Type type, std::string_view element) {
  if (!key().is(type)) return;
  changed_ = true;
  if (type == Type::kString) {
    key().drop();
  } else if (type == Type::kHash) {
    // A field that is due counts as gone for Hash::erase(), and goes all the same.
    (void)Hash(key()).erase(element);
  } else if (type == Type::kSet) {
    (void)Set(key()).erase(element);
  } else {
    ZSet zset(key());
    ZSetView::Place place = zset.find(element);
    if (place.found) zset.erase(place, element);
  }
}

void KeyMerge::erase_element(const Fact& fact, Type type) {
  if (fact.stamp < floor()) return;
  if (type == Type::kHash) expire_field(fact.element);
  if (replaced_base(fact, type, false)) return;
  uint64_t element_hash = state_.element_hash(fact.element);
  SharedCounter::Base base;
  if (state_->type == type && has_live(type, fact.element, &base)) {
    Stamp old = state_.element_stamp(element_hash);
    // What is there wins over what is gone at the same time.
    if (fact.stamp <= old) return fact.stamp < old ? lose(fact, old) : void();
    if (type == Type::kHash) shelve_field_deadline(fact.element);
    remove_live(type, fact.element);
    state_.drop_element(element_hash, old);
  }
  if (type == Type::kHash) end_field_deadline(fact.element, fact.stamp);
  state_.bury(type, fact.element, fact.stamp);
}

// --- Counters -----------------------------------------------------------------------------------

void KeyMerge::add_total(const Fact& fact) {
  if (fact.type == Type::kHash) expire_field(fact.element);
  bool is_mine = fact.kind == FactKind::kTotal ? claim(fact.type, fact) : state_->type == fact.type;
  SharedCounter::Base base;
  bool was_there = is_mine && has_live(fact.type, fact.element, &base);
  SharedCounter& counter = state_.make_counter(fact.type, fact.element, was_there, std::move(base));
  state_.change_counter(fact.element, counter, [&] {
    if (fact.kind == FactKind::kTotal) {
      (void)counter.add_total(fact.total);
    } else {
      (void)counter.add_observed(fact.total);
    }
  });
  state_.note(fact.stamp);
  if (!counter.has_unobserved(state_.cut(fact.element, counter))) state_.await_collection();
  if (is_mine) refresh(fact.type, fact.element, counter);
}

void KeyMerge::refresh(Type type, std::string_view element, const SharedCounter& counter) {
  if (state_->type != type) return;
  if (type == Type::kHash) mark_lapsed_deadline(element);
  SharedCounter::Base shown;
  bool is_there = has_live(type, element, &shown);
  const SharedCounter::Cut cut = state_.cut(element, counter);
  if (!counter.is_alive(cut)) {
    if (type == Type::kHash && is_there) shelve_field_deadline(element);
    if (is_there) remove_live(type, element);
    return;
  }
  if (type == Type::kZSet) {
    double score = counter.score(cut);
    if (is_there && score == shown.score) return;
    ZSet zset(key());
    if (!is_there) zset.expect(1, element.size());
    zset.put(zset.find(element), element, score);
  } else {
    std::string text = counter.text(cut);
    if (is_there && text == shown.text) return;
    if (type == Type::kString) return store_string(text);
    bool timed = is_there && state_.field_deadline_stamp(state_.element_hash(element)) != 0;
    timed ? Hash(key()).add(element, text, int64_t{0})
          : static_cast<void>(Hash(key()).set(element, text));
    if (!is_there) unshelve_field_deadline(element, counter.base().stamp);
  }
  changed_ = true;
}

void KeyMerge::refresh_counters() {
  if (state_->counters == nullptr) return;
  for (const auto& [name, counter] : state_->counters->all()) {
    refresh(counter.type(), KeyRecord::bare_element(name), counter);
  }
}

// --- Lists --------------------------------------------------------------------------------------

void KeyMerge::put_item(const Fact& fact) {
  if (!admits(fact, Type::kList)) return;
  if (fact.item.stamp < floor()) return lose(fact, floor());
  ListRecord& list = state_->make_list();
  // Nobody takes out an item that he has not seen, so that what did is no rival.
  if (state_.is_dead(fact.item)) return lose(fact, 0);
  List live(key());
  if (auto position = list.ids.find(fact.item)) {
    Stamp old = state_.item_stamp(fact.item);
    packed::Item::Buffer buffer;
    if (fact.stamp < old) return lose(fact, old);
    if (fact.stamp == old && fact.value <= live.at(*position).view(&buffer)) return;
    live.set(*position, fact.value);
    state_.change_item(fact.item, fact.stamp);
  } else {
    size_t at = list.ids.insert(fact.item);
    if (at == 0 || at == list.ids.size() - 1) {
      live.push(at == 0 ? ListEnd::kHead : ListEnd::kTail, fact.value);
    } else {
      live.insert(at, fact.value);
    }
    state_.put_item(fact.item, fact.stamp);
  }
  changed_ = true;
}

void KeyMerge::erase_items(const Fact& fact) {
  if (fact.item.stamp < floor()) return;
  for (uint32_t i = 0; i < fact.count; ++i) {
    ItemId id = fact.item;
    id.index += i;
    ListRecord& list = state_->make_list();
    auto position = list.ids.find(id);
    if (position) {
      List(key()).erase(*position, 1);
      state_.drop_items(*position, 1, 0);
      changed_ = true;
    }
    state_.bury_item(id, fact.stamp);
  }
}

// --- Facts --------------------------------------------------------------------------------------

// Facts of the key as a whole come first, deadlines last of them: none hides what another one of
// the same delta has made void.
void KeyMerge::apply(const std::vector<Fact>& facts) {
  auto turn = [](FactKind kind) {
    if (kind == FactKind::kDeadline) return 1;
    bool of_key =
        kind == FactKind::kClear || kind == FactKind::kType || kind == FactKind::kOtherType;
    return of_key ? 0 : 2;
  };
  for (int i = 0; i <= 2; ++i) {
    for (const Fact& fact : facts) {
      if (turn(fact.kind) == i) apply(fact);
    }
  }
}

void KeyMerge::apply(const Fact& fact) {
  const PlantedFaults& faults = replica_.faults;
  if (faults.whole_key_wins && fact.stamp > state_->latest) clear(fact.stamp);
  if (faults.observed_by_winner && fact.kind == FactKind::kObserved && is_beaten_) return;
  state_.note(fact.stamp);
  switch (fact.kind) {
    case FactKind::kClear:
      return clear(fact.stamp);
    case FactKind::kDeadline:
      return set_deadline(fact);
    case FactKind::kValue:
      return set_value(fact);
    case FactKind::kPatch:
      return patch_value(fact);
    case FactKind::kRegisters:
      return raise_registers(fact);
    case FactKind::kTotal:
    case FactKind::kObserved:
      return add_total(fact);
    case FactKind::kField:
      return put_field(fact);
    case FactKind::kFieldGone:
      return erase_element(fact, Type::kHash);
    case FactKind::kFieldDeadline:
      return set_field_deadline(fact);
    case FactKind::kMember:
      return put_member(fact);
    case FactKind::kMemberGone:
      return erase_element(fact, Type::kSet);
    case FactKind::kScore:
      return put_score(fact);
    case FactKind::kScoreGone:
      return erase_element(fact, Type::kZSet);
    case FactKind::kItem:
      return put_item(fact);
    case FactKind::kItemGone:
      return erase_items(fact);
    case FactKind::kType:
      return static_cast<void>(claim(fact.type, fact));
    case FactKind::kOtherType:
      state_.set_other_stamp(fact.stamp);
      return rise();
    case FactKind::kFlush:
      break;
  }
  DYNO_CHECK(false);
}

void KeyMerge::finish() {
  lapse_if_due();
  if (lapsed_at_ != 0 && !state_->lapsed) {
    refresh_counters();
    // What was dropped when the deadline came is alive at those who knew in time that it was void.
    if (floor() < lapsed_at_) pull();
  }
  if (key().exists() != state_->is_live) state_.set_live(key().exists());
  if (key().exists()) {
    int64_t deadline_ms = state_->lapsed ? -1 : state_->deadline_ms;
    if (key().deadline() != deadline_ms) key().set_deadline(deadline_ms);
  }
  if (changed_) key().changed();
  replica_.counts().applied_facts.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
#include "engine/replica/origin.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "engine/replica/key_export.h"
#include "engine/replica/origin_write.h"
#include "protocol/check.h"

namespace dyno {

Origin::Pending& Origin::pending() {
  static thread_local Pending pending;
  return pending;
}

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
    for (auto& each : state_->counters->all()) {
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
  for (auto& each : state_->counters->all()) {
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

// --- Effects ------------------------------------------------------------------------------------

bool Origin::Write::ends_key() const {
  return effect_.kind <= EffectKind::kEvicted || effect_.kind == EffectKind::kString;
}

void Origin::Write::run() {
  if (!replica_.slot(hash_.slot()).is_adopted) return;
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
  if (!slot.has_counters()) return;
  for (const NamedKey& key : replicated_keys(replica_, index, db)) {
    if (!ReplicaSlot::has_counters(slot.find(replica_.hash().key(key.db, key.name)))) continue;
    Write(replica_, {.kind = EffectKind::kErase, .db = key.db, .key = key.name})
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

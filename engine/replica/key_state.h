// SPDX-License-Identifier: Apache-2.0
//
// One key's replicated state, taken out of its slot for the length of a change. All changes of
// stamps, traces and digests go through it, whether the write was made here (origin.h) or at
// another replica (merge.h), so that both leave the same state behind.
//
// Opened under the slot's lock; writes the record back, or the plain stamp when that says it all,
// when it is destroyed. Only one is open for a key.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <string_view>

#include "engine/replica/delta.h"
#include "engine/replica/key_record.h"
#include "engine/replica/replica.h"

namespace dyno {

class KeyState {
 public:
  KeyState(Replica& replica, SlotIndex slot, int db, std::string_view name);
  ~KeyState();
  KeyState(const KeyState&) = delete;
  KeyState& operator=(const KeyState&) = delete;

  [[nodiscard]] KeyRecord* operator->() { return record_; }
  [[nodiscard]] const KeyRecord& record() const { return *record_; }
  [[nodiscard]] KeyRecord& record() { return *record_; }
  [[nodiscard]] std::string_view name() const { return name_; }

  // What is older is gone. Without the time of the key's expiry, or with it if that has come.
  [[nodiscard]] Stamp floor() const;
  [[nodiscard]] Stamp floor(int64_t now_ms) const;
  // What a counter is judged by: expiry, of the key or of the field, counts once it was marked.
  [[nodiscard]] SharedCounter::Cut cut(std::string_view element,
                                       const SharedCounter& counter) const;
  // Stamps before the deadline, if it has passed; 0 if not.
  [[nodiscard]] Stamp expiry_floor(int64_t now_ms) const;

  // --- Elements that are no counters: fields, members, and as the empty element a whole string.

  [[nodiscard]] uint64_t element_hash(std::string_view element) const {
    return replica_.hash().element(element);
  }
  // The stamp of an element that is there.
  [[nodiscard]] Stamp element_stamp(uint64_t element_hash) const;
  // The element is there with `stamp`; `old` is the stamp it had, 0 when it was not there.
  void put_element(uint64_t element_hash, Stamp old, Stamp stamp);
  // The element is no longer there.
  void drop_element(uint64_t element_hash, Stamp old);
  // A trace of its removal, so that an older write of it is not taken for a new one.
  void bury(Type type, std::string_view element, Stamp stamp);
  void unbury(Type type, std::string_view element);

  // The stamp of the deadline with which a field is here, 0: none; see put_element() for its field.
  void set_field_deadline(uint64_t element_hash, Stamp stamp);
  [[nodiscard]] Stamp field_deadline_stamp(uint64_t element_hash) const {
    return record_->field_deadlines == nullptr ? 0 : record_->field_deadlines->find(element_hash);
  }
  [[nodiscard]] Digest field_deadline_term(uint64_t element_hash, Stamp stamp) const;
  // Any other deadline of a field (key_record.h). A field has one deadline, here or there.
  void shelve_deadline(std::string_view field, const KeyRecord::FieldDeadline& deadline);
  void drop_shelved_deadline(std::string_view field);
  // Null when there is none. Valid until the next one is shelved or dropped.
  [[nodiscard]] const KeyRecord::FieldDeadline* shelved_deadline(std::string_view field) const;

  // --- Counters. Wrap every change of one: the digest follows.

  template <class Change>
  void change_counter(std::string_view element, SharedCounter& counter, Change&& change) {
    add_counter_terms(element, counter, -1);
    change();
    add_counter_terms(element, counter, 1);
  }
  // The counter of an element of that type. If there is none yet, the element's value so far, which
  // `base` tells but for its stamp, becomes the base of a new one.
  SharedCounter& make_counter(Type type, std::string_view element, bool was_there,
                              SharedCounter::Base base);
  // A write of the base at `stamp` replaced what the counter held here.
  void replace_base(std::string_view element, SharedCounter& counter, SharedCounter::Base base);

  // --- Lists.

  void put_item(const ItemId& id, Stamp changed);
  void drop_items(size_t position, size_t count, Stamp stamp);
  void change_item(const ItemId& id, Stamp stamp);
  [[nodiscard]] Stamp item_stamp(const ItemId& id) const;
  // True when the identity was removed and has not been collected.
  [[nodiscard]] bool is_dead(const ItemId& id) const;
  void bury_item(const ItemId& id, Stamp stamp);

  // --- The key.

  // A fact made the key a `type`. False when a later one of another type hides it.
  [[nodiscard]] bool claim_type(Type type, Stamp stamp);
  // Whether a fact of another type than the key's takes it over. Of two types with one stamp, which
  // no two writes have, the larger number wins.
  [[nodiscard]] bool outranks(Type type, Stamp stamp) const {
    return stamp > record_->type_stamp || (stamp == record_->type_stamp && type > record_->type);
  }
  void set_other_stamp(Stamp stamp);
  // The floor changes by a flush: to be called before and after.
  void add_all_counter_terms(int sign);
  // Everything that is there goes, and its digest; counters keep their totals.
  void drop_all();
  void set_live(bool live);
  void set_clear(Stamp stamp);
  void set_deadline(Stamp stamp, int64_t deadline_ms);
  // Deadlines below the floor, which has risen, are none.
  void end_old_deadlines();
  // The deadline came and everything is gone; or what was older than it, which the caller sees to.
  void lapse();
  void mark_lapsed();
  // The digest's part that stands for a HyperLogLog's registers; 0: none.
  void set_sketch_term(uint64_t registers_hash);
  void note(Stamp stamp) {
    if (stamp > record_->latest) record_->latest = stamp;
  }

  // The key's expiry, or a field's, becomes final: what it hides is gone, and observed as far as it
  // was counted. Adds the facts that tell so to `told`.
  void settle_expiry(FrameWriter& told);
  void settle_field_expiry(std::string_view field, FrameWriter& told);

  // Drops traces up to `horizon`; true when some are left. Adds to `told` what other replicas have
  // to know of it; without, there are none.
  [[nodiscard]] bool collect(Stamp horizon, Stamp now, FrameWriter* told);
  // The key is to be visited by collect().
  void await_collection();

  // The digest's part of one element, of one counter, of the deadline.
  [[nodiscard]] Digest element_term(uint64_t element_hash, Stamp stamp) const {
    return replica_.hash().term(hash_, element_hash, stamp);
  }
  [[nodiscard]] Digest counter_terms(std::string_view element, const SharedCounter& counter) const;
  [[nodiscard]] Digest item_term(const ItemId& id, Stamp stamp) const;
  [[nodiscard]] Digest deadline_term() const;
  [[nodiscard]] Digest sketch_term(uint64_t registers_hash) const;

 private:
  [[nodiscard]] bool is_worth_keeping() const;
  // The stamp that tells all of the record, with the mark if it has a deadline; 0 if none does.
  [[nodiscard]] uint64_t stamp_word() const;
  // A few bytes tell all of the record.
  [[nodiscard]] bool is_brief() const;
  // The time that the key's entry has, INT64_MAX when a write has taken it away.
  [[nodiscard]] int64_t deadline_of_entry(SlotIndex slot) const;
  // The digest of a string that keeps no trace.
  [[nodiscard]] Digest string_digest() const;
  void forget_traces();
  void add(Digest term);
  void subtract(Digest term);
  void add_counter_terms(std::string_view element, const SharedCounter& counter, int sign);
  void count_traces(int64_t change);
  using IsGone = std::function<bool(std::string_view field, const KeyRecord::FieldDeadline&)>;
  void drop_shelved_deadlines(const IsGone& is_gone);
  void forget_gone(Stamp horizon);
  void collect_list(Stamp horizon);
  void collect_counters(Stamp horizon, Stamp now);
  void collect_deadlines(Stamp horizon, FrameWriter* told);
  void observe_older(std::string_view element, SharedCounter& counter, Stamp upto,
                     FrameWriter& told);
  void collect_sketch(Stamp horizon);
  [[nodiscard]] bool awaits_more(Stamp horizon) const;

  Replica& replica_;
  ReplicaSlot& slot_;
  uint64_t hash_;
  std::string_view name_;
  KeyRecord* record_;
  KeyRecord scratch_;
  uint64_t word_;
  BriefRecord* brief_ = nullptr;  // What the scratch record was read from.
  bool was_awaiting_ = false;
};

// The digest of a key as its value and its stamps say now, to check the one that is kept.
[[nodiscard]] Digest recomputed_version(KeyState& state, Key& key);

}  // namespace dyno

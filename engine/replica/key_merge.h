// SPDX-License-Identifier: Apache-2.0
//
// Merges facts into one key: its value in the keyspace and its replicated state together. The rules
// of each kind of fact are here; what is common to them is in key_state.h.
//
// Made under the slot's lock; finish() must be called before it is released.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/live_key.h"
#include "engine/replica/key_state.h"
#include "engine/replica/merge.h"

namespace dyno {

class KeyMerge {
 public:
  KeyMerge(Replica& replica, int db, std::string_view name, FrameOrigin origin, int64_t now_ms,
           MergeOutcome* outcome);

  void apply(const std::vector<Fact>& facts);
  // For a fault that tests plant: the write that follows ends at this stamp.
  void expect(Stamp latest) { is_beaten_ = latest < state_->latest; }
  // The floor has risen: takes out what is older.
  void rise() {
    purge();
    refresh_counters();
  }
  // Brings deadline and liveness into line, and tells watchers and waiters.
  void finish();

 private:
  void apply(const Fact& fact);
  // If the key's deadline has come, what is older than it goes.
  void lapse_if_due();
  // The fact's stamp is below the floor: it changes nothing.
  [[nodiscard]] bool is_older(const Fact& fact);
  // The fact makes the key this type, and is neither hidden by another one nor below the floor.
  [[nodiscard]] bool admits(const Fact& fact, Type type);
  // A later write is here than the fact's. It is a rival unless it surely knew of the fact.
  void lose(const Fact& fact, Stamp winner);
  // The fact made the key this type; false when another type hides it.
  [[nodiscard]] bool claim(Type type, const Fact& fact);
  void count_conflict(const Fact& fact, Stamp old);
  void pull();

  void clear(Stamp stamp);
  void set_deadline(const Fact& fact);
  void drop_value();

  void set_value(const Fact& fact);
  void patch_value(const Fact& fact);
  void raise_registers(const Fact& fact);
  void store_string(std::string_view bytes);

  void put_field(const Fact& fact);
  void put_member(const Fact& fact);
  void put_score(const Fact& fact);
  void erase_element(const Fact& fact, Type type);

  // Deadlines of fields (field_merge.cc).
  void set_field_deadline(const Fact& fact);
  [[nodiscard]] KeyRecord::FieldDeadline field_deadline(std::string_view field);
  void place_field_deadline(std::string_view field, const KeyRecord::FieldDeadline& deadline);
  void expire_field(std::string_view field);
  void mark_lapsed_deadline(std::string_view field);
  void shelve_field_deadline(std::string_view field);
  void shelve_field_deadlines();
  void unshelve_field_deadline(std::string_view field, Stamp value_stamp);
  void end_field_deadline(std::string_view field, Stamp value_stamp);
  [[nodiscard]] bool is_due(int64_t at_ms) const { return at_ms >= 0 && at_ms <= now_ms_; }

  // Sets a counter's base if the element is one; then the rest is done.
  [[nodiscard]] bool replaced_base(const Fact& fact, Type type, bool exists);
  // Whether a fact wins over what is here with stamp `old` (alive) or `gone`.
  [[nodiscard]] bool wins(const Fact& fact, Stamp old, Stamp gone, bool larger_bytes);

  void put_item(const Fact& fact);
  void erase_items(const Fact& fact);

  void add_total(const Fact& fact);
  // The element shows what its counter says.
  void refresh(Type type, std::string_view element, const SharedCounter& counter);
  void refresh_counters();
  [[nodiscard]] bool has_live(Type type, std::string_view element, SharedCounter::Base* base);
  void remove_live(Type type, std::string_view element);

  void purge();
  void purge_cold(Stamp floor);
  void purge_string(Stamp floor);
  void purge_sketch(Stamp floor);
  void purge_hash(Stamp floor);
  void purge_set(Stamp floor);
  void purge_zset(Stamp floor);
  void purge_list(Stamp floor);

  [[nodiscard]] Key& key() { return live_.key(); }
  [[nodiscard]] Stamp floor() const { return state_.floor(now_ms_); }

  Replica& replica_;
  FrameOrigin origin_;
  int64_t now_ms_;
  MergeOutcome* outcome_;
  KeyState state_;
  LiveKey live_;
  Stamp lapsed_at_ = 0;  // The deadline that had passed when this began.
  Stamp cleared_ = 0;    // Of the string that a clear has taken, 0: none.
  bool changed_ = false;
  bool is_beaten_ = false;
};

}  // namespace dyno

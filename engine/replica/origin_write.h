// SPDX-License-Identifier: Apache-2.0
//
// How the origin makes facts of effects: what a thread's command has written so far, and one effect
// on its way. The origin's own business: only its files include this.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/replica/origin.h"

namespace dyno {

// What a thread's running command has written so far.
struct Origin::Pending {
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

}  // namespace dyno

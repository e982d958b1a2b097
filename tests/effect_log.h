// SPDX-License-Identifier: Apache-2.0
//
// Effects kept in memory, and put back into an empty keyspace through the families' mutators: what
// a replica, a log or a restart will do with them.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "engine/context.h"
#include "engine/effect.h"
#include "engine/types/hash.h"
#include "engine/types/list.h"
#include "engine/types/set.h"
#include "engine/types/sketch.h"
#include "engine/types/string.h"
#include "engine/types/zset.h"
#include "tests/engine_client.h"

namespace dyno {

// Checks on the way that everything is recorded within a command, and committed while its slot is
// still locked.
class EffectLog : public EffectRecorder {
 public:
  // The keyspace whose effects these are; set first.
  void set_source(Keyspace* source) { source_ = source; }

  void begin_command(int64_t) override { in_command_ = true; }
  void commit() override {
    for (; committed_ < records_.size(); ++committed_) {
      const Record& record = records_[committed_];
      SlotIndex slot = source_->hash(record.key).slot();
      DYNO_CHECK(source_->slot(slot).lock.is_locked());
    }
    in_command_ = false;
  }
  void record(const Effect& effect) override {
    DYNO_CHECK(in_command_);
    records_.push_back(
        {effect, std::string(effect.key), std::string(effect.element), std::string(effect.value)});
  }

  [[nodiscard]] size_t size() const { return records_.size(); }

  [[nodiscard]] bool is_committed() const { return committed_ == records_.size() && !in_command_; }

  // Puts the first `count` effects into the target.
  void replay(EngineClient& target, size_t count) const {
    for (size_t i = 0; i < count; ++i) {
      const Record& record = records_[i];
      Effect effect = record.effect;
      effect.key = record.key;
      effect.element = record.element;
      effect.value = record.value;
      apply(target, effect);
    }
  }

 private:
  struct Record {
    Effect effect;
    std::string key;
    std::string element;
    std::string value;
  };

  static void apply(EngineClient& target, const Effect& effect) {
    ByteBuffer buffer;
    Reply reply(&buffer);
    // At the beginning of time nothing has expired, so that deadlines are only kept.
    Context context{target.executor(), target.keyspace(), target.limits(), target.session(), reply};
    context.now_ms = 0;
    context.db = effect.db;
    if (effect.kind == EffectKind::kFlush) {
      target.keyspace().lock_all();
      for (uint32_t i = 0; i < kSlotCount && effect.db >= 0; ++i) {
        target.keyspace().flush_slot(target.keyspace().slot(static_cast<SlotIndex>(i)), effect.db);
      }
      if (effect.db < 0) target.keyspace().flush(-1, false);
      target.keyspace().unlock_all();
      return;
    }
    Slot& slot = target.keyspace().slot(target.keyspace().hash(effect.key).slot());
    slot.lock.lock();
    {
      Key key(context, effect.key, Key::Use::kPeek);
      apply_to(key, effect);
    }
    slot.lock.unlock();
    DYNO_CHECK(buffer.empty());
  }

  // What an effect says of the moment before it must be true of the copy, too.
  static void apply_to(Key& key, const Effect& effect) {
    switch (effect.kind) {
      case EffectKind::kErase:
        if (key.exists()) key.erase();
        break;
      case EffectKind::kExpired:
      case EffectKind::kEvicted:
        DYNO_CHECK(key.exists());
        key.erase();
        break;
      case EffectKind::kEmptied:
        // Its elements went one by one.
        DYNO_CHECK(!key.exists());
        break;
      case EffectKind::kIncrement:
        DYNO_CHECK(adds_up(key, effect));
        [[fallthrough]];
      case EffectKind::kString:
        DYNO_CHECK(effect.is_new == !key.exists());
        String(key).assign(effect.element, {DeadlineChange::Kind::kKeep});
        break;
      case EffectKind::kPatch:
        String(key).patch(static_cast<size_t>(effect.position), effect.element);
        break;
      case EffectKind::kRegisters:
        DYNO_CHECK(effect.is_new == !key.exists());
        raise_registers(key, effect.element);
        break;
      case EffectKind::kDeadline:
        if (effect.position >= 0 || key.deadline() >= 0) key.set_deadline(effect.position);
        break;
      case EffectKind::kField:
        DYNO_CHECK(effect.is_new == Hash(key).set(effect.element, effect.value));
        break;
      case EffectKind::kFieldIncrement:
        DYNO_CHECK(effect.is_new == !Hash(key).find(effect.element));
        Hash(key).add(effect.element, effect.value, effect.amount.part);
        break;
      case EffectKind::kFieldErase:
      case EffectKind::kFieldExpired:
        DYNO_CHECK(Hash(key).erase(effect.element));
        break;
      case EffectKind::kFieldDeadline:
        Hash(key).set_deadline(effect.element, effect.position);
        break;
      case EffectKind::kMember:
        DYNO_CHECK(effect.is_new == Set(key).add(effect.element));
        break;
      case EffectKind::kMemberErase:
        DYNO_CHECK(Set(key).erase(effect.element));
        break;
      case EffectKind::kScore:
      case EffectKind::kScoreIncrement:
        put_score(key, effect);
        break;
      case EffectKind::kScoreErase:
        erase_score(key, effect.element);
        break;
      case EffectKind::kListInsert:
      case EffectKind::kListSet:
      case EffectKind::kListErase:
        apply_to_list(key, effect);
        break;
      case EffectKind::kFlush:
        break;
    }
  }

  // A counter of integers is what it was, and the amount; floats are rounded.
  static bool adds_up(Key& key, const Effect& effect) {
    if (effect.amount.part != 0) return true;
    String::Buffer buffer;
    auto before = key.exists() ? parse_int64(String(key).view(&buffer)) : 0;
    auto after = parse_int64(effect.element);
    return !before || !after || *before + effect.amount.whole == *after;
  }

  static void apply_to_list(Key& key, const Effect& effect) {
    List list(key);
    auto at = static_cast<size_t>(effect.position);
    if (effect.kind == EffectKind::kListErase) {
      list.erase(at, static_cast<size_t>(effect.count));
    } else if (effect.kind == EffectKind::kListSet) {
      list.set(at, effect.element);
    } else if (key.exists()) {
      list.insert(at, effect.element);
    } else {
      DYNO_CHECK(at == 0);
      list.push(ListEnd::kTail, effect.element);
    }
  }

  static void put_score(Key& key, const Effect& effect) {
    ZSet set(key);
    set.expect(1, effect.element.size());
    auto place = set.find(effect.element);
    DYNO_CHECK(effect.is_new == !place.found);
    if (effect.kind == EffectKind::kScoreIncrement) {
      auto sum = static_cast<double>(place.score + effect.amount.part);
      DYNO_CHECK(std::abs(sum - effect.score) <= 1e-6 * std::abs(sum));
    }
    set.put(place, effect.element, effect.score);
  }

  static void erase_score(Key& key, std::string_view member) {
    ZSet set(key);
    auto place = set.find(member);
    DYNO_CHECK(place.found);
    set.erase(place, member);
  }

  static void raise_registers(Key& key, std::string_view registers) {
    String::Buffer buffer;
    std::string copy = key.exists() ? std::string(String(key).view(&buffer)) : sketch::empty();
    DYNO_CHECK(sketch::is_sketch(copy) && registers.size() % 3 == 0);
    for (size_t i = 0; i < registers.size(); i += 3) {
      auto byte = [&](size_t n) { return static_cast<uint8_t>(registers[i + n]); };
      sketch::Place place{byte(0) | uint32_t{byte(1)} << 8, byte(2)};
      auto bytes_max = static_cast<size_t>(key.context().limits.hyperloglog_sparse_bytes);
      DYNO_CHECK(sketch::raise(&copy, place, bytes_max) != sketch::Raised::kDamaged);
    }
    String(key).rewrite(copy);
  }

  std::vector<Record> records_;
  Keyspace* source_ = nullptr;
  size_t committed_ = 0;  // The first so many records.
  bool in_command_ = false;
};

}  // namespace dyno

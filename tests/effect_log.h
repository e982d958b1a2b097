// SPDX-License-Identifier: Apache-2.0
//
// Effects kept in memory, and put back into an empty keyspace through the families' mutators: what
// a replica, a log or a restart will do with them.
#pragma once

#include <string>
#include <vector>

#include "engine/context.h"
#include "engine/effect.h"
#include "engine/hash.h"
#include "engine/list.h"
#include "engine/set.h"
#include "engine/string.h"
#include "engine/zset.h"
#include "tests/engine_client.h"

namespace dyno {

class EffectLog : public EffectRecorder {
 public:
  void record(const Effect& effect) override {
    records_.push_back(
        {effect, std::string(effect.key), std::string(effect.element), std::string(effect.value)});
  }

  [[nodiscard]] size_t size() const { return records_.size(); }

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

  static void apply_to(Key& key, const Effect& effect) {
    auto at = static_cast<size_t>(effect.position);
    switch (effect.kind) {
      case EffectKind::kErase:
      case EffectKind::kEmptied:
      case EffectKind::kExpired:
      case EffectKind::kEvicted:
        if (key.exists()) key.erase();
        break;
      case EffectKind::kString:
      case EffectKind::kIncrement:
        String(key).assign(effect.element, {DeadlineChange::Kind::kKeep});
        break;
      case EffectKind::kPatch:
        String(key).patch(at, effect.element);
        break;
      case EffectKind::kDeadline:
        if (key.exists() && (effect.position >= 0 || key.deadline() >= 0)) {
          key.set_deadline(effect.position);
        }
        break;
      case EffectKind::kRegisters:
        break;
      case EffectKind::kField:
      case EffectKind::kFieldIncrement:
        Hash(key).set(effect.element, effect.value);
        break;
      case EffectKind::kFieldErase:
      case EffectKind::kFieldExpired:
        Hash(key).erase(effect.element);
        break;
      case EffectKind::kFieldDeadline:
        Hash(key).set_deadline(effect.element, effect.position);
        break;
      case EffectKind::kMember:
        Set(key).add(effect.element);
        break;
      case EffectKind::kMemberErase:
        Set(key).erase(effect.element);
        break;
      case EffectKind::kScore:
      case EffectKind::kScoreIncrement: {
        ZSet set(key);
        set.expect(1, effect.element.size());
        set.put(set.find(effect.element), effect.element, effect.score);
        break;
      }
      case EffectKind::kScoreErase: {
        ZSet set(key);
        auto place = set.find(effect.element);
        if (place.found) set.erase(place, effect.element);
        break;
      }
      case EffectKind::kListInsert:
        key.exists() ? List(key).insert(at, effect.element)
                     : List(key).push(ListEnd::kTail, effect.element);
        break;
      case EffectKind::kListSet:
        List(key).set(at, effect.element);
        break;
      case EffectKind::kListErase:
        List(key).erase(at, static_cast<size_t>(effect.count));
        break;
      case EffectKind::kFlush:
        break;
    }
  }

  std::vector<Record> records_;
};

}  // namespace dyno

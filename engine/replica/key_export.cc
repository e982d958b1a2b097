// SPDX-License-Identifier: Apache-2.0
#include "engine/replica/key_export.h"

#include "engine/live_key.h"
#include "engine/replica/key_state.h"
#include "engine/replica/replica_sketch.h"
#include "engine/types/hash.h"
#include "engine/types/list.h"
#include "engine/types/set.h"
#include "engine/types/string.h"
#include "engine/types/zset.h"

namespace dyno {
namespace {

class Export {
 public:
  Export(Replica& replica, int db, std::string_view name, FrameWriter* frame)
      : state_(replica, replica.keyspace().hash(name).slot(), db, name),
        live_(replica.executor(), db, name, INT64_MIN),
        frame_(frame) {}

  void run(int64_t now_ms) {
    if (state_->latest == 0) return;
    DYNO_CHECK(!live_.key().exists() || !live_.key().is_cold());
    header();
    bool expired = state_.expiry_floor(now_ms) != 0 && !state_->lapsed;
    if (live_.key().exists() && !expired) value();
    traces();
    counters();
  }

 private:
  Key& key() { return live_.key(); }
  void add(const Fact& fact) { frame_->add(state_->db, state_.name(), fact); }

  void header() {
    if (state_->type_stamp != 0) {
      add({.kind = FactKind::kType, .type = state_->type, .stamp = state_->type_stamp});
    }
    if (state_->other_stamp != 0) {
      add({.kind = FactKind::kOtherType, .stamp = state_->other_stamp});
    }
    if (state_->clear != 0) add({.kind = FactKind::kClear, .stamp = state_->clear});
    if (state_->deadline_stamp != 0) {
      Fact fact{.kind = FactKind::kDeadline, .stamp = state_->deadline_stamp};
      fact.number = state_->deadline_ms;
      add(fact);
    }
  }

  void element(FactKind kind, std::string_view element, std::string_view value, double score) {
    if (state_->has_counter(key().type(), element)) return;
    Fact fact{.kind = kind, .stamp = state_.element_stamp(state_.element_hash(element))};
    fact.element = element;
    fact.value = value;
    fact.score = score;
    add(fact);
  }

  void value() {
    switch (key().type()) {
      case Type::kString:
        return string();
      case Type::kHash:
        return hash();
      case Type::kSet:
        Set(key()).members().for_each([&](const packed::Item& item) {
          packed::Item::Buffer buffer;
          element(FactKind::kMember, item.view(&buffer), {}, 0);
          return true;
        });
        return;
      case Type::kZSet:
        ZSetView(key()).for_all([&](std::string_view member, double score) {
          element(FactKind::kScore, member, {}, score);
          return true;
        });
        return;
      case Type::kList:
        return list();
    }
  }

  void string() {
    String::Buffer buffer;
    std::string_view bytes = String(key()).view(&buffer);
    const SketchRecord* sketch = state_->sketch.get();
    if (state_->type != kSketchType) return element(FactKind::kValue, {}, bytes, 0);
    // What is no longer told apart is older than any clear on its way.
    if (sketch->folded != 0) {
      std::string all = raised_of(bytes);
      add({.kind = FactKind::kRegisters, .stamp = sketch->folded, .value = all});
    }
    for (size_t at = 0; at < sketch->recent.size();) {
      Stamp stamp = sketch->recent[at].stamp;
      std::string raised = raised_of(*sketch, at, &at);
      add({.kind = FactKind::kRegisters, .stamp = stamp, .value = raised});
    }
  }

  void hash() {
    Hash(key()).fields().for_each(HashFields::kBeforeAll, [&](const FieldView& view) {
      packed::Item::Buffer field_buffer;
      packed::Item::Buffer value_buffer;
      std::string_view field = view.field.view(&field_buffer);
      element(FactKind::kField, field, view.value.view(&value_buffer), 0);
      return true;
    });
  }

  // After counters, whose bases would take the deadlines away.
  void field_deadlines() {
    if (state_->field_deadlines == nullptr || !key().is(Type::kHash)) return;
    Hash(key()).fields().for_each(HashFields::kBeforeAll, [&](const FieldView& view) {
      packed::Item::Buffer buffer;
      Fact fact{.kind = FactKind::kFieldDeadline};
      fact.element = view.field.view(&buffer);
      fact.stamp = state_.field_deadline_stamp(state_.element_hash(fact.element));
      fact.number = view.deadline_ms;
      if (fact.stamp != 0) add(fact);
      return true;
    });
  }

  void list() {
    const ItemIds& ids = state_->list->ids;
    List list(key());
    list.for_each(0, list.size(), [&](size_t index, const packed::Item& item) {
      packed::Item::Buffer buffer;
      Fact fact{.kind = FactKind::kItem, .value = item.view(&buffer)};
      fact.item = ids.at(index);
      fact.stamp = state_.item_stamp(fact.item);
      add(fact);
      return true;
    });
  }

  void gone_items(const ItemIds& ids, Stamp stamp) {
    ids.for_each_run(0, ids.size(), [&](const ItemId& first, uint32_t count) {
      Fact fact{.kind = FactKind::kItemGone, .stamp = stamp};
      fact.item = first;
      if (first.head) fact.item.index = first.index - (count - 1);
      fact.count = count;
      add(fact);
    });
  }

  void traces() {
    if (state_->gone != nullptr) {
      for (const auto& [name, stamp] : *state_->gone) {
        auto type = static_cast<Type>(name[0]);
        FactKind kind = type == Type::kHash  ? FactKind::kFieldGone
                        : type == Type::kSet ? FactKind::kMemberGone
                                             : FactKind::kScoreGone;
        add({.kind = kind, .stamp = stamp, .element = KeyRecord::bare_element(name)});
      }
    }
    if (state_->list != nullptr) {
      gone_items(state_->list->dead, state_->list->dead_stamp);
      gone_items(state_->list->dying, state_->list->dying_stamp);
    }
  }

  void counters() {
    if (state_->counters != nullptr) {
      state_->counters->for_each([&](std::string_view name, const SharedCounter& counter) {
        this->counter(KeyRecord::bare_element(name), counter);
      });
    }
    field_deadlines();
    if (state_->shelved_deadlines == nullptr) return;
    for (const auto& [field, deadline] : *state_->shelved_deadlines) {
      Fact fact{.kind = FactKind::kFieldDeadline, .stamp = deadline.stamp, .element = field};
      fact.number = deadline.at_ms;
      add(fact);
    }
  }

  void counter(std::string_view element, const SharedCounter& counter) {
    auto sum = [&](FactKind kind, const Total& total) {
      Fact fact{.kind = kind, .type = counter.type(), .stamp = total.stamp, .element = element};
      fact.total = total;
      add(fact);
    };
    for (const Total& total : counter.observed()) sum(FactKind::kObserved, total);
    for (const Total& total : counter.totals()) sum(FactKind::kTotal, total);
    const SharedCounter::Base& base = counter.base();
    if (base.stamp == 0) return;
    Fact fact{.stamp = base.stamp, .element = element, .value = base.text, .score = base.score};
    switch (counter.type()) {
      case Type::kHash:
        fact.kind = base.exists ? FactKind::kField : FactKind::kFieldGone;
        break;
      case Type::kZSet:
        fact.kind = base.exists ? FactKind::kScore : FactKind::kScoreGone;
        break;
      default:
        // A string is gone by a clear.
        if (!base.exists) return;
        fact.kind = FactKind::kValue;
    }
    add(fact);
  }

  KeyState state_;
  LiveKey live_;
  FrameWriter* frame_;
};

// What a trace in traces_of() is, so that no two stand for the same.
enum Trace : uint64_t { kCleared = 1, kOtherType, kCounterBase, kDeadline };

// Of items with the indexes from `first` on: what their count, the sum of the indexes and that of
// their squares come to, so that it does not matter in which runs they lie.
Digest run_of(const DigestHash& hash, const ItemId& id, uint64_t first, uint64_t count) {
  constexpr uint64_t kOfSum = 0x9e3779b97f4a7c15;
  constexpr uint64_t kOfSquares = 0xc2b2ae3d27d4eb4f;
  using Wide = unsigned __int128;
  auto squares_below = [](Wide n) { return n == 0 ? Wide{0} : (n - 1) * n * (2 * n - 1) / 6; };
  const Wide sum = Wide{count} * (2 * first + count - 1) / 2;
  const Wide squares = squares_below(Wide{first} + count) - squares_below(first);
  const uint64_t factor =
      count + kOfSum * static_cast<uint64_t>(sum) + kOfSquares * static_cast<uint64_t>(squares);
  const Digest one = hash.term(0, id.head ? 1 : 0, id.stamp);
  return {one.low * factor, one.high * factor};
}

Digest items_of(const DigestHash& hash, const ItemIds& ids) {
  Digest sum;
  ids.for_each_run(0, ids.size(), [&](const ItemId& id, uint32_t count) {
    sum += run_of(hash, id, id.head ? id.index - (count - 1) : id.index, count);
  });
  return sum;
}

// Replicas that keep the same traces agree on it. When the items of a list went they do not agree
// on, only which.
Digest traces_of(const DigestHash& hash, const KeyRecord& record, std::string_view name,
                 Stamp floor) {
  Digest sum;
  if (!record.awaits_collection) return sum;
  const uint64_t key = hash.key(record.db, name);
  sum += hash.term(key, 0, record.clear, kCleared);
  sum += hash.term(key, 0, record.other_stamp, kOtherType);
  if (record.gone != nullptr) sum += record.gone->digest();
  if (record.list != nullptr) {
    sum += items_of(hash, record.list->dead) + items_of(hash, record.list->dying);
  }
  if (record.counters != nullptr) {
    record.counters->for_each([&](std::string_view element, const SharedCounter& counter) {
      // What the floor has passed may be kept, and need not be.
      const Stamp base = counter.base().stamp;
      if (base >= floor) sum += hash.term(key, hash.element(element), base, kCounterBase);
    });
  }
  if (record.shelved_deadlines != nullptr) {
    for (const auto& [field, deadline] : *record.shelved_deadlines) {
      sum += hash.term(key, hash.element(field), deadline.stamp, kDeadline);
    }
  }
  return sum;
}

}  // namespace

void export_key(Replica& replica, int db, std::string_view name, int64_t unix_ms,
                FrameWriter* frame) {
  Export(replica, db, name, frame).run(replica.clock().now_ms(unix_ms));
}

void export_flush(Replica& replica, SlotIndex index, int db, FrameWriter* frame) {
  Stamp stamp = replica.slot(index).flushed(db);
  if (stamp != 0) frame->add(db, {}, {.kind = FactKind::kFlush, .stamp = stamp});
}

Digest key_version(Replica& replica, int db, std::string_view name) {
  return KeyState(replica, replica.keyspace().hash(name).slot(), db, name).record().digest;
}

Digest key_version_with_traces(Replica& replica, int db, std::string_view name) {
  const KeyState state(replica, replica.keyspace().hash(name).slot(), db, name);
  return state.record().digest + traces_of(replica.hash(), state.record(), name, state.floor());
}

std::vector<NamedKey> replicated_keys(Replica& replica, SlotIndex index, int db) {
  std::vector<NamedKey> keys;
  for_each_replicated_key(replica, index, [&](int key_db, std::string_view name) {
    if (db < 0 || key_db == db) keys.push_back({key_db, std::string(name)});
  });
  return keys;
}

}  // namespace dyno

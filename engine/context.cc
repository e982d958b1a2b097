// SPDX-License-Identifier: Apache-2.0
#include "engine/context.h"

#include <climits>

#include "engine/access_clock.h"
#include "engine/blocking.h"
#include "engine/command.h"
#include "engine/fixed_draws.h"
#include "engine/reclaimer.h"
#include "engine/stats.h"
#include "engine/value.h"
#include "protocol/check.h"
#include "protocol/number.h"

namespace dyno {
namespace {

bool keeps_cold(const Context& context) {
  return context.spec != nullptr && context.spec->keeps_cold(context.args);
}

uint64_t& draw_state() {
  static thread_local uint64_t state = element_seed() ^ reinterpret_cast<uintptr_t>(&state);
  return state;
}

}  // namespace

void fix_draws(uint64_t seed) {
  draw_state() = seed;
}

uint64_t Context::random() {
  // SplitMix64 (Steele, Lea, Flood 2014), seeded once per thread.
  uint64_t z = (draw_state() += 0x9e3779b97f4a7c15ull);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

std::optional<int> read_int(Context& context, std::string_view text) {
  auto number = parse_int64(text);
  if (!number) {
    context.error(errors::kNotInteger);
  } else if (*number < INT_MIN || *number > INT_MAX) {
    context.error("ERR value is out of range, value must between -2147483648 and 2147483647");
  } else {
    return static_cast<int>(*number);
  }
  return std::nullopt;
}

Key::Key(Context& context, std::string_view name, Use use) : Key(context, name, use, context.db) {}

Key::Key(Context& context, std::string_view name, Use use, int db)
    : context_(context), name_(name), db_(db), position_(0), slot_([&]() -> Slot& {
        KeyHash hash = context.hash(name);
        position_ = position_in_slot(hash.inner, db);
        return context.keyspace.slot(hash.slot());
      }()) {
  DYNO_CHECK(slot_.lock.is_locked());
  locate(use);
}

void Key::find() {
  word_ = slot_.table.find(position_, {name_, db_});
}

void Key::locate(Use use) {
  find();
  if (word_ != nullptr && (EntryTable::flags(*word_) & kWordCold)) [[unlikely]] {
    DYNO_CHECK(use == Use::kPeek || use == Use::kReplace || keeps_cold(context_));
  }
  if (word_ != nullptr && entry()->has_deadline() && entry()->deadline() <= context_.now_ms)
      [[unlikely]] {
    record(EffectKind::kExpired);
    drop();
    stats().expired_keys.add();
    if (slot_.side != nullptr) slot_.side->touch(db_, name_);
  }
  if (use != Use::kRead) return;
  if (word_ == nullptr) {
    stats().keyspace_misses.add();
    return;
  }
  stats().keyspace_hits.add();
  if (!context_.no_touch)
    touch_clock(entry(), context_.limits, context_.now_ms,
                context_.limits.policy_is_lfu() ? context_.random() : 0);
}

void Key::put(Entry* fresh) {
  if (word_ != nullptr) {
    inherit_clock(fresh, entry(), context_.limits, context_.now_ms);
    context_.keyspace.replace(slot_, word_, fresh);
  } else {
    set_initial_clock(fresh, context_.limits, context_.now_ms);
    word_ = context_.keyspace.insert(slot_, position_, fresh);
  }
}

void Key::drop() {
  context_.keyspace.remove(slot_, position_, word_);
  word_ = nullptr;
}

Entry* Key::take() {
  Entry* taken = context_.keyspace.take(slot_, position_, word_);
  word_ = nullptr;
  return taken;
}

void Key::erase() {
  record(EffectKind::kErase);
  drop();
}

void Key::erase_empty() {
  record(EffectKind::kEmptied);
  drop();
}

void Key::begin_anew() {
  record(EffectKind::kErase);
  if (exists()) drop();
}

void Key::set_deadline(int64_t at_ms) {
  Entry* old = entry();
  bool wanted = at_ms >= 0;
  if (old->has_deadline() != wanted) {
    Entry* fresh = Entry::with_deadline(old, wanted, value_ops(old).value_bytes(old));
    moved(fresh);
    stats().deadlines[static_cast<size_t>(db_)].add(wanted ? 1 : -1);
  }
  if (wanted) {
    entry()->set_deadline(at_ms);
    context_.keyspace.note_deadline(slot_, at_ms);
    context_.keyspace.set_deadline_flag(slot_, word_, true);
  } else if (entry()->type() != Type::kHash) {
    // A hash keeps the flag, since fields of it may have deadlines; a sweep clears it if none has.
    context_.keyspace.set_deadline_flag(slot_, word_, false);
  }
  record(EffectKind::kDeadline, {}, {}, at_ms);
}

void Key::record(Effect effect) {
  effect.db = db_;
  effect.key = name_;
  context_.effects->record(effect);
}

void Key::record_parts(EffectKind kind, std::string_view element, std::string_view value,
                       int64_t position, int64_t count) {
  record({.kind = kind, .element = element, .value = value, .position = position, .count = count});
}

void Key::changed() {
  stats().changes.add();
  if (context_.keyspace.has_cold_keys()) [[unlikely]] {
    find();  // Another key's change may have moved it.
    context_.keyspace.end_copy(slot_, word_);
  }
  if (slot_.side != nullptr) [[unlikely]] {
    slot_.side->touch(db_, name_);
    slot_.side->changed(db_, name_);
  }
}

}  // namespace dyno

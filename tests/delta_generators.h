// SPDX-License-Identifier: Apache-2.0
//
// Random facts and deltas for laws, with rapidcheck. A domain says what their parts are drawn from:
// the wide one reaches the ends of every range, for laws of the format; the narrow one has few
// keys, elements, actors and stamps, so that facts meet each other, for laws of merging.
//
// Whatever is drawn may be written: generations and items are not later than their fact, registers
// ascend, flushes stand alone. When a law fails, rapidcheck shrinks what was drawn and shows it as
// describe() does.
#pragma once

#include <rapidcheck.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "engine/replica/delta.h"

namespace dyno {

// A fact with the bytes that its views point to.
struct OwnedFact {
  Fact parts;  // All but element and value.
  std::string element;
  std::string value;

  // Valid as long as this is.
  [[nodiscard]] Fact fact() const {
    Fact fact = parts;
    fact.element = element;
    fact.value = value;
    return fact;
  }
};

// The facts of one key, at least one.
struct OwnedDelta {
  int db = 0;
  std::string key;
  std::vector<OwnedFact> facts;

  // Valid as long as this is.
  [[nodiscard]] Delta delta() const {
    Delta delta{.db = db, .stamp = facts.front().parts.stamp, .key = key, .facts = {}};
    for (const OwnedFact& each : facts) delta.facts.push_back(each.fact());
    return delta;
  }
};

inline std::ostream& operator<<(std::ostream& out, const OwnedDelta& owned) {
  return out << describe(owned.delta());
}
inline std::ostream& operator<<(std::ostream& out, const OwnedFact& owned) {
  return out << OwnedDelta{.db = 0, .key = "?", .facts = {owned}};
}

// What the parts of facts and deltas are drawn from.
struct FactDomain {
  std::vector<FactKind> kinds;  // Those of one key; flushes are deltas of their own.
  std::vector<Type> counter_types;
  rc::Gen<int> db;
  rc::Gen<std::string> key;
  rc::Gen<Stamp> stamp;
  rc::Gen<std::string> element;
  rc::Gen<std::string> value;
  rc::Gen<int64_t> deadline_ms;
  rc::Gen<int64_t> offset;
  rc::Gen<double> score;
  rc::Gen<uint32_t> index;
  rc::Gen<Actor> actor;
  rc::Gen<Amount> sum;
  unsigned register_count;  // Registers are drawn from the first ones.
  // Two writes of a key never have one stamp. When this is set, what a fact says follows from its
  // stamp, kind and element.
  bool is_said_by_stamp;
};

// Every kind but kFlush.
inline std::vector<FactKind> kinds_of_keys() {
  std::vector<FactKind> kinds;
  for (int kind = 1; kind < static_cast<int>(FactKind::kFlush); ++kind) {
    kinds.push_back(static_cast<FactKind>(kind));
  }
  return kinds;
}

// One of some values as often as a drawn one.
template <class T>
rc::Gen<T> gen_edges_or(std::vector<T> edges, rc::Gen<T> drawn) {
  return rc::gen::oneOf(rc::gen::elementOf(std::move(edges)), std::move(drawn));
}

inline rc::Gen<Stamp> gen_wide_stamp() {
  const rc::Gen<Stamp> drawn =
      rc::gen::map(rc::gen::tuple(rc::gen::arbitrary<uint64_t>(), rc::gen::inRange<Stamp>(1, 256),
                                  rc::gen::inRange(0, 64)),
                   [](const std::tuple<uint64_t, Stamp, int>& parts) {
                     const auto& [time, rack, shift] = parts;
                     return (time << shift & ~Stamp{255}) | rack;
                   });
  return gen_edges_or<Stamp>({1, 255, 257, Stamp{1} << 63 | 1, UINT64_MAX}, drawn);
}

inline rc::Gen<Amount> gen_wide_sum() {
  return rc::gen::exec([] {
    const auto high = static_cast<unsigned __int128>(*rc::gen::arbitrary<uint64_t>());
    const auto whole = static_cast<__int128>(high << 64 | *rc::gen::arbitrary<uint64_t>());
    const double part = *rc::gen::arbitrary<double>();
    const int exponent = *rc::gen::inRange(-16000, 16000);
    const long double scaled = std::ldexp(static_cast<long double>(part), exponent);
    return Amount{whole, std::isfinite(scaled) ? scaled : 0};
  });
}

inline FactDomain wide_domain() {
  using Double = std::numeric_limits<double>;
  const rc::Gen<std::string> text =
      rc::gen::oneOf(rc::gen::arbitrary<std::string>(),
                     rc::gen::map(rc::gen::inRange<size_t>(0, 300),
                                  [](size_t size) { return std::string(size, '\xff'); }));
  return {
      .kinds = kinds_of_keys(),
      .counter_types = {Type::kString, Type::kHash, Type::kZSet},
      .db = rc::gen::inRange(0, 16),
      .key = text,
      .stamp = gen_wide_stamp(),
      .element = text,
      .value = text,
      .deadline_ms = gen_edges_or<int64_t>({-1, 0, INT64_MAX}, rc::gen::nonNegative<int64_t>()),
      // Room for a value stays below 512 MB.
      .offset = gen_edges_or<int64_t>({0, 500 << 20}, rc::gen::inRange<int64_t>(0, 500 << 20)),
      .score = gen_edges_or<double>(
          {0.0, -0.0, Double::infinity(), -Double::infinity(), Double::max(), Double::denorm_min()},
          rc::gen::arbitrary<double>()),
      .index = gen_edges_or<uint32_t>({0, UINT32_MAX - 1}, rc::gen::inRange(0u, UINT32_MAX)),
      .actor = rc::gen::map(
          rc::gen::pair(rc::gen::inRange(1, 256), rc::gen::inRange(0u, kIncarnationMax + 1)),
          [](const std::pair<int, uint32_t>& parts) {
            return make_actor(static_cast<uint8_t>(parts.first), parts.second);
          }),
      .sum = gen_wide_sum(),
      .register_count = 16384,
      .is_said_by_stamp = false,
  };
}

// One key of one database, with stamps of three racks within a few milliseconds.
inline FactDomain narrow_domain() {
  const rc::Gen<std::string> element = rc::gen::elementOf(std::vector<std::string>{"a", "b", "c"});
  return {
      .kinds = kinds_of_keys(),
      .counter_types = {Type::kString, Type::kHash, Type::kZSet},
      .db = rc::gen::just(0),
      .key = rc::gen::just<std::string>("key"),
      .stamp = rc::gen::map(
          rc::gen::tuple(rc::gen::inRange(1, 6), rc::gen::inRange(0u, 2u), rc::gen::inRange(1, 4)),
          [](const std::tuple<int, uint32_t, int>& parts) {
            const auto& [ms, logical, rack] = parts;
            return make_stamp(kStampEpochMs + ms, logical, static_cast<uint8_t>(rack));
          }),
      .element = element,
      .value = rc::gen::elementOf(std::vector<std::string>{"", "1", "22", "x", "yyyyyyyyyy"}),
      .deadline_ms = rc::gen::elementOf(
          std::vector<int64_t>{-1, kStampEpochMs + 3, kStampEpochMs + 1000, kStampEpochMs + 20000}),
      .offset = rc::gen::inRange<int64_t>(0, 12),
      .score = rc::gen::elementOf(std::vector<double>{-1, 0, 0.5, 2}),
      .index = rc::gen::inRange(0u, 3u),
      .actor = rc::gen::elementOf(
          std::vector<Actor>{make_actor(1, 0), make_actor(1, 1), make_actor(2, 0)}),
      // Halves add up exactly in any order.
      .sum = rc::gen::map(rc::gen::pair(rc::gen::inRange(-5, 6), rc::gen::inRange(-3, 4)),
                          [](const std::pair<int, int>& parts) {
                            return Amount{parts.first, parts.second * 0.5L};
                          }),
      .register_count = 4,
      .is_said_by_stamp = true,
  };
}

// The value of kRegisters.
inline rc::Gen<std::string> gen_registers(unsigned register_count) {
  using Ranks = std::vector<std::pair<unsigned, int>>;
  return rc::gen::map(
      rc::gen::container<Ranks>(
          rc::gen::pair(rc::gen::inRange(0u, register_count), rc::gen::inRange(1, 52))),
      [](const Ranks& ranks) {
        std::string value;
        for (const auto& [index, rank] : std::map<unsigned, int>(ranks.begin(), ranks.end())) {
          value += static_cast<char>(index);
          value += static_cast<char>(index >> 8);
          value += static_cast<char>(rank);
        }
        return value;
      });
}

// Draws the parts of one fact, either at random or as its stamp, kind and element say.
class FactDraw {
 public:
  FactDraw(const FactDomain& domain, FactKind kind) : domain_(domain) {
    owned_.parts.kind = kind;
    owned_.parts.stamp = *domain.stamp;
    if (has_element(kind)) owned_.element = *domain.element;
    random_ = rc::Random(seed());
  }

  [[nodiscard]] OwnedFact draw() {
    Fact& parts = owned_.parts;
    if (*rc::gen::arbitrary<bool>()) parts.prev = has_prev(parts.kind) ? *domain_.stamp : 0;
    switch (parts.kind) {
      case FactKind::kDeadline:
      case FactKind::kFieldDeadline:
        parts.number = of(domain_.deadline_ms);
        break;
      case FactKind::kPatch:
        parts.number = of(domain_.offset);
        owned_.value = of(domain_.value);
        break;
      case FactKind::kValue:
      case FactKind::kField:
        owned_.value = of(domain_.value);
        break;
      case FactKind::kRegisters:
        owned_.value = of(gen_registers(domain_.register_count));
        break;
      case FactKind::kTotal:
      case FactKind::kObserved:
        draw_total();
        break;
      case FactKind::kScore:
        parts.score = of(domain_.score);
        break;
      case FactKind::kItem:
      case FactKind::kItemGone:
        draw_item();
        break;
      case FactKind::kType:
        parts.type = static_cast<Type>(*rc::gen::inRange(0, kTypeCount));
        break;
      default:
        break;
    }
    return owned_;
  }

 private:
  static bool has_element(FactKind kind) {
    return (kind >= FactKind::kTotal && kind <= FactKind::kScoreGone);
  }
  static bool has_prev(FactKind kind) {
    return (kind >= FactKind::kValue && kind <= FactKind::kRegisters) || kind == FactKind::kField ||
           kind == FactKind::kScore;
  }

  void draw_total() {
    Fact& parts = owned_.parts;
    parts.type = *rc::gen::elementOf(domain_.counter_types);
    // A string's counter has no element, and an actor's totals of one stamp are one total.
    if (parts.type == Type::kString) owned_.element.clear();
    parts.total.actor = *domain_.actor;
    parts.total.generation = std::min(*domain_.stamp, parts.stamp);
    parts.total.stamp = parts.stamp;
    random_ = rc::Random(seed() + parts.total.generation);
    parts.total.sum = of(domain_.sum);
  }

  void draw_item() {
    Fact& parts = owned_.parts;
    parts.item.head = *rc::gen::arbitrary<bool>();
    parts.item.index = *domain_.index;
    parts.item.stamp = std::min(*domain_.stamp, parts.stamp);
    random_ = rc::Random(seed() + parts.item.stamp + parts.item.index);
    if (parts.kind == FactKind::kItem) owned_.value = of(domain_.value);
    if (parts.kind == FactKind::kItemGone) {
      const uint32_t most = std::min(UINT32_MAX - parts.item.index, domain_.register_count);
      parts.count = *rc::gen::inRange(1u, most + 1);
    }
  }

  [[nodiscard]] uint64_t seed() const {
    return std::hash<std::string>()(owned_.element) ^ owned_.parts.stamp * 0x9e3779b97f4a7c15 ^
           static_cast<uint64_t>(owned_.parts.kind) << 32 ^ owned_.parts.total.actor;
  }

  template <class T>
  T of(const rc::Gen<T>& gen) {
    return domain_.is_said_by_stamp ? gen(random_, rc::kNominalSize).value() : *gen;
  }

  const FactDomain& domain_;
  OwnedFact owned_;
  rc::Random random_;
};

// A fact of a key.
inline rc::Gen<OwnedFact> gen_fact(FactDomain domain) {
  return rc::gen::exec([domain = std::move(domain)] {
    const FactKind kind = *rc::gen::elementOf(domain.kinds);
    return FactDraw(domain, kind).draw();
  });
}

inline rc::Gen<OwnedFact> gen_flush(const FactDomain& domain) {
  return rc::gen::map(domain.stamp, [](Stamp stamp) {
    return OwnedFact{
        .parts = {.kind = FactKind::kFlush, .stamp = stamp}, .element = {}, .value = {}};
  });
}

// The facts of one key, in any order.
inline rc::Gen<OwnedDelta> gen_key_delta(const FactDomain& domain) {
  return rc::gen::exec([domain] {
    OwnedDelta owned;
    owned.db = *domain.db;
    owned.key = *domain.key;
    owned.facts = *rc::gen::nonEmpty(rc::gen::container<std::vector<OwnedFact>>(gen_fact(domain)));
    return owned;
  });
}

// The facts of one key, in any order; one in ten empties a database instead.
inline rc::Gen<OwnedDelta> gen_delta(const FactDomain& domain) {
  return rc::gen::exec([domain] {
    const bool is_flush = *rc::gen::inRange(0, 10) == 9;
    OwnedDelta owned;
    owned.db = *domain.db;
    if (!is_flush) owned.key = *domain.key;
    owned.facts = *rc::gen::nonEmpty(rc::gen::container<std::vector<OwnedFact>>(
        is_flush ? gen_flush(domain) : gen_fact(domain)));
    return owned;
  });
}

// What a transaction may write. Its deltas are smaller than one alone, to keep the product in
// bounds.
inline rc::Gen<std::vector<OwnedDelta>> gen_deltas(const FactDomain& domain) {
  return rc::gen::container<std::vector<OwnedDelta>>(rc::gen::scale(0.2, gen_delta(domain)));
}

}  // namespace dyno

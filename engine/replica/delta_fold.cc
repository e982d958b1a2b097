// SPDX-License-Identifier: Apache-2.0
#include "engine/replica/delta_fold.h"

#include <algorithm>
#include <array>
#include <bit>
#include <deque>
#include <tuple>
#include <vector>

#include "engine/replica/delta_kinds.h"
#include "engine/types/sketch.h"

namespace dyno {
namespace {

// Kinds that compete: of one element's facts in a group the latest stays.
enum class Group : uint8_t {
  kClear,
  kOtherType,
  kType,
  kString,
  kRegisters,
  kTotal,
  kObserved,
  kField,
  kMember,
  kScore,
  kItem,
  kItemGone,
  kFieldDeadline,
  kDeadline,
};

constexpr Group kGroups[] = {
    Group::kClear,         Group::kClear,    Group::kDeadline, Group::kString,    Group::kString,
    Group::kRegisters,     Group::kTotal,    Group::kObserved, Group::kField,     Group::kField,
    Group::kFieldDeadline, Group::kMember,   Group::kMember,   Group::kScore,     Group::kScore,
    Group::kItem,          Group::kItemGone, Group::kType,     Group::kOtherType,
};

Group group_of(const Fact& fact) {
  return kGroups[static_cast<size_t>(fact.kind)];
}

bool is_removal(FactKind kind) {
  return kind == FactKind::kFieldGone || kind == FactKind::kMemberGone ||
         kind == FactKind::kScoreGone || kind == FactKind::kItemGone;
}

// The type that the fact makes the key, as an index; none: kClaims.
constexpr size_t kClaims = kTypeCount + 1;
size_t claim_of(const Fact& fact) {
  switch (fact.kind) {
    case FactKind::kValue:
    case FactKind::kPatch:
      return static_cast<size_t>(Type::kString);
    case FactKind::kRegisters:
      return static_cast<size_t>(kSketchType);
    case FactKind::kField:
      return static_cast<size_t>(Type::kHash);
    case FactKind::kMember:
      return static_cast<size_t>(Type::kSet);
    case FactKind::kScore:
      return static_cast<size_t>(Type::kZSet);
    case FactKind::kItem:
      return static_cast<size_t>(Type::kList);
    case FactKind::kTotal:
    case FactKind::kType:
      return static_cast<size_t>(fact.type);
    default:
      return kClaims;
  }
}

// What a clear compares with; counters and types are beyond its reach.
Stamp cleared_by(const Fact& fact) {
  switch (group_of(fact)) {
    case Group::kTotal:
    case Group::kObserved:
    case Group::kType:
    case Group::kOtherType:
    case Group::kClear:
      return UINT64_MAX;
    case Group::kItem:
    case Group::kItemGone:
      return fact.item.stamp;
    default:
      return fact.stamp;
  }
}

auto identity_of(const Fact& fact) {
  return std::tuple(group_of(fact), fact.type, fact.element, fact.total.actor, fact.item.head,
                    fact.item.stamp, fact.item.index);
}

// Of two facts with one identity: whether `a` is the one that stays.
bool beats(const Fact& a, const Fact& b) {
  if (group_of(a) == Group::kTotal || group_of(a) == Group::kObserved) {
    return is_later(a.total, b.total);
  }
  if (a.stamp != b.stamp) return a.stamp > b.stamp;
  if (is_removal(a.kind) != is_removal(b.kind)) return is_removal(b.kind);
  if (a.kind != b.kind) return a.kind < b.kind;  // A value before the patches of its stamp.
  if (a.value != b.value) return a.value > b.value;
  if (a.number != b.number) return a.number > b.number;
  if (a.count != b.count) return a.count > b.count;
  return std::bit_cast<uint64_t>(a.score) > std::bit_cast<uint64_t>(b.score);
}

class Folding {
 public:
  explicit Folding(const FoldBounds& bounds) : bounds_(bounds) {}

  [[nodiscard]] std::string add(std::string_view frame);
  void run();
  void write(std::string* out) const;

 private:
  void drop_cleared();
  void keep_latest();
  void fold_string();
  void fold_registers();
  void fold_items();
  void keep_claims();
  void drop_traces();
  [[nodiscard]] bool is_dead() const;
  [[nodiscard]] bool is_observed(const Fact& total) const;

  const FoldBounds& bounds_;
  int db_ = 0;
  std::string_view key_;
  bool is_named_ = false;
  std::vector<Fact> facts_;
  std::array<Stamp, kClaims> claims_{};
  std::deque<std::string> bytes_;  // What facts point to that no frame holds.
};

std::string Folding::add(std::string_view frame) {
  std::vector<Delta> deltas;
  if (std::string why = read_frame(frame, &deltas); !why.empty()) return why;
  for (const Delta& delta : deltas) {
    if (delta.facts.front().kind == FactKind::kFlush) return "a flush concerns no single key";
    if (is_named_ && (delta.db != db_ || delta.key != key_)) return "frames of different keys";
    db_ = delta.db;
    key_ = delta.key;
    is_named_ = true;
    facts_.insert(facts_.end(), delta.facts.begin(), delta.facts.end());
  }
  return {};
}

void Folding::run() {
  drop_cleared();
  for (const Fact& fact : facts_) {
    size_t type = claim_of(fact);
    if (type != kClaims) claims_[type] = std::max(claims_[type], fact.stamp);
  }
  std::sort(facts_.begin(), facts_.end(), [](const Fact& a, const Fact& b) {
    auto left = identity_of(a);
    auto right = identity_of(b);
    return left != right ? left < right : beats(a, b);
  });
  keep_latest();
  fold_string();
  fold_registers();
  fold_items();
  keep_claims();
  if (bounds_.is_all) drop_traces();
}

void Folding::drop_cleared() {
  Stamp clear = bounds_.flushed;
  for (const Fact& fact : facts_) {
    if (fact.kind == FactKind::kClear) clear = std::max(clear, fact.stamp);
  }
  std::erase_if(facts_, [&](const Fact& fact) {
    return cleared_by(fact) < clear || (fact.kind == FactKind::kClear && fact.stamp < clear);
  });
}

void Folding::keep_latest() {
  auto all_stay = [](const Fact& fact) {
    Group group = group_of(fact);
    return group == Group::kString || group == Group::kRegisters || group == Group::kItemGone;
  };
  auto end = std::unique(facts_.begin(), facts_.end(), [&](const Fact& kept, const Fact& next) {
    return all_stay(kept) ? kept == next : identity_of(kept) == identity_of(next);
  });
  facts_.erase(end, facts_.end());
}

// The latest value with the patches that were made of it; patches of another one stay as they are.
void Folding::fold_string() {
  auto begin = std::find_if(facts_.begin(), facts_.end(),
                            [](const Fact& fact) { return group_of(fact) == Group::kString; });
  auto end = std::find_if(begin, facts_.end(),
                          [](const Fact& fact) { return group_of(fact) != Group::kString; });
  auto value = std::find_if(begin, end, [](const Fact& f) { return f.kind == FactKind::kValue; });
  if (value == end || end - begin == 1) return;
  Fact folded = *value;
  std::vector<Fact> others;
  // They lie in descending order.
  for (auto each = value; each != begin;) {
    const Fact& patch = *--each;
    if (patch.prev != folded.stamp) {
      others.push_back(patch);
      continue;
    }
    if (bytes_.empty() || bytes_.back().data() != folded.value.data()) {
      bytes_.emplace_back(folded.value);
    }
    std::string& bytes = bytes_.back();
    auto offset = static_cast<size_t>(patch.number);
    if (bytes.size() < offset + patch.value.size()) bytes.resize(offset + patch.value.size());
    bytes.replace(offset, patch.value.size(), patch.value);
    folded.value = bytes;
    folded.stamp = patch.stamp;
  }
  auto out = begin;
  *out++ = folded;
  out = std::copy(others.begin(), others.end(), out);
  facts_.erase(out, end);
}

// Registers that were raised by the horizon need not tell when: no clear of an earlier time comes.
void Folding::fold_registers() {
  auto is_old = [this](const Fact& fact) {
    return fact.kind == FactKind::kRegisters && fact.stamp <= bounds_.horizon;
  };
  if (std::count_if(facts_.begin(), facts_.end(), is_old) < 2) return;
  std::vector<uint8_t> ranks(sketch::kRegisterCount);
  Fact folded{.kind = FactKind::kRegisters};
  for (const Fact& fact : facts_) {
    if (!is_old(fact)) continue;
    folded.stamp = std::max(folded.stamp, fact.stamp);
    folded.prev = std::max(folded.prev, fact.prev);
    for (size_t at = 0; at + kRegisterBytes <= fact.value.size(); at += kRegisterBytes) {
      auto byte = [&](size_t i) { return static_cast<uint8_t>(fact.value[at + i]); };
      size_t index = byte(0) | static_cast<size_t>(byte(1)) << 8;
      ranks[index] = std::max(ranks[index], byte(2));
    }
  }
  std::string bytes;
  for (size_t i = 0; i < ranks.size(); ++i) {
    if (ranks[i] == 0) continue;
    bytes.push_back(static_cast<char>(i & 0xff));
    bytes.push_back(static_cast<char>(i >> 8));
    bytes.push_back(static_cast<char>(ranks[i]));
  }
  folded.value = bytes_.emplace_back(std::move(bytes));
  std::erase_if(facts_, is_old);
  facts_.push_back(folded);
}

// Joins ranges of what is gone, and drops the items in them.
void Folding::fold_items() {
  auto is_gone = [](const Fact& fact) { return fact.kind == FactKind::kItemGone; };
  auto begin = std::find_if(facts_.begin(), facts_.end(), is_gone);
  auto end = std::find_if_not(begin, facts_.end(), is_gone);
  if (begin == end) return;
  auto last_index = [](const Fact& fact) { return uint64_t{fact.item.index} + fact.count; };
  auto follows = [](const Fact& a, const Fact& b) {
    return a.item.head == b.item.head && a.item.stamp == b.item.stamp;
  };
  std::vector<Fact> ranges;
  for (auto each = begin; each != end; ++each) {
    if (!ranges.empty() && follows(ranges.back(), *each) &&
        each->item.index <= last_index(ranges.back())) {
      Fact& range = ranges.back();
      uint64_t last = std::max(last_index(range), last_index(*each));
      range.count = static_cast<uint32_t>(last - range.item.index);
      range.stamp = std::max(range.stamp, each->stamp);
    } else {
      ranges.push_back(*each);
    }
  }
  facts_.erase(std::copy(ranges.begin(), ranges.end(), begin), end);
  std::erase_if(facts_, [&](const Fact& fact) {
    if (fact.kind != FactKind::kItem) return false;
    auto place = [](const Fact& f) { return std::tuple(f.item.head, f.item.stamp, f.item.index); };
    auto after = std::upper_bound(
        ranges.begin(), ranges.end(), fact,
        [&](const Fact& item, const Fact& range) { return place(item) < place(range); });
    if (after == ranges.begin()) return false;
    const Fact& range = *--after;
    return follows(range, fact) && fact.item.index < last_index(range);
  });
}

// What was dropped may have been the latest that spoke for its type.
void Folding::keep_claims() {
  std::array<Stamp, kClaims> kept{};
  for (const Fact& fact : facts_) {
    size_t type = claim_of(fact);
    if (type != kClaims) kept[type] = std::max(kept[type], fact.stamp);
  }
  for (size_t type = 0; type < kClaims; ++type) {
    if (claims_[type] <= kept[type]) continue;
    facts_.push_back(
        {.kind = FactKind::kType, .type = static_cast<Type>(type), .stamp = claims_[type]});
  }
}

bool Folding::is_observed(const Fact& total) const {
  auto identity = [](const Fact& fact) {
    return std::tuple(fact.type, fact.element, fact.total.actor);
  };
  auto is_observed = [](const Fact& fact) { return fact.kind == FactKind::kObserved; };
  auto begin = std::find_if(facts_.begin(), facts_.end(), is_observed);
  auto end = std::find_if_not(begin, facts_.end(), is_observed);
  auto at = std::lower_bound(begin, end, total, [&](const Fact& fact, const Fact& wanted) {
    return identity(fact) < identity(wanted);
  });
  return at != end && identity(*at) == identity(total) && !is_later(total.total, at->total);
}

// Nothing is left of the key but what tells that it is gone, as everybody knows.
bool Folding::is_dead() const {
  const Fact* deadline = nullptr;
  bool holds_something = false;
  Stamp latest = 0;
  for (const Fact& fact : facts_) {
    if (fact.stamp > bounds_.horizon) return false;
    if (fact.kind == FactKind::kDeadline) {
      deadline = &fact;
    } else {
      latest = std::max(latest, fact.stamp);
      bool is_counted = fact.kind == FactKind::kTotal && !is_observed(fact);
      holds_something |= is_counted || (claim_of(fact) != kClaims && fact.kind != FactKind::kType &&
                                        fact.kind != FactKind::kTotal);
    }
  }
  if (!holds_something) return true;
  return deadline != nullptr && deadline->number >= 0 &&
         deadline->number < stamp_ms(bounds_.horizon) && latest < first_stamp_of(deadline->number);
}

void Folding::drop_traces() {
  if (bounds_.horizon == 0) return;
  std::erase_if(facts_, [this](const Fact& fact) {
    return is_removal(fact.kind) && fact.stamp <= bounds_.horizon;
  });
  if (is_dead()) facts_.clear();
}

void Folding::write(std::string* out) const {
  FrameWriter writer;
  for (const Fact& fact : facts_) writer.add(db_, key_, fact);
  if (!writer.empty()) out->append(writer.finish());
}

}  // namespace

std::string fold(std::span<const std::string_view> frames, const FoldBounds& bounds,
                 std::string* out) {
  Folding folding(bounds);
  for (std::string_view frame : frames) {
    if (std::string why = folding.add(frame); !why.empty()) return why;
  }
  folding.run();
  folding.write(out);
  return {};
}

}  // namespace dyno

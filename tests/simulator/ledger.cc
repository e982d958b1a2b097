// SPDX-License-Identifier: Apache-2.0
#include "tests/simulator/ledger.h"

#include <algorithm>
#include <limits>

#include "protocol/check.h"

namespace dyno::simulator {
namespace {

constexpr Stamp kForGood = std::numeric_limits<Stamp>::max();

Place place_of(const ItemId& id) {
  return std::string(id.head ? "#h" : "#t") + std::to_string(id.stamp) + "." +
         std::to_string(id.index);
}

std::string due_name(const Write& write) {
  if (write.kind == FactKind::kClear) return "*";
  std::string name = "=" + write.place;
  if (write.kind == FactKind::kTotal) name += "+" + std::to_string(write.total.actor);
  return name;
}

// Appends what the fact says; what is not judged is left out.
void add_writes(const Fact& fact, std::vector<Write>* writes) {
  Write write;
  write.kind = fact.kind;
  write.place = fact.element;
  write.stamp = write.rank = write.born = fact.stamp;
  switch (fact.kind) {
    case FactKind::kClear:
    case FactKind::kFieldGone:
    case FactKind::kMemberGone:
    case FactKind::kScoreGone:
      break;
    case FactKind::kValue:
    case FactKind::kField:
    case FactKind::kMember:
      write.alive = true;
      write.value = fact.value;
      break;
    case FactKind::kScore:
      write.alive = true;
      write.value = std::to_string(fact.score);
      break;
    case FactKind::kTotal:
    case FactKind::kObserved:
      write.total = fact.total;
      break;
    case FactKind::kItem:
      write.alive = true;
      write.place = place_of(fact.item);
      write.born = fact.item.stamp;
      write.value = fact.value;
      break;
    case FactKind::kItemGone:
      write.rank = kForGood;
      write.born = fact.item.stamp;
      for (uint32_t i = 0; i < fact.count; ++i) {
        ItemId id = fact.item;
        id.index += i;
        write.place = place_of(id);
        writes->push_back(write);
      }
      return;
    default:
      return;
  }
  writes->push_back(std::move(write));
}

void raise(std::map<std::pair<Place, Actor>, Total>* totals, const Write& write) {
  auto [at, is_new] = totals->try_emplace({write.place, write.total.actor}, write.total);
  if (!is_new && is_later(write.total, at->second)) at->second = write.total;
}

bool reaches(const std::map<std::pair<Place, Actor>, Total>& totals, const Write& write) {
  auto found = totals.find({write.place, write.total.actor});
  return found != totals.end() && !is_later(write.total, found->second);
}

}  // namespace

std::vector<std::pair<std::string, Write>> writes_of(std::string_view frame) {
  std::vector<std::pair<std::string, Write>> all;
  std::vector<Delta> deltas;
  DYNO_CHECK(read_frame(frame, &deltas).empty());
  for (const Delta& delta : deltas) {
    std::vector<Write> writes;
    for (const Fact& fact : delta.facts) add_writes(fact, &writes);
    for (Write& write : writes) all.emplace_back(delta.key, std::move(write));
  }
  return all;
}

HeldKey held_of(std::string_view state) {
  HeldKey held;
  if (state.empty()) return held;
  for (auto& [key, write] : writes_of(state)) {
    if (write.kind == FactKind::kClear) {
      held.clear = std::max(held.clear, write.stamp);
    } else if (write.kind == FactKind::kTotal) {
      raise(&held.totals, write);
    } else if (write.kind == FactKind::kObserved) {
      raise(&held.observed, write);
    } else {
      auto [at, is_new] = held.cells.try_emplace(write.place, write);
      if (!is_new && write.rank > at->second.rank) at->second = write;
    }
  }
  // The base of a counter is kept beside its totals.
  for (auto& [place, cell] : held.cells) cell.alive = cell.alive && cell.born >= held.clear;
  return held;
}

void Ledger::add(WrittenFrame frame) {
  size_t index = frames.size();
  for (auto& [key, write] : writes_of(frame.bytes)) {
    KeyHistory& history = keys[key];
    write.frame = index;
    size_t number = history.writes.size();
    if (write.kind == FactKind::kClear) {
      history.clears.push_back(write.stamp);
    } else if (write.kind == FactKind::kObserved) {
      history.observed[{write.place, write.total.actor}].push_back(number);
    } else if (write.kind != FactKind::kTotal && !write.alive) {
      history.gone[write.place].push_back(number);
      // What was taken from a list may be there or not, from now on.
      if (write.rank == kForGood) {
        const Place& place = write.place;
        std::erase_if(history.dues,
                      [&place](const auto& due) { return due.second.write.place == place; });
      }
    }
    history.writes.push_back(std::move(write));
  }
  by_op[frame.op].push_back(index);
  frames.push_back(std::move(frame));
}

Stamp Ledger::forgotten_rank(const std::string& key, const Write& write, Stamp horizon) const {
  auto found = keys.find(key);
  if (found == keys.end()) return 0;
  const KeyHistory& history = found->second;
  Stamp rank = 0;
  for (Stamp clear : history.clears) {
    if (clear <= horizon && clear > write.born) return kForGood;
  }
  auto gone = history.gone.find(write.place);
  if (gone == history.gone.end()) return 0;
  for (size_t index : gone->second) {
    const Write& removal = history.writes[index];
    if (removal.stamp <= horizon) rank = std::max(rank, removal.rank);
  }
  return rank;
}

bool Ledger::is_known(const std::string& key, const HeldKey& held, const Write& write,
                      Stamp horizon) const {
  switch (write.kind) {
    case FactKind::kObserved:
      return true;
    case FactKind::kClear:
      return held.clear >= write.stamp ||
             (write.stamp <= horizon &&
              std::none_of(held.cells.begin(), held.cells.end(), [&](const auto& cell) {
                return cell.second.alive && cell.second.born < write.stamp;
              }));
    case FactKind::kTotal: {
      if (reaches(held.totals, write) || reaches(held.observed, write)) return true;
      const KeyHistory& history = keys.at(key);
      auto seen = history.observed.find({write.place, write.total.actor});
      return seen != history.observed.end() &&
             std::any_of(seen->second.begin(), seen->second.end(), [&](size_t index) {
               const Write& observed = history.writes[index];
               return observed.stamp <= horizon && !is_later(write.total, observed.total);
             });
    }
    default:
      break;
  }
  if (held.clear > write.born) return true;
  auto cell = held.cells.find(write.place);
  if (cell != held.cells.end()) {
    if (cell->second.rank >= write.rank) return true;
    if (cell->second.alive) return false;
  }
  return forgotten_rank(key, write, horizon) >= write.rank;
}

void Ledger::make_due(const std::string& key, uint16_t dc, Due due) {
  if (due.write.kind == FactKind::kObserved) return;
  KeyHistory& history = keys[key];
  // What has left a list since need not be there.
  if (due.write.kind == FactKind::kItem && history.gone.contains(due.write.place)) return;
  if (due.write.kind == FactKind::kItemGone) return;
  auto [at, is_new] = history.dues.try_emplace({dc, due_name(due.write)}, due);
  if (is_new) return;
  bool later = due.write.kind == FactKind::kTotal
                   ? is_later(due.write.total, at->second.write.total)
                   : due.write.rank > at->second.write.rank;
  if (later) at->second = std::move(due);
}

}  // namespace dyno::simulator

// SPDX-License-Identifier: Apache-2.0
//
// What replicas have to show, made from the writes that they know between them, by rules so plain
// that they can be read at once: of everything with a stamp the latest counts; a counter is its
// base and what its actors added, less what was seen when the base was replaced; a list has the
// elements that were pushed and not removed, in the order of their identities; a flush takes what
// is older; a deadline holds when it is not older than what it is of. Nothing is ever collected
// here, and nothing expires.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "engine/replica/delta.h"
#include "engine/replica/shared_counter.h"
#include "protocol/check.h"

namespace dyno {

class Oracle {
 public:
  // `amount` is what the write's command added to a counter, if it did.
  void add(const std::string& frame, int64_t amount) {
    std::vector<Delta> deltas;
    DYNO_CHECK(read_frame(frame, &deltas).empty());
    for (const Delta& delta : deltas) {
      if (delta.facts[0].kind == FactKind::kFlush) {
        flushed_ = std::max(flushed_, delta.db == 0 ? delta.stamp : 0);
        continue;
      }
      Key& key = keys_[std::string(delta.key)];
      for (const Fact& fact : delta.facts) {
        add(key, fact);
        if (fact.kind != FactKind::kTotal) continue;
        auto sum =
            static_cast<int64_t>(fact.total.sum.whole) + static_cast<int64_t>(fact.total.sum.part);
        const Total& total = fact.total;
        key.elements[std::string(fact.element)]
            .chains[{total.actor, total.generation}][total.stamp] = {sum, amount};
      }
    }
  }

  // Whether each total of an actor holds its former one and what was added since.
  [[nodiscard]] bool adds_up() const {
    for (const auto& [name, key] : keys_) {
      for (const auto& [element, state] : key.elements) {
        for (const auto& [actor, chain] : state.chains) {
          int64_t before = 0;
          for (const auto& [stamp, link] : chain) {
            if (link.first != before + link.second) return false;
            before = link.first;
          }
        }
      }
    }
    return true;
  }

  // One line per key, as CommandStorm::describe() writes them.
  [[nodiscard]] std::string describe() const {
    std::string text;
    for (const auto& [name, key] : keys_) {
      const Stamp floor = std::max(key.clear, flushed_);
      std::vector<std::string> elements = shown(key, floor);
      if (elements.empty()) continue;
      int64_t deadline_ms = key.deadline.stamp >= floor ? key.deadline.at_ms : -1;
      text += "0 " + name + " " + std::to_string(deadline_ms) + " " + key.type;
      for (const std::string& element : elements) text += "|" + element;
      text += "\n";
    }
    return text;
  }

 private:
  struct Deadline {
    Stamp stamp = 0;
    int64_t at_ms = -1;
  };
  struct Element {
    Stamp stamp = 0;
    bool exists = false;
    std::string value;
    Deadline deadline;
    std::map<Actor, Total> totals;
    std::map<Actor, Total> observed;
    // By actor and generation, by stamp: the total and what its command added.
    std::map<std::pair<Actor, Stamp>, std::map<Stamp, std::pair<int64_t, int64_t>>> chains;
  };
  struct Item {
    Stamp stamp = 0;
    std::string value;
  };
  struct Before {
    bool operator()(const ItemId& a, const ItemId& b) const { return comes_before(a, b); }
  };
  struct Key {
    std::string type;
    Stamp clear = 0;
    Deadline deadline;
    std::map<std::string, Element> elements;
    std::map<ItemId, Item, Before> items;
    std::set<ItemId, Before> gone;
  };

  static void raise(std::map<Actor, Total>& totals, const Total& total) {
    auto [at, is_new] = totals.try_emplace(total.actor, total);
    if (!is_new && is_later(total, at->second)) at->second = total;
  }
  static void set(Key& key, const Fact& fact, const char* type, bool exists, std::string value) {
    key.type = type;
    Element& element = key.elements[std::string(fact.element)];
    if (fact.stamp < element.stamp) return;
    element.stamp = fact.stamp;
    element.exists = exists;
    element.value = std::move(value);
  }
  static void add(Key& key, const Fact& fact) {
    switch (fact.kind) {
      case FactKind::kClear:
        key.clear = std::max(key.clear, fact.stamp);
        return;
      case FactKind::kDeadline:
        if (fact.stamp >= key.deadline.stamp) key.deadline = {fact.stamp, fact.number};
        return;
      case FactKind::kValue:
        return set(key, fact, "string", true, std::string(fact.value));
      case FactKind::kField:
      case FactKind::kFieldGone:
        return set(key, fact, "hash", fact.kind == FactKind::kField, std::string(fact.value));
      case FactKind::kFieldDeadline: {
        Deadline& deadline = key.elements[std::string(fact.element)].deadline;
        if (fact.stamp >= deadline.stamp) deadline = {fact.stamp, fact.number};
        return;
      }
      case FactKind::kMember:
      case FactKind::kMemberGone:
        return set(key, fact, "set", fact.kind == FactKind::kMember, {});
      case FactKind::kScore:
      case FactKind::kScoreGone: {
        auto score = std::to_string(static_cast<int64_t>(fact.score));
        return set(key, fact, "zset", fact.kind == FactKind::kScore, score);
      }
      case FactKind::kTotal:
      case FactKind::kObserved: {
        key.type = fact.type == Type::kString ? "string"
                   : fact.type == Type::kHash ? "hash"
                                              : "zset";
        Element& element = key.elements[std::string(fact.element)];
        raise(fact.kind == FactKind::kTotal ? element.totals : element.observed, fact.total);
        return;
      }
      case FactKind::kItem: {
        key.type = "list";
        Item& item = key.items[fact.item];
        if (fact.stamp >= item.stamp) item = {fact.stamp, std::string(fact.value)};
        return;
      }
      case FactKind::kItemGone:
        for (uint32_t i = 0; i < fact.count; ++i) {
          ItemId id = fact.item;
          id.index += i;
          key.gone.insert(id);
        }
        return;
      // Every key has one type for good.
      case FactKind::kType:
      case FactKind::kOtherType:
        return;
      default:
        DYNO_CHECK(false);
    }
  }

  // Empty when there is no such element.
  static std::string value_of(Stamp floor, const Element& element, bool* is_there) {
    bool based = element.exists && element.stamp >= floor;
    bool counted = false;
    auto sum = static_cast<int64_t>(0);
    for (const auto& [actor, total] : element.totals) {
      auto seen = element.observed.find(actor);
      bool is_seen = seen != element.observed.end();
      if (is_seen && !is_later(total, seen->second)) continue;
      counted = true;
      Amount amount = total.sum;
      if (is_seen && seen->second.generation == total.generation) {
        amount = amount - seen->second.sum;
      }
      sum += static_cast<int64_t>(amount.whole) + static_cast<int64_t>(amount.part);
    }
    *is_there = based || counted;
    if (!counted) return element.value;
    return std::to_string((based ? std::stoll(element.value) : 0) + sum);
  }

  static std::vector<std::string> shown(const Key& key, Stamp floor) {
    std::vector<std::string> all;
    for (const auto& [id, item] : key.items) {
      if (id.stamp >= floor && key.gone.count(id) == 0) all.push_back(item.value);
    }
    std::vector<std::pair<int64_t, std::string>> scored;
    for (const auto& [name, element] : key.elements) {
      bool is_there = false;
      std::string value = value_of(floor, element, &is_there);
      if (!is_there) continue;
      if (key.type == "zset") scored.emplace_back(std::stoll(value), name);
      if (key.type == "hash") {
        bool expires = element.deadline.stamp >= std::max(element.stamp, floor);
        int64_t at_ms = expires ? element.deadline.at_ms : -1;
        all.push_back(name + "=" + value + "@" + std::to_string(at_ms));
      }
      if (key.type == "set") all.push_back(name);
      if (key.type == "string") all.push_back(value);
    }
    std::sort(scored.begin(), scored.end());
    for (const auto& [score, name] : scored) {
      all.push_back(name);
      all.push_back(std::to_string(score));
    }
    if (key.type == "hash") std::sort(all.begin(), all.end());
    return all;
  }

  std::map<std::string, Key> keys_;
  Stamp flushed_ = 0;
};

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// Intersections, unions and differences of sets. The result of a STORE form is built aside, in the
// encoding that Redis would give it, and then takes the destination's place, which may be a source.
#include "engine/commands/set_algebra.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "engine/commands/item_reply.h"
#include "engine/errors.h"
#include "engine/types/packed_index.h"
#include "engine/types/set.h"
#include "engine/value.h"
#include "protocol/number.h"
#include "protocol/words.h"

namespace dyno {
namespace {

// The sets named by a command, in its order; null for a missing key. Nothing when one of the keys
// holds another type: the error is answered.
std::optional<std::vector<Entry*>> find_sources(Context& context, Args names) {
  std::vector<Entry*> sources;
  sources.reserve(names.size());
  for (std::string_view name : names) {
    Key key(context, name, Key::Use::kRead);
    if (!key.allows(Type::kSet)) return std::nullopt;
    sources.push_back(key.exists() ? key.entry() : nullptr);
  }
  return sources;
}

// A set in which many members are going to be sought.
class Lookup {
 public:
  Lookup(Entry* entry, size_t searches) : members_(entry) {
    // Making an index takes about as long as this many comparisons of each member.
    constexpr size_t kComparisonsPerMember = 8;
    if (members_.encoding() == Encoding::kPacked && searches >= kComparisonsPerMember) {
      index_.emplace(entry->value());
    }
  }
  [[nodiscard]] bool contains(const packed::Item& item) const {
    if (!index_) return members_.contains(item);
    if (item.kind == packed::Item::Kind::kText) {
      int64_t integer;
      if (is_canonical_int64(item.text, &integer)) {
        return index_->contains({packed::Item::Kind::kInteger, {}, integer, 0, nullptr});
      }
    }
    return index_->contains(item);
  }

 private:
  SetMembers members_;
  std::optional<PackedIndex> index_;
};

std::vector<Lookup> lookups(std::span<Entry* const> entries, size_t searches) {
  std::vector<Lookup> made;
  made.reserve(entries.size());
  for (Entry* entry : entries) made.emplace_back(entry, searches);
  return made;
}

// Calls visit(const packed::Item&) for each member that all sources have, until it returns false.
// No source is missing; uses up `sources`.
template <class Visit>
void intersect(std::vector<Entry*>& sources, Visit&& visit) {
  std::stable_sort(sources.begin(), sources.end(), [](Entry* a, Entry* b) {
    return SetMembers(a).count() < SetMembers(b).count();
  });
  Entry* smallest = sources.front();
  std::erase(sources, smallest);
  std::vector<Lookup> others = lookups(sources, SetMembers(smallest).count());
  SetMembers(smallest).for_each([&](const packed::Item& item) {
    for (const Lookup& other : others) {
      if (!other.contains(item)) return true;
    }
    return static_cast<bool>(visit(item));
  });
}

bool any_missing(const std::vector<Entry*>& sources) {
  return std::find(sources.begin(), sources.end(), nullptr) != sources.end();
}

// Adds every member of every source to `result`.
void unite(const std::vector<Entry*>& sources, const Limits& limits, SetMembers* result) {
  for (Entry* source : sources) {
    if (source == nullptr) continue;
    SetMembers(source).for_each([&](const packed::Item& item) {
      result->add(item, limits);
      return true;
    });
  }
}

// Calls visit(const packed::Item&) for each member of the first source that no other has. Either
// each member is sought in the other sources, or, where that takes more steps, the members of the
// other sources are removed from a copy.
template <class Visit>
void subtract(const std::vector<Entry*>& sources, Visit&& visit) {
  Entry* first = sources.front();
  if (first == nullptr) return;
  std::vector<Entry*> others;
  size_t total = SetMembers(first).count();
  for (Entry* other : std::span(sources).subspan(1)) {
    if (other == first) return;
    if (other == nullptr) continue;
    others.push_back(other);
    total += SetMembers(other).count();
  }
  auto visit_all = [&](const packed::Item& item) {
    visit(item);
    return true;
  };
  if (SetMembers(first).count() * (others.size() + 1) / 2 <= total) {
    std::stable_sort(others.begin(), others.end(), [](Entry* a, Entry* b) {
      return SetMembers(a).count() > SetMembers(b).count();
    });
    std::vector<Lookup> excluded = lookups(others, SetMembers(first).count());
    SetMembers(first).for_each([&](const packed::Item& item) {
      for (const Lookup& other : excluded) {
        if (other.contains(item)) return true;
      }
      return visit_all(item);
    });
    return;
  }
  SetMembers rest(kSetOps.copy(first, first->db(), first->key()));
  for (Entry* other : others) {
    SetMembers(other).for_each([&](const packed::Item& item) {
      packed::Item::Buffer buffer;
      rest.erase(item.view(&buffer));
      return rest.count() != 0;
    });
    if (rest.count() == 0) break;
  }
  rest.for_each(visit_all);
  destroy_entry(rest.entry());
}

// Ends a STORE form: the result becomes the destination.
void store(Context& context, Entry* result) {
  Key destination(context, context.args[1], Key::Use::kWrite);
  auto size = static_cast<int64_t>(SetMembers(result).count());
  if (Set(destination).assign(result)) destination.changed();
  context.reply.integer(size);
}

}  // namespace

void sinter(Context& context) {
  std::optional<std::vector<Entry*>> sources = find_sources(context, context.args.subspan(1));
  if (!sources) return;
  if (any_missing(*sources)) return context.reply.set(0);
  size_t begun = context.reply.begin();
  size_t count = 0;
  intersect(*sources, [&](const packed::Item& item) {
    reply_item(context.reply, item);
    ++count;
    return true;
  });
  context.reply.finish_set(begun, count);
}

void sinterstore(Context& context) {
  std::optional<std::vector<Entry*>> sources = find_sources(context, context.args.subspan(2));
  if (!sources) return;
  std::string_view name = context.args[1];
  if (any_missing(*sources)) {
    return store(context, SetMembers::make_integers(context.db, name));
  }
  Entry* smallest = *std::min_element(sources->begin(), sources->end(), [](Entry* a, Entry* b) {
    return SetMembers(a).count() < SetMembers(b).count();
  });
  bool starts_as_integers = smallest->encoding() == Encoding::kIntegers;
  SetMembers result(starts_as_integers ? SetMembers::make_integers(context.db, name)
                                       : SetMembers::make_packed(context.db, name));
  bool only_integers = true;
  intersect(*sources, [&](const packed::Item& item) {
    int64_t integer;
    if (item.kind == packed::Item::Kind::kText) {
      only_integers = only_integers && is_canonical_int64(item.text, &integer);
    }
    result.add(item, context.limits);
    return true;
  });
  if (only_integers && result.count() != 0) result.make_integers_of_other(context.limits);
  store(context, result.entry());
}

void sintercard(Context& context) {
  std::optional<int64_t> key_count = parse_int64(context.args[1]);
  if (!key_count || *key_count < 1) return context.error(errors::kNumKeys);
  if (static_cast<uint64_t>(*key_count) > context.args.size() - 2) {
    return context.error("ERR Number of keys can't be greater than number of args");
  }
  auto options_at = static_cast<size_t>(*key_count) + 2;
  uint64_t limit = 0;
  for (size_t i = options_at; i < context.args.size(); i += 2) {
    if (!is_word(context.args[i], "LIMIT") || i + 1 == context.args.size()) {
      return context.error(errors::kSyntax);
    }
    std::optional<int64_t> value = parse_int64(context.args[i + 1]);
    if (!value || *value < 0) return context.error("ERR LIMIT can't be negative");
    limit = static_cast<uint64_t>(*value);
  }
  Args names = context.args.subspan(2, options_at - 2);
  std::optional<std::vector<Entry*>> sources = find_sources(context, names);
  if (!sources) return;
  uint64_t count = 0;
  if (!any_missing(*sources)) {
    intersect(*sources, [&](const packed::Item&) { return ++count != limit; });
  }
  context.reply.integer(static_cast<int64_t>(count));
}

void sunion(Context& context) {
  std::optional<std::vector<Entry*>> sources = find_sources(context, context.args.subspan(1));
  if (!sources) return;
  bool all_integers = true;
  for (Entry* source : *sources) {
    all_integers &= source == nullptr || source->encoding() == Encoding::kIntegers;
  }
  // What is only read once is sooner built as a table.
  SetMembers result(all_integers ? SetMembers::make_integers(context.db, {})
                                 : SetMembers::make_large(context.db, {}));
  unite(*sources, context.limits, &result);
  context.reply.set(result.count());
  result.for_each([&](const packed::Item& item) {
    reply_item(context.reply, item);
    return true;
  });
  destroy_entry(result.entry());
}

void sunionstore(Context& context) {
  std::optional<std::vector<Entry*>> sources = find_sources(context, context.args.subspan(2));
  if (!sources) return;
  SetMembers result(SetMembers::make_integers(context.db, context.args[1]));
  unite(*sources, context.limits, &result);
  store(context, result.entry());
}

void sdiff(Context& context) {
  std::optional<std::vector<Entry*>> sources = find_sources(context, context.args.subspan(1));
  if (!sources) return;
  size_t begun = context.reply.begin();
  size_t count = 0;
  subtract(*sources, [&](const packed::Item& item) {
    reply_item(context.reply, item);
    ++count;
  });
  context.reply.finish_set(begun, count);
}

void sdiffstore(Context& context) {
  std::optional<std::vector<Entry*>> sources = find_sources(context, context.args.subspan(2));
  if (!sources) return;
  SetMembers result(SetMembers::make_integers(context.db, context.args[1]));
  subtract(*sources, [&](const packed::Item& item) { result.add(item, context.limits); });
  store(context, result.entry());
}

}  // namespace dyno

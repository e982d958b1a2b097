// SPDX-License-Identifier: Apache-2.0
//
// The commands of sets; the bodies of those that combine several are in set_algebra.cc.
#include <algorithm>
#include <optional>
#include <unordered_set>

#include "engine/command.h"
#include "engine/commands/item_reply.h"
#include "engine/commands/set_algebra.h"
#include "engine/errors.h"
#include "engine/types/element_scan.h"
#include "engine/types/set.h"
#include "engine/value.h"
#include "protocol/number.h"

namespace dyno {
namespace {

constexpr std::string_view kCountRange =
    "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807";
// A reply with repetitions may ask for any number of elements; one of more bytes is refused.
constexpr size_t kRepeatedReplyBytesMax = 256 * 1024 * 1024;

void sadd(Context& context) {
  Key key(context, context.args[1], Key::Use::kWrite);
  if (!key.allows(Type::kSet)) return;
  int64_t added = Set(key).add_all(context.args.subspan(2));
  if (added != 0) key.changed();
  context.reply.integer(added);
}

void srem(Context& context) {
  Key key(context, context.args[1], Key::Use::kWrite);
  if (!key.allows(Type::kSet)) return;
  Set set(key);
  int64_t removed = 0;
  for (std::string_view member : context.args.subspan(2)) {
    if (!key.exists()) break;
    removed += set.erase(member);
  }
  if (removed != 0) key.changed();
  context.reply.integer(removed);
}

void smove(Context& context) {
  Key source(context, context.args[1], Key::Use::kWrite);
  Key destination(context, context.args[2], Key::Use::kWrite);
  // Removing an expired destination may have changed the slot's table.
  source.find();
  if (!source.exists()) return context.reply.integer(0);
  if (!source.allows(Type::kSet) || !destination.allows(Type::kSet)) return;
  std::string_view member = context.args[3];
  if (source.name() == destination.name()) {
    return context.reply.integer(Set(source).contains(member));
  }
  if (!Set(source).erase(member)) return context.reply.integer(0);
  destination.find();
  bool added = Set(destination).add(member);
  source.changed();
  if (added) destination.changed();
  context.reply.integer(1);
}

void scard(Context& context) {
  Key key(context, context.args[1], Key::Use::kRead);
  if (!key.allows(Type::kSet)) return;
  context.reply.integer(static_cast<int64_t>(Set(key).size()));
}

void sismember(Context& context) {
  Key key(context, context.args[1], Key::Use::kRead);
  if (!key.allows(Type::kSet)) return;
  context.reply.integer(Set(key).contains(context.args[2]));
}

void smismember(Context& context) {
  Key key(context, context.args[1], Key::Use::kRead);
  if (!key.allows(Type::kSet)) return;
  Set set(key);
  context.reply.array(context.args.size() - 2);
  for (std::string_view member : context.args.subspan(2)) {
    context.reply.integer(set.contains(member));
  }
}

void reply_members(Reply& reply, const SetMembers& members) {
  members.for_each([&](const packed::Item& item) {
    reply_item(reply, item);
    return true;
  });
}

void smembers(Context& context) {
  Key key(context, context.args[1], Key::Use::kRead);
  if (!key.allows(Type::kSet)) return;
  context.reply.set(Set(key).size());
  if (key.exists()) reply_members(context.reply, Set(key).members());
}

// Answers with all but `left` members, which stay. As these are few, they move to a set of their
// own and what they leave behind is freed as a whole.
void pop_most(Context& context, Key& key, size_t left) {
  SetMembers popped = Set(key).members();
  bool is_integers = popped.encoding() == Encoding::kIntegers;
  SetMembers staying(is_integers ? SetMembers::make_integers(key.db(), key.name())
                                 : SetMembers::make_packed(key.db(), key.name()));
  // Selection sampling, Knuth 3.4.2 S.
  size_t unseen = popped.count();
  popped.for_each([&](const packed::Item& item) {
    if (context.random() % unseen-- < left) {
      staying.add(item, context.limits);
      --left;
      return true;
    }
    reply_item(context.reply, item);
    packed::Item::Buffer buffer;
    if (key.records()) key.record(EffectKind::kMemberErase, item.view(&buffer));
    return true;
  });
  SetMembers fresh = staying;
  if (key.entry()->has_deadline()) {
    Entry* timed = Entry::with_deadline(fresh.entry(), true, kSetOps.value_bytes(fresh.entry()));
    timed->set_deadline(key.deadline());
    fresh = SetMembers(timed);
  }
  key.put(fresh.entry());
}

void spop_counted(Context& context) {
  std::optional<int64_t> count = parse_int64(context.args[2]);
  if (!count || *count < 0) return context.error(errors::kOutOfRangePositive);
  Key key(context, context.args[1], Key::Use::kWrite);
  if (!key.allows(Type::kSet)) return;
  auto wanted = static_cast<uint64_t>(*count);
  Set set(key);
  size_t size = set.size();
  if (size == 0 || wanted == 0) return context.reply.set(0);
  if (wanted >= size) {
    context.reply.set(size);
    reply_members(context.reply, set.members());
    set.erase_all();
  } else {
    // From here on Redis makes a new set, whose encoding may be another.
    constexpr size_t kPopsPerStay = 5;
    context.reply.set(wanted);
    if ((size - wanted) * kPopsPerStay <= wanted) {
      pop_most(context, key, size - wanted);
    } else {
      for (uint64_t i = 0; i < wanted; ++i) {
        set.take_random([&](const packed::Item& item) { reply_item(context.reply, item); });
      }
    }
  }
  key.changed();
}

void spop(Context& context) {
  if (context.args.size() > 3) return context.error(errors::kSyntax);
  if (context.args.size() == 3) return spop_counted(context);
  Key key(context, context.args[1], Key::Use::kWrite);
  if (!key.allows(Type::kSet)) return;
  if (!key.exists()) return context.reply.null();
  Set(key).take_random([&](const packed::Item& item) { reply_item(context.reply, item); });
  key.changed();
}

// `count` independent draws, so that members may come more than once.
void reply_repeated(Context& context, const SetMembers& members, uint64_t count) {
  size_t begun = context.reply.begin();
  context.reply.array(count);
  for (uint64_t i = 0; i < count; ++i) {
    reply_item(context.reply, members.draw([&] { return context.random(); }));
    if (context.reply.begin() - begun > kRepeatedReplyBytesMax) [[unlikely]] {
      context.reply.rewind(begun);
      return context.error("ERR value is out of range, the reply would be too large");
    }
  }
}

// `count` different members, of at least that many.
void reply_distinct(Context& context, const SetMembers& members, size_t count) {
  context.reply.array(count);
  size_t size = members.count();
  // Few of many are drawn one by one, else each member is taken or passed over in turn (selection
  // sampling, Knuth 3.4.2 S).
  constexpr size_t kDrawsPerPass = 3;
  if (members.is_large() && count * kDrawsPerPass < size) {
    std::unordered_set<const char*> drawn;
    drawn.reserve(count);
    while (drawn.size() < count) {
      packed::Item item = members.draw([&] { return context.random(); });
      if (drawn.insert(item.text.data()).second) reply_item(context.reply, item);
    }
    return;
  }
  size_t unseen = size;
  members.for_each([&](const packed::Item& item) {
    if (context.random() % unseen-- < count) {
      reply_item(context.reply, item);
      --count;
    }
    return count != 0;
  });
}

void srandmember_counted(Context& context) {
  std::optional<int64_t> count = parse_int64(context.args[2]);
  if (!count) return context.error(errors::kNotInteger);
  if (*count == INT64_MIN) return context.error(kCountRange);
  Key key(context, context.args[1], Key::Use::kRead);
  if (!key.allows(Type::kSet)) return;
  size_t size = Set(key).size();
  if (size == 0 || *count == 0) return context.reply.array(0);
  SetMembers members = Set(key).members();
  if (*count < 0) return reply_repeated(context, members, static_cast<uint64_t>(-*count));
  reply_distinct(context, members, std::min(static_cast<size_t>(*count), size));
}

void srandmember(Context& context) {
  if (context.args.size() > 3) return context.error(errors::kSyntax);
  if (context.args.size() == 3) return srandmember_counted(context);
  Key key(context, context.args[1], Key::Use::kRead);
  if (!key.allows(Type::kSet)) return;
  if (!key.exists()) return context.reply.null();
  reply_item(context.reply, Set(key).members().draw([&] { return context.random(); }));
}

void sscan(Context& context) {
  ElementScan scan;
  if (!scan.read_cursor(context, context.args[2])) return;
  Key key(context, context.args[1], Key::Use::kRead);
  if (!key.allows(Type::kSet)) return;
  if (!key.exists()) {
    context.reply.array(2);
    context.reply.bulk("0");
    context.reply.array(0);
    return;
  }
  if (!scan.read_options(context, /*allows_no_values=*/false)) return;
  SetMembers members = Set(key).members();
  scan.reply_to(context.reply, [&](uint32_t from, uint32_t wanted, size_t* written) {
    return members.scan(from, wanted, [&](const packed::Item& item) {
      packed::Item::Buffer buffer;
      if (scan.has_pattern && !scan.matches(item.view(&buffer))) return;
      reply_item(context.reply, item);
      ++*written;
    });
  });
}

constexpr KeyRange kOneKey{1, 1, 1};
constexpr KeyRange kAllKeys{1, -1, 1};
constexpr std::string_view kTotal = "O(N), N members of all sets together";
constexpr std::string_view kSmallest = "O(N * M), N members of the smallest set, M sets";

// clang-format off
const CommandSpec kRows[] = {
    {"SADD", -3, kWrite | kDenyOom | kFast, kOneKey, CommandGroup::kSet, "1.0.0",
     "O(N), N members given", "Adds members to a set, making the set if there is none.",
     "key member [member ...]", sadd},
    {"SREM", -3, kWrite | kFast, kOneKey, CommandGroup::kSet, "1.0.0", "O(N), N members given",
     "Removes members, and the set with its last member.", "key member [member ...]", srem},
    {"SMOVE", 4, kWrite | kFast, {1, 2, 1}, CommandGroup::kSet, "1.0.0", "O(1)",
     "Moves a member from one set to another.", "source destination member", smove},
    {"SCARD", 2, kReadonly | kFast, kOneKey, CommandGroup::kSet, "1.0.0", "O(1)",
     "Counts the members of a set.", "key", scard},
    {"SISMEMBER", 3, kReadonly | kFast, kOneKey, CommandGroup::kSet, "1.0.0", "O(1)",
     "Tells whether a set has a member.", "key member", sismember},
    {"SMISMEMBER", -3, kReadonly | kFast, kOneKey, CommandGroup::kSet, "6.2.0",
     "O(N), N members given", "Tells for several members whether a set has them.",
     "key member [member ...]", smismember},
    {"SMEMBERS", 2, kReadonly, kOneKey, CommandGroup::kSet, "1.0.0", "O(N), N members of the set",
     "Answers with all members of a set.", "key", smembers},
    {"SPOP", -2, kWrite | kFast, kOneKey, CommandGroup::kSet, "1.0.0", "O(N), N members taken",
     "Takes random members out of a set.", "key [count]", spop},
    {"SRANDMEMBER", -2, kReadonly, kOneKey, CommandGroup::kSet, "1.0.0", "O(N), N members answered",
     "Answers with random members of a set.", "key [count]", srandmember},
    {"SSCAN", -3, kReadonly, kOneKey, CommandGroup::kSet, "2.8.0",
     "O(1) a call, O(N) for all calls that walk a set of N members",
     "Walks the members of a set in steps.", "key cursor [MATCH pattern] [COUNT count]", sscan},
    {"SINTER", -2, kReadonly, kAllKeys, CommandGroup::kSet, "1.0.0", kSmallest,
     "Answers with the members that all sets have.", "key [key ...]", sinter},
    {"SINTERSTORE", -3, kWrite | kDenyOom, kAllKeys, CommandGroup::kSet, "1.0.0", kSmallest,
     "Stores the members that all sets have.", "destination key [key ...]", sinterstore},
    {"SINTERCARD", -3, kReadonly | kMovableKeys, {0, 0, 0}, CommandGroup::kSet, "7.0.0", kSmallest,
     "Counts the members that all sets have.", "numkeys key [key ...] [LIMIT limit]", sintercard,
     keys_counted_at<1>},
    {"SUNION", -2, kReadonly, kAllKeys, CommandGroup::kSet, "1.0.0", kTotal,
     "Answers with the members that any set has.", "key [key ...]", sunion},
    {"SUNIONSTORE", -3, kWrite | kDenyOom, kAllKeys, CommandGroup::kSet, "1.0.0", kTotal,
     "Stores the members that any set has.", "destination key [key ...]", sunionstore},
    {"SDIFF", -2, kReadonly, kAllKeys, CommandGroup::kSet, "1.0.0", kTotal,
     "Answers with the members of the first set that no other has.", "key [key ...]", sdiff},
    {"SDIFFSTORE", -3, kWrite | kDenyOom, kAllKeys, CommandGroup::kSet, "1.0.0", kTotal,
     "Stores the members of the first set that no other has.", "destination key [key ...]",
     sdiffstore},
};
// clang-format on

}  // namespace

const std::span<const CommandSpec> kSetCommands{kRows};

}  // namespace dyno

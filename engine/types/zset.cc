// SPDX-License-Identifier: Apache-2.0
#include "engine/types/zset.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>

#include "engine/memory.h"
#include "engine/reclaimer.h"
#include "engine/types/packed_entry.h"
#include "engine/value.h"

namespace dyno {
namespace {

// What packs into the entry: a score of -0 becomes 0.
packed::Encoded encode_score(double score) {
  return packed::Encoded::score(score == 0 ? 0 : score);
}

[[gnu::cold]] void record_score(Key& key, std::string_view member, double score, bool is_new) {
  key.record({.kind = EffectKind::kScore, .element = member, .score = score, .is_new = is_new});
}

LargeZSet* make_large_zset() {
  return new (memory::allocate(sizeof(LargeZSet))) LargeZSet;
}

// From this size on, removing more than stays moves what stays.
constexpr uint64_t kMovedFromSize = 4096;

void add_to(LargeZSet& large, std::string_view text, double score) {
  Member* member = Member::make(score, text);
  large.tree.insert(member);
  large.table.insert(element_position(text), member);
}

// An entry for members in order; without a deadline.
Entry* make_entry(int db, std::string_view key, const Limits& limits, const MemberList& members) {
  size_t bytes = 0;
  bool fits = members.items().size() <= static_cast<uint64_t>(limits.zset_packed_entries);
  for (const MemberList::Item& item : members.items()) {
    if (!fits) break;
    bytes += packed::Encoded(item.member).size() + encode_score(item.score).size();
    fits = item.member.size() <= static_cast<uint64_t>(limits.zset_packed_value_bytes) &&
           bytes <= packed::kItemsBytesMax;
  }
  if (!fits) {
    Entry* entry = Entry::make(Type::kZSet, Encoding::kLarge, db, key, false, sizeof(LargeZSet*));
    LargeZSet* large = make_large_zset();
    for (const MemberList::Item& item : members.items()) add_to(*large, item.member, item.score);
    entry->set_large(large);
    return entry;
  }
  Entry* entry =
      Entry::make(Type::kZSet, Encoding::kPacked, db, key, false, packed::kHeaderBytes + bytes);
  uint8_t* at = entry->value() + packed::kHeaderBytes;
  for (const MemberList::Item& item : members.items()) {
    at = encode_score(item.score).write(packed::Encoded(item.member).write(at));
  }
  packed::set_header(entry->value(), static_cast<uint32_t>(bytes),
                     static_cast<uint32_t>(members.items().size() * 2));
  return entry;
}

}  // namespace

// --- Reading ------------------------------------------------------------------------------------

ZSetView::Place ZSetView::find(std::string_view member) const {
  Place place;
  if (entry_ == nullptr) return place;
  if (is_large()) {
    place.position = element_position(member);
    place.word = large().table.find(place.position, member);
    if (place.word == nullptr) return place;
    place.found = true;
    place.score = Table<ZSetTraits>::node(*place.word)->score;
    return place;
  }
  const uint8_t* value = entry_->value();
  const uint8_t* begin = packed::begin(value);
  const uint8_t* at = packed::find(begin, packed::end(value), packed::Encoded(member), 2);
  if (at == nullptr) return place;
  place.found = true;
  place.offset = static_cast<uint32_t>(at - begin);
  place.score = packed::read(packed::next(at)).score();
  return place;
}

uint64_t ZSetView::rank(const Place& place) const {
  if (is_large()) return large().tree.rank(Table<ZSetTraits>::node(*place.word));
  const uint8_t* at = packed::begin(entry_->value());
  const uint8_t* end = at + place.offset;
  uint64_t rank = 0;
  for (; at < end; ++rank) at = packed::next(packed::next(at));
  return rank;
}

// --- Lists --------------------------------------------------------------------------------------

std::string_view MemberList::copy(std::string_view text) {
  constexpr size_t kBlockBytes = 4096;
  if (text.empty()) return "";  // At an address, which copying no bytes from there asks for, too.
  if (text.size() > block_left_) {
    size_t bytes = std::max(kBlockBytes, text.size());
    blocks_.push_back(std::make_unique_for_overwrite<char[]>(bytes));
    block_at_ = blocks_.back().get();
    block_left_ = bytes;
  }
  char* at = block_at_;
  std::memcpy(at, text.data(), text.size());
  block_at_ += text.size();
  block_left_ -= text.size();
  return {at, text.size()};
}

void MemberList::add_range(const ZSetView& set, uint64_t first, uint64_t count, bool reverse) {
  if (count == 0) return;
  items_.reserve(items_.size() + count);
  bool lives = set.is_large();
  set.for_each(first, count, reverse, [&](std::string_view member, double score) {
    add(member, score, lives);
    return true;
  });
}

void MemberList::sort() {
  std::sort(items_.begin(), items_.end(), [](const Item& a, const Item& b) {
    return a.score != b.score ? a.score < b.score : a.member < b.member;
  });
}

// --- Changing -----------------------------------------------------------------------------------

void ZSet::expect(size_t members, size_t text_bytes) {
  const Limits& limits = key_.context().limits;
  bool packs = members <= static_cast<uint64_t>(limits.zset_packed_entries);
  if (key_.exists()) {
    if (!packs && !view().is_large()) make_large();
    return;
  }
  if (packs && text_bytes <= static_cast<uint64_t>(limits.zset_packed_value_bytes)) {
    // Room for the first pair, whose longest header and score have nine bytes.
    size_t bytes = packed::kHeaderBytes + text_bytes + 10;
    Entry* entry =
        Entry::make(Type::kZSet, Encoding::kPacked, key_.db(), key_.name(), false, bytes);
    packed::set_header(entry->value(), 0, 0);
    key_.put(entry);
    return;
  }
  Entry* entry =
      Entry::make(Type::kZSet, Encoding::kLarge, key_.db(), key_.name(), false, sizeof(LargeZSet*));
  entry->set_large(make_large_zset());
  key_.put(entry);
}

double ZSet::write(const ZSetView::Place& place, std::string_view member, double score) {
  ZSetView set = view();
  if (!set.is_large()) {
    const Limits& limits = key_.context().limits;
    uint32_t count = packed::count(key_.entry()->value()) / 2 + (place.found ? 0 : 1);
    size_t bytes = packed::items_bytes(key_.entry()->value()) + member.size() + 16;
    bool fits =
        place.found || (count <= static_cast<uint64_t>(limits.zset_packed_entries) &&
                        member.size() <= static_cast<uint64_t>(limits.zset_packed_value_bytes));
    if (fits && bytes <= packed::kItemsBytesMax) {
      if (score == 0) score = 0;  // Not -0.
      if (place.found) erase_packed(place.offset, 1);
      insert_packed(member, score);
      return score;
    }
    make_large();
    set = view();
  }
  LargeZSet& large = set.large();
  if (place.found) {
    // After a conversion the place is another one.
    const uint64_t* word = place.word;
    if (word == nullptr) word = large.table.find(element_position(member), member);
    large.tree.move(Table<ZSetTraits>::node(*word), score);
  } else {
    Member* added = Member::make(score, member);
    uint32_t position =
        place.word == nullptr && place.position == 0 ? element_position(member) : place.position;
    large.tree.insert(added);
    large.table.insert(position, added);
  }
  return score;
}

void ZSet::record_put(const ZSetView::Place& before, std::string_view member, double score) {
  record_score(key_, member, score, !before.found);
}

void ZSet::record_added(const ZSetView::Place& before, std::string_view member, double score,
                        double amount) {
  // Nothing adds up to or from infinity.
  if (std::isinf(score) || std::isinf(amount) || std::isinf(before.score)) {
    return record_put(before, member, score);
  }
  key_.record({.kind = EffectKind::kScoreIncrement,
               .element = member,
               .score = score,
               .is_new = !before.found,
               .amount = {.part = amount},
               .score_before = before.score});
}

void ZSet::insert_packed(std::string_view member, double score) {
  Entry* entry = key_.entry();
  uint8_t* value = entry->value();
  MemberBound bound{score, member, false};
  const uint8_t* end = packed::end(value);
  const uint8_t* at = packed::begin(value);
  while (at < end) {
    packed::Item other = packed::read(packed::next(at));
    int side = bound.side(other.score());
    packed::Item::Buffer buffer;
    if (side > 0 || (side == 0 && !bound.below(packed::read(at).view(&buffer)))) break;
    at = other.next;
  }
  packed::Encoded text(member);
  packed::Encoded number = encode_score(score);
  auto offset = static_cast<size_t>(at - packed::begin(value));
  Entry* grown = packed::splice(entry, offset, 0, text.size() + number.size(), 2);
  if (grown != entry) key_.moved(grown);
  number.write(text.write(grown->value() + packed::kHeaderBytes + offset));
}

void ZSet::erase_packed(uint64_t offset, uint64_t pairs) {
  Entry* entry = key_.entry();
  const uint8_t* from = packed::begin(entry->value()) + offset;
  const uint8_t* to = from;
  for (uint64_t i = 0; i < pairs; ++i) to = packed::next(packed::next(to));
  Entry* shrunk = packed::splice(entry, offset, static_cast<size_t>(to - from), 0,
                                 -static_cast<int>(pairs * 2));
  if (shrunk != entry) key_.moved(shrunk);
}

void ZSet::make_large() {
  LargeZSet* large = make_large_zset();
  view().for_all([&](std::string_view text, double score) {
    add_to(*large, text, score);
    return true;
  });
  Entry* old = key_.entry();
  Entry* entry = Entry::resize_value(old, sizeof(LargeZSet*), 0);
  entry->set_encoding(Encoding::kLarge);
  entry->set_large(large);
  if (entry != old) key_.moved(entry);
}

void ZSet::erase(const ZSetView::Place& place, std::string_view member) {
  ZSetView set = view();
  key_.record(EffectKind::kScoreErase, member);
  if (set.size() == 1) return key_.erase_empty();
  if (set.is_large()) {
    LargeZSet& large = set.large();
    Member* erased = Table<ZSetTraits>::node(*place.word);
    large.tree.erase(erased);
    large.table.erase(place.position, place.word);
    memory::release(erased);
    return;
  }
  erase_packed(place.offset, 1);
}

void ZSet::erase_range(uint64_t first, uint64_t count) {
  ZSetView set = view();
  if (count == 0) return;
  if (key_.records()) {
    set.for_each(first, count, false, [&](std::string_view member, double) {
      key_.record(EffectKind::kScoreErase, member);
      return true;
    });
  }
  if (count == set.size()) return key_.erase_empty();
  if (set.is_large()) {
    if (set.size() >= kMovedFromSize && set.size() - count < count) {
      return keep_outside(first, count);
    }
    LargeZSet& large = set.large();
    Member* run[BTree::kLeafMembers];
    uint32_t positions[BTree::kLeafMembers];
    while (count > 0) {
      size_t taken = large.tree.erase_run(first, count, run);
      count -= taken;
      // One pass for each cache line that the next one needs.
      for (size_t i = 0; i < taken; ++i) __builtin_prefetch(run[i]);
      for (size_t i = 0; i < taken; ++i) {
        positions[i] = element_position(run[i]->text());
        large.table.prefetch_group(positions[i]);
      }
      for (size_t i = 0; i < taken; ++i) {
        large.table.erase(positions[i], large.table.find(positions[i], run[i]->text()));
        memory::release(run[i]);
      }
    }
    return;
  }
  const uint8_t* begin = packed::begin(key_.entry()->value());
  const uint8_t* from = begin;
  for (uint64_t i = 0; i < first; ++i) from = packed::next(packed::next(from));
  erase_packed(static_cast<uint64_t>(from - begin), count);
}

void ZSet::keep_outside(uint64_t first, uint64_t count) {
  LargeZSet& old = view().large();
  LargeZSet* kept = make_large_zset();
  auto keep = [&](uint64_t from, uint64_t members) {
    Member* run[BTree::kLeafMembers];
    while (members > 0) {
      size_t taken = old.tree.erase_run(from, members, run);
      members -= taken;
      for (size_t i = 0; i < taken; ++i) __builtin_prefetch(run[i]);
      for (size_t i = 0; i < taken; ++i) {
        kept->tree.insert(run[i]);
        kept->table.insert(element_position(run[i]->text()), run[i]);
      }
    }
  };
  keep(0, first);
  keep(count, old.tree.size() - count);
  Entry* removed =
      Entry::make(Type::kZSet, Encoding::kLarge, key_.db(), key_.name(), false, sizeof(LargeZSet*));
  removed->set_large(&old);
  key_.entry()->set_large(kept);
  key_.context().keyspace.reclaimer().give(removed);
}

void ZSet::replace(Key& key, MemberList& members) {
  if (members.items().empty()) {
    if (key.exists()) key.erase();
    return;
  }
  members.sort();
  Entry* fresh = make_entry(key.db(), key.name(), key.context().limits, members);
  key.record(EffectKind::kErase);
  key.put(fresh);
  if (key.records()) kZSetOps.record(key);
}

// --- What every type offers ---------------------------------------------------------------------

namespace {

size_t zset_length(const Entry* entry) {
  return ZSetView(entry).size();
}

size_t zset_value_bytes(const Entry* entry) {
  return ZSetView(entry).is_large() ? sizeof(LargeZSet*) : packed::value_bytes(entry->value());
}

bool zset_destroy_some(Entry* entry, size_t budget) {
  if (!ZSetView(entry).is_large()) return true;
  LargeZSet& large = ZSetView(entry).large();
  // The tree holds all members; the table's few large blocks go first.
  if (!large.table.empty()) large.table.release();
  if (!large.tree.free_some(budget)) return false;
  large.~LargeZSet();
  memory::release(&large);
  return true;
}

void zset_destroy(Entry* entry) {
  while (!zset_destroy_some(entry, SIZE_MAX)) {
  }
}

Entry* zset_copy(const Entry* entry, int db, std::string_view name) {
  ZSetView set(entry);
  size_t bytes = zset_value_bytes(entry);
  Entry* copy = Entry::make(Type::kZSet, entry->encoding(), db, name, entry->has_deadline(), bytes);
  if (entry->has_deadline()) copy->set_deadline(entry->deadline());
  if (!set.is_large()) {
    std::memcpy(copy->value(), entry->value(), bytes);
    return copy;
  }
  LargeZSet* large = make_large_zset();
  set.for_all([&](std::string_view text, double score) {
    add_to(*large, text, score);
    return true;
  });
  copy->set_large(large);
  return copy;
}

std::string_view zset_encoding_name(const Entry* entry) {
  return ZSetView(entry).is_large() ? "skiplist" : "listpack";
}

size_t zset_memory_bytes(const Entry* entry, size_t samples) {
  size_t bytes = memory::usable_bytes(entry);
  ZSetView set(entry);
  if (!set.is_large()) return bytes;
  LargeZSet& large = set.large();
  bytes += memory::usable_bytes(&large) + large.table.memory_bytes() + large.tree.memory_bytes();
  uint64_t size = set.size();
  uint64_t seen = samples == 0 || samples > size ? size : samples;
  uint64_t seen_bytes = 0;
  large.tree.for_each(0, seen, false, [&](const Member* member) {
    seen_bytes += memory::usable_bytes(member);
    return true;
  });
  return bytes + (seen == 0 ? 0 : seen_bytes * size / seen);
}

void zset_record(Key& key) {
  ZSetView(key).for_all([&](std::string_view text, double score) {
    record_score(key, text, score, true);
    return true;
  });
  if (key.entry()->has_deadline()) {
    key.record(EffectKind::kDeadline, {}, {}, key.entry()->deadline());
  }
}

}  // namespace

const ValueOps kZSetOps{
    .length = zset_length,
    .value_bytes = zset_value_bytes,
    .destroy = zset_destroy,
    .destroy_some = zset_destroy_some,
    .copy = zset_copy,
    .encoding_name = zset_encoding_name,
    .memory_bytes = zset_memory_bytes,
    .record = zset_record,
};

}  // namespace dyno

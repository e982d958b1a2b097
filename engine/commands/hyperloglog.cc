// SPDX-License-Identifier: Apache-2.0
//
// HyperLogLogs: PFADD, PFCOUNT, PFMERGE. A HyperLogLog is no type of its own but a string in the
// format of sketch.h. PFCOUNT of one key writes the estimate that it made into the string's header,
// so that the next one only reads it.
//
// Concurrent writers on replicas: every element counts, since a register keeps the largest rank
// that any of them gave it; a deletion takes away what it had seen. The estimate in the header, and
// whether the registers are sparse or dense, is each node's own.
#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "engine/command.h"
#include "engine/types/sketch.h"
#include "engine/types/string.h"
#include "protocol/words.h"

namespace dyno {
namespace {

constexpr std::string_view kDamagedError = "INVALIDOBJ Corrupted HLL object detected";

// A key as a sketch; answers the error and returns false when it holds something else. A missing
// key gives an empty view.
bool view_sketch(Context& c, Key& key, String::Buffer* buffer, std::string_view* bytes) {
  *bytes = {};
  if (!key.exists()) return true;
  if (!key.allows(Type::kString)) return false;
  *bytes = String(key).view(buffer);
  if (sketch::is_sketch(*bytes)) return true;
  c.error("WRONGTYPE Key is not a valid HyperLogLog string value.");
  return false;
}

// The registers that a command raised, noted when somebody records.
class Growth {
 public:
  void note(sketch::Place place) { places_.push_back(place); }

  // To be called after the change. A damaged sketch is recorded as the string that it is, since how
  // far its registers can be read depends on how they are written.
  void record(Key& key, bool is_new) {
    std::string_view bytes = key.entry()->text();
    if (!sketch::is_intact(bytes)) {
      return key.record({.kind = EffectKind::kString, .element = bytes, .keeps_deadline = true});
    }
    std::sort(places_.begin(), places_.end(), [](sketch::Place a, sketch::Place b) {
      return a.index != b.index ? a.index < b.index : a.rank > b.rank;
    });
    std::string packed;
    for (size_t i = 0; i < places_.size(); ++i) {
      sketch::Place place = places_[i];
      if (i > 0 && place.index == places_[i - 1].index) continue;
      packed.push_back(static_cast<char>(place.index));
      packed.push_back(static_cast<char>(place.index >> 8));
      packed.push_back(static_cast<char>(place.rank));
    }
    key.record({.kind = EffectKind::kRegisters, .element = packed, .is_new = is_new});
  }

 private:
  std::vector<sketch::Place> places_;
};

size_t sparse_bytes_max(const Context& c) {
  return static_cast<size_t>(std::max<int64_t>(c.limits.hyperloglog_sparse_bytes, 0));
}

// Adds to a dense sketch where it is; true when a register changed.
bool add_in_place(Context& c, Key& key, std::string_view bytes, Growth* growth) {
  auto* current = reinterpret_cast<const uint8_t*>(bytes.data());
  uint8_t* edited = nullptr;
  for (std::string_view element : c.args.subspan(2)) {
    sketch::Place place = sketch::place_of(element);
    if (sketch::dense_register(current, place.index) >= place.rank) continue;
    if (edited == nullptr) current = edited = String(key).edit(0);
    sketch::set_dense_register(edited, place.index, place.rank);
    if (key.records()) growth->note(place);
  }
  if (edited == nullptr) return false;
  sketch::set_stale(edited);
  return true;
}

void pfadd(Context& c) {
  Key key(c, c.args[1], Key::Use::kWrite);
  String::Buffer buffer;
  std::string_view bytes;
  if (!view_sketch(c, key, &buffer, &bytes)) return;
  bool is_new = !key.exists();
  bool changed = is_new;
  Growth growth;
  if (!is_new && sketch::is_dense(bytes)) {
    changed = add_in_place(c, key, bytes, &growth);
  } else {
    std::string copy = is_new ? sketch::empty() : std::string(bytes);
    if (is_new) sketch::set_stale(reinterpret_cast<uint8_t*>(copy.data()));
    for (std::string_view element : c.args.subspan(2)) {
      sketch::Place place = sketch::place_of(element);
      auto raised = sketch::raise(&copy, place, sparse_bytes_max(c));
      if (raised == sketch::Raised::kDamaged) return c.error(kDamagedError);
      if (raised != sketch::Raised::kYes) continue;
      changed = true;
      if (key.records()) growth.note(place);
    }
    if (changed) String(key).rewrite(copy);
  }
  if (changed) {
    if (key.records()) growth.record(key, is_new);
    key.changed();
  }
  c.reply.integer(changed);
}

// The registers of all keys that the command names; answers the error and returns false when one is
// no sketch or a damaged one.
bool unite(Context& c, sketch::Registers* registers, bool* any_dense) {
  for (std::string_view name : c.args.subspan(1)) {
    Key key(c, name, Key::Use::kRead);
    String::Buffer buffer;
    std::string_view bytes;
    if (!view_sketch(c, key, &buffer, &bytes)) return false;
    if (!key.exists()) continue;
    *any_dense |= sketch::is_dense(bytes);
    if (!sketch::merge_into(registers, bytes)) {
      c.error(kDamagedError);
      return false;
    }
  }
  return true;
}

// The estimate for the union of several keys; nothing of it is kept.
void count_union(Context& c) {
  auto registers = std::make_unique<sketch::Registers>();
  bool any_dense = false;
  if (!unite(c, registers.get(), &any_dense)) return;
  c.reply.integer(static_cast<int64_t>(sketch::estimate(*registers)));
}

void pfcount(Context& c) {
  if (c.args.size() > 2) return count_union(c);
  Key key(c, c.args[1], Key::Use::kRead);
  String::Buffer buffer;
  std::string_view bytes;
  if (!view_sketch(c, key, &buffer, &bytes)) return;
  if (!key.exists()) return c.reply.integer(0);
  std::optional<uint64_t> count = sketch::known_count(bytes);
  if (!count) {
    count = sketch::estimate(bytes);
    if (!count) return c.error(kDamagedError);
    sketch::set_count(String(key).edit(0), *count);
    key.changed();
  }
  c.reply.integer(static_cast<int64_t>(*count));
}

void pfmerge(Context& c) {
  auto registers = std::make_unique<sketch::Registers>();
  bool any_dense = false;
  if (!unite(c, registers.get(), &any_dense)) return;
  Key destination(c, c.args[1], Key::Use::kWrite);
  String::Buffer buffer;
  std::string copy =
      destination.exists() ? std::string(String(destination).view(&buffer)) : sketch::empty();
  if (any_dense && !sketch::make_dense(&copy)) return c.error(kDamagedError);
  Growth growth;
  bool grew = !destination.exists();
  for (uint32_t index = 0; index < sketch::kRegisterCount; ++index) {
    uint8_t rank = (*registers)[index];
    if (rank == 0) continue;
    auto raised = sketch::raise(&copy, {index, rank}, sparse_bytes_max(c));
    if (raised == sketch::Raised::kDamaged) return c.error(kDamagedError);
    if (raised != sketch::Raised::kYes || !destination.records()) continue;
    grew = true;
    growth.note({index, rank});
  }
  sketch::set_stale(reinterpret_cast<uint8_t*>(copy.data()));
  bool is_new = !destination.exists();
  String(destination).rewrite(copy);
  if (destination.records() && grew) growth.record(destination, is_new);
  destination.changed();
  c.reply.ok();
}

// --- For testing --------------------------------------------------------------------------------

// The key's sketch made dense, as some of PFDEBUG's subcommands leave it behind.
bool densify(Context& c, Key& key, std::string_view bytes) {
  std::string copy(bytes);
  if (!sketch::make_dense(&copy)) {
    c.error(kDamagedError);
    return false;
  }
  String(key).rewrite(copy);
  key.changed();
  return true;
}

void reply_registers(Context& c, Key& key) {
  String::Buffer buffer;
  auto* bytes = reinterpret_cast<const uint8_t*>(String(key).view(&buffer).data());
  c.reply.array(sketch::kRegisterCount);
  for (uint32_t i = 0; i < sketch::kRegisterCount; ++i) {
    c.reply.integer(sketch::dense_register(bytes, i));
  }
}

void pfdebug(Context& c) {
  std::string_view verb = c.args[1];
  Key key(c, c.args[2], Key::Use::kWrite);
  if (!key.exists()) return c.error("ERR The specified key does not exist");
  String::Buffer buffer;
  std::string_view bytes;
  if (!view_sketch(c, key, &buffer, &bytes)) return;
  bool known = is_word(verb, "GETREG") || is_word(verb, "DECODE") || is_word(verb, "ENCODING") ||
               is_word(verb, "TODENSE");
  if (!known) return c.error("ERR Unknown PFDEBUG subcommand '" + std::string(verb) + "'");
  if (c.args.size() != 3) {
    return c.error("ERR Wrong number of arguments for the '" + std::string(verb) + "' subcommand");
  }
  bool dense = sketch::is_dense(bytes);
  if (is_word(verb, "ENCODING")) return c.reply.simple(dense ? "dense" : "sparse");
  if (is_word(verb, "DECODE")) {
    return dense ? c.error("ERR HLL encoding is not sparse")
                 : c.reply.bulk(sketch::describe_sparse(bytes));
  }
  if (!dense && !densify(c, key, bytes)) return;
  is_word(verb, "TODENSE") ? c.reply.integer(!dense) : reply_registers(c, key);
}

// Counts elements in a sparse and a dense sketch: both estimates must be equal, and near the truth.
void pfselftest(Context& c) {
  constexpr int64_t kElements = 100'000;
  constexpr double kErrorMax = 4 * 1.04 / 128;  // Four standard deviations.
  std::string sparse = sketch::empty();
  std::string dense = sparse;
  if (!sketch::make_dense(&dense)) return c.error("TESTFAILED an empty sketch is damaged");
  uint64_t seed = c.random();
  int64_t checkpoint = 1;
  for (int64_t i = 1; i <= kElements; ++i) {
    uint64_t element = seed ^ static_cast<uint64_t>(i);
    auto place = sketch::place_of({reinterpret_cast<const char*>(&element), sizeof(element)});
    if (sketch::raise(&sparse, place, sparse_bytes_max(c)) !=
        sketch::raise(&dense, place, sparse_bytes_max(c))) {
      return c.error("TESTFAILED sparse and dense registers disagree");
    }
    if (i != checkpoint) continue;
    auto from_sparse = sketch::estimate(sparse);
    auto from_dense = sketch::estimate(dense);
    if (!from_sparse || from_sparse != from_dense) {
      return c.error("TESTFAILED sparse and dense estimates disagree");
    }
    auto error = std::abs(static_cast<double>(*from_dense) - static_cast<double>(i));
    if (error > std::max(kErrorMax * static_cast<double>(i), 1.0)) {
      return c.error("TESTFAILED the estimate is too far from the truth");
    }
    checkpoint *= 10;
  }
  c.reply.ok();
}

constexpr KeyRange kFirstKey{1, 1, 1};
constexpr KeyRange kAllKeys{1, -1, 1};
constexpr auto kGroup = CommandGroup::kHyperLogLog;

// clang-format off
const CommandSpec kRows[] = {
    {"PFADD", -2, kWrite | kDenyOom | kFast, kFirstKey, kGroup, "2.8.9", "O(1) for each element",
     "Adds elements to a HyperLogLog, creating it if needed.", "key [element [element ...]]",
     pfadd},
    {"PFCOUNT", -2, kReadonly, kAllKeys, kGroup, "2.8.9",
     "O(1) for one key, O(N) for several with N the number of keys",
     "Estimates the number of distinct elements added to a HyperLogLog or to any of several.",
     "key [key ...]", pfcount},
    {"PFMERGE", -2, kWrite | kDenyOom, kAllKeys, kGroup, "2.8.9",
     "O(N) with N the number of HyperLogLogs", "Merges HyperLogLogs into the first of them.",
     "destkey [sourcekey [sourcekey ...]]", pfmerge},
    {"PFDEBUG", -3, kWrite | kDenyOom | kAdmin, {2, 2, 1}, kGroup, "2.8.9", "O(N)",
     "Shows the inside of a HyperLogLog, for testing.", "subcommand key", pfdebug},
    {"PFSELFTEST", 1, kAdmin, {}, kGroup, "2.8.9", "O(N)", "Tests the counting of HyperLogLogs.",
     "", pfselftest},
};
// clang-format on

}  // namespace

const std::span<const CommandSpec> kHyperLogLogCommands{kRows};

}  // namespace dyno

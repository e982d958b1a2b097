// SPDX-License-Identifier: Apache-2.0
//
// Commands whose replies tell whether values that went to disk came back as they were: what tests
// draw from that run the same commands on two engines, and the walk over what may go to disk.
#pragma once

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/command.h"
#include "engine/live_key.h"
#include "tests/command_storm.h"
#include "tests/engine_client.h"
#include "tests/engine_families.h"

namespace dyno {

// What a reply holds, in an order that two tables of different growth share.
inline std::vector<std::string> leaves_of(const std::string& reply) {
  ReplyReader reader(reply);
  std::sort(reader.leaves().begin(), reader.leaves().end());
  return reader.leaves();
}

// Its replies may rest on chance, on the order of a table, on counters of the whole process, or on
// how a value is kept.
inline bool is_comparable(const CommandSpec& spec) {
  static const std::set<std::string_view> kOthers = {"SPOP",
                                                     "SRANDMEMBER",
                                                     "HRANDFIELD",
                                                     "ZRANDMEMBER",
                                                     "RANDOMKEY",
                                                     "HSCAN",
                                                     "SSCAN",
                                                     "ZSCAN",
                                                     "SCAN",
                                                     "KEYS",
                                                     "OBJECT|FREQ",
                                                     "OBJECT|IDLETIME",
                                                     "DUMP",
                                                     "SORT",
                                                     "SORT_RO",
                                                     "DBSIZE",
                                                     "GEORADIUS",
                                                     "GEORADIUS_RO",
                                                     "GEORADIUSBYMEMBER",
                                                     "GEORADIUSBYMEMBER_RO",
                                                     "GEOSEARCH",
                                                     "GEOSEARCHSTORE",
                                                     "OBJECT|ENCODING"};
  constexpr uint32_t kUnfit = kBlocking | kLocksItself | kControlsMulti;
  // Ranges by member are of no defined order where scores differ.
  bool is_by_member = spec.name.find("LEX") != std::string_view::npos;
  return CommandStorm::takes(spec) && !(spec.flags & kUnfit) && !is_by_member &&
         !kOthers.contains(spec.name);
}

inline std::vector<const CommandSpec*> comparable_commands() {
  std::vector<const CommandSpec*> specs;
  for (std::span<const CommandSpec> family : kEngineFamilies) {
    for (const CommandSpec& spec : family) {
      if (is_comparable(spec)) specs.push_back(&spec);
    }
  }
  return specs;
}

// Calls visit(index, key) under the slot's lock for every key whose value is in memory, wherever
// and in whichever database it lies; visit may take the value out.
template <class Visit>
void for_each_warm(EngineClient& client, Visit&& visit) {
  for (uint32_t i = 0; i < kSlotCount; ++i) {
    const auto index = static_cast<SlotIndex>(i);
    Slot& slot = client.keyspace().slot(index);
    if (slot.table.empty()) continue;
    std::lock_guard lock(slot.lock);
    std::vector<std::pair<int, std::string>> names;
    slot.table.for_each([&](uint64_t* word) {
      const Entry* entry = EntryTable::node(*word);
      if (!(EntryTable::flags(*word) & kWordCold)) names.emplace_back(entry->db(), entry->key());
      return true;
    });
    for (const auto& [db, name] : names) {
      LiveKey live(client.executor(), db, name, INT64_MIN);
      visit(index, live.key());
    }
  }
}

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// What a node with replicas knows about one key besides its value: the stamps that decide which of
// two writes is kept, and the traces of what is gone.
//
// The value itself lies in the keyspace, in the same encodings as on a node without replicas, which
// has no records at all. A string that SET wrote, by far the most common key, has no record either,
// with a deadline or without: its one stamp lies in the slot's map (replica_slot.h). Of a key
// without traces a shorter record is kept (brief_record.h).
//
//   type rule   Facts that make the key a type count under that type. The type of the latest of
//               them all is the key's, and elements no later than the latest one of any other type
//               are gone: writing another type is a deletion, in the order of stamps.
//   floor       What is older than clear, the database's flush, other_stamp or the time at which
//               the key expired is gone.
//   element     Its stamp is its own one in `stamps`, else `base`. A counter's stamps are its own.
//   deadline    Of a key: what is older than its time is hidden once that has come. Of a field: the
//               latest one holds if it is not older than the field's value, and hides that value,
//               and increments older than its time. It only hides, since a later deadline may still
//               be on its way that was set in time. What it hid is asked for again then; the bytes
//               are dropped here, the deadline stays until everyone knows of it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/entry.h"
#include "engine/replica/counter_map.h"
#include "engine/replica/gone_elements.h"
#include "engine/replica/item_ids.h"
#include "engine/replica/shared_counter.h"
#include "engine/replica/slot_digest.h"
#include "engine/replica/stamp.h"
#include "engine/replica/stamp_map.h"

namespace dyno {

// What a list has beside its elements.
struct ListRecord {
  ItemIds ids;       // Of the elements, in order.
  StampMap changed;  // Stamps of elements that LSET replaced, by DigestHash::item.
  // Identities of elements that are gone: in `dying`, those that were gone when it was last
  // emptied, no later than dying_stamp; in `dead` the others.
  ItemIds dead;
  ItemIds dying;
  Stamp dead_stamp = 0;
  Stamp dying_stamp = 0;
};

// What a HyperLogLog has beside its value: the registers that were raised lately, since a clear
// that is still on its way takes away those that are older than it.
struct SketchRecord {
  struct Raised {
    Stamp stamp;
    uint16_t index;
    uint8_t rank;
  };
  std::vector<Raised> recent;
  Stamp folded = 0;  // Latest stamp of what is no longer in `recent`.
  uint64_t registers_hash = 0;
};

struct KeyRecord {
  int db = 0;
  Type type = Type::kString;
  bool is_live = false;
  // What was older than the deadline was dropped here because it had passed.
  bool lapsed = false;
  bool awaits_collection = false;

  Stamp clear = 0;
  Stamp deadline_stamp = 0;
  int64_t deadline_ms = -1;
  Stamp type_stamp = 0;
  Stamp other_stamp = 0;
  Stamp base = 0;
  Stamp latest = 0;
  Digest digest;  // This key's part of the slot's.
  std::string name;

  StampMap stamps;
  // Fields, members: when they were removed. By element_name(), as counters.
  std::unique_ptr<GoneElements> gone;
  std::unique_ptr<CounterMap> counters;
  // Stamps of the deadlines of fields that are here and will expire, by DigestHash::element. The
  // times are in the hash.
  std::unique_ptr<StampMap> field_deadlines;
  // Every other deadline of a field: of one that is not here; one that says that there is none; and
  // one that `lapsed`, whose time has come, so that it hides what it covers.
  struct FieldDeadline {
    Stamp stamp = 0;
    int64_t at_ms = -1;
    bool lapsed = false;
  };
  std::unique_ptr<std::map<std::string, FieldDeadline, std::less<>>> shelved_deadlines;
  std::unique_ptr<ListRecord> list;
  std::unique_ptr<SketchRecord> sketch;

  [[nodiscard]] Stamp gone_stamp(Type element_type, std::string_view element) const {
    return gone == nullptr ? 0 : gone->find(element_name(element_type, element));
  }
  // An element is one of its type: more than one may claim a key. A string's is the empty one.
  [[nodiscard]] static std::string element_name(Type of, std::string_view element) {
    return std::string(1, static_cast<char>(of)).append(element);
  }
  [[nodiscard]] static std::string_view bare_element(std::string_view name) {
    return name.substr(1);
  }
  [[nodiscard]] SharedCounter* counter(Type of, std::string_view element) const {
    return counters == nullptr ? nullptr : counters->find(element_name(of, element));
  }
  [[nodiscard]] bool has_counter(Type of, std::string_view element) const {
    return counters != nullptr && counters->has(element_name(of, element));
  }
  // An empty one, where there is none.
  SharedCounter& add_counter(Type of, std::string_view element) {
    if (counters == nullptr) counters = std::make_unique<CounterMap>();
    return counters->add(element_name(of, element));
  }
  // What it keeps of what is gone, as Replica::Counts::tombstones counts.
  [[nodiscard]] int64_t trace_count() const {
    size_t count = gone == nullptr ? 0 : gone->size();
    if (shelved_deadlines != nullptr) count += shelved_deadlines->size();
    if (list != nullptr) count += list->dead.size() + list->dying.size();
    return static_cast<int64_t>(count);
  }
  [[nodiscard]] ListRecord& make_list() {
    if (list == nullptr) list = std::make_unique<ListRecord>();
    return *list;
  }
  // A string last written as a whole, perhaps with its deadline: whoever knows its stamp knows that
  // everything older is gone.
  [[nodiscard]] bool is_whole() const {
    return is_live && type == Type::kString && base != 0 && base == latest && clear == base &&
           type_stamp == base && other_stamp == 0 && !lapsed && gone == nullptr &&
           counters == nullptr && sketch == nullptr && list == nullptr &&
           shelved_deadlines == nullptr;
  }
  // Nothing but what a plain stamp tells.
  [[nodiscard]] bool is_plain() const { return is_whole() && deadline_ms < 0; }
};

}  // namespace dyno

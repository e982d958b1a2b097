// SPDX-License-Identifier: Apache-2.0
#include "engine/disk/cold_value.h"

#include <cstring>
#include <optional>

#include "engine/types/dump.h"
#include "engine/types/hash.h"
#include "engine/types/rdb_load.h"
#include "engine/types/rdb_save.h"
#include "engine/value.h"

namespace dyno {
namespace {

constexpr char kAsItLies = 0;
constexpr char kObject = 1;
constexpr size_t kHeadBytes = 2;
// A cold key saves less than this: the entry shrinks by one step of the allocator or two.
constexpr size_t kWorthBytes = 24;
// What is copied, or built again, in about a millisecond.
constexpr size_t kCopiedBytesMax = size_t{1} << 20;
constexpr size_t kElementsMax = 4096;
constexpr size_t kElementSamples = 5;

bool restore_as_it_lies(Key& key, std::string_view bytes) {
  if (bytes.size() < kHeadBytes) return false;
  auto encoding = static_cast<Encoding>(bytes[1]);
  if (encoding == Encoding::kLarge || encoding >= Encoding::kCold) return false;
  std::string_view value = bytes.substr(kHeadBytes);
  Entry* fresh = Entry::make_like(key.entry(), key.type(), encoding, value.size());
  std::memcpy(fresh->value(), value.data(), value.size());
  key.context().keyspace.warm(key.word());
  key.context().keyspace.replace(key.slot(), key.word(), fresh);
  return true;
}

bool restore_object(Key& key, std::string_view bytes) {
  Context& context = key.context();
  auto string_bytes_max = static_cast<uint64_t>(int64_t{context.limits.bulk_bytes_max});
  std::optional<RdbValue> value = load_rdb_value(bytes.substr(1), string_bytes_max);
  if (!value || value->type != key.type()) return false;
  int64_t deadline_ms = key.deadline();
  uint32_t clock = key.entry()->clock();
  context.keyspace.warm(key.word());
  key.drop();
  build_value(key, *value);
  if (deadline_ms >= 0) key.set_deadline(deadline_ms);
  key.entry()->set_clock(clock);
  return true;
}

}  // namespace

bool is_worth_disk(const Entry* entry) {
  if (next_field_deadline(entry) != kNoDeadline) return false;
  const ValueOps& ops = value_ops(entry);
  if (entry->encoding() != Encoding::kLarge) {
    size_t bytes = ops.value_bytes(entry);
    return bytes >= kWorthBytes && bytes <= kCopiedBytesMax;
  }
  return ops.length(entry) <= kElementsMax &&
         ops.memory_bytes(entry, kElementSamples) <= kCopiedBytesMax;
}

bool save_cold_value(Key& key, std::string* out) {
  const Entry* entry = key.entry();
  if (!is_worth_disk(entry)) return false;
  if (entry->encoding() == Encoding::kLarge) {
    out->push_back(kObject);
    (void)save_rdb_value(key, out);
    return true;
  }
  out->push_back(kAsItLies);
  out->push_back(static_cast<char>(entry->encoding()));
  out->append(reinterpret_cast<const char*>(entry->value()), value_ops(entry).value_bytes(entry));
  return true;
}

bool restore_cold_value(Key& key, std::string_view bytes) {
  bool is_known = !bytes.empty() && (bytes[0] == kAsItLies || bytes[0] == kObject);
  if (!is_known) return false;
  bool is_object = bytes[0] == kObject;
  if (!(is_object ? restore_object(key, bytes) : restore_as_it_lies(key, bytes))) return false;
  key.entry()->set_has_copy(true);
  return true;
}

}  // namespace dyno

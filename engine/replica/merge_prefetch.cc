// SPDX-License-Identifier: Apache-2.0
#include "engine/replica/merge_prefetch.h"

#include <algorithm>
#include <array>

namespace dyno {
namespace {

struct Look {
  Slot* slot = nullptr;
  ReplicaSlot* replica_slot = nullptr;
  uint32_t position = 0;
  uint64_t key_hash = 0;
};

// Takes a varint's bytes off the front; 0 when there is none.
uint64_t take_varint(std::string_view* bytes) {
  constexpr unsigned kBits = 7;
  uint64_t value = 0;
  for (unsigned shift = 0; !bytes->empty() && shift < 64; shift += kBits) {
    auto byte = static_cast<uint8_t>(bytes->front());
    bytes->remove_prefix(1);
    value |= uint64_t{byte & 0x7fU} << shift;
    if (byte < 0x80) return value;
  }
  return 0;
}

// The grammar is that of delta.h; what is wrong with a frame merge() will find out.
bool look_at(Replica& replica, std::string_view frame, Look* look) {
  constexpr size_t kBeforeSize = 7;
  constexpr size_t kBeforeKey = 9;
  if (frame.size() < kBeforeSize + 1 + kBeforeKey) return false;
  frame.remove_prefix(kBeforeSize);
  take_varint(&frame);
  if (frame.size() < kBeforeKey) return false;
  auto db = static_cast<uint8_t>(frame.front());
  frame.remove_prefix(kBeforeKey);
  size_t size = take_varint(&frame);
  if (size == 0 || size > frame.size() || db >= ReplicaSlot::kDatabases) return false;
  std::string_view key = frame.substr(0, size);
  KeyHash hash = replica.keyspace().hash(key);
  look->slot = &replica.keyspace().slot(hash.slot());
  look->replica_slot = &replica.slot(hash.slot());
  look->position = position_in_slot(hash.inner, replica.keyspace().physical_db(db));
  look->key_hash = replica.hash().key(db, key);
  return true;
}

}  // namespace

void prefetch_merges(Replica& replica, std::span<const std::string_view> frames) {
  std::array<Look, kMergePrefetchMax> looks;
  size_t count = 0;
  for (std::string_view frame : frames.first(std::min(frames.size(), looks.size()))) {
    if (!look_at(replica, frame, &looks[count])) continue;
    __builtin_prefetch(looks[count].slot);
    __builtin_prefetch(looks[count].replica_slot);
    ++count;
  }
  for (const Look& look : std::span(looks).first(count)) {
    if (!look.slot->lock.try_lock()) continue;
    look.slot->table.prefetch_group(look.position);
    look.replica_slot->keys().prefetch(look.key_hash);
    look.slot->lock.unlock();
  }
  for (const Look& look : std::span(looks).first(count)) {
    if (!look.slot->lock.try_lock()) continue;
    look.slot->table.prefetch_node(look.position);
    look.replica_slot->keys().prefetch_block(look.key_hash);
    look.slot->lock.unlock();
  }
}

}  // namespace dyno

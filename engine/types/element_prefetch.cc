// SPDX-License-Identifier: Apache-2.0
#include "engine/types/element_prefetch.h"

#include <algorithm>

#include "engine/keyspace.h"
#include "engine/types/hash_fields.h"
#include "engine/types/set_members.h"
#include "engine/types/zset.h"

namespace dyno {
namespace {

template <class Table>
void prefetch_nodes(const Table& table, std::span<const uint32_t> positions) {
  for (uint32_t position : positions) table.prefetch_group(position);
  for (uint32_t position : positions) table.prefetch_node(position);
}

}  // namespace

void prefetch_elements(const Entry* entry, std::span<const std::string_view> elements) {
  if (entry->encoding() != Encoding::kLarge) return;
  if (entry->type() == Type::kString || entry->type() == Type::kList) return;
  uint32_t positions[kElementPrefetchMax];
  size_t count = std::min(elements.size(), kElementPrefetchMax);
  for (size_t i = 0; i < count; ++i) positions[i] = element_position(elements[i]);
  std::span<const uint32_t> wanted(positions, count);
  if (entry->type() == Type::kHash)
    return prefetch_nodes(entry->large<LargeHash>()->fields, wanted);
  if (entry->type() == Type::kSet) return prefetch_nodes(entry->large<LargeSet>()->members, wanted);
  prefetch_nodes(entry->large<LargeZSet>()->table, wanted);
}

}  // namespace dyno

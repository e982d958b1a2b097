// SPDX-License-Identifier: Apache-2.0
#include "engine/value.h"

#include "protocol/check.h"

namespace dyno {

const ValueOps& value_ops(Type type) {
  switch (type) {
    case Type::kString:
      return kStringOps;
    case Type::kList:
      return kListOps;
    case Type::kSet:
      return kSetOps;
    case Type::kZSet:
      return kZSetOps;
    case Type::kHash:
      return kHashOps;
  }
  DYNO_CHECK(!"an entry has one of the five types");
  __builtin_unreachable();
}

void destroy_entry(Entry* entry) {
  if (entry->encoding() == Encoding::kLarge) value_ops(entry).destroy(entry);
  memory::release(entry);
}

}  // namespace dyno

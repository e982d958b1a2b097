// SPDX-License-Identifier: Apache-2.0
#include "engine/entry.h"

#include <new>

#include "protocol/check.h"

namespace dyno {

std::string_view type_name(Type type) {
  static constexpr std::string_view kNames[kTypeCount] = {"string", "list", "set", "zset", "hash"};
  return kNames[static_cast<int>(type)];
}

Entry* Entry::make(Type type, Encoding encoding, int db, std::string_view key, bool has_deadline,
                   size_t value_bytes) {
  size_t bytes =
      sizeof(meta_) + varint_bytes(key.size()) + key.size() + (has_deadline ? 8 : 0) + value_bytes;
  Entry* entry = new (memory::allocate_tight(bytes)) Entry;
  entry->meta_ = static_cast<uint32_t>(type) | (static_cast<uint32_t>(encoding) << 3) |
                 (static_cast<uint32_t>(has_deadline) << 6) | (static_cast<uint32_t>(db) << 8);
  uint8_t* at = write_varint(entry->bytes(), key.size());
  if (!key.empty()) std::memcpy(at, key.data(), key.size());
  return entry;
}

Entry* Entry::make_like(const Entry* model, Type type, Encoding encoding, size_t value_bytes) {
  Entry* entry =
      make(type, encoding, model->db(), model->key(), model->has_deadline(), value_bytes);
  entry->set_clock(model->clock());
  entry->set_has_copy(model->has_copy());
  if (model->has_deadline()) entry->set_deadline(model->deadline());
  return entry;
}

Entry* Entry::resize_value(Entry* entry, size_t value_bytes, size_t kept_bytes) {
  size_t head = entry->head_bytes();
  size_t wanted = head + value_bytes;
  size_t usable = memory::usable_bytes(entry);
  if (wanted <= usable && memory::rounded_tight_bytes(wanted) * 2 > usable) return entry;
  void* moved = memory::allocate_tight(wanted);
  std::memcpy(moved, entry, head + kept_bytes);
  memory::release(entry);
  return static_cast<Entry*>(moved);
}

Entry* Entry::with_deadline(Entry* entry, bool has_deadline, size_t value_bytes) {
  DYNO_CHECK(entry->has_deadline() != has_deadline);
  Entry* moved =
      make(entry->type(), entry->encoding(), entry->db(), entry->key(), has_deadline, value_bytes);
  moved->set_clock(entry->clock());
  moved->set_has_copy(entry->has_copy());
  std::memcpy(moved->value(), entry->value(), value_bytes);
  memory::release(entry);
  return moved;
}

}  // namespace dyno

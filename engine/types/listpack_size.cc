// SPDX-License-Identifier: Apache-2.0
#include "engine/types/listpack_size.h"

#include <algorithm>

#include "protocol/number.h"

namespace dyno {
namespace {

// However many elements a node may have, it is at most this large.
constexpr size_t kListpackSafeBytes = 8192;

size_t listpack_item_bytes(size_t content) {
  size_t back = content <= 127        ? 1
                : content < 16383     ? 2
                : content < 2097151   ? 3
                : content < 268435455 ? 4
                                      : 5;
  return content + back;
}

size_t listpack_integer_bytes(int64_t value) {
  size_t content = 9;
  if (value >= 0 && value <= 127) {
    content = 1;
  } else if (value >= -4096 && value <= 4095) {
    content = 2;
  } else if (value == static_cast<int16_t>(value)) {
    content = 3;
  } else if (value >= -(1 << 23) && value < (1 << 23)) {
    content = 4;
  } else if (value == static_cast<int32_t>(value)) {
    content = 5;
  }
  return listpack_item_bytes(content);
}

size_t listpack_text_bytes(size_t size) {
  return listpack_item_bytes(size + (size < 64 ? 1 : size < 4096 ? 2 : 5));
}

}  // namespace

size_t listpack_bytes(std::string_view element) {
  int64_t integer;
  return is_canonical_int64(element, &integer) ? listpack_integer_bytes(integer)
                                               : listpack_text_bytes(element.size());
}

size_t listpack_bytes(const packed::Item& item) {
  return item.kind == packed::Item::Kind::kText ? listpack_text_bytes(item.text.size())
                                                : listpack_integer_bytes(item.integer);
}

ListpackLimit listpack_limit(int64_t setting) {
  if (setting >= 0) return {SIZE_MAX, static_cast<size_t>(std::max<int64_t>(setting, 1))};
  static constexpr size_t kBytes[] = {4096, 8192, 16384, 32768, 65536};
  return {kBytes[setting < -5 ? 4 : -setting - 1], SIZE_MAX};
}

bool exceeds_listpack(int64_t setting, size_t bytes, size_t count) {
  ListpackLimit limit = listpack_limit(setting);
  if (limit.bytes != SIZE_MAX) return bytes > limit.bytes;
  return bytes > kListpackSafeBytes || count > limit.count;
}

}  // namespace dyno

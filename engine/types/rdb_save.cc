// SPDX-License-Identifier: Apache-2.0
#include "engine/types/rdb_save.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "engine/types/hash.h"
#include "engine/types/list.h"
#include "engine/types/rdb_load.h"
#include "engine/types/set.h"
#include "engine/types/string.h"
#include "engine/types/zset.h"
#include "protocol/number.h"

namespace dyno {
namespace {

void put_number(std::string* out, uint64_t value, size_t bytes, bool big_endian) {
  for (size_t i = 0; i < bytes; ++i) {
    out->push_back(static_cast<char>(value >> (8 * (big_endian ? bytes - 1 - i : i))));
  }
}

void put_length(std::string* out, uint64_t length) {
  if (length < 64) {
    put_number(out, length, 1, true);
  } else if (length < 16384) {
    put_number(out, 0x4000 | length, 2, true);
  } else if (length <= UINT32_MAX) {
    out->push_back('\x80');
    put_number(out, length, 4, true);
  } else {
    out->push_back('\x81');
    put_number(out, length, 8, true);
  }
}

void put_text(std::string* out, std::string_view text) {
  int64_t integer;
  if (is_canonical_int64(text, &integer) && integer == static_cast<int32_t>(integer)) {
    // c0, c1, c2: one, two, four bytes.
    int code = integer == static_cast<int8_t>(integer)    ? 0
               : integer == static_cast<int16_t>(integer) ? 1
                                                          : 2;
    out->push_back(static_cast<char>(0xc0 + code));
    put_number(out, static_cast<uint64_t>(integer), size_t{1} << code, false);
    return;
  }
  put_length(out, text.size());
  out->append(text);
}

void put_item(std::string* out, const packed::Item& item) {
  packed::Item::Buffer buffer;
  put_text(out, item.view(&buffer));
}

void save_string(Key& key, std::string* out) {
  out->push_back(kRdbString);
  String::Buffer buffer;
  put_text(out, String(key).view(&buffer));
}

void save_list(Key& key, std::string* out) {
  out->push_back(kRdbList);
  List list(key);
  put_length(out, list.size());
  list.for_each(0, list.size(), [&](size_t, const packed::Item& item) {
    put_item(out, item);
    return true;
  });
}

void save_set(Key& key, std::string* out) {
  out->push_back(kRdbSet);
  Set set(key);
  put_length(out, set.size());
  set.members().for_each([&](const packed::Item& item) {
    put_item(out, item);
    return true;
  });
}

void save_zset(Key& key, std::string* out) {
  out->push_back(kRdbZSet);
  ZSetView set(key);
  put_length(out, set.size());
  // From the highest, as Redis does: a reader that inserts each at the front need not search.
  set.for_each(set.size() - 1, set.size(), true, [&](std::string_view member, double score) {
    put_text(out, member);
    put_number(out, std::bit_cast<uint64_t>(score), 8, false);
    return true;
  });
}

uint16_t save_hash(Key& key, std::string* out) {
  Hash hash(key);
  int64_t now_ms = key.context().now_ms;
  int64_t minimum = INT64_MAX;
  bool timed = false;
  hash.fields().for_each(now_ms, [&](const FieldView& field) {
    if (field.deadline_ms == kNoDeadline) return true;
    minimum = std::min(minimum, field.deadline_ms);
    timed = true;
    return true;
  });
  out->push_back(timed ? kRdbHashTimed : kRdbHash);
  if (timed) put_number(out, static_cast<uint64_t>(minimum), 8, false);
  put_length(out, hash.size());
  hash.fields().for_each(now_ms, [&](const FieldView& field) {
    bool has_deadline = field.deadline_ms != kNoDeadline;
    if (timed) {
      put_length(out, has_deadline ? static_cast<uint64_t>(field.deadline_ms - minimum) + 1 : 0);
    }
    put_item(out, field.field);
    put_item(out, field.value);
    return true;
  });
  return timed ? kRdbVersionTimed : kRdbVersion;
}

}  // namespace

uint16_t save_rdb_value(Key& key, std::string* out) {
  switch (key.type()) {
    case Type::kString:
      save_string(key, out);
      break;
    case Type::kList:
      save_list(key, out);
      break;
    case Type::kSet:
      save_set(key, out);
      break;
    case Type::kZSet:
      save_zset(key, out);
      break;
    case Type::kHash:
      return save_hash(key, out);
  }
  return kRdbVersion;
}

}  // namespace dyno

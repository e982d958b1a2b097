// SPDX-License-Identifier: Apache-2.0
#include "engine/types/rdb_load.h"

#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <unordered_set>

#include "engine/types/lzf.h"
#include "engine/types/rdb_blob.h"
#include "protocol/number.h"

namespace dyno {
namespace {

class Loader {
 public:
  Loader(std::string_view object, uint64_t string_bytes_max)
      : rest_(object), string_bytes_max_(string_bytes_max) {}

  [[nodiscard]] std::optional<RdbValue> load() {
    uint64_t type;
    if (!number(1, false, &type) || !body(static_cast<uint8_t>(type))) return std::nullopt;
    if (!rest_.empty() || value_.elements.empty()) return std::nullopt;
    if (value_.type == Type::kHash && value_.elements.size() % 2 != 0) return std::nullopt;
    if (!distinct()) return std::nullopt;
    return std::move(value_);
  }

 private:
  // --- Parts

  bool take(uint64_t size, std::string_view* bytes) {
    if (size > rest_.size()) return false;
    *bytes = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return true;
  }

  bool number(size_t size, bool big_endian, uint64_t* value) {
    std::string_view bytes;
    if (!take(size, &bytes)) return false;
    *value = 0;
    for (size_t i = 0; i < size; ++i) {
      uint64_t byte = static_cast<uint8_t>(bytes[big_endian ? size - 1 - i : i]);
      *value |= byte << (8 * i);
    }
    return true;
  }

  // `special` tells one of the string encodings, whose number is then the length.
  bool length(uint64_t* length, bool* special) {
    uint64_t head;
    if (!number(1, false, &head)) return false;
    *special = false;
    uint64_t low = head & 0x3f;
    switch (head >> 6) {
      case 0:
        *length = low;
        return true;
      case 1:
        if (!number(1, false, length)) return false;
        *length |= low << 8;
        return true;
      case 2:
        return low <= 1 && number(low == 0 ? 4 : 8, true, length);
      default:
        *special = true;
        *length = low;
        return true;
    }
  }
  bool plain_length(uint64_t* value) {
    bool special;
    return length(value, &special) && !special;
  }

  std::string_view keep(std::string text) { return value_.texts.emplace_back(std::move(text)); }
  std::string_view keep(int64_t integer) {
    std::string text;
    append_int64(text, integer);
    return keep(std::move(text));
  }

  bool string(std::string_view* text) {
    uint64_t size;
    bool special;
    if (!length(&size, &special)) return false;
    if (!special) return size <= string_bytes_max_ && take(size, text);
    if (size <= 2) {
      size_t bytes = size_t{1} << size;
      uint64_t raw;
      if (!number(bytes, false, &raw)) return false;
      size_t unused = 64 - 8 * bytes;
      *text = keep(static_cast<int64_t>(raw << unused) >> unused);
      return true;
    }
    uint64_t packed_size;
    uint64_t full_size;
    std::string_view packed;
    if (size != 3 || !plain_length(&packed_size) || !plain_length(&full_size)) return false;
    if (full_size > string_bytes_max_ || !take(packed_size, &packed)) return false;
    auto full = decompress_lzf(packed, full_size);
    if (!full) return false;
    *text = keep(std::move(*full));
    return true;
  }

  bool add_string() {
    std::string_view text;
    if (!string(&text)) return false;
    value_.elements.push_back(text);
    return true;
  }
  void add_item(const BlobItem& item) {
    value_.elements.push_back(item.is_integer ? keep(item.integer) : item.text);
  }

  bool add_score(double score) {
    value_.scores.push_back(score);
    return !std::isnan(score);
  }
  bool add_score_text(std::string_view text) {
    std::string terminated(text);
    char* end;
    double score = std::strtod(terminated.c_str(), &end);
    return !text.empty() && end == terminated.c_str() + terminated.size() && add_score(score);
  }

  // --- Bodies

  bool body(uint8_t type) {
    switch (type) {
      case kRdbString:
        value_.type = Type::kString;
        return add_string();
      case kRdbList:
        return strings(Type::kList, 1);
      case kRdbSet:
        return strings(Type::kSet, 1);
      case kRdbHash:
        return strings(Type::kHash, 2);
      case kRdbZSetText:
      case kRdbZSet:
        return scored_strings(type == kRdbZSet);
      case kRdbListZiplist:
        return blob(Type::kList, read_ziplist);
      case kRdbSetIntset:
        return blob(Type::kSet, read_intset);
      case kRdbZSetZiplist:
        return blob(Type::kZSet, read_ziplist) && part_scores();
      case kRdbHashZiplist:
        return blob(Type::kHash, read_ziplist);
      case kRdbHashListpack:
        return blob(Type::kHash, read_listpack);
      case kRdbZSetListpack:
        return blob(Type::kZSet, read_listpack) && part_scores();
      case kRdbSetListpack:
        return blob(Type::kSet, read_listpack);
      case kRdbQuicklist:
      case kRdbQuicklist2:
        return quicklist(type == kRdbQuicklist2);
      case kRdbHashTimed:
        return timed_hash();
      default:
        return false;
    }
  }

  bool strings(Type type, uint64_t per_element) {
    value_.type = type;
    uint64_t count;
    if (!plain_length(&count) || count > rest_.size()) return false;
    for (uint64_t i = 0; i < count * per_element; ++i) {
      if (!add_string()) return false;
    }
    return true;
  }

  bool scored_strings(bool binary) {
    value_.type = Type::kZSet;
    uint64_t count;
    if (!plain_length(&count) || count > rest_.size()) return false;
    for (uint64_t i = 0; i < count; ++i) {
      if (!add_string() || !(binary ? binary_score() : text_score())) return false;
    }
    return true;
  }
  bool binary_score() {
    uint64_t raw;
    double score;
    if (!number(8, false, &raw)) return false;
    std::memcpy(&score, &raw, sizeof(score));
    return add_score(score);
  }
  bool text_score() {
    uint64_t size;
    std::string_view text;
    if (!number(1, false, &size)) return false;
    if (size >= 253) {
      if (size == 253) return false;
      return add_score(size == 254 ? HUGE_VAL : -HUGE_VAL);
    }
    return take(size, &text) && add_score_text(text);
  }

  bool blob(Type type, bool (*read)(std::string_view, const VisitBlobItem&)) {
    value_.type = type;
    std::string_view bytes;
    return string(&bytes) && read(bytes, [&](const BlobItem& item) { add_item(item); });
  }

  // Elements are members and scores in turn: keeps the members.
  bool part_scores() {
    auto& elements = value_.elements;
    if (elements.size() % 2 != 0) return false;
    for (size_t i = 0; i < elements.size() / 2; ++i) {
      if (!add_score_text(elements[2 * i + 1])) return false;
      elements[i] = elements[2 * i];
    }
    elements.resize(elements.size() / 2);
    return true;
  }

  bool quicklist(bool has_containers) {
    value_.type = Type::kList;
    uint64_t count;
    if (!plain_length(&count) || count > rest_.size()) return false;
    for (uint64_t i = 0; i < count; ++i) {
      uint64_t container = 2;
      if (has_containers && !plain_length(&container)) return false;
      if (container == 1) {
        if (!add_string()) return false;
      } else if (container != 2 ||
                 !blob(Type::kList, has_containers ? read_listpack : read_ziplist)) {
        return false;
      }
    }
    return true;
  }

  bool timed_hash() {
    value_.type = Type::kHash;
    uint64_t minimum;
    uint64_t count;
    if (!number(8, false, &minimum) || !plain_length(&count) || count > rest_.size()) return false;
    constexpr uint64_t kLatest = INT64_MAX;
    if (minimum > kLatest) return false;
    for (uint64_t i = 0; i < count; ++i) {
      uint64_t ttl;
      if (!plain_length(&ttl) || ttl > kLatest - minimum) return false;
      value_.deadlines_ms.push_back(ttl == 0 ? -1 : static_cast<int64_t>(minimum + ttl - 1));
      if (!add_string() || !add_string()) return false;
    }
    return true;
  }

  bool distinct() const {
    if (value_.type == Type::kString || value_.type == Type::kList) return true;
    size_t step = value_.type == Type::kHash ? 2 : 1;
    std::unordered_set<std::string_view> seen;
    seen.reserve(value_.elements.size() / step);
    for (size_t i = 0; i < value_.elements.size(); i += step) {
      if (!seen.insert(value_.elements[i]).second) return false;
    }
    return true;
  }

  std::string_view rest_;
  uint64_t string_bytes_max_;
  RdbValue value_;
};

}  // namespace

std::optional<RdbValue> load_rdb_value(std::string_view object, uint64_t string_bytes_max) {
  return Loader(object, string_bytes_max).load();
}

}  // namespace dyno

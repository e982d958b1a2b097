// SPDX-License-Identifier: Apache-2.0
#include "engine/types/rdb_blob.h"

#include <cstring>

namespace dyno {
namespace {

constexpr uint8_t kEnd = 0xff;
constexpr uint32_t kCountUnknown = 65535;

// Takes bytes from the front; false when there are not as many.
class Bytes {
 public:
  explicit Bytes(std::string_view all) : all_(all) {}

  [[nodiscard]] size_t offset() const { return at_; }
  [[nodiscard]] size_t left() const { return all_.size() - at_; }
  [[nodiscard]] bool peek(uint8_t* byte) const {
    if (left() == 0) return false;
    *byte = static_cast<uint8_t>(all_[at_]);
    return true;
  }
  [[nodiscard]] bool text(uint64_t size, std::string_view* text) {
    if (size > left()) return false;
    *text = all_.substr(at_, size);
    at_ += size;
    return true;
  }
  // A little endian unsigned number of 1 to 8 bytes.
  [[nodiscard]] bool number(size_t bytes, uint64_t* value) {
    if (bytes > left()) return false;
    *value = 0;
    std::memcpy(value, all_.data() + at_, bytes);
    at_ += bytes;
    return true;
  }
  [[nodiscard]] bool integer(size_t bytes, int64_t* value) {
    uint64_t raw;
    if (!number(bytes, &raw)) return false;
    size_t unused = 64 - 8 * bytes;
    *value = static_cast<int64_t>(raw << unused) >> unused;
    return true;
  }
  [[nodiscard]] bool big_endian(size_t bytes, uint64_t* value) {
    *value = 0;
    for (; bytes > 0; --bytes) {
      uint64_t byte;
      if (!number(1, &byte)) return false;
      *value = (*value << 8) | byte;
    }
    return true;
  }

 private:
  std::string_view all_;
  size_t at_ = 0;
};

bool read_integer_item(Bytes* bytes, size_t width, BlobItem* item) {
  item->is_integer = true;
  return bytes->integer(width, &item->integer);
}

// A listpack item without its back-length.
bool read_listpack_item(Bytes* bytes, BlobItem* item) {
  uint64_t head;
  if (!bytes->number(1, &head)) return false;
  uint64_t more = 0;
  if (head < 0x80) {
    item->is_integer = true;
    item->integer = static_cast<int64_t>(head);
    return true;
  }
  if (head < 0xc0) return bytes->text(head & 0x3f, &item->text);
  if (head < 0xe0) {
    if (!bytes->number(1, &more)) return false;
    auto value = static_cast<int64_t>(((head & 0x1f) << 8) | more);
    item->is_integer = true;
    item->integer = value < 4096 ? value : value - 8192;
    return true;
  }
  if (head < 0xf0) {
    return bytes->number(1, &more) && bytes->text(((head & 0x0f) << 8) | more, &item->text);
  }
  switch (head) {
    case 0xf0:
      return bytes->number(4, &more) && bytes->text(more, &item->text);
    case 0xf1:
      return read_integer_item(bytes, 2, item);
    case 0xf2:
      return read_integer_item(bytes, 3, item);
    case 0xf3:
      return read_integer_item(bytes, 4, item);
    case 0xf4:
      return read_integer_item(bytes, 8, item);
    default:
      return false;
  }
}

// The size of the item before it, seven bits a byte, high ones first; all but the first byte have
// their top bit set.
bool check_back_length(Bytes* bytes, uint64_t size) {
  size_t width = size <= 127 ? 1 : size < 16383 ? 2 : size < 2097151 ? 3 : size < 268435455 ? 4 : 5;
  for (size_t i = 0; i < width; ++i) {
    uint64_t byte;
    if (!bytes->number(1, &byte)) return false;
    uint64_t wanted = (size >> (7 * (width - 1 - i))) & 127;
    if (i > 0) wanted |= 128;
    if (byte != wanted) return false;
  }
  return true;
}

// The byte that ends a listpack or ziplist, and what its header says of the items.
bool check_end(Bytes* bytes, uint64_t count, uint64_t said) {
  uint64_t end;
  if (!bytes->number(1, &end) || end != kEnd || bytes->left() != 0) return false;
  return said == kCountUnknown || said == count;
}

bool read_ziplist_item(Bytes* bytes, BlobItem* item) {
  uint64_t head;
  if (!bytes->number(1, &head)) return false;
  uint64_t more = 0;
  if (head < 0x40) return bytes->text(head, &item->text);
  if (head < 0x80) {
    return bytes->number(1, &more) && bytes->text(((head & 0x3f) << 8) | more, &item->text);
  }
  if (head < 0xc0) {
    return head == 0x80 && bytes->big_endian(4, &more) && bytes->text(more, &item->text);
  }
  switch (head) {
    case 0xc0:
      return read_integer_item(bytes, 2, item);
    case 0xd0:
      return read_integer_item(bytes, 4, item);
    case 0xe0:
      return read_integer_item(bytes, 8, item);
    case 0xf0:
      return read_integer_item(bytes, 3, item);
    case 0xfe:
      return read_integer_item(bytes, 1, item);
    default:
      if (head < 0xf1 || head > 0xfd) return false;
      item->is_integer = true;
      item->integer = static_cast<int64_t>(head - 0xf1);
      return true;
  }
}

}  // namespace

bool read_listpack(std::string_view blob, const VisitBlobItem& visit) {
  Bytes bytes(blob);
  uint64_t total;
  uint64_t said;
  if (!bytes.number(4, &total) || !bytes.number(2, &said) || total != blob.size()) return false;
  uint64_t count = 0;
  uint8_t head;
  for (; bytes.peek(&head) && head != kEnd; ++count) {
    BlobItem item;
    size_t start = bytes.offset();
    if (!read_listpack_item(&bytes, &item)) return false;
    if (!check_back_length(&bytes, bytes.offset() - start)) return false;
    visit(item);
  }
  return check_end(&bytes, count, said);
}

bool read_ziplist(std::string_view blob, const VisitBlobItem& visit) {
  Bytes bytes(blob);
  uint64_t total;
  uint64_t tail;
  uint64_t said;
  if (!bytes.number(4, &total) || !bytes.number(4, &tail) || !bytes.number(2, &said)) return false;
  if (total != blob.size()) return false;
  uint64_t count = 0;
  uint64_t previous = 0;
  size_t last = bytes.offset();
  uint8_t head;
  for (; bytes.peek(&head) && head != kEnd; ++count) {
    BlobItem item;
    last = bytes.offset();
    uint64_t said_previous;
    if (!bytes.number(1, &said_previous)) return false;
    if (said_previous == 0xfe && !bytes.number(4, &said_previous)) return false;
    if (said_previous != previous || !read_ziplist_item(&bytes, &item)) return false;
    previous = bytes.offset() - last;
    visit(item);
  }
  return tail == last && check_end(&bytes, count, said);
}

bool read_intset(std::string_view blob, const VisitBlobItem& visit) {
  Bytes bytes(blob);
  uint64_t width;
  uint64_t count;
  if (!bytes.number(4, &width) || !bytes.number(4, &count)) return false;
  if ((width != 2 && width != 4 && width != 8) || bytes.left() != width * count) return false;
  BlobItem item;
  item.is_integer = true;
  for (uint64_t i = 0; i < count; ++i) {
    int64_t before = item.integer;
    if (!bytes.integer(width, &item.integer)) return false;
    if (i > 0 && item.integer <= before) return false;
    visit(item);
  }
  return true;
}

}  // namespace dyno

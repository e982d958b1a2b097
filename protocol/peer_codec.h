// SPDX-License-Identifier: Apache-2.0
//
// The two sides of the visit() of a message's struct (peer_message.h): one writes the fields that
// it is shown, one reads them. The reader refuses counts and sizes that the bytes at hand cannot
// hold before it allocates anything for them.
#pragma once

#include <bit>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "protocol/peer_message.h"

namespace dyno {

static_assert(std::endian::native == std::endian::little);

class BodyWriter {
 public:
  explicit BodyWriter(std::string* out) : out_(out) {}

  template <class... Fields>
  void operator()(Fields&... fields) {
    (write(fields), ...);
  }

 private:
  template <class Number>
  requires std::is_arithmetic_v<Number>
  void write(Number number) { out_->append(reinterpret_cast<const char*>(&number), sizeof number); }
  void write(bool flag) { out_->push_back(flag ? 1 : 0); }
  void write(std::string_view bytes) {
    write(static_cast<uint32_t>(bytes.size()));
    out_->append(bytes);
  }
  template <class Item>
  void write(std::vector<Item>& items) {
    write(static_cast<uint32_t>(items.size()));
    for (Item& item : items) write(item);
  }
  template <class Body>
  requires std::is_class_v<Body>
  void write(Body& body) { body.visit(*this); }

  std::string* out_;
};

class BodyReader {
 public:
  explicit BodyReader(std::string_view bytes) : rest_(bytes) {}

  template <class... Fields>
  void operator()(Fields&... fields) {
    (read(fields), ...);
  }
  // True when all fields were there and nothing follows but extensions that may be passed over.
  [[nodiscard]] bool finish() {
    constexpr uint8_t kSkippedTags = 128;
    while (good_ && !rest_.empty()) {
      uint8_t tag = 0;
      std::string_view value;
      (*this)(tag, value);
      if (tag < kSkippedTags) good_ = false;
    }
    return good_;
  }

 private:
  template <class Number>
  requires std::is_arithmetic_v<Number>
  void read(Number& number) {
    if (!has(sizeof number)) return;
    std::memcpy(&number, rest_.data(), sizeof number);
    rest_.remove_prefix(sizeof number);
  }
  void read(bool& flag) {
    uint8_t byte = 0;
    read(byte);
    if (byte > 1) good_ = false;
    flag = byte == 1;
  }
  void read(std::string_view& bytes) {
    uint32_t size = 0;
    read(size);
    if (!has(size)) return;
    bytes = rest_.substr(0, size);
    rest_.remove_prefix(size);
  }
  template <class Item>
  void read(std::vector<Item>& items) {
    uint32_t count = 0;
    read(count);
    // An item takes at least a byte, numbers as many as they have.
    size_t least = 1;
    if constexpr (std::is_arithmetic_v<Item>) least = sizeof(Item);
    if (!good_ || count > rest_.size() / least) {
      good_ = false;
      return;
    }
    items.clear();
    for (uint32_t i = 0; i < count && good_; ++i) read(items.emplace_back());
  }
  template <class Body>
  requires(std::is_class_v<Body>) void read(Body& body) { body.visit(*this); }

  bool has(size_t size) {
    good_ = good_ && rest_.size() >= size;
    return good_;
  }

  std::string_view rest_;
  bool good_ = true;
};

template <class Body>
void write_message(MessageKind kind, uint64_t id, Body& body, std::string* out) {
  size_t start = out->size();
  out->resize(start + kMessageHeadBytes);
  BodyWriter writer(out);
  body.visit(writer);
  if (out->size() - start - kMessageHeadBytes <= kMessageBytesMax) {
    return finish_message(kind, 0, id, start, out);
  }
  std::string bytes = out->substr(start + kMessageHeadBytes);
  out->resize(start);
  std::string_view rest = bytes;
  while (rest.size() > kMessageBytesMax) {
    write_message_bytes(kind, kMore, id, rest.substr(0, kMessageBytesMax), out);
    rest.remove_prefix(kMessageBytesMax);
  }
  write_message_bytes(kind, 0, id, rest, out);
}

template <class Body>
bool read_body(std::string_view bytes, Body* body) {
  BodyReader reader(bytes);
  body->visit(reader);
  return reader.finish();
}

}  // namespace dyno

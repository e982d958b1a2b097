// SPDX-License-Identifier: Apache-2.0
//
// A growing run of bytes that is filled at the end and taken from the front: what a connection has
// read or is about to write. Bytes are never zeroed before they are written.
#pragma once

#include <cstdlib>
#include <cstring>
#include <string_view>

#include "protocol/check.h"

namespace dyno {

class ByteBuffer {
 public:
  ByteBuffer() = default;
  ~ByteBuffer() { std::free(data_); }
  ByteBuffer(const ByteBuffer&) = delete;
  ByteBuffer& operator=(const ByteBuffer&) = delete;
  ByteBuffer(ByteBuffer&& other) noexcept { swap(other); }
  ByteBuffer& operator=(ByteBuffer&& other) noexcept {
    swap(other);
    return *this;
  }

  [[nodiscard]] size_t size() const { return end_ - begin_; }
  [[nodiscard]] bool empty() const { return end_ == begin_; }
  [[nodiscard]] size_t capacity() const { return capacity_; }
  [[nodiscard]] char* data() { return data_ + begin_; }
  [[nodiscard]] std::string_view view() const { return {data_ + begin_, size()}; }

  // Room for `size` more bytes, to be written at the returned place and then committed.
  char* reserve(size_t size) {
    if (capacity_ - end_ < size) [[unlikely]]
      grow(size);
    return data_ + end_;
  }
  [[nodiscard]] size_t room() const { return capacity_ - end_; }
  void commit(size_t size) { end_ += size; }

  void append(const void* bytes, size_t size) {
    if (size == 0) return;  // An empty view may point nowhere.
    std::memcpy(reserve(size), bytes, size);
    end_ += size;
  }
  void append(std::string_view bytes) { append(bytes.data(), bytes.size()); }
  void push_back(char byte) {
    *reserve(1) = byte;
    ++end_;
  }

  // Inserts at `offset` from the front, moving what follows.
  void insert(size_t offset, std::string_view bytes) {
    if (bytes.empty()) return;
    reserve(bytes.size());
    char* at = data() + offset;
    std::memmove(at + bytes.size(), at, size() - offset);
    std::memcpy(at, bytes.data(), bytes.size());
    end_ += bytes.size();
  }

  void consume(size_t size) {
    begin_ += size;
    if (begin_ == end_) begin_ = end_ = 0;
  }
  void truncate(size_t size) { end_ = begin_ + size; }
  void clear() { begin_ = end_ = 0; }
  // Gives the memory back when empty and larger than `kept` bytes.
  void shrink(size_t kept) {
    if (empty() && capacity_ > kept) {
      std::free(data_);
      data_ = nullptr;
      begin_ = end_ = capacity_ = 0;
    }
  }
  void swap(ByteBuffer& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(begin_, other.begin_);
    std::swap(end_, other.end_);
    std::swap(capacity_, other.capacity_);
  }

 private:
  void grow(size_t size) {
    if (begin_ >= size && begin_ >= this->size()) {
      std::memmove(data_, data_ + begin_, this->size());
    } else {
      size_t wanted = this->size() + size;
      size_t capacity = capacity_ < 2048 ? 4096 : capacity_ * 2;
      if (capacity < wanted) capacity = wanted;
      char* moved = static_cast<char*>(std::malloc(capacity));
      DYNO_CHECK(moved != nullptr);
      if (data_ != nullptr) std::memcpy(moved, data_ + begin_, this->size());
      std::free(data_);
      data_ = moved;
      capacity_ = capacity;
    }
    end_ -= begin_;
    begin_ = 0;
  }

  char* data_ = nullptr;
  size_t begin_ = 0;
  size_t end_ = 0;
  size_t capacity_ = 0;
};

}  // namespace dyno

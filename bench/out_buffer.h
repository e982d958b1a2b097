// SPDX-License-Identifier: Apache-2.0
// Bytes waiting to be sent: a growing flat buffer that is appended to at the back and consumed from
// the front.
#pragma once

#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>

namespace dyno::bench {

class OutBuffer {
 public:
  /// Room for `bytes` more behind the end; commit() what was written there.
  char* room(size_t bytes) {
    if (end_ + bytes > capacity_) grow(bytes);
    return data_.get() + end_;
  }
  void commit(size_t bytes) { end_ += bytes; }
  void append(std::string_view text) {
    std::memcpy(room(text.size()), text.data(), text.size());
    end_ += text.size();
  }

  const char* data() const { return data_.get() + begin_; }
  size_t size() const { return end_ - begin_; }
  bool empty() const { return begin_ == end_; }
  void consume(size_t bytes) {
    begin_ += bytes;
    if (begin_ == end_) begin_ = end_ = 0;
  }
  void clear() { begin_ = end_ = 0; }

 private:
  void grow(size_t bytes) {
    const size_t used = size();
    size_t capacity = capacity_ == 0 ? 4096 : capacity_;
    while (capacity < used + bytes) capacity *= 2;
    std::unique_ptr<char[]> larger(new char[capacity]);
    if (used > 0) std::memcpy(larger.get(), data(), used);
    data_ = std::move(larger);
    capacity_ = capacity;
    begin_ = 0;
    end_ = used;
  }

  std::unique_ptr<char[]> data_;
  size_t begin_ = 0;
  size_t end_ = 0;
  size_t capacity_ = 0;
};

}  // namespace dyno::bench

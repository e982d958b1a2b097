// SPDX-License-Identifier: Apache-2.0
//
// Replies as clients read them, in the version of RESP that the connection speaks. A command says
// what it answers (a map, a double, nothing); this class knows how RESP2 and RESP3 write that.
#pragma once

#include <cstdint>
#include <string_view>

#include "protocol/byte_buffer.h"

namespace dyno {

// Appends to a buffer that it does not own. Aggregates announce their size first and are followed
// by that many elements (a map: twice as many). Not thread-safe.
class Reply {
 public:
  explicit Reply(ByteBuffer* out, int version = 2) : out_(out), version_(version) {}

  [[nodiscard]] int version() const { return version_; }
  void set_version(int version) { version_ = version; }
  [[nodiscard]] ByteBuffer& buffer() { return *out_; }
  // Sends what follows to another buffer; for a reply that is written on another's behalf.
  void redirect(ByteBuffer* out) { out_ = out; }

  void ok() { out_->append("+OK\r\n", 5); }
  void simple(std::string_view text);
  // `text` starts with its code ("ERR ...", "WRONGTYPE ..."); line ends inside become spaces.
  void error(std::string_view text);
  void integer(int64_t value);
  void boolean(bool value) {
    version_ == 3 ? out_->append(value ? "#t\r\n" : "#f\r\n") : integer(value);
  }
  void bulk(std::string_view bytes);
  void bulk_int(int64_t value);
  // A double: RESP3 has a type of its own, RESP2 gets a bulk string.
  void number(double value);
  // A text for people; RESP3 marks it as such with `format` ("txt", "mkd").
  void verbatim(std::string_view text, std::string_view format = "txt");
  // "No value" where a value could be.
  void null() { out_->append(version_ == 3 ? "_\r\n" : "$-1\r\n"); }
  // "No value" where an array could be.
  void null_array() { out_->append(version_ == 3 ? "_\r\n" : "*-1\r\n"); }
  void array(size_t count) { header('*', count); }
  void map(size_t pairs) { version_ == 3 ? header('%', pairs) : header('*', pairs * 2); }
  void set(size_t count) { header(version_ == 3 ? '~' : '*', count); }
  void push(size_t count) { header(version_ == 3 ? '>' : '*', count); }

  // For aggregates whose size is known only at their end: begin, write the elements, finish.
  [[nodiscard]] size_t begin() const { return out_->size(); }
  void finish_array(size_t begun, size_t count) { finish(begun, '*', count); }
  void finish_set(size_t begun, size_t count) { finish(begun, version_ == 3 ? '~' : '*', count); }
  void finish_map(size_t begun, size_t pairs) {
    version_ == 3 ? finish(begun, '%', pairs) : finish(begun, '*', pairs * 2);
  }
  // Takes back everything written since begin().
  void rewind(size_t begun) { out_->truncate(begun); }
  // Bytes already written in some version.
  void raw(std::string_view bytes) { out_->append(bytes); }

 private:
  void header(char type, uint64_t count);
  void finish(size_t begun, char type, uint64_t count);

  ByteBuffer* out_;
  int version_;
};

}  // namespace dyno

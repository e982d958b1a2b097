// SPDX-License-Identifier: Apache-2.0
//
// Requests as clients send them: RESP arrays of bulk strings, or one inline line.
//
//   request := "*" count CRLF { "$" size CRLF byte[size] CRLF } | word { " " word } LF
//
// The parser never copies: arguments are views into the caller's buffer. It keeps its place inside
// an incomplete request, so that a request of many arguments arriving in small pieces is scanned
// once. Memory is bounded by what has arrived, never by what a length announces.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace dyno {

struct RequestLimits {
  // Largest bulk string accepted, in bytes (proto-max-bulk-len).
  int64_t bulk_bytes_max = 512 * 1024 * 1024;
  // Before authentication requests are kept so small that an unknown client can cost no memory.
  bool authenticated = true;
};

// Not thread-safe; one per connection.
class RequestParser {
 public:
  enum class Status {
    kRequest,     // args() and size() describe one request; empty args mean "nothing to do".
    kIncomplete,  // More bytes are needed; call again with the same start and more behind it.
    kError,       // error() says what; the connection is to be closed after the reply.
  };

  // `unread` starts at the first byte of a request. The start may move in memory between calls, but
  // must keep denoting the same byte until a request is returned and next() is called.
  [[nodiscard]] Status parse(std::string_view unread, const RequestLimits& limits);

  // The arguments of the request returned last; valid until the buffer moves or next().
  [[nodiscard]] std::span<const std::string_view> args() const { return args_; }
  // The arguments are held by the parser and are overwritten by the next inline request.
  [[nodiscard]] bool is_inline() const { return args_left_ < 0; }
  // Bytes that the request occupies.
  [[nodiscard]] size_t size() const { return at_; }
  // "Protocol error: ..." without prefix and line end.
  [[nodiscard]] const std::string& error() const { return error_; }
  // A lower bound of the bytes that complete the request, so that a large value is read in one go.
  [[nodiscard]] size_t size_wanted() const { return wanted_; }
  // Bytes held by the parser itself.
  [[nodiscard]] size_t memory_bytes() const {
    return args_.capacity() * sizeof(std::string_view) + places_.capacity() * sizeof(Place);
  }

  // Forgets the request; the next parse starts afresh.
  void next();

 private:
  struct Place {
    size_t offset;
    size_t size;
  };
  enum class Line { kOk, kIncomplete, kTooLong, kBad };

  bool parse_whole(std::string_view unread, const RequestLimits& limits);
  Status parse_multibulk(std::string_view unread, const RequestLimits& limits);
  Status parse_inline(std::string_view unread);
  // Reads the number between `at_` + 1 and the next CR LF; moves at_ behind the line on kOk.
  Line read_length(std::string_view unread, int64_t* value);
  Status fail(std::string text);

  std::vector<std::string_view> args_;
  std::vector<Place> places_;  // Arguments complete so far while the request is incomplete.
  std::string unquoted_;       // Holds the bytes of inline arguments, which may be escaped.
  std::string error_;
  size_t at_ = 0;
  size_t wanted_ = 0;
  int64_t args_left_ = -1;  // -1: the request's first line has not been read.
  int64_t bulk_size_ = -1;  // -1: the next argument's length has not been read.
};

// Splits a line as Redis splits inline requests: words separated by spaces, with "..." (escapes
// \n \r \t \b \a \xHH) and '...' (escape \'). False when quotes are unbalanced.
[[nodiscard]] bool split_words(std::string_view line, std::vector<std::string>* words);

}  // namespace dyno

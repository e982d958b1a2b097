// SPDX-License-Identifier: Apache-2.0
// An incremental parser of RESP2 and RESP3 replies that allocates nothing on the hot path.
//
// It streams: bytes are consumed as they come, whatever the size of the reply, so that one receive
// buffer serves all connections of a thread. A reply that lies whole in the bytes given is returned
// as a view into them; one that is split is put together only as far as `capture_max` says (the
// text of errors and simple strings always is, up to 512 bytes). Of an aggregate the parser keeps
// its kind, its element count, whether an element was an error, and its leaf texts when a `leaves`
// list was given.
//
// Any byte sequence is safe: what is not RESP yields kGarbage, and the parser must then be reset.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace dyno::bench {

enum class ReplyKind : uint8_t {
  kSimple,
  kError,
  kInteger,
  kBulk,
  kNull,
  kArray,
  kMap,
  kSet,
  kDouble,
  kBoolean,
  kBigNumber,
  kPush,
};

struct Reply {
  ReplyKind kind = ReplyKind::kNull;
  bool nested_error = false;  // an aggregate with an error among its elements
  bool whole = true;          // text holds all of the payload
  int64_t count = 0;          // integer value, bulk length, or number of elements
  std::string_view text;      // payload; valid until the next call or until the input is reused
};

class ReplyParser {
 public:
  enum class Status { kReply, kMore, kGarbage };

  /// Consumes from `at` up to `end`. kReply: `reply` is set and `at` is behind it. kMore: all
  /// consumed.
  Status next(const char*& at, const char* end, Reply& reply);

  /// How much of a split bulk reply to put together (0: none of it).
  void capture(size_t capture_max) { capture_max_ = capture_max; }
  /// Where to append the leaves of aggregates (bulk, simple and number texts; errors and nulls as
  /// empty).
  void collect(std::vector<std::string>* leaves) { leaves_ = leaves; }
  void reset();
  bool idle() const { return state_ == State::kHeader && (line_.empty() || held_) && depth_ == 0; }

 private:
  enum class State : uint8_t { kHeader, kBody, kTail };
  static constexpr size_t kLineMax = 512;
  static constexpr size_t kDepthMax = 32;

  bool take_line(const char*& at, const char* end, std::string_view& line, bool& complete);
  Status header(std::string_view line, Reply& reply, bool& finished);
  Status open(char mark, int64_t count, Reply& reply, bool& finished);
  bool close_element();
  void leaf(std::string_view text);

  State state_ = State::kHeader;
  bool error_body_ = false;  // the body belongs to a blob error
  bool cut_ = false;         // the body was not kept whole
  uint8_t tail_seen_ = 0;
  size_t depth_ = 0;
  bool attribute_ = false;  // the aggregate at the bottom is an attribute: a reply follows it
  int64_t body_left_ = 0;
  size_t capture_max_ = 0;
  bool held_ = false;  // line_ holds a text that was handed out, not an unfinished line
  char last_ = 0;      // the last byte of the unfinished line, kept or not
  Reply top_;
  std::array<int64_t, kDepthMax> left_{};
  std::string line_;  // an unfinished header line, later the text of a finished one
  std::string body_;
  std::vector<std::string>* leaves_ = nullptr;
};

}  // namespace dyno::bench

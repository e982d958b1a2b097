// SPDX-License-Identifier: Apache-2.0
#include "protocol/resp_request.h"

#include <algorithm>
#include <cctype>
#include <climits>
#include <cstring>

#include "protocol/number.h"

namespace dyno {
namespace {

constexpr size_t kInlineBytesMax = 64 * 1024;
constexpr int64_t kUnauthenticatedArgsMax = 10;
constexpr int64_t kUnauthenticatedBulkBytesMax = 16 * 1024;
// A vector that once held a huge request is given back rather than kept for the connection's life.
constexpr size_t kArgsKeptMax = 1024;

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

// Reads a "..." word whose opening quote is at line[at - 1]; `at` ends behind the closing one.
bool read_double_quoted(std::string_view line, size_t& at, std::string* word) {
  while (at < line.size()) {
    char c = line[at];
    if (c == '"') {
      ++at;
      return at == line.size() || is_space(line[at]);
    }
    if (c == '\\' && at + 3 < line.size() && line[at + 1] == 'x' && hex_value(line[at + 2]) >= 0 &&
        hex_value(line[at + 3]) >= 0) {
      word->push_back(static_cast<char>(hex_value(line[at + 2]) * 16 + hex_value(line[at + 3])));
      at += 4;
      continue;
    }
    if (c == '\\' && at + 1 < line.size()) {
      char escaped = line[at + 1];
      switch (escaped) {
        case 'n':
          escaped = '\n';
          break;
        case 'r':
          escaped = '\r';
          break;
        case 't':
          escaped = '\t';
          break;
        case 'b':
          escaped = '\b';
          break;
        case 'a':
          escaped = '\a';
          break;
        default:
          break;
      }
      word->push_back(escaped);
      at += 2;
      continue;
    }
    word->push_back(c);
    ++at;
  }
  return false;
}

bool read_single_quoted(std::string_view line, size_t& at, std::string* word) {
  while (at < line.size()) {
    char c = line[at];
    if (c == '\\' && at + 1 < line.size() && line[at + 1] == '\'') {
      word->push_back('\'');
      at += 2;
    } else if (c == '\'') {
      ++at;
      return at == line.size() || is_space(line[at]);
    } else {
      word->push_back(c);
      ++at;
    }
  }
  return false;
}

}  // namespace

bool split_words(std::string_view line, std::vector<std::string>* words) {
  size_t at = 0;
  for (;;) {
    while (at < line.size() && is_space(line[at])) ++at;
    // A NUL ends an inline line, as it ends a C string.
    if (at == line.size() || line[at] == '\0') return true;
    std::string word;
    while (at < line.size() && !is_space(line[at])) {
      char c = line[at++];
      if (c == '"') {
        if (!read_double_quoted(line, at, &word)) return false;
        break;
      }
      if (c == '\'') {
        if (!read_single_quoted(line, at, &word)) return false;
        break;
      }
      if (c == '\0') {
        at = line.size();
        break;
      }
      word.push_back(c);
    }
    words->push_back(std::move(word));
  }
}

void RequestParser::next() {
  if (args_.capacity() > kArgsKeptMax) std::vector<std::string_view>().swap(args_);
  if (places_.capacity() > kArgsKeptMax) std::vector<Place>().swap(places_);
  args_.clear();
  places_.clear();
  at_ = 0;
  wanted_ = 0;
  args_left_ = -1;
  bulk_size_ = -1;
}

RequestParser::Status RequestParser::fail(std::string text) {
  error_ = "Protocol error: " + std::move(text);
  return Status::kError;
}

RequestParser::Status RequestParser::parse(std::string_view unread, const RequestLimits& limits) {
  if (unread.empty()) return Status::kIncomplete;
  if (unread[0] != '*') return parse_inline(unread);
  bool fresh = args_left_ < 0 && at_ == 0;
  if (fresh && limits.authenticated && parse_whole(unread, limits)) return Status::kRequest;
  return parse_multibulk(unread, limits);
}

// The usual case in few instructions: a whole request with lengths of ordinary form. Anything else,
// be it incomplete, odd or wrong, is left to the careful path, with nothing changed.
bool RequestParser::parse_whole(std::string_view unread, const RequestLimits& limits) {
  constexpr int kDigitsMax = 7;
  // A type byte, the digits, CR LF: as many bytes as one length line may read without looking.
  constexpr ptrdiff_t kLineBytesMax = 1 + kDigitsMax + 2;
  const char* p = unread.data();
  const char* limit = p + unread.size();
  auto read_line = [&](char type, int64_t* value) {
    if (limit - p < kLineBytesMax || *p++ != type) return false;
    int64_t number = 0;
    const char* first = p;
    while (*p >= '0' && *p <= '9' && p - first < kDigitsMax) number = number * 10 + (*p++ - '0');
    bool canonical = p > first && (*first != '0' || p == first + 1);
    if (!canonical || p[0] != '\r') return false;
    p += 2;
    *value = number;
    return true;
  };
  int64_t count = 0;
  if (!read_line('*', &count)) return false;
  for (int64_t i = 0; i < count; ++i) {
    int64_t size = 0;
    if (!read_line('$', &size) || size > limits.bulk_bytes_max || limit - p < size + 2 ||
        p[size] != '\r' || p[size + 1] != '\n') {
      args_.clear();
      return false;
    }
    args_.emplace_back(p, static_cast<size_t>(size));
    p += size + 2;
  }
  at_ = static_cast<size_t>(p - unread.data());
  args_left_ = 0;
  return true;
}

RequestParser::Line RequestParser::read_length(std::string_view unread, int64_t* value) {
  const char* begin = unread.data() + at_ + 1;
  const char* limit = unread.data() + unread.size();
  const char* p = begin;
  // Lengths of up to nine digits, that is nearly all of them, are read in this loop.
  int64_t number = 0;
  while (p < limit && *p >= '0' && *p <= '9' && p - begin < 9) number = number * 10 + (*p++ - '0');
  if (p + 1 < limit && *p == '\r' && p > begin && (*begin != '0' || p == begin + 1)) {
    *value = number;
    at_ = static_cast<size_t>(p + 2 - unread.data());
    return Line::kOk;
  }
  const char* cr =
      static_cast<const char*>(std::memchr(begin, '\r', static_cast<size_t>(limit - begin)));
  if (cr == nullptr || cr + 1 >= limit) {
    return static_cast<size_t>(limit - begin) > kInlineBytesMax ? Line::kTooLong
                                                                : Line::kIncomplete;
  }
  auto parsed = parse_int64({begin, static_cast<size_t>(cr - begin)});
  if (!parsed) return Line::kBad;
  *value = *parsed;
  at_ = static_cast<size_t>(cr + 2 - unread.data());
  return Line::kOk;
}

RequestParser::Status RequestParser::parse_multibulk(std::string_view unread,
                                                     const RequestLimits& limits) {
  if (args_left_ < 0) {
    int64_t count = 0;
    Line line = read_length(unread, &count);
    if (line == Line::kIncomplete) return Status::kIncomplete;
    if (line == Line::kTooLong) return fail("too big mbulk count string");
    if (line == Line::kBad || count > INT_MAX) return fail("invalid multibulk length");
    if (count > kUnauthenticatedArgsMax && !limits.authenticated) {
      return fail("unauthenticated multibulk length");
    }
    args_left_ = std::max<int64_t>(count, 0);
  }
  while (args_left_ > 0) {
    if (bulk_size_ < 0) {
      if (at_ >= unread.size()) return Status::kIncomplete;
      if (unread[at_] != '$') {
        char got = unread[at_];
        return fail(std::string("expected '$', got '") +
                    (std::isprint(static_cast<unsigned char>(got)) ? got : '?') + "'");
      }
      Line line = read_length(unread, &bulk_size_);
      if (line == Line::kIncomplete) return bulk_size_ = -1, Status::kIncomplete;
      if (line == Line::kTooLong) return fail("too big bulk count string");
      if (line == Line::kBad || bulk_size_ < 0 || bulk_size_ > limits.bulk_bytes_max) {
        return fail("invalid bulk length");
      }
      if (bulk_size_ > kUnauthenticatedBulkBytesMax && !limits.authenticated) {
        return fail("unauthenticated bulk length");
      }
    }
    size_t size = static_cast<size_t>(bulk_size_);
    if (unread.size() - at_ < size + 2) {
      wanted_ = at_ + size + 2;
      return Status::kIncomplete;
    }
    if (unread[at_ + size] != '\r' || unread[at_ + size + 1] != '\n') {
      return fail("expected CRLF after the bulk string");
    }
    places_.push_back({at_, size});
    at_ += size + 2;
    bulk_size_ = -1;
    --args_left_;
  }
  args_.resize(places_.size());
  for (size_t i = 0; i < places_.size(); ++i) {
    args_[i] = unread.substr(places_[i].offset, places_[i].size);
  }
  return Status::kRequest;
}

RequestParser::Status RequestParser::parse_inline(std::string_view unread) {
  size_t newline = unread.find('\n', at_);
  if (newline == std::string_view::npos) {
    if (unread.size() > kInlineBytesMax) return fail("too big inline request");
    at_ = unread.size();
    return Status::kIncomplete;
  }
  if (newline > kInlineBytesMax) return fail("too big inline request");
  std::string_view line = unread.substr(0, newline);
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  std::vector<std::string> words;
  if (!split_words(line, &words)) return fail("unbalanced quotes in request");
  unquoted_.clear();
  for (const std::string& word : words) unquoted_ += word;
  size_t offset = 0;
  for (const std::string& word : words) {
    args_.push_back(std::string_view(unquoted_).substr(offset, word.size()));
    offset += word.size();
  }
  at_ = newline + 1;
  return Status::kRequest;
}

}  // namespace dyno

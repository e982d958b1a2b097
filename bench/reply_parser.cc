// SPDX-License-Identifier: Apache-2.0
// The state machine: a header line, then perhaps a body with its CRLF, then perhaps an enclosing
// aggregate.
#include "bench/reply_parser.h"

#include <algorithm>
#include <cstring>

namespace dyno::bench {

namespace {

// Bulk lengths above Redis's 512 MB limit, and counts above 2^31, are taken for garbage.
constexpr int64_t kBulkMax = int64_t{1} << 30;
constexpr int64_t kElementsMax = int64_t{1} << 31;

bool parse_integer(std::string_view text, int64_t& value) {
  const bool negative = !text.empty() && text[0] == '-';
  if (negative || (!text.empty() && text[0] == '+')) text.remove_prefix(1);
  if (text.empty() || text.size() > 19) return false;
  uint64_t sum = 0;
  for (const char c : text) {
    const auto digit = static_cast<unsigned>(c - '0');
    if (digit > 9) return false;
    sum = sum * 10 + digit;
  }
  if (sum > uint64_t{1} << 63 || (!negative && sum == uint64_t{1} << 63)) return false;
  value = static_cast<int64_t>(negative ? 0 - sum : sum);
  return true;
}

}  // namespace

void ReplyParser::reset() {
  state_ = State::kHeader;
  error_body_ = cut_ = attribute_ = held_ = false;
  tail_seen_ = 0;
  depth_ = 0;
  body_left_ = 0;
  line_.clear();
  body_.clear();
}

ReplyParser::Status ReplyParser::next(const char*& at, const char* end, Reply& reply) {
  while (true) {
    if (state_ == State::kHeader) {
      std::string_view line;
      bool complete = false;
      if (!take_line(at, end, line, complete)) return Status::kGarbage;
      if (!complete) return Status::kMore;
      bool finished = false;
      const Status status = header(line, reply, finished);
      if (status == Status::kGarbage) return status;
      if (finished) return Status::kReply;
      if (state_ == State::kHeader) continue;
    }
    if (state_ == State::kBody) {
      const int64_t here = std::min<int64_t>(body_left_, end - at);
      const std::string_view part(at, static_cast<size_t>(here));
      const bool keep = error_body_ || leaves_ != nullptr || capture_max_ > 0;
      const bool first = body_left_ == top_.count && body_.empty();
      // The common case: body and CRLF are here, nothing encloses it, so a view is all it takes.
      if (depth_ == 0 && first && end - at >= body_left_ + 2) {
        if (part.data()[here] != '\r' || part.data()[here + 1] != '\n') return Status::kGarbage;
        at += here + 2;
        state_ = State::kHeader;
        reply = top_;
        reply.text = part;
        return Status::kReply;
      }
      if (keep) {
        const size_t most = error_body_ ? kLineMax : leaves_ ? size_t{1} << 20 : capture_max_;
        const size_t room = most > body_.size() ? most - body_.size() : 0;
        body_.append(part.substr(0, room));
        if (part.size() > room) cut_ = true;
      } else if (here > 0) {
        cut_ = true;
      }
      at += here;
      body_left_ -= here;
      if (body_left_ > 0) return Status::kMore;
      state_ = State::kTail;
      tail_seen_ = 0;
    }
    while (tail_seen_ < 2) {
      if (at == end) return Status::kMore;
      if (*at != "\r\n"[tail_seen_]) return Status::kGarbage;
      ++at;
      ++tail_seen_;
    }
    state_ = State::kHeader;
    if (depth_ > 0) {
      if (error_body_) top_.nested_error = true;
      leaf(body_);
      body_.clear();
      cut_ = error_body_ = false;
      if (!close_element()) continue;
      reply = top_;
      return Status::kReply;
    }
    reply = top_;
    reply.whole = !cut_;
    std::swap(line_,
              body_);  // line_ keeps the text alive for the caller; the next header clears it
    reply.text = line_;
    body_.clear();
    cut_ = error_body_ = false;
    held_ = true;
    return Status::kReply;
  }
}

bool ReplyParser::take_line(const char*& at, const char* end, std::string_view& line,
                            bool& complete) {
  if (held_) {
    line_.clear();
    held_ = false;
  }
  const auto* feed = static_cast<const char*>(std::memchr(at, '\n', static_cast<size_t>(end - at)));
  if (feed == nullptr) {
    const auto rest = static_cast<size_t>(end - at);
    line_.append(at, std::min(rest, kLineMax - std::min(kLineMax, line_.size())));
    // A header other than a simple string or an error never is this long.
    if (line_.size() >= kLineMax && line_[0] != '+' && line_[0] != '-' && line_[0] != '(') {
      return false;
    }
    last_ = rest > 0 ? end[-1] : last_;
    at = end;
    complete = false;
    return true;
  }
  complete = true;
  if (line_.empty()) {
    if (feed == at || feed[-1] != '\r') return false;
    line = std::string_view(at, static_cast<size_t>(feed - at - 1));
    at = feed + 1;
    return true;
  }
  const char before = feed > at ? feed[-1] : last_;
  if (before != '\r') return false;
  const size_t room = kLineMax - std::min(kLineMax, line_.size());
  line_.append(at, std::min(static_cast<size_t>(feed - at), room));
  if (line_.back() == '\r') line_.pop_back();
  at = feed + 1;
  held_ = true;
  line = line_;
  return true;
}

ReplyParser::Status ReplyParser::header(std::string_view line, Reply& reply, bool& finished) {
  if (line.empty()) return Status::kGarbage;
  const char mark = line[0];
  const std::string_view rest = line.substr(1);
  Reply one;
  one.text = rest;
  switch (mark) {
    case '+':
      one.kind = ReplyKind::kSimple;
      break;
    case '-':
      one.kind = ReplyKind::kError;
      break;
    case ':':
      one.kind = ReplyKind::kInteger;
      if (!parse_integer(rest, one.count)) return Status::kGarbage;
      break;
    case '_':
      if (!rest.empty()) return Status::kGarbage;
      one.kind = ReplyKind::kNull;
      break;
    case ',':
      if (rest.empty()) return Status::kGarbage;
      one.kind = ReplyKind::kDouble;
      break;
    case '#':
      if (rest != "t" && rest != "f") return Status::kGarbage;
      one.kind = ReplyKind::kBoolean;
      one.count = rest == "t";
      break;
    case '(':
      one.kind = ReplyKind::kBigNumber;
      break;
    case '$':
    case '=':
    case '!':
    case '*':
    case '%':
    case '~':
    case '>':
    case '|': {
      int64_t count = 0;
      if (!parse_integer(rest, count) || count < -1) return Status::kGarbage;
      if (count >= 0 || (mark != '$' && mark != '*')) return open(mark, count, reply, finished);
      one.kind = ReplyKind::kNull;
      one.text = {};
      break;
    }
    default:
      return Status::kGarbage;
  }
  if (depth_ == 0) {
    reply = one;
    finished = true;
    return Status::kReply;
  }
  if (one.kind == ReplyKind::kError) top_.nested_error = true;
  leaf(one.kind == ReplyKind::kError ? std::string_view{} : one.text);
  finished = close_element();
  if (finished) reply = top_;
  return Status::kReply;
}

// A bulk body or an aggregate begins.
ReplyParser::Status ReplyParser::open(char mark, int64_t count, Reply& reply, bool& finished) {
  if (count < 0) return Status::kGarbage;
  if (mark == '$' || mark == '=' || mark == '!') {
    if (count > kBulkMax) return Status::kGarbage;
    if (depth_ == 0) {
      top_ = Reply{};
      top_.kind = mark == '!' ? ReplyKind::kError : ReplyKind::kBulk;
      top_.count = count;
    }
    error_body_ = mark == '!';
    body_left_ = count;
    state_ = State::kBody;
    return Status::kReply;
  }
  if (count > kElementsMax || depth_ == kDepthMax) return Status::kGarbage;
  if (depth_ == 0) {
    top_ = Reply{};
    top_.kind = mark == '%'   ? ReplyKind::kMap
                : mark == '~' ? ReplyKind::kSet
                : mark == '>' ? ReplyKind::kPush
                              : ReplyKind::kArray;
    top_.count = count;
    attribute_ = mark == '|';
  }
  // A nested attribute decorates the element behind it and is itself none.
  const bool nested_attribute = mark == '|' && depth_ > 0;
  if (nested_attribute) ++left_[depth_ - 1];
  left_[depth_++] = mark == '%' || mark == '|' ? count * 2 : count;
  if (count > 0) return Status::kReply;
  left_[depth_ - 1] = 1;
  finished = close_element();
  if (finished) reply = top_;
  return Status::kReply;
}

// One element is complete; true when that completes the whole reply.
bool ReplyParser::close_element() {
  while (depth_ > 0 && --left_[depth_ - 1] == 0) --depth_;
  if (depth_ > 0) return false;
  const bool reply_follows = attribute_;
  attribute_ = false;
  return !reply_follows;
}

void ReplyParser::leaf(std::string_view text) {
  if (leaves_ != nullptr) leaves_->emplace_back(text);
}

}  // namespace dyno::bench

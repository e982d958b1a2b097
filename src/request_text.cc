// SPDX-License-Identifier: Apache-2.0
#include "src/request_text.h"

#include "protocol/number.h"

namespace dyno {
namespace {

// Takes a line with its end off the front; nothing when there is none.
std::optional<std::string_view> take_line(std::string_view* rest) {
  size_t end = rest->find("\r\n");
  if (end == std::string_view::npos) return std::nullopt;
  std::string_view line = rest->substr(0, end);
  rest->remove_prefix(end + 2);
  return line;
}

}  // namespace

void append_request(std::string* out, const std::vector<std::string_view>& args) {
  *out += "*" + std::to_string(args.size()) + "\r\n";
  for (std::string_view arg : args) {
    *out += "$" + std::to_string(arg.size()) + "\r\n";
    out->append(arg).append("\r\n");
  }
}

std::optional<int64_t> integer_of_reply(std::string_view reply) {
  auto line = take_line(&reply);
  if (!line || !line->starts_with(':')) return std::nullopt;
  return parse_int64(line->substr(1));
}

bool is_error_reply(std::string_view reply) {
  return reply.starts_with('-') || reply.starts_with('!');
}

bool is_null_reply(std::string_view reply) {
  return reply == "$-1\r\n" || reply == "*-1\r\n" || reply == "_\r\n";
}

std::optional<std::vector<std::string_view>> elements_of_reply(std::string_view reply) {
  auto head = take_line(&reply);
  if (!head || !head->starts_with('*')) return std::nullopt;
  auto count = parse_int64(head->substr(1));
  if (!count || *count < 0) return std::nullopt;
  std::vector<std::string_view> elements;
  for (int64_t i = 0; i < *count; ++i) {
    std::string_view from = reply;
    auto line = take_line(&reply);
    if (!line || line->empty()) return std::nullopt;
    size_t size = line->size() + 2;
    if (line->front() == '$' && *line != "$-1") {
      auto bytes = parse_int64(line->substr(1));
      if (!bytes || *bytes < 0 || static_cast<uint64_t>(*bytes) + 2 > reply.size()) {
        return std::nullopt;
      }
      reply.remove_prefix(static_cast<size_t>(*bytes) + 2);
      size += static_cast<size_t>(*bytes) + 2;
    } else if (line->front() != ':' && line->front() != '_' && *line != "$-1") {
      return std::nullopt;
    }
    elements.push_back(from.substr(0, size));
  }
  return elements;
}

std::optional<std::string_view> bulk_of_reply(std::string_view reply) {
  auto head = take_line(&reply);
  if (!head || !head->starts_with('$')) return std::nullopt;
  auto bytes = parse_int64(head->substr(1));
  if (!bytes || *bytes < 0 || static_cast<uint64_t>(*bytes) + 2 > reply.size()) {
    return std::nullopt;
  }
  return reply.substr(0, static_cast<size_t>(*bytes));
}

}  // namespace dyno

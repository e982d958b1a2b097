// SPDX-License-Identifier: Apache-2.0
//
// Requests and replies as bytes, for commands that one node puts together from what others say.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dyno {

// Appends a request as clients send it.
void append_request(std::string* out, const std::vector<std::string_view>& args);

[[nodiscard]] std::optional<int64_t> integer_of_reply(std::string_view reply);
[[nodiscard]] bool is_error_reply(std::string_view reply);
// "$-1", "*-1" or "_".
[[nodiscard]] bool is_null_reply(std::string_view reply);
// The elements of an array of bulk strings, nulls and integers, each with its head and line ends;
// nothing when the reply is something else.
[[nodiscard]] std::optional<std::vector<std::string_view>> elements_of_reply(
    std::string_view reply);
// What a bulk string holds; nothing when the reply is none.
[[nodiscard]] std::optional<std::string_view> bulk_of_reply(std::string_view reply);

}  // namespace dyno

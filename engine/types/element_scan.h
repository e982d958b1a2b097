// SPDX-License-Identifier: Apache-2.0
//
// What HSCAN, SSCAN and ZSCAN have in common: a cursor, which is a position in the collection's
// table, and the options behind it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/context.h"
#include "protocol/glob.h"
#include "protocol/words.h"

namespace dyno {

struct ElementScan {
  uint64_t cursor = 0;
  int64_t count = 10;
  std::string_view pattern;
  bool has_pattern = false;
  bool no_values = false;

  // Reads the cursor, which commands judge before they look at the key.
  [[nodiscard]] bool read_cursor(Context& context, std::string_view text) {
    std::optional<uint64_t> value = parse_uint64(text);
    if (!value) {
      context.error(errors::kInvalidCursor);
      return false;
    }
    cursor = *value;
    return true;
  }
  // Reads the options from args[3] on. NOVALUES is only an option when the command has it.
  [[nodiscard]] bool read_options(Context& context, bool allows_no_values) {
    for (size_t i = 3; i < context.args.size(); ++i) {
      bool has_value = i + 1 < context.args.size();
      if (has_value && is_word(context.args[i], "COUNT")) {
        std::optional<int64_t> value = parse_int64(context.args[++i]);
        if (!value || *value < 1) {
          context.error(value ? errors::kSyntax : errors::kNotInteger);
          return false;
        }
        count = *value;
      } else if (has_value && is_word(context.args[i], "MATCH")) {
        pattern = context.args[++i];
        has_pattern = pattern != "*";
      } else if (allows_no_values && is_word(context.args[i], "NOVALUES")) {
        no_values = true;
      } else {
        context.error(errors::kSyntax);
        return false;
      }
    }
    return true;
  }
  [[nodiscard]] bool matches(std::string_view element) const {
    // Redis' scans let an empty element match "*" and the empty pattern only.
    if (element.empty()) return !has_pattern || pattern.empty();
    return !has_pattern || glob_match(pattern, element);
  }

  // Answers with the next cursor and the elements. `step` is called as step(from, wanted,
  // &written): it writes the elements of one stretch, adds to `written` how many replies that were,
  // and returns the next position, or 0 at the end.
  template <class Step>
  void reply_to(Reply& reply, Step&& step) const {
    constexpr int64_t kStepElementsMax = 4096;
    reply.array(2);
    size_t begun = reply.begin();
    uint64_t next = cursor;
    size_t written = 0;
    // A stretch holds about as many elements as it was asked for, so this ends by itself.
    for (int64_t left = count; next <= UINT32_MAX && left > 0;) {
      auto wanted = static_cast<uint32_t>(left < kStepElementsMax ? left : kStepElementsMax);
      left -= wanted;
      next = step(static_cast<uint32_t>(next), wanted, &written);
      if (next == 0) break;
    }
    reply.finish_array(begun, written);
    // The cursor goes before the elements, but is known only now.
    std::string digits = std::to_string(next > UINT32_MAX ? 0 : next);
    std::string head = "$" + std::to_string(digits.size()) + "\r\n" + digits + "\r\n";
    reply.buffer().insert(begun, head);
  }
};

}  // namespace dyno

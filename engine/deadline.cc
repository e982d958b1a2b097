// SPDX-License-Identifier: Apache-2.0
#include "engine/deadline.h"

#include <climits>
#include <string>

#include "engine/command.h"
#include "protocol/number.h"
#include "protocol/words.h"

namespace dyno {
namespace {

void refuse(Context& context) {
  context.error("ERR invalid expire time in '" + to_lower(context.spec->name) + "' command");
}

}  // namespace

std::optional<int64_t> read_deadline(Context& context, std::string_view text, TimeUnit unit,
                                     bool positive) {
  auto parsed = parse_int64(text);
  if (!parsed) {
    context.error(errors::kNotInteger);
    return std::nullopt;
  }
  int64_t value = *parsed;
  if (positive && value <= 0) return refuse(context), std::nullopt;
  if (unit.seconds) {
    if (value > LLONG_MAX / 1000 || value < LLONG_MIN / 1000) return refuse(context), std::nullopt;
    value *= 1000;
  }
  if (!unit.absolute && value > LLONG_MAX - context.now_ms) return refuse(context), std::nullopt;
  if (!unit.absolute) value += context.now_ms;
  return value;
}

std::optional<TimeUnit> time_option(std::string_view word) {
  if (is_word(word, "EX")) return TimeUnit{true, false};
  if (is_word(word, "PX")) return TimeUnit{false, false};
  if (is_word(word, "EXAT")) return TimeUnit{true, true};
  if (is_word(word, "PXAT")) return TimeUnit{false, true};
  return std::nullopt;
}

}  // namespace dyno

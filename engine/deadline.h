// SPDX-License-Identifier: Apache-2.0
//
// Times at which keys expire, as commands give them: EX, PX, EXAT, PXAT and the EXPIRE family.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "engine/context.h"

namespace dyno {

struct TimeUnit {
  bool seconds;   // Else milliseconds.
  bool absolute;  // Unix time, else from now.
};

// Milliseconds of Unix time that `text` means. Answers the error that Redis gives for the command
// when it is no integer or out of range; with `positive`, also when it is zero or less.
[[nodiscard]] std::optional<int64_t> read_deadline(Context& context, std::string_view text,
                                                   TimeUnit unit, bool positive);

// EX, PX, EXAT or PXAT, of any case.
[[nodiscard]] std::optional<TimeUnit> time_option(std::string_view word);

}  // namespace dyno

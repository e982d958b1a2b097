// SPDX-License-Identifier: Apache-2.0
//
// Options of commands: words compared without regard to case.
#pragma once

#include <string_view>

#include "protocol/number.h"

namespace dyno {

// True when `arg` is the option `word`, e.g. is_word(args[2], "LIMIT").
[[nodiscard]] inline bool is_word(std::string_view arg, std::string_view word) {
  return arg.size() == word.size() && equals_ignore_case(arg, word);
}

}  // namespace dyno

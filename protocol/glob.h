// SPDX-License-Identifier: Apache-2.0
//
// Redis' glob patterns: * ? [set] [^set] [a-z] and \ to take the next byte as it is. Binary safe.
#pragma once

#include <string_view>

namespace dyno {

// Time is O(pattern * text) whatever the pattern: only the last star is ever tried again, which is
// enough, since an earlier star that matched can always be left where it is.
[[nodiscard]] bool glob_match(std::string_view pattern, std::string_view text,
                              bool ignore_case = false);

}  // namespace dyno

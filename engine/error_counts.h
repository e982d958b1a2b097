// SPDX-License-Identifier: Apache-2.0
//
// Error replies by their first word ("ERR", "WRONGTYPE"), as INFO's errorstats shows them.
// Thread-safe. Bounded: words beyond the first 128 are counted together, as Redis does.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dyno {

void count_error(std::string_view text);
[[nodiscard]] std::vector<std::pair<std::string, int64_t>> error_counts();
void reset_error_counts();

}  // namespace dyno

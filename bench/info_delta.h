// SPDX-License-Identifier: Apache-2.0
// What a server says of itself in INFO, before and after: only the figures that help to read a
// benchmark.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dyno::bench {

/// Names and values, in INFO's order; empty when the server offers none.
using InfoFigures = std::vector<std::pair<std::string, double>>;

/// Takes the figures that are reported out of an INFO text.
InfoFigures parse_info(std::string_view text);
/// after - before for counters; gauges (used_memory …) as they are after.
InfoFigures info_delta(const InfoFigures& before, const InfoFigures& after);

}  // namespace dyno::bench

// SPDX-License-Identifier: Apache-2.0
// Numbers as people write them: 10s, 500ms, 2m, 1h; 10k, 1.5M.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace dyno::bench {

/// Seconds; a bare number is seconds. Negative or absurd (above 10 years) is refused.
std::optional<double> parse_seconds(std::string_view text);
/// k, M and G are powers of ten.
std::optional<double> parse_amount(std::string_view text);

/// "1.23 ms", "45 us", "2.1 s": three digits.
std::string show_duration(double ns);
/// "1.23M", "45.6k", "789".
std::string show_amount(double value);
/// "1,234,567".
std::string show_count(double value);

}  // namespace dyno::bench

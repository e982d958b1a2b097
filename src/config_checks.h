// SPDX-License-Identifier: Apache-2.0
//
// Settings whose text has a form of its own: addresses, percentiles, limits of output buffers. A
// check judges and rewrites a text that a commit then spreads into typed members.
#pragma once

#include <optional>
#include <string>

#include "src/config.h"
#include "src/config_value.h"

namespace dyno {

// `current` is what a text that names only some parts is laid over; `text` comes back canonical.
std::optional<ConfigRefusal> check_listen(const std::string& current, std::string& text);
std::optional<ConfigRefusal> check_percentiles(const std::string& current, std::string& text);
std::optional<ConfigRefusal> check_output_limits(const std::string& current, std::string& text);

// REQUIRES: a text that its check accepted.
void commit_listen(Config& config, const std::string& text);
void commit_output_limits(Config& config, const std::string& text);

}  // namespace dyno

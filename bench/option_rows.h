// SPDX-License-Identifier: Apache-2.0
// The table of options: one row for each, with its names and what its value does to the settings.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/options.h"

namespace dyno::bench {

struct OptionRow {
  std::string_view name;
  std::string_view brief;  // the short form, may be empty
  bool value;              // takes one
  /// Stores the value; false with what was expected.
  std::function<bool(Options&, std::string_view, std::string&)> apply;
};

const std::vector<OptionRow>& option_rows();

}  // namespace dyno::bench

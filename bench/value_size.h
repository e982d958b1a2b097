// SPDX-License-Identifier: Apache-2.0
// How large values are: `32`, a range `10-1000` (uniform), or weighted choices
// `32:70,100-500:20,65536:10`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/random.h"

namespace dyno::bench {

class ValueSize {
 public:
  static std::optional<ValueSize> parse(std::string_view text, std::string& why);

  bool fixed() const { return choices_.size() == 1 && choices_[0].low == choices_[0].high; }
  uint32_t draw(Random& random) const;
  uint32_t largest() const;
  const std::string& text() const { return text_; }

 private:
  struct Choice {
    uint32_t low;
    uint32_t high;
    double up_to;  // cumulative share, the last one is 1
  };
  std::vector<Choice> choices_;
  std::string text_;
};

}  // namespace dyno::bench

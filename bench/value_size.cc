// SPDX-License-Identifier: Apache-2.0
// Reading of sizes and drawing of one; the last choice always ends at share 1, so a draw never runs
// over.
#include "bench/value_size.h"

#include <algorithm>
#include <cmath>

#include "bench/duration.h"

namespace dyno::bench {

namespace {

constexpr uint32_t kSizeMax = 512u << 20;

bool read_number(std::string_view text, double& value) {
  const auto amount = parse_amount(text);
  value = amount.value_or(0);
  return amount.has_value();
}

bool read_size(std::string_view text, uint32_t& bytes) {
  double value = 0;
  if (!read_number(text, value) || value > kSizeMax || value != std::floor(value)) return false;
  bytes = static_cast<uint32_t>(value);
  return true;
}

}  // namespace

std::optional<ValueSize> ValueSize::parse(std::string_view text, std::string& why) {
  ValueSize size;
  size.text_ = text;
  double total = 0;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    std::string_view part = text.substr(begin, end - begin);
    begin = end + 1;
    Choice choice{0, 0, 1};
    if (const size_t colon = part.find(':'); colon != std::string_view::npos) {
      if (!read_number(part.substr(colon + 1), choice.up_to) || !(choice.up_to > 0)) part = "?";
      part = part.substr(0, std::min(part.size(), colon));
    }
    const size_t dash = part.find('-');
    const bool good = dash == std::string_view::npos
                          ? read_size(part, choice.low)
                          : read_size(part.substr(0, dash), choice.low) &&
                                read_size(part.substr(dash + 1), choice.high);
    if (dash == std::string_view::npos) choice.high = choice.low;
    if (!good || choice.low > choice.high) {
      why = "value size '" + std::string(text) +
            "': expected BYTES, LOW-HIGH or SIZE:WEIGHT,SIZE:WEIGHT…, at most 512 MB";
      return std::nullopt;
    }
    total += choice.up_to;
    choice.up_to = total;
    size.choices_.push_back(choice);
  }
  for (Choice& choice : size.choices_) choice.up_to /= total;
  size.choices_.back().up_to = 1;
  return size;
}

uint32_t ValueSize::draw(Random& random) const {
  const Choice* choice = &choices_[0];
  if (choices_.size() > 1) {
    const double u = random.unit();
    while (u >= choice->up_to && choice != &choices_.back()) ++choice;
  }
  if (choice->low == choice->high) return choice->low;
  return choice->low + static_cast<uint32_t>(random.below(choice->high - choice->low + 1));
}

uint32_t ValueSize::largest() const {
  uint32_t most = 0;
  for (const Choice& choice : choices_) most = std::max(most, choice.high);
  return most;
}

}  // namespace dyno::bench

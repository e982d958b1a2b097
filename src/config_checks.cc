// SPDX-License-Identifier: Apache-2.0
//
// The forms of addresses, percentiles and output buffer limits; error texts are Redis'.
#include "src/config_checks.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>
#include <vector>

#include "protocol/number.h"
#include "src/listen_address.h"

namespace dyno {
namespace {

constexpr std::array<std::string_view, 3> kClientClassNames = {"normal", "slave", "pubsub"};

std::optional<ConfigRefusal> refusal(std::string redis, std::string expected) {
  return ConfigRefusal{std::move(redis), std::move(expected)};
}

struct OutputLimits {
  std::array<std::array<int64_t, 3>, 3> classes{};  // hard, soft, seconds by ClientClass
};

// Reads "class hard soft seconds ..." into `limits`, leaving classes that are not named as they
// are.
std::optional<std::string> parse_output_limits(const std::string& text, OutputLimits& limits) {
  const std::vector<std::string> words = split_config_list(text);
  if (words.empty() || words.size() % 4 != 0) {
    return "Wrong number of arguments in buffer limit configuration.";
  }
  for (size_t i = 0; i < words.size(); i += 4) {
    const std::string name = to_lower(words[i]) == "replica" ? "slave" : to_lower(words[i]);
    const auto* at = std::find(kClientClassNames.begin(), kClientClassNames.end(), name);
    if (at == kClientClassNames.end()) {
      return "Invalid client class specified in buffer limit configuration.";
    }
    auto& values = limits.classes[static_cast<size_t>(at - kClientClassNames.begin())];
    static constexpr ConfigShape kBytes{.kind = ConfigKind::kBytes};
    static constexpr ConfigShape kSeconds{.kind = ConfigKind::kDuration,
                                          .unit = ConfigUnit::kSeconds,
                                          .max = std::numeric_limits<int32_t>::max()};
    const std::array<ConfigShape, 3> shapes = {kBytes, kBytes, kSeconds};
    for (size_t j = 0; j < shapes.size(); ++j) {
      const ParsedConfigValue parsed = parse_config_value(shapes[j], words[i + 1 + j]);
      if (parsed.refusal) {
        return "Error in hard, soft or soft_seconds setting in buffer limit configuration.";
      }
      values[j] = parsed.value.number;
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<ConfigRefusal> check_listen(const std::string&, std::string& text) {
  static constexpr size_t kAddressesMax = 16;  // as Redis' bind
  const std::vector<std::string> items = split_config_list(text);
  const bool valid = !items.empty() && items.size() <= kAddressesMax &&
                     std::all_of(items.begin(), items.end(), [](const std::string& item) {
                       return parse_listen_address(item).has_value();
                     });
  if (valid) return std::nullopt;
  return refusal("argument must be a list of addresses",
                 "one to 16 addresses such as 127.0.0.1:6379, [::1]:6379, *:6379 or "
                 "/run/dyno.sock, with ports from 0 to 65535");
}

std::optional<ConfigRefusal> check_percentiles(const std::string&, std::string& text) {
  static constexpr size_t kPercentilesMax = 64;
  const std::string expected = "up to 64 numbers from 0 to 100, such as 50, 99, 99.9";
  std::string canonical;
  const std::vector<std::string> items = split_config_list(text);
  for (const std::string& item : items) {
    const std::optional<double> number = parse_double(item);
    if (!number || items.size() > kPercentilesMax) {
      return refusal("Invalid latency-tracking-info-percentiles parameters", expected);
    }
    if (*number < 0 || *number > 100) {
      return refusal("latency-tracking-info-percentiles parameters should sit between [0.0,100.0]",
                     expected);
    }
    if (!canonical.empty()) canonical += ' ';
    canonical += format_double(*number);
  }
  text = std::move(canonical);
  return std::nullopt;
}

std::optional<ConfigRefusal> check_output_limits(const std::string& current, std::string& text) {
  OutputLimits limits;
  if (!current.empty()) (void)parse_output_limits(current, limits);
  if (auto error = parse_output_limits(text, limits)) {
    return refusal(std::move(*error),
                   "groups of: class (normal, replica or pubsub), hard limit, soft limit, seconds; "
                   "such as \"normal 0 0 0 pubsub 32mb 8mb 60\"");
  }
  text.clear();
  for (size_t i = 0; i < limits.classes.size(); ++i) {
    if (i > 0) text += ' ';
    text += kClientClassNames[i];
    for (const int64_t value : limits.classes[i]) text += ' ' + std::to_string(value);
  }
  return std::nullopt;
}

void commit_output_limits(Config& config, const std::string& text) {
  OutputLimits limits;
  (void)parse_output_limits(text, limits);
  for (size_t i = 0; i < limits.classes.size(); ++i) {
    OutputLimit& to = config.client.output_limits[i];
    to.bytes_hard.store(limits.classes[i][0], std::memory_order_relaxed);
    to.bytes_soft.store(limits.classes[i][1], std::memory_order_relaxed);
    to.soft_seconds.store(limits.classes[i][2], std::memory_order_relaxed);
  }
}

// The first TCP address gives the port, until the server stores the one that it was given.
void commit_listen(Config& config, const std::string& text) {
  for (const std::string& item : split_config_list(text)) {
    const std::optional<ListenAddress> address = parse_listen_address(item);
    if (!address || !address->unix_path.empty()) continue;
    config.client.port.store(address->port, std::memory_order_relaxed);
    return;
  }
  config.client.port.store(0, std::memory_order_relaxed);
}

}  // namespace dyno

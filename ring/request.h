// SPDX-License-Identifier: Apache-2.0
//
// A client's request as the ring sees it: what it touches and what it asks for. The command itself
// is bytes that the ring carries and never reads.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/token.h"

namespace dyno {

// How many racks must know, before a read is answered or after a write was run. With one rack in a
// data center a quorum of it is that rack.
enum class Level : uint8_t {
  kDcOne = 0,             // One replica.
  kDcQuorum = 1,          // A majority of the racks of this data center.
  kDcSafeQuorum = 2,      // And none of them knew a later write; what a read shows, they hold.
  kDcEachSafeQuorum = 3,  // The same in every data center.
};
[[nodiscard]] std::string_view level_name(Level level);  // "DC_ONE"
// Of any case.
[[nodiscard]] std::optional<Level> parse_level(std::string_view name);
[[nodiscard]] constexpr bool is_safe(Level level) {
  return level >= Level::kDcSafeQuorum;
}

struct RequestKey {
  uint8_t db = 0;
  std::string name;
  Token token = 0;
};

struct Request {
  uint64_t id = 0;  // Of the caller; unique among the requests of the lane that are not answered.
  bool write = false;
  // Running it twice does what running it once does, so that it may be tried elsewhere even when
  // its outcome is not known. Reads are.
  bool repeatable = false;
  Level level = Level::kDcOne;
  uint8_t hops = 0;  // How often it was forwarded already.
  int64_t deadline_us = 0;
  std::vector<RequestKey> keys;  // At least one.
  std::string context;           // What the command needs to know of its session.
  std::string command;
};

}  // namespace dyno

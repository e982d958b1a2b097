// SPDX-License-Identifier: Apache-2.0
//
// What a node that runs a forwarded command must know of the client's session. It travels in the
// request's context (docs/PROTOCOL.md, Forward).
//
//   facts := version:u8 = 1  db:u8  protocol:u8  flags:u8  watched*
//            flags: 1 CLIENT NO-TOUCH
//                   2 the command is a transaction: MULTI, its commands and EXEC, of which the
//                     last reply is the answer
//                   4 the command is meant for this very node, not for any owner of its token:
//                     then node:u16 follows
//   watched := db:u8 low:u64 high:u64 size:u32 byte[size]      a key under WATCH, and its version
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ring/store.h"

namespace dyno {

struct WatchedVersion {
  uint8_t db = 0;
  Version version;
  std::string key;
};

struct SessionFacts {
  uint8_t db = 0;
  uint8_t protocol = 2;
  bool no_touch = false;
  bool is_transaction = false;
  NodeIndex only_node = kNoNode;  // kNoNode: any owner may run it.
  std::vector<WatchedVersion> watched;
};

[[nodiscard]] std::string encode(const SessionFacts& facts);
// Nothing when the bytes are none.
[[nodiscard]] std::optional<SessionFacts> decode_session_facts(std::string_view bytes);

}  // namespace dyno

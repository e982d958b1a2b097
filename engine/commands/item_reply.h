// SPDX-License-Identifier: Apache-2.0
//
// Items of packed collections as clients read them.
#pragma once

#include "engine/types/packed.h"
#include "protocol/resp_reply.h"

namespace dyno {

// Writes a field, value or member, never a score, as a bulk string.
inline void reply_item(Reply& reply, const packed::Item& item) {
  if (item.kind == packed::Item::Kind::kInteger) {
    reply.bulk_int(item.integer);
  } else {
    reply.bulk(item.text);
  }
}

}  // namespace dyno

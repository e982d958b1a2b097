// SPDX-License-Identifier: Apache-2.0
//
// A key of the data set for code that is no command: merging, repair, turning effects into deltas.
// The key's slot is locked. Records no effects.
#pragma once

#include <string_view>

#include "engine/context.h"
#include "engine/executor.h"
#include "protocol/byte_buffer.h"

namespace dyno {

class LiveKey {
 public:
  LiveKey(Executor& executor, int db, std::string_view name, int64_t now_ms)
      : reply_(&unread_),
        context_{executor, executor.keyspace(), executor.limits(), session_, reply_},
        key_(in_db(context_, db, now_ms), name, Key::Use::kPeek, db) {}

  [[nodiscard]] Key& key() { return key_; }
  [[nodiscard]] Context& context() { return context_; }

 private:
  static Context& in_db(Context& context, int db, int64_t now_ms) {
    context.now_ms = now_ms;
    context.db = db;
    context.no_touch = true;
    return context;
  }

  Session session_;
  ByteBuffer unread_;
  Reply reply_;
  Context context_;
  Key key_;
};

}  // namespace dyno

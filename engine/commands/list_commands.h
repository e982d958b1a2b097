// SPDX-License-Identifier: Apache-2.0
//
// What the list commands share, the blocking ones among them. All bodies run with the slots of
// their keys locked.
#pragma once

#include <optional>
#include <string_view>

#include "engine/context.h"
#include "engine/types/list.h"

namespace dyno {

// Arguments of LMPOP and BLMPOP.
struct MultiPop {
  Args keys;
  ListEnd end = ListEnd::kHead;
  int64_t count = 1;
};

// "LEFT" or "RIGHT".
[[nodiscard]] std::optional<ListEnd> parse_list_end(std::string_view word);
// Reads a multi-pop whose numkeys is at `at`; answers the error and returns false when it is wrong.
[[nodiscard]] bool read_multi_pop(Context& context, size_t at, MultiPop* pop);

// Each of these answers and reports the change; the keys exist and are lists.
// The element's bulk string.
void pop_one(Context& context, Key& key, ListEnd end);
// [key, element], as BLPOP answers.
void pop_with_key(Context& context, Key& key, ListEnd end);
// [key, [element, ...]], as LMPOP answers.
void pop_many_with_key(Context& context, Key& key, ListEnd end, int64_t count);
// Moves one element; answers WRONGTYPE and changes nothing when the destination is no list.
void move_one(Context& context, Key& source, std::string_view destination, ListEnd from,
              ListEnd to);

// Bodies of list_blocking.cc.
void blpop(Context& context);
void brpop(Context& context);
void blmove(Context& context);
void brpoplpush(Context& context);
void blmpop(Context& context);

}  // namespace dyno

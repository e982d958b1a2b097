// SPDX-License-Identifier: Apache-2.0
//
// List commands that wait for an element. Each first tries as its plain form would; when no key has
// anything it queues the client, and whoever pushes to one of its keys runs the serve_* function
// here under the same locks, in the order in which clients came (blocking.h).
#include "engine/blocking.h"
#include "engine/command.h"
#include "engine/commands/list_commands.h"
#include "protocol/check.h"

namespace dyno {
namespace {

constexpr Key::Use kWriteUse = Key::Use::kWrite;

template <ListEnd End>
void serve_pop(Context& c, std::string_view name) {
  Key key(c, name, kWriteUse);
  pop_with_key(c, key, End);
}

template <ListEnd End>
void pop_or_wait(Context& c) {
  Args keys = c.args.subspan(1, c.args.size() - 2);
  double timeout_s;
  if (!read_timeout(c, c.args.back(), &timeout_s)) return;
  for (std::string_view name : keys) {
    Key key(c, name, kWriteUse);
    if (!key.exists()) continue;
    if (!key.allows(Type::kList)) return;
    return pop_with_key(c, key, End);
  }
  block(c, {.keys = keys, .type = Type::kList, .timeout_s = timeout_s, .serve = serve_pop<End>});
}

void serve_move(Context& c, std::string_view name) {
  auto from = parse_list_end(c.args[3]);
  auto to = parse_list_end(c.args[4]);
  DYNO_CHECK(from && to);  // They were read before the client was queued.
  Key source(c, name, kWriteUse);
  move_one(c, source, c.args[2], *from, *to);
}

void serve_rpoplpush(Context& c, std::string_view name) {
  Key source(c, name, kWriteUse);
  move_one(c, source, c.args[2], ListEnd::kTail, ListEnd::kHead);
}

void move_or_wait(Context& c, ListEnd from, ListEnd to, void (*serve)(Context&, std::string_view)) {
  double timeout_s;
  if (!read_timeout(c, c.args.back(), &timeout_s)) return;
  Key source(c, c.args[1], kWriteUse);
  if (!source.allows(Type::kList)) return;
  if (source.exists()) return move_one(c, source, c.args[2], from, to);
  block(c, {.keys = c.args.subspan(1, 1),
            .type = Type::kList,
            .timeout_s = timeout_s,
            .destination = c.args[2],
            .has_destination = true,
            .null_is_bulk = true,
            .serve = serve});
}

void serve_multi_pop(Context& c, std::string_view name) {
  MultiPop pop;
  if (!read_multi_pop(c, 2, &pop)) return;
  Key key(c, name, kWriteUse);
  pop_many_with_key(c, key, pop.end, pop.count);
}

}  // namespace

void blpop(Context& c) {
  pop_or_wait<ListEnd::kHead>(c);
}
void brpop(Context& c) {
  pop_or_wait<ListEnd::kTail>(c);
}

void blmove(Context& c) {
  auto from = parse_list_end(c.args[3]);
  auto to = parse_list_end(c.args[4]);
  if (!from || !to) return c.error(errors::kSyntax);
  move_or_wait(c, *from, *to, serve_move);
}

void brpoplpush(Context& c) {
  move_or_wait(c, ListEnd::kTail, ListEnd::kHead, serve_rpoplpush);
}

void blmpop(Context& c) {
  MultiPop pop;
  double timeout_s;
  if (!read_multi_pop(c, 2, &pop) || !read_timeout(c, c.args[1], &timeout_s)) return;
  for (std::string_view name : pop.keys) {
    Key key(c, name, kWriteUse);
    if (!key.exists()) continue;
    if (!key.allows(Type::kList)) return;
    return pop_many_with_key(c, key, pop.end, pop.count);
  }
  block(c,
        {.keys = pop.keys, .type = Type::kList, .timeout_s = timeout_s, .serve = serve_multi_pop});
}

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// DYNO_CHECK: an invariant that holds in every build. A false condition means a programmer's error:
// the process prints where and stops, because going on would answer from a broken state. Nothing
// that a client, a peer or a file sends may reach one; such things are operating errors and values.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace dyno {

[[noreturn]] inline void check_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: broken invariant: %s\n", file, line, condition);
  std::abort();
}

}  // namespace dyno

#define DYNO_CHECK(condition)                   \
  (__builtin_expect(!!(condition), 1) ? (void)0 \
                                      : ::dyno::check_failed(#condition, __FILE__, __LINE__))

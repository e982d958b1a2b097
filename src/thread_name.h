// SPDX-License-Identifier: Apache-2.0
//
// What `top -H`, perf and core dumps call a thread. The process' first one keeps the process' name.
#pragma once

#include <pthread.h>

#include "protocol/check.h"

namespace dyno {

// Of the calling thread: at most 15 characters.
inline void name_thread(const char* name) {
  DYNO_CHECK(::pthread_setname_np(::pthread_self(), name) == 0);
}

}  // namespace dyno

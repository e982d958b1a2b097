// SPDX-License-Identifier: Apache-2.0
//
// The kernel's limit on open files, which bounds how many clients can be connected.
#pragma once

#include <cstdint>

namespace dyno {

// Raises the process's soft limit so that `maxclients` connections fit beside the process's own
// files, and the hard limit too when that is allowed. Returns the number of clients that do fit,
// at most `maxclients`. Never lowers a limit.
[[nodiscard]] int64_t raise_open_files(int64_t maxclients);

}  // namespace dyno

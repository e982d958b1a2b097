// SPDX-License-Identifier: Apache-2.0
//
// `dyno-server --dump-delta FILE`: what files of deltas hold, for people.
#pragma once

namespace dyno {

// Prints the frames of a file, one after the other, each under its place and size. At the first
// bytes that are no frame prints their place and the reason to standard error, and returns false.
[[nodiscard]] bool dump_deltas(const char* path);

}  // namespace dyno

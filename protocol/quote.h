// SPDX-License-Identifier: Apache-2.0
//
// Bytes as Redis shows them to people: MONITOR, redis-cli, the text of a delta.
#pragma once

#include <string>
#include <string_view>

namespace dyno {

// `bytes` in double quotes, with the escapes \n, \r, \t, \a, \b, \", \\ and \xHH; printable ASCII
// as it is.
[[nodiscard]] std::string quoted_bytes(std::string_view bytes);

}  // namespace dyno

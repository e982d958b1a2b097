// SPDX-License-Identifier: Apache-2.0
//
// Reads the LZF compression that Redis uses in its payloads.
//
//   stream  := (literal | copy)*
//   literal := 000LLLLL byte[L + 1]
//   copy    := LLLOOOOO [length:u8 if L = 7] offset:u8     L + length + 2 bytes from O * 256 +
//   offset + 1
//                                                         bytes before the end of what is written
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace dyno {

// Nothing when the stream is malformed, or does not give exactly `size` bytes. Safe on any bytes;
// allocates no more than the stream could possibly give.
[[nodiscard]] std::optional<std::string> decompress_lzf(std::string_view stream, size_t size);

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// What the files of the bitmap commands share.
#pragma once

#include <cstdint>
#include <string_view>

#include "engine/context.h"

namespace dyno {

// Reads an offset in bits. With `multiple` > 0 it may be "#n", the nth field of that many bits.
// False after it has answered the error: no integer, negative, or beyond the largest string.
[[nodiscard]] bool read_bit_offset(Context& context, std::string_view text, int multiple,
                                   int64_t* offset);

// Bodies of BITFIELD and BITFIELD_RO.
void bitfield(Context& context);
void bitfield_ro(Context& context);

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// The checksum of DUMP's payloads: CRC-64 with Jones' polynomial, reflected, starting from 0,
// without a final exclusive or. The check value of "123456789" is e9c6d914c4b8d9ca.
#pragma once

#include <cstdint>
#include <string_view>

namespace dyno {

[[nodiscard]] uint64_t crc64(std::string_view bytes);

}  // namespace dyno

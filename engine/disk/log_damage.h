// SPDX-License-Identifier: Apache-2.0
//
// Tells a torn end of one of RocksDB's logs, which is what a crash leaves, from damage before its
// end. RocksDB itself takes a record of the last block whose length is wrong for a torn end, and
// would drop all that follows it.
//
//   log     := blocks of 32 KiB
//   block   := records, then fewer than 7 zeros
//   record  := crc32c:u32 (masked, of type and bytes) length:u16 type:u8 bytes    little-endian
//   type    := 1 whole, 2 first, 3 middle, 4 last of several; 0: nothing was written from here on
//
// The end is torn when no whole record follows the first that is not.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

namespace dyno {

struct LogDamage {
  size_t offset = 0;   // In the file, of the first record that is not whole.
  std::string reason;  // When the file could not be read.
};

enum class LogPart { kLastBlock, kAll };

// Looks at a part of a log that nobody writes; nothing when it is whole or its end is torn.
[[nodiscard]] std::optional<LogDamage> find_log_damage(const std::string& path, LogPart part);

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// Redis' packed encodings as they lie inside a DUMP payload: listpack, ziplist and intset. Read
// only here, and never kept: what they hold is taken out element by element.
//
//   listpack := bytes:u32 count:u16 item* ff        item := encoding content back-length
//   ziplist  := bytes:u32 tail:u32 count:u16 item* ff   item := previous-length encoding content
//   intset   := width:u32 count:u32 integer*        ascending
//
// All little endian, but for some lengths inside items. A count of 65535 is not known.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

namespace dyno {

// One item: a text, or an integer.
struct BlobItem {
  bool is_integer = false;
  std::string_view text;
  int64_t integer = 0;
};
using VisitBlobItem = std::function<void(const BlobItem&)>;

// Each visits the items in order. False when any byte of the blob, headers and back-lengths
// included, is not as it should be; items before that may have been visited. Texts are views of the
// blob. Safe on any bytes.
[[nodiscard]] bool read_listpack(std::string_view blob, const VisitBlobItem& visit);
[[nodiscard]] bool read_ziplist(std::string_view blob, const VisitBlobItem& visit);
[[nodiscard]] bool read_intset(std::string_view blob, const VisitBlobItem& visit);

}  // namespace dyno

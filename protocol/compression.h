// SPDX-License-Identifier: Apache-2.0
//
// Makes the bytes of links smaller, with Zstandard (RFC 8878, libzstd). Each piece stands for
// itself, so that nothing is kept between two of them but working memory.
//
// Not thread-safe: one for each thread that has need of it.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace dyno {

class Compression {
 public:
  // Of one piece, when it is whole.
  static constexpr size_t kPieceBytesMax = size_t{1} << 20;

  Compression();
  ~Compression();

  // Appends the piece's compressed form, which is little larger where there is nothing to gain.
  // REQUIRES: 1 to kPieceBytesMax bytes.
  void shrink(std::string_view piece, std::string* out);
  // Appends the piece; false, and nothing appended, when the bytes are not the form of one of
  // exactly that size, 1 to kPieceBytesMax. Room is made for that, never for what they claim.
  [[nodiscard]] bool restore(std::string_view compressed, size_t size, std::string* out);

 private:
  struct Contexts;
  std::unique_ptr<Contexts> contexts_;  // Made when they are first needed.
};

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
#include "protocol/compression.h"

#include <zstd.h>

#include "protocol/check.h"

namespace dyno {
namespace {

// The fastest of the ordinary ones: the thread that compresses serves clients too.
constexpr int kLevel = 1;

}  // namespace

struct Compression::Contexts {
  ~Contexts() {
    ZSTD_freeCCtx(compress);
    ZSTD_freeDCtx(decompress);
  }

  ZSTD_CCtx* compress = nullptr;
  ZSTD_DCtx* decompress = nullptr;
};

Compression::Compression() : contexts_(std::make_unique<Contexts>()) {}
Compression::~Compression() = default;

void Compression::shrink(std::string_view piece, std::string* out) {
  DYNO_CHECK(!piece.empty() && piece.size() <= kPieceBytesMax);
  ZSTD_CCtx*& context = contexts_->compress;
  if (context == nullptr) context = ZSTD_createCCtx();
  DYNO_CHECK(context != nullptr);
  size_t start = out->size();
  size_t room = ZSTD_compressBound(piece.size());
  out->resize(start + room);
  size_t size =
      ZSTD_compressCCtx(context, out->data() + start, room, piece.data(), piece.size(), kLevel);
  DYNO_CHECK(ZSTD_isError(size) == 0);
  out->resize(start + size);
}

bool Compression::restore(std::string_view compressed, size_t size, std::string* out) {
  ZSTD_DCtx*& context = contexts_->decompress;
  if (context == nullptr) context = ZSTD_createDCtx();
  DYNO_CHECK(context != nullptr);
  if (size == 0 || size > kPieceBytesMax) return false;
  size_t start = out->size();
  out->resize(start + size);
  size_t got =
      ZSTD_decompressDCtx(context, out->data() + start, size, compressed.data(), compressed.size());
  bool is_whole = ZSTD_isError(got) == 0 && got == size;
  if (!is_whole) out->resize(start);
  return is_whole;
}

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
#include "src/delta_dump.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "engine/replica/delta.h"

namespace dyno {
namespace {

// A file is read in such pieces, so that a size that a head claims takes no memory by itself.
constexpr size_t kPieceBytes = 1 << 20;

using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

// Appends bytes of the file until `bytes` are `size` long, or the file ends. False when it cannot
// be read.
bool read_up_to(std::FILE* file, size_t size, std::string* bytes) {
  while (bytes->size() < size) {
    const size_t before = bytes->size();
    bytes->resize(std::min(size, before + kPieceBytes));
    const size_t count = std::fread(bytes->data() + before, 1, bytes->size() - before, file);
    bytes->resize(before + count);
    if (count == 0) return std::ferror(file) == 0;
  }
  return true;
}

std::string why_unread() {
  return std::string("cannot read deltas: ") + std::strerror(errno);
}

bool refuse(const char* path, unsigned long long at, const std::string& why) {
  std::fflush(stdout);
  std::fprintf(stderr, "%s: at byte %llu: %s\n", path, at, why.c_str());
  return false;
}

}  // namespace

bool dump_deltas(const char* path) {
  const File file(std::fopen(path, "rb"), std::fclose);
  if (!file) {
    std::fprintf(stderr, "%s: %s\n", path, why_unread().c_str());
    return false;
  }
  std::string bytes;  // From `at` on; a head's length of them may reach into later frames.
  std::vector<Delta> deltas;
  for (unsigned long long at = 0;;) {
    if (!read_up_to(file.get(), kFrameHeadBytesMax, &bytes)) return refuse(path, at, why_unread());
    if (bytes.empty()) return true;
    size_t size = frame_bytes(bytes);
    if (!read_up_to(file.get(), size, &bytes)) return refuse(path, at, why_unread());
    // What has no size is refused by its head, and what ends too early by its size.
    if (size == 0 || size > bytes.size()) size = bytes.size();
    const std::string refusal = read_frame(std::string_view(bytes).substr(0, size), &deltas);
    if (!refusal.empty()) return refuse(path, at, "no frame of deltas: " + refusal);
    std::printf("frame at byte %llu, %zu bytes\n", at, size);
    for (const Delta& delta : deltas) std::fputs(describe(delta).c_str(), stdout);
    bytes.erase(0, size);
    at += size;
  }
}

}  // namespace dyno

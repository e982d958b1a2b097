// SPDX-License-Identifier: Apache-2.0
#include "engine/disk/log_damage.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <fstream>
#include <string_view>

namespace dyno {
namespace {

constexpr size_t kBlockBytes = size_t{32} << 10;
constexpr size_t kHeadBytes = 7;
constexpr unsigned kTypeMax = 4;

constexpr std::array<uint32_t, 256> kCrcTable = [] {
  constexpr uint32_t kCastagnoli = 0x82f63b78;
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < table.size(); ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kCastagnoli : 0);
    table[i] = crc;
  }
  return table;
}();

uint32_t crc32c(std::string_view bytes) {
  uint32_t crc = UINT32_MAX;
  for (char byte : bytes) crc = kCrcTable[(crc ^ static_cast<uint8_t>(byte)) & 0xff] ^ (crc >> 8);
  return ~crc;
}

uint32_t masked(uint32_t crc) {
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8;
}

// The size of the whole record at the beginning; 0: there is none.
size_t whole_record(std::string_view bytes) {
  if (bytes.size() < kHeadBytes) return 0;
  auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<uint8_t>(bytes[i])); };
  size_t length = byte(4) | byte(5) << 8;
  uint32_t type = byte(6);
  if (type == 0 || type > kTypeMax || kHeadBytes + length > bytes.size()) return 0;
  uint32_t crc = byte(0) | byte(1) << 8 | byte(2) << 16 | byte(3) << 24;
  if (crc != masked(crc32c(bytes.substr(kHeadBytes - 1, length + 1)))) return 0;
  return kHeadBytes + length;
}

// Where the records of a block end, be it that no more are there or that one is not whole.
size_t end_of_records(std::string_view block) {
  size_t at = 0;
  while (size_t size = whole_record(block.substr(at))) at += size;
  return at;
}

bool has_record_behind(std::string_view block, size_t at) {
  for (++at; at + kHeadBytes <= block.size(); ++at) {
    if (whole_record(block.substr(at)) != 0) return true;
  }
  return false;
}

}  // namespace

std::optional<LogDamage> find_log_damage(const std::string& path, LogPart part) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) return LogDamage{0, "it cannot be read"};
  auto size = static_cast<size_t>(file.tellg());
  size_t first = part == LogPart::kAll || size == 0 ? 0 : (size - 1) / kBlockBytes * kBlockBytes;
  file.seekg(static_cast<std::streamoff>(first));
  std::optional<LogDamage> suspect;
  std::string bytes;
  for (size_t offset = first; offset < size; offset += kBlockBytes) {
    bytes.resize(std::min(kBlockBytes, size - offset));
    file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    if (!file) return LogDamage{offset, "it cannot be read"};
    std::string_view block = bytes;
    size_t end = end_of_records(block);
    if (suspect && end != 0) return suspect;
    if (suspect || kBlockBytes - end < kHeadBytes) continue;
    suspect = LogDamage{offset + end, {}};
    if (has_record_behind(block, end)) return suspect;
  }
  return std::nullopt;
}

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
#include "protocol/token.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace dyno {

std::string_view hash_tag(std::string_view key) {
  size_t open = key.find('{');
  if (open == std::string_view::npos) return key;
  size_t close = key.find('}', open + 1);
  if (close == std::string_view::npos || close == open + 1) return key;
  return key.substr(open + 1, close - open - 1);
}

Token token_of(std::string_view key, uint64_t hash_seed) {
  std::string_view tag = hash_tag(key);
  return static_cast<Token>(XXH3_64bits_withSeed(tag.data(), tag.size(), hash_seed) >> 32);
}

KeyHash hash_key(std::string_view key, uint64_t hash_seed) {
  uint64_t whole = XXH3_64bits_withSeed(key.data(), key.size(), hash_seed);
  KeyHash hash{static_cast<Token>(whole >> 32), static_cast<uint32_t>(whole)};
  std::string_view tag = hash_tag(key);
  if (tag.size() != key.size()) {
    hash.token = static_cast<Token>(XXH3_64bits_withSeed(tag.data(), tag.size(), hash_seed) >> 32);
  }
  return hash;
}

}  // namespace dyno

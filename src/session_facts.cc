// SPDX-License-Identifier: Apache-2.0
#include "src/session_facts.h"

#include <cstring>
#include <type_traits>

namespace dyno {
namespace {

constexpr uint8_t kVersion = 1;
constexpr uint8_t kNoTouch = 1;
constexpr uint8_t kTransaction = 2;
constexpr uint8_t kOnlyNode = 4;

template <class Number>
void put(std::string* out, Number number) {
  out->append(reinterpret_cast<const char*>(&number), sizeof number);
}

template <class Number>
bool get(std::string_view* bytes, Number* number) {
  static_assert(std::is_integral_v<Number>);
  if (bytes->size() < sizeof *number) return false;
  std::memcpy(number, bytes->data(), sizeof *number);
  bytes->remove_prefix(sizeof *number);
  return true;
}

}  // namespace

std::string encode(const SessionFacts& facts) {
  std::string out;
  put(&out, kVersion);
  put(&out, facts.db);
  put(&out, facts.protocol);
  int flags = (facts.no_touch ? kNoTouch : 0) | (facts.is_transaction ? kTransaction : 0) |
              (facts.only_node != kNoNode ? kOnlyNode : 0);
  put(&out, static_cast<uint8_t>(flags));
  if (facts.only_node != kNoNode) put(&out, facts.only_node);
  for (const WatchedVersion& watched : facts.watched) {
    put(&out, watched.db);
    put(&out, watched.version.low);
    put(&out, watched.version.high);
    put(&out, static_cast<uint32_t>(watched.key.size()));
    out += watched.key;
  }
  return out;
}

std::optional<SessionFacts> decode_session_facts(std::string_view bytes) {
  SessionFacts facts;
  uint8_t version = 0;
  uint8_t flags = 0;
  bool good = get(&bytes, &version) && version == kVersion && get(&bytes, &facts.db) &&
              facts.db < 16 && get(&bytes, &facts.protocol) &&
              (facts.protocol == 2 || facts.protocol == 3) && get(&bytes, &flags);
  if (good && (flags & kOnlyNode) != 0) good = get(&bytes, &facts.only_node);
  facts.no_touch = (flags & kNoTouch) != 0;
  facts.is_transaction = (flags & kTransaction) != 0;
  while (good && !bytes.empty()) {
    WatchedVersion& watched = facts.watched.emplace_back();
    uint32_t size = 0;
    good = get(&bytes, &watched.db) && get(&bytes, &watched.version.low) &&
           get(&bytes, &watched.version.high) && get(&bytes, &size) && size <= bytes.size();
    if (!good) break;
    watched.key = bytes.substr(0, size);
    bytes.remove_prefix(size);
  }
  if (!good) return std::nullopt;
  return facts;
}

}  // namespace dyno

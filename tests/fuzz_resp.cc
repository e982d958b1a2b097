// SPDX-License-Identifier: Apache-2.0
//
// Fuzz target of the request parser: any bytes, given whole and in pieces, must yield the same
// requests; what the parser holds is bounded by what arrived, not by what a length announces.
#include <algorithm>
#include <string>
#include <vector>

#include "protocol/check.h"
#include "protocol/resp_request.h"

namespace dyno {
namespace {

constexpr size_t kParserBytesPerInputByte = 64;
constexpr size_t kParserBytesFree = 1 << 16;

struct Outcome {
  std::vector<std::vector<std::string>> requests;
  std::string error;
  bool operator==(const Outcome&) const = default;
};

// Parses as a connection does whose reads return `piece` bytes at a time.
Outcome parse_all(std::string_view bytes, size_t piece, const RequestLimits& limits) {
  Outcome outcome;
  RequestParser parser;
  size_t begin = 0;
  size_t arrived = 0;
  while (true) {
    // A copy of its own, so that reading beyond what arrived is seen.
    const std::string unread(bytes.substr(begin, arrived - begin));
    const RequestParser::Status status = parser.parse(unread, limits);
    DYNO_CHECK(parser.memory_bytes() <= kParserBytesFree + kParserBytesPerInputByte * arrived);
    if (status == RequestParser::Status::kError) {
      outcome.error = parser.error();
      DYNO_CHECK(!outcome.error.empty());
      return outcome;
    }
    if (status == RequestParser::Status::kIncomplete) {
      if (arrived == bytes.size()) return outcome;
      arrived = std::min(arrived + piece, bytes.size());
      continue;
    }
    DYNO_CHECK(parser.size() > 0 && parser.size() <= unread.size());
    outcome.requests.emplace_back(parser.args().begin(), parser.args().end());
    begin += parser.size();
    parser.next();
  }
}

}  // namespace
}  // namespace dyno

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static constexpr size_t kInputMax = 4096;
  if (size < 1 || size > kInputMax) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  dyno::RequestLimits limits;
  limits.bulk_bytes_max = 1 << 20;
  limits.authenticated = (data[0] & 1) != 0;
  const dyno::Outcome whole = dyno::parse_all(bytes, bytes.size(), limits);
  DYNO_CHECK(whole == dyno::parse_all(bytes, 1 + (data[0] >> 4), limits));
  std::vector<std::string> words;
  (void)dyno::split_words(bytes, &words);
  return 0;
}

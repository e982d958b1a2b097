// SPDX-License-Identifier: Apache-2.0
// Merging of counts; the order of merging does not matter.
#include "bench/tally.h"

namespace dyno::bench {

std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    out += byte >= 0x20 && byte < 0x7f ? c : '.';
  }
  return out;
}

ErrorKind& ErrorCounts::kind_of(std::string_view kind) {
  for (ErrorKind& known : kinds_) {
    if (known.kind == kind) return known;
  }
  if (kinds_.size() >= kKindsMax && kind != "other") return kind_of("other");
  kinds_.push_back({std::string(kind), 0, {}, 0});
  return kinds_.back();
}

void ErrorCounts::count(std::string_view kind, std::string_view text, std::string_view where,
                        uint64_t at_ns, uint64_t times) {
  ErrorKind& known = kind_of(kind.substr(0, 40));
  if (known.count == 0) {
    known.first = printable(text.substr(0, 200));
    if (!where.empty()) known.first += " (" + std::string(where) + ")";
    known.first_at_ns = at_ns;
  }
  known.count += times;
}

void ErrorCounts::merge(const ErrorCounts& other) {
  for (const ErrorKind& theirs : other.kinds_) {
    ErrorKind& mine = kind_of(theirs.kind);
    if (mine.count == 0 || theirs.first_at_ns < mine.first_at_ns) {
      mine.first = theirs.first;
      mine.first_at_ns = theirs.first_at_ns;
    }
    mine.count += theirs.count;
  }
}

uint64_t ErrorCounts::total() const {
  uint64_t sum = 0;
  for (const ErrorKind& known : kinds_) sum += known.count;
  return sum;
}

void Cell::merge(const Cell& other) {
  service.merge(other.service);
  intended.merge(other.intended);
  misses += other.misses;
}

void Tally::merge(const Tally& other) {
  if (cells.empty()) {
    operation_count = other.operation_count;
    cells.resize(other.cells.size());
    endpoints.resize(other.endpoints.size());
  }
  for (size_t i = 0; i < cells.size(); ++i) cells[i].merge(other.cells[i]);
  for (size_t i = 0; i < endpoints.size(); ++i) {
    endpoints[i].requests += other.endpoints[i].requests;
    endpoints[i].failed += other.endpoints[i].failed;
    endpoints[i].connects += other.endpoints[i].connects;
    endpoints[i].disconnects += other.endpoints[i].disconnects;
  }
  errors.merge(other.errors);
  answered += other.answered;
  failed += other.failed;
  error_replies += other.error_replies;
  unanswered += other.unanswered;
  not_sent += other.not_sent;
  failovers += other.failovers;
  bytes_out += other.bytes_out;
  bytes_in += other.bytes_in;
}

}  // namespace dyno::bench

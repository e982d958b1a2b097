// SPDX-License-Identifier: Apache-2.0
// The end of a verified run: every written cell is read from every endpoint, judged and compared.
#include <algorithm>
#include <charconv>
#include <unordered_set>

#include "bench/control.h"
#include "bench/verify.h"

namespace dyno::bench {

namespace {

constexpr size_t kBatch = 128;
constexpr unsigned kTimeout_ms = 10'000;

uint64_t digest_of(const std::vector<std::string>& leaves) {
  uint64_t sum = 14695981039346656037u;
  for (const std::string& leaf : leaves) {
    for (const char c : leaf) sum = (sum ^ static_cast<unsigned char>(c)) * 1099511628211u;
    sum = (sum ^ 0x100u) * 1099511628211u;
  }
  return sum;
}

}  // namespace

VerifyLane& ReadBack::lane_of(uint64_t cell) {
  return *lanes_[cell % settings_.clients % settings_.threads];
}

VerifyFindings ReadBack::run() {
  VerifyFindings findings;
  const uint64_t rows = (settings_.cells + settings_.clients - 1) / settings_.clients;
  first_.assign(rows * settings_.clients, {});
  for (size_t endpoint = 0; endpoint < access_.endpoints.size(); ++endpoint) {
    if (!read_endpoint(endpoint, findings)) continue;
  }
  return findings;
}

bool ReadBack::read_endpoint(size_t endpoint, VerifyFindings& findings) {
  Control control;
  const auto give_up = [&] {
    findings.unreachable.push_back(access_.endpoints[endpoint].label() + ": " + control.error());
    return false;
  };
  if (!control.connect(access_, endpoint, kTimeout_ms)) return give_up();
  std::vector<uint64_t> batch;
  OutBuffer out;
  std::vector<std::string> leaves;
  const auto read_batch = [&] {
    if (!control.send(out)) return false;
    out.clear();
    for (const uint64_t cell : batch) {
      Reply reply;
      leaves.clear();
      const bool list = lane_of(cell).kind_of(cell) == CellKind::kList;
      if (!control.receive(reply, list ? &leaves : nullptr)) return false;
      judge(cell, reply, leaves, endpoint, findings);
    }
    batch.clear();
    return true;
  };
  for (uint64_t cell = 0; cell < first_.size(); ++cell) {
    VerifyLane& lane = lane_of(cell);
    if (lane.cell_at(cell).sent == 0) continue;
    lane.render_read_back(cell, out);
    batch.push_back(cell);
    if (batch.size() == kBatch && !read_batch()) return give_up();
  }
  return read_batch() || give_up();
}

void ReadBack::judge(uint64_t cell, const Reply& reply, const std::vector<std::string>& leaves,
                     size_t endpoint, VerifyFindings& findings) {
  VerifyLane& lane = lane_of(cell);
  const std::string where = ", " + access_.endpoints[endpoint].label();
  ++findings.cells_read_back;
  State now{true, {}, 0};
  if (reply.kind == ReplyKind::kError) {
    // Where nothing was acknowledged nothing can be missing.
    if (lane.cell_at(cell).acked == 0) return;
    findings.add(VerifyFindings::kLost,
                 lane.key_of(cell) + ": read back answered " + std::string(reply.text) + where);
    return;
  }
  if (lane.kind_of(cell) == CellKind::kList) {
    judge_list(cell, leaves, where, findings);
    now.digest = digest_of(leaves);
  } else {
    now.seen = lane.interpret(cell, reply);
    if (!lane.acceptable(cell, now.seen)) {
      const VerifyLane::Cell& state = lane.cell_at(cell);
      const bool counter = lane.kind_of(cell) == CellKind::kCounter;
      const bool beyond =
          now.seen.present && now.seen.versioned && now.seen.version > int64_t{state.sent};
      auto kind = VerifyFindings::kLost;
      if (counter) {
        kind = VerifyFindings::kCounter;
      } else if (now.seen.broken || beyond) {
        kind = VerifyFindings::kCorrupt;
      } else if (now.seen.present && !state.present) {
        kind = VerifyFindings::kResurrected;
      }
      findings.add(kind, lane.describe(cell, now.seen) + where);
    }
  }
  State& first = first_[cell];
  if (!first.read) {
    first = now;
  } else if (first.digest != now.digest || first.seen.present != now.seen.present ||
             first.seen.version != now.seen.version || first.seen.broken != now.seen.broken) {
    findings.add(VerifyFindings::kDisagreement,
                 lane.describe(cell, now.seen) + where + " differs from an earlier endpoint");
  }
}

// Acknowledged pushes since the last acknowledged DEL must all be there, once each; of pushes
// before it none may; unknown pushes may, and behind an unknown DEL any earlier push may be
// missing.
void ReadBack::judge_list(uint64_t cell, const std::vector<std::string>& leaves,
                          const std::string& where, VerifyFindings& findings) {
  VerifyLane& lane = lane_of(cell);
  const VerifyLane::Cell& state = lane.cell_at(cell);
  const auto at = lane.unknown_.find(cell);
  const std::string key = lane.key_of(cell);
  std::unordered_set<uint32_t> unknown;
  uint32_t unknown_delete = 0;
  if (at != lane.unknown_.end()) {
    for (const auto& entry : at->second) {
      if (entry.present) {
        unknown.insert(entry.version);
      } else {
        unknown_delete = std::max(unknown_delete, entry.version);
      }
    }
  }
  std::unordered_set<uint32_t> found;
  for (const std::string& leaf : leaves) {
    const VerifyLane::Seen seen = lane.interpret_value(cell, leaf);
    if (seen.broken || seen.version > int64_t{state.sent}) {
      findings.add(VerifyFindings::kCorrupt, key + ": an element that was never pushed" + where);
      continue;
    }
    const auto version = static_cast<uint32_t>(seen.version);
    if (!found.insert(version).second) {
      findings.add(VerifyFindings::kDuplicate,
                   key + ": element " + std::to_string(version) + " twice" + where);
    }
    if (version <= state.extra && !unknown.contains(version) && !state.blurred) {
      findings.add(VerifyFindings::kResurrected, key + ": element " + std::to_string(version) +
                                                     " deleted by " + std::to_string(state.extra) +
                                                     where);
    }
  }
  if (state.blurred) return;
  for (uint32_t version = state.extra + 1; version <= state.acked; ++version) {
    if (found.contains(version) || unknown.contains(version) || version < unknown_delete) continue;
    if (version == unknown_delete) continue;
    findings.add(VerifyFindings::kLost,
                 key + ": element " + std::to_string(version) + " missing" + where);
  }
}

}  // namespace dyno::bench

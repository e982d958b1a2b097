// SPDX-License-Identifier: Apache-2.0
// The ledger: what was written, what was acknowledged, and whether a read agrees.
#include "bench/verify.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>

#include "bench/command_template.h"
#include "bench/control.h"
#include "bench/tally.h"

namespace dyno::bench {

namespace {

constexpr unsigned kActions = 3;
constexpr size_t kUnknownMax = 16;
constexpr size_t kHeaderBytes = 38;
constexpr std::array<const char*, 6> kKindNames{"string", "hash", "set", "zset", "counter", "list"};
constexpr std::array<std::array<const char*, kActions>, 6> kVerbs{{
    {"SET", "GET", "DEL"},
    {"HSET", "HGET", "HDEL"},
    {"SADD", "SISMEMBER", "SREM"},
    {"ZADD", "ZSCORE", "ZREM"},
    {"INCR", "GET counter", "DEL counter"},
    {"RPUSH", "LINDEX", "DEL list"},
}};

uint64_t mix(uint64_t a, uint64_t b, uint64_t c) {
  uint64_t state = a ^ (b * 0x9e3779b97f4a7c15u) ^ (c * 0xc2b2ae3d27d4eb4fu);
  return splitmix(state);
}

bool number(std::string_view text, int64_t& value) {
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && stop == text.data() + text.size();
}

}  // namespace

bool parse_cell_kinds(std::string_view text, std::vector<CellKind>& kinds, std::string& why) {
  kinds.clear();
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    const std::string_view name = text.substr(begin, end - begin);
    begin = end + 1;
    const auto found = std::find(kKindNames.begin(), kKindNames.end(), name);
    if (found == kKindNames.end()) {
      why = "'" + std::string(name) +
            "' cannot be verified; use string, hash, set, zset, counter, list";
      return false;
    }
    kinds.push_back(static_cast<CellKind>(found - kKindNames.begin()));
  }
  return true;
}

void VerifyFindings::add(Kind kind, const std::string& text) {
  ++counts[kind];
  if (listed[kind].size() < kListedMax) listed[kind].push_back(printable(text));
}

void VerifyFindings::merge(const VerifyFindings& other) {
  for (size_t kind = 0; kind < kKinds; ++kind) {
    counts[kind] += other.counts[kind];
    for (const std::string& text : other.listed[kind]) {
      if (listed[kind].size() < kListedMax) listed[kind].push_back(text);
    }
  }
  reads_checked += other.reads_checked;
  writes_acknowledged += other.writes_acknowledged;
  writes_unknown += other.writes_unknown;
  cells_read_back += other.cells_read_back;
  unreachable.insert(unreachable.end(), other.unreachable.begin(), other.unreachable.end());
}

uint64_t VerifyFindings::total() const {
  uint64_t sum = 0;
  for (const uint64_t count : counts) sum += count;
  return sum;
}

VerifyLane::VerifyLane(const VerifySettings& settings, unsigned lane)
    : settings_(settings),
      lane_clients_(settings.clients / settings.threads +
                    (lane < settings.clients % settings.threads ? 1 : 0)) {
  const uint64_t per_client = (settings.cells + settings.clients - 1) / settings.clients;
  cells_.resize(per_client * lane_clients_);
}

Workload VerifyLane::workload() {
  Workload workload;
  workload.name = "verify";
  for (const auto& verbs : kVerbs) {
    for (const char* verb : verbs) {
      Operation operation;
      operation.name = verb;
      workload.operations.push_back(std::move(operation));
    }
  }
  workload.seal();
  return workload;
}

CellKind VerifyLane::kind_of(uint64_t cell) const {
  return settings_.kinds[cell / settings_.clients % settings_.kinds.size()];
}

VerifyLane::Cell& VerifyLane::cell_at(uint64_t cell) {
  const uint64_t client = cell % settings_.clients;
  return cells_[cell / settings_.clients * lane_clients_ + client / settings_.threads];
}

// Hash fields, set and sorted set members of 16 neighbouring cells share a collection, and
// neighbours belong to different clients: so elements of one collection are written concurrently.
std::string VerifyLane::key_of(uint64_t cell) const {
  const CellKind kind = kind_of(cell);
  const bool shared = kind == CellKind::kHash || kind == CellKind::kSet || kind == CellKind::kZset;
  char text[64];
  std::snprintf(text, sizeof text, "verify:%08llx:%c:%012llu",
                static_cast<unsigned long long>(settings_.run & 0xffffffff),
                "hHSZcl"[static_cast<int>(kind)],
                static_cast<unsigned long long>(shared ? cell / 16 : cell));
  return text;
}

std::string VerifyLane::value_of(uint64_t cell, uint32_t version) const {
  const uint64_t hash = mix(settings_.run, cell, version);
  char head[64];
  std::snprintf(head, sizeof head,
                "dyno:%012llu:%010u:%08x:", static_cast<unsigned long long>(cell), version,
                static_cast<uint32_t>(hash));
  std::string text(head, kHeaderBytes);
  const size_t padding =
      settings_.value_bytes - std::min<size_t>(settings_.value_bytes, kHeaderBytes);
  text += data_pool(settings_.value_bytes).substr((hash >> 32) % (32 * 1024), padding);
  return text;
}

void VerifyLane::render(uint64_t cell, Action action, uint32_t version, OutBuffer& out) const {
  const std::string key = key_of(cell);
  const std::string member = "m" + std::to_string(cell);
  switch (kind_of(cell)) {
    case CellKind::kString:
      if (action == kWrite) append_command(out, {"SET", key, value_of(cell, version)});
      if (action == kRead) append_command(out, {"GET", key});
      if (action == kDelete) append_command(out, {"DEL", key});
      break;
    case CellKind::kHash:
      if (action == kWrite) append_command(out, {"HSET", key, member, value_of(cell, version)});
      if (action == kRead) append_command(out, {"HGET", key, member});
      if (action == kDelete) append_command(out, {"HDEL", key, member});
      break;
    case CellKind::kSet:
      if (action == kWrite) append_command(out, {"SADD", key, member});
      if (action == kRead) append_command(out, {"SISMEMBER", key, member});
      if (action == kDelete) append_command(out, {"SREM", key, member});
      break;
    case CellKind::kZset:
      if (action == kWrite) append_command(out, {"ZADD", key, std::to_string(version), member});
      if (action == kRead) append_command(out, {"ZSCORE", key, member});
      if (action == kDelete) append_command(out, {"ZREM", key, member});
      break;
    case CellKind::kCounter:
      if (action == kWrite) append_command(out, {"INCR", key});
      if (action == kRead) append_command(out, {"GET", key});
      break;
    case CellKind::kList:
      if (action == kWrite) append_command(out, {"RPUSH", key, value_of(cell, version)});
      if (action == kRead) append_command(out, {"LINDEX", key, "-1"});
      if (action == kDelete) append_command(out, {"DEL", key});
      break;
  }
}

void VerifyLane::render_read_back(uint64_t cell, OutBuffer& out) const {
  if (kind_of(cell) == CellKind::kList) {
    append_command(out, {"LRANGE", key_of(cell), "0", "-1"});
  } else {
    render(cell, kRead, 0, out);
  }
}

VerifyLane::Issued VerifyLane::issue(uint32_t client, uint64_t drawn, Random& random,
                                     OutBuffer& out) {
  const uint64_t rows = cells_.size() / lane_clients_;
  const uint64_t cell = drawn / settings_.clients % rows * settings_.clients + client;
  const CellKind kind = kind_of(cell);
  Cell& state = cell_at(cell);
  const double u = random.unit();
  Action action = kWrite;
  if (u < settings_.read_share) {
    action = kRead;
  } else if (u < settings_.read_share + settings_.delete_share && kind != CellKind::kCounter) {
    action = kDelete;
  }
  const uint32_t version = action == kRead ? 0 : ++state.sent;
  render(cell, action, version, out);
  return {static_cast<uint32_t>(kind) * kActions + action, cell, version};
}

void VerifyLane::note_unknown(uint64_t cell, uint32_t version, bool present) {
  ++findings_.writes_unknown;
  auto& list = unknown_[cell];
  if (list.size() >= kUnknownMax) {
    cell_at(cell).blurred = true;
  } else {
    list.push_back({version, present});
  }
}

void VerifyLane::on_lost(uint32_t operation, uint64_t cell, uint32_t tag) {
  const auto action = static_cast<Action>(operation % kActions);
  if (action == kRead) return;
  if (kind_of(cell) == CellKind::kCounter) {
    ++cell_at(cell).extra;
    ++findings_.writes_unknown;
  } else {
    note_unknown(cell, tag, action == kWrite);
  }
}

void VerifyLane::on_reply(uint32_t operation, uint64_t cell, uint32_t tag, const Reply& reply,
                          uint16_t endpoint, uint64_t now) {
  (void)now;
  const auto action = static_cast<Action>(operation % kActions);
  if (reply.kind == ReplyKind::kError) {
    on_lost(operation, cell, tag);
    return;
  }
  if (action == kRead) {
    judge_read(cell, reply, endpoint);
    return;
  }
  Cell& state = cell_at(cell);
  ++findings_.writes_acknowledged;
  if (kind_of(cell) == CellKind::kCounter) {
    ++state.acked;
    state.present = true;
    // One client increments this counter, so the reply must be its own tally.
    if (reply.kind != ReplyKind::kInteger || reply.count < state.acked ||
        reply.count > int64_t{state.acked} + state.extra) {
      findings_.add(VerifyFindings::kCounter,
                    key_of(cell) + ": INCR answered " + std::to_string(reply.count) + " after " +
                        std::to_string(state.acked) + " acknowledged and " +
                        std::to_string(state.extra) + " unknown increments, endpoint " +
                        std::to_string(endpoint));
    }
    return;
  }
  state.acked = tag;
  state.present = action == kWrite;
  if (kind_of(cell) == CellKind::kList && action == kDelete) state.extra = tag;
}

VerifyLane::Seen VerifyLane::interpret_value(uint64_t cell, std::string_view text) const {
  Seen seen;
  seen.present = true;
  const bool shaped = text.size() >= kHeaderBytes && text.substr(0, 5) == "dyno:" &&
                      number(text.substr(18, 10), seen.version);
  seen.broken = !shaped || seen.version < 1 || seen.version > UINT32_MAX ||
                text != value_of(cell, static_cast<uint32_t>(seen.version));
  return seen;
}

VerifyLane::Seen VerifyLane::interpret(uint64_t cell, const Reply& reply) const {
  Seen seen;
  const CellKind kind = kind_of(cell);
  if (kind == CellKind::kSet) {
    seen.present = reply.count != 0;
    seen.versioned = false;
    seen.broken = reply.kind != ReplyKind::kInteger;
    return seen;
  }
  if (reply.kind == ReplyKind::kNull) return seen;
  const bool text = reply.kind == ReplyKind::kBulk || reply.kind == ReplyKind::kDouble;
  if (kind == CellKind::kZset || kind == CellKind::kCounter) {
    seen.present = true;
    seen.broken = !text || !number(reply.text, seen.version);
    return seen;
  }
  seen.present = true;
  seen.broken = true;
  return text ? interpret_value(cell, reply.text) : seen;
}

bool VerifyLane::acceptable(uint64_t cell, const Seen& seen) {
  const Cell& state = cell_at(cell);
  if (seen.broken) return false;
  if (kind_of(cell) == CellKind::kCounter) {
    return seen.version >= state.acked && seen.version <= int64_t{state.acked} + state.extra;
  }
  if (seen.versioned && seen.present && seen.version > int64_t{state.sent}) return false;
  if (state.blurred) return true;
  if (seen.present == state.present &&
      (!seen.present || !seen.versioned || seen.version == int64_t{state.acked})) {
    return true;
  }
  const auto found = unknown_.find(cell);
  if (found == unknown_.end()) return false;
  return std::any_of(found->second.begin(), found->second.end(), [&](const Unknown& unknown) {
    return seen.present == unknown.present &&
           (!seen.present || !seen.versioned || seen.version == int64_t{unknown.version});
  });
}

std::string VerifyLane::describe(uint64_t cell, const Seen& seen) {
  const Cell& state = cell_at(cell);
  std::string text = key_of(cell) + " m" + std::to_string(cell) + ": expected ";
  text += state.present ? "version " + std::to_string(state.acked) : std::string("nothing");
  if (!state.present && state.acked > 0)
    text += " (deleted by " + std::to_string(state.acked) + ")";
  text += ", found ";
  if (seen.broken) return text + "a value that was never written there";
  if (!seen.present) return text + "nothing";
  return text + (seen.versioned ? "version " + std::to_string(seen.version) : std::string("it"));
}

void VerifyLane::judge_read(uint64_t cell, const Reply& reply, uint16_t endpoint) {
  ++findings_.reads_checked;
  const Seen seen = interpret(cell, reply);
  if (acceptable(cell, seen)) return;
  const std::string text = describe(cell, seen) + ", endpoint " + std::to_string(endpoint);
  const bool never_sent =
      seen.broken || (seen.present && seen.versioned && seen.version > int64_t{cell_at(cell).sent});
  findings_.add(never_sent ? VerifyFindings::kCorrupt : VerifyFindings::kStale, text);
}

}  // namespace dyno::bench

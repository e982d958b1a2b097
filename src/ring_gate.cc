// SPDX-License-Identifier: Apache-2.0
#include "src/ring_gate.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

#include "engine/error_counts.h"
#include "protocol/number.h"
#include "src/request_text.h"
#include "src/ring_node.h"
#include "src/server.h"

namespace dyno {
namespace {

// Replies that one client may be owed; a pipeline that is longer waits.
constexpr size_t kPendingMax = 512;
// How long a command that blocks waits at its owner in one go. A client that leaves meanwhile is
// still waited for there until then.
constexpr double kBlockSliceS = 1.0;

// What the parts of a split command come to.
enum class Merging : uint8_t { kArray, kSum, kAllOk };

struct Gather {
  Merging merging = Merging::kArray;
  size_t missing = 0;
  std::vector<std::vector<uint32_t>> groups;
  std::vector<std::string> replies;
};

std::string merged(const Gather& gather) {
  for (const std::string& reply : gather.replies) {
    if (is_error_reply(reply)) return reply;
  }
  if (gather.merging == Merging::kAllOk) return gather.replies.front();
  if (gather.merging == Merging::kSum) {
    int64_t sum = 0;
    for (const std::string& reply : gather.replies) sum += integer_of_reply(reply).value_or(0);
    return ":" + std::to_string(sum) + "\r\n";
  }
  size_t count = 0;
  for (const auto& group : gather.groups) count += group.size();
  std::vector<std::string_view> elements(count);
  for (size_t i = 0; i < gather.groups.size(); ++i) {
    auto parts = elements_of_reply(gather.replies[i]);
    if (!parts || parts->size() != gather.groups[i].size()) {
      return "-ERR a node of the ring gave an answer that cannot be understood\r\n";
    }
    for (size_t j = 0; j < parts->size(); ++j) elements[gather.groups[i][j]] = (*parts)[j];
  }
  std::string text = "*" + std::to_string(count) + "\r\n";
  for (std::string_view element : elements) text += element;
  return text;
}

bool may_split(const CommandSpec& spec) {
  return spec.name == "MGET" || spec.name == "MSET" || spec.name == "DEL" ||
         spec.name == "UNLINK" || spec.name == "EXISTS" || spec.name == "TOUCH";
}

bool has_arity(const CommandSpec& spec, Args args) {
  auto count = static_cast<int>(args.size());
  return spec.arity > 0 ? count == spec.arity : count >= -spec.arity;
}

}  // namespace

RingGate::RingGate(RingNode& node, NetworkThread& thread, Lane& lane)
    : node_(node), thread_(thread), lane_(lane) {
  const Topology& topology = node.topology();
  rack_ = topology.rack(topology.node(node.self()).rack_number).nodes;
  const CommandTable& commands = node.server().commands();
  specials_.resize(commands.all().size());
  static constexpr std::pair<std::string_view, Special> kSpecials[] = {
      {"EXEC", Special::kExec},
      {"WATCH", Special::kWatch},
      {"UNWATCH", Special::kForgetsWatches},
      {"DISCARD", Special::kForgetsWatches},
      {"RESET", Special::kForgetsWatches},
      {"DBSIZE", Special::kCount},
      {"KEYS", Special::kNames},
      {"SCAN", Special::kScan},
      {"RANDOMKEY", Special::kRandom},
      {"FLUSHALL", Special::kFlush},
      {"FLUSHDB", Special::kFlush},
      {"SWAPDB", Special::kSwap},
      {"SORT", Special::kSort},
      {"SORT_RO", Special::kSort},
  };
  for (const auto& [name, special] : kSpecials) {
    const CommandSpec* spec = commands.find_name(name);
    if (spec != nullptr) specials_[commands.index_of(*spec)] = special;
  }
}

RingGate::Special RingGate::special_of(const CommandSpec& spec) const {
  return specials_[node_.server().commands().index_of(spec)];
}

RingGate::Take RingGate::park(Client& client, size_t until) {
  client.parked = true;
  client.parked_until = until;
  return Take::kParked;
}

Level RingGate::level_of(const Client& client, bool write) const {
  const Config::Ring& ring = node_.server().config().ring;
  const auto& own = write ? client.write_level : client.read_level;
  const auto& common = write ? ring.write_consistency : ring.read_consistency;
  return own.value_or(common.load(std::memory_order_relaxed));
}

SessionFacts RingGate::facts_of(const Client& client) const {
  SessionFacts facts;
  facts.db = static_cast<uint8_t>(client.db);
  facts.protocol = static_cast<uint8_t>(client.protocol);
  facts.no_touch = client.no_touch;
  return facts;
}

RingGate::Take RingGate::refuse(Client& client, std::string_view error) {
  if (!client.pending.empty()) return park(client, 0);
  count_error(error);
  client.reply_begun = client.out.size();
  client.reply.error(error);
  return Take::kTaken;
}

// A pending request above DC_ONE may run later than one that came after it.
bool RingGate::meets_pending(const Client& client, bool write, std::span<const Token> tokens) {
  for (const Place& place : client.pending) {
    if (place->done || (!write && !place->write)) continue;
    for (Token token : tokens) {
      if (std::find(place->tokens.begin(), place->tokens.end(), token) != place->tokens.end()) {
        return true;
      }
    }
  }
  return false;
}

RingGate::Take RingGate::take(Client& client, Args args, std::string_view bytes, int64_t) {
  const CommandSpec* spec = node_.server().commands().find(args);
  if (spec == nullptr || !client.authenticated || !has_arity(*spec, args)) return Take::kHere;
  Special special = special_of(*spec);
  if (!client.pending.empty() && is_full()) return park(client, 0);
  if (client.in_multi && (spec->flags & kControlsMulti) == 0) return Take::kHere;
  static thread_local std::vector<int> indexes;
  indexes.clear();
  if (!CommandTable::key_indexes(*spec, args, &indexes)) return Take::kHere;
  if (special == Special::kNone && !indexes.empty()) {
    if ((spec->flags & kBlocking) != 0 && !client.pending.empty()) return park(client, 0);
    return take_keyed(client, *spec, args, indexes, bytes);
  }
  if (!client.pending.empty()) return park(client, 0);
  switch (special) {
    case Special::kNone:
      return Take::kHere;
    case Special::kExec:
      return take_exec(client);
    case Special::kWatch:
      return client.in_multi ? Take::kHere : take_watch(client, args);
    case Special::kForgetsWatches:
      client.remote_watches.clear();
      return Take::kHere;
    case Special::kSort:
      if (rack_.size() > 1 && spec->locks_all != nullptr && spec->locks_all(args)) {
        return refuse(client, "ERR BY and GET patterns of SORT need keys that other nodes own");
      }
      return take_keyed(client, *spec, args, indexes, bytes);
    case Special::kSwap:
      return refuse(client, "ERR SWAPDB is not possible on a ring");
    default:
      return take_wide(client, special, args);
  }
}

RingGate::Take RingGate::take_keyed(Client& client, const CommandSpec& spec, Args args,
                                    const std::vector<int>& indexes, std::string_view bytes) {
  static thread_local std::vector<Token> tokens;
  tokens.clear();
  const Keyspace& keyspace = node_.server().keyspace();
  for (int index : indexes) {
    tokens.push_back(keyspace.hash(args[static_cast<size_t>(index)]).token);
  }
  bool write = (spec.flags & kWrite) != 0;
  Level level = level_of(client, write);
  Plan plan = lane_.plan(tokens, write, may_split(spec), level);
  if (!client.pending.empty()) {
    if (client.pending.size() >= kPendingMax) return park(client, kPendingMax / 2);
    bool in_order = level == Level::kDcOne && plan.kind != Plan::Kind::kLocal;
    if (!in_order && meets_pending(client, write, tokens)) return park(client, 0);
  }
  if (plan.kind == Plan::Kind::kLocal) return Take::kHere;
  if (plan.kind == Plan::Kind::kRefuse) {
    Place place = add_place(client);
    settle(client.id, place, std::move(plan.refusal));
    return Take::kTaken;
  }
  if (plan.kind == Plan::Kind::kScatter) {
    scatter(client, spec, args, indexes, plan, level);
    return Take::kTaken;
  }
  Asked asked;
  for (size_t i = 0; i < indexes.size(); ++i) {
    asked.keys.push_back({static_cast<uint8_t>(client.db),
                          std::string(args[static_cast<size_t>(indexes[i])]), tokens[i]});
  }
  asked.facts = facts_of(client);
  asked.level = level;
  asked.write = write;
  if (bytes.starts_with('*')) {
    asked.command = bytes;
  } else {
    append_request(&asked.command, {args.begin(), args.end()});
  }
  if ((spec.flags & kBlocking) != 0) return take_blocking(client, spec, args, std::move(asked));
  Place place = add_place(client);
  place->write = write;
  place->tokens = tokens;
  begin(client.id, place, std::move(asked), {});
  return Take::kTaken;
}

void RingGate::scatter(Client& client, const CommandSpec& spec, Args args,
                       const std::vector<int>& indexes, const Plan& plan, Level level) {
  auto gather = std::make_shared<Gather>();
  gather->merging = spec.name == "MGET"   ? Merging::kArray
                    : spec.name == "MSET" ? Merging::kAllOk
                                          : Merging::kSum;
  gather->groups = plan.groups;
  gather->missing = plan.groups.size();
  gather->replies.resize(plan.groups.size());
  Place place = add_place(client);
  place->write = (spec.flags & kWrite) != 0;
  for (int index : indexes) {
    place->tokens.push_back(node_.server().keyspace().hash(args[static_cast<size_t>(index)]).token);
  }
  for (size_t i = 0; i < plan.groups.size(); ++i) {
    Asked asked;
    std::vector<std::string_view> part = {args[0]};
    for (uint32_t key : plan.groups[i]) {
      auto at = static_cast<size_t>(indexes[key]);
      for (size_t j = 0; j < static_cast<size_t>(spec.keys.step); ++j) {
        if (at + j < args.size()) part.push_back(args[at + j]);
      }
      asked.keys.push_back(
          {static_cast<uint8_t>(client.db), std::string(args[at]), place->tokens[key]});
    }
    append_request(&asked.command, part);
    asked.facts = facts_of(client);
    asked.level = level;
    asked.write = place->write;
    begin(client.id, place, std::move(asked),
          [this, gather, i, place, id = client.id](std::string reply) {
            gather->replies[i] = std::move(reply);
            if (--gather->missing == 0) settle(id, place, merged(*gather));
          });
  }
}

RingGate::Place RingGate::make_place() const {
  return std::make_shared<PendingReply>(reply_bytes_);
}

int64_t RingGate::pending_bytes() const {
  return reply_bytes_->load() + static_cast<int64_t>(lane_.coordinator().unanswered_bytes());
}

bool RingGate::is_full() const {
  return pending_bytes() > node_.server().config().ring.pending_bytes_max.load();
}

RingGate::Place RingGate::add_place(Client& client) {
  Place place = make_place();
  place->silent = client.reply_mode != ReplyMode::kOn;
  if (client.reply_mode == ReplyMode::kSkipThis) client.reply_mode = ReplyMode::kOn;
  client.pending.push_back(place);
  return place;
}

void RingGate::begin(uint64_t client, const Place& place, Asked asked, Then then) {
  Now now = ring_now();
  Request request;
  request.id = waiting_.add();
  request.write = asked.write;
  request.repeatable = !asked.write;
  request.level = asked.level;
  request.deadline_us = kNever;
  if (asked.has_deadline) {
    request.deadline_us =
        now.mono_us + node_.server().config().ring.timeout_ms.load() * kMicrosPerMs;
  }
  request.keys = std::move(asked.keys);
  request.context = encode(asked.facts);
  request.command = std::move(asked.command);
  *waiting_.find(request.id) = {client, place, std::move(then)};
  lane_.begin(now, std::move(request));
}

void RingGate::answer(Outbox::Answer& answer) {
  Waiting* found = waiting_.find(answer.request);
  if (found == nullptr) return;
  Waiting waiting = std::move(*found);
  waiting_.erase(answer.request);
  if (waiting.then) return waiting.then(std::move(answer.bytes));
  settle(waiting.client, waiting.place, std::move(answer.bytes));
}

void RingGate::settle(uint64_t client, const Place& place, std::string bytes) {
  if (bytes.starts_with('-')) {
    count_error(std::string_view(bytes).substr(1, bytes.find("\r\n") - 1));
  }
  place->settle(std::move(bytes));
  if (answered_.empty() || answered_.back() != client) answered_.push_back(client);
}

void RingGate::flush_answered() {
  if (answered_.empty()) return;
  std::vector<uint64_t> clients;
  clients.swap(answered_);
  std::sort(clients.begin(), clients.end());
  clients.erase(std::unique(clients.begin(), clients.end()), clients.end());
  for (uint64_t id : clients) thread_.hand_over_pending(id);
}

// --- Blocking commands --------------------------------------------------------------------------

// They wait at their owner a slice of their time at once, so that nothing waits there for long on
// behalf of a client that has gone.
RingGate::Take RingGate::take_blocking(Client& client, const CommandSpec& spec, Args args,
                                       Asked asked) {
  size_t timeout_at = spec.name == "BLMPOP" || spec.name == "BZMPOP" ? 1 : args.size() - 1;
  auto timeout_s = parse_double(args[timeout_at]);
  Place place = add_place(client);
  bool is_time = timeout_s && std::isfinite(*timeout_s) && *timeout_s >= 0 && *timeout_s < 1e9;
  if (!is_time) {
    // Its owner knows what to answer.
    begin(client.id, place, std::move(asked), {});
    return Take::kTaken;
  }
  int64_t end_us = kNever;
  if (*timeout_s > 0) end_us = monotonic_us() + static_cast<int64_t>(*timeout_s * 1e6);
  asked.has_deadline = false;
  block_on(client.id, place, asked, {args.begin(), args.end()}, timeout_at, end_us);
  return Take::kTaken;
}

void RingGate::block_on(uint64_t client, const Place& place, const Asked& asked,
                        std::vector<std::string> args, size_t timeout_at, int64_t end_us) {
  double left_s =
      end_us == kNever ? kBlockSliceS : static_cast<double>(end_us - monotonic_us()) / 1e6;
  args[timeout_at] = std::to_string(std::clamp(left_s, 0.001, kBlockSliceS));
  Asked slice = asked;
  slice.command.clear();
  append_request(&slice.command, {args.begin(), args.end()});
  begin(client, place, std::move(slice),
        [this, client, place, asked, args, timeout_at, end_us](std::string reply) {
          bool go_on = is_null_reply(reply) && thread_.has_client(client) &&
                       (end_us == kNever || monotonic_us() < end_us);
          if (!go_on) return settle(client, place, std::move(reply));
          block_on(client, place, asked, args, timeout_at, end_us);
        });
}

}  // namespace dyno

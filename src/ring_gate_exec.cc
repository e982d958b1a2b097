// SPDX-License-Identifier: Apache-2.0
//
// Transactions of a ring. The commands are queued where the client is connected. EXEC needs one
// owner for all their keys: it runs here when this node is, and travels there as a whole otherwise.
//
// WATCH of a key that another node owns takes note of the key's version there; EXEC carries it, and
// the owner runs nothing when the key has another.
#include <algorithm>
#include <utility>

#include "protocol/number.h"
#include "src/request_text.h"
#include "src/ring_gate.h"
#include "src/ring_node.h"
#include "src/server.h"

namespace dyno {

// What a transaction touches; why it cannot run on a ring, empty when it can.
std::string RingGate::exec_keys(const Client& client, Asked* asked) const {
  const Keyspace& keyspace = node_.server().keyspace();
  int db = client.db;
  std::vector<int> indexes;
  for (const QueuedCommand& queued : client.queue) {
    Special special = special_of(*queued.spec);
    bool is_wide = special != Special::kNone && special != Special::kSort &&
                   special != Special::kForgetsWatches && special != Special::kExec;
    if (is_wide && (rack_.size() > 1 || special == Special::kSwap)) {
      return std::string(queued.spec->name) + " needs other nodes";
    }
    asked->write = asked->write || (queued.spec->flags & kWrite) != 0;
    if (queued.spec->name == "SELECT") {
      auto to = parse_int64(queued.args[1]);
      if (to && *to >= 0 && *to < 16) db = static_cast<int>(*to);
    }
    indexes.clear();
    if (!CommandTable::key_indexes(*queued.spec, queued.args, &indexes)) continue;
    for (int index : indexes) {
      std::string_view name = queued.args[static_cast<size_t>(index)];
      asked->keys.push_back(
          {static_cast<uint8_t>(db), std::string(name), keyspace.hash(name).token});
    }
  }
  for (const RemoteWatch& watched : client.remote_watches) {
    asked->keys.push_back(
        {static_cast<uint8_t>(watched.db), watched.key, keyspace.hash(watched.key).token});
    Version version{watched.low, watched.high};
    asked->facts.watched.push_back({static_cast<uint8_t>(watched.db), version, watched.key});
  }
  return "";
}

RingGate::Take RingGate::take_exec(Client& client) {
  if (!client.in_multi || client.multi_failed) {
    client.remote_watches.clear();
    return Take::kHere;
  }
  Executor& executor = node_.server().executor();
  auto leave = [&] {
    executor.end_multi(client);
    client.remote_watches.clear();
  };
  Asked asked;
  asked.facts = facts_of(client);
  asked.facts.is_transaction = true;
  std::string why = exec_keys(client, &asked);
  if (!why.empty()) {
    leave();
    return refuse(client, "EXECABORT Transaction discarded because of: " + why);
  }
  if (asked.keys.empty()) return Take::kHere;
  std::vector<Token> tokens;
  for (const RequestKey& key : asked.keys) tokens.push_back(key.token);
  asked.level = level_of(client, asked.write);
  Plan plan = lane_.plan(tokens, asked.write, false, asked.level);
  bool is_here = plan.kind == Plan::Kind::kLocal;
  if (is_here && client.remote_watches.empty()) return Take::kHere;
  if (plan.kind == Plan::Kind::kRefuse) {
    leave();
    settle(client.id, add_place(client), std::move(plan.refusal));
    return Take::kTaken;
  }
  Place place = add_place(client);
  // Watched at one owner, to run at another: whether something changed cannot be told.
  if (is_here || !client.watched.empty()) {
    leave();
    settle(client.id, place, client.protocol == 3 ? "_\r\n" : "*-1\r\n");
    return Take::kTaken;
  }
  append_request(&asked.command, {"MULTI"});
  for (const QueuedCommand& queued : client.queue) {
    append_request(&asked.command, {queued.args.begin(), queued.args.end()});
  }
  append_request(&asked.command, {"EXEC"});
  leave();
  begin(client.id, place, std::move(asked), {});
  return Take::kTaken;
}

RingGate::Take RingGate::take_watch(Client& client, Args args) {
  std::vector<Token> tokens;
  for (std::string_view name : args.subspan(1)) {
    tokens.push_back(node_.server().keyspace().hash(name).token);
  }
  Level level = level_of(client, true);
  if (lane_.plan(tokens, true, false, level).kind == Plan::Kind::kLocal) return Take::kHere;
  if (node_.topology().is_single_replica()) {
    return refuse(client, "ERR WATCH of keys that other nodes own needs a ring with replicas");
  }
  Place place = add_place(client);
  auto missing = std::make_shared<size_t>(args.size() - 1);
  auto failure = std::make_shared<std::string>();
  for (size_t i = 1; i < args.size(); ++i) {
    Asked asked;
    std::string name(args[i]);
    asked.keys.push_back({static_cast<uint8_t>(client.db), name, tokens[i - 1]});
    append_request(&asked.command, {"RING", "VERSION", name});
    asked.facts = facts_of(client);
    asked.level = level;
    // It asks whoever will run the transaction.
    asked.write = true;
    int db = client.db;
    begin(client.id, place, std::move(asked),
          [this, place, missing, failure, name, db, id = client.id](std::string reply) {
            auto bulk = bulk_of_reply(reply);
            Client* watcher = thread_.find_client(id);
            size_t space = bulk ? bulk->find(' ') : std::string_view::npos;
            if (watcher != nullptr && space != std::string_view::npos) {
              auto low = parse_uint64(bulk->substr(0, space));
              auto high = parse_uint64(bulk->substr(space + 1));
              if (low && high) watcher->remote_watches.push_back({db, name, *low, *high});
            } else {
              *failure = reply;
            }
            if (--*missing > 0) return;
            settle(id, place, failure->empty() ? "+OK\r\n" : *failure);
          });
  }
  return Take::kTaken;
}

}  // namespace dyno

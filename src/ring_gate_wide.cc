// SPDX-License-Identifier: Apache-2.0
//
// Commands over the whole data set: every node of this rack is asked, since a rack holds
// everything. They need all of them: a part of the keys would be an answer that is silently wrong.
//
//   cursor of SCAN := rank:16 cursor:48      rank of the node within its rack, the node's own
//   cursor
#include <algorithm>
#include <memory>
#include <utility>

#include "protocol/number.h"
#include "src/request_text.h"
#include "src/ring_gate.h"
#include "src/ring_node.h"
#include "src/server.h"

namespace dyno {
namespace {

constexpr int kCursorBits = 48;
constexpr uint64_t kCursorMask = (uint64_t{1} << kCursorBits) - 1;

enum class Joining : uint8_t { kSum, kConcatenate, kFirstFound, kAllOk };

std::string joined(Joining joining, const std::vector<std::string>& replies) {
  for (const std::string& reply : replies) {
    if (is_error_reply(reply)) return reply;
  }
  if (joining == Joining::kAllOk) return replies.front();
  if (joining == Joining::kFirstFound) {
    for (const std::string& reply : replies) {
      if (!is_null_reply(reply)) return reply;
    }
    return replies.front();
  }
  int64_t sum = 0;
  std::string elements;
  for (const std::string& reply : replies) {
    if (joining == Joining::kSum) {
      sum += integer_of_reply(reply).value_or(0);
    } else if (auto parts = elements_of_reply(reply)) {
      sum += static_cast<int64_t>(parts->size());
      elements.append(reply, reply.find("\r\n") + 2);
    }
  }
  if (joining == Joining::kSum) return ":" + std::to_string(sum) + "\r\n";
  return "*" + std::to_string(sum) + "\r\n" + elements;
}

// A node's answer to SCAN with the ring's cursor in place of its own.
std::string with_ring_cursor(const std::string& reply, uint64_t rank, uint64_t ranks) {
  constexpr std::string_view kHead = "*2\r\n";
  if (!reply.starts_with(kHead)) return reply;
  std::string_view rest = std::string_view(reply).substr(kHead.size());
  auto bulk = bulk_of_reply(rest);
  auto own = bulk ? parse_uint64(*bulk) : std::nullopt;
  if (!own) return "-ERR a node of the ring gave an answer that cannot be understood\r\n";
  rest.remove_prefix(static_cast<size_t>(bulk->data() - rest.data()) + bulk->size() + 2);
  uint64_t next = rank << kCursorBits | *own;
  if (*own == 0) next = rank + 1 < ranks ? (rank + 1) << kCursorBits : 0;
  std::string text = std::to_string(next);
  std::string out(kHead);
  out += "$" + std::to_string(text.size()) + "\r\n" + text + "\r\n";
  return out.append(rest);
}

}  // namespace

RingGate::Asked RingGate::asked_of(NodeIndex node, const Client& client, Args args,
                                   bool write) const {
  Asked asked;
  const std::string& probe = node_.probe_of(node);
  asked.keys.push_back(
      {static_cast<uint8_t>(client.db), probe, node_.server().keyspace().hash(probe).token});
  append_request(&asked.command, {args.begin(), args.end()});
  asked.facts = facts_of(client);
  asked.facts.only_node = node;
  asked.write = write;
  // Nobody else's answer would do, so that none is asked for when this one is late.
  asked.has_deadline = write;
  return asked;
}

RingGate::Take RingGate::take_wide(Client& client, Special special, Args args) {
  if (rack_.size() == 1) return Take::kHere;
  SharedView view = node_.view();
  for (NodeIndex node : rack_) {
    if (!view->nodes[node].may_read()) {
      return refuse(client, "CLUSTERDOWN a node of this rack is away, and the command needs all");
    }
  }
  if (special == Special::kScan) {
    scan(client, args);
  } else {
    ask_rack(client, special, args);
  }
  return Take::kTaken;
}

void RingGate::ask_rack(Client& client, Special special, Args args) {
  Joining joining = special == Special::kCount    ? Joining::kSum
                    : special == Special::kNames  ? Joining::kConcatenate
                    : special == Special::kRandom ? Joining::kFirstFound
                                                  : Joining::kAllOk;
  Place place = add_place(client);
  auto replies = std::make_shared<std::vector<std::string>>(rack_.size());
  auto missing = std::make_shared<size_t>(rack_.size());
  // RANDOMKEY takes the first that has any: begin elsewhere each time.
  size_t start = wide_requests_++ % rack_.size();
  for (size_t i = 0; i < rack_.size(); ++i) {
    NodeIndex node = rack_[(start + i) % rack_.size()];
    begin(client.id, place, asked_of(node, client, args, special == Special::kFlush),
          [this, replies, missing, i, place, joining, id = client.id](std::string reply) {
            (*replies)[i] = std::move(reply);
            if (--*missing == 0) settle(id, place, joined(joining, *replies));
          });
  }
}

void RingGate::scan(Client& client, Args args) {
  auto cursor = parse_uint64(args[1]);
  uint64_t rank = cursor.value_or(0) >> kCursorBits;
  Place place = add_place(client);
  if (!cursor) return settle(client.id, place, "-ERR invalid cursor\r\n");
  if (rank >= rack_.size()) return settle(client.id, place, "*2\r\n$1\r\n0\r\n*0\r\n");
  std::string own = std::to_string(*cursor & kCursorMask);
  std::vector<std::string_view> words(args.begin(), args.end());
  words[1] = own;
  begin(client.id, place, asked_of(rack_[rank], client, words, false),
        [this, place, rank, id = client.id](std::string reply) {
          settle(id, place, with_ring_cursor(reply, rank, rack_.size()));
        });
}

}  // namespace dyno

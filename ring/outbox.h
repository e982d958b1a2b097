// SPDX-License-Identifier: Apache-2.0
//
// What the machines of a lane want done. The lane's thread drains it after every call.
//
// Bytes for one link are to be sent in order. A link that is to be closed gets its bytes first, as
// far as they can be sent without waiting.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "protocol/peer_message.h"
#include "ring/note.h"
#include "ring/topology.h"

namespace dyno {

// A link that another node dialed, numbered by the driver; unique while the process runs.
using LinkId = uint64_t;

struct Outbox {
  // Run this command here now. When it ran: Lane::ran(), with the frames that it wrote.
  struct Run {
    uint64_t run = 0;
    bool write = false;
    std::string context;
    std::string command;
  };
  // The answer to a request that Lane::begin() took. `outcome` tells whether it was applied; the
  // bytes are the command's reply, or an error.
  struct Answer {
    uint64_t request = 0;
    Outcome outcome = Outcome::kDone;
    std::string bytes;
  };
  struct Close {
    LinkId link = 0;
    std::string reason;  // For the log.
  };

  std::vector<NodeIndex> dials;  // Connect this lane to the node; Lane::dialed() or dial_failed().
  std::vector<std::pair<NodeIndex, std::string>> hangups;  // Close the own link, with a reason.
  std::vector<Close> closes;
  // Of links; those that are empty have nothing to send.
  std::map<NodeIndex, std::string> to_nodes;  // On the lane's own links.
  std::map<LinkId, std::string> to_links;     // On links that others dialed.
  std::vector<Run> runs;
  std::vector<Answer> answers;
  std::vector<Note> notes;  // For the steward, from a lane; for lanes, from the steward.

  [[nodiscard]] bool empty() const {
    auto is_empty = [](const auto& entry) { return entry.second.empty(); };
    return dials.empty() && hangups.empty() && closes.empty() && runs.empty() && answers.empty() &&
           notes.empty() && std::all_of(to_nodes.begin(), to_nodes.end(), is_empty) &&
           std::all_of(to_links.begin(), to_links.end(), is_empty);
  }
  // Keeps the buffers of links for what comes next, unless they are large.
  void clear() {
    dials.clear();
    hangups.clear();
    closes.clear();
    runs.clear();
    answers.clear();
    notes.clear();
    auto empty = [](auto& buffers) {
      std::erase_if(buffers,
                    [](const auto& entry) { return entry.second.capacity() > kKeptBytes; });
      for (auto& [to, bytes] : buffers) bytes.clear();
    };
    empty(to_nodes);
    empty(to_links);
  }

  static constexpr size_t kKeptBytes = size_t{64} << 10;
};

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// Runs the commands that a lane wants run here: those that other nodes forwarded, and those of this
// thread's own clients that wait for a quorum. Each runs in a session made from the facts that came
// with it (session_facts.h), since the client's own may be on another node.
//
// A command whose values are on disk, or that needs memory while there is none, is parked with what
// came behind it for the same slots, and tried again when the disk has moved: commands for one key
// run in the order in which they came.
//
// A command that blocks keeps its session until it is served or its time is over. Where replies to
// writes wait for the disk (write_log.h), the lane is told that a command has run when the disk has
// what it wrote. Network thread only.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "protocol/resp_request.h"
#include "ring/lane.h"
#include "src/client.h"
#include "src/ring_store.h"
#include "src/session_facts.h"
#include "src/value_store.h"

namespace dyno {

class EventLoop;
class NetworkThread;
class RingNode;

class RemoteRuns {
 public:
  RemoteRuns(RingNode& node, NetworkThread& thread, EventLoop& loop, Lane& lane, RingStore& store);
  ~RemoteRuns();

  // Runs it, and tells the lane when it has run: at once, unless it blocks or is parked.
  void run(Outbox::Run& run);
  // Answers blocked commands whose deadline has come.
  void time_out(int64_t now_ms);
  // Tells the lane of those whose writes the disk has by now, and tries the parked ones again.
  void disk_moved();
  [[nodiscard]] size_t blocked() const { return blocked_.size(); }
  [[nodiscard]] size_t parked() const { return parked_.size(); }

 private:
  enum class Ran : uint8_t { kDone, kBlocked, kAwaitsDisk };
  struct Parked {
    Outbox::Run run;
    std::vector<SlotIndex> slots;
    bool is_write = false;
    bool needs_memory = false;
    uint32_t disk_asks = 0;
    ColdName awaited;
  };

  [[nodiscard]] std::unique_ptr<Client> make_session();
  // What it looks at, and whether it may need memory.
  [[nodiscard]] Parked look_at(const Outbox::Run& run);
  // Memory, or what is to be written, is full.
  [[nodiscard]] bool is_full() const;
  [[nodiscard]] bool has_to_wait(const Parked& parked) const;
  void park(Parked parked);
  // False: it awaits the disk.
  [[nodiscard]] bool try_run(const Outbox::Run& run, uint32_t* disk_asks);
  void try_parked();
  void release_held();
  // The replies are in the session's `out`.
  [[nodiscard]] Ran run_requests(Client& session, const SessionFacts& facts,
                                 const Outbox::Run& run);
  [[nodiscard]] bool watches_hold(Client& session, const SessionFacts& facts);
  void served(uint64_t run, const std::shared_ptr<Waiter>& waiter);

  // A command that has run, of which the lane is told when the disk has what it wrote.
  struct Held {
    uint64_t run;
    std::string reply;
    std::vector<Frame> frames;
    uint64_t position;  // Where its writes end in the log; 0: there are none.
    Stamp before;       // All that it wrote is later.
  };
  void tell(Held done);
  RingNode& node_;
  NetworkThread& thread_;
  EventLoop& loop_;
  Lane& lane_;
  RingStore& store_;
  std::unique_ptr<Client> session_;
  RequestParser parser_;
  std::map<uint64_t, std::unique_ptr<Client>> blocked_;  // By run.
  std::deque<Held> held_;                                // In the order of the log.
  std::deque<Parked> parked_;                            // In the order in which they came.
  std::unordered_map<SlotIndex, size_t> parked_slots_;   // By how many of those.
};

}  // namespace dyno

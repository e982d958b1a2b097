// SPDX-License-Identifier: Apache-2.0
//
// A network thread: an event loop and the clients that live on it. The thread that reads a request
// runs it and writes its reply.
//
// One wake-up has four phases over all ready clients: read; parse up to a batch of requests and ask
// for the memory that they will touch; run them in order; write. Waiting for memory is the largest
// cost of a small command, so the batch overlaps what its commands wait for.
//
// While a command runs, its loop may be taken over by another thread (loop_drivers.h). The thread
// that runs it then owns the client and nothing else of the loop; it learns of that when the
// command is done, hands the client back by a task, and leaves. Everything else here belongs to
// whoever drives.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/compactor.h"
#include "engine/executor.h"
#include "engine/replication.h"
#include "ring/stream_sender.h"
#include "src/client.h"
#include "src/event_loop.h"

namespace dyno {

class LaneDriver;
class RingNode;
class Server;
class Spill;
class Storage;
struct Waiter;

// Counters of one thread's network, summed by INFO.
struct NetworkStats {
  std::atomic<int64_t> input_bytes{0};
  std::atomic<int64_t> output_bytes{0};
  std::atomic<int64_t> clients{0};
  std::atomic<int64_t> client_memory_bytes{0};
  std::atomic<int64_t> blocked_clients{0};
};

class NetworkThread {
 public:
  NetworkThread(Server& server, int index, int count);
  ~NetworkThread();

  // Drives the loop until stop() or until it is taken over. `taken_turn` is 0, or the turn of a
  // long command whose loop is to be taken over; it then returns at once if that command is done.
  void drive(uint64_t taken_turn);
  // Any thread. The loop ends after what runs now.
  void stop() { loop_.stop(); }
  // After no thread drives any more: sends what is owed and closes all clients.
  void end();
  // Any thread. Odd while a command runs; changes with each command.
  [[nodiscard]] uint64_t turn() const { return turn_.load(std::memory_order_relaxed); }

  // Any thread: takes over a connected, non-blocking socket.
  void adopt(int fd, std::string address, std::string local_address, bool unix_socket);
  // Any thread: ends a client by id after what it runs now.
  void close_client(uint64_t id, CloseReason reason);
  // Any thread: sends bytes to a client, e.g. to a monitor.
  void push(uint64_t id, std::string bytes);
  // Any thread: CLIENT UNBLOCK. With `error` the client gets an UNBLOCKED error.
  void unblock(uint64_t id, bool error);
  // Any thread: clients that CLIENT PAUSE held back may go on.
  void resume_paused();
  // Any thread: the disk has taken or given what clients may wait for.
  void disk_moved();
  // The thread's own: it wants to know when the disk moves.
  void await_disk() { awaits_disk_.store(true); }
  // Before the thread starts: replies and requests may have to wait for the disk.
  void join_storage(Storage& storage) { storage_ = &storage; }
  // Before the thread starts: requests may have to wait for values on disk, or for room.
  void join_spill(Spill& spill) { spill_ = &spill; }
  // Before the thread starts: it is to serve a lane of the ring too.
  void join_ring(RingNode& node);
  void post(std::function<void()> task) { loop_.post(std::move(task)); }

  [[nodiscard]] const NetworkStats& stats() const { return stats_; }
  [[nodiscard]] TurnTimes& turn_times() { return loop_.times(); }
  [[nodiscard]] const TurnTimes& turn_times() const { return loop_.times(); }

  // The thread's own: called by a served waiter.
  void served(uint64_t id, const std::shared_ptr<Waiter>& waiter);
  // The thread's own: replies of the ring are there for the client.
  void hand_over_pending(uint64_t id);
  [[nodiscard]] Client* find_client(uint64_t id);
  [[nodiscard]] bool has_client(uint64_t id) { return find_client(id) != nullptr; }

 private:
  // Requests whose memory accesses overlap. More gains nothing and delays the first reply.
  static constexpr size_t kBatchMax = 32;

  // One parsed request, waiting to run.
  struct Request {
    Client* client;
    uint32_t first_arg;
    uint32_t arg_count;
    size_t size;
    Executor::Prefetch prefetch;
    bool prefetched;
  };

  // Thrown by the thread whose loop was taken over, to leave the loop's frames.
  struct TakenOver {};

  // Makes the loop's state that of one where no request is in flight but the long command's.
  [[nodiscard]] bool take_over(uint64_t taken_turn);
  // The long command of a client that was left behind is done; it had `size` bytes.
  void take_back(Client& client, size_t size, std::vector<Frame> written);
  // The client's command has ended, or has to be tried again: its request of `size` bytes is gone
  // then or stays.
  void end_request(Client& client, size_t size);
  // Runs the executor for a request, as the owner of the client only.
  void execute(const Request& request, Args args);
  // What follows a command: reply mode, blocking, a long reply.
  void after_command(Client& client);
  // Finds a client and calls `act`; later, if a long command of its own still runs.
  void with_client(uint64_t id, std::function<void(Client&)> act);
  void on_ready(std::span<const EventLoop::Ready> ready);
  int on_tick(int64_t now_ms);
  // Runs everything that the clients in serving_ have sent, in batches, then writes.
  void serve();
  // Parses requests of one client into the batch; false when nothing more is complete.
  void parse(Client& client);
  void run_batch();
  // Asks for what the batch will touch: slots, tables, entries, elements.
  void prefetch_batch();
  void prefetch_elements();
  void run_request(Request request);
  // True when the ring takes care of the request, or it has to wait.
  [[nodiscard]] bool ring_takes(const Request& request, Args args);
  // True when the request has to wait for the disk.
  [[nodiscard]] bool disk_holds_back(Client& client, Args args);
  [[nodiscard]] bool has_to_wait(const Client& client, Args args);
  // True when the client's replies have to wait for the disk.
  [[nodiscard]] bool disk_holds_reply(Client& client);
  // The client's command has run: if it wrote, its reply waits.
  void note_written(Client& client);
  // What the client is answered rests on a write of another thread: its reply waits for all.
  void hold_for_others(Client& client);
  void release_held();
  void pause(Client& client);
  void resume(Client& client);
  void resume_all();
  // The same but for those whose values are still on their way.
  void resume_ready();
  // For a request that stands behind one that awaits the disk.
  void ask_ahead(Client& client, Args args);
  void fail_protocol(Client& client, const std::string& error);
  void after_requests(Client& client);
  [[nodiscard]] bool may_run(const Client& client) const;
  [[nodiscard]] bool over_query_limit(const Client& client);
  [[nodiscard]] bool over_limits(Client& client, int64_t now_ms);
  void flush(Client& client);
  void close(Client& client, CloseReason reason);
  void schedule(Client& client);
  void unblock_now(Client& client, bool error);
  void finish_waiter(Client& client, const std::shared_ptr<Waiter>& waiter);
  void forget_waiter(Client& client);
  void time_out_waiters(int64_t now_ms);
  void visit_clients(int64_t now_ms);

  // What each request of a lone node would ask in vain; never true in a build without replication.
  [[nodiscard]] bool is_of_ring() const { return kHasReplication && lane_ != nullptr; }
  [[nodiscard]] bool is_durable() const { return kHasReplication && storage_ != nullptr; }

  Server& server_;
  const int index_;
  // The slots that this thread sweeps and tidies.
  const uint32_t begin_slot_;
  const uint32_t end_slot_;
  Compactor compactor_;
  EventLoop loop_;
  std::atomic<uint64_t> turn_{0};
  Client* running_ = nullptr;  // Whose command runs; read by who takes over.
  NetworkStats stats_;
  std::unique_ptr<LaneDriver> lane_;  // Null on a node that is alone.
  Storage* storage_ = nullptr;        // Null where nothing outlives the process.
  Spill* spill_ = nullptr;            // Null where all values are in memory.
  uint64_t written_position_ = 0;     // Of the last command that wrote (write_log.h).
  std::vector<Client*> held_;         // Whose replies wait for the disk.
  std::atomic<bool> awaits_disk_{false};

  std::unordered_map<uint64_t, std::unique_ptr<Client>> clients_;
  std::vector<Client*> scheduled_;  // Have input that can run now.
  std::vector<Client*> serving_;    // Whose input runs in this wake-up.
  std::vector<Client*> paused_;
  std::vector<std::unique_ptr<Client>> closed_;      // Freed at the end of the wake-up.
  std::set<std::pair<int64_t, uint64_t>> timeouts_;  // Deadlines and ids of blocked clients.

  std::vector<Request> batch_;
  std::vector<std::string_view> batch_args_;
  int64_t now_ms_ = 0;
  int64_t next_visit_ms_ = 0;
  int64_t next_expiry_ms_ = 0;
  int64_t next_compaction_ms_ = 0;
  int64_t next_choice_ms_ = 0;
};

}  // namespace dyno

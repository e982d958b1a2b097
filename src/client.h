// SPDX-License-Identifier: Apache-2.0
//
// One client's connection: its session, its socket, what was read and what is to be written.
// Belongs to one network thread; other threads see only `facts`, and reach it by its id through
// the registry.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/session.h"
#include "protocol/byte_buffer.h"
#include "protocol/resp_reply.h"
#include "protocol/resp_request.h"
#include "ring/request.h"
#include "src/event_loop.h"
#include "src/value_store.h"

namespace dyno {

class NetworkThread;
class Server;
struct CommandSpec;

// What CLIENT LIST shows of a client, readable from any thread.
struct ClientFacts {
  // Set once, before the client is registered.
  uint64_t id = 0;
  std::string address;
  std::string local_address;
  int fd = -1;
  bool unix_socket = false;
  int64_t created_ms = 0;

  mutable std::mutex mutex;  // For the texts.
  std::string name;
  std::string library_name;
  std::string library_version;

  std::atomic<int64_t> used_ms{0};  // Last request.
  std::atomic<int> db{0};
  std::atomic<int> protocol{2};
  std::atomic<int64_t> queued{-1};  // Commands in MULTI, -1 outside.
  std::atomic<int64_t> watched{0};
  std::atomic<int64_t> input_bytes{0};
  std::atomic<int64_t> input_room{0};
  std::atomic<int64_t> queue_bytes{0};
  std::atomic<int64_t> output_bytes{0};
  std::atomic<int64_t> memory_bytes{0};
  std::atomic<bool> blocked{false};
  std::atomic<bool> monitor{false};
  std::atomic<bool> no_evict{false};
  std::atomic<bool> no_touch{false};
  std::atomic<const CommandSpec*> last_command{nullptr};
};

// Why a connection ends, for the log and for metrics.
enum class CloseReason : uint8_t {
  kNone,
  kPeerClosed,
  kAsked,  // QUIT, CLIENT KILL, SHUTDOWN
  kProtocol,
  kIdle,
  kOutputLimit,
  kQueryLimit,
  kMemory,  // maxmemory-clients
};

// A text that CLIENT LIST can show: printable ASCII without spaces.
[[nodiscard]] bool is_one_word(std::string_view text);
// What a client is told whose name is none.
inline constexpr std::string_view kBadClientName =
    "ERR Client names cannot contain spaces, newlines or special characters.";

// A reply that has its place in the order of a client's replies and is not there yet, or stands
// behind one that is not.
class PendingReply {
 public:
  // `total` is the sum over a thread's pending replies.
  explicit PendingReply(std::shared_ptr<std::atomic<int64_t>> total) : total_(std::move(total)) {}
  ~PendingReply() { total_->fetch_sub(static_cast<int64_t>(bytes_.size())); }
  PendingReply(const PendingReply&) = delete;
  PendingReply& operator=(const PendingReply&) = delete;

  // The reply is there. REQUIRES: once.
  void settle(std::string bytes) {
    bytes_ = std::move(bytes);
    total_->fetch_add(static_cast<int64_t>(bytes_.size()));
    done = true;
  }
  [[nodiscard]] const std::string& bytes() const { return bytes_; }

  bool done = false;
  bool silent = false;        // CLIENT REPLY OFF or SKIP: to be thrown away.
  std::vector<Token> tokens;  // Of the request's keys.
  bool write = false;

 private:
  std::string bytes_;
  const std::shared_ptr<std::atomic<int64_t>> total_;
};

// A key under WATCH that another node owns, as it was then.
struct RemoteWatch {
  int db = 0;
  std::string key;
  uint64_t low = 0;  // Its version.
  uint64_t high = 0;
};

class Client : public LoopMember, public Session {
 public:
  Client(Server& owner, NetworkThread& home, int socket, std::string address,
         std::string local_address, bool unix_socket);
  ~Client();

  // Reads what has arrived. False when the connection is over.
  [[nodiscard]] bool receive();
  // Writes what can be written, up to `bytes_max`: a client that reads as fast as the loop writes
  // is not to keep it from the others. False when the connection is over.
  [[nodiscard]] bool send(size_t bytes_max);
  // Copies what others may see into facts.
  void publish();
  // Texts changed: name, library.
  void publish_texts();
  // Bytes that this client holds.
  [[nodiscard]] int64_t memory_bytes() const;
  // Gives unused buffer memory back.
  void shrink_buffers();

  Server& server;
  NetworkThread& thread;
  ClientFacts facts;
  ByteBuffer in;
  ByteBuffer out;
  Reply reply;
  RequestParser parser;

  size_t parsed = 0;              // Bytes of `in` that are parsed but not yet executed.
  size_t reply_begun = 0;         // Where in `out` the reply of the command that runs begins.
  bool parsed_last_full = false;  // The last parse stopped at a batch's end, not at the input's.
  bool protocol_failed = false;   // What follows in `in` is no request; parser.error() says why.
  // Runs a long command on a thread that no longer drives its loop: until it is handed back, nobody
  // else touches the client but for the two members that follow.
  bool detached = false;
  std::vector<std::function<void(Client&)>> deferred;  // What waits for the client's return.
  std::vector<std::string_view> held_args;             // Arguments of the long command.
  bool waits_for_write = false;  // The socket took no more; EPOLLOUT is armed.
  bool scheduled = false;        // Is in its thread's list of clients with input.
  bool paused = false;           // Held back by CLIENT PAUSE, or until the disk is ready.
  ColdName awaited;              // One that awaits_disk goes on when this value has come.
  bool monitor = false;
  // Its replies wait until the disk has got so far (write_log.h); 0: they do not.
  uint64_t held_until = 0;
  bool held = false;  // Is in its thread's list of clients whose replies wait.
  // On a ring: replies that other nodes owe, in the order of the requests; `parked`: what follows
  // must wait for them. Levels that CLIENT CONSISTENCY set, else the configuration's count.
  std::deque<std::shared_ptr<PendingReply>> pending;
  bool parked = false;
  size_t parked_until = 0;  // It may go on when no more than these are pending.
  std::optional<Level> read_level;
  std::optional<Level> write_level;
  std::vector<RemoteWatch> remote_watches;
  CloseReason closing = CloseReason::kNone;
  int64_t soft_limit_since_ms = 0;
  int64_t last_input_ms = 0;
  int64_t net_in = 0;
  int64_t net_out = 0;
};

}  // namespace dyno

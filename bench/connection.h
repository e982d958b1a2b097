// SPDX-License-Identifier: Apache-2.0
// One client: a non-blocking socket, what is to be sent, and the requests that await their replies.
//
// It knows nothing of workloads; the worker decides what to send and reads the replies. Requests
// are answered in order, so the ring's front is always the one that the next reply belongs to.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bench/endpoint.h"
#include "bench/out_buffer.h"
#include "bench/reply_parser.h"
#include "bench/tls_stream.h"

namespace dyno::bench {

/// A request under way.
struct Pending {
  uint64_t intended_ns;
  uint64_t sent_ns;
  uint64_t key;
  uint16_t operation;
  uint16_t reported;  // the operation it counts as: the first step of a chain
  uint32_t replies_left;
  bool failed;   // one of its replies was an error
  uint32_t tag;  // verify mode: the version written or expected
};

/// A bounded queue; capacity is fixed by the pipeline.
class PendingRing {
 public:
  void reserve(uint32_t capacity) {
    uint32_t size = 1;
    while (size < capacity) size *= 2;
    slots_.resize(size);
    mask_ = size - 1;
  }
  uint32_t size() const { return count_; }
  bool empty() const { return count_ == 0; }
  Pending& front() { return slots_[head_]; }
  Pending& at(uint32_t i) { return slots_[(head_ + i) & mask_]; }
  void push(const Pending& pending) { slots_[(head_ + count_++) & mask_] = pending; }
  void pop() {
    head_ = (head_ + 1) & mask_;
    --count_;
  }
  void clear() { count_ = 0; }

 private:
  std::vector<Pending> slots_;
  uint32_t mask_ = 0;
  uint32_t head_ = 0;
  uint32_t count_ = 0;
};

class Connection {
 public:
  enum class State : uint8_t { kIdle, kConnecting, kGreeting, kReady };
  enum class Io { kDone, kAgain, kClosed, kFailed };

  Connection() = default;
  Connection(Connection&&) = default;
  ~Connection() { close(); }

  /// Begins to connect. False when that failed at once; error() says why.
  bool open(const Endpoint& endpoint, const TlsContext* tls);
  /// The outcome of a connect once the socket is writable.
  bool finish_connect();
  void close();
  /// Closes, and takes back what was sent and has not arrived: else the system would go on sending
  /// it, and a server cut off by its network would run it minutes later, after newer writes.
  void abort();

  /// Sends what `out` holds, as far as the socket takes it.
  Io flush(uint64_t& sent_bytes);
  /// Reads once into `buffer`; kDone sets `got`.
  Io receive(char* buffer, size_t capacity, size_t& got);
  bool has_buffered() const { return tls_ && tls_->has_buffered(); }
  bool wants_write() const { return wants_write_; }
  int fd() const { return fd_; }
  const std::string& error() const { return error_; }

  State state = State::kIdle;
  bool dirty = false;     // `out` has bytes that were not offered to the socket yet
  uint16_t endpoint = 0;  // index of the one in use, or of the next to try
  uint32_t index = 0;     // among all clients
  uint32_t greetings_left = 0;
  uint32_t events = 0;    // what epoll watches
  uint32_t failures = 0;  // connects that failed since the last success
  uint64_t since_ns = 0;  // of the state, or when to try again if kIdle
  OutBuffer out;
  PendingRing pending;
  ReplyParser parser;

 private:
  int fd_ = -1;
  bool wants_write_ = false;
  std::unique_ptr<TlsStream> tls_;
  std::string error_;
};

}  // namespace dyno::bench

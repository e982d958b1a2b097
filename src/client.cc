// SPDX-License-Identifier: Apache-2.0
#include "src/client.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "src/server.h"

namespace dyno {
namespace {

// Room offered to one read; a larger request is read in pieces that double.
constexpr size_t kReadBytes = 16 * 1024;
// Buffers at most this large are kept by a quiet client.
constexpr size_t kKeptBufferBytes = 0;

}  // namespace

Client::Client(Server& owner, NetworkThread& home, int socket, std::string address,
               std::string local_address, bool unix_socket)
    : server(owner), thread(home), reply(&out, 2) {
  facts.fd = socket;
  facts.address = std::move(address);
  facts.local_address = std::move(local_address);
  facts.unix_socket = unix_socket;
  facts.created_ms = unix_time_ms();
  last_input_ms = facts.created_ms;
  facts.used_ms.store(facts.created_ms);
}

bool is_one_word(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= '!' && c <= '~'; });
}

Client::~Client() {
  if (facts.fd >= 0) ::close(facts.fd);
}

bool Client::receive() {
  size_t room = kReadBytes;
  size_t wanted = parser.size_wanted();
  if (wanted > in.size()) room = std::max(room, std::min(wanted - in.size(), in.size()));
  char* at = in.reserve(room);
  ssize_t got =
      ::recv(facts.fd, at, std::max(room, std::min<size_t>(in.room(), 4 * room)), MSG_DONTWAIT);
  if (got > 0) {
    in.commit(static_cast<size_t>(got));
    net_in += got;
    return true;
  }
  return got < 0 && (errno == EAGAIN || errno == EINTR);
}

bool Client::send(size_t bytes_max) {
  while (!out.empty() && bytes_max != 0) {
    ssize_t sent =
        ::send(facts.fd, out.data(), std::min(out.size(), bytes_max), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno == EINTR) continue;
      return errno == EAGAIN;
    }
    net_out += sent;
    out.consume(static_cast<size_t>(sent));
    bytes_max -= static_cast<size_t>(sent);
  }
  return true;
}

int64_t Client::memory_bytes() const {
  return static_cast<int64_t>(sizeof(Client) + in.capacity() + out.capacity() +
                              parser.memory_bytes() + queue_bytes);
}

void Client::publish() {
  auto relaxed = std::memory_order_relaxed;
  facts.used_ms.store(last_input_ms, relaxed);
  facts.db.store(db, relaxed);
  facts.protocol.store(protocol, relaxed);
  facts.queued.store(in_multi ? static_cast<int64_t>(queue.size()) : -1, relaxed);
  facts.watched.store(static_cast<int64_t>(watched.size()), relaxed);
  facts.input_bytes.store(static_cast<int64_t>(in.size()), relaxed);
  facts.input_room.store(static_cast<int64_t>(in.capacity() - in.size()), relaxed);
  facts.queue_bytes.store(static_cast<int64_t>(queue_bytes), relaxed);
  facts.output_bytes.store(static_cast<int64_t>(out.size()), relaxed);
  facts.memory_bytes.store(memory_bytes(), relaxed);
  facts.blocked.store(waiter != nullptr, relaxed);
  facts.monitor.store(monitor, relaxed);
  facts.no_evict.store(no_evict, relaxed);
  facts.no_touch.store(no_touch, relaxed);
  facts.last_command.store(last_command, relaxed);
}

void Client::publish_texts() {
  std::lock_guard lock(facts.mutex);
  facts.name = name;
  facts.library_name = library_name;
  facts.library_version = library_version;
}

void Client::shrink_buffers() {
  in.shrink(kKeptBufferBytes);
  out.shrink(kKeptBufferBytes);
}

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// Fuzz target of the commands: the input is a list of inline lines that two sessions of one engine
// run in turn. Every command must give exactly one well-formed reply (or wait), and at the end
// every key must still be readable and removable.
//
//   input := protocol:u8 { line LF }      a line that begins with "!" is run by the second session
#include <algorithm>
#include <string>
#include <vector>

#include "engine/blocking.h"
#include "engine/command.h"
#include "engine/executor.h"
#include "engine/keyspace.h"
#include "engine/limits.h"
#include "protocol/byte_buffer.h"
#include "protocol/check.h"
#include "protocol/resp_reply.h"
#include "protocol/resp_request.h"

namespace dyno {
namespace {

constexpr size_t kLinesMax = 64;
constexpr size_t kDepthMax = 16;

const std::span<const CommandSpec> kFamilies[] = {
    kStringCommands, kBitmapCommands,      kHashCommands,        kHashExpiryCommands,
    kListCommands,   kSetCommands,         kZSetCommands,        kZSetAlgebraCommands,
    kGeoCommands,    kHyperLogLogCommands, kGenericCommands,     kExpiryCommands,
    kScanCommands,   kSortCommands,        kTransactionCommands, kDumpCommands,
    kLcsCommands,
};

// The offset behind the reply that begins at `at`. A reply that is not well-formed is an invariant
// broken.
size_t skip_reply(std::string_view bytes, size_t at, size_t depth) {
  DYNO_CHECK(depth < kDepthMax);
  const size_t end = bytes.find("\r\n", at);
  DYNO_CHECK(end != std::string_view::npos);
  const char kind = bytes[at];
  const std::string head(bytes.substr(at + 1, end - at - 1));
  const size_t behind = end + 2;
  if (std::string_view("+-:_,#(").find(kind) != std::string_view::npos) return behind;
  const long count = std::strtol(head.c_str(), nullptr, 10);
  if (count == -1) return behind;
  DYNO_CHECK(count >= 0);
  if (kind == '$' || kind == '=' || kind == '!') {
    const size_t size = static_cast<size_t>(count);
    DYNO_CHECK(bytes.substr(behind + size, 2) == "\r\n");
    return behind + size + 2;
  }
  DYNO_CHECK(kind == '*' || kind == '~' || kind == '>' || kind == '%');
  size_t next = behind;
  for (long i = 0; i < (kind == '%' ? count * 2 : count); ++i) {
    next = skip_reply(bytes, next, depth + 1);
  }
  return next;
}

class Engine {
 public:
  Engine() : executor_(keyspace_, commands_, limits_) {
    for (const std::span<const CommandSpec>& family : kFamilies) commands_.add(family);
    limits_.bulk_bytes_max = 1 << 20;
    limits_.hash_packed_entries = 4;
    limits_.set_packed_entries = 4;
    limits_.set_integers_entries = 4;
    limits_.zset_packed_entries = 4;
    limits_.list_packed_size = 4;
  }
  ~Engine() {
    for (Session& session : sessions_) executor_.end(session);
  }
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  void set_protocol(int version) {
    for (Session& session : sessions_) session.protocol = version;
  }

  void run(size_t session_index, const std::vector<std::string>& words) {
    Session& session = sessions_[session_index];
    if (words.empty() || session.waiter) return;
    const std::vector<std::string_view> args(words.begin(), words.end());
    ByteBuffer buffer;
    Reply reply(&buffer, session.protocol);
    executor_.run(session, args, reply, now_ms_);
    if (session.waiter) {
      DYNO_CHECK(buffer.view().empty());
      executor_.leave_queues(*session.waiter);
      session.waiter.reset();
      return;
    }
    DYNO_CHECK(skip_reply(buffer.view(), 0, 0) == buffer.view().size());
    now_ms_ += 1;
  }

 private:
  Limits limits_;
  Keyspace keyspace_{1};
  CommandTable commands_;
  Executor executor_;
  Session sessions_[2];
  int64_t now_ms_ = 1'700'000'000'000;
};

}  // namespace
}  // namespace dyno

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  dyno::Engine engine;
  engine.set_protocol((data[0] & 1) != 0 ? 3 : 2);
  std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  for (size_t i = 0; i < dyno::kLinesMax && !rest.empty(); ++i) {
    std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    const bool second = line.starts_with('!');
    if (second) line.remove_prefix(1);
    std::vector<std::string> words;
    if (dyno::split_words(line, &words)) engine.run(second ? 1 : 0, words);
  }
  engine.run(0, {"EXEC"});
  for (const char* key : {"a", "b", "k", "key"}) {
    for (const char* command : {"DUMP", "TYPE", "OBJECT ENCODING", "PTTL", "DEL"}) {
      std::vector<std::string> words;
      (void)dyno::split_words(command, &words);
      words.emplace_back(key);
      engine.run(0, words);
    }
  }
  return 0;
}

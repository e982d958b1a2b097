// SPDX-License-Identifier: Apache-2.0
//
// A client of an engine inside the test's own process: a keyspace of its own, an executor, a
// session and a clock that stands still until it is moved. Replies are the bytes a connection would
// send.
//
//   EngineClient client({kStringCommands, kBitmapCommands});
//   CHECK(client("SETBIT k 7 1") == ":0\r\n");
#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/command.h"
#include "engine/context.h"
#include "engine/executor.h"
#include "engine/keyspace.h"
#include "engine/limits.h"
#include "engine/session.h"
#include "engine/value.h"
#include "protocol/byte_buffer.h"
#include "protocol/resp_reply.h"
#include "protocol/resp_request.h"

namespace dyno {

// Not thread-safe. The commands that it knows are those of the families that it is given.
class EngineClient {
 public:
  EngineClient(std::initializer_list<std::span<const CommandSpec>> families)
      : EngineClient(std::vector<std::span<const CommandSpec>>(families)) {}
  explicit EngineClient(const std::vector<std::span<const CommandSpec>>& families)
      : executor_(keyspace_, commands_, limits_) {
    for (std::span<const CommandSpec> family : families) commands_.add(family);
  }
  ~EngineClient() { executor_.end(session_); }
  EngineClient(const EngineClient&) = delete;
  EngineClient& operator=(const EngineClient&) = delete;

  // One command of any bytes.
  std::string run(const std::vector<std::string>& words) {
    std::vector<std::string_view> args(words.begin(), words.end());
    ByteBuffer buffer;
    Reply reply(&buffer, session_.protocol);
    executor_.run(session_, args, reply, now_ms);
    return std::string(buffer.view());
  }
  // One command as an inline line: words between spaces, quotes as in redis-cli.
  std::string operator()(std::string_view line) {
    std::vector<std::string> words;
    if (!split_words(line, &words)) return "unbalanced quotes in the test's line";
    return run(words);
  }

  [[nodiscard]] Executor& executor() { return executor_; }
  [[nodiscard]] Keyspace& keyspace() { return keyspace_; }
  [[nodiscard]] Session& session() { return session_; }
  [[nodiscard]] Limits& limits() { return limits_; }

  int64_t now_ms = 1'700'000'000'000;

 private:
  Limits limits_;
  Keyspace keyspace_{1};
  CommandTable commands_;
  Executor executor_;
  Session session_;
};

// What a bulk string looks like as a reply.
[[nodiscard]] inline std::string bulk_reply(std::string_view bytes) {
  return "$" + std::to_string(bytes.size()) + "\r\n" + std::string(bytes) + "\r\n";
}

// The elements of an array, set or map of bulk strings and integers.
[[nodiscard]] inline std::vector<std::string> elements_of(const std::string& reply) {
  std::vector<std::string> elements;
  size_t at = reply.find("\r\n") + 2;
  while (at < reply.size()) {
    size_t end = reply.find("\r\n", at);
    if (reply[at] != '$') {
      elements.push_back(reply.substr(at, end - at));
      at = end + 2;
      continue;
    }
    size_t size = std::stoul(reply.substr(at + 1, end - at - 1));
    elements.push_back(reply.substr(end + 2, size));
    at = end + 2 + size + 2;
  }
  return elements;
}

// What the tests of the collections' families stand on: a client, and a look at one key.
struct EngineFixture {
  explicit EngineFixture(std::initializer_list<std::span<const CommandSpec>> families)
      : client(families) {}

  std::string operator()(std::string_view line) { return client(line); }

  // Calls visit(Key&) with the key's slot locked; changes are recorded if there is a recorder.
  template <class Visit>
  void with_key(std::string_view name, Visit&& visit, EffectRecorder* recorder = nullptr) {
    ByteBuffer buffer;
    Reply reply(&buffer);
    Context context{client.executor(), client.keyspace(), client.limits(), client.session(), reply};
    context.now_ms = client.now_ms;
    context.effects = recorder;
    Slot& slot = client.keyspace().slot(client.keyspace().hash(name).slot());
    slot.lock.lock();
    Key key(context, name, Key::Use::kPeek);
    visit(key);
    slot.lock.unlock();
  }
  // What OBJECT ENCODING says of a key; empty when it is missing.
  std::string encoding(std::string_view name) {
    std::string found;
    with_key(name, [&](Key& key) {
      if (key.exists()) found = value_ops(key.entry()).encoding_name(key.entry());
    });
    return found;
  }

  EngineClient client;
};

}  // namespace dyno

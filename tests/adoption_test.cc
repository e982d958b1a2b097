// SPDX-License-Identifier: Apache-2.0
//
// A node that was alone gets replicas while clients write.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/replica_node.h"

namespace dyno {
namespace {

// Frames of several threads, in the order in which their slots were locked.
class SharedSink final : public FrameSink {
 public:
  void emit(Token, Stamp, std::string_view frame) override { add(frame); }
  void emit_everywhere(Stamp, std::string_view frame) override { add(frame); }
  [[nodiscard]] std::vector<std::string> take() { return std::exchange(frames_, {}); }

 private:
  void add(std::string_view frame) {
    std::lock_guard lock(mutex_);
    frames_.emplace_back(frame);
  }

  std::mutex mutex_;
  std::vector<std::string> frames_;
};

// Commands of all types on some hundred keys, most of which meet others' commands.
class Writer {
 public:
  Writer(Executor& executor, int64_t now_ms, uint32_t seed)
      : executor_(executor), now_ms_(now_ms), random_(seed) {}
  ~Writer() { executor_.end(session_); }

  void write(int count) {
    for (int i = 0; i < count; ++i) run(command());
  }
  void run(const std::vector<std::string>& words) {
    std::vector<std::string_view> args(words.begin(), words.end());
    ByteBuffer buffer;
    Reply reply(&buffer, session_.protocol);
    executor_.run(session_, args, reply, now_ms_);
    REQUIRE(!buffer.view().starts_with("-"));
  }

 private:
  uint32_t draw(size_t n) { return static_cast<uint32_t>(random_() % n); }
  std::vector<std::string> command() {
    // The first letter tells the type, the number the slot.
    std::string key = std::to_string(draw(40));
    std::string member = "m" + std::to_string(draw(200));
    std::string number = std::to_string(draw(100));
    const std::vector<std::string> commands[] = {
        {"SET", "s" + key, number},
        {"SET", "s" + key, number, "EX", "1000"},
        {"INCRBY", "n" + key, number},
        {"DEL", "n" + key, "h" + key},
        {"HSET", "h" + key, member, number, "f", number},
        {"HINCRBY", "h" + key, "count", number},
        {"HDEL", "h" + key, member},
        {"HPEXPIRE", "h" + key, "1000000", "FIELDS", "1", member},
        {"SADD", "e" + key, member, number},
        {"SREM", "e" + key, member},
        {"ZADD", "z" + key, number, member},
        {"ZINCRBY", "z" + key, number, member},
        {"RPUSH", "l" + key, member, number},
        {"LPUSH", "l" + key, member},
        {"LPOP", "l" + key},
        {"LREM", "l" + key, "1", number},
        {"PFADD", "p" + key, member},
        {"EXPIRE", "z" + key, "1000"},
        {"SUNIONSTORE", "e" + key, "e" + key, "e" + number},
        {"MSET", "s" + key, number, "s" + number, key},
    };
    return commands[draw(std::size(commands))];
  }

  Executor& executor_;
  int64_t now_ms_;
  std::mt19937 random_;
  Session session_;
};

void run_adoption(uint32_t seed, bool flushes) {
  CAPTURE(seed);
  ReplicaNode node(1);
  ReplicaNode other(2);
  SharedSink sink;
  Executor& executor = node.client.executor();
  executor.set_recorder(nullptr);
  node.replica.set_sink(&sink);
  Writer(executor, node.client.now_ms, seed).write(3000);
  CHECK(sink.take().empty());

  node.replica.begin_adoption(node.client.now_ms);
  executor.set_recorder(&node.origin);
  std::atomic<bool> is_adopted{false};
  std::vector<std::thread> threads;
  for (uint32_t i = 1; i <= 3; ++i) {
    threads.emplace_back([&, i] {
      Writer writer(executor, node.client.now_ms, seed + i);
      while (!is_adopted.load()) writer.write(20);
      writer.write(500);
    });
  }
  std::vector<SlotIndex> order = node.slots;
  std::shuffle(order.begin(), order.end(), std::mt19937(seed));
  for (size_t i = 0; i < order.size(); ++i) {
    node.replica.adopt(order[i]);
    if (i % 256 == 0) std::this_thread::yield();
    if (flushes && i == order.size() / 2) Writer(executor, node.client.now_ms, 0).run({"FLUSHALL"});
  }
  is_adopted.store(true);
  for (std::thread& thread : threads) thread.join();

  // What was written in the meantime and the state of all slots make the other equal, as they do
  // for a replica that is linked while this goes on.
  CHECK(node.damaged_slot() == -1);
  for (const std::string& frame : sink.take()) CHECK(other.receive(frame).refused == "");
  other.pull(node);
  CHECK(other.describe() == node.describe());
  CHECK(other.digest() == node.digest());
  CHECK(other.damaged_slot() == -1);
  CHECK(node.describe().size() > 1000);
  // From now on what either writes reaches the other by its frames alone.
  Writer(executor, node.client.now_ms, seed).write(500);
  for (const std::string& frame : sink.take()) {
    for (const auto& [db, name] : other.receive(frame).to_pull) other.pull_key(node, db, name);
  }
  CHECK(other.describe() == node.describe());
  CHECK(other.digest() == node.digest());
}

TEST_CASE("a node that was alone gets replicas while clients write") {
  for (uint32_t seed = 1; seed <= 5; ++seed) run_adoption(seed, false);
}

TEST_CASE("a flush in the midst of it takes what was there, stamped or not") {
  for (uint32_t seed = 11; seed <= 13; ++seed) run_adoption(seed, true);
}

TEST_CASE("what is merged into a slot before its turn meets stamps") {
  ReplicaNode node(1);
  ReplicaNode other(2);
  node.client.executor().set_recorder(nullptr);
  node("HSET h a 1 b 2");
  node("SET s old");
  other.client.now_ms += 10;
  other("HSET h b 3 c 4");
  other("SET s new");
  node.replica.begin_adoption(node.client.now_ms);
  node.client.executor().set_recorder(&node.origin);
  for (const auto& written : other.written) CHECK(node.receive(written.frame).refused == "");
  for (SlotIndex slot : node.slots) node.replica.adopt(slot);
  CHECK(node.describe() == "0 h -1 hash|a=1@-1|b=3@-1|c=4@-1\n0 s -1 string|new\n");
  CHECK(node.damaged_slot() == -1);
  other.pull(node);
  CHECK(other.describe() == node.describe());
  CHECK(other.digest() == node.digest());
}

}  // namespace
}  // namespace dyno

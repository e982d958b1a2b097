// SPDX-License-Identifier: Apache-2.0
//
// Folding frames and merging the result is as good as merging the frames: histories of random
// commands on two nodes that tell each other, of which one keeps a log by key and folds it at
// random moments, in parts or as a whole.
#include "engine/replica/delta_fold.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "engine/replica/delta.h"
#include "tests/random_command.h"
#include "tests/replica_node.h"
#include "tests/replica_storm.h"

namespace dyno {
namespace {

using Name = std::pair<int, std::string>;

// What a disk would hold: the frames of each key, folded now and then.
class FoldedLog {
 public:
  explicit FoldedLog(uint32_t seed) : random_(seed) {}

  Stamp horizon = 0;

  void append(std::string_view frame) {
    std::vector<Delta> deltas;
    REQUIRE(read_frame(frame, &deltas) == "");
    for (const Delta& delta : deltas) {
      if (is_flush(delta)) {
        Stamp& flushed = flushed_[static_cast<size_t>(delta.db)];
        flushed = std::max(flushed, delta.facts[0].stamp);
        continue;
      }
      FrameWriter one;
      for (const Fact& fact : delta.facts) one.add(delta.db, delta.key, fact);
      std::vector<std::string>& frames = keys_[{delta.db, std::string(delta.key)}];
      frames.emplace_back(one.finish());
      if (random_() % 4 == 0) fold_some(delta.db, &frames);
    }
  }
  // Visits flushes first, then every key's one frame.
  template <class Visit>
  void replay(Visit&& visit) {
    for (size_t db = 0; db < flushed_.size(); ++db) {
      if (flushed_[db] == 0) continue;
      FrameWriter flush;
      flush.add(static_cast<int>(db), {}, {.kind = FactKind::kFlush, .stamp = flushed_[db]});
      visit(flush.finish());
    }
    for (auto& [name, frames] : keys_) {
      fold_range(name.first, &frames, 0, frames.size());
      if (!frames.empty()) visit(frames.front());
    }
  }
  [[nodiscard]] size_t bytes() const {
    size_t sum = 0;
    for (const auto& [_, frames] : keys_) {
      for (const std::string& frame : frames) sum += frame.size();
    }
    return sum;
  }

 private:
  void fold_some(int db, std::vector<std::string>* frames) {
    size_t begin = random_() % frames->size();
    fold_range(db, frames, begin, begin + 1 + random_() % (frames->size() - begin));
  }
  void fold_range(int db, std::vector<std::string>* frames, size_t begin, size_t end) {
    std::vector<std::string_view> views(frames->begin() + static_cast<ptrdiff_t>(begin),
                                        frames->begin() + static_cast<ptrdiff_t>(end));
    FoldBounds bounds{horizon, flushed_[static_cast<size_t>(db)], views.size() == frames->size()};
    std::string folded;
    REQUIRE(fold(views, bounds, &folded) == "");
    frames->erase(frames->begin() + static_cast<ptrdiff_t>(begin),
                  frames->begin() + static_cast<ptrdiff_t>(end));
    if (!folded.empty()) frames->insert(frames->begin() + static_cast<ptrdiff_t>(begin), folded);
  }

  std::mt19937 random_;
  std::map<Name, std::vector<std::string>> keys_;
  std::array<Stamp, ReplicaSlot::kDatabases> flushed_{};
};

// Two nodes; the first one logs all that it writes or is told.
class FoldedHistory {
 public:
  explicit FoldedHistory(uint32_t seed) : log(seed), random_(seed) {
    for (ReplicaNode* node : nodes_) node->client.limits().hyperloglog_sparse_bytes = 100;
  }

  void step() {
    size_t i = random_() % 2;
    write(*nodes_[i]);
    if (i == 0) log_written();
    if (random_() % 3 == 0) deliver(random_() % 2);
    for (ReplicaNode* node : nodes_) node->client.now_ms += random_() % 3;
  }
  void finish() {
    deliver(0);
    deliver(1);
  }
  ReplicaNode& first() { return first_; }

  FoldedLog log;

 private:
  void write(ReplicaNode& node) {
    const auto& specs = ReplicaStorm::specs();
    RandomCommand::Draw draw = [this](uint32_t n) { return n == 0 ? 0 : random_() % n; };
    RandomCommand command(*specs[random_() % specs.size()], node.client.now_ms, draw);
    (void)node.run(command.write());
  }
  void log_written() {
    for (; logged_ < first_.written.size(); ++logged_) {
      log.append(first_.written[logged_].frame);
    }
  }
  void deliver(size_t to) {
    ReplicaNode& from = *nodes_[1 - to];
    for (; told_[to] < from.written.size(); ++told_[to]) {
      const std::string& frame = from.written[told_[to]].frame;
      MergeOutcome outcome = nodes_[to]->receive(frame);
      REQUIRE(outcome.refused == "");
      if (to == 0) log.append(frame);
      for (const auto& [db, name] : outcome.to_pull) {
        FrameWriter state;
        from.read_key(db, name, &state);
        if (state.empty()) continue;
        (void)nodes_[to]->receive(state.finish(), FrameOrigin::kState);
        if (to == 0) log.append(state.finish());
      }
    }
  }

  std::mt19937 random_;
  ReplicaNode first_{1};
  ReplicaNode second_{2};
  ReplicaNode* nodes_[2] = {&first_, &second_};
  size_t logged_ = 0;
  size_t told_[2] = {0, 0};
};

void check_replay(FoldedHistory& history) {
  ReplicaNode rebuilt(3);
  rebuilt.client.now_ms = history.first().client.now_ms;
  rebuilt.client.limits().hyperloglog_sparse_bytes = 100;
  history.log.replay([&](std::string_view frame) {
    REQUIRE(rebuilt.receive(frame, FrameOrigin::kState).refused == "");
  });
  CHECK(ReplicaStorm::difference(history.first().describe(), rebuilt.describe()) == "");
  CHECK(history.first().digest() == rebuilt.digest());
  CHECK(rebuilt.damaged_slot() == -1);
}

TEST_CASE("what was folded rebuilds the same data") {
  for (uint32_t seed = 1; seed <= 60; ++seed) {
    CAPTURE(seed);
    FoldedHistory history(seed);
    for (int i = 0; i < 150; ++i) history.step();
    history.finish();
    check_replay(history);
  }
}

TEST_CASE("traces go once everybody knows") {
  ReplicaNode node(1);
  FoldedLog log(7);
  for (int i = 0; i < 50; ++i) {
    std::string n = std::to_string(i);
    for (const char* line : {"SET s ", "HSET h f", "SADD set m", "RPUSH l v", "INCRBY n "}) {
      node(std::string(line) + n + (line[0] == 'H' ? " v" : ""));
    }
  }
  for (const char* key : {"s", "h", "set", "l", "n"}) node(std::string("DEL ") + key);
  for (const auto& written : node.written) log.append(written.frame);
  log.replay([](std::string_view) {});
  CHECK(log.bytes() > 0);
  log.horizon = node.replica.clock().last();
  log.replay([](std::string_view frame) { FAIL(frame.size()); });
  CHECK(log.bytes() == 0);
}

void check_replay(ReplicaNode& node, FoldedLog& log) {
  ReplicaNode rebuilt(3);
  log.replay([&](std::string_view frame) {
    REQUIRE(rebuilt.receive(frame, FrameOrigin::kState).refused == "");
  });
  CHECK(ReplicaStorm::difference(node.describe(), rebuilt.describe()) == "");
  CHECK(rebuilt.damaged_slot() == -1);
}

TEST_CASE("patches of large strings end up in the string") {
  for (uint32_t seed = 1; seed <= 20; ++seed) {
    ReplicaNode node(1);
    FoldedLog log(seed);
    node("SETRANGE big 5000 middle");
    node("SETRANGE big 100 begin");
    node("APPEND big end");
    node("SETBIT big 90000 1");
    node("SET other " + std::string(3000, 'x'));
    node("SETRANGE other 2999 yz");
    for (const auto& written : node.written) log.append(written.frame);
    check_replay(node, log);
    // The whole string once, not each version of it.
    CHECK(log.bytes() < 16'000);
  }
}

TEST_CASE("registers that everybody knows become one fact") {
  ReplicaNode node(1);
  FoldedLog log(1);
  for (int i = 0; i < 300; ++i) node("PFADD visitors user" + std::to_string(i));
  for (const auto& written : node.written) log.append(written.frame);
  log.horizon = node.replica.clock().last();
  check_replay(node, log);
  size_t folded = log.bytes();
  CHECK(folded > 300);
  CHECK(folded < 300 * 5);
  node("PFADD visitors more");
  log.append(node.written.back().frame);
  check_replay(node, log);
}

TEST_CASE("a key whose time has come is forgotten") {
  ReplicaNode node(1);
  FoldedLog log(7);
  node("SET k v PX 50");
  node("SET stays v");
  for (const auto& written : node.written) log.append(written.frame);
  log.horizon = first_stamp_of(node.client.now_ms + 1000);
  int left = 0;
  log.replay([&](std::string_view) { ++left; });
  CHECK(left == 1);
}

TEST_CASE("frames that do not belong together are refused") {
  ReplicaNode node(1);
  node("SET a 1");
  node("SET b 1");
  std::string_view frames[] = {node.written[0].frame, node.written[1].frame};
  std::string out;
  CHECK(fold(frames, {}, &out) == "frames of different keys");
  std::string_view broken[] = {node.written[0].frame, "nonsense"};
  CHECK(fold(broken, {}, &out) != "");
  CHECK(out.empty());
}

}  // namespace
}  // namespace dyno

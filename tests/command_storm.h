// SPDX-License-Identifier: Apache-2.0
//
// Random commands of several sessions on one engine, with everything checked that holds whatever
// the commands were: replies are well formed, counters agree with the tables, and the recorded
// effects rebuild the same data set from nothing.
#pragma once

#include <algorithm>
#include <array>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/blocking.h"
#include "engine/reclaimer.h"
#include "engine/stats.h"
#include "engine/types/sketch.h"
#include "protocol/check.h"
#include "tests/effect_log.h"
#include "tests/engine_client.h"
#include "tests/random_command.h"

namespace dyno {

// Reads one reply and collects its leaves. A reply that is not well formed stops the process.
class ReplyReader {
 public:
  explicit ReplyReader(std::string_view bytes) : bytes_(bytes) {
    read(0);
    DYNO_CHECK(bytes_.empty());
  }
  // Strings, numbers and "(null)", whatever they were nested in.
  [[nodiscard]] std::vector<std::string>& leaves() { return leaves_; }

 private:
  std::string_view line() {
    size_t end = bytes_.find("\r\n");
    DYNO_CHECK(end != std::string_view::npos && end >= 1);
    std::string_view line = bytes_.substr(0, end);
    bytes_.remove_prefix(end + 2);
    return line;
  }

  void read(int depth) {
    constexpr int kDepthMax = 16;
    DYNO_CHECK(depth < kDepthMax);
    std::string_view head = line();
    char kind = head[0];
    std::string_view rest = head.substr(1);
    if (std::string_view("+-,#(").find(kind) != std::string_view::npos) {
      leaves_.emplace_back(rest);
      return;
    }
    if (kind == '_') {
      DYNO_CHECK(rest.empty());
      leaves_.emplace_back("(null)");
      return;
    }
    auto number = parse_int64(rest);
    DYNO_CHECK(number.has_value());
    if (kind == ':') {
      leaves_.emplace_back(rest);
    } else if ((kind == '$' || kind == '*') && *number == -1) {
      leaves_.emplace_back("(null)");
    } else if (kind == '$' || kind == '=') {
      DYNO_CHECK(*number >= 0);
      auto size = static_cast<size_t>(*number);
      DYNO_CHECK(bytes_.size() >= size + 2 && bytes_.substr(size, 2) == "\r\n");
      leaves_.emplace_back(bytes_.substr(0, size));
      bytes_.remove_prefix(size + 2);
    } else {
      DYNO_CHECK(*number >= 0 && std::string_view("*~>%").find(kind) != std::string_view::npos);
      for (int64_t i = 0; i < (kind == '%' ? *number * 2 : *number); ++i) read(depth + 1);
    }
  }

  std::string_view bytes_;
  std::vector<std::string> leaves_;
};

class CommandStorm {
 public:
  using Families = std::vector<std::span<const CommandSpec>>;

  CommandStorm(const Families& families, RandomCommand::Draw draw)
      : draw_(std::move(draw)), engine_(families) {
    for (std::span<const CommandSpec> family : families) {
      for (const CommandSpec& spec : family) {
        if (!takes(spec)) continue;
        specs_.push_back(&spec);
        if (makes(spec.name)) makers_.push_back(&spec);
      }
    }
    for (int db = 0; db < kDatabases; ++db) {
      keys_before_[static_cast<size_t>(db)] = engine_.keyspace().key_count(db);
    }
    log_.set_source(&engine_.keyspace());
    engine_.executor().set_recorder(&log_);
    set_limits(engine_.limits());
    sessions_[1].protocol = 3;
    for (Session& session : sessions_) session.wake = [](const std::shared_ptr<Waiter>&) {};
  }
  ~CommandStorm() {
    for (Session& session : sessions_) leave(session);
  }
  CommandStorm(const CommandStorm&) = delete;
  CommandStorm& operator=(const CommandStorm&) = delete;

  // Counts of keys are the process' own, so databases stay where they are; PFSELFTEST takes long.
  [[nodiscard]] static bool takes(const CommandSpec& spec) {
    return spec.body != nullptr && spec.name != "SWAPDB" && spec.name != "PFSELFTEST";
  }

  // Runs one command of one of the sessions.
  void step() {
    // Half of them make things, so that the other half finds some.
    const auto& pool = draw_(2) == 0 ? makers_ : specs_;
    step_with(*pool[draw_(static_cast<uint32_t>(pool.size()))]);
  }

  void step_with(const CommandSpec& spec) {
    engine_.now_ms += draw_(30) == 0 ? draw_(2000) : 0;
    Session& session = sessions_[draw_(kSessions)];
    if (session.waiter != nullptr) {
      if (session.waiter->state.load() == Waiter::kServed) {
        ReplyReader check(session.waiter->reply.view());
      } else if (draw_(3) != 0) {
        return;
      }
      leave(session);
      return;
    }
    session.db = draw_(10) == 0 ? 1 : 0;
    // What empties everything comes rarely, or nothing ever grows.
    if (spec.name.starts_with("FLUSH") && draw_(60) != 0) return;
    if (session.in_multi && draw_(6) == 0) return run(session, {"EXEC"});
    run(session, RandomCommand(spec, engine_.now_ms, draw_).write());
  }

  void run(Session& session, const std::vector<std::string>& words) {
    std::vector<std::string_view> args(words.begin(), words.end());
    ByteBuffer buffer;
    Reply reply(&buffer, session.protocol);
    engine_.executor().run(session, args, reply, engine_.now_ms);
    DYNO_CHECK(log_.is_committed());
    if (session.waiter != nullptr) {
      DYNO_CHECK(buffer.empty());
    } else {
      ReplyReader check(buffer.view());
    }
  }

  // Keys and keys with deadlines, counted and walked.
  void check_counts() {
    std::array<int64_t, kDatabases> keys{};
    for (uint32_t i = 0; i < kSlotCount; ++i) {
      Slot& slot = engine_.keyspace().slot(static_cast<SlotIndex>(i));
      DYNO_CHECK(!slot.lock.is_locked());
      uint32_t flagged = 0;
      uint32_t walked = 0;
      slot.table.for_each([&](uint64_t* word) {
        const Entry* entry = EntryTable::node(*word);
        bool flag = (EntryTable::flags(*word) & kWordHasDeadline) != 0;
        DYNO_CHECK(flag || !entry->has_deadline());
        flagged += flag;
        ++walked;
        ++keys[static_cast<size_t>(entry->db())];
        return true;
      });
      DYNO_CHECK(walked == slot.table.size());
      DYNO_CHECK(flagged == slot.deadline_count);
    }
    for (size_t db = 0; db < kDatabases; ++db) {
      int64_t counted = engine_.keyspace().key_count(static_cast<int>(db));
      DYNO_CHECK(counted - keys_before_[db] == keys[db]);
    }
  }

  // The data set as text, in an order of its own. Not after describe_replayed(): keys are counted
  // per process, and the end of the other engine forgets the counts.
  [[nodiscard]] std::string describe() { return describe(engine_, engine_.now_ms); }
  // The same after the effects, but for the last `lost`, have been put into an empty engine.
  [[nodiscard]] std::string describe_replayed(const Families& families, size_t lost = 0) const {
    EngineClient replica(families);
    log_.replay(replica, log_.size() - std::min(log_.size(), lost));
    return describe(replica, engine_.now_ms);
  }
  [[nodiscard]] size_t effect_count() const { return log_.size(); }

  // Any engine's data set as text at a time; its effects go to `recorder` from then on.
  [[nodiscard]] static std::string describe(EngineClient& engine, int64_t now_ms,
                                            EffectRecorder* recorder = nullptr) {
    std::string text;
    engine.now_ms = now_ms;
    engine.executor().set_recorder(recorder);
    for (int db = 0; db < kDatabases; ++db) {
      // With several engines in the process a flush of one upsets the counts of all.
      if (db != 0 && engine.keyspace().key_count(db) == 0) continue;
      engine.session().db = db;
      std::vector<std::string> keys = ask(engine, {"KEYS", "*"});
      std::sort(keys.begin(), keys.end());
      for (const std::string& key : keys) {
        text += std::to_string(db) + " " + key + " " + ask(engine, {"PEXPIRETIME", key})[0];
        describe_value(engine, key, &text);
        text += "\n";
      }
    }
    engine.session().db = 0;
    return text;
  }

 private:
  static std::vector<std::string> ask(EngineClient& engine, const std::vector<std::string>& words) {
    return std::move(ReplyReader(engine.run(words)).leaves());
  }

  static void describe_value(EngineClient& engine, const std::string& key, std::string* text) {
    std::string type = ask(engine, {"TYPE", key})[0];
    *text += " " + type;
    std::vector<std::string> elements;
    if (type == "string") {
      elements = ask(engine, {"GET", key});
      describe_registers(&elements[0]);
    }
    if (type == "list") elements = ask(engine, {"LRANGE", key, "0", "-1"});
    if (type == "zset") {
      elements = ask(engine, {"ZRANGE", key, "0", "-1", "WITHSCORES"});
      // A packed set does not tell the zeros apart, and when one turns large is nobody's promise.
      for (size_t i = 1; i < elements.size(); i += 2) {
        if (elements[i] == "-0") elements[i] = "0";
      }
    }
    if (type == "set") {
      elements = ask(engine, {"SMEMBERS", key});
      std::sort(elements.begin(), elements.end());
    }
    if (type == "hash") {
      std::vector<std::string> pairs = ask(engine, {"HGETALL", key});
      for (size_t i = 0; i + 1 < pairs.size(); i += 2) {
        std::string deadline = ask(engine, {"HPEXPIRETIME", key, "FIELDS", "1", pairs[i]})[0];
        elements.push_back(pairs[i] + "=" + pairs[i + 1] + "@" + deadline);
      }
      std::sort(elements.begin(), elements.end());
    }
    for (const std::string& element : elements) *text += "|" + element;
  }

  // How a HyperLogLog's registers are written, and the estimate in its header, are each node's own.
  static void describe_registers(std::string* bytes) {
    sketch::Registers registers{};
    if (!sketch::is_sketch(*bytes) || !sketch::merge_into(&registers, *bytes)) return;
    *bytes = "HyperLogLog " + std::string(registers.begin(), registers.end());
  }

  static constexpr uint32_t kSessions = 3;
  static constexpr int kDatabases = 16;

  static bool makes(std::string_view name) {
    constexpr std::string_view kNames[] = {
        "SET",  "APPEND", "SETBIT", "HSET",   "HSETNX",  "LPUSH",   "RPUSH",   "SADD",
        "ZADD", "GEOADD", "PFADD",  "INCRBY", "HINCRBY", "LINSERT", "ZINCRBY", "HEXPIRE"};
    return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
  }

  // So small that collections change their encoding all the time.
  static void set_limits(Limits& limits) {
    limits.bulk_bytes_max = 1 << 20;
    limits.hash_packed_entries = 8;
    limits.set_packed_entries = 8;
    limits.set_integers_entries = 8;
    limits.zset_packed_entries = 8;
    limits.list_packed_size = 6;
    limits.hyperloglog_sparse_bytes = 100;
  }

  void leave(Session& session) {
    if (session.waiter != nullptr) engine_.executor().leave_queues(*session.waiter);
    session.waiter.reset();
    engine_.executor().end(session);
  }

  RandomCommand::Draw draw_;
  EffectLog log_;
  EngineClient engine_;
  std::array<Session, kSessions> sessions_;
  std::vector<const CommandSpec*> specs_;
  std::vector<const CommandSpec*> makers_;
  std::array<int64_t, kDatabases> keys_before_{};
};

}  // namespace dyno

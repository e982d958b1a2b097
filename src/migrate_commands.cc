// SPDX-License-Identifier: Apache-2.0
//
// MIGRATE: gives keys to another server, as DUMP here, RESTORE there and DEL here would.
//
// Redis holds up everybody until the target has answered; here no slot is locked while the network
// is waited for, and the loop of the client goes to a spare thread (loop_drivers.h). A key is
// watched and made into a payload under its slot's lock, sent, and deleted when the target has
// acknowledged it and nobody changed it meanwhile. A key that did change stays, and the command
// answers TRYAGAIN: the target then has the value of before, which REPLACE overwrites. One that was
// deleted meanwhile was deleted too late: it has moved. Nothing is said about several keys as one:
// each moves by itself, in the order in which they are named.
//
// Each step waits for at most the time-out. What is in memory at once is a window of kWindowBytes
// and one value. No more than kAtOnceMax run at once, so that spare threads are left for others.
// Deletions are writes like any other, and go to replicas as such. On a ring the command is refused
// where it would hold up other nodes: it is run by the thread that read it from its client, which
// is so at DC_ONE and on a node that owns the keys.
//
// It is not run inside MULTI, which would keep the slots locked. MONITOR and the slow log do not
// show it, because its arguments have a password among them.
#include <algorithm>
#include <chrono>
#include <semaphore>
#include <thread>

#include "engine/effect.h"
#include "engine/types/dump.h"
#include "protocol/words.h"
#include "src/loop_drivers.h"
#include "src/migration_target.h"
#include "src/server.h"

namespace dyno {
namespace {

constexpr ptrdiff_t kAtOnceMax = LoopDrivers::kSparesMax / 2;
// Keys that are sent before their acknowledgements are awaited.
constexpr size_t kWindowBytes = 1024 * 1024;
constexpr size_t kWindowKeys = 1000;
constexpr int64_t kTimeoutDefaultMs = 1000;
constexpr int64_t kTimeoutMaxMs = 24 * 60 * 60 * 1000;

constexpr int kKey = 3;
constexpr size_t kOptionsBegin = 6;

struct Options {
  int64_t db = 0;
  int64_t timeout_ms = 0;
  bool copies = false;
  bool replaces = false;
  std::vector<std::string_view> auth;  // The arguments of AUTH; empty without.
  Args keys;
};

// Reads all but the numbers. The error when the arguments make no sense.
std::string_view read_options(Args args, Options* options) {
  options->keys = args.subspan(kKey, 1);
  for (size_t i = kOptionsBegin; i < args.size(); ++i) {
    size_t left = args.size() - 1 - i;
    bool names_user = is_word(args[i], "AUTH2");
    if (is_word(args[i], "COPY")) {
      options->copies = true;
    } else if (is_word(args[i], "REPLACE")) {
      options->replaces = true;
    } else if (names_user || is_word(args[i], "AUTH")) {
      size_t words = names_user ? 2 : 1;
      if (left < words) return errors::kSyntax;
      options->auth.assign(args.begin() + static_cast<long>(i) + 1,
                           args.begin() + static_cast<long>(i + words) + 1);
      i += words;
    } else if (is_word(args[i], "KEYS")) {
      if (!args[kKey].empty()) {
        return "ERR When using MIGRATE KEYS option, the key argument must be set to the empty "
               "string";
      }
      options->keys = args.subspan(i + 1);
      return {};
    } else {
      return errors::kSyntax;
    }
  }
  return {};
}

bool find_keys(Args args, std::vector<int>* indexes) {
  Options options;
  if (args.size() < kOptionsBegin || !read_options(args, &options).empty()) return false;
  auto first = static_cast<int>(options.keys.data() - args.data());
  for (size_t i = 0; i < options.keys.size(); ++i) indexes->push_back(first + static_cast<int>(i));
  return true;
}

void append_request(std::string* out, std::span<const std::string_view> words) {
  out->append("*").append(std::to_string(words.size())).append("\r\n");
  for (std::string_view word : words) {
    out->append("$").append(std::to_string(word.size())).append("\r\n");
    out->append(word).append("\r\n");
  }
}

// One run of the command.
class Migration {
 public:
  Migration(Context& c, const Options& options)
      : c_(c),
        options_(options),
        target_(std::chrono::milliseconds(options.timeout_ms), client_of(c).server.stopping()) {}

  // Moves all keys, and answers.
  void run();

 private:
  struct Sent {
    std::string_view name;
    int db = 0;       // Physical.
    Session session;  // Watches the key, unless it stays anyway.
  };

  // Runs `body` with a context of its own under the lock of one key's slot.
  template <class Body>
  void with_key(std::string_view name, Session& session, Body&& body);
  // Adds a key that exists to the window.
  void pack(std::string_view name);
  // Connects, and says who we are and which database is meant.
  [[nodiscard]] bool greet();
  // Sends the window and reads what becomes of each key. False when the connection is of no use.
  [[nodiscard]] bool exchange();
  void acknowledged(Sent& sent);
  // The first error is the answer.
  void fail(std::string text) {
    if (error_.empty()) error_ = std::move(text);
  }
  void fail_io(std::string_view step) { fail("IOERR error or timeout " + std::string(step)); }
  void fail_at_target(std::string_view reply) {
    fail("ERR Target instance replied with error: " + std::string(reply.substr(1)));
  }

  Context& c_;
  const Options& options_;
  MigrationTarget target_;
  bool found_ = false;
  bool greeted_ = false;
  std::vector<Sent> window_;
  std::string requests_;  // Of the window.
  std::string error_;
};

template <class Body>
void Migration::with_key(std::string_view name, Session& session, Body&& body) {
  EffectRecorder* recorder = c_.executor.recorder();
  int64_t now_ms = unix_time_ms();
  if (recorder != nullptr) now_ms = recorder->now_ms(now_ms);
  SlotIndex slot = c_.keyspace.hash(name).slot();
  c_.executor.run_under_locks({slot}, false, now_ms, [&] {
    ByteBuffer unread;
    Reply reply(&unread);
    Context context{c_.executor, c_.keyspace, c_.limits, session, reply};
    context.now_ms = now_ms;
    context.effects = recorder;
    context.no_touch = c_.no_touch;
    if (recorder != nullptr) recorder->begin_command(now_ms);
    body(context);
  });
}

void Migration::pack(std::string_view name) {
  Sent sent{name, 0, {}};
  std::optional<std::string> payload;
  int64_t ttl_ms = 0;
  bool is_on_disk = false;
  auto pack_value = [&](Context& context) {
    context.db = sent.db = c_.keyspace.physical_db(c_.session.db);
    ColdGate* gate = c_.executor.cold_gate();
    is_on_disk = gate != nullptr && gate->holds_key(context, name, context.db);
    if (is_on_disk) return;
    Key key(context, name, Key::Use::kRead);
    payload = dump_payload(key);
    if (!payload) return;
    if (key.deadline() >= 0) ttl_ms = std::max<int64_t>(key.deadline() - context.now_ms, 1);
    if (!options_.copies) c_.executor.watch(context, name);
  };
  with_key(name, sent.session, pack_value);
  // This thread may wait: another one drives its loop meanwhile (loop_drivers.h).
  for (int64_t waited_ms = 0; is_on_disk; ++waited_ms) {
    if (waited_ms == options_.timeout_ms) return fail_io("reading the key from disk");
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    with_key(name, sent.session, pack_value);
  }
  if (!payload) return;
  found_ = true;
  std::string ttl = std::to_string(ttl_ms);
  const std::string_view words[] = {"RESTORE", name, ttl, *payload, "REPLACE"};
  append_request(&requests_, std::span(words).first(options_.replaces ? 5 : 4));
  window_.push_back(std::move(sent));
}

bool Migration::greet() {
  if (!target_.connect(c_.args[1], c_.args[2])) {
    fail_io("connecting to the client");
    return false;
  }
  std::string hello;
  size_t replies = 0;
  if (!options_.auth.empty()) {
    std::vector<std::string_view> words = {"AUTH"};
    words.insert(words.end(), options_.auth.begin(), options_.auth.end());
    append_request(&hello, words);
    ++replies;
  }
  if (options_.db != 0) {
    std::string db = std::to_string(options_.db);
    const std::string_view words[] = {"SELECT", db};
    append_request(&hello, words);
    ++replies;
  }
  if (!target_.write(hello)) {
    fail_io("writing to target instance");
    return false;
  }
  for (; replies > 0; --replies) {
    auto reply = target_.read_status();
    if (!reply) {
      fail_io("reading to target instance");
      return false;
    }
    if (reply->starts_with('-')) fail_at_target(*reply);
  }
  return error_.empty();
}

bool Migration::exchange() {
  bool goes_on = greeted_ || greet();
  greeted_ = true;
  if (goes_on && !target_.write(requests_)) {
    fail_io("writing to target instance");
    goes_on = false;
  }
  requests_.clear();
  for (Sent& sent : window_) {
    if (goes_on) {
      auto reply = target_.read_status();
      if (!reply) {
        fail_io("reading to target instance");
        goes_on = false;
      } else if (reply->starts_with('-')) {
        fail_at_target(*reply);
      } else {
        acknowledged(sent);
      }
    }
    c_.executor.unwatch(sent.session);
  }
  window_.clear();
  return goes_on;
}

void Migration::acknowledged(Sent& sent) {
  if (options_.copies) return;
  bool changed = false;
  with_key(sent.name, sent.session, [&](Context& context) {
    context.db = sent.db;
    Key key(context, sent.name, Key::Use::kReplace);
    if (!key.exists()) return;
    changed = sent.session.watch->touched.load();
    if (changed) return;
    key.erase();
    key.changed();
  });
  if (changed) {
    fail("TRYAGAIN A key changed while it was sent: it stays, and the target has what it was");
  }
}

void Migration::run() {
  for (std::string_view name : options_.keys) {
    pack(name);
    bool full = requests_.size() >= kWindowBytes || window_.size() >= kWindowKeys;
    if (full && !exchange()) return c_.error(error_);
  }
  if (!window_.empty() && !exchange()) return c_.error(error_);
  if (!found_) return c_.reply.simple("NOKEY");
  error_.empty() ? c_.reply.ok() : c_.error(error_);
}

// Runs for a client of another node, or between the votes of a quorum: on the thread that talks
// with the other nodes, which must not wait.
bool is_run_for_ring(const Client& client) {
  return client.facts.fd < 0;
}

void migrate(Context& c) {
  if (is_run_for_ring(client_of(c))) {
    return c.error(
        "ERR MIGRATE on a ring is possible at a node that owns the keys, with writes at DC_ONE");
  }
  Options options;
  if (auto error = read_options(c.args, &options); !error.empty()) return c.error(error);
  auto timeout_ms = parse_int64(c.args[5]);
  auto db = parse_int64(c.args[4]);
  if (!timeout_ms || !db) return c.error(errors::kNotInteger);
  options.db = *db;
  options.timeout_ms = *timeout_ms <= 0 ? kTimeoutDefaultMs : std::min(*timeout_ms, kTimeoutMaxMs);

  static std::counting_semaphore<kAtOnceMax> turns(kAtOnceMax);
  if (!turns.try_acquire()) return c.error("BUSY Too many MIGRATE commands are running");
  Migration(c, options).run();
  turns.release();
}

// clang-format off
const CommandSpec kRows[] = {
    {"MIGRATE", -6,
     kWrite | kDangerous | kMovableKeys | kLocksItself | kNoMulti | kNoMonitor | kNoSlowlog,
     {kKey, kKey, 1}, CommandGroup::kGeneric, "2.6.0",
     "O(N) with N the number of elements, and as much traffic to the other server",
     "Gives keys to another server and deletes them here, each by itself. Not inside MULTI; on a "
     "ring at the owner of the keys only, with writes at DC_ONE.",
     "host port key destination-db timeout [COPY] [REPLACE] [AUTH password | AUTH2 username "
     "password] [KEYS key [key ...]]", migrate, find_keys},
};
// clang-format on

}  // namespace

const std::span<const CommandSpec> kMigrateCommands{kRows};

}  // namespace dyno

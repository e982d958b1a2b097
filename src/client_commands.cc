// SPDX-License-Identifier: Apache-2.0
//
// CLIENT: what is known of connections, and power over them.
#include <algorithm>
#include <limits>

#include "protocol/words.h"
#include "src/monitors.h"
#include "src/server.h"

namespace dyno {
namespace {

void add(std::string* line, std::string_view name, std::string_view value) {
  if (!line->empty()) line->push_back(' ');
  line->append(name).append("=").append(value);
}

void add(std::string* line, std::string_view name, int64_t value) {
  add(line, name, std::to_string(value));
}

std::string flags_of(const ClientFacts& facts) {
  std::string flags;
  if (facts.monitor.load()) flags += 'O';
  if (facts.blocked.load()) flags += 'b';
  if (facts.queued.load() >= 0) flags += 'x';
  if (facts.unix_socket) flags += 'U';
  if (facts.no_evict.load()) flags += 'e';
  if (facts.no_touch.load()) flags += 'T';
  return flags.empty() ? "N" : flags;
}

// One line of CLIENT LIST, without its end.
std::string line_of(const ClientFacts& facts, int64_t now_ms) {
  std::string line;
  const CommandSpec* last = facts.last_command.load();
  int64_t out = facts.output_bytes.load();
  add(&line, "id", static_cast<int64_t>(facts.id));
  add(&line, "addr", facts.address);
  add(&line, "laddr", facts.local_address);
  add(&line, "fd", facts.fd);
  {
    std::lock_guard lock(facts.mutex);
    add(&line, "name", facts.name);
  }
  add(&line, "age", (now_ms - facts.created_ms) / 1000);
  add(&line, "idle", std::max<int64_t>(now_ms - facts.used_ms.load(), 0) / 1000);
  add(&line, "flags", flags_of(facts));
  add(&line, "db", facts.db.load());
  add(&line, "sub", int64_t{0});
  add(&line, "psub", int64_t{0});
  add(&line, "ssub", int64_t{0});
  add(&line, "multi", facts.queued.load());
  add(&line, "watch", facts.watched.load());
  add(&line, "qbuf", facts.input_bytes.load());
  add(&line, "qbuf-free", facts.input_room.load());
  add(&line, "argv-mem", int64_t{0});
  add(&line, "multi-mem", facts.queue_bytes.load());
  add(&line, "rbs", int64_t{0});
  add(&line, "rbp", int64_t{0});
  add(&line, "obl", out);
  add(&line, "oll", int64_t{0});
  add(&line, "omem", int64_t{0});
  add(&line, "tot-mem", facts.memory_bytes.load());
  add(&line, "events", out > 0 ? "rw" : "r");
  add(&line, "cmd", last == nullptr ? "NULL" : to_lower(last->name));
  add(&line, "user", "default");
  add(&line, "redir", int64_t{-1});
  add(&line, "resp", facts.protocol.load());
  std::lock_guard lock(facts.mutex);
  add(&line, "lib-name", facts.library_name);
  add(&line, "lib-ver", facts.library_version);
  return line;
}

void client_id(Context& c) {
  c.reply.integer(static_cast<int64_t>(client_of(c).id));
}

void client_info(Context& c) {
  Client& client = client_of(c);
  client.publish();
  c.reply.verbatim(line_of(client.facts, c.now_ms) + "\n");
}

// TYPE normal|master|replica|pubsub; all that connect here are normal.
bool read_client_type(Context& c, std::string_view word, bool* normal) {
  *normal = is_word(word, "NORMAL");
  if (*normal || is_word(word, "MASTER") || is_word(word, "REPLICA") || is_word(word, "SLAVE") ||
      is_word(word, "PUBSUB")) {
    return true;
  }
  c.error("ERR Unknown client type '" + std::string(word.substr(0, 128)) + "'");
  return false;
}

void client_list(Context& c) {
  Client& client = client_of(c);
  bool normal = true;
  std::vector<uint64_t> ids;
  if (c.args.size() == 4 && is_word(c.args[2], "TYPE")) {
    if (!read_client_type(c, c.args[3], &normal)) return;
  } else if (c.args.size() > 3 && is_word(c.args[2], "ID")) {
    for (std::string_view text : c.args.subspan(3)) {
      auto id = parse_int64(text);
      if (!id || *id < 1) return c.error("ERR Invalid client ID");
      ids.push_back(static_cast<uint64_t>(*id));
    }
  } else if (c.args.size() != 2) {
    return c.error(errors::kSyntax);
  }
  client.publish();
  std::string text;
  client.server.clients().for_each([&](const ClientFacts& facts, NetworkThread&) {
    if (!normal) return;
    if (!ids.empty() && std::find(ids.begin(), ids.end(), facts.id) == ids.end()) return;
    text += line_of(facts, c.now_ms) + "\n";
  });
  c.reply.verbatim(text);
}

void client_getname(Context& c) {
  const std::string& name = client_of(c).name;
  name.empty() ? c.reply.null() : c.reply.bulk(name);
}

void client_setname(Context& c) {
  if (!is_one_word(c.args[2])) {
    return c.error(kBadClientName);
  }
  Client& client = client_of(c);
  client.name = c.args[2];
  client.publish_texts();
  c.reply.ok();
}

void client_setinfo(Context& c) {
  Client& client = client_of(c);
  std::string* target = nullptr;
  if (is_word(c.args[2], "LIB-NAME")) target = &client.library_name;
  if (is_word(c.args[2], "LIB-VER")) target = &client.library_version;
  if (target == nullptr) {
    return c.error("ERR Unrecognized option '" + std::string(c.args[2].substr(0, 128)) + "'");
  }
  if (!is_one_word(c.args[3])) {
    return c.error("ERR " + to_lower(c.args[2]) +
                   " cannot contain spaces, newlines or special characters.");
  }
  *target = c.args[3];
  client.publish_texts();
  c.reply.ok();
}

// What CLIENT KILL selects by; a client must match all that is given.
struct KillFilter {
  std::optional<uint64_t> id;
  std::optional<std::string_view> address;
  std::optional<std::string_view> local_address;
  std::optional<std::string_view> user;
  std::optional<int64_t> age_s;
  bool normal = true;
  bool skip_me = true;

  [[nodiscard]] bool matches(const ClientFacts& facts, int64_t now_ms) const {
    return normal && (!id || *id == facts.id) && (!address || *address == facts.address) &&
           (!local_address || *local_address == facts.local_address) &&
           (!user || *user == "default") &&
           (!age_s || (now_ms - facts.created_ms) / 1000 >= *age_s);
  }
};

bool read_kill_filter(Context& c, KillFilter* filter) {
  if (c.args.size() % 2 != 0) {
    c.error(errors::kSyntax);
    return false;
  }
  for (size_t i = 2; i + 1 < c.args.size(); i += 2) {
    std::string_view word = c.args[i];
    std::string_view value = c.args[i + 1];
    if (is_word(word, "ID")) {
      auto id = parse_int64(value);
      if (!id || *id < 1) return c.error("ERR client-id should be greater than 0"), false;
      filter->id = static_cast<uint64_t>(*id);
    } else if (is_word(word, "MAXAGE")) {
      auto age = parse_int64(value);
      if (!age || *age < 1) return c.error("ERR maxage is not an integer or out of range"), false;
      filter->age_s = *age;
    } else if (is_word(word, "TYPE")) {
      if (!read_client_type(c, value, &filter->normal)) return false;
    } else if (is_word(word, "ADDR")) {
      filter->address = value;
    } else if (is_word(word, "LADDR")) {
      filter->local_address = value;
    } else if (is_word(word, "USER")) {
      if (value != "default") {
        c.error("ERR No such user '" + std::string(value.substr(0, 128)) + "'");
        return false;
      }
      filter->user = value;
    } else if (is_word(word, "SKIPME") && is_word(value, "YES")) {
      filter->skip_me = true;
    } else if (is_word(word, "SKIPME") && is_word(value, "NO")) {
      filter->skip_me = false;
    } else {
      c.error(errors::kSyntax);
      return false;
    }
  }
  return true;
}

void client_kill(Context& c) {
  Client& client = client_of(c);
  KillFilter filter;
  bool old_form = c.args.size() == 3;
  if (old_form) {
    filter.address = c.args[2];
    filter.skip_me = false;
  } else if (!read_kill_filter(c, &filter)) {
    return;
  }
  int64_t killed = 0;
  client.server.clients().for_each([&](const ClientFacts& facts, NetworkThread& thread) {
    if (!filter.matches(facts, c.now_ms)) return;
    if (facts.id == client.id) {
      if (filter.skip_me) return;
      client.close_after_reply = true;
    } else {
      thread.close_client(facts.id, CloseReason::kAsked);
    }
    ++killed;
  });
  if (!old_form) return c.reply.integer(killed);
  killed > 0 ? c.reply.ok() : c.error("ERR No such client");
}

void client_pause(Context& c) {
  bool all = true;
  if (c.args.size() == 4) {
    all = is_word(c.args[3], "ALL");
    if (!all && !is_word(c.args[3], "WRITE")) {
      return c.error("ERR CLIENT PAUSE mode must be WRITE or ALL");
    }
  } else if (c.args.size() != 3) {
    return c.error("ERR wrong number of arguments for 'client|pause' command");
  }
  auto timeout_ms = parse_int64(c.args[2]);
  if (!timeout_ms || *timeout_ms > std::numeric_limits<int64_t>::max() - c.now_ms) {
    return c.error("ERR timeout is not an integer or out of range");
  }
  if (*timeout_ms < 0) return c.error(errors::kTimeoutNegative);
  client_of(c).server.pause(c.now_ms + *timeout_ms, all);
  c.reply.ok();
}

void client_unpause(Context& c) {
  client_of(c).server.unpause();
  c.reply.ok();
}

void client_reply(Context& c) {
  Client& client = client_of(c);
  if (is_word(c.args[2], "ON")) {
    client.reply_mode = ReplyMode::kOn;
    c.reply.ok();
  } else if (is_word(c.args[2], "OFF")) {
    client.reply_mode = ReplyMode::kOff;
  } else if (is_word(c.args[2], "SKIP")) {
    if (client.reply_mode != ReplyMode::kOff) client.reply_mode = ReplyMode::kSkipNext;
  } else {
    c.error(errors::kSyntax);
  }
}

void client_unblock(Context& c) {
  auto id = parse_int64(c.args[2]);
  bool error = false;
  if (c.args.size() == 4) {
    error = is_word(c.args[3], "ERROR");
    if (!error && !is_word(c.args[3], "TIMEOUT")) {
      return c.error("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
    }
  } else if (c.args.size() != 3) {
    return c.error("ERR wrong number of arguments for 'client|unblock' command");
  }
  if (!id) return c.error(errors::kNotInteger);
  bool blocked = false;
  client_of(c).server.clients().with(static_cast<uint64_t>(*id),
                                     [&](const ClientFacts& facts, NetworkThread& thread) {
                                       blocked = facts.blocked.load();
                                       if (blocked) thread.unblock(facts.id, error);
                                     });
  c.reply.integer(blocked ? 1 : 0);
}

// ON or OFF into `flag`; else the error.
void set_flag(Context& c, bool* flag) {
  if (is_word(c.args[2], "ON")) {
    *flag = true;
  } else if (is_word(c.args[2], "OFF")) {
    *flag = false;
  } else {
    return c.error(errors::kSyntax);
  }
  c.reply.ok();
}

void client_no_evict(Context& c) {
  set_flag(c, &c.session.no_evict);
}
void client_no_touch(Context& c) {
  set_flag(c, &c.session.no_touch);
}

// Levels of this connection instead of the configuration's.
void client_consistency(Context& c) {
  Client& client = client_of(c);
  bool read = is_word(c.args[2], "READ");
  if (!read && !is_word(c.args[2], "WRITE")) return c.error(errors::kSyntax);
  auto level = parse_level(c.args[3]);
  bool is_default = is_word(c.args[3], "DEFAULT");
  if (!level && !is_default) {
    return c.error(
        "ERR expected DC_ONE, DC_QUORUM, DC_SAFE_QUORUM, DC_EACH_SAFE_QUORUM or DEFAULT");
  }
  (read ? client.read_level : client.write_level) = level;
  c.reply.ok();
}

// Invalidation messages come with the tracking of replicated writes; clients fall back without
// them.
void client_tracking(Context& c) {
  if (is_word(c.args[2], "OFF")) return c.reply.ok();
  if (!is_word(c.args[2], "ON")) return c.error(errors::kSyntax);
  c.error("ERR Client tracking is not supported by this version of Dyno");
}

void client_getredir(Context& c) {
  c.reply.integer(-1);
}

void client_trackinginfo(Context& c) {
  c.reply.map(3);
  c.reply.bulk("flags");
  c.reply.set(1);
  c.reply.bulk("off");
  c.reply.bulk("redirect");
  c.reply.integer(-1);
  c.reply.bulk("prefixes");
  c.reply.array(0);
}

void client_caching(Context& c) {
  if (!is_word(c.args[2], "YES") && !is_word(c.args[2], "NO")) return c.error(errors::kSyntax);
  c.error(
      "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or "
      "OPTOUT mode enabled");
}

void monitor(Context& c) {
  Client& client = client_of(c);
  if (c.in_exec) return c.error("ERR MONITOR isn't allowed inside a transaction");
  if (!client.monitor) {
    client.monitor = true;
    client.server.monitors().add(client.id, client.thread);
  }
  c.reply.ok();
}

constexpr auto kGroup = CommandGroup::kConnection;
constexpr uint32_t kPlain = kNoScript | kLoading | kStale | kConnection;
constexpr uint32_t kPower = kAdmin | kPlain | kDangerous;

// clang-format off
const CommandSpec kRows[] = {
    {"CLIENT", -2, 0, {}, kGroup, "2.4.0", "Depends on the subcommand.",
     "Commands about client connections.", "", nullptr},
    {"CLIENT|ID", 2, kPlain, {}, kGroup, "5.0.0", "O(1)", "Returns the connection's own id.", "",
     client_id},
    {"CLIENT|INFO", 2, kPlain, {}, kGroup, "6.2.0", "O(1)",
     "Returns what is known of the connection itself.", "", client_info},
    {"CLIENT|LIST", -2, kPower, {}, kGroup, "2.4.0", "O(N) with N the number of clients",
     "Lists the open connections.",
     "[TYPE <NORMAL | MASTER | REPLICA | PUBSUB>] [ID client-id [client-id ...]]", client_list},
    {"CLIENT|GETNAME", 2, kPlain, {}, kGroup, "2.6.9", "O(1)", "Returns the connection's name.", "",
     client_getname},
    {"CLIENT|SETNAME", 3, kPlain, {}, kGroup, "2.6.9", "O(1)", "Sets the connection's name.",
     "connection-name", client_setname},
    {"CLIENT|SETINFO", 4, kPlain, {}, kGroup, "7.2.0", "O(1)",
     "Sets the name or version of the client's library.", "<LIB-NAME libname | LIB-VER libver>",
     client_setinfo},
    {"CLIENT|KILL", -3, kPower, {}, kGroup, "2.4.0", "O(N) with N the number of clients",
     "Closes connections.",
     "<ip:port | [ID client-id] [TYPE <NORMAL | MASTER | REPLICA | PUBSUB>] [USER username] [ADDR "
     "ip:port] [LADDR ip:port] [SKIPME <YES | NO>] [MAXAGE maxage]>", client_kill},
    {"CLIENT|PAUSE", -3, kPower, {}, kGroup, "3.0.0", "O(1)", "Holds commands back for a while.",
     "timeout [WRITE | ALL]", client_pause},
    {"CLIENT|UNPAUSE", 2, kPower, {}, kGroup, "6.2.0", "O(N) with N the number of held clients",
     "Lets held commands go on.", "", client_unpause},
    {"CLIENT|REPLY", 3, kPlain, {}, kGroup, "3.2.0", "O(1)",
     "Says whether the connection wants replies.", "<ON | OFF | SKIP>", client_reply},
    {"CLIENT|UNBLOCK", -3, kPower, {}, kGroup, "5.0.0", "O(1)",
     "Ends another client's blocking command.", "client-id [TIMEOUT | ERROR]", client_unblock},
    {"CLIENT|NO-EVICT", 3, kPower, {}, kGroup, "7.0.0", "O(1)",
     "Exempts the connection from eviction of clients.", "<ON | OFF>", client_no_evict},
    {"CLIENT|NO-TOUCH", 3, kPlain, {}, kGroup, "7.2.0", "O(1)",
     "Keeps the connection's reads from counting as use.", "<ON | OFF>", client_no_touch},
    {"CLIENT|CONSISTENCY", 4, kPlain, {}, kGroup, "7.2.0", "O(1)",
     "Sets how many racks the connection's reads or writes ask.",
     "<READ | WRITE> <DC_ONE | DC_QUORUM | DC_SAFE_QUORUM | DC_EACH_SAFE_QUORUM | DEFAULT>",
     client_consistency},
    {"CLIENT|TRACKING", -3, kPlain, {}, kGroup, "6.0.0", "O(1)",
     "Refused: invalidation messages are not there yet.", "<ON | OFF>", client_tracking},
    {"CLIENT|TRACKINGINFO", 2, kPlain, {}, kGroup, "6.2.0", "O(1)",
     "Tells the state of tracking, which is off.", "", client_trackinginfo},
    {"CLIENT|GETREDIR", 2, kPlain, {}, kGroup, "6.0.0", "O(1)",
     "Returns the client that tracking redirects to: none.", "", client_getredir},
    {"CLIENT|CACHING", 3, kPlain, {}, kGroup, "6.0.0", "O(1)", "Refused, since tracking is off.",
     "<YES | NO>", client_caching},
    {"MONITOR", 1, kAdmin | kNoScript | kLoading | kStale | kDangerous, {}, CommandGroup::kServer,
     "1.0.0", "O(1)", "Shows every command that the server runs, as it runs.", "", monitor},
};
// clang-format on

}  // namespace

const std::span<const CommandSpec> kClientCommands{kRows};

}  // namespace dyno

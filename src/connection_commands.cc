// SPDX-License-Identifier: Apache-2.0
//
// The commands of a connection itself: who am I talking to, which protocol, which database.
#include "protocol/words.h"
#include "src/monitors.h"
#include "src/server.h"

namespace dyno {
namespace {

void ping(Context& c) {
  if (c.args.size() > 2) {
    return c.error("ERR wrong number of arguments for 'ping' command");
  }
  c.args.size() == 2 ? c.reply.bulk(c.args[1]) : c.reply.simple("PONG");
}

void echo(Context& c) {
  c.reply.bulk(c.args[1]);
}

void quit(Context& c) {
  c.session.close_after_reply = true;
  c.reply.ok();
}

void select(Context& c) {
  auto db = read_int(c, c.args[1]);
  if (!db) return;
  if (*db < 0 || *db >= client_of(c).server.config().client.databases.load()) {
    return c.error(errors::kDbRange);
  }
  c.session.db = *db;
  c.reply.ok();
}

// True when the password is right and the session is now authenticated; else answers the error.
bool authenticate(Context& c, std::string_view user, std::string_view password) {
  Client& client = client_of(c);
  Server& server = client.server;
  if (user == "default" && (!server.requires_password() || server.password_matches(password))) {
    client.authenticated = true;
    return true;
  }
  server.stats().auth_failures.fetch_add(1, std::memory_order_relaxed);
  server.log().write(LogLevel::kWarning, "authentication failed",
                     {{"client", client.facts.address}, {"user", std::string(user.substr(0, 64))}});
  c.error("WRONGPASS invalid username-password pair or user is disabled.");
  return false;
}

void auth(Context& c) {
  if (c.args.size() > 3) return c.error(errors::kSyntax);
  Server& server = client_of(c).server;
  if (c.args.size() == 2 && !server.requires_password()) {
    return c.error(
        "ERR AUTH <password> called without any password configured for the default user. Are you "
        "sure your configuration is correct?");
  }
  std::string_view user = c.args.size() == 3 ? c.args[1] : "default";
  if (authenticate(c, user, c.args.back())) c.reply.ok();
}

struct HelloOptions {
  std::optional<std::string_view> name;
  std::optional<std::pair<std::string_view, std::string_view>> credentials;
};

bool read_hello_options(Context& c, HelloOptions* options) {
  for (size_t i = 2; i < c.args.size(); ++i) {
    size_t left = c.args.size() - i - 1;
    if (is_word(c.args[i], "AUTH") && left >= 2) {
      options->credentials = {c.args[i + 1], c.args[i + 2]};
      i += 2;
    } else if (is_word(c.args[i], "SETNAME") && left >= 1) {
      options->name = c.args[++i];
      if (!is_one_word(*options->name)) {
        c.error(kBadClientName);
        return false;
      }
    } else {
      c.error("ERR Syntax error in HELLO option '" + std::string(c.args[i].substr(0, 128)) + "'");
      return false;
    }
  }
  return true;
}

void hello(Context& c) {
  Client& client = client_of(c);
  int version = client.protocol;
  if (c.args.size() >= 2) {
    auto asked = parse_int64(c.args[1]);
    if (!asked) return c.error("ERR Protocol version is not an integer or out of range");
    if (*asked < 2 || *asked > 3) return c.error("NOPROTO unsupported protocol version");
    version = static_cast<int>(*asked);
  }
  HelloOptions options;
  if (!read_hello_options(c, &options)) return;
  if (options.credentials &&
      !authenticate(c, options.credentials->first, options.credentials->second)) {
    return;
  }
  if (!client.authenticated) {
    return c.error(
        "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO "
        "<proto> AUTH <user> <pass> option can be used to authenticate the client and select the "
        "RESP "
        "protocol version at the same time");
  }
  if (options.name) {
    client.name = *options.name;
    client.publish_texts();
  }
  client.protocol = version;
  c.reply.set_version(version);
  c.reply.map(7);
  c.reply.bulk("server");
  c.reply.bulk("redis");
  c.reply.bulk("version");
  c.reply.bulk(kRedisVersion);
  c.reply.bulk("proto");
  c.reply.integer(version);
  c.reply.bulk("id");
  c.reply.integer(static_cast<int64_t>(client.id));
  c.reply.bulk("mode");
  c.reply.bulk("standalone");
  c.reply.bulk("role");
  c.reply.bulk("master");
  c.reply.bulk("modules");
  c.reply.array(0);
}

void reset(Context& c) {
  Client& client = client_of(c);
  c.executor.end_multi(client);
  if (client.monitor) {
    client.monitor = false;
    client.server.monitors().remove(client.id);
  }
  client.db = 0;
  client.name.clear();
  client.protocol = 2;
  client.reply_mode = ReplyMode::kOn;
  client.no_touch = false;
  client.no_evict = false;
  client.authenticated = !client.server.requires_password();
  client.publish_texts();
  c.reply.set_version(2);
  c.reply.simple("RESET");
}

constexpr auto kGroup = CommandGroup::kConnection;
constexpr uint32_t kAnytime = kNoScript | kLoading | kStale | kFast | kConnection;

// clang-format off
const CommandSpec kRows[] = {
    {"PING", -1, kFast | kConnection, {}, kGroup, "1.0.0", "O(1)",
     "Answers PONG, or the message given.", "[message]", ping},
    {"ECHO", 2, kLoading | kStale | kFast | kConnection, {}, kGroup, "1.0.0", "O(1)",
     "Returns the message given.", "message", echo},
    {"QUIT", -1, kAnytime | kNoAuth | kControlsMulti, {}, kGroup, "1.0.0", "O(1)",
     "Closes the connection after the replies still owed.", "", quit},
    {"SELECT", 2, kLoading | kStale | kFast | kConnection, {}, kGroup, "1.0.0", "O(1)",
     "Changes the database of the connection.", "index", select},
    {"AUTH", -2, kAnytime | kNoAuth, {}, kGroup, "1.0.0", "O(1)", "Authenticates the connection.",
     "[username] password", auth},
    {"HELLO", -1, kAnytime | kNoAuth, {}, kGroup, "6.0.0", "O(1)",
     "Greets the server, chooses the version of the protocol and may authenticate.",
     "[protover [AUTH username password] [SETNAME clientname]]", hello},
    {"RESET", 1, kAnytime | kNoAuth | kControlsMulti, {}, kGroup, "6.2.0", "O(1)",
     "Puts the connection into the state of a fresh one.", "", reset},
};
// clang-format on

}  // namespace

const std::span<const CommandSpec> kConnectionCommands{kRows};

}  // namespace dyno

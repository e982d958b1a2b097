// SPDX-License-Identifier: Apache-2.0
//
// DEBUG: the harmless parts that tests of clients use, behind client.enable_debug_command.
#include <algorithm>
#include <chrono>
#include <thread>

#include "engine/value.h"
#include "protocol/words.h"
#include "src/server.h"

namespace dyno {
namespace {

bool allowed(Context& c) {
  Client& client = client_of(c);
  DebugAccess access = client.server.config().client.enable_debug_command.load();
  if (access == DebugAccess::kYes) return true;
  bool local = client.facts.unix_socket || client.facts.address.starts_with("127.") ||
               client.facts.address.starts_with("[::1]");
  if (access == DebugAccess::kLocal && local) return true;
  c.error(
      "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you "
      "can "
      "run it from a local connection, otherwise you need to set this option in the configuration "
      "file, and then restart the server.");
  return false;
}

void debug_sleep(Context& c) {
  if (!allowed(c)) return;
  constexpr double kSecondsMax = 60;
  auto seconds = parse_double(c.args[2]);
  if (!seconds || *seconds < 0) return c.error(errors::kNotFloat);
  std::this_thread::sleep_for(std::chrono::duration<double>(std::min(*seconds, kSecondsMax)));
  c.reply.ok();
}

void debug_object(Context& c) {
  if (!allowed(c)) return;
  Key key(c, c.args[2], Key::Use::kPeek);
  if (!key.exists()) return c.error(errors::kNoSuchKey);
  const ValueOps& ops = value_ops(key.entry());
  std::string text = "Value at:0x0 refcount:1 encoding:";
  text.append(ops.encoding_name(key.entry()));
  text += " serializedlength:" + std::to_string(ops.memory_bytes(key.entry(), 0));
  text += " lru:" + std::to_string(key.entry()->clock()) + " lru_seconds_idle:0";
  c.reply.simple(text);
}

// Words of RESP3 for testing a client's parser.
void debug_protocol(Context& c) {
  if (!allowed(c)) return;
  std::string_view kind = c.args[2];
  if (is_word(kind, "string")) {
    c.reply.bulk("Hello World");
  } else if (is_word(kind, "integer")) {
    c.reply.integer(12345);
  } else if (is_word(kind, "double")) {
    c.reply.number(3.141);
  } else if (is_word(kind, "null")) {
    c.reply.null();
  } else if (is_word(kind, "true") || is_word(kind, "false")) {
    c.reply.boolean(is_word(kind, "true"));
  } else if (is_word(kind, "array") || is_word(kind, "set")) {
    is_word(kind, "set") ? c.reply.set(3) : c.reply.array(3);
    for (int i = 0; i < 3; ++i) c.reply.integer(i);
  } else if (is_word(kind, "map")) {
    c.reply.map(3);
    for (int i = 0; i < 3; ++i) {
      c.reply.integer(i);
      c.reply.boolean(i == 1);
    }
  } else if (is_word(kind, "verbatim")) {
    c.reply.verbatim("This is a verbatim\nstring");
  } else {
    c.error(
        "ERR Wrong protocol type name. Please use one of the following: "
        "string|integer|double|null|array|set|map|verbatim|true|false");
  }
}

void debug_jmap(Context& c) {
  if (allowed(c)) c.reply.ok();
}

constexpr auto kGroup = CommandGroup::kServer;
constexpr uint32_t kPower = kAdmin | kNoScript | kLoading | kStale | kDangerous;

// clang-format off
const CommandSpec kRows[] = {
    {"DEBUG", -2, kPower, {}, kGroup, "1.0.0", "Depends on the subcommand.",
     "Commands for debugging, if the configuration allows them.", "", nullptr},
    {"DEBUG|SLEEP", 3, kPower, {}, kGroup, "1.0.0", "O(1)",
     "Makes the connection's thread sleep, for at most a minute.", "seconds", debug_sleep},
    {"DEBUG|OBJECT", 3, kPower, {2, 2, 1}, kGroup, "1.0.0", "O(1)", "Tells how a value is kept.",
     "key", debug_object},
    {"DEBUG|PROTOCOL", 3, kPower, {}, kGroup, "6.0.0", "O(1)",
     "Answers with a value of the named type.", "type", debug_protocol},
    {"DEBUG|JMAP", 2, kPower, {}, kGroup, "7.0.0", "O(1)", "Does nothing, as in Redis.", "",
     debug_jmap},
};
// clang-format on

}  // namespace

const std::span<const CommandSpec> kDebugCommands{kRows};

}  // namespace dyno

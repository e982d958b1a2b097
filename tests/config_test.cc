// SPDX-License-Identifier: Apache-2.0
//
// The configuration table as CONFIG GET, SET and REWRITE, the start of the process and
// --print-config show it.
#include "src/config.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "engine/limits.h"
#include "src/config_file.h"
#include "src/config_rows.h"

namespace dyno {
namespace {

struct Fixture {
  Config config;
  Limits limits;
  ConfigTable table{config, limits};

  std::string get(std::string_view name) const {
    const std::string_view patterns[] = {name};
    const std::vector<ConfigTable::Pair> found = table.get(patterns);
    return found.size() == 1 ? found[0].second : "<" + std::to_string(found.size()) + " values>";
  }
  std::string set(std::vector<ConfigTable::Pair> pairs) { return table.set(pairs).value_or("OK"); }
  ConfigTable::LoadResult load(std::vector<const char*> args, std::vector<const char*> env = {}) {
    return table.load(args, env);
  }
};

// A file that lives as long as the object.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& content) {
    const int fd = ::mkstemp(path_.data());
    REQUIRE(fd >= 0);
    ::close(fd);
    std::ofstream(path_) << content;
  }
  ~TemporaryFile() { ::unlink(path_.c_str()); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  [[nodiscard]] const char* path() const { return path_.c_str(); }
  [[nodiscard]] std::string content() const {
    std::ifstream stream(path_);
    return {std::istreambuf_iterator<char>(stream), {}};
  }

 private:
  std::string path_ = "/tmp/dyno_config_test.XXXXXX";
};

std::string load_error(const std::string& content) {
  const TemporaryFile file(content);
  Fixture f;
  const ConfigTable::LoadResult result = f.load({"--config", file.path()});
  CHECK_FALSE(result.serve);
  CHECK(result.exit_code == 2);
  CHECK(result.err.starts_with(file.path()));
  return result.err.substr(std::string(file.path()).size());
}

TEST_CASE("defaults are Redis'") {
  const Fixture f;
  CHECK(f.get("maxclients") == "10000");
  CHECK(f.get("maxmemory") == "0");
  CHECK(f.get("maxmemory-policy") == "noeviction");
  CHECK(f.get("timeout") == "0");
  CHECK(f.get("databases") == "16");
  CHECK(f.get("hash-max-listpack-entries") == "512");
  CHECK(f.get("list-max-listpack-size") == "-2");
  CHECK(f.get("proto-max-bulk-len") == "536870912");
  CHECK(f.get("client-query-buffer-limit") == "1073741824");
  CHECK(f.get("client-output-buffer-limit") ==
        "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60");
  CHECK(f.get("latency-tracking-info-percentiles") == "50 99 99.9");
  CHECK(f.get("slowlog-log-slower-than") == "10000");
  CHECK(f.get("save") == "");
  CHECK(f.get("appendonly") == "no");
  CHECK(f.get("port") == "6379");
  CHECK(f.get("bind") == "127.0.0.1");
  CHECK(f.limits.policy() == EvictionPolicy::kNoEviction);
  CHECK(f.limits.hash_packed_entries == 512);
}

TEST_CASE("every row has a doc, a unique name, and a default of its own kind") {
  Config config;
  Limits limits;
  std::vector<std::string> names;
  for (const ConfigRow& row : config_rows(config, limits)) {
    CHECK_FALSE(row.doc.empty());
    names.push_back(fold_config_name(row.name));
    if (names.back() != row.config_name()) names.push_back(row.config_name());
    if (!row.old_alias.empty()) names.emplace_back(row.old_alias);
    const bool bound = row.text != nullptr || row.number.at != nullptr;
    CHECK(bound == (row.change != ConfigChange::kFixed));
    if (bound) CHECK_FALSE(config_section_doc(row.name.substr(0, row.name.find('.'))).empty());
  }
  std::sort(names.begin(), names.end());
  CHECK(std::adjacent_find(names.begin(), names.end()) == names.end());
}

TEST_CASE("CONFIG GET takes globs, old names and dotted names") {
  const Fixture f;
  const std::string_view patterns[] = {"hash-max-*", "MAXmemory", "hash-max-listpack-value",
                                       "nothing-like-it"};
  const std::vector<ConfigTable::Pair> found = f.table.get(patterns);
  REQUIRE(found.size() == 5);
  CHECK(found[4] == ConfigTable::Pair{"MAXmemory", "0"});
  CHECK(f.get("hash-max-ziplist-entries") == "512");
  CHECK(f.get("client.timeout") == "0");
  CHECK(f.get("maxmemory_policy") == "noeviction");
  const std::string_view dotted[] = {"log.*"};
  CHECK(f.table.get(dotted).size() == 2);
  const std::string_view all[] = {"*"};
  CHECK(f.table.get(all).size() > 40);
}

TEST_CASE("CONFIG SET takes units and fills the members") {
  Fixture f;
  CHECK(f.set({{"maxmemory", "64mb"}, {"maxmemory-policy", "allkeys-lfu"}}) == "OK");
  CHECK(f.get("maxmemory") == "67108864");
  CHECK(f.limits.maxmemory_bytes == 64 << 20);
  CHECK(f.limits.policy() == EvictionPolicy::kAllKeysLfu);
  CHECK(f.set({{"TIMEOUT", "5m"}}) == "OK");
  CHECK(f.config.client.timeout_s == 300);
  CHECK(f.set({{"slowlog-log-slower-than", "-1"}}) == "OK");
  CHECK(f.limits.slowlog_slower_us == -1);
  CHECK(f.set({{"requirepass", "secret"}}) == "OK");
  CHECK(f.config.client.requirepass.get() == "secret");
  CHECK_FALSE(f.config.client.requirepass.empty());
  CHECK(f.table.is_sensitive("requirepass"));
  CHECK_FALSE(f.table.is_sensitive("maxmemory"));
}

TEST_CASE("CONFIG SET errors are worded as Redis words them") {
  Fixture f;
  const auto failed = [](const std::string& name, const std::string& why) {
    return "CONFIG SET failed (possibly related to argument '" + name + "') - " + why;
  };
  CHECK(f.set({{"foo", "1"}}) == "Unknown option or number of arguments for CONFIG SET - 'foo'");
  CHECK(f.set({{"databases", "3"}}) == failed("databases", "can't set immutable config"));
  CHECK(f.set({{"port", "3"}}) == failed("port", "can't set immutable config"));
  CHECK(f.set({{"maxmemory", "1kb"}, {"maxmemory", "2kb"}}) ==
        failed("maxmemory", "duplicate parameter"));
  CHECK(f.set({{"maxmemory", "abc"}}) == failed("maxmemory", "argument must be a memory value"));
  CHECK(f.set({{"maxclients", "0"}}) ==
        failed("maxclients", "argument must be between 1 and 4294967295 inclusive"));
  CHECK(f.set({{"timeout", "-1"}}) ==
        failed("timeout", "argument must be between 0 and 2147483647 inclusive"));
  CHECK(f.set({{"maxmemory-policy", "foo"}}) ==
        failed("maxmemory-policy",
               "argument(s) must be one of the following: volatile-lru, volatile-lfu, "
               "volatile-random, volatile-ttl, allkeys-lru, allkeys-lfu, allkeys-random, "
               "noeviction"));
  CHECK(f.set({{"maxmemory-clients", "x"}}) ==
        failed("maxmemory-clients", "argument must be a memory or percent value"));
  CHECK(f.set({{"latency-tracking-info-percentiles", "50 101"}}) ==
        failed("latency-tracking-info-percentiles",
               "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]"));
}

TEST_CASE("CONFIG SET is all or nothing") {
  Fixture f;
  CHECK(f.set({{"maxmemory", "1mb"}, {"hz", "30"}, {"maxclients", "0"}}) != "OK");
  CHECK(f.get("maxmemory") == "0");
  CHECK(f.get("hz") == "10");
  CHECK(f.set({{"maxmemory", "1mb"}, {"foo", "0"}}).find("'foo'") != std::string::npos);
  CHECK(f.get("maxmemory") == "0");
}

TEST_CASE("a callback that refuses undoes the whole SET") {
  Fixture f;
  std::vector<int64_t> seen;
  f.table.on_change("maxclients", [&]() -> std::optional<std::string> {
    seen.push_back(f.config.client.maxclients);
    if (seen.back() > 20000) return "too many";
    return std::nullopt;
  });
  CHECK(f.set({{"maxclients", "10000"}}) == "OK");
  CHECK(seen.empty());
  CHECK(f.set({{"maxclients", "15000"}}) == "OK");
  CHECK(f.set({{"maxmemory", "1mb"}, {"maxclients", "30000"}}) ==
        "CONFIG SET failed (possibly related to argument 'maxclients') - too many");
  CHECK(f.get("maxmemory") == "0");
  CHECK(f.get("maxclients") == "15000");
  CHECK(seen == std::vector<int64_t>{15000, 30000, 15000});
}

TEST_CASE("output buffer limits are set class by class") {
  Fixture f;
  CHECK(f.set({{"client-output-buffer-limit", "replica 1mb 2mb 3"}}) == "OK");
  CHECK(f.get("client-output-buffer-limit") ==
        "normal 0 0 0 slave 1048576 2097152 3 pubsub 33554432 8388608 60");
  CHECK(f.config.client.output_limits[1].bytes_hard == 1 << 20);
  CHECK(f.config.client.output_limits[1].soft_seconds == 3);
  CHECK(f.config.client.output_limits[2].bytes_soft == 8 << 20);
  const auto error = [&](const char* text) {
    const std::string all = f.set({{"client-output-buffer-limit", text}});
    return all.substr(all.find(" - ") + 3);
  };
  CHECK(error("normal 1 2") == "Wrong number of arguments in buffer limit configuration.");
  CHECK(error("foo 1 2 3") == "Invalid client class specified in buffer limit configuration.");
  CHECK(error("normal 1 2x 3") ==
        "Error in hard, soft or soft_seconds setting in buffer limit configuration.");
}

TEST_CASE("settings with one value take that value only, and say why") {
  Fixture f;
  CHECK(f.set({{"save", ""}, {"appendonly", "no"}}) == "OK");
  CHECK(f.set({{"save", "60 1"}}) ==
        "CONFIG SET failed (possibly related to argument 'save') - only '' is possible: there are "
        "no RDB snapshots here");
  CHECK(f.set({{"lazyfree-lazy-user-del", "yes"}}) == "OK");
  CHECK(f.set({{"lazyfree-lazy-user-del", "no"}}) != "OK");
}

TEST_CASE("file, environment and flags override each other in that order") {
  const TemporaryFile file("[client]\nmaxclients = 1\ntimeout = 1\n[server]\nhz = 1\n");
  Fixture f;
  const ConfigTable::LoadResult result =
      f.load({"--config", file.path(), "--server-hz=3", "--memory_maxmemory", "1k"},
             {"DYNO_SERVER_HZ=2", "DYNO_CLIENT_TIMEOUT=2s", "DYNO_CLIENT_PORT=tcp://10.0.0.1:1",
              "DYNO_UNRELATED=1", "PATH=/bin"});
  CHECK(result.err == "");
  CHECK(result.serve);
  CHECK(f.get("maxclients") == "1");
  CHECK(f.get("timeout") == "2");
  CHECK(f.get("hz") == "3");
  CHECK(f.get("maxmemory") == "1000");
}

TEST_CASE("lists come with commas, addresses are judged") {
  Fixture f;
  CHECK(f.load({"--client-listen", "127.0.0.1:0,[::1]:7000,/run/dyno.sock"}).serve);
  CHECK(f.get("bind") == "127.0.0.1 ::1");
  CHECK(f.get("unixsocket") == "/run/dyno.sock");
  for (const char* bad : {"", "6379", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:", ":1",
                          "::1:80", "[::1", "a b:1:2", "[]:1", "host:1x", "unix:"}) {
    Fixture g;
    const ConfigTable::LoadResult result = g.load({"--client-listen", bad});
    CHECK_MESSAGE(!result.serve, bad);
    CHECK(result.exit_code == 2);
  }
}

TEST_CASE("wrong flags say which was meant") {
  const auto error = [](std::vector<const char*> args) { return Fixture().load(args).err; };
  CHECK(error({"--client-listn", "x"}) ==
        "flag --client-listn: unknown key; did you mean --client-listen?\n");
  CHECK(error({"--port", "7000"}) == "flag --port: unknown key; did you mean --client-listen?\n");
  CHECK(error({"--client-timeout"}) == "flag --client-timeout: expected a value behind it\n");
  CHECK(error({"dyno.toml"}) ==
        "unexpected argument \"dyno.toml\"; a file is given as --config FILE\n");
  CHECK(error({"--config", "/nonexistent/x"}) ==
        "/nonexistent/x: cannot read the configuration: No such file or directory\n");
  const ConfigTable::LoadResult env = Fixture().load({}, {"DYNO_CLIENT_TIMOUT=1"});
  CHECK(env.err ==
        "environment DYNO_CLIENT_TIMOUT: unknown key; did you mean DYNO_CLIENT_TIMEOUT?\n");
  CHECK(env.exit_code == 2);
}

TEST_CASE("wrong files are refused with place, expectation and nearest name") {
  CHECK(load_error("[client]\nlistn = \"x\"\n") ==
        ":2:1: unknown key \"client.listn\"; did you mean client.listen?\n");
  CHECK(load_error("maxclients = 5\n") ==
        ":1:1: unknown key \"maxclients\"; did you mean client.maxclients?\n");
  CHECK(load_error("[memory]\ntimeout = 5\n") ==
        ":2:1: unknown key \"memory.timeout\"; did you mean client.timeout?\n");
  CHECK(load_error("[clinet]\n") == ":1:1: unknown section [clinet]; did you mean [client]?\n");
  CHECK(load_error("[clinet]\nlisten = \"a:1\"\n") ==
        ":2:1: unknown key \"clinet.listen\"; did you mean client.listen?\n");
  CHECK(load_error("[client]\n  timeout = \"soon\"\n") ==
        ":2:13: client.timeout: expected a duration from 0 to 2147483647s in whole s, such as 30s "
        "or 5m; got \"soon\"\n");
  CHECK(load_error("[client]\nmaxclients = 18446744073709551617\n") ==
        ":2:14: client.maxclients: expected a whole number from 1 to 4294967295; got "
        "18446744073709551617\n");
  CHECK(load_error("[client]\nmaxclients = true\n").find("whole number from 1") !=
        std::string::npos);
  CHECK(load_error("[client]\nmaxclients = [1, 2]\n").find("; got a list") != std::string::npos);
  CHECK(load_error("[client.maxclients]\na = 1\n").find("; got a section") != std::string::npos);
  CHECK(load_error("[client]\nlisten = 6379\n").find("a list; got 6379") != std::string::npos);
  CHECK(load_error("[client]\nrequirepass = 1234\n") ==
        ":2:15: client.requirepass: expected text in quotes\n");
  CHECK(load_error("[log]\nlevel = \"loud\"\n").find("one of debug, verbose, notice, warning") !=
        std::string::npos);
  CHECK(load_error("[memory]\nmaxmemory = \"10 mib\"\n").find("such as 100, 64mb or 10GiB") !=
        std::string::npos);
}

TEST_CASE("every error of a file is printed") {
  const std::string errors =
      load_error("[client]\ntimeout = -1\nmaxclients = 0\nfoo = 1\n[server]\nhz = 1000\n");
  CHECK(std::count(errors.begin(), errors.end(), '\n') == 4);
}

TEST_CASE("--check-config, --version and --help do not serve") {
  CHECK(Fixture().load({"--check-config"}).out == "configuration ok\n");
  const ConfigTable::LoadResult bad = Fixture().load({"--check-config", "--server-hz", "0"});
  CHECK(bad.exit_code == 2);
  CHECK(bad.out.empty());
  CHECK(Fixture().load({"--version"}).out.starts_with("dyno-server "));
  CHECK(Fixture().load({"--help"}).out.find("--print-config") != std::string::npos);
}

TEST_CASE("--print-config is a valid file as it is, and with every key uncommented") {
  const std::string printed = Fixture().load({"--print-config"}).out;
  CHECK(parse_config_document(printed).errors.empty());
  std::istringstream lines(printed);
  std::string uncommented;
  size_t keys = 0;
  for (std::string line; std::getline(lines, line);) {
    const size_t equals = line.find(" = ");
    const bool key =
        line.starts_with("# ") && equals != std::string::npos && line.find(' ', 2) == equals;
    keys += key ? 1 : 0;
    uncommented += (key ? line.substr(2) : line) + "\n";
    CHECK(line.size() <= 100);
  }
  CHECK(keys > 30);
  const TemporaryFile file(uncommented);
  Fixture f;
  CHECK(f.load({"--config", file.path()}).err == "");
  const std::string_view all[] = {"*"};
  CHECK(f.table.get(all) == Fixture().table.get(all));
}

TEST_CASE("CONFIG REWRITE changes values and nothing else") {
  const TemporaryFile file(
      "# mine\n[client]\nmaxclients = 100  # few\nlisten = \"127.0.0.1:7000\"\n\n[log]\nlevel = "
      "\"notice\"\n");
  Fixture f;
  REQUIRE(f.load({"--config", file.path()}).serve);
  CHECK(f.table.rewrite() == std::nullopt);
  CHECK(file.content().find("maxclients = 100  # few\nlisten") != std::string::npos);
  CHECK(f.set({{"maxclients", "200"}, {"timeout", "30"}, {"maxmemory", "1gb"}}) == "OK");
  CHECK(f.set({{"client-output-buffer-limit", "normal 1mb 0 0"}}) == "OK");
  CHECK(f.table.rewrite() == std::nullopt);
  CHECK(file.content() ==
        "# mine\n[client]\nmaxclients = 200  # few\nlisten = \"127.0.0.1:7000\"\ntimeout = "
        "\"30s\"\noutput_buffer_limit = \"normal 1048576 0 0 slave 268435456 67108864 60 pubsub "
        "33554432 8388608 60\"\n\n[log]\nlevel = \"notice\"\n\n[memory]\nmaxmemory = \"1gb\"\n");
  Fixture again;
  REQUIRE(again.load({"--config", file.path()}).serve);
  const std::string_view all[] = {"*"};
  CHECK(again.table.get(all) == f.table.get(all));
}

TEST_CASE("CONFIG REWRITE says why it cannot") {
  Fixture without;
  CHECK(without.table.rewrite() == "The server is running without a config file");
  const TemporaryFile inline_table("client = { maxclients = 5 }\n");
  Fixture f;
  REQUIRE(f.load({"--config", inline_table.path()}).serve);
  CHECK(f.set({{"maxclients", "6"}}) == "OK");
  CHECK(f.table.rewrite() == std::nullopt);
  CHECK(inline_table.content() == "client = { maxclients = 6 }\n");
  CHECK(f.set({{"timeout", "6"}}) == "OK");
  CHECK(f.table.rewrite().value_or("").starts_with("Rewriting config file: "));
  CHECK(inline_table.content() == "client = { maxclients = 6 }\n");
  std::ofstream(inline_table.path()) << "broken = \n";
  CHECK(f.table.rewrite().value_or("").starts_with("Rewriting config file: "));
}

}  // namespace
}  // namespace dyno

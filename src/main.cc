// SPDX-License-Identifier: Apache-2.0
//
// dyno-server: reads the configuration and serves.
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "engine/limits.h"
#include "src/command_page.h"
#include "src/config.h"
#include "src/delta_dump.h"
#include "src/open_files.h"
#include "src/server.h"

namespace {

// Clients need files: as many as the kernel allows are taken at the start, and a CONFIG SET beyond
// that is refused.
void bound_clients_by_files(dyno::Config& config, dyno::ConfigTable& table) {
  const int64_t wanted = config.client.maxclients;
  const int64_t possible = dyno::raise_open_files(wanted);
  if (possible < wanted) {
    std::fprintf(stderr, "client.maxclients is lowered from %lld to %lld: see ulimit -n\n",
                 static_cast<long long>(wanted), static_cast<long long>(possible));
    config.client.maxclients = possible;
  }
  table.on_change("maxclients", [&config]() -> std::optional<std::string> {
    const int64_t changed = config.client.maxclients;
    const int64_t fitting = dyno::raise_open_files(changed);
    if (fitting >= changed) return std::nullopt;
    return "The operating system is not able to handle the specified number of clients, try with " +
           std::to_string(fitting);
  });
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == "--print-commands") {
    std::fputs(dyno::command_page(dyno::all_commands()).c_str(), stdout);
    return 0;
  }
  if (argc == 3 && std::string_view(argv[1]) == "--dump-delta") {
    return dyno::dump_deltas(argv[2]) ? 0 : 1;
  }
  dyno::Config config;
  dyno::Limits limits;
  dyno::ConfigTable table(config, limits);
  std::vector<const char*> environment;
  for (char** entry = ::environ; *entry != nullptr; ++entry) environment.push_back(*entry);
  const dyno::ConfigTable::LoadResult loaded =
      table.load({argv + 1, static_cast<size_t>(argc - 1)}, environment);
  std::fputs(loaded.out.c_str(), stdout);
  std::fputs(loaded.err.c_str(), stderr);
  if (!loaded.serve) return loaded.exit_code;
  bound_clients_by_files(config, table);
  // A client that closes while it is written to is an error of that write, not of the process.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // A file too large is an error of the write.
  dyno::Server server(config, table, limits);
  return server.run();
}

// SPDX-License-Identifier: Apache-2.0
//
// dyno-server: reads the configuration and serves.
#include <csignal>
#include <cstdio>

#include "engine/limits.h"
#include "src/config.h"
#include "src/server.h"

int main(int argc, char** argv) {
  using namespace dyno;
  Config config;
  Limits limits;
  ConfigTable table(config, limits);
  std::vector<const char*> environment;
  for (char** entry = ::environ; *entry != nullptr; ++entry) environment.push_back(*entry);
  ConfigTable::LoadResult loaded = table.load({argv + 1, static_cast<size_t>(argc - 1)}, environment);
  std::fputs(loaded.out.c_str(), stdout);
  std::fputs(loaded.err.c_str(), stderr);
  if (!loaded.serve) return loaded.exit_code;
  // A client that closes while it is written to is an error of that write, not of the process.
  std::signal(SIGPIPE, SIG_IGN);
  Server server(config, table, limits);
  return server.run();
}

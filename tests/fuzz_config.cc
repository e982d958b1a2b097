// SPDX-License-Identifier: Apache-2.0
//
// Fuzz target of the configuration: any bytes as a file, then as pairs of CONFIG SET. A file that
// is accepted must survive CONFIG REWRITE's edit, and every value that CONFIG GET prints must be
// taken by CONFIG SET and print the same.
#include <string>
#include <vector>

#include "engine/limits.h"
#include "protocol/check.h"
#include "src/config.h"
#include "src/config_file.h"

namespace dyno {
namespace {

void fuzz_file(const std::string& source) {
  const ConfigDocument document = parse_config_document(source);
  if (!document.errors.empty()) return;
  for (const FileSetting& setting : document.settings) {
    DYNO_CHECK(setting.offset + setting.length <= source.size());
  }
  const ConfigEdit edits[] = {{"client.timeout", "5"}, {"memory.maxmemory", "\"1gb\""}};
  (void)parse_config_document(edit_config_document(source, document, edits));
}

void fuzz_set(const std::string& source) {
  Config config;
  Limits limits;
  ConfigTable table(config, limits);
  std::vector<ConfigTable::Pair> pairs;
  for (size_t at = 0; at < source.size();) {
    const size_t end = std::min(source.find('\n', at), source.size());
    const std::string line = source.substr(at, end - at);
    const size_t space = std::min(line.find(' '), line.size());
    pairs.emplace_back(line.substr(0, space), line.substr(std::min(space + 1, line.size())));
    at = end + 1;
  }
  const std::optional<std::string> error = table.set(pairs);
  for (const ConfigTable::Pair& pair : pairs) {
    const std::string_view name[] = {pair.first};
    for (const ConfigTable::Pair& found : table.get(name)) {
      if (error) continue;
      const ConfigTable::Pair again[] = {found};
      const std::optional<std::string> refused = table.set(again);
      DYNO_CHECK(!refused || refused->find("immutable") != std::string::npos);
      const std::string_view same[] = {found.first};
      DYNO_CHECK(table.get(same).front().second == found.second);
    }
  }
}

}  // namespace
}  // namespace dyno

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string source(reinterpret_cast<const char*>(data), size);
  dyno::fuzz_file(source);
  dyno::fuzz_set(source);
  return 0;
}

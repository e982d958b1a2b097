// SPDX-License-Identifier: Apache-2.0
//
// The TOML file: where each setting stands in it, and how single values are exchanged without
// touching anything else. Knows the syntax of the file, nothing of the table.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace dyno {

// How a value is written; what it means is the table's business.
enum class FileValueKind : unsigned char { kText, kBare, kList, kTable };

struct FileSetting {
  std::string name;  // dotted: "client.listen"
  FileValueKind kind = FileValueKind::kBare;
  std::string text;  // decoded text; a bare value as it stands; items of a list joined with spaces
  size_t line = 0;   // of the value, from 1
  size_t column = 0;
  size_t name_column = 0;
  size_t offset = 0;  // of the value in the source, and its length
  size_t length = 0;
};

struct FileError {
  size_t line = 0;  // 0: of the file as a whole
  size_t column = 0;
  std::string what;
};

struct ConfigDocument {
  std::vector<FileSetting> settings;  // in the order of the file
  std::vector<FileError> errors;      // when not empty, settings may be incomplete
};

// Never fails otherwise than through `errors`, whatever the bytes are.
[[nodiscard]] ConfigDocument parse_config_document(const std::string& source);

struct ConfigEdit {
  std::string name;
  std::string literal;  // TOML
};

// The source with every edit in it: a value that is there is replaced, a missing one is added to
// its section, a missing section to the end. The result may be invalid where a section is written
// in an unusual way (an inline table), so that the caller reads it again before it keeps it.
// REQUIRES: `document` was parsed from `source` without errors.
[[nodiscard]] std::string edit_config_document(const std::string& source,
                                               const ConfigDocument& document,
                                               std::span<const ConfigEdit> edits);

// The bytes of a file of a bounded size, or no value and the reason in `why`.
[[nodiscard]] std::optional<std::string> read_config_file(const std::string& path,
                                                          std::string& why);

// Writes beside the file, syncs and renames over it, keeping its mode. Returns the reason on
// failure, with the file as it was.
[[nodiscard]] std::optional<std::string> replace_config_file(const std::string& path,
                                                             std::string_view content);

}  // namespace dyno

// SPDX-License-Identifier: Apache-2.0
//
// The arguments of a command as COMMAND DOCS describes them, read from the row's syntax.
//
//   sequence := item { item }
//   item     := word | "[" choice "]" | "<" choice ">" | "(" choice ")" | "[" item { item } "...]"
//   choice   := sequence { "|" sequence }
//
// An upper-case word is typed as it is; before a lower-case one it is that argument's token. "[x
// ...]" after x says that x repeats. "[..]" is optional, "<..>" and "(..)" group.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace dyno {

struct ArgumentDoc {
  std::string name;
  std::string type;  // string, integer, double, key, pattern, unix-time, pure-token, oneof, block
  std::string token;
  bool optional = false;
  bool multiple = false;
  std::vector<ArgumentDoc> arguments;  // Of a oneof or block.
};

// A malformed syntax is a programmer's error: it stops the process, at the first COMMAND DOCS and
// in the test that reads every row.
[[nodiscard]] std::vector<ArgumentDoc> parse_syntax(std::string_view syntax);

}  // namespace dyno

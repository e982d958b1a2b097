// SPDX-License-Identifier: Apache-2.0
//
// docs/COMMANDS.md, made from the command table: `dyno-server --print-commands`.
#pragma once

#include <string>

#include "engine/command.h"

namespace dyno {

// Markdown: a section for each group, a line for each command.
[[nodiscard]] std::string command_page(const CommandTable& commands);

}  // namespace dyno
